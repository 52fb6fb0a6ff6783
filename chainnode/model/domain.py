"""Domain separation: what keeps a signature or hash of one kind from serving as another.

    context(kind)   = "chainnode/1 " || kind || 0x00 || genesis_hash
    hash(kind, x)   = H(context(kind) || x)
    signed message  = context(kind) || x

`kind` is ASCII without NUL, so that no context is a prefix of another. The genesis hash ties everything to
one chain. Only the genesis hash itself is made without one: H("chainnode/1 genesis" || 0x00 || bytes).
Trees (RFC 9162 and the state tree) have their own prefixes and appear only under roots that headers name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from chainnode.model.suites import Suite

_PREFIX: Final = b"chainnode/1 "


@dataclass(frozen=True, slots=True)
class Domain:
    """The hashing and signing contexts of one chain."""

    suite: Suite
    """The chain's crypto suite."""

    genesis_hash: bytes
    """32 bytes; what makes this chain different from every other."""

    transaction_id: bytes = field(init=False)
    transaction_hash: bytes = field(init=False)
    transaction_signature: bytes = field(init=False)

    def __post_init__(self) -> None:
        """Make the contexts that every transaction needs once, not per transaction."""
        for name, kind in (
            ("transaction_id", "transaction-id"),
            ("transaction_hash", "transaction-hash"),
            ("transaction_signature", "transaction-signature"),
        ):
            object.__setattr__(self, name, self.context(kind))

    def context(self, kind: str) -> bytes:
        """Return the bytes that precede everything hashed or signed as `kind`."""
        return _PREFIX + kind.encode("ascii") + b"\0" + self.genesis_hash

    def hash(self, kind: str, data: bytes) -> bytes:
        """Return the 32-byte hash of `data` as a `kind`."""
        return self.suite.hash(self.context(kind) + data)


def genesis_hash_of(suite: Suite, genesis_bytes: bytes) -> bytes:
    """Return the hash that names a chain: of the exact bytes of its genesis document."""
    return suite.hash(_PREFIX + b"genesis\0" + genesis_bytes)
