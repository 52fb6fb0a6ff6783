"""The home of a certificate authority: its key, its own certificates, what it has issued and taken back.

    keys/authority.key        encrypted, purpose `authority`; P-256, or SM2
    authority.pem             its certificate, then those above it; of a root: its own alone
    issued/SERIAL.pem         every certificate it has signed, written before it leaves this machine; but for those of
    waiting/SERIAL.pem        signed, and not known to be on the log: `ca issue` has failed or was interrupted
    revoked/SERIAL.json       what it has taken back: since when, why
    crl.pem                   its newest revocation list

Files are written whole or not at all, and never replaced but for the list. An interrupted command leaves at most
certificates that wait; the next `ca issue` of the same request uses them, whatever has become of the transaction.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.keystore.files import PUBLIC, write_new_file
from chainnode.model.errors import DecodeError, NotFound, Refused
from chainnode.model.keys import KeyPurpose
from chainnode.pki.certificate import X509Certificate, decode_x509_certificate
from chainnode.pki.path import check_path
from chainnode.pki.pem import (
    CERTIFICATE,
    MAX_PEM_BYTES,
    REVOCATION_LIST,
    parse_bundle,
    parse_pem,
    write_bundle,
    write_pem,
)
from chainnode.pki.profiles import ISSUING
from chainnode.pki.revocation import RevocationReason, RevokedCertificate, decode_crl, make_crl
from cli.proofs import write_result
from cli.session import read_input

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from chainnode.keystore.keystore import KeyStore
    from chainnode.keystore.signer import Signer
    from chainnode.pki.revocation import RevocationList

AUTHORITY_KEY: Final = "authority"
AUTHORITY_FILE: Final = "authority.pem"
CRL_FILE: Final = "crl.pem"
_ISSUED: Final = "issued"
_WAITING: Final = "waiting"

REASONS: Final = {
    "unspecified": RevocationReason.UNSPECIFIED,
    "compromised": RevocationReason.KEY_COMPROMISE,
    "affiliation_changed": RevocationReason.AFFILIATION_CHANGED,
    "superseded": RevocationReason.SUPERSEDED,
    "ceased": RevocationReason.CESSATION_OF_OPERATION,
}
"""By the names that the chain uses."""

_MAX_ENTRY_BYTES: Final = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """A certificate that was taken back."""

    serial_number: int
    revoked_ms: int
    """Whole seconds, milliseconds UTC."""

    reason: str
    """One of `REASONS`."""


class AuthorityHome:
    """The files of one authority."""

    def __init__(self, home: Path, keystore: KeyStore) -> None:
        self._home = home
        self._keystore = keystore

    def signer(self, passphrase: bytes) -> Signer:
        """Return the authority's key. Raises NotFound, Refused."""
        signer = self._keystore.open(AUTHORITY_KEY, passphrase)
        if signer.purpose is not KeyPurpose.AUTHORITY:
            raise Refused(
                f"the key {AUTHORITY_KEY} is of purpose {signer.purpose}; expected "
                f"{KeyPurpose.AUTHORITY}",
                code="wrong_purpose",
            )
        return signer

    def chain(self) -> tuple[X509Certificate, ...]:
        """Return the authority's certificate and those above it, the root last.

        Raises:
            NotFound: it has none yet.
            DecodeError: the file is damaged.
        """
        path = self._home / AUTHORITY_FILE
        if not path.exists():
            raise NotFound(
                f"there is no {path}; make a root with `chainnode ca root`, or keep the certificate that a "
                "root has issued with `chainnode ca install`",
                code="no_authority",
            )
        return parse_bundle(read_input(path, max_bytes=MAX_PEM_BYTES))

    def install(self, chain: tuple[X509Certificate, ...], now_ms: int) -> None:
        """Keep the authority's own certificate, with those above it.

        Raises:
            ProofInvalid: the chain does not hold now.
            Refused: `exists`.
        """
        check_path(chain[0], chain[1:-1], chain[-1:], at_ms=now_ms, profile=ISSUING)
        write_new_file(self._home / AUTHORITY_FILE, write_bundle(chain), mode=PUBLIC)

    def keep(self, certificate: X509Certificate) -> None:
        """Keep a certificate that was just signed, before anybody else has it."""
        path = self._file(_ISSUED, certificate)
        write_new_file(path, write_pem(CERTIFICATE, certificate.encoded), mode=PUBLIC)

    def keep_waiting(self, certificate: X509Certificate) -> None:
        """Keep a certificate that was just signed, before anybody asks the chain to enter it."""
        write_new_file(
            self._file(_WAITING, certificate),
            write_pem(CERTIFICATE, certificate.encoded),
            mode=PUBLIC,
        )

    def confirm(self, certificate: X509Certificate) -> None:
        """Note that a certificate that waited is on the log."""
        if not self._file(_ISSUED, certificate).exists():
            self.keep(certificate)
        self._file(_WAITING, certificate).unlink(missing_ok=True)

    def issued(self) -> tuple[X509Certificate, ...]:
        """Return every certificate that it has signed but those that wait, the oldest first."""
        return self._signed(_ISSUED)

    def waiting(self) -> tuple[X509Certificate, ...]:
        """Return the certificates that it has signed and that are not known to be on the log, the oldest first."""
        issued = self.issued()
        return tuple(c for c in self._signed(_WAITING) if c not in issued)

    def note_revocation(self, revocation: Revocation) -> bool:
        """Note that a certificate is taken back, and return whether that is new; the next revocation list says so."""
        path = self._home / "revoked" / f"{revocation.serial_number:x}.json"
        if path.exists():
            return False
        entry = {"revoked_ms": revocation.revoked_ms, "reason": revocation.reason}
        write_new_file(path, json.dumps(entry).encode() + b"\n", mode=PUBLIC)
        return True

    def revocations(self) -> tuple[Revocation, ...]:
        """Return what was taken back, by serial number. Raises DecodeError."""
        return tuple(sorted(self._revocations(), key=lambda r: r.serial_number))

    def crl(self) -> RevocationList | None:
        """Return the newest revocation list, or None."""
        path = self._home / CRL_FILE
        if not path.exists():
            return None
        return decode_crl(parse_pem(read_input(path, max_bytes=MAX_PEM_BYTES), REVOCATION_LIST)[0])

    def renew_crl(self, signer: Signer, *, now_ms: int, days: int) -> RevocationList:
        """Make and keep a revocation list of everything taken back, under the next number.

        Args:
            signer: The authority's key.
            now_ms: Milliseconds UTC.
            days: After how many days there will be another at the latest.
        """
        before, this_update_ms = self.crl(), now_ms - now_ms % 1_000
        chain = self.chain()
        made = make_crl(
            chain[0],
            signer,
            number=1 if before is None else before.number + 1,
            this_update_ms=this_update_ms,
            next_update_ms=this_update_ms + days * 86_400_000,
            revoked=tuple(
                RevokedCertificate(
                    r.serial_number, r.revoked_ms, _reason(r, of_authority=len(chain) == 1)
                )
                for r in self.revocations()
            ),
        )
        write_result(self._home / CRL_FILE, write_pem(REVOCATION_LIST, made.encoded))
        return made

    def _file(self, folder: str, certificate: X509Certificate) -> Path:
        return self._home / folder / f"{certificate.serial_number:x}.pem"

    def _signed(self, folder: str) -> tuple[X509Certificate, ...]:
        found = [
            decode_x509_certificate(
                parse_pem(read_input(path, max_bytes=MAX_PEM_BYTES), CERTIFICATE)[0]
            )
            for path in (self._home / folder).glob("*.pem")
        ]
        return tuple(sorted(found, key=lambda c: (c.not_before_ms, c.serial_number)))

    def _revocations(self) -> Iterator[Revocation]:
        for path in (self._home / "revoked").glob("*.json"):
            try:
                entry = json.loads(read_input(path, max_bytes=_MAX_ENTRY_BYTES))
                found = Revocation(
                    serial_number=int(path.stem, 16),
                    revoked_ms=int(entry["revoked_ms"]),
                    reason=str(entry["reason"]),
                )
            except (ValueError, KeyError, TypeError) as error:
                raise DecodeError(f"{path}: not a revocation of this home ({error})") from error
            if found.reason not in REASONS:
                raise DecodeError(f"{path}: unknown reason {found.reason!r}")
            yield found


def _reason(revocation: Revocation, *, of_authority: bool) -> RevocationReason:
    """Return what a list says; of an authority's stolen key the standard has another word (RFC 5280 section 5.3.1)."""
    reason = REASONS[revocation.reason]
    is_theft = reason is RevocationReason.KEY_COMPROMISE
    return RevocationReason.CA_COMPROMISE if is_theft and of_authority else reason
