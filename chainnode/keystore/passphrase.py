"""Where a passphrase comes from: a file, the environment, or a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chainnode.keystore.files import read_secret_file
from chainnode.model.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

PASSPHRASE_VARIABLE: Final = "CHAINNODE_PASSPHRASE"  # noqa: S105  the name, not the value
"""Name of the environment variable."""

MAX_PASSPHRASE_BYTES: Final = 1024
"""More than anyone types; keeps a wrong path (a log, a device) from being read to its end."""


def read_passphrase(
    *,
    path: Path | None,
    environment: Mapping[str, str],
    prompt: Callable[[], str] | None,
) -> bytes:
    """Return the passphrase from the first source that there is, without one trailing line end.

    Args:
        path: a file that only its owner can open, if one was named.
        environment: the process's environment.
        prompt: asks a person, or None if nobody is there.

    Raises:
        NotFound: if the file named does not exist.
        Refused: with code `no_passphrase` if there is no source or it is empty, `too_large` if it is too long,
            `exposed` if others can open the file.
    """
    if path is not None:
        passphrase = read_secret_file(path, max_bytes=MAX_PASSPHRASE_BYTES)
    elif PASSPHRASE_VARIABLE in environment:
        passphrase = environment[PASSPHRASE_VARIABLE].encode("utf-8", "surrogateescape")
    elif prompt is not None:
        passphrase = prompt().encode("utf-8", "surrogateescape")
    else:
        raise Refused(
            f"no passphrase: name a file with --passphrase-file, set {PASSPHRASE_VARIABLE}, "
            "or run at a terminal",
            code="no_passphrase",
        )
    line_end = b"\r\n" if passphrase.endswith(b"\r\n") else b"\n"
    passphrase = passphrase.removesuffix(line_end)
    check_passphrase(passphrase)
    return passphrase


def check_passphrase(passphrase: bytes) -> None:
    """Check that a passphrase can protect something.

    Raises:
        Refused: with code `no_passphrase` if it is empty, `too_large` if it is too long.
    """
    if not passphrase:
        raise Refused("the passphrase is empty", code="no_passphrase", field="passphrase")
    if len(passphrase) > MAX_PASSPHRASE_BYTES:
        raise Refused(
            f"the passphrase has {len(passphrase)} bytes; at most {MAX_PASSPHRASE_BYTES} are read",
            code="too_large",
            field="passphrase",
        )
