"""The ledger: the chain as this node holds it. Builds, judges, commits and proves blocks.

A block goes through `build` (as its proposer) or `execute` (as any other validator), which change nothing, and
through `commit`, which is one atomic, synced batch. So a restart finds some block's end and never a part of one.

    InvalidBlock (ChainError)    the block breaks a rule, or its results are not ours
    NotFound, Unavailable        what is asked for is not here, or no longer
    StorageFault (NodeFault)     the store fails or is damaged; after a failed write nothing answers any more
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chainnode.ledger import checks
from chainnode.ledger.block_store import BlockStore
from chainnode.ledger.candidate_store import CandidateStore
from chainnode.ledger.errors import InvalidBlock
from chainnode.ledger.execution import Base, Executed
from chainnode.ledger.guarded_store import GuardedStore
from chainnode.ledger.log_store import LogStore
from chainnode.ledger.opening import open_chain
from chainnode.ledger.state_store import StateStore
from chainnode.ledger.stored import stored
from chainnode.ledger.tip import Tip, TipRecord
from chainnode.ledger.validator_history import DELAY, ValidatorHistory, put_validators
from chainnode.model.block import make_outline
from chainnode.model.errors import InvariantViolation, NotFound
from chainnode.model.ids import Height
from chainnode.model.limits import STATE_PROOF_HEIGHTS, STATE_PROOF_MS
from chainnode.model.merkle import consistency_proof_from, inclusion_proof_from
from chainnode.model.record import decode_record
from chainnode.storage import keys
from chainnode.storage.kv import WriteBatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainnode.model.block import CertifiedBlock, Outline
    from chainnode.model.certificate import Certificate
    from chainnode.model.genesis import Genesis
    from chainnode.model.merkle import Frontier
    from chainnode.model.receipt import Receipt
    from chainnode.model.state_tree import StateProof
    from chainnode.model.transaction import Transaction
    from chainnode.model.validators import ValidatorSet
    from chainnode.storage.kv import KeyValueStore

MAX_LEAVES_READ: Final = 1_024
"""Leaves of one `leaves` call: 32 MiB of the longest, four entry bundles of the usual."""

_STATE_HEIGHTS_PER_BLOCK: Final = 4
"""By how many heights the window of state proofs may follow the tip at once, so that a block's work is bounded."""


class Ledger:
    """The chain up to its tip. One writer; calls do not overlap."""

    def __init__(self, store: KeyValueStore, genesis: Genesis) -> None:
        """Use `Ledger.open`."""
        self.genesis: Final = genesis
        self._store = GuardedStore(store)
        self.state: Final = StateStore(self._store, genesis.suite)
        self._blocks = BlockStore(self._store, genesis.domain)
        self._log = LogStore(self._store, genesis.suite)
        self._candidates = CandidateStore(self._store, genesis.domain)
        self._validators = ValidatorHistory(self._store, genesis.suite)
        opened = open_chain(
            self._store, genesis, blocks=self._blocks, log=self._log, state=self.state
        )
        self._validators.load()
        self._tip = opened.tip
        self._frontier: Frontier = opened.frontier
        self._state_from = opened.state_from

    @classmethod
    def open(cls, store: KeyValueStore, genesis: Genesis) -> Ledger:
        """Return the ledger in `store`, which becomes a chain at height 0 if it is empty.

        Raises:
            Refused: with code `other_genesis` if the store holds another chain.
            StorageFault: the store is damaged.
        """
        return cls(store, genesis)

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

    # -- blocks on their way in ----------------------------------------------------------------------------

    def build(
        self, *, transactions: Sequence[Transaction], time_ms: int, first_view: int, proposer: str
    ) -> Executed:
        """Make the block after the tip, as its proposer.

        Args:
            transactions: verified candidates; taken from the front as far as the limits allow. Those that no block
                of this height may hold are left out.
            time_ms: the block's time, above the tip's.
            first_view: the view of this first proposal.
            proposer: this validator's name.

        Raises:
            InvalidBlock: the time does not rise, or the proposer is no validator.
            NodeFault: as `execute`.
        """
        base = self._base()
        checks.check_time(time_ms, self._tip)
        checks.check_proposer(proposer, base.current)
        candidates = checks.eligible(
            transactions,
            chain_id=self.genesis.chain_id,
            height=self._tip.height + 1,
            parameters=self.genesis.parameters,
            is_replayed=self.is_replayed,
        )
        results = base.run(candidates, time_ms=time_ms, first_view=first_view)
        included = candidates[: results.included]
        tx_hashes = tuple(transaction.hash for transaction in included)
        parent_certificate = self._tip.certificate_bytes
        header = base.header(
            results,
            tx_hashes=tx_hashes,
            parent_certificate=parent_certificate,
            time_ms=time_ms,
            first_view=first_view,
            proposer=proposer,
        )
        outline = make_outline(
            self.genesis.domain,
            header=header,
            parent_certificate=parent_certificate,
            tx_hashes=tx_hashes,
        )
        return Executed(outline=outline, transactions=included, results=results)

    def execute(self, outline: Outline, transactions: Sequence[Transaction]) -> Executed:
        """Judge a proposed or certified block on the tip, as a validator; changes nothing.

        Whether its proposer led its first view, and whether its time is near our clock, is for the engine to judge.

        Args:
            outline: the block; its own parts agree, since it was decoded.
            transactions: those that it names, in its order, with verified signatures.

        Raises:
            InvalidBlock: with code `result_mismatch` if every rule holds and the results differ from ours; any other
                code if it breaks a rule.
            NodeFault: the store fails, or a contract did what it must not.
        """
        base = self._base()
        header = outline.header
        self._check_header(outline, base)
        checks.check_transaction_root(outline, self.genesis.suite)
        checks.check_transaction_names(outline, transactions)
        checks.check_size(transactions, self.genesis.parameters)
        checks.check_transactions(
            transactions,
            chain_id=self.genesis.chain_id,
            height=header.height,
            is_replayed=self.is_replayed,
        )
        results = base.run(transactions, time_ms=header.time_ms, first_view=header.first_view)
        checks.check_all_included(results.included, header)
        ours = base.header(
            results,
            tx_hashes=outline.tx_hashes,
            parent_certificate=outline.parent_certificate,
            time_ms=header.time_ms,
            first_view=header.first_view,
            proposer=header.proposer,
        )
        checks.check_results(header, ours)
        return Executed(outline=outline, transactions=tuple(transactions), results=results)

    def commit(self, executed: Executed, certificate: Certificate) -> None:
        """Make an executed block the tip.

        Args:
            executed: from `build` or `execute` on the present tip.
            certificate: of this block, verified by the caller.

        Raises:
            InvariantViolation: the block does not follow the tip, or the certificate is not its own.
            StorageFault: the write failed; whether the block is there, only a restart can tell.
        """
        outline, results = executed.outline, executed.results
        header = outline.header
        self._check_commit(executed, certificate)
        state_from = self._next_state_from(header.height, header.time_ms)
        batch = WriteBatch()
        self._blocks.put_block(
            batch,
            header.height,
            header_bytes=outline.header_bytes,
            parent_certificate=outline.parent_certificate,
            certificate=certificate.encode(),
            transactions=executed.transactions,
            receipts=results.encoded_receipts,
        )
        results.log.write(batch)
        results.state.write(batch)
        self.state.prune(batch, height=header.height, below_height=state_from)
        if results.new_validators is not None:
            put_validators(batch, header.height + DELAY, results.new_validators)
        tip = Tip(
            height=header.height,
            block_hash=outline.block_hash,
            header=header,
            header_bytes=outline.header_bytes,
            certificate=certificate,
            time_ms=header.time_ms,
            log_size=header.log_size,
            log_root=header.log_root,
            state_root=header.state_root,
        )
        record = TipRecord(
            height=tip.height,
            block_hash=tip.block_hash,
            log_size=tip.log_size,
            log_root=tip.log_root,
            state_root=tip.state_root,
            state_from=state_from,
        )
        batch.put(keys.TIP, record.encode())
        self._candidates.forget(batch)
        self._store.write(batch, sync=True)
        # A crash before this line leaves the block as a whole or nothing of it, and a restart is level with its
        # tip record either way. After it the block is there for good: what follows is memory alone.
        if results.new_validators is not None:
            self._validators.add(header.height + DELAY, results.new_validators)
        self._candidates.forgotten()
        self._tip = tip
        self._frontier = results.log.growth.frontier
        self._state_from = state_from

    def _base(self) -> Base:
        height = self._tip.height
        return Base(
            genesis=self.genesis,
            tip=self._tip,
            state=self.state,
            log=self._log,
            frontier=self._frontier,
            current=self._validators.at(height + 1),
            following=self._validators.at(height + 2),
        )

    def _check_header(self, outline: Outline, base: Base) -> None:
        header, tip, domain = outline.header, self._tip, self.genesis.domain
        parents = self._validators.at(tip.height) if tip.height else None
        checks.check_rules_version(header, self.genesis)
        checks.check_chain(header, self.genesis)
        checks.check_height(header, tip)
        checks.check_parent(header, tip)
        checks.check_time(header.time_ms, tip)
        checks.check_parameters(header, self.genesis)
        checks.check_validators(header, domain, base.current, base.following)
        checks.check_proposer(header.proposer, base.current)
        checks.check_parent_certificate(outline, domain, tip, parents)

    def _check_commit(self, executed: Executed, certificate: Certificate) -> None:
        header = executed.outline.header
        if (header.height, header.parent_hash) != (self._tip.height + 1, self._tip.block_hash):
            raise InvariantViolation(
                f"block {header.height} was executed on another tip than {self._tip.height}"
            )
        named = (certificate.height, certificate.block_hash)
        if named != (header.height, executed.outline.block_hash):
            raise InvariantViolation(
                f"the certificate given with block {header.height} is of another block"
            )

    def _next_state_from(self, height: int, time_ms: int) -> Height:
        """Return where the window of state proofs begins once `height` is committed."""
        start = self._state_from
        for _ in range(_STATE_HEIGHTS_PER_BLOCK):
            if start + STATE_PROOF_HEIGHTS >= height:
                break
            if self._blocks.header(start + 1)[1].time_ms + STATE_PROOF_MS > time_ms:
                break
            start = Height(start + 1)
        return start

    # -- blocks that are there -----------------------------------------------------------------------------

    def header(self, height: int) -> tuple[bytes, Certificate]:
        """Return a header's bytes and a certificate of it.

        Raises:
            NotFound: with code `unknown_height` if there is no such block (also: for height 0).
        """
        return self._blocks.header_bytes(height), self._blocks.certificate(height)

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
        return self._blocks.find_transaction(tx_id)

    def is_replayed(self, tx_id: bytes) -> bool:
        """Whether a committed block holds the transaction."""
        return self._blocks.has_transaction(tx_id)

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

    def lookup(self, key: bytes, limit: int, after: int | None = None) -> list[int]:
        """Return at most `limit` (>= 1) indices of records found by `key`, rising, above `after` if given."""
        return self._log.lookup(key, limit, after)

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

    # -- blocks voted for ----------------------------------------------------------------------------------

    def keep_candidate(self, executed: Executed) -> None:
        """Write an executed block that is about to be voted for, synced, until its height is decided."""
        self._candidates.keep(executed)

    def recover_candidates(self) -> tuple[Executed, ...]:
        """Return the blocks that were voted for before a restart, executed again on the tip.

        Raises:
            InvariantViolation: one of them does not give the results that this node voted for.
        """
        recovered: list[Executed] = []
        for outline, transactions in self._candidates.read():
            try:
                recovered.append(self.execute(outline, transactions))
            except InvalidBlock as error:
                raise InvariantViolation(
                    f"block {outline.block_hash.hex()}, for which this node voted, is not valid when "
                    f"executed again: {error.message}"
                ) from error
        return tuple(recovered)

    # -- kept for the engine -------------------------------------------------------------------------------

    def save_checkpoint(self, data: bytes) -> None:
        """Keep the engine's newest cosigned checkpoint; a crash may bring an older one back."""
        batch = WriteBatch()
        batch.put(keys.CHECKPOINT, data)
        self._store.write(batch, sync=False)

    def load_checkpoint(self) -> bytes | None:
        """Return what was saved last, or an earlier one after a crash, or None."""
        return self._store.get(keys.CHECKPOINT)

    def approximate_size_bytes(self) -> int:
        """Return how much disk the chain takes, give or take."""
        return self._store.approximate_size_bytes()
