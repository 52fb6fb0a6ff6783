"""What the chain says of certificates: who has entered them, what was revoked, and whether one counts now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from chainnode.model.errors import DecodeError, NotFound, ProofInvalid, Refused
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


async def owners_of(
    node: RpcClient, domain: Domain, name: str, certificates: Iterable[X509Certificate]
) -> dict[bytes, str]:
    """Return for those of some certificates that an authority has entered, by their DER, the owner. Raises ChainError."""
    return {
        certificate.encoded: entry.owner
        for certificate in certificates
        for entry in await entries_of(node, domain, certificate)
        if entry.authority == name
    }


async def is_known(node: RpcClient, name: str) -> bool:
    """Whether the chain knows an authority of that name. Raises ChainError: the node cannot be asked."""
    try:
        await node.contract_query("authorities", "authority", {"name": name})
    except NotFound:
        return False
    return True


async def chain_of(node: RpcClient, name: str) -> tuple[X509Certificate, ...]:
    """Return an authority's own certificates as the chain has them, the root last.

    Raises:
        DecodeError: one is none.
        ChainError: there is no such authority, or the node cannot be asked.
    """
    return (await _certificates_of(node, name))[0]


async def own_list(
    node: RpcClient, name: str, chain: tuple[X509Certificate, ...]
) -> RevocationList | None:
    """Return the revocation list that the chain has of an authority, or None. Raises as `root_list`."""
    return await _list_of(node, "crl", name, chain[0])


async def root_list(
    node: RpcClient, name: str, chain: tuple[X509Certificate, ...]
) -> RevocationList | None:
    """Return the revocation list that the chain has of an authority's root, or None.

    Raises:
        DecodeError, ProofInvalid: it is none, or not the root's, or not of the number under which it was published.
        Unavailable: the node cannot be asked.
    """
    return await _list_of(node, "root_crl", name, chain[-1])


def taken_back(chain: tuple[X509Certificate, ...], found: RevocationList | None) -> bool:
    """Whether a root's list takes back one of the authorities below it."""
    return found is not None and any(
        found.entry_of(one.serial_number) is not None and has_issued(chain[-1], one)
        for one in chain[:-1]
    )


def check_in_force(session: Session, name: str) -> None:
    """Refuse to enter certificates of an authority that its root has taken back.

    Raises:
        Refused: `authority_revoked`.
        ChainError: as `chain_of` and `root_list`.
    """

    async def ask(node: RpcClient) -> bool:
        chain = await chain_of(node, name)
        return taken_back(chain, await root_list(node, name, chain))

    if session.ask(ask):
        raise Refused(
            f"the root has taken the authority {name} back, and whoever checks paths accepts nothing of it; have "
            "an administrator dismiss it, and issue by its successor",
            code="authority_revoked",
        )


def check_present_key(session: Session, name: str, issuer: X509Certificate) -> None:
    """Refuse to issue by a certificate of an authority other than the one that the chain has.

    Raises:
        Refused: `former_key`.
        ChainError: as `chain_of`.
    """
    present = session.ask(lambda node: chain_of(node, name))[0]
    if present != issuer:
        raise Refused(
            f"the chain has another certificate of {name} than this home: what it issues by this one would count as of "
            "a former key; issue from the home of the present one, or have an administrator admit this one",
            code="former_key",
        )


def check_same_root(session: Session, name: str, root: X509Certificate) -> None:
    """Refuse to give an authority another root than one that has revoked: nobody would look at its list any more.

    Raises:
        Refused: `other_root`.
        ChainError: as `chain_of` and `root_list`.
    """

    async def ask(node: RpcClient) -> bool:
        present = await chain_of(node, name)
        return present[-1] != root and await root_list(node, name, present) is not None

    if session.ask(ask):
        raise Refused(
            f"the root of the authority {name} has published a revocation list; under another root what it has revoked "
            "would count again: admit the other chain under another name, and have this authority dismissed",
            code="other_root",
        )


async def published_number(node: RpcClient, query: str, name: str) -> int | None:
    """Return the number under which an authority's list (`crl`) or its root's (`root_crl`) was published; None: there is none.

    Raises:
        DecodeError: the node's answer is none.
        ChainError: the node cannot be asked.
    """
    found = await _published(node, query, name)
    return None if found is None else found[0]


async def _published(node: RpcClient, query: str, name: str) -> tuple[int, bytes] | None:
    try:
        answer = _fields(
            (await node.contract_query("authorities", query, {"name": name}))["result"]
        )
    except NotFound:
        return None
    try:
        return int(answer["number"]), from_base64(answer["crl"])
    except (KeyError, TypeError, ValueError) as error:
        raise _bad_answer() from error


async def _list_of(
    node: RpcClient, query: str, name: str, issuer: X509Certificate
) -> RevocationList | None:
    published = await _published(node, query, name)
    if published is None:
        return None
    number, encoded = published
    found = decode_crl(encoded)
    check_crl(found, issuer)
    if found.number != number:
        raise ProofInvalid(
            f"it was published as revocation list {number}, and is list {found.number}",
            code="other_number",
        )
    return found


async def _certificates_of(
    node: RpcClient, name: str
) -> tuple[tuple[X509Certificate, ...], tuple[X509Certificate, ...]]:
    """Return an authority's own certificates, and those that it issued by before, newest first."""
    query = await node.contract_query("authorities", "authority", {"name": name})
    answer = _fields(query["result"])
    try:
        chain = [from_base64(one) for one in answer["chain"]]
        former = [from_base64(one) for one in reversed(answer["former"])]
    except (KeyError, TypeError) as error:
        raise _bad_answer() from error
    return tuple(map(decode_x509_certificate, chain)), tuple(map(decode_x509_certificate, former))


@click.command()
@click.argument("file", type=PATH, metavar="CERTIFICATE")
@pass_session
def check(session: Session, file: Path) -> None:
    """Ask the chain whether a CERTIFICATE was entered by an authority in force, and not revoked.

    The revocation lists that the chain publishes count too, the root's among them. Exit status 0: it counts now. 1: it does
    not, and the output says why.
    """
    certificate = read_bundle(file)[0]

    async def ask(node: RpcClient) -> tuple[_Judgement, ...]:
        status = await node.chain_status()
        domain = chain_domain(status, session.genesis_if_any())
        entries = await entries_of(node, domain, certificate)
        now_ms = status["tip_time_ms"]
        return tuple([await _judge(node, certificate, entry, now_ms) for entry in entries])

    judged = session.ask(ask)
    # Another authority may say what it likes of a certificate that it has not issued.
    issued = tuple(one for one in judged if one.is_issuer)
    why_not = _verdict(issued or judged)
    if session.json:
        print_json(
            {
                "counts": why_not is None,
                "reason": why_not,
                "is_entered": bool(judged),
                "entries": [
                    one.entry.as_json() | {"has_issued": one.is_issuer, "why_not": one.why_not}
                    for one in judged
                ],
            }
        )
    else:
        print_fields(
            [
                ("result", "it counts" if why_not is None else why_not),
                ("subject", certificate.subject.text()),
                *(row for one in judged for row in _rows(one)),
            ]
        )
    if why_not is not None:
        raise click.exceptions.Exit(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judgement:
    """What one authority's entry of a certificate comes to."""

    entry: Entry
    is_issuer: bool
    """Whether the authority has signed the certificate, by a key that the chain knows of it, earlier ones too."""

    why_not: str | None
    """Why the certificate does not count by its word, or None if it does."""


async def _judge(
    node: RpcClient, certificate: X509Certificate, entry: Entry, now_ms: int
) -> _Judgement:
    is_issuer, why_not = False, _why_not(entry, now_ms)
    try:
        chain, former = await _certificates_of(node, entry.authority)
        issuer = next((one for one in (chain[0], *former) if has_issued(one, certificate)), None)
        is_issuer = issuer is not None
        path = (issuer or chain[0], *chain[1:])
        if taken_back(path, await root_list(node, entry.authority, chain)):
            why_not = why_not or "the root has revoked its authority's certificate"
        own = await own_list(node, entry.authority, chain)
        if issuer == chain[0] and own is not None and own.entry_of(certificate.serial_number):
            why_not = why_not or "it is on its authority's revocation list"
    except (DecodeError, ProofInvalid) as error:
        # What an authority publishes concerns its own word alone.
        why_not = why_not or f"what {entry.authority} publishes does not hold: {error.message}"
    return _Judgement(entry=entry, is_issuer=is_issuer, why_not=why_not)


def _rows(one: _Judgement) -> Iterable[tuple[str, object]]:
    entry = one.entry
    revoked = f"{time_text(entry.revoked_ms)} {entry.reason}" if entry.revoked_ms else "-"
    said = "vouches for it" if one.why_not is None else one.why_not
    return (
        ("authority", f"{entry.authority}: {said}"),
        ("signed by it", "yes" if one.is_issuer else "not by a key that the chain knows of it"),
        ("owner", entry.owner),
        ("purpose", entry.purpose),
        ("valid", f"{time_text(entry.not_before_ms)} .. {time_text(entry.not_after_ms)}"),
        ("revoked", revoked),
    )


def _verdict(judged: tuple[_Judgement, ...]) -> str | None:
    if not judged:
        return "no authority of this chain has entered it"
    reasons = [one.why_not for one in judged]
    return None if None in reasons else reasons[0]


def _why_not(entry: Entry, now_ms: int) -> str | None:
    if entry.revoked_ms:
        return "it is revoked"
    if entry.authority_dismissed_ms:
        return "its authority was dismissed"
    if not entry.not_before_ms <= now_ms <= entry.not_after_ms:
        return "it is not valid now"
    return None


def _fields(answer: object) -> dict[str, Any]:
    if not isinstance(answer, dict):
        raise _bad_answer()
    return answer


def _bad_answer() -> DecodeError:
    return DecodeError("the node's answer is about no certificate", code="bad_answer")
