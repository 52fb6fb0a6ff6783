"""What the commands of `chainnode ca` share: options, reading, sending, printing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from chainnode.clock import SystemClock
from chainnode.keystore.randomness import fresh_serial_number
from chainnode.model import calls
from chainnode.model.errors import ChainError, ProofInvalid
from chainnode.model.keys import KeyPurpose
from chainnode.model.suites import key_suite_named
from chainnode.pki.description import describe_certificate
from chainnode.pki.issuing import Terms
from chainnode.pki.path import has_issued
from chainnode.pki.pem import (
    CERTIFICATE_REQUEST,
    MAX_PEM_BYTES,
    parse_pem,
)
from chainnode.pki.profiles import ISSUING, SEAL, TIMESTAMP, check_use
from chainnode.pki.request import decode_request
from chainnode.pki.times import years_later
from cli.authority.home import AUTHORITY_KEY, AuthorityHome, Revocation
from cli.output import print_fields, print_json, time_text
from cli.senders import chain_domain, find_sender, shown_tip, submit
from cli.session import read_input

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chainnode.keystore.signer import Signer
    from chainnode.model.domain import Domain
    from chainnode.model.transaction import Call
    from chainnode.pki.certificate import X509Certificate
    from chainnode.pki.profiles import Profile
    from chainnode.pki.request import CertificateRequest
    from chainnode.rpc.results import TransactionResult
    from cli.output import Json
    from cli.session import Session


DEFAULT_NAME: Final = "alliance"
PATH = click.Path(path_type=Path)

PURPOSES: Final = {
    TIMESTAMP.name: KeyPurpose.TIMESTAMP,
    SEAL.name: KeyPurpose.SEAL_USER,
    ISSUING.name: KeyPurpose.AUTHORITY,
}
"""What the chain calls the use of a profile's certificates."""


def subject_option(command: Callable[..., None]) -> Callable[..., None]:
    """Add `--subject`."""
    return click.option(
        "--subject",
        required=True,
        metavar="NAME",
        help='Distinguished name, for example "C=CN, O=某市政务服务数据管理局, CN=timestamp unit 1".',
    )(command)


def years_option(default: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add `--years` with a default."""
    return click.option(
        "--years",
        type=click.IntRange(1, 40),
        default=default,
        show_default=True,
        help="For how long it is valid.",
    )


def authority_option(command: Callable[..., None]) -> Callable[..., None]:
    """Add `--authority`."""
    return click.option(
        "--authority",
        "name",
        default=DEFAULT_NAME,
        show_default=True,
        metavar="NAME",
        help="What the chain calls the authority.",
    )(command)


def authority_home(session: Session) -> AuthorityHome:
    """Return the authority's files in the session's home."""
    return AuthorityHome(session.home, session.keystore())


def new_authority_key(session: Session, suite: str, passphrase: bytes) -> Signer:
    """Make the key of an authority in this home, and open it. Raises Refused: there is one."""
    keystore = session.keystore()
    keystore.new(AUTHORITY_KEY, key_suite_named(suite), KeyPurpose.AUTHORITY, passphrase)
    return keystore.open(AUTHORITY_KEY, passphrase)


def whole_second(time_ms: int | None = None) -> int:
    """Return the second that a moment lies in, by default the present one; milliseconds UTC."""
    time_ms = SystemClock().now_ms() if time_ms is None else time_ms
    return time_ms - time_ms % 1_000


def terms_for(
    asked: CertificateRequest,
    profile: Profile,
    *,
    years: int,
    issuer: X509Certificate,
    crl_urls: tuple[str, ...],
) -> Terms:
    """Return what a certificate is to say: what was asked for, for so many years, but no longer than its issuer lasts."""
    now_ms = whole_second()
    return Terms(
        profile=profile,
        subject=asked.subject,
        key=asked.key,
        serial_number=fresh_serial_number(),
        not_before_ms=now_ms,
        # Nothing outlives what vouches for it.
        not_after_ms=min(years_later(now_ms, years), issuer.not_after_ms),
        crl_urls=crl_urls,
    )


def is_on_terms(
    certificate: X509Certificate, terms: Terms, years: int, issuer: X509Certificate
) -> bool:
    """Whether a certificate that was signed before says what one on these terms would, but for when it was made."""
    ends_ms = min(years_later(certificate.not_before_ms, years), issuer.not_after_ms)
    try:
        check_use(certificate.extensions, terms.profile, certificate.subject.text())
    except ProofInvalid:
        return False
    return (
        certificate.subject == terms.subject
        and certificate.key == terms.key
        and certificate.extensions.crl_urls == terms.crl_urls
        and certificate.not_after_ms == ends_ms
        and has_issued(issuer, certificate)
    )


def entry_of(authority: str, certificate: X509Certificate, purpose: KeyPurpose, owner: str) -> Call:
    """Return the call that enters a certificate on the log."""
    return calls.enter_certificate(
        authority,
        purpose=purpose,
        owner=owner,
        not_before_ms=certificate.not_before_ms,
        # The last second belongs to it.
        not_after_ms=certificate.not_after_ms + 999,
        certificate=certificate.encoded,
    )


def send_calls(
    session: Session,
    wanted: Sequence[Call],
    as_account: str | None,
    passphrase_file: Path | None,
) -> TransactionResult:
    """Send one transaction and return its committed outcome. Raises as `find_sender` and `submit`."""
    sender = find_sender(session, as_account, passphrase_file)
    transaction = sender.sign(wanted, tip_height=shown_tip(session))
    return session.ask(lambda node: submit(node, transaction))


def domain_of(session: Session) -> Domain:
    """Return the domain of the node's chain. Raises as `chain_domain`."""
    genesis = session.genesis_if_any()
    return chain_domain(session.ask(lambda node: node.chain_status()), genesis)


def read_request(file: Path) -> CertificateRequest:
    """Return the certificate request in a file. Raises ChainError that names the file."""
    try:
        data = read_input(file, max_bytes=MAX_PEM_BYTES)
        return decode_request(parse_pem(data, CERTIFICATE_REQUEST)[0])
    except ChainError as error:
        raise type(error)(
            f"{file}: {error.message}", code=error.error_code, field=error.field
        ) from error


def report(session: Session, result: TransactionResult, sentence: str) -> None:
    """Print what a transaction did."""
    if session.json:
        print_json({"tx_id": result["tx_id"], "height": result["height"]})
    else:
        print_fields([("done", sentence), ("block", result["height"])])


def print_certificate(session: Session, certificate: X509Certificate, *, file: Path) -> None:
    """Print what a certificate says, and where it lies."""
    if session.json:
        print_json({"file": str(file), **certificate_json(certificate, None)})
    else:
        print_fields([*describe_certificate(certificate), ("file", file)])


def print_rows(
    session: Session, rows: Sequence[tuple[str, str]], *, file: Path | None = None
) -> None:
    """Print rows for people, or as one JSON document."""
    all_rows: list[tuple[str, object]] = [*rows, *(() if file is None else (("file", file),))]
    if session.json:
        # Names that come twice (policies, addresses) become lists.
        grouped: dict[str, list[Json]] = {}
        for name, value in all_rows:
            grouped.setdefault(name.replace(" ", "_"), []).append(str(value))
        print_json({name: v[0] if len(v) == 1 else v for name, v in grouped.items()})
    else:
        print_fields(all_rows)


def certificate_json(
    certificate: X509Certificate, revocation: Revocation | None
) -> dict[str, Json]:
    """Return what a program is told of a certificate."""
    return {
        "serial_number": f"{certificate.serial_number:x}",
        "subject": certificate.subject.text(),
        "issuer": certificate.issuer.text(),
        "not_before_ms": certificate.not_before_ms,
        "not_after_ms": certificate.not_after_ms,
        "sha256": certificate.fingerprint.hex(),
        "revoked_ms": None if revocation is None else revocation.revoked_ms,
        "reason": None if revocation is None else revocation.reason,
    }


def revoked_text(revocation: Revocation | None) -> str:
    """Return when and why a certificate was taken back, for people."""
    return "-" if revocation is None else f"{time_text(revocation.revoked_ms)} {revocation.reason}"
