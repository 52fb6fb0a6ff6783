"""What can be asked of the chain: blocks, transactions, records, state, validators, and proofs of them.

NotFound        there is no such block, transaction or record here
Unavailable     the state after that height is no longer kept
StorageFault    the store fails, or what it holds cannot be right
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chainnode.ledger.block_store import BlockStore
from chainnode.ledger.committed_ids import CommittedIds
from chainnode.ledger.leader_history import AHEAD, LeaderHistory
from chainnode.ledger.log_store import LogStore
from chainnode.ledger.opening import open_chain
from chainnode.ledger.state_store import StateStore
from chainnode.ledger.stored import stored
from chainnode.ledger.transaction_index import TransactionIndex
from chainnode.ledger.validator_history import DELAY, ValidatorHistory
from chainnode.model.errors import NotFound
from chainnode.model.ids import Height
from chainnode.model.merkle import consistency_proof_from, inclusion_proof_from
from chainnode.model.record import decode_record

if TYPE_CHECKING:
    from chainnode.ledger.tip import Tip
    from chainnode.model.block import CertifiedBlock
    from chainnode.model.certificate import Certificate
    from chainnode.model.genesis import Genesis
    from chainnode.model.merkle import Frontier
    from chainnode.model.receipt import Receipt
    from chainnode.model.state_tree import StateProof
    from chainnode.model.validators import ValidatorSet
    from chainnode.storage.kv import KeyValueStore

MAX_LEAVES_READ: Final = 1_024
"""Leaves of one `leaves` call: 32 MiB of the longest, four entry bundles of the usual."""


class ChainReader:
    """The chain up to its tip, to read. Calls do not overlap a commit."""

    def __init__(self, store: KeyValueStore, genesis: Genesis) -> None:
        """Open the chain in `store`, or begin it there; raises as `open_chain`."""
        self.genesis: Final = genesis
        self.state: Final = StateStore(store, genesis.suite)
        self._blocks = BlockStore(store, genesis.domain)
        self._log = LogStore(store, genesis.suite)
        self._validators = ValidatorHistory(store, genesis.suite)
        opened = open_chain(store, genesis, blocks=self._blocks, log=self._log, state=self.state)
        self._validators.load()
        self._leaders = LeaderHistory(
            store,
            skip_heights=genesis.parameters.skip_heights,
            validators_at=self._validators.at,
        )
        self._leaders.load(opened.tip.height)
        self._tip = opened.tip
        self._transactions = TransactionIndex(store)
        self._transactions.load(opened.tip.height, self.log_size_before)
        self._ids = CommittedIds(self._transactions, opened.tip.height)
        self._frontier: Frontier = opened.frontier
        self._state_from = opened.state_from

    @property
    def tip(self) -> Tip:
        """The newest committed block, or genesis."""
        return self._tip

    @property
    def state_from(self) -> Height:
        """Lowest height of which state proofs are promised."""
        return self._state_from

    def validators(self, height: int) -> ValidatorSet:
        """Return the set that governs `height`, 1 to two above the tip.

        Raises:
            NotFound: with code `unknown_height` for any other height.
        """
        if not 1 <= height <= self._tip.height + DELAY:
            raise NotFound(
                f"the validators of height {height} are not determined; heights 1 to "
                f"{self._tip.height + DELAY} are",
                code="unknown_height",
                field="height",
            )
        return self._validators.at(height)

    def leaders(self, height: int) -> tuple[int, ...]:
        """Return who leads view 0, 1, ... of `height`, one or two above the tip: each validator's index once.

        Raises:
            NotFound: with code `unknown_height` for any other height.
        """
        self._check_is_ahead(height)
        return self._leaders.order(height)

    def skipped(self, height: int) -> tuple[int, ...]:
        """Return who is skipped at `height`, one or two above the tip, since a turn failed; rising indices.

        Raises:
            NotFound: with code `unknown_height` for any other height.
        """
        self._check_is_ahead(height)
        return tuple(sorted(self._leaders.skipped(height)))

    def _check_is_ahead(self, height: int) -> None:
        first = self._tip.height + 1
        if not first <= height < first + AHEAD:
            raise NotFound(
                f"the leaders of height {height} are not kept; those of {first} and {first + 1} are",
                code="unknown_height",
                field="height",
            )

    # -- blocks --------------------------------------------------------------------------------------------

    def header(self, height: int) -> tuple[bytes, Certificate]:
        """Return a header's bytes and a certificate of it.

        Raises:
            NotFound: with code `unknown_height` if there is no such block (also: for height 0).
        """
        return self._blocks.header_bytes(height), self._blocks.certificate(height)

    def certificate_bytes(self, height: int) -> bytes:
        """Return a certificate of a header that is there: 1 to the tip's height."""
        return self._blocks.certificate_bytes(height)

    def certified_block(self, height: int) -> CertifiedBlock:
        """Return a block as other nodes fetch it. Raises NotFound as `header`."""
        return self._blocks.certified_block(height)

    def transactions(self, height: int) -> tuple[bytes, ...]:
        """Return the envelopes of a block's transactions. Raises NotFound as `header`."""
        return self._blocks.envelopes(height, self._count(height))

    def receipts(self, height: int) -> tuple[Receipt, ...]:
        """Return a block's receipts. Raises NotFound as `header`."""
        return self._blocks.receipts(height, self._count(height))

    def transaction(self, height: int, position: int) -> bytes:
        """Return the envelope of one transaction.

        Raises:
            NotFound: there is no such block, or it holds fewer transactions.
        """
        return self._blocks.envelope(height, position, self._count_above(height, position))

    def receipt(self, height: int, position: int) -> Receipt:
        """Return the receipt of one transaction. Raises NotFound as `transaction`."""
        return self._blocks.receipt(height, position, self._count_above(height, position))

    def find_transaction(self, tx_id: bytes) -> tuple[int, int] | None:
        """Return (height, position) of a committed transaction, or None."""
        return self._transactions.find(tx_id)

    def is_replayed(self, tx_id: bytes) -> bool:
        """Whether a committed block holds the transaction, if it is one that the next block may hold by its window.

        What was valid at most `MAX_VALID_HEIGHTS` ahead cannot come again when its block lies deeper than that.
        """
        return self._ids.has(tx_id)

    def log_size_before(self, height: int) -> int:
        """Return the log index of a block's first record; `height` is 1 to one above the tip's."""
        return self._blocks.header(height - 1)[1].log_size if height > 1 else 0

    def _count(self, height: int) -> int:
        return self._blocks.header(height)[1].tx_count

    def _count_above(self, height: int, position: int) -> int:
        count = self._count(height)
        if not 0 <= position < count:
            raise NotFound(
                f"block {height} holds {count} transactions; there is no number {position}",
                code="unknown_transaction",
                field="position",
            )
        return count

    # -- the log and the state -----------------------------------------------------------------------------

    def leaf(self, index: int) -> bytes:
        """Return a record's leaf. Raises NotFound with code `unknown_record`."""
        return self.leaves(index, 1)[0]

    def leaves(self, first: int, count: int) -> tuple[bytes, ...]:
        """Return `count` leaves, 1 to 1,024, from `first` on.

        Raises:
            NotFound: with code `unknown_record` if the log does not hold all of them, or they are too many.
        """
        if first < 0 or not 1 <= count <= MAX_LEAVES_READ:
            raise NotFound(
                f"found {count} records from {first}; expected 1 to {MAX_LEAVES_READ} from 0 or more",
                code="unknown_record",
                field="count",
            )
        self._check_in_log(first + count, "index")
        return self._log.leaves(first, count)

    def locate_record(self, index: int) -> Height:
        """Return the height of the block that holds a record. Raises NotFound as `leaf`."""
        leaf = self.leaf(index)
        with stored(f"leaf {index}"):
            return decode_record(leaf).height

    def height_from(self, time_ms: int) -> Height:
        """Return the first height whose block is not before `time_ms`; one above the tip's if there is none."""
        low, high = 1, self._tip.height + 1
        while low < high:
            middle = (low + high) // 2
            if self._blocks.header(middle)[1].time_ms < time_ms:
                low = middle + 1
            else:
                high = middle
        return Height(low)

    def lookup(self, key: bytes, limit: int, after: int | None = None) -> list[int]:
        """Return at most `limit` (>= 1) indices of records found by `key`, rising, above `after` if given."""
        return self._log.lookup(key, limit, after, self._tip.log_size)

    def tile(self, level: int, index: int) -> bytes | None:
        """Return the widest version of a hash tile, or None if the log has not reached it."""
        return self._log.tile(level, index)

    def log_root_at(self, size: int) -> bytes:
        """Return the log's root when it had `size` leaves; costs at most 63 small reads.

        Raises:
            NotFound: with code `unknown_record` if the log is smaller.
        """
        self._check_in_log(size, "size")
        return self._log.frontier(size).root(self.genesis.suite)

    def inclusion_proof(self, index: int, size: int) -> tuple[bytes, ...]:
        """Return the proof that the tree of the first `size` leaves holds the leaf `index`.

        Raises:
            NotFound: with code `unknown_record` if the log is smaller.
            ProofInvalid: `index` is not below `size`.
        """
        self._check_in_log(size, "size")
        suite = self.genesis.suite
        return inclusion_proof_from(suite, self._log.hash_reader(size), index, size)

    def consistency_proof(self, old: int, new: int) -> tuple[bytes, ...]:
        """Return the proof that the tree of `old` leaves is a prefix of that of `new`.

        Raises:
            NotFound: with code `unknown_record` if the log is smaller.
            ProofInvalid: `old` is above `new`.
        """
        self._check_in_log(new, "size")
        return consistency_proof_from(self.genesis.suite, self._log.hash_reader(new), old, new)

    def prove_state(self, key: bytes, height: int) -> tuple[bytes | None, StateProof]:
        """Return the value of a state key after block `height` (or None) with the proof of it.

        Raises:
            NotFound: with code `unknown_height` if there is no such block.
            Unavailable: with code `pruned` if that state is no longer kept.
        """
        if not 0 <= height <= self._tip.height:
            raise NotFound(
                f"there is no block {height}; the tip is {self._tip.height}",
                code="unknown_height",
                field="height",
            )
        return self.state.prove(key, height)

    def _check_in_log(self, size: int, field: str) -> None:
        if not 0 <= size <= self._tip.log_size:
            raise NotFound(
                f"the log holds {self._tip.log_size} records; {size} were asked for",
                code="unknown_record",
                field=field,
            )
