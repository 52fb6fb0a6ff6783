"""Whether a token holds: its signature, over what it says, by the certificate that it names.

What this does not say: whether that certificate is anybody's to trust (`chainnode.pki.path`), and whether the chain
issued the token (`chainnode.model.timestamp`). Codes of `ProofInvalid`: `content_digest`, `signing_certificate`,
`bad_signature`, `unsupported_algorithm`, `other_document`, `wrong_authority`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainnode.model.errors import ProofInvalid
from chainnode.pki.keys import check_signature
from chainnode.tsp.algorithms import HASHES, IMPRINT_NAMES

if TYPE_CHECKING:
    from chainnode.model.commitment import Digest
    from chainnode.pki.certificate import X509Certificate
    from chainnode.tsp.reading import Token


def check_token(token: Token, certificate: X509Certificate) -> None:
    """Check that the key of `certificate` signed what the token says, and that the token names this very certificate.

    Raises:
        ProofInvalid: it is proven not to hold; see the module's codes.
    """
    if not token.is_signed_as(certificate) or (
        _hash(token.certificate_digest_oid, certificate.encoded) != token.certificate_digest
    ):
        raise ProofInvalid(
            f"the token is not signed by the certificate of {certificate.subject.text()}; it names "
            "another one",
            code="signing_certificate",
        )
    if token.authority is not None and token.authority != certificate.subject:
        raise ProofInvalid(
            f"the token is said to be of {token.authority.text()}; its certificate is that of "
            f"{certificate.subject.text()}",
            code="wrong_authority",
        )
    if _hash(token.digest_oid, token.info) != token.content_digest:
        raise ProofInvalid(
            "what the token says is not what was signed: it was altered", code="content_digest"
        )
    check_signature(
        certificate.key, token.signature_oid, token.attributes, token.signature, "timestamp token"
    )


def check_imprint(token: Token, digest: Digest) -> None:
    """Check that a token is about a document with this digest, by the token's algorithm.

    Raises:
        ProofInvalid: `other_document`.
    """
    if token.imprint != digest:
        raise ProofInvalid(
            f"the file's {digest.algorithm} is {digest.value.hex()}; the token is about "
            f"{token.imprint.value.hex()}: another document, or an altered one",
            code="other_document",
        )


def _hash(dotted: str, data: bytes) -> bytes:
    name = IMPRINT_NAMES.get(dotted)
    if name is None:
        raise ProofInvalid(
            f"the token is signed with the digest algorithm {dotted}; expected SHA-2 or SM3",
            code="unsupported_algorithm",
        )
    return HASHES[name](data)
