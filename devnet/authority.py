"""The certificate authority of a local network, made with the commands that an alliance would use.

A root that signs one issuing authority, which the chain then knows; and a timestamp certificate for every validator. On
sm2-sm3 chains all that twice, on P-256 and on SM2.

    DIR/ca-root  DIR/ca  DIR/ca.pem                  P-256: homes of root and issuing authority, and the root's certificate
    DIR/ca-root-sm2  DIR/ca-sm2  DIR/ca-sm2.pem      SM2

The root's certificate comes last: without it nothing was finished, and all is made anew.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.keystore.files import PUBLIC, write_new_file
from chainnode.model.suites import P256_SHA256, SM2_SM3
from devnet.homes import ADMIN, AUTHORITY_ACCOUNT, command, make_client, run_all

if TYPE_CHECKING:
    from pathlib import Path

    from devnet.record import Record

_KEY: Final = "authority"
_ORGANISATION: Final = "O=Devnet 本地网络"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Authority:
    """One of the authorities of a network."""

    directory: Path
    suite: str
    suffix: str
    """Of files, keys and the authority's name: empty for P-256."""

    @property
    def root(self) -> Path:
        return self.directory / f"ca-root{self.suffix}"

    @property
    def issuing(self) -> Path:
        return self.directory / f"ca{self.suffix}"

    @property
    def certificate(self) -> Path:
        return self.directory / f"ca{self.suffix}.pem"

    @property
    def name(self) -> str:
        """What the chain calls it."""
        return f"alliance{self.suffix}"

    @property
    def unit(self) -> str:
        """Name of the validators' keys that it certifies."""
        return f"timestamp{self.suffix}"


def root_certificate(directory: Path) -> Path:
    """Return where the P-256 root's certificate of a network is, once there is one."""
    return directory / "ca.pem"


def root_of_default_unit(record: Record) -> Path:
    """Return where the certificate of that root is which stands above what `/tsa` answers."""
    return _authorities(record)[-1].certificate


def establish(record: Record) -> None:
    """Give a running network its authorities, and each validator its timestamp certificates, unless it has them.

    Raises:
        ChainError: a command failed; with what it said.
    """
    for authority in _authorities(record):
        if not authority.certificate.exists():
            _clear(record, authority)
            _make(record, authority)


def _authorities(record: Record) -> tuple[_Authority, ...]:
    found = [_Authority(directory=record.directory, suite=P256_SHA256, suffix="")]
    if record.suite == SM2_SM3:
        found.append(_Authority(directory=record.directory, suite=SM2_SM3, suffix="-sm2"))
    return tuple(found)


def _clear(record: Record, authority: _Authority) -> None:
    """Remove what an earlier attempt left."""
    for home in (authority.root, authority.issuing):
        shutil.rmtree(home, ignore_errors=True)
    for node in record.nodes:
        for ending in ("csr", "pem"):
            (node.home / f"{authority.unit}.{ending}").unlink(missing_ok=True)


def _make(record: Record, authority: _Authority) -> None:
    root, issuing, unit = authority.root, authority.issuing, authority.unit
    suite = ("--suite", authority.suite)
    make_client(record, issuing, AUTHORITY_ACCOUNT)
    run_all(
        [
            command(
                root,
                "ca",
                "root",
                "--subject",
                f"{_ORGANISATION}, CN=root{authority.suffix}",
                *suite,
            ),
            command(
                issuing,
                *("ca", "request", "--key", _KEY, *suite),
                *("--subject", f"{_ORGANISATION}, CN=issuing authority{authority.suffix}"),
            ),
            *(
                command(
                    node.home,
                    *("ca", "request", "--key", unit),
                    *("--subject", f"{_ORGANISATION}, CN={node.name} timestamp unit"),
                )
                for node in record.nodes
            ),
        ]
    )
    signed = root / "issuing.pem"
    run_all([command(root, "ca", "sign", str(issuing / f"{_KEY}.csr"), "--out", str(signed))])
    install = ("ca", "install", "--key")
    run_all([command(issuing, *install, _KEY, str(signed), has_keys=False)])
    admin = record.directory / ADMIN
    admit = ("ca", "admit", "--authority", authority.name, "--title", "Devnet 本地网络")
    chain = str(issuing / "authority.pem")
    run_all([command(admin, *admit, "--operator", AUTHORITY_ACCOUNT, "--chain", chain)])
    urls = [f"{node.rpc}/ca/{authority.name}.crl" for node in record.nodes[:1]]
    run_all(
        [
            command(
                issuing,
                *("ca", "issue", "--authority", authority.name),
                *(part for url in urls for part in ("--crl-url", url)),
                *(part for owner in _owners(record) for part in ("--owner", owner)),
                *("--out", str(issuing / "given")),
                *(
                    str(_named(issuing, node.name, node.home / f"{unit}.csr"))
                    for node in record.nodes
                ),
            )
        ]
    )
    run_all(
        [
            command(
                node.home,
                *install,
                unit,
                str(issuing / "given" / f"{node.name}.pem"),
                has_keys=False,
            )
            for node in record.nodes
        ]
    )
    run_all([command(issuing, "ca", "crl")])
    run_all([command(issuing, "ca", "publish-crl", "--authority", authority.name)])
    certificate = (root / "authority.pem").read_bytes()
    write_new_file(authority.certificate, certificate, mode=PUBLIC)


def _owners(record: Record) -> list[str]:
    """Return the account of each validator's node, as `chainnode init` makes them."""
    return [f"agency-{number}/{node.name}" for number, node in enumerate(record.nodes, start=1)]


def _named(issuing: Path, name: str, request: Path) -> Path:
    """Keep a validator's request under the validator's name."""
    target = issuing / "asked" / f"{name}.csr"
    write_new_file(target, request.read_bytes(), mode=PUBLIC)
    return target
