"""Commands of an authority that need files only: a root's machine never sees a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from chainnode.clock import SystemClock
from chainnode.config import TIMESTAMP_KEY
from chainnode.keystore.files import PUBLIC, write_new_file
from chainnode.keystore.randomness import fresh_serial_number
from chainnode.model.errors import DecodeError, NotFound, Refused
from chainnode.model.keys import KeyPurpose
from chainnode.model.suites import P256_SHA256, SM2_SM3, key_suite_named
from chainnode.pki.description import describe_certificate, describe_crl, describe_request
from chainnode.pki.issuing import Terms, issue_certificate, issue_root
from chainnode.pki.keys import subject_key
from chainnode.pki.names import parse_name
from chainnode.pki.path import check_path
from chainnode.pki.pem import (
    CERTIFICATE_REQUEST,
    MAX_PEM_BYTES,
    REVOCATION_LIST,
    parse_bundle,
    parse_pem,
    write_bundle,
    write_pem,
)
from chainnode.pki.profiles import ISSUING, ROOT, SEAL, TIMESTAMP
from chainnode.pki.request import decode_request, make_request
from chainnode.pki.revocation import decode_crl
from chainnode.pki.times import years_later
from cli.authority.home import AUTHORITY_KEY
from cli.command import pass_session, passphrase_option
from cli.keynames import FORMER
from cli.output import print_json, print_table, time_text
from cli.proofs import check_free, write_result
from cli.session import read_input
from cli.trust import read_bundle

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from chainnode.keystore.key_file import KeyInfo
    from cli.session import Session

from cli.authority.shared import (
    PATH,
    authority_home,
    certificate_json,
    new_authority_key,
    print_certificate,
    print_rows,
    read_request,
    revoked_text,
    subject_option,
    terms_for,
    whole_second,
    years_option,
)


@click.command()
@subject_option
@click.option(
    "--suite",
    type=click.Choice((P256_SHA256, SM2_SM3)),
    default=P256_SHA256,
    show_default=True,
    help="Of the root's key; all certificates below it are to be of the same.",
)
@years_option(20)
@passphrase_option
@pass_session
def root(
    session: Session, subject: str, suite: str, years: int, passphrase_file: Path | None
) -> None:
    """Make a root authority in this home: a key, and the certificate that it signs for itself.

    Keep the home on a machine without a network. Its certificate, authority.pem, is what the world comes to trust.
    """
    name, home = parse_name(subject), authority_home(session)
    passphrase = session.passphrase(passphrase_file, confirm=True)
    signer = new_authority_key(session, suite, passphrase)
    now_ms = whole_second()
    certificate = issue_root(
        Terms(
            profile=ROOT,
            subject=name,
            key=subject_key(signer.suite, signer.public_key),
            serial_number=fresh_serial_number(),
            not_before_ms=now_ms,
            not_after_ms=years_later(now_ms, years),
        ),
        signer,
    )
    home.install((certificate,), now_ms)
    print_certificate(session, certificate, file=session.home / "authority.pem")


@click.command()
@subject_option
@click.option(
    "--key",
    "key_name",
    default=TIMESTAMP_KEY,
    show_default=True,
    metavar="NAME",
    help=f"Key of this home to be certified; {AUTHORITY_KEY} is made if it is not there.",
)
@click.option(
    "--suite",
    type=click.Choice((P256_SHA256, SM2_SM3)),
    default=P256_SHA256,
    show_default=True,
    help="Of a key that is made.",
)
@click.option("--out", type=PATH, metavar="FILE", help="[default: HOME/KEY.csr]")
@passphrase_option
@pass_session
def request(
    session: Session,
    subject: str,
    key_name: str,
    suite: str,
    out: Path | None,
    passphrase_file: Path | None,
) -> None:
    """Ask for a certificate of a key of this home (PKCS #10), the first one or a renewal.

    The file goes to the authority; it holds nothing secret.
    """
    name = parse_name(subject)
    target = session.home / f"{key_name}.csr" if out is None else out
    keystore = session.keystore()
    passphrase = session.passphrase(passphrase_file)
    try:
        signer = keystore.open(key_name, passphrase)
    except NotFound:
        if key_name != AUTHORITY_KEY:
            raise
        signer = new_authority_key(session, suite, passphrase)
    made = make_request(name, signer)
    write_new_file(target, write_pem(CERTIFICATE_REQUEST, made.encoded), mode=PUBLIC)
    print_rows(session, describe_request(made), file=target)


@click.command()
@click.argument("file", type=PATH, metavar="REQUEST")
@years_option(10)
@click.option("--crl-url", "crl_urls", multiple=True, metavar="URL", help="Where its list will be.")
@click.option("--out", required=True, type=PATH, metavar="FILE", help="Where the certificate goes.")
@passphrase_option
@pass_session
def sign(
    session: Session,
    file: Path,
    years: int,
    crl_urls: tuple[str, ...],
    out: Path,
    passphrase_file: Path | None,
) -> None:
    """Sign the REQUEST of an issuing authority with this home's root.

    FILE gets the new certificate and those above it, for `chainnode ca install`.
    """
    home, asked = authority_home(session), read_request(file)
    check_free(out)
    chain = home.chain()
    certificate = issue_certificate(
        terms_for(asked, ISSUING, years=years, issuer=chain[0], crl_urls=crl_urls),
        chain[0],
        home.signer(session.passphrase(passphrase_file)),
    )
    home.keep(certificate)
    write_new_file(out, write_bundle((certificate, *chain)), mode=PUBLIC)
    print_certificate(session, certificate, file=out)


@click.command()
@click.argument("file", type=PATH, metavar="CERTIFICATE")
@click.option(
    "--key",
    "key_name",
    default=TIMESTAMP_KEY,
    show_default=True,
    metavar="NAME",
    help="Key of this home that it is about.",
)
@pass_session
def install(session: Session, file: Path, key_name: str) -> None:
    """Keep the CERTIFICATE that an authority issued for a key of this home, with those above it.

    A running node uses a new certificate of its timestamp key from the next second on; another key takes the setting
    timestamp.key and a restart. Certificates from before are kept as HOME/former/SERIAL.pem, where the node still hands them
    out: tokens outlive certificates.
    """
    chain = read_bundle(file)
    info = session.keystore().show(key_name)
    if chain[0].key != subject_key(key_suite_named(info.suite), info.public_key):
        raise Refused(
            f"{file} is not about the key {key_name} of this home; install it where the request was made",
            code="other_key",
        )
    now_ms = SystemClock().now_ms()
    if key_name == AUTHORITY_KEY:
        authority_home(session).install(chain, now_ms)
        target = session.home / "authority.pem"
    else:
        profile = TIMESTAMP if info.purpose is KeyPurpose.TIMESTAMP else SEAL
        check_path(chain[0], chain[1:-1], chain[-1:], at_ms=now_ms, profile=profile)
        target = session.home / f"{key_name}.pem"
        _keep_formers(session, info)
        write_result(target, write_bundle(chain))
    print_certificate(session, chain[0], file=target)


def _keep_formers(session: Session, info: KeyInfo) -> None:
    """Put the certificate that is about to be replaced, and those of other timestamp keys, where no later one replaces them.

    A node that goes over to another key looks beside that key's certificate there only.
    """
    others = [k for k in session.keystore().list() if k.purpose is KeyPurpose.TIMESTAMP]
    names = {info.name, *(k.name for k in others if info.purpose is KeyPurpose.TIMESTAMP)}
    for installed in (session.home / f"{name}.pem" for name in sorted(names)):
        if not installed.exists():
            continue
        former = read_bundle(installed)
        target = session.home / FORMER / f"{former[0].serial_number:x}.pem"
        if not target.exists():
            write_new_file(target, write_bundle(former), mode=PUBLIC)


@click.command("list")
@pass_session
def list_(session: Session) -> None:
    """List what this home's authority has signed, and what of it was taken back or is not known to be on the log."""
    home = authority_home(session)
    revoked = {r.serial_number: r for r in home.revocations()}
    waiting = home.waiting()
    signed = sorted((*home.issued(), *waiting), key=lambda c: (c.not_before_ms, c.serial_number))
    if session.json:
        print_json(
            {
                "certificates": [
                    certificate_json(c, revoked.get(c.serial_number)) | {"is_waiting": c in waiting}
                    for c in signed
                ]
            }
        )
        return
    print_table(
        ("serial number", "subject", "valid to", "revoked", "waits"),
        [
            (
                f"{c.serial_number:x}",
                c.subject.text(),
                time_text(c.not_after_ms),
                revoked_text(revoked.get(c.serial_number)),
                "not known to be on the log" if c in waiting else "-",
            )
            for c in signed
        ],
    )


@click.command()
@click.argument("file", type=PATH, metavar="FILE")
@pass_session
def show(session: Session, file: Path) -> None:
    """Show what a certificate, a request or a revocation list says (PEM or DER)."""
    data = read_input(file, max_bytes=MAX_PEM_BYTES)
    readers: tuple[Callable[[], Sequence[tuple[str, str]]], ...] = (
        lambda: describe_certificate(parse_bundle(data)[0]),
        lambda: describe_request(decode_request(parse_pem(data, CERTIFICATE_REQUEST)[0])),
        lambda: describe_crl(decode_crl(parse_pem(data, REVOCATION_LIST)[0])),
    )
    for read in readers:
        try:
            rows = read()
        except DecodeError:
            continue
        print_rows(session, rows)
        return
    raise DecodeError(
        f"{file}: found no certificate, certificate request or revocation list in PEM or DER",
        code="malformed",
    )


@click.command()
@click.option(
    "--days",
    type=click.IntRange(1, 400),
    default=30,
    show_default=True,
    help="After how many days there will be another at the latest.",
)
@passphrase_option
@pass_session
def crl(session: Session, days: int, passphrase_file: Path | None) -> None:
    """Make this home's authority's next revocation list, HOME/crl.pem."""
    home = authority_home(session)
    signer = home.signer(session.passphrase(passphrase_file))
    made = home.renew_crl(signer, now_ms=SystemClock().now_ms(), days=days)
    print_rows(session, describe_crl(made), file=session.home / "crl.pem")
