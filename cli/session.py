"""What every command starts from: the global options, and how they lead to files, keys and a node."""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

import click

from chainnode.config import FILE_NAME, ClientConfig, load_client_config
from chainnode.keystore.keystore import KeyStore
from chainnode.keystore.passphrase import PASSPHRASE_VARIABLE, read_passphrase
from chainnode.model.errors import ChainError, DecodeError, NotFound, Refused, Unavailable
from chainnode.model.genesis import Genesis, decode_genesis
from chainnode.model.limits import MAX_GENESIS_BYTES
from cli.exit_status import ChainRefused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from chainnode.rpc.client import Member, RpcClient

Result = TypeVar("Result")

GENESIS_FILE = "genesis"
KEYS_FOLDER = "keys"


UNREADABLE: Final = "unreadable"
"""Code of the error that a file cannot be read at all."""


@dataclass(slots=True)
class Session:
    """The global options of one run of the command; a sub-command's parser may still set them."""

    home: Path
    """Folder with configuration and keys."""

    rpc: str | None = None
    """URL of a node, if the user named one."""

    json: bool = False
    """Whether stdout gets one JSON document and nothing else."""

    def config(self) -> ClientConfig:
        """Return the home's client settings, or the defaults."""
        return load_client_config(self.home)

    def keystore(self) -> KeyStore:
        """Return the home's keys."""
        return KeyStore(self.home / KEYS_FOLDER)

    def passphrase(self, path: Path | None, *, confirm: bool = False) -> bytes:
        """Return the passphrase from a file, the environment, the home's own file or a prompt.

        Args:
            path: The file that the user named, if any.
            confirm: Whether a person is asked twice, for a new key.

        Raises:
            Refused, DecodeError: there is none, or it is unusable.
        """

        def prompt() -> str:
            answer: str = click.prompt(
                "Passphrase", hide_input=True, confirmation_prompt=confirm, err=True
            )
            return answer

        if path is None and PASSPHRASE_VARIABLE not in os.environ:
            path = self.config().passphrase_file
        try:
            return read_passphrase(
                path=path, environment=os.environ, prompt=prompt if sys.stdin.isatty() else None
            )
        except NotFound as error:
            raise DecodeError(error.message, code="no_passphrase", field="passphrase") from error

    def genesis(self, path: Path | None = None) -> Genesis:
        """Return the genesis in a file, by default the home's.

        Raises:
            DecodeError: there is none, or it is malformed.
        """
        advice = (
            "; name a home that has the chain's genesis with --home, or the file with --genesis where a command takes it"
            if path is None
            else ""
        )
        path = self.home / GENESIS_FILE if path is None else path
        try:
            return decode_genesis(read_input(path, max_bytes=MAX_GENESIS_BYTES))
        except ChainError as error:
            raise DecodeError(
                f"genesis: {error.message}{advice}", code=error.error_code, field=error.field
            ) from error

    def genesis_if_any(self) -> Genesis | None:
        """Return the home's genesis, or None if there is no such file."""
        return self.genesis() if (self.home / GENESIS_FILE).exists() else None

    def client(self, url: str | None = None, *, member: Member | None = None) -> RpcClient:
        """Return a client of a node, by default of the one that the user or the home names.

        Args:
            url: of another node or log; the command's own option that names it is `--also`.
            member: signs what members ask.

        Raises:
            DecodeError: the URL is none, or the certificate to trust cannot be read.
        """
        config = self.config()
        named = "--also"
        if url is None:
            named, url = ("client.rpc", config.rpc) if self.rpc is None else ("--rpc", self.rpc)
        if not url.startswith(("http://", "https://")):
            raise DecodeError(
                f"{named}: found {url!r}; expected a URL, as in http://127.0.0.1:8545", field="rpc"
            )
        context: ssl.SSLContext | None = None
        if config.rpc_certificate is not None:
            try:
                context = ssl.create_default_context(cafile=config.rpc_certificate)
            except (OSError, ssl.SSLError) as error:
                raise DecodeError(
                    f"client.rpc_certificate: cannot read {config.rpc_certificate} as PEM ({error})",
                    field="client.rpc_certificate",
                ) from error
        # Most commands ask no node, and importing an HTTP client is most of their start.
        from chainnode.rpc.client import RpcClient  # noqa: PLC0415

        return RpcClient(url, ssl=context, member=member)

    def ask(
        self, work: Callable[[RpcClient], Awaitable[Result]], *, member: Member | None = None
    ) -> Result:
        """Run `work` with a client of the node; what the node refuses is raised as ChainRefused.

        `work` does nothing that this machine itself could refuse: then 4 would be the wrong exit status.
        """
        client = self.client(member=member)

        async def run() -> Result:
            async with client as node:
                return await work(node)

        try:
            return asyncio.run(run())
        except Refused as error:
            raise ChainRefused(error.message, code=error.error_code, field=error.field) from error
        except Unavailable as error:
            raise self._with_missing_home(error) from error

    def _with_missing_home(self, error: Unavailable) -> Unavailable:
        """Say that nobody answered at the default address because no home named another, if that is so."""
        settings = self.home / FILE_NAME
        if error.error_code != "node_unreachable" or self.rpc is not None or settings.exists():
            return error
        return Unavailable(
            f"{error.message}; that is the default, for there is no {settings}: name a home with --home, or a node "
            "with --rpc",
            code=error.error_code,
            retry_after_ms=error.retry_after_ms,
        )


def read_input(path: Path, *, max_bytes: int) -> bytes:
    """Return the content of a file that the user named.

    Raises:
        DecodeError: it cannot be read, or is larger than such a file can be.
    """
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise DecodeError(f"cannot read {path}: {error.strerror}", code=UNREADABLE) from error
    if len(data) > max_bytes:
        raise DecodeError(f"{path} is larger than {max_bytes} bytes", code="too_large")
    return data
