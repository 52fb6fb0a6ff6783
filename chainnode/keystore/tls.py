"""TLS between validators: self-signed P-256 certificates, trusted one by one.

The certificates of all validators are in genesis (later: in the validator set). A connection is TLS 1.3, both ends
show a certificate, and each must be one of those, byte for byte. Names and dates in certificates say nothing.
P-256 on every chain, since Python's TLS has no SM2.
"""

from __future__ import annotations

import datetime as dt
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from chainnode.keystore.files import PUBLIC, read_secret_file, write_new_file
from chainnode.keystore.passphrase import check_passphrase
from chainnode.model.errors import DecodeError, PeerFault, Refused
from chainnode.model.tls_certificate import read_tls_certificate

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_NO_EXPIRY = dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC)
"""RFC 5280 section 4.1.2.5: no well-defined end. A validator's certificate ends when its validator set does."""

_CLOCK_SLACK_SECONDS = 24 * 60 * 60
"""A certificate is valid from a day before it was made, for peers whose clocks are behind."""

MAX_NAME_BYTES: Final = 64
"""RFC 5280 appendix A: ub-common-name."""

_MAX_KEY_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """Where a validator keeps its TLS identity."""

    certificate: Path
    """PEM, public."""

    key: Path
    """PEM, PKCS #8, encrypted under the passphrase, for its owner only."""


def create_tls_identity(files: TlsFiles, name: str, passphrase: bytes, *, now_ms: int) -> bytes:
    """Make a key and its certificate; both files are durable on return.

    Args:
        files: where to; neither may exist.
        name: the validator's name, 1 to 64 ASCII characters.
        passphrase: encrypts the key.
        now_ms: the time, in milliseconds UTC.

    Returns:
        The certificate in DER, as genesis wants it.

    Raises:
        Refused: if a file exists, the name cannot stand in a certificate or the passphrase is unusable.
    """
    check_passphrase(passphrase)
    if not (name.isascii() and name.isprintable() and 1 <= len(name) <= MAX_NAME_BYTES):
        raise Refused(
            f"{name!r} is not 1 to {MAX_NAME_BYTES} ASCII characters", code="bad_name", field="name"
        )
    private_key = ec.generate_private_key(ec.SECP256R1())
    certificate = _self_signed(private_key, name, now_ms // 1000)
    key_pem = private_key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase)
    )
    write_new_file(files.key, key_pem)
    # A crash here leaves a key without a certificate; the next attempt refuses to overwrite it and names the file.
    write_new_file(files.certificate, certificate.public_bytes(Encoding.PEM), mode=PUBLIC)
    return certificate.public_bytes(Encoding.DER)


def server_context(files: TlsFiles, passphrase: bytes, pinned: Iterable[bytes]) -> ssl.SSLContext:
    """Return the context of the accepting end: TLS 1.3, client certificate required and one of `pinned` (DER).

    Raises:
        Refused: if the key cannot be opened.
        DecodeError: if a pinned certificate is none.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER, files, passphrase, pinned)
    context.num_tickets = 0  # a resumed session would not show its certificate again
    return context


def client_context(files: TlsFiles, passphrase: bytes, pinned: Iterable[bytes]) -> ssl.SSLContext:
    """Return the context of the connecting end: TLS 1.3, server certificate one of `pinned` (DER).

    Which of them it must be depends on whom was dialled: compare `certificate_of_peer`. Raises as `server_context`.
    """
    return _context(ssl.PROTOCOL_TLS_CLIENT, files, passphrase, pinned)


def listener_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return the context of a listener for clients: TLS 1.3, no client certificate, an unencrypted PEM key.

    Raises:
        Refused: the files cannot be read, or do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_cert_chain(certificate, key, password="")
    except (OSError, ssl.SSLError) as error:
        raise Refused(
            f"{certificate} and {key}: {error}; expected a certificate and its unencrypted private "
            "key in PEM",
            code="bad_tls_files",
        ) from error
    return context


def trusting_context(certificate: Path) -> ssl.SSLContext:
    """Return the context of a client that trusts what is in a PEM file, and nothing else.

    Raises:
        Refused: the file cannot be read, or holds no certificate.
    """
    try:
        return ssl.create_default_context(cafile=certificate)
    except (OSError, ssl.SSLError) as error:
        raise Refused(
            f"{certificate}: {error}; expected certificates in PEM", code="bad_tls_files"
        ) from error


def certificate_of_peer(connection: ssl.SSLObject | ssl.SSLSocket) -> bytes:
    """Return the certificate (DER) that the other end proved to hold.

    Raises:
        PeerFault: if it showed none.
    """
    certificate = connection.getpeercert(binary_form=True)
    if certificate is None:
        raise PeerFault("the peer showed no TLS certificate", code="no_certificate")
    return certificate


def public_key_of_certificate(certificate: bytes) -> bytes:
    """Return the SubjectPublicKeyInfo (DER) of a certificate (DER), by which one key is told from another.

    Raises:
        DecodeError: if the bytes are no certificate, or its key is not on P-256.
    """
    public_key = read_tls_certificate(certificate).public_key()
    if not isinstance(public_key, ec.EllipticCurvePublicKey) or not isinstance(
        public_key.curve, ec.SECP256R1
    ):
        raise DecodeError("the certificate's key is not on P-256", field="certificate")
    return public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _self_signed(
    private_key: ec.EllipticCurvePrivateKey, name: str, now_seconds: int
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    public_key = private_key.public_key()
    start = _EPOCH + dt.timedelta(seconds=now_seconds - _CLOCK_SLACK_SECONDS)
    usage = {
        field: field == "digital_signature"
        for field in (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "key_cert_sign",
            "crl_sign",
            "encipher_only",
            "decipher_only",
        )
    }
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(_NO_EXPIRY)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage(
                [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            ),
            critical=False,
        )
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .sign(private_key, hashes.SHA256())
    )


def _context(
    protocol: ssl._SSLMethod, files: TlsFiles, passphrase: bytes, pinned: Iterable[bytes]
) -> ssl.SSLContext:
    read_secret_file(files.key, max_bytes=_MAX_KEY_BYTES)  # refuses a key that others can open
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # the pin is the identity
    context.verify_mode = ssl.CERT_REQUIRED
    # Each pinned certificate is an anchor of its own, though it is no authority.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_cert_chain(files.certificate, files.key, password=passphrase)
    except (OSError, ValueError) as error:
        raise Refused(
            f"cannot open {files.key} with {files.certificate}: wrong passphrase, or they do not belong together",
            code="wrong_passphrase",
        ) from error
    for certificate in pinned:
        public_key_of_certificate(certificate)
        context.load_verify_locations(cadata=certificate)
    return context
