"""Commands of an authority that talk with the chain: what is not on the log, nobody of us accepts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from chainnode.clock import SystemClock
from chainnode.keystore.files import PUBLIC, write_new_file
from chainnode.model import calls
from chainnode.model.errors import ChainError
from chainnode.model.ids import check_name
from chainnode.pki.description import describe_certificate
from chainnode.pki.issuing import issue_certificate
from chainnode.pki.path import check_path
from chainnode.pki.pem import (
    write_bundle,
)
from chainnode.pki.profiles import ISSUING, PROFILES, SEAL, TIMESTAMP
from cli.authority.standing import (
    check_in_force,
    check_present_key,
    check_same_root,
    is_known,
    owners_of,
)
from cli.command import as_option, parse_account, pass_session, passphrase_option
from cli.output import note, print_fields, print_json
from cli.proofs import check_free
from cli.senders import find_sender, shown_tip, submit
from cli.trust import read_bundle

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from chainnode.model.transaction import Call
    from chainnode.pki.certificate import X509Certificate
    from chainnode.rpc.results import TransactionResult
    from cli.senders import Sender
    from cli.session import Session

from cli.authority.shared import (
    PATH,
    PURPOSES,
    authority_home,
    authority_option,
    certificate_json,
    entry_of,
    is_on_terms,
    read_request,
    report,
    send_calls,
    terms_for,
    years_option,
)


@click.command()
@authority_option
@click.option("--title", required=True, help="Full name for people, in any language.")
@click.option(
    "--operator",
    required=True,
    type=parse_account,
    metavar="ACCOUNT",
    help="Account that will enter and revoke its certificates.",
)
@click.option("--chain", "file", required=True, type=PATH, metavar="FILE",
              help="Its certificate, then those above it, the root last.")  # fmt: skip
@click.option(
    "--licensed",
    is_flag=True,
    help="It is licensed by law, and not the alliance's own.",
)
@as_option
@passphrase_option
@pass_session
def admit(
    session: Session,
    *,
    name: str,
    title: str,
    operator: str,
    file: Path,
    licensed: bool,
    as_account: str | None,
    passphrase_file: Path | None,
) -> None:
    """Let the chain know a certificate authority; for an administrator of the alliance.

    Of a NAME that the chain knows already, title, operator and certificates are replaced; what it has entered stays. A
    root that has published a revocation list is not replaced.
    """
    check_name(name, "authority")
    chain = read_bundle(file)
    check_path(chain[0], chain[1:-1], chain[-1:], at_ms=SystemClock().now_ms(), profile=ISSUING)
    call = calls.admit_authority(
        name,
        title=title,
        standing="licensed" if licensed else "internal",
        operator=operator,
        chain=[certificate.encoded for certificate in chain],
    )
    known = session.ask(lambda node: is_known(node, name))
    if known:
        check_same_root(session, name, chain[-1])
    result = send_calls(session, [call], as_account, passphrase_file)
    report(
        session,
        result,
        f"replaced the authority {name}, which the chain knew before: title, operator and certificates"
        if known
        else f"the chain knows the authority {name}",
    )


@click.command()
@authority_option
@as_option
@passphrase_option
@pass_session
def dismiss(
    session: Session, name: str, as_account: str | None, passphrase_file: Path | None
) -> None:
    """Let nothing of a certificate authority count from now on; for an administrator of the alliance.

    It is for ever: none of its certificates serves a timestamp in a later block, and its successor takes another name. What
    was recorded before stays good.
    """
    check_name(name, "authority")
    result = send_calls(session, [calls.dismiss_authority(name)], as_account, passphrase_file)
    report(session, result, f"the authority {name} is dismissed")


@click.command()
@click.argument("files", nargs=-1, required=True, type=PATH, metavar="REQUEST...")
@authority_option
@click.option(
    "--owner",
    "owners",
    multiple=True,
    required=True,
    type=parse_account,
    metavar="ACCOUNT",
    help="Account whose the certificate is; once, or once for each REQUEST in their order.",
)
@click.option(
    "--profile",
    "profile_name",
    type=click.Choice((TIMESTAMP.name, SEAL.name)),
    default=TIMESTAMP.name,
    show_default=True,
    help="What the certificate is for.",
)
@years_option(2)
@click.option("--crl-url", "crl_urls", multiple=True, metavar="URL", help="Where the list is.")
@click.option("--out", type=PATH, metavar="DIR", help="[default: beside each request]")
@as_option
@passphrase_option
@pass_session
def issue(
    session: Session,
    *,
    files: tuple[Path, ...],
    name: str,
    owners: tuple[str, ...],
    profile_name: str,
    years: int,
    crl_urls: tuple[str, ...],
    out: Path | None,
    as_account: str | None,
    passphrase_file: Path | None,
) -> None:
    """Sign each REQUEST with this home's authority, enter the certificates on the log, and then write them out.

    REQUEST.csr becomes REQUEST.pem, with the authority's own certificates behind. After a failure call it again: what was
    signed and is not on the log, as `ca list` shows it, is used then.
    """
    if len(owners) not in (1, len(files)):
        raise click.UsageError(f"--owner: found {len(owners)}; expected 1 or {len(files)}")
    home, profile = authority_home(session), PROFILES[profile_name]
    targets = [(file.parent if out is None else out) / f"{file.stem}.pem" for file in files]
    if len(set(targets)) != len(targets):
        raise click.UsageError("two requests would have their certificates in one file")
    for target in targets:
        check_free(target)
    asked = [read_request(file) for file in files]
    check_in_force(session, name)
    chain = home.chain()
    check_present_key(session, name, chain[0])
    sender = find_sender(session, as_account, passphrase_file)
    signer = home.signer(session.passphrase(passphrase_file))
    revoked = {r.serial_number for r in home.revocations()}
    now_ms = SystemClock().now_ms()
    waiting = [
        c for c in home.waiting() if c.serial_number not in revoked and c.is_valid_at(now_ms)
    ]
    entered = session.ask(lambda node: owners_of(node, sender.domain, name, waiting))
    made: list[X509Certificate] = []
    entries: list[Call] = []
    for one, owner in zip(asked, owners * (len(asked) if len(owners) == 1 else 1), strict=True):
        terms = terms_for(one, profile, years=years, issuer=chain[0], crl_urls=crl_urls)
        fitting = (
            c
            for c in waiting
            if is_on_terms(c, terms, years, chain[0]) and entered.get(c.encoded, owner) == owner
        )
        certificate = next(fitting, None)
        if certificate is None:
            certificate = issue_certificate(terms, chain[0], signer)
            home.keep_waiting(certificate)
        else:
            waiting.remove(certificate)
        made.append(certificate)
        if certificate.encoded not in entered:
            entries.append(entry_of(name, certificate, PURPOSES[profile.name], owner))
    result = _enter(session, sender, entries) if entries else None
    for certificate in home.waiting():
        if certificate.encoded in entered:
            home.confirm(certificate)
    for certificate, target in zip(made, targets, strict=True):
        home.confirm(certificate)
        write_new_file(target, write_bundle((certificate, *chain)), mode=PUBLIC)
    if session.json:
        print_json(
            {
                "tx_id": None if result is None else result["tx_id"],
                "height": None if result is None else result["height"],
                "certificates": [
                    {"file": str(target), **certificate_json(certificate, None)}
                    for certificate, target in zip(made, targets, strict=True)
                ],
            }
        )
        return
    for number, (certificate, target) in enumerate(zip(made, targets, strict=True)):
        if number:
            click.echo()
        print_fields([*describe_certificate(certificate), ("file", target)])


def _enter(session: Session, sender: Sender, entries: Sequence[Call]) -> TransactionResult:
    try:
        transaction = sender.sign(entries, tip_height=shown_tip(session))
        return session.ask(lambda node: submit(node, transaction))
    except ChainError:
        note(
            "the certificates are signed and wait in this home; `chainnode ca issue` of the same requests uses "
            "them, whatever has become of the transaction"
        )
        raise


@click.command()
@click.argument("file", type=PATH, metavar="CERTIFICATE")
@authority_option
@click.option("--owner", required=True, type=parse_account, metavar="ACCOUNT",
              help="Account whose the certificate is.")  # fmt: skip
@click.option(
    "--profile",
    "profile_name",
    type=click.Choice(tuple(PURPOSES)),
    default=TIMESTAMP.name,
    show_default=True,
    help="What the certificate is for.",
)
@as_option
@passphrase_option
@pass_session
def enter(
    session: Session,
    *,
    file: Path,
    name: str,
    owner: str,
    profile_name: str,
    as_account: str | None,
    passphrase_file: Path | None,
) -> None:
    """Enter a CERTIFICATE that was issued elsewhere, by a licensed authority for example."""
    chain = read_bundle(file)
    check_path(
        chain[0],
        chain[1:-1],
        chain[-1:],
        at_ms=SystemClock().now_ms(),
        profile=PROFILES[profile_name],
    )
    check_in_force(session, name)
    entry = entry_of(name, chain[0], PURPOSES[profile_name], owner)
    result = send_calls(session, [entry], as_account, passphrase_file)
    report(session, result, f"the certificate of {chain[0].subject.text()} is entered")
