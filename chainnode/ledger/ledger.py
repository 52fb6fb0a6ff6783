"""The ledger: the chain as this node holds it. Builds, judges and commits blocks, and answers for all of them.

A block goes through `build` (as its proposer) or `execute` (as any other validator), which change nothing, and
through `commit`, which is one atomic, synced batch. So a restart finds some block's end and never a part of one.

    InvalidBlock (ChainError)    the block breaks a rule, or its results are not ours
    StorageFault (NodeFault)     the store fails or is damaged; after a failed write nothing answers any more

What can be asked of it is in `reader`.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from chainnode.ledger import checks
from chainnode.ledger.candidate_store import CandidateStore
from chainnode.ledger.errors import InvalidBlock
from chainnode.ledger.execution import Base, Executed
from chainnode.ledger.guarded_store import GuardedStore
from chainnode.ledger.reader import ChainReader
from chainnode.ledger.reinstatement import next_word, stored_reinstatement
from chainnode.ledger.stored import stored
from chainnode.ledger.tip import Tip, TipRecord
from chainnode.ledger.validator_history import DELAY, put_validators
from chainnode.model import codec
from chainnode.model.block import make_outline
from chainnode.model.certificate import decode_certificate
from chainnode.model.errors import InvariantViolation, StorageFault
from chainnode.model.ids import Height
from chainnode.model.limits import STATE_PROOF_HEIGHTS, STATE_PROOF_MS
from chainnode.storage import keys
from chainnode.storage.kv import WriteBatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainnode.ledger.reinstatement import Reinstatement
    from chainnode.model.block import Outline
    from chainnode.model.certificate import Certificate
    from chainnode.model.genesis import Genesis
    from chainnode.model.transaction import Transaction
    from chainnode.storage.kv import KeyValueStore

_STATE_HEIGHTS_PER_BLOCK: Final = 4
"""By how many heights the window of state proofs may follow the tip at once, so that a block's work is bounded."""

_TESTIMONY_HEIGHTS: Final = 1_000
"""Heights for which testimony is kept: a fork that nobody met for so long is found by other means."""

_TESTIMONIES_DROPPED: Final = 16
"""Older ones that go when one comes, so that a height's work is bounded."""


class Ledger(ChainReader):
    """The chain up to its tip, to read and to extend. One writer; calls do not overlap."""

    def __init__(self, store: KeyValueStore, genesis: Genesis) -> None:
        """Use `Ledger.open`."""
        self._store = GuardedStore(store)
        super().__init__(self._store, genesis)
        self._candidates = CandidateStore(self._store, genesis.domain)
        self._voted = _read_voted(self._store)

    @classmethod
    def open(cls, store: KeyValueStore, genesis: Genesis) -> Ledger:
        """Return the ledger in `store`, which becomes a chain at height 0 if it is empty.

        Raises:
            Refused: with code `other_genesis` if the store holds another chain.
            StorageFault: the store is damaged.
        """
        return cls(store, genesis)

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
        useless = checks.useless_reports(candidates, results.receipts)
        if useless:
            # A failed transaction changes nothing for the others, so that the second time there are none.
            candidates = tuple(t for t in candidates if t.id not in useless)
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
        checks.check_reports(transactions, results.receipts)
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

    def commit(
        self, executed: Executed, certificate: Certificate, *, voted_height: int = 0
    ) -> None:
        """Make an executed block the tip.

        Args:
            executed: from `build` or `execute` on the present tip.
            certificate: of this block, verified by the caller.
            voted_height: the highest height at which this validator has voted, as far as it knows; noted with the
                block, so that an older vote log is known to be older.

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
        log_size = self._tip.log_size
        self._transactions.stage(batch, header.height, log_size, executed.transactions)
        results.log.write(batch)
        results.state.write(batch)
        self.state.prune(batch, height=header.height, below_height=state_from)
        if results.new_validators is not None:
            put_validators(batch, header.height + DELAY, results.new_validators)
        failed = self._leaders.stage(batch, _parent_view(outline))
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
        if voted_height > (self._voted or 0):
            batch.put(keys.VOTED, encode_voted(voted_height))
            self._voted = voted_height
        self._candidates.forget(batch)
        self._store.write(batch, sync=True)
        # A crash before this line leaves the block as a whole or nothing of it, and a restart is level with its
        # tip record either way. After it the block is there for good: what follows is memory alone.
        if results.new_validators is not None:
            self._validators.add(header.height + DELAY, results.new_validators)
        self._transactions.committed(header.height, log_size)
        self._ids.committed(
            header.height, (transaction.id for transaction in executed.transactions)
        )
        self._leaders.committed(failed)
        self.state.committed(results.state)
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
            validators_at=self._validators.at,
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
                    f"executed again: {error.message}; this node's software or data is or was wrong: "
                    "once both are right, rebuild its store from the blocks"
                ) from error
        return tuple(recovered)

    def take_over(self, old: KeyValueStore) -> None:
        """Keep, synced, what another store of this home, with the same tip, has beside its blocks.

        That is the blocks voted for, the note of the last vote, and the alliance's word. What cannot be read there is left
        out: rebuilding is for damaged stores.
        """
        self.note_vote()
        with contextlib.suppress(StorageFault):
            self.note_vote(_read_voted(old) or 0)
        with contextlib.suppress(StorageFault):
            word = old.get(keys.REINSTATED)
            if word is not None:
                self._keep_reinstatement(stored_reinstatement(word))
        with contextlib.suppress(StorageFault):
            for outline, transactions in CandidateStore(old, self.genesis.domain).readable():
                with contextlib.suppress(InvalidBlock):
                    self.keep_candidate(self.execute(outline, transactions))

    # -- kept for the engine -------------------------------------------------------------------------------

    def save_checkpoint(self, data: bytes) -> None:
        """Keep the engine's newest cosigned checkpoint; a crash may bring an older one back."""
        batch = WriteBatch()
        batch.put(keys.CHECKPOINT, data)
        self._store.write(batch, sync=False)

    def load_checkpoint(self) -> bytes | None:
        """Return what was saved last, or an earlier one after a crash, or None."""
        return self._store.get(keys.CHECKPOINT)

    def save_testimony(self, height: int, data: bytes) -> None:
        """Keep what convicts liars of a height, for 1,000 heights; the next block's synced batch makes it durable."""
        batch = WriteBatch()
        last = keys.testimony(max(0, height - _TESTIMONY_HEIGHTS))
        for key, _ in self._store.scan(keys.testimony(0), last, limit=_TESTIMONIES_DROPPED):
            batch.delete(key)
        batch.put(keys.testimony(height), data)
        self._store.write(batch, sync=False)

    def load_testimony(self, height: int) -> bytes | None:
        """Return what was kept of a height, or None."""
        return self._store.get(keys.testimony(height))

    def note_vote(self, height: int = 0) -> None:
        """Remember, synced, that this validator has voted, and at least at `height`; 0 if no height is known."""
        if self._voted is not None and height <= self._voted:
            return
        batch = WriteBatch()
        batch.put(keys.VOTED, encode_voted(height))
        self._store.write(batch, sync=True)
        self._voted = height

    @property
    def voted_height(self) -> int | None:
        """The highest height at which this validator is known to have voted; 0 if only that it has, None if not even that."""
        return self._voted

    def reinstate(self, height: int) -> None:
        """Keep, synced, that the alliance lets this validator vote again from `height`, whatever it said before."""
        self._keep_reinstatement(next_word(self.reinstatement, height))

    def use_reinstatement(self) -> None:
        """Note, synced, that this validator has voted by the alliance's word, if there is one that was not used."""
        word = self.reinstatement
        if word is not None and not word.has_voted:
            self._keep_reinstatement(word.used())

    def _keep_reinstatement(self, word: Reinstatement) -> None:
        batch = WriteBatch()
        batch.put(keys.REINSTATED, word.encode())
        self._store.write(batch, sync=True)

    @property
    def reinstatement(self) -> Reinstatement | None:
        """What was given to `reinstate` last; None if nothing ever was."""
        data = self._store.get(keys.REINSTATED)
        return None if data is None else stored_reinstatement(data)

    def approximate_size_bytes(self) -> int:
        """Return how much disk the chain takes, give or take."""
        return self._store.approximate_size_bytes()


def _parent_view(outline: Outline) -> int:
    """Return the view of the parent's canonical certificate; 0 for the first block, whose parent has none."""
    data = outline.parent_certificate
    return decode_certificate(data).view if data else 0


def encode_voted(height: int) -> bytes:
    """Return how the store keeps a height by itself."""
    return codec.encode((height,))


def _read_voted(store: KeyValueStore) -> int | None:
    data = store.get(keys.VOTED)
    if data is None:
        return None
    if not data:
        # As earlier versions noted it: that it has voted, and no height.
        return 0
    return _read_height(data, "the note of the last vote")


def _read_height(data: bytes, what: str) -> int:
    with stored(what):
        (height,) = codec.decode_array(data, max_bytes=16, arity=1, what="height")
        return codec.integer(height, "height")
