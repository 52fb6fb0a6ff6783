"""Commit certificates: a quorum's signatures that make a block final, checkable by anyone who knows the set.

    certificate = [1, height, view, block_hash, signers, signatures]

`signers` is a bitmap, validator 0 in the lowest bit of the first byte, that ends with the byte of its highest signer;
`signatures` holds one signature for each set bit, in order. Several different valid certificates of one block
are normal; the one whose hash the next header names is the canonical one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.model import codec
from chainnode.model.errors import DecodeError, ProofInvalid
from chainnode.model.ids import BlockHash, Height, View
from chainnode.model.limits import MAX_CERTIFICATE_BYTES, MAX_VALIDATORS
from chainnode.model.suites import HASH_BYTES
from chainnode.model.votes import COMMIT, vote_message

if TYPE_CHECKING:
    from chainnode.model.domain import Domain
    from chainnode.model.validators import ValidatorSet

VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """Signatures of COMMIT votes for one block in one view."""

    height: Height
    """Height of the block."""

    view: View
    """View in which it was decided; may differ between certificates of one block."""

    block_hash: BlockHash
    """The block."""

    signatures: tuple[tuple[int, bytes], ...]
    """(validator index, signature) in rising order of index."""

    def encode(self) -> bytes:
        """Return the canonical bytes; the bitmap is as short as its highest signer allows."""
        bitmap = 0
        for index, _ in self.signatures:
            bitmap |= 1 << index
        return codec.encode(
            (
                VERSION,
                self.height,
                self.view,
                self.block_hash,
                bitmap.to_bytes((bitmap.bit_length() + 7) // 8, "little"),
                tuple(signature for _, signature in self.signatures),
            )
        )

    def hash(self, domain: Domain) -> bytes:
        """Return what the next header carries as parent_certificate_hash."""
        return domain.hash("certificate", self.encode())


def decode_certificate(data: bytes) -> Certificate:
    """Decode a certificate. Its signatures are not verified here.

    Raises:
        DecodeError: not the canonical bytes of any certificate.
    """
    fields = codec.decode_array(data, max_bytes=MAX_CERTIFICATE_BYTES, arity=6, what="certificate")
    codec.integer(fields[0], "version", least=VERSION, most=VERSION)
    bitmap = codec.binary(fields[4], "signers", most=(MAX_VALIDATORS + 7) // 8)
    if bitmap.endswith(b"\0"):
        raise DecodeError("signers: the bitmap has an empty last byte")
    bits = int.from_bytes(bitmap, "little")
    indices = [i for i in range(bits.bit_length()) if bits >> i & 1]
    signatures = codec.array(fields[5], "signatures")
    if len(signatures) != len(indices):
        raise DecodeError(
            f"signatures: found {len(signatures)}; the bitmap names {len(indices)} signers"
        )
    return Certificate(
        height=Height(codec.integer(fields[1], "height", least=1)),
        view=View(codec.integer(fields[2], "view", most=2**31 - 1)),
        block_hash=BlockHash(codec.binary(fields[3], "block_hash", size=HASH_BYTES)),
        signatures=tuple(
            (index, codec.binary(signature, "signature", most=128))
            for index, signature in zip(indices, signatures, strict=True)
        ),
    )


def verify_certificate(certificate: Certificate, domain: Domain, validators: ValidatorSet) -> None:
    """Raise ProofInvalid unless a quorum of `validators` signed COMMIT for exactly this block and view.

    Every listed signature must hold: a certificate with one bad signature among enough good ones is refused,
    so that nothing that is computed from the signers can be forged.
    """
    found = len({index for index, _ in certificate.signatures})
    if found != len(certificate.signatures):
        raise ProofInvalid(
            f"certificate of height {certificate.height}: one validator is counted twice",
            code="bad_signature",
        )
    if found < validators.quorum:
        raise ProofInvalid(
            f"certificate of height {certificate.height}: {found} of {validators.size} validators "
            f"signed; {validators.quorum} are needed",
            code="too_few_signatures",
        )
    message = vote_message(
        domain, COMMIT, certificate.height, certificate.view, certificate.block_hash
    )
    for index, signature in certificate.signatures:
        if index >= validators.size:
            raise ProofInvalid(
                f"certificate of height {certificate.height}: signer {index} is not among "
                f"{validators.size} validators",
                code="bad_signature",
            )
        validator = validators.members[index]
        if not domain.suite.is_signature(validator.consensus_key, message, signature):
            raise ProofInvalid(
                f"certificate of height {certificate.height}: the signature of {validator.name} "
                "does not hold",
                code="bad_signature",
            )
