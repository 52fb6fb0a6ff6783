"""What the chain says of certificates: who has entered them, what was revoked, and whether one counts now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from chainnode.model.errors import DecodeError
from chainnode.pki.certificate import decode_x509_certificate
from chainnode.pki.path import has_issued
from chainnode.pki.revocation import check_crl, decode_crl
from chainnode.rpc.base64_text import from_base64
from cli.authority.shared import PATH
from cli.command import pass_session
from cli.output import print_fields, print_json, time_text
from cli.senders import chain_domain
from cli.trust import read_bundle

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from chainnode.model.domain import Domain
    from chainnode.pki.certificate import X509Certificate
    from chainnode.pki.revocation import RevocationList
    from chainnode.rpc.client import RpcClient
    from cli.output import Json
    from cli.session import Session

_OK: Final = 200
_NOT_FOUND: Final = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What one authority has entered of a certificate."""

    authority: str
    owner: str
    purpose: str
    not_before_ms: int
    not_after_ms: int
    revoked_ms: int
    reason: str
    authority_dismissed_ms: int

    def as_json(self) -> dict[str, Json]:
        """Return it for programs."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedAuthority:
    """An authority's own certificates, and the revocation lists that the chain has of it and its root."""

    chain: tuple[X509Certificate, ...]
    """The one that issues first, the root last."""

    crl: RevocationList | None
    root_crl: RevocationList | None


async def entries_of(
    node: RpcClient, domain: Domain, certificate: X509Certificate
) -> tuple[Entry, ...]:
    """Return what authorities have entered of a certificate. Raises ChainError."""
    fingerprint = domain.suite.hash(certificate.encoded).hex()
    query = await node.contract_query("authorities", "certificate", {"fingerprint": fingerprint})
    found = _fields(query["result"])
    try:
        return tuple(
            Entry(**{name: each[name] for name in Entry.__slots__}) for each in found["entries"]
        )
    except (KeyError, TypeError) as error:
        raise _bad_answer() from error


async def published(node: RpcClient, name: str) -> PublishedAuthority:
    """Return what the chain publishes of an authority, the lists checked against its certificates.

    Raises:
        ChainError: there is no such authority, or what the node answers does not hold.
    """
    query = await node.contract_query("authorities", "authority", {"name": name})
    try:
        encoded = [from_base64(one) for one in _fields(query["result"])["chain"]]
    except (KeyError, TypeError) as error:
        raise _bad_answer() from error
    chain = tuple(decode_x509_certificate(one) for one in encoded)
    return PublishedAuthority(
        chain=chain,
        crl=await _list_at(node, f"/ca/{name}.crl", chain[0]),
        root_crl=await _list_at(node, f"/ca/{name}/root.crl", chain[-1]),
    )


async def _list_at(node: RpcClient, path: str, issuer: X509Certificate) -> RevocationList | None:
    status, body = await node.get(path)
    if status == _NOT_FOUND:
        return None
    if status != _OK:
        raise _bad_answer()
    found = decode_crl(body)
    check_crl(found, issuer)
    return found


@click.command()
@click.argument("file", type=PATH, metavar="CERTIFICATE")
@pass_session
def check(session: Session, file: Path) -> None:
    """Ask the chain whether a CERTIFICATE was entered by an authority in force, and not revoked.

    The revocation lists that the chain publishes count too, the root's among them. Exit status 0: it counts now. 1: it does
    not, and the output says why.
    """
    certificate = read_bundle(file)[0]

    async def ask(node: RpcClient) -> tuple[int, list[tuple[Entry, PublishedAuthority]]]:
        status = await node.chain_status()
        entries = await entries_of(
            node, chain_domain(status, session.genesis_if_any()), certificate
        )
        found = [(entry, await published(node, entry.authority)) for entry in entries]
        return status["tip_time_ms"], found

    now_ms, found = session.ask(ask)
    judged = [(entry, _why_not(certificate, entry, of, now_ms)) for entry, of in found]
    # Another authority may say what it likes of a certificate that it has not issued.
    issued = [
        judgement
        for judgement, (_, of) in zip(judged, found, strict=True)
        if has_issued(of.chain[0], certificate)
    ]
    why_not = _verdict(issued or judged)
    if session.json:
        print_json(
            {
                "counts": why_not is None,
                "reason": why_not,
                "is_entered": bool(found),
                "entries": [entry.as_json() | {"why_not": why} for entry, why in judged],
            }
        )
    else:
        print_fields(
            [
                ("result", "it counts" if why_not is None else why_not),
                ("subject", certificate.subject.text()),
                *(row for entry, why in judged for row in _rows(entry, why)),
            ]
        )
    if why_not is not None:
        raise click.exceptions.Exit(1)


def _rows(entry: Entry, why_not: str | None) -> Iterable[tuple[str, object]]:
    revoked = f"{time_text(entry.revoked_ms)} {entry.reason}" if entry.revoked_ms else "-"
    return (
        ("authority", f"{entry.authority}: {'vouches for it' if why_not is None else why_not}"),
        ("owner", entry.owner),
        ("purpose", entry.purpose),
        ("valid", f"{time_text(entry.not_before_ms)} .. {time_text(entry.not_after_ms)}"),
        ("revoked", revoked),
    )


def _verdict(judged: list[tuple[Entry, str | None]]) -> str | None:
    if not judged:
        return "no authority of this chain has entered it"
    reasons = [why for _, why in judged]
    return None if None in reasons else reasons[0]


def _why_not(
    certificate: X509Certificate, entry: Entry, of: PublishedAuthority, now_ms: int
) -> str | None:
    if entry.revoked_ms:
        return "it is revoked"
    if entry.authority_dismissed_ms:
        return "its authority was dismissed"
    if of.root_crl is not None and any(
        of.root_crl.entry_of(above.serial_number) for above in of.chain[:-1]
    ):
        return "the root has revoked its authority's certificate"
    if (
        of.crl is not None
        and has_issued(of.chain[0], certificate)
        and of.crl.entry_of(certificate.serial_number)
    ):
        return "it is on its authority's revocation list"
    if not entry.not_before_ms <= now_ms <= entry.not_after_ms:
        return "it is not valid now"
    return None


def _fields(answer: object) -> dict[str, Any]:
    if not isinstance(answer, dict):
        raise _bad_answer()
    return answer


def _bad_answer() -> DecodeError:
    return DecodeError("the node's answer is about no certificate", code="bad_answer")
