"""The built-in contract `notary`, version 1: enters documents into the log, blinded.

    register(seed, [[digests, title, metadata_hash], ...])

`seed` is 32 random bytes, from which each document's salt is derived; nil makes the registration public: the salt is
32 zero bytes. `digests` is the list of `chainnode.model.commitment`; `title` (text) is nil or stays in the transaction,
which members can read. Each document leaves one record of kind `notary` with body = [commitment], or with a
`metadata_hash` (32 bytes) body = [commitment, metadata commitment]. Nothing is written to the state; anybody may register the same digest again, and every
registration keeps its own time and owner.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from chainnode.model import codec
from chainnode.model.calls import checked_document
from chainnode.model.commitment import (
    DIGEST_BYTES,
    PUBLIC_SALT,
    SEED_BYTES,
    registration_body,
    salts_under,
)
from chainnode.model.limits import MAX_DOCUMENTS_PER_CALL
from chainnode.model.roles import Role
from contracts.algorithms import check_open, closed_algorithms
from contracts.owners import registered_keys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chainnode.model.codec import Value
    from chainnode.model.commitment import Digest
    from contracts.api import Context, Method

KIND: Final = "notary"
"""Kind of the records."""


_LOOKUP: Final = MappingProxyType(
    {name: b"digest/" + name.encode("ascii") + b"/" for name in DIGEST_BYTES}
)
"""By algorithm, what the keys of the index begin with under which registrations of a digest are found."""


def register(context: Context, args: tuple[Value, ...]) -> None:
    """Enter one to 1,000 documents into the log.

    Raises:
        ContractError: `missing_role` unless the sender is a notary, `algorithm_closed`.
        DecodeError: an argument has another shape, `unknown_algorithm`, `bad_digest`, `bad_digest_order`.
    """
    context.require_role(Role.NOTARY)
    seed, documents = parse_arguments(args)
    suite = context.block.domain.suite
    closed = closed_algorithms(context)
    # Of a call's leaves, which lie together, the first is enough to find them by their owner.
    block_keys = registered_keys(context.sender)
    salt_of = None if seed is None else salts_under(suite, seed)
    for item, value in enumerate(documents):
        digests, metadata_hash = checked_document(value)
        if closed:
            check_open(closed, digests)
        salt = PUBLIC_SALT if salt_of is None else salt_of(item)
        # The digests were just found to be in their one form, so their bytes are the canonical ones.
        body = registration_body(suite, salt, digests, metadata_hash)
        lookup_keys = tuple([_LOOKUP[algorithm] + digest for algorithm, digest in digests])
        context.emit(KIND, body, lookup_keys, block_keys)
        block_keys = ()


def parse_arguments(args: tuple[Value, ...]) -> tuple[bytes | None, tuple[Value, ...]]:
    """Return the seed, or None if the registration is public, and the documents, not looked into."""
    seed, documents = codec.array(args, "args", arity=2)
    return (
        None if seed is None else codec.binary(seed, "seed", size=SEED_BYTES),
        codec.array_up_to(documents, "documents", least=1, most=MAX_DOCUMENTS_PER_CALL),
    )


def lookup_key(digest: Digest) -> bytes:
    """Return the key of the local index under which registrations of `digest` are found."""
    return _LOOKUP[digest.algorithm] + digest.value


METHODS: Final[Mapping[str, Method]] = MappingProxyType({"register": register})
