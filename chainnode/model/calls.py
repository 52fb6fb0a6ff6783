"""Arguments of the built-in contracts' methods, both ways: clients build calls, contracts read the same shapes.

    document  = [digests, title | nil, metadata_hash | nil]
    key offer = [purpose, public_key, not_before_ms, not_after_ms, possession]
    possession = sign by the offered key("key-possession", [account, purpose, public_key, not_before_ms, not_after_ms])

The proof of possession names everything that registration will fix, so nobody can register another's key, and a
proof made for one account or purpose serves no other. All methods: docs/formats/contracts.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chainnode.model import codec
from chainnode.model.commitment import Digest, checked_digests, digests_value, parse_digests
from chainnode.model.limits import MAX_NAME_BYTES, MAX_TITLE_BYTES
from chainnode.model.suites import HASH_BYTES
from chainnode.model.transaction import Call

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chainnode.model.codec import Value
    from chainnode.model.domain import Domain
    from chainnode.model.keys import KeyPurpose
    from chainnode.model.roles import Role
    from chainnode.model.second_key import OfferedKey

_MAX_KEY_BYTES = 128
_MAX_SIGNATURE_BYTES = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What is registered about one document."""

    digests: tuple[Digest, ...]
    """One to three, by different algorithms, in rising order of their names."""

    title: str | None = None
    """For people, at most 256 bytes of UTF-8; stays in the transaction."""

    metadata_hash: bytes | None = None
    """32 bytes over what the owner keeps about the document, a capture record for example; the leaf commits to it."""

    def as_value(self) -> Value:
        """Return the array form."""
        return (digests_value(self.digests), self.title, self.metadata_hash)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyOffer:
    """A public key to be registered, with the proof that whoever offers it has the private one."""

    purpose: str
    """A `KeyPurpose`; the contract refuses those that are not an account's."""

    public_key: bytes
    not_before_ms: int
    """First block time at which it shall be valid; 0 is at once."""

    not_after_ms: int
    """Block time at which it shall no longer be valid; 0 is never."""

    possession: bytes
    """Signature of `possession_message` by the key itself."""

    def as_value(self) -> Value:
        """Return the array form."""
        return (
            self.purpose,
            self.public_key,
            self.not_before_ms,
            self.not_after_ms,
            self.possession,
        )


def parse_document(value: Value) -> Document:
    """Read one element of a list of documents.

    Raises:
        DecodeError: of another shape, or with digests that cannot be.
    """
    digests, title, metadata_hash = codec.array(value, "document", arity=3)
    return Document(
        digests=parse_digests(digests),
        title=_checked_title(title),
        metadata_hash=_checked_metadata_hash(metadata_hash),
    )


def checked_document(value: Value) -> tuple[tuple[tuple[str, bytes], ...], bytes | None]:
    """Return the digests, (algorithm, digest) for each, and the metadata hash of what `parse_document` would read.

    Raises as it does.
    """
    digests, title, metadata_hash = codec.array(value, "document", arity=3)
    found = checked_digests(digests)
    _checked_title(title)
    return found, _checked_metadata_hash(metadata_hash)


def _checked_title(value: Value) -> str | None:
    return None if value is None else codec.text(value, "title", most_bytes=MAX_TITLE_BYTES)


def _checked_metadata_hash(value: Value) -> bytes | None:
    return None if value is None else codec.binary(value, "metadata_hash", size=HASH_BYTES)


def parse_key_offer(value: Value) -> KeyOffer:
    """Read a key offer; whether it is acceptable is the contract's to say.

    Raises:
        DecodeError: of another shape.
    """
    purpose, public_key, not_before, not_after, possession = codec.array(value, "key", arity=5)
    return KeyOffer(
        purpose=codec.text(purpose, "purpose", most_bytes=MAX_NAME_BYTES),
        public_key=codec.binary(public_key, "public_key", most=_MAX_KEY_BYTES),
        not_before_ms=codec.integer(not_before, "not_before_ms"),
        not_after_ms=codec.integer(not_after, "not_after_ms"),
        possession=codec.binary(possession, "possession", most=_MAX_SIGNATURE_BYTES),
    )


def possession_message(
    domain: Domain,
    *,
    account: str,
    purpose: str,
    public_key: bytes,
    not_before_ms: int,
    not_after_ms: int,
) -> bytes:
    """Return what a key signs to be registered for `account` with that purpose and validity."""
    return domain.context("key-possession") + codec.encode(
        (account, purpose, public_key, not_before_ms, not_after_ms)
    )


def offer_key(
    domain: Domain,
    *,
    account: str,
    purpose: KeyPurpose,
    public_key: bytes,
    sign: Callable[[bytes], bytes],
    not_before_ms: int = 0,
    not_after_ms: int = 0,
) -> KeyOffer:
    """Offer a key for `account`; `sign` holds the private key of `public_key`."""
    message = possession_message(
        domain,
        account=account,
        purpose=purpose.value,
        public_key=public_key,
        not_before_ms=not_before_ms,
        not_after_ms=not_after_ms,
    )
    return KeyOffer(
        purpose=purpose.value,
        public_key=public_key,
        not_before_ms=not_before_ms,
        not_after_ms=not_after_ms,
        possession=sign(message),
    )


def register_documents(documents: Sequence[Document], *, seed: bytes | None) -> Call:
    """Enter 1 to 1,000 documents into the log, blinded by 32 random bytes of `seed`, or publicly if None."""
    return _call("notary", "register", seed, tuple(d.as_value() for d in documents))


def deprecate_algorithm(algorithm: str) -> Call:
    """Have people leave a digest algorithm behind."""
    return _call("algorithms", "deprecate", algorithm)


def close_algorithm(algorithm: str, *, from_height: int) -> Call:
    """Close a digest algorithm to new records from a height on."""
    return _call("algorithms", "close", algorithm, from_height)


def accept_algorithm(algorithm: str) -> Call:
    """Take back the deprecation of a digest algorithm, and a closure that is not in force yet."""
    return _call("algorithms", "accept", algorithm)


def register_organisation(name: str, title: str) -> Call:
    """Admit a member."""
    return _call("identity", "register_organisation", name, title)


def register_account(name: str, *, roles: Sequence[Role], keys: Sequence[KeyOffer]) -> Call:
    """Open the account `organisation/account` with these roles and 1 to 16 keys."""
    return _call(
        "identity",
        "register_account",
        name,
        tuple(sorted(role.value for role in roles)),
        tuple(key.as_value() for key in keys),
    )


def add_key(account: str, key: KeyOffer) -> Call:
    """Give `account` one more key."""
    return _call("identity", "add_key", account, key.as_value())


def rotate_key(old_public_key: bytes, new_key: KeyOffer, *, retire_at_ms: int = 0) -> Call:
    """Add `new_key` and end the old one at `retire_at_ms`, or at once if that is 0."""
    return _call("identity", "rotate_key", old_public_key, retire_at_ms, new_key.as_value())


def revoke_key(public_key: bytes, *, reason: str | None = None) -> Call:
    """End a key at once and for ever; `reason` is public: compromised, lost, superseded or ceased."""
    return _call("identity", "revoke_key", public_key, reason)


def grant_role(account: str, role: Role) -> Call:
    """Let `account` do what `role` may do."""
    return _call("identity", "grant_role", account, role.value)


def revoke_role(account: str, role: Role) -> Call:
    """Take `role` from `account`."""
    return _call("identity", "revoke_role", account, role.value)


def suspend_account(account: str) -> Call:
    """Refuse the transactions of `account` until it is resumed."""
    return _call("identity", "suspend_account", account)


def resume_account(account: str) -> Call:
    """Accept the transactions of `account` again."""
    return _call("identity", "resume_account", account)


def admit_authority(
    name: str, *, title: str, standing: str, operator: str, chain: Sequence[bytes]
) -> Call:
    """Admit a certificate authority; its certificates (DER) from the one that issues to its root."""
    return _call("authorities", "admit", name, title, standing, operator, tuple(chain))


def dismiss_authority(name: str) -> Call:
    """Let nothing of a certificate authority count any more."""
    return _call("authorities", "dismiss", name)


def enter_certificate(
    authority: str,
    *,
    purpose: KeyPurpose,
    owner: str,
    not_before_ms: int,
    not_after_ms: int,
    certificate: bytes,
) -> Call:
    """Enter an X.509 certificate (DER) that `authority` has issued for the account `owner`."""
    return _call(
        "authorities",
        "enter",
        authority,
        purpose.value,
        owner,
        not_before_ms,
        not_after_ms,
        certificate,
    )


def revoke_certificate(authority: str, fingerprint: bytes, reason: str) -> Call:
    """End an X.509 certificate that `authority` has entered at once and for ever."""
    return _call("authorities", "revoke", authority, fingerprint, reason)


def publish_crl(authority: str, number: int, crl: bytes) -> Call:
    """Publish a revocation list (DER) under its number, above those before; every node then serves it."""
    return _call("authorities", "publish_crl", authority, number, crl)


def publish_root_crl(authority: str, number: int, crl: bytes) -> Call:
    """Publish the revocation list (DER) of an authority's root under its number, above those before."""
    return _call("authorities", "publish_root_crl", authority, number, crl)


def register_second_key(
    validator: str, number: int, offered: OfferedKey | None, signature: bytes
) -> Call:
    """Say with which key a validator cosigns a second time; `signature` is by its cosigner key."""
    value = None if offered is None else offered.as_value()
    return _call("cosigners", "register", validator, number, value, signature)


def declare_clock(validator: str, *, sources: Sequence[str], check: str | None) -> Call:
    """Declare what a validator's clock has its time from, and what the node measures it against."""
    return _call("clocks", "declare", validator, tuple(sources), check)


def register_imprints(
    authority: str, fingerprint: bytes, imprints: Sequence[Digest], *, seed: bytes
) -> Call:
    """Enter 1 to 1,000 imprints whose tokens are signed under the certificate of that fingerprint, entered by `authority`."""
    digests = digests_value(tuple(imprints))
    return _call("timestamps", "register", authority, fingerprint, seed, digests)


def _call(contract: str, method: str, *args: Value) -> Call:
    return Call(contract=contract, method=method, args=args)
