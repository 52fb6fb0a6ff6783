"""Public keys in certificates, and whether a signature under a certificate, request or list holds.

    what               key                                    signature algorithm
    P-256              id-ecPublicKey, prime256v1             ecdsa-with-SHA256
    SM2                id-ecPublicKey, 1.2.156.10197.1.301    1.2.156.10197.1.501, user id 1234567812345678
    P-384, RSA         verified only: certificates of licensed authorities that we import

We make P-256 and SM2, with the suites' own sign and verify; there is no second judge of the same bytes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

from asn1crypto import algos
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512
from cryptography.hazmat.primitives.serialization import load_der_public_key

from chainnode.model.errors import DecodeError, ProofInvalid, Refused
from chainnode.model.suites import P256_SHA256, SM2_SM3, key_suite_named
from chainnode.pki.der import reading

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chainnode.model.suites import Suite

MIN_RSA_BITS: Final = 2048
"""Least RSA modulus that holds today (NIST SP 800-131A, GB/T 38540 likewise)."""

MAX_RSA_BITS: Final = 8192
"""Greatest RSA modulus: verifying is cubic in it."""

MAX_KEY_BYTES: Final = 2048
"""A SubjectPublicKeyInfo; that of the longest RSA key has 1,062."""

IDENTIFIER_BYTES: Final = 20
"""Length of the key identifiers that we write: 160 bits, as RFC 7093 keeps them."""

ECDSA_SHA256: Final = "1.2.840.10045.4.3.2"
ECDSA_SHA384: Final = "1.2.840.10045.4.3.3"
ECDSA_SHA512: Final = "1.2.840.10045.4.3.4"
SM2_WITH_SM3: Final = "1.2.156.10197.1.501"
RSA_SHA256: Final = "1.2.840.113549.1.1.11"
RSA_SHA384: Final = "1.2.840.113549.1.1.12"
RSA_SHA512: Final = "1.2.840.113549.1.1.13"

_HASHES: Final[Mapping[str, SHA256 | SHA384 | SHA512]] = {
    ECDSA_SHA256: SHA256(),
    ECDSA_SHA384: SHA384(),
    ECDSA_SHA512: SHA512(),
    RSA_SHA256: SHA256(),
    RSA_SHA384: SHA384(),
    RSA_SHA512: SHA512(),
}
_SIGNATURE_OIDS: Final = {P256_SHA256: ECDSA_SHA256, SM2_SM3: SM2_WITH_SM3}

_P256_PREFIX = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
_SM2_PREFIX = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d034200")
_P384_PREFIX = bytes.fromhex("3076301006072a8648ce3d020106052b81040022036200")
"""SubjectPublicKeyInfo {id-ecPublicKey, named curve} up to the uncompressed point."""

_RSA_ALGORITHM = bytes.fromhex("300d06092a864886f70d0101010500")
"""AlgorithmIdentifier {rsaEncryption, NULL}."""

_SCALAR_BYTES = 32


class KeyKind(StrEnum):
    """What a subject key is, as far as we can verify with it."""

    P256 = "P-256"
    SM2 = "SM2"
    P384 = "P-384"
    RSA = "RSA"
    OTHER = "other"
    """Read and shown; nothing that it signs is believed."""


_SUITE_NAMES: Final = {KeyKind.P256: P256_SHA256, KeyKind.SM2: SM2_SM3}
_PREFIXES: Final = {
    P256_SHA256: _P256_PREFIX,
    SM2_SM3: _SM2_PREFIX,
}


class CertificateSigner(Protocol):
    """What holds the private key of a certificate or request; `keystore.signer.Signer` is one."""

    @property
    def suite(self) -> Suite:
        """`p256-sha256` or `sm2-sm3`."""

    @property
    def public_key(self) -> bytes:
        """04 || x || y."""

    def sign(self, message: bytes) -> bytes:
        """Return r || s, 64 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectKey:
    """The public key that a certificate speaks of."""

    kind: KeyKind
    """What it is."""

    encoded: bytes
    """SubjectPublicKeyInfo in DER."""

    @property
    def suite(self) -> Suite | None:
        """The suite of a P-256 or SM2 key, which has a point; None for others."""
        name = _SUITE_NAMES.get(self.kind)
        return None if name is None else key_suite_named(name)

    @property
    def point(self) -> bytes:
        """04 || x || y of a P-256 or SM2 key.

        Raises:
            Refused: with code `unsupported_key` for others.
        """
        name = _SUITE_NAMES.get(self.kind)
        if name is None:
            raise Refused(
                f"found a key of kind {self.kind.value}; expected P-256 or SM2",
                code="unsupported_key",
            )
        return self.encoded[len(_PREFIXES[name]) :]

    @property
    def identifier(self) -> bytes:
        """The leftmost 160 bits of SHA-256 of the point (RFC 7093 section 2, method 1); of others, of all of `encoded`."""
        bits = self.point if self.kind in _SUITE_NAMES else self.encoded
        return hashlib.sha256(bits).digest()[:IDENTIFIER_BYTES]


def subject_key(suite: Suite, public_key: bytes) -> SubjectKey:
    """Return a suite's public key as certificates carry it.

    Raises:
        Refused: with code `unsupported_key` if certificates cannot carry keys of that suite, or the bytes are no key.
    """
    prefix = _PREFIXES.get(suite.name)
    if prefix is None or not suite.is_public_key(public_key):
        raise Refused(
            f"found a key of {suite.name}; certificates are made for keys of {P256_SHA256} and {SM2_SM3}",
            code="unsupported_key",
        )
    return decode_key(prefix + public_key)


def decode_key(data: bytes) -> SubjectKey:
    """Return the key in a SubjectPublicKeyInfo that `check_der` has accepted.

    Raises:
        DecodeError: it is too long, or a point that is not on P-256 or SM2.
    """
    if len(data) > MAX_KEY_BYTES:
        raise DecodeError(f"public key: found {len(data)} bytes; expected at most {MAX_KEY_BYTES}")
    for kind, prefix in ((KeyKind.P256, _P256_PREFIX), (KeyKind.SM2, _SM2_PREFIX)):
        if data.startswith(prefix):
            if not key_suite_named(_SUITE_NAMES[kind]).is_public_key(data[len(prefix) :]):
                raise DecodeError(f"public key: not a point of {kind.value}", field="public_key")
            return SubjectKey(kind=kind, encoded=data)
    return SubjectKey(kind=_other_kind(data), encoded=data)


def _other_kind(data: bytes) -> KeyKind:
    if not data.startswith(_P384_PREFIX) and _RSA_ALGORITHM not in data[: 2 * len(_RSA_ALGORITHM)]:
        return KeyKind.OTHER
    try:
        key = load_der_public_key(data)
    except Exception:  # noqa: BLE001  whatever the reader says, it is a key that we cannot use
        return KeyKind.OTHER
    if isinstance(key, ec.EllipticCurvePublicKey):
        return KeyKind.P384
    if isinstance(key, rsa.RSAPublicKey) and MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
        return KeyKind.RSA
    return KeyKind.OTHER


def sign_der(
    signer: CertificateSigner, message: bytes
) -> tuple[algos.SignedDigestAlgorithm, bytes]:
    """Return algorithm identifier and signature value (DER SEQUENCE {r, s}) of a message."""
    signature = signer.sign(message)
    r = int.from_bytes(signature[:_SCALAR_BYTES], "big")
    s = int.from_bytes(signature[_SCALAR_BYTES:], "big")
    return signature_algorithm(signer.suite), encode_dss_signature(r, s)


def signature_algorithm(suite: Suite) -> algos.SignedDigestAlgorithm:
    """Return the identifier of a suite's signatures; without parameters (RFC 5758 section 3.2, GM/T 0015 likewise).

    Raises:
        Refused: with code `unsupported_key` if certificates are not signed by keys of that suite.
    """
    oid = _SIGNATURE_OIDS.get(suite.name)
    if oid is None:
        raise Refused(
            f"found a key of {suite.name}; certificates are signed by {P256_SHA256} or {SM2_SM3}",
            code="unsupported_key",
        )
    return algos.SignedDigestAlgorithm({"algorithm": oid})


def decode_algorithm(data: bytes) -> str:
    """Return the dotted identifier in an AlgorithmIdentifier of a signature that `check_der` has accepted.

    Raises:
        DecodeError: it is none, or has parameters other than NULL where it has none.
    """
    with reading("signature algorithm"):
        algorithm = algos.SignedDigestAlgorithm.load(data, strict=True)
        oid: str = algorithm["algorithm"].dotted
        parameters: bytes = algorithm["parameters"].dump()
    if parameters not in (b"", b"\x05\x00") and (oid in _HASHES or oid == SM2_WITH_SM3):
        raise DecodeError(f"signature algorithm {oid}: found parameters; expected none")
    return oid


def check_signature(
    key: SubjectKey, algorithm: str, message: bytes, signature: bytes, what: str
) -> None:
    """Check a signature value as certificates, requests and revocation lists carry it.

    Args:
        key: whose signature it must be.
        algorithm: dotted identifier.
        message: what was signed.
        signature: content of the BIT STRING.
        what: of what; for messages.

    Raises:
        ProofInvalid: `bad_signature`, or `unsupported_algorithm` for a key or algorithm that we do not judge.
    """
    if not _is_supported(key.kind, algorithm):
        raise ProofInvalid(
            f"{what}: signed by algorithm {algorithm} with a key of kind {key.kind.value}; expected "
            "ECDSA with SHA-2 on P-256 or P-384, SM2 with SM3, or RSA of 2,048 bits or more with SHA-2",
            code="unsupported_algorithm",
        )
    if not _holds(key, algorithm, message, signature):
        raise ProofInvalid(f"{what}: the signature does not hold", code="bad_signature")


def _is_supported(kind: KeyKind, algorithm: str) -> bool:
    match kind:
        case KeyKind.SM2:
            return algorithm == SM2_WITH_SM3
        case KeyKind.P256 | KeyKind.P384:
            return algorithm in (ECDSA_SHA256, ECDSA_SHA384, ECDSA_SHA512)
        case KeyKind.RSA:
            return algorithm in (RSA_SHA256, RSA_SHA384, RSA_SHA512)
        case KeyKind.OTHER:
            return False


def _holds(key: SubjectKey, algorithm: str, message: bytes, signature: bytes) -> bool:
    suite = key.suite
    if suite is not None and algorithm == _SIGNATURE_OIDS[suite.name]:
        raw = _raw(signature)
        return raw is not None and suite.is_signature(key.point, message, raw)
    public_key = load_der_public_key(key.encoded)
    try:
        if isinstance(public_key, rsa.RSAPublicKey):
            public_key.verify(signature, message, padding.PKCS1v15(), _HASHES[algorithm])
        elif isinstance(public_key, ec.EllipticCurvePublicKey):
            public_key.verify(signature, message, ec.ECDSA(_HASHES[algorithm]))
        else:
            return False
    except InvalidSignature:
        return False
    return True


def _raw(signature: bytes) -> bytes | None:
    """Return r || s of a DER signature of a P-256 or SM2 key, or None if it is none."""
    try:
        r, s = decode_dss_signature(signature)
        return r.to_bytes(_SCALAR_BYTES, "big") + s.to_bytes(_SCALAR_BYTES, "big")
    except (ValueError, OverflowError):
        return None
