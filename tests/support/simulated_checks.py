"""What must hold at every moment of a simulation, whatever fails: the observer sees all that is said and decided.

It restates the promises and shares no code with the engine: one block per height, one vote per validator and place,
no vote that forgets a lock, no certificate that does not hold, no cosignature of what is not decided, no transaction
twice, nothing that was announced as committed is lost by a crash.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chainnode.engine.message_codec import decode_message
from chainnode.engine.messages import (
    CosignatureMessage,
    ProposeMessage,
    ViewChangeMessage,
    Vote,
)
from chainnode.model.block import decode_outline
from chainnode.model.certificate import decode_certificate, verify_certificate
from chainnode.model.checkpoint import Checkpoint
from chainnode.model.cosignature import verify_cosignature
from chainnode.model.note import Signature, cosigner_key
from chainnode.model.votes import COMMIT, PREPARE, PROPOSE
from tests.support.message_kinds import Kind, kind_of

if TYPE_CHECKING:
    from chainnode.ledger.execution import Executed
    from chainnode.ledger.ledger import Ledger
    from chainnode.model.certificate import Certificate
    from chainnode.model.cosigned import CosignedCheckpoint
    from chainnode.model.genesis import Genesis
    from chainnode.model.header import Header
    from chainnode.model.validators import Validator, ValidatorSet


class Violation(AssertionError):
    """A promise was broken."""


@dataclass(frozen=True)
class Decision:
    """A block that some correct node has committed."""

    header: Header
    block_hash: bytes
    tx_ids: tuple[bytes, ...]
    parent_certificate: bytes


_CHECKED_KINDS = {
    Kind.PROPOSE,
    Kind.PREPARE,
    Kind.COMMIT,
    Kind.VIEW_CHANGE,
    Kind.COSIGNATURE,
}


class Observer:
    """Sees everything; raises Violation."""

    def __init__(self, genesis: Genesis) -> None:
        self._genesis = genesis
        self._sets: list[tuple[int, ValidatorSet]] = [(1, genesis.validator_set)]
        self.faulty: frozenset[str] = frozenset()
        """Validators of which nothing is promised; they may be accused, and nobody else."""

        self.decisions: dict[int, Decision] = {}
        """By height, what the first correct node committed there."""

        self.acknowledged: dict[bytes, int] = {}
        """Transactions of decided blocks, with their heights."""

        self.tips: dict[str, int] = {}
        """By host, the newest height that it announced."""

        self.events: Counter[str] = Counter()
        """How often correct nodes have logged each event."""

        self.refusals: Counter[str] = Counter()
        """The codes of `message_refused` among them."""

        self.accusations: Counter[str] = Counter()
        """Those of `events` that say that somebody broke the protocol."""

        self._accused: set[tuple[str, int, str]] = set()
        self.expected_faults = False
        """Whether a correct node may accuse another in this run, since its own disk was tampered with."""

        self.tolerates_forks = False
        """Whether more than f validators lie in this run, so that a fork is no surprise; see `forks`."""

        self.forks: list[int] = []
        """Heights for which a second block was committed; from the first of them on, little else is checked."""

        self.voted: dict[str, list[tuple[int, int, int]]] = {}
        """(kind, height, view) of each vote, proposal included, by validator, in the order in which they were heard."""

        self._failed_turns: list[tuple[int, tuple[str, ...]]] = []
        self._orders: dict[int, tuple[int, ...]] = {}
        self._votes: dict[tuple[int, int, int, int], bytes] = {}
        self._commits: dict[tuple[int, int], int] = {}
        self._changes: dict[tuple[int, int, int], int | None] = {}
        self._certificates: set[bytes] = set()
        self._seen: set[bytes] = set()

    # -- what is decided -----------------------------------------------------------------------------------

    def booted(self, name: str, ledger: Ledger) -> None:
        """A node has opened its disk: it must hold all that it ever announced."""
        announced = self.tips.get(name, 0)
        if ledger.tip.height < announced:
            raise Violation(
                f"{name} announced block {announced} and restarts at {ledger.tip.height}"
            )
        for height in range(announced + 1, ledger.tip.height + 1):
            block = ledger.certified_block(height)
            self._governs(height + 2, ledger.validators(height + 2))
            _, certificate = ledger.header(height)
            ids = tuple(ledger.receipts(height))
            self._decide(
                name,
                Decision(
                    block.header,
                    block.block_hash,
                    tuple(r.tx_id for r in ids),
                    block.parent_certificate,
                ),
                certificate,
            )

    def committed(self, name: str, executed: Executed, certificate: Certificate) -> None:
        """A node says that a block is decided and on its disk."""
        outline = executed.outline
        ids = tuple(t.id for t in executed.transactions)
        self._check_results(name, executed)
        if executed.results.new_validators is not None:
            self._governs(outline.header.height + 2, executed.results.new_validators)
        decision = Decision(outline.header, outline.block_hash, ids, outline.parent_certificate)
        self._decide(name, decision, certificate)

    def _check_results(self, name: str, executed: Executed) -> None:
        """What a decided header says came of its transactions is what came of them at this node."""
        header, results = executed.outline.header, executed.results
        found = (results.receipts_root, results.log.size, results.log.root, results.state.root)
        if found != (header.receipts_root, header.log_size, header.log_root, header.state_root):
            raise Violation(f"{name} commits {header.height} with other results than its header's")

    def _decide(self, name: str, decision: Decision, certificate: Certificate) -> None:
        height = decision.header.height
        if height != self.tips.get(name, 0) + 1:
            raise Violation(f"{name} commits {height} on {self.tips.get(name, 0)}")
        self.tips[name] = height
        if self.forks:
            return
        if (certificate.height, certificate.block_hash) != (height, decision.block_hash):
            raise Violation(f"{name} commits {height} with a certificate of another block")
        encoded = certificate.encode()
        if encoded not in self._certificates:
            verify_certificate(certificate, self._genesis.domain, self.validators(height))
            self._certificates.add(encoded)
        known = self.decisions.get(height)
        if known is not None:
            if known.block_hash != decision.block_hash:
                self.forks.append(height)
                if self.tolerates_forks:
                    return
                raise Violation(
                    f"fork: {name} commits another block {height} than the first one did"
                )
            return
        self._check_parent(decision)
        for tx_id in decision.tx_ids:
            if tx_id in self.acknowledged:
                raise Violation(
                    f"transaction {tx_id.hex()} in block {self.acknowledged[tx_id]} and in {height}"
                )
            self.acknowledged[tx_id] = height
        self.decisions[height] = decision
        if decision.parent_certificate:
            self._note_failed_turns(decode_certificate(decision.parent_certificate))

    def validators(self, height: int) -> ValidatorSet:
        """Return the set that governs a height, as the decided blocks say."""
        return next(members for first, members in reversed(self._sets) if first <= height)

    def _governs(self, from_height: int, members: ValidatorSet) -> None:
        if from_height > self._sets[-1][0] and members != self._sets[-1][1]:
            self._sets.append((from_height, members))

    def leaders(self, height: int) -> tuple[int, ...]:
        """Return who leads view 0, 1, ... of a height (R2), restated from the protocol's page."""
        known = self._orders.get(height)
        if known is None:
            members = self.validators(height).members
            names = [member.name for member in members]
            rotation = [(height + i) % len(names) for i in range(len(names))]
            skipped: list[int] = []
            first = height - 2 - self._genesis.parameters.skip_heights
            for failed_at, failed in reversed(self._failed_turns):
                if not first <= failed_at <= height - 3:
                    continue
                for name in failed:
                    if name in names and names.index(name) not in skipped:
                        skipped.append(names.index(name))
            skipped = skipped[: (len(names) - 1) // 3]
            known = tuple(
                [i for i in rotation if i not in skipped] + [i for i in rotation if i in skipped]
            )
            self._orders[height] = known
        return known

    def _note_failed_turns(self, certificate: Certificate) -> None:
        """Remember who led the views in which a height was not decided, the latest first."""
        height = certificate.height
        if certificate.view:
            order, members = self.leaders(height), self.validators(height).members
            names: list[str] = []
            for view in reversed(range(certificate.view)):
                name = members[order[view % len(order)]].name
                if name not in names:
                    names.append(name)
            self._failed_turns.append((height, tuple(names)))
        for later in [h for h in self._orders if h > height + 2]:
            del self._orders[later]

    def _member(self, height: int, index: int) -> Validator:
        return self.validators(height).members[index]

    def _check_parent(self, decision: Decision) -> None:
        header = decision.header
        for found, height in (
            (header.validators_hash, header.height),
            (header.next_validators_hash, header.height + 1),
        ):
            if found != self.validators(height).hash(self._genesis.domain):
                raise Violation(f"block {header.height} names another set for {height}")
        parent = self.decisions.get(header.height - 1)
        if parent is None:
            if header.height != 1:
                raise Violation(f"block {header.height} without its parent")
            return
        if header.parent_hash != parent.block_hash:
            raise Violation(f"block {header.height} does not name block {header.height - 1}")
        if header.time_ms <= parent.header.time_ms or header.log_size <= parent.header.log_size:
            raise Violation(f"time or log of block {header.height} does not grow")

    def restored(self, name: str, height: int) -> None:
        """A person has put a store of `height` under a node: what it announced above may be gone."""
        self.tips[name] = min(self.tips[name], height)

    # -- what is said --------------------------------------------------------------------------------------

    def said(self, name: str, data: bytes) -> None:
        """A node sends this to somebody."""
        if kind_of(data) not in _CHECKED_KINDS or data in self._seen:
            return
        self._seen.add(data)
        message = decode_message(data)
        match message:
            case Vote():
                self._vote(
                    message.kind, message.height, message.view, message.sender, message.digest
                )
            case ProposeMessage():
                digest = decode_outline(self._genesis.domain, message.outline).block_hash
                self._vote(PROPOSE, message.height, message.view, message.sender, digest)
            case ViewChangeMessage():
                change = message.change
                view = None if change.prepared is None else change.prepared[0]
                self._change(change.height, change.view, change.sender, view)
            case CosignatureMessage():
                self._cosignature(name, message)

    def _vote(self, kind: int, height: int, view: int, sender: int, digest: bytes) -> None:
        # A proposal counts as its leader's PREPARE, so the two must agree as well.
        slot = (PREPARE if kind == PROPOSE else kind, height, view, sender)
        name = self._member(height, sender).name
        if name in self.faulty:
            return
        if slot not in self._votes:
            self.voted.setdefault(name, []).append((kind, height, view))
        if self._votes.setdefault(slot, digest) != digest:
            raise Violation(f"{name} votes twice: kind {kind}, height {height}, view {view}")
        if kind == COMMIT:
            key = (height, sender)
            self._commits[key] = max(self._commits.get(key, -1), view)
            for (h, to_view, who), locked in self._changes.items():
                if (h, who) == key:
                    self._check_memory(sender, height, view, to_view, locked)

    def _change(self, height: int, view: int, sender: int, locked: int | None) -> None:
        name = self._member(height, sender).name
        if name in self.faulty:
            return
        if self._changes.setdefault((height, view, sender), locked) != locked:
            raise Violation(f"{name} asks twice for height {height}, view {view}")
        committed = self._commits.get((height, sender))
        if committed is not None and committed < view:
            self._check_memory(sender, height, committed, view, locked)

    def _check_memory(
        self, sender: int, height: int, committed: int, to_view: int, locked: int | None
    ) -> None:
        if to_view > committed and (locked is None or locked < committed):
            raise Violation(
                f"{self._member(height, sender).name} forgot: COMMIT in view {committed} of height {height}, "
                f"and a view change to {to_view} that states a lock of {locked}"
            )

    def _cosignature(self, name: str, message: CosignatureMessage) -> None:
        member = self._member(message.height, message.sender)
        if member.name in self.faulty or self.forks:
            return
        if message.height not in self.decisions:
            raise Violation(
                f"{name} sends a cosignature of {message.height}, which nobody has decided"
            )
        if member.name == name and self.tips.get(name, 0) < message.height:
            raise Violation(f"{name} cosigns {message.height} before it is on its disk")
        key = cosigner_key(
            self._genesis.suite, f"{self._genesis.chain_id}/{member.name}", member.cosigner_key
        )
        value = message.timestamp.to_bytes(8, "big") + message.signature
        signature = Signature(name=key.name, key_id=key.key_id, value=value)
        verify_cosignature(key, self._checkpoint(message.height).text(), signature)

    def cosigned(self, name: str, cosigned: CosignedCheckpoint) -> None:
        """A node says that a quorum has cosigned."""
        if self.forks:
            return
        if cosigned.checkpoint != self._checkpoint(cosigned.height):
            raise Violation(f"{name}: a quorum cosigned another log than that of {cosigned.height}")
        names = {s.name for s in cosigned.signatures}
        if len(names) < self.validators(cosigned.height).quorum:
            raise Violation(f"{name}: {cosigned.height} is cosigned by {sorted(names)} only")

    def _checkpoint(self, height: int) -> Checkpoint:
        header = self.decisions[height].header
        return Checkpoint(origin=self._genesis.chain_id, size=header.log_size, root=header.log_root)

    def happened(self, name: str, event: str, fields: dict[str, int | str]) -> None:
        """The engine logs something."""
        self.events[event] += 1
        if event == "message_refused":
            self.refusals[str(fields["code"])] += 1
        if event in {"misbehaviour_proven", "peer_fault", "block_refused"}:
            self.accusations[event] += 1
            self._accused.add(self._accusation(name, event, fields))
            is_blind = self.expected_faults or self.forks
            if not is_blind and not self._is_rightly_accused(event, fields):
                raise Violation(f"{name} accuses a correct node: {event} {fields}")

    def has_accused(self, name: str, height: int, validator: str) -> bool:
        """Whether a node has said at a height that a validator misbehaves, or has not listened to it any more."""
        return (name, height, validator) in self._accused

    def _is_rightly_accused(self, event: str, fields: dict[str, int | str]) -> bool:
        if event == "block_refused":
            # Who proposed it is not told: that some proposer is faulty must do.
            return bool(self.faulty)
        if event == "peer_fault":
            return fields["peer"] in self.faulty
        return self._accusation("", event, fields)[2] in self.faulty

    def _accusation(
        self, name: str, event: str, fields: dict[str, int | str]
    ) -> tuple[str, int, str]:
        """Return who accuses whom, and of which height."""
        if event != "misbehaviour_proven":
            return name, self.tips.get(name, 0) + 1, str(fields.get("peer", ""))
        if "validator" in fields:
            return name, int(fields["height"]), str(fields["validator"])
        found = re.search(r"height=(\d+).*?sender=(\d+)", str(fields["evidence"]))
        assert found is not None
        height = int(found[1])
        return name, height, self._member(height, int(found[2])).name

    # -- in the end ----------------------------------------------------------------------------------------

    def check_same_history(self, ledgers: dict[str, Ledger]) -> None:
        """Every node has every acknowledged transaction at its place, and the same roots."""
        tips = {(ledger.tip.height, ledger.tip.block_hash) for ledger in ledgers.values()}
        if len(tips) != 1:
            raise Violation(f"the tips differ: { {n: ld.tip.height for n, ld in ledgers.items()} }")
        for name, ledger in ledgers.items():
            header = ledger.tip.header
            if header is not None and ledger.state.root() != header.state_root:
                raise Violation(f"{name}: its state is not that of its tip")
            for tx_id, height in self.acknowledged.items():
                found = ledger.find_transaction(tx_id)
                if found is None or found[0] != height:
                    raise Violation(
                        f"{name} has transaction {tx_id.hex()} at {found}, not in {height}"
                    )
