"""Candidates at rest: blocks above the tip for which this node has voted, kept until their height is decided.

    candidate = [outline (bin), [envelope, ...]]

After a crash of everybody, a block that some validator may be locked on can still be had from those that voted for it.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from chainnode.ledger.stored import present, stored
from chainnode.model import codec
from chainnode.model.block import MAX_CERTIFIED_BLOCK_BYTES, MAX_OUTLINE_BYTES, decode_outline
from chainnode.model.errors import StorageFault
from chainnode.model.limits import MAX_BLOCK_TRANSACTIONS, MAX_TRANSACTION_BYTES
from chainnode.model.transaction import decode_transaction
from chainnode.storage import keys
from chainnode.storage.kv import WriteBatch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chainnode.ledger.execution import Executed
    from chainnode.model.block import Outline
    from chainnode.model.domain import Domain
    from chainnode.model.transaction import Transaction
    from chainnode.storage.kv import KeyValueStore

_PAGE: Final = 4
"""Candidates that are in memory at once while their names are read; each takes up to 16 MiB."""


class CandidateStore:
    """Blocks that were voted for and not yet decided."""

    __slots__ = ("_digests", "_domain", "_store")

    def __init__(self, store: KeyValueStore, domain: Domain) -> None:
        self._store = store
        self._domain = domain
        self._digests = set(_kept(store))

    def keep(self, executed: Executed) -> None:
        """Write a block that is about to be voted for, synced; once."""
        digest = executed.outline.block_hash
        if digest in self._digests:
            return
        envelopes = tuple(t.envelope for t in executed.transactions)
        batch = WriteBatch()
        batch.put(keys.candidate(digest), codec.encode((executed.outline.encode(), envelopes)))
        self._store.write(batch, sync=True)
        # From here on a restart can serve the block, whether or not the vote for it was cast.
        self._digests.add(digest)

    def read(self) -> tuple[tuple[Outline, tuple[Transaction, ...]], ...]:
        """Return the blocks that were kept, in the order of their hashes."""
        return tuple(self._read(digest) for digest in sorted(self._digests))

    def readable(self) -> Iterator[tuple[Outline, tuple[Transaction, ...]]]:
        """Return those that can be read, of a store that may be damaged."""
        for digest in sorted(self._digests):
            with contextlib.suppress(StorageFault):
                yield self._read(digest)

    def forget(self, batch: WriteBatch) -> None:
        """Stage the deletion of all of them: their height is decided."""
        for digest in sorted(self._digests):
            batch.delete(keys.candidate(digest))

    def forgotten(self) -> None:
        """Note that the deletion is written."""
        self._digests.clear()

    def _read(self, digest: bytes) -> tuple[Outline, tuple[Transaction, ...]]:
        what = f"candidate {digest.hex()}"
        value = present(self._store.get(keys.candidate(digest)), what)
        with stored(what):
            outline, envelopes = codec.decode_array(
                value,
                max_bytes=MAX_CERTIFIED_BLOCK_BYTES + MAX_OUTLINE_BYTES,
                arity=2,
                what="candidate",
            )
            return (
                decode_outline(self._domain, codec.binary(outline, "outline")),
                tuple(
                    decode_transaction(
                        self._domain, codec.binary(e, "envelope", most=MAX_TRANSACTION_BYTES)
                    )
                    for e in codec.array_up_to(envelopes, "envelopes", most=MAX_BLOCK_TRANSACTIONS)
                ),
            )


def _kept(store: KeyValueStore) -> Iterator[bytes]:
    """Return the hashes of all candidates, so that none outlives its height however many views that took."""
    start = keys.CANDIDATES
    while page := store.scan(start, keys.end_of(keys.CANDIDATES), limit=_PAGE):
        yield from (key[len(keys.CANDIDATES) :] for key, _ in page)
        start = page[-1][0] + b"\0"
