"""Blinded commitments: how the public log holds a document's digests without telling them.

    digests    = [[algorithm, digest], ...]     one to three, algorithms in rising order, none twice
    salt(i)    = HMAC(seed, i as 8 bytes big-endian)       seed: 32 random bytes in the transaction
    commitment = HMAC(salt, canonical bytes of digests)
    opening    = [salt, digests]
    metadata   = HMAC(salt, canonical bytes of the metadata hash, 32 bytes)

HMAC is over the chain's hash. Without the salt nobody can test a guess against the log. A public registration
uses 32 zero bytes as salt, so that anybody who has the document can search the log for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, cast

from chainnode.model import codec
from chainnode.model.errors import CannotTell, DecodeError, ProofInvalid
from chainnode.model.limits import MAX_DIGESTS_PER_DOCUMENT, MAX_NAME_BYTES
from chainnode.model.suites import SUITE_NAMES, suite_named

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainnode.model.codec import Value
    from chainnode.model.suites import Suite

SALT_BYTES: Final = 32
SEED_BYTES: Final = 32
PUBLIC_SALT: Final = bytes(SALT_BYTES)
"""The salt of a registration that anybody may search for."""

DIGEST_BYTES: Final = MappingProxyType({"sha256": 32, "sha384": 48, "sha512": 64, "sm3": 32})
"""Digest algorithms that a registration may name, and the length of their digests."""

OTHER_SUITE: Final = "other_suite"
"""Code of what is said when policy and record are of different suites."""

_MAX_OPENING_BYTES: Final = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """A document's digest by one algorithm."""

    algorithm: str
    """`sha256`, `sha384`, `sha512` or `sm3`."""

    value: bytes
    """32, 48 or 64 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What the owner of a record keeps in order to show what it is about."""

    salt: bytes
    """32 bytes; `PUBLIC_SALT` if the registration was public."""

    digests: tuple[Digest, ...]
    """One to three, by different algorithms, in rising order of their names."""

    def as_value(self) -> Value:
        """Return the array that a proof carries."""
        return (self.salt, digests_value(self.digests))


def digests_value(digests: tuple[Digest, ...]) -> Value:
    """Return the array form of a digest list."""
    return tuple((d.algorithm, d.value) for d in digests)


def parse_digests(value: Value) -> tuple[Digest, ...]:
    """Read a digest list. Raises DecodeError as `checked_digests`."""
    return tuple(Digest(algorithm=name, value=digest) for name, digest in checked_digests(value))


def checked_digests(value: Value) -> tuple[tuple[str, bytes], ...]:
    """Return a digest list in its array form, (algorithm, digest) for each, if it is one.

    Raises:
        DecodeError: unknown algorithm, wrong length, wrong order, too many or none.
    """
    elements = codec.array_up_to(value, "digests", least=1, most=MAX_DIGESTS_PER_DOCUMENT)
    before = ""
    for element in elements:
        name, digest = codec.array(element, "digest", arity=2)
        algorithm = codec.text(name, "algorithm", most_bytes=MAX_NAME_BYTES)
        size = DIGEST_BYTES.get(algorithm)
        if size is None:
            raise DecodeError(
                f"algorithm: found {algorithm!r}; known are {', '.join(DIGEST_BYTES)}",
                field="algorithm",
                code="unknown_algorithm",
            )
        if type(digest) is not bytes or len(digest) != size:
            found = f"{len(digest)} bytes" if type(digest) is bytes else "no bytes"
            raise DecodeError(
                f"digest: found {found}; a {algorithm} digest has {size}",
                field="digest",
                code="bad_digest",
            )
        # No algorithm has the empty name.
        if algorithm <= before:
            raise DecodeError(
                f"digests: {algorithm} follows {before}; expected rising order of names, each once",
                field="digests",
                code="bad_digest_order",
            )
        before = algorithm
    return cast("tuple[tuple[str, bytes], ...]", elements)


def parse_opening(value: Value) -> Opening:
    """Read an opening.

    Raises:
        DecodeError: of another shape.
    """
    salt, digests = codec.array(value, "opening", arity=2)
    return Opening(salt=codec.binary(salt, "salt", size=SALT_BYTES), digests=parse_digests(digests))


def salts_under(suite: Suite, seed: bytes) -> Callable[[int], bytes]:
    """Return what `derive_salt` gives for each item under this seed."""
    salt = suite.hmac_under(seed)
    return lambda item: salt(item.to_bytes(8, "big"))


def derive_salt(suite: Suite, seed: bytes, item: int) -> bytes:
    """Return the salt of the `item`-th document of a list whose transaction carries `seed`."""
    return suite.hmac(seed, item.to_bytes(8, "big"))


def commitment_to(suite: Suite, salt: bytes, digests: Value) -> bytes:
    """Return the 32-byte commitment to a digest list in its array form."""
    return suite.hmac(salt, codec.encode(digests))


def metadata_commitment_to(suite: Suite, salt: bytes, metadata_hash: bytes) -> bytes:
    """Return the 32-byte commitment to a metadata hash. No digest list has the same canonical bytes."""
    return suite.hmac(salt, codec.encode(metadata_hash))


def registration_body(
    suite: Suite, salt: bytes, digests: Value, metadata_hash: bytes | None
) -> tuple[Value, ...]:
    """Return the body of the record of a document, whose digest list is given in its array form."""
    commitment = commitment_to(suite, salt, digests)
    if metadata_hash is None:
        return (commitment,)
    return (commitment, metadata_commitment_to(suite, salt, metadata_hash))


def verify_opening(suite: Suite, commitment: bytes, opening: Opening) -> None:
    """Check that `opening` is what `commitment` commits to.

    Raises:
        ProofInvalid: `opening_mismatch`.
        CannotTell: `other_suite`: it is, by the hash of another suite.
    """
    digests = digests_value(opening.digests)
    if commitment_to(suite, opening.salt, digests) != commitment:
        raise by_other_suite(suite, commitment, opening.salt, digests) or ProofInvalid(
            "the salt and digests in the proof are not those that the record commits to",
            code="opening_mismatch",
        )


def by_other_suite(
    suite: Suite, commitment: bytes, salt: bytes, digests: Value
) -> CannotTell | None:
    """Return what to say if a commitment that is wrong by the hash of one suite is right by that of another, else None.

    That is how the record of one chain looks under the policy of a chain of the same name and another suite.
    """
    for name in SUITE_NAMES:
        other = suite_named(name)
        if other.hash_name != suite.hash_name and commitment_to(other, salt, digests) == commitment:
            return CannotTell(
                f"the record is of a chain of the suite {other.name}; the policy is of one of the suite "
                f"{suite.name}, and cannot vouch for it; name the policy of the record's own chain",
                code=OTHER_SUITE,
            )
    return None
