"""Taking certificates back: on the chain, on an authority's list, and on the root's.

What the chain says counts, and lists follow it: `revoke` and `publish-crl` note in the authority's home whatever of its
certificates is revoked on the chain, whoever did it, so that an interrupted command, or an administrator's revocation,
reaches the next list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from chainnode.model import calls
from chainnode.model.errors import NotFound, Refused
from chainnode.model.limits import MAX_CRL_NUMBER
from chainnode.pki.path import has_issued
from chainnode.pki.revocation import check_crl
from cli.authority.home import REASONS, Revocation
from cli.authority.shared import (
    PATH,
    authority_home,
    authority_option,
    domain_of,
    report,
    send_calls,
    whole_second,
)
from cli.authority.standing import chain_of, entries_of, published_number
from cli.command import as_option, pass_session, passphrase_option
from cli.output import note, print_fields, print_json
from cli.senders import chain_domain
from cli.trust import read_bundle, read_crl

if TYPE_CHECKING:
    from pathlib import Path

    from chainnode.model.transaction import Call
    from chainnode.pki.certificate import X509Certificate
    from chainnode.pki.revocation import RevocationList
    from chainnode.rpc.client import RpcClient
    from cli.authority.home import AuthorityHome
    from cli.authority.standing import Entry
    from cli.session import Session

NEXT_LIST: Final = "next: `chainnode ca crl`, then `chainnode ca publish-crl`"

reason_option: Final = click.option(
    "--reason", type=click.Choice(tuple(REASONS)), required=True, help="Public for ever."
)


@click.command()
@click.argument("file", type=PATH, metavar="CERTIFICATE")
@authority_option
@reason_option
@as_option
@passphrase_option
@pass_session
def revoke(
    session: Session,
    *,
    file: Path,
    name: str,
    reason: str,
    as_account: str | None,
    passphrase_file: Path | None,
) -> None:
    """Take a CERTIFICATE back: on the chain at once, and in this authority's next revocation list.

    May be repeated: what is revoked already stays as it is, and whatever the chain has revoked of this home's certificates,
    by whomever, is noted for the next list. `chainnode ca crl` and `publish-crl` then tell those who ask no chain.
    """
    certificate, home = read_bundle(file)[0], authority_home(session)
    if not _is_revoked(session, name, certificate):
        domain = domain_of(session)
        call = calls.revoke_certificate(name, domain.suite.hash(certificate.encoded), reason)
        result = send_calls(session, [call], as_account, passphrase_file)
        report(session, result, f"the certificate of {certificate.subject.text()} is revoked")
    elif session.json:
        print_json({"tx_id": None, "height": None})
    else:
        print_fields([("done", f"{certificate.subject.text()} was revoked before")])
    level(session, home, name)


@click.command("revoke-authority")
@click.argument("file", type=PATH, metavar="CERTIFICATE")
@reason_option
@pass_session
def revoke_authority(session: Session, file: Path, reason: str) -> None:
    """Take back the CERTIFICATE of an issuing authority that this home's root has signed; needs no network.

    It is on the root's next list: `chainnode ca crl` makes it, and an administrator publishes it with `publish-crl --root`.
    Whoever checks paths by that list then refuses all that the authority has signed, of any date if the reason is
    compromised. On the chain, `chainnode ca dismiss` ends the authority.
    """
    certificate, home = read_bundle(file)[0], authority_home(session)
    root, *above = home.chain()
    if above:
        raise Refused(
            f"this is the home of {root.subject.text()}, which is no root; take an authority back in its root's home, "
            "and any other certificate with `chainnode ca revoke`",
            code="not_a_root",
        )
    if certificate == root or not has_issued(root, certificate):
        raise Refused(
            f"{file}: found a certificate that {root.subject.text()} has not signed; expected one of its "
            "issuing authorities",
            code="other_issuer",
        )
    if not certificate.extensions.is_authority:
        raise Refused(
            f"{file}: found the certificate of {certificate.subject.text()}, which is no authority; take it back with "
            "`chainnode ca revoke`, on the chain too",
            code="not_an_authority",
        )
    is_new = home.note_revocation(
        Revocation(
            serial_number=certificate.serial_number, revoked_ms=whole_second(), reason=reason
        )
    )
    said = "is taken back" if is_new else "was taken back before"
    if session.json:
        print_json({"serial_number": f"{certificate.serial_number:x}", "is_new": is_new})
    else:
        print_fields([("done", f"{certificate.subject.text()} {said}")])
    note("next: `chainnode ca crl`; an administrator: `chainnode ca publish-crl --root crl.pem`")


@click.command("publish-crl")
@authority_option
@click.option(
    "--root",
    "root_file",
    type=PATH,
    metavar="FILE",
    help="Publish FILE, the list of the authority's root, instead; for an administrator.",
)
@as_option
@passphrase_option
@pass_session
def publish_crl(
    session: Session,
    *,
    name: str,
    root_file: Path | None,
    as_account: str | None,
    passphrase_file: Path | None,
) -> None:
    """Hand this home's newest revocation list to the chain; every node then serves it at /ca/NAME.crl.

    Refused if the chain has revoked what the list lacks: that is noted, and `chainnode ca crl` makes the next list. The root's
    list is served at /ca/NAME/root.crl.
    """
    if root_file is None:
        call, said = _own_list(session, name)
    else:
        call, said = _root_list(session, name, root_file)
    result = send_calls(session, [call], as_account, passphrase_file)
    report(session, result, said)


def _own_list(session: Session, name: str) -> tuple[Call, str]:
    home = authority_home(session)
    found = home.crl()
    if found is None:
        raise NotFound("there is no crl.pem; make one with `chainnode ca crl`", code="no_crl")
    level(session, home, name)
    lacking = [r for r in home.revocations() if found.entry_of(r.serial_number) is None]
    if lacking:
        raise Refused(
            f"revocation list {found.number} lacks {len(lacking)} of the certificates that were revoked; make the "
            "next one with `chainnode ca crl`, and publish that",
            code="crl_behind",
        )
    check_crl(found, session.ask(lambda node: chain_of(node, name))[0])
    session.ask(lambda node: _check_newer(node, "crl", name, found))
    said = f"revocation list {found.number} of {name}"
    return calls.publish_crl(name, found.number, found.encoded), said


def _root_list(session: Session, name: str, file: Path) -> tuple[Call, str]:
    found = read_crl(file)
    session.ask(lambda node: _check_root_list(node, name, found))
    said = f"revocation list {found.number} of the root of {name}"
    return calls.publish_root_crl(name, found.number, found.encoded), said


async def _check_root_list(node: RpcClient, name: str, found: RevocationList) -> None:
    chain = await chain_of(node, name)
    check_crl(found, chain[-1])
    await _check_newer(node, "root_crl", name, found)


async def _check_newer(node: RpcClient, query: str, name: str, found: RevocationList) -> None:
    before = await published_number(node, query, name)
    if before is not None and found.number <= before:
        raise Refused(
            f"the chain has revocation list {before}; found {found.number}, which would take revocations back; make "
            "the next one with `chainnode ca crl`",
            code="crl_behind",
        )
    if found.number > MAX_CRL_NUMBER:
        raise Refused(
            f"found revocation list {found.number}; the chain publishes numbers up to {MAX_CRL_NUMBER}",
            code="bad_number",
        )


def level(session: Session, home: AuthorityHome, name: str) -> None:
    """Note in an authority's home whatever the chain has revoked of its certificates. Raises ChainError."""
    noted = {r.serial_number for r in home.revocations()}
    unnoted = [c for c in (*home.issued(), *home.waiting()) if c.serial_number not in noted]

    async def ask(node: RpcClient) -> list[tuple[X509Certificate, Entry]]:
        domain = chain_domain(await node.chain_status(), session.genesis_if_any())
        return [(c, e) for c in unnoted for e in await entries_of(node, domain, c)]

    found = [
        home.note_revocation(
            Revocation(
                serial_number=certificate.serial_number,
                revoked_ms=whole_second(entry.revoked_ms),
                reason=entry.reason,
            )
        )
        for certificate, entry in session.ask(ask)
        if entry.authority == name and entry.revoked_ms
    ]
    if found:
        note(NEXT_LIST)


def _is_revoked(session: Session, name: str, certificate: X509Certificate) -> bool:
    async def ask(node: RpcClient) -> tuple[Entry, ...]:
        domain = chain_domain(await node.chain_status(), session.genesis_if_any())
        return await entries_of(node, domain, certificate)

    return any(e.authority == name and e.revoked_ms for e in session.ask(ask))
