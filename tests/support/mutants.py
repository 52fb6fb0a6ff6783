"""Seeded bugs of the protocol, each with the rule that it breaks: what the simulator is worth is how many it finds.

A mutant replaces a function or method of the real code while a simulation runs. None of them is in the product.
"""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from chainnode.engine import cluster_time
from chainnode.engine.engine import Engine
from chainnode.engine.message_codec import encode_message
from chainnode.engine.messages import CosignatureMessage
from chainnode.engine.misconduct import Misconduct
from chainnode.engine.ports import Urgency
from chainnode.engine.recovery import VotingLicence, index_of
from chainnode.engine.vote_keeping import VoteKeeper
from chainnode.ledger import checks, leader_history
from chainnode.ledger.reader import ChainReader
from chainnode.model import quorum
from chainnode.model.checkpoint import Checkpoint
from chainnode.model.cosignature import TIME_BYTES, cosign
from chainnode.model.parameters import Parameters as ChainParameters
from chainnode.storage.append_file import MemoryFile
from chainnode.storage.vote_log import VoteLog
from consensus import (
    anti_entropy,
    justification,
    messages,
    proposing,
    recovery,
    replica,
    timers,
    view_change,
    voting,
)
from consensus.effects import Locked, Outbox, ViewEntered, Voted
from consensus.messages import Commit
from consensus.parameters import Parameters
from consensus.votes import VoteTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PACKAGES = ("consensus", "chainnode")


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """A bug."""

    name: str
    rule: str
    """The rule of docs/consensus.md that it breaks, or the promise of the engine."""

    what: str
    """What the mutant does, in a sentence."""

    patch: Callable[[contextlib.ExitStack], None]

    @property
    def is_of_time(self) -> bool:
        """Whether runs that are about clocks alone are to find it; rules of time are hurt by nothing else."""
        return self.rule == "time"

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Have the bug while this lasts."""
        with contextlib.ExitStack() as stack:
            self.patch(stack)
            yield


def _set(stack: contextlib.ExitStack, owner: Any, name: str, value: Any) -> None:
    before = owner.__dict__[name] if isinstance(owner, type) else getattr(owner, name)
    setattr(owner, name, value)
    stack.callback(setattr, owner, name, before)


def _function(original: Any, mutant: Any) -> Callable[[contextlib.ExitStack], None]:
    """Replace a function wherever it was imported to, and among the core's rules."""

    def patch(stack: contextlib.ExitStack) -> None:
        for name, module in list(sys.modules.items()):
            if name.split(".")[0] not in _PACKAGES:
                continue
            for attribute, value in list(vars(module).items()):
                if value is original:
                    _set(stack, module, attribute, mutant)
        rules = tuple(mutant if rule is original else rule for rule in replica._RULES)
        _set(stack, replica, "_RULES", rules)

    return patch


def _attribute(owner: Any, name: str, mutant: Any) -> Callable[[contextlib.ExitStack], None]:
    """Replace a method of a class, or a constant of a module that nothing else imports."""
    return lambda stack: _set(stack, owner, name, mutant)


# -- R1, R2 ------------------------------------------------------------------------------------------------------


def _build_at_once(state):
    return state.started_ms


_view_deadline = timers.view_deadline_ms


def _timer_from_the_start(state):
    if state.view == 0 and state.armed_ms is None:
        return state.started_ms + state.parameters.view_timeout_ms(state.view)
    return _view_deadline(state)


def _first_leads_always(leaders, _view):
    return leaders[0]


# -- R3 ----------------------------------------------------------------------------------------------------------


def _any_justification(proposal, _n, _quorum):
    found = proposal.justification
    return None if found is None or found.prepared is None else found.prepared


_check_proposal = justification.check_proposal


def _whatever_its_time(proposal, leaders, quorum_, *, timely):
    del timely
    _check_proposal(proposal, leaders, quorum_, timely=True)


_check_justification = justification._check_justification


def _signers_counted_twice(proposal, n, quorum_):
    found = proposal.justification
    if found is None:
        return _check_justification(proposal, n, quorum_)
    if len(found.view_changes) < quorum_ or found.prepared is not None:
        return _check_justification(proposal, n, quorum_)
    if any(c.prepared_view is not None or c.view != proposal.view for c in found.view_changes):
        return _check_justification(proposal, n, quorum_)
    return None


def _unproven_locks(message, n, _quorum):
    justification.check_view_change(message.claim, n)


def _any_lock_will_do(proposal, n, quorum_):
    found = proposal.justification
    if found is not None and found.prepared is not None:
        return found.prepared
    return _check_justification(proposal, n, quorum_)


def _lowest_lock(proven):
    proofs = [m.prepared for m in proven if m.prepared is not None]
    return messages.Justification(
        view_changes=tuple(m.claim for m in proven),
        prepared=min(proofs, key=lambda p: p.view, default=None),
    )


# -- R4, R5, R6 --------------------------------------------------------------------------------------------------


_on_proposal = voting.on_proposal


def _newest_proposal(state, proposal, *, timely, now_ms, out):
    """Take a second proposal of a view for the first, and vote for it too."""
    is_current = proposal.view == state.view and state.decided is None
    if is_current and state.digest not in {None, proposal.digest}:
        state.digest = state.proposal = state.my_prepare = None
    _on_proposal(state, proposal, timely=timely, now_ms=now_ms, out=out)


def _prepare_unjudged(state, now_ms, out):
    if state.digest is None or state.my_prepare is not None or state.verdict(state.digest) is None:
        return _prepare(state, now_ms, out)
    state.verdicts[state.digest] = replace(state.verdicts[state.digest], valid=True)
    return _prepare(state, now_ms, out)


_prepare = voting.prepare
_commit = voting.commit


def _commit_early(state, now_ms, out):
    """Be content with one PREPARE less."""
    start = state.start
    state.start = (
        replace(start, quorum=start.quorum - 1) if 2 * (start.quorum - 1) > start.n else start
    )
    try:
        return _commit(state, now_ms, out)
    finally:
        state.start = start


def _commit_over_views(state, now_ms, out):
    """Add up PREPAREs of all views."""
    if state.my_prepare is None or state.my_commit is not None:
        return False
    digest = state.my_prepare.digest
    tallies = [v for (_, d), v in state.prepares._by_digest.items() if d == digest]
    signers = {sender for tally in tallies for sender in tally}
    if len(signers) < state.quorum:
        return False
    tally = state.prepares._by_digest.setdefault((state.view, digest), {})
    for other in tallies:
        for sender, vote in other.items():
            tally.setdefault(sender, vote)
    return _commit(state, now_ms, out)


def _lock_in_memory(state, now_ms, out):
    """Lock, and forget to write the lock down."""
    acted = _commit(state, now_ms, out)
    out.persist[:] = [r for r in out.persist if not isinstance(r, Locked)]
    return acted


_ask = view_change.ask_for_view


def _ask_without_lock(state, view, out):
    """Ask for a view and keep silent about the lock."""
    lock, state.lock = state.lock, None
    _ask(state, view, out)
    state.lock = lock


def _commit_after_leaving(state, now_ms, out):
    """Commit in a view that was left, when its quorum comes late."""
    for (view, digest), tally in list(state.prepares._by_digest.items()):
        mine = tally.get(state.me)
        said = any(c.view == view for c in state.commits.all() if c.sender == state.me)
        if mine is None or view >= state.view or said or len(tally) < state.quorum:
            continue
        vote = Commit(height=state.height, view=view, digest=digest, sender=state.voter)
        out.persist.append(Voted(vote=vote))
        out.broadcast(vote)
        voting._count_commit(state, vote, out)
        return True
    return _commit(state, now_ms, out)


def _forget_views(state, record, proofs):
    """After a crash, go on in view 0 whatever was said."""
    if isinstance(record, ViewEntered) or isinstance(
        getattr(record, "vote", None), messages.ViewChange
    ):
        return
    if isinstance(record, Voted | Locked) or hasattr(record, "proposal"):
        return
    _restore_one(state, record, proofs)


_restore_one = recovery._restore_one


def _send_first(self, effects):
    """Say it, and write it down afterwards."""
    if effects.persist:
        for record in effects.persist:
            if isinstance(record, Voted):
                self._book.sign(record.vote)
            elif hasattr(record, "proposal"):
                self._book.sign(record.proposal.claim)
    for send in effects.send:
        self._outbox.send(send)
    _carry_out(self, replace(effects, send=()))


_carry_out = Engine._carry_out


def _append_unsynced(self, records):
    sync, MemoryFile.sync = MemoryFile.sync, lambda _self: None
    try:
        _append(self, records)
    finally:
        MemoryFile.sync = sync


_append = VoteLog.append
_persist = VoteKeeper.persist


def _persist_nothing(self, records):
    """Keep the blocks and the counters, not the votes."""
    append, VoteLog.append = VoteLog.append, lambda _self, _records: None
    try:
        _persist(self, records)
    finally:
        VoteLog.append = append


# -- R7, R8, R9, R10 ---------------------------------------------------------------------------------------------


def _decide_here_only(state, vote, out):
    if vote.view == state.view:
        _count_commit(state, vote, out)


_count_commit = voting._count_commit
_check_certificate = justification.check_certificate


def _small_certificates(certificate, height, n, quorum_):
    _check_certificate(certificate, height, n, quorum_ - 1)


def _count_commit_early(state, vote, out):
    """Decide with one COMMIT less."""
    _count_commit(state, vote, out)
    voters = state.commits.voters(vote.view, vote.digest)
    if len(voters) == state.quorum - 1 and state.certified is None and len(voters) > 1:
        state.certified = messages.CommitCertificate(
            height=state.height, view=vote.view, digest=vote.digest, signers=voters
        )


_view_timeout = Parameters.view_timeout_ms


def _impatient(self, view):
    return _view_timeout(self, view) // 4


def _never(_state, _now_ms, _out):
    return False


def _arm_at_once(state, now_ms, _out):
    if state.view == 0 or state.armed_ms is not None:
        return False
    state.armed_ms = now_ms
    return True


def _follow_anybody(state, _now_ms, out):
    view = state.view_changes.reached(1, without=state.me)
    if view <= state.view:
        return False
    view_change.ask_for_view(state, view, out)
    return True


# -- R11 to R15 --------------------------------------------------------------------------------------------------


def _free_choice(proven):
    return messages.Justification(view_changes=tuple(m.claim for m in proven), prepared=None)


_on_status = anti_entropy.on_status


def _push_nothing(state, peer, status, sender, out):
    """Look at a STATUS, and send nothing of what it shows to be missing."""
    del out
    _on_status(state, peer, status, sender, Outbox())


def _send_late_claims_to_the_open_height(self, event, now_ms, out):
    """Take what is said of the next height for what is said of this one."""
    height, sender = replica._origin(event)
    state = self._state
    if (
        state is not None
        and height == state.height + 1
        and sender is not None
        and hasattr(event, "vote")
    ):
        event = replace(event, vote=replace(event.vote, height=state.height))
    _receive(self, event, now_ms, out)


_receive = replica.Replica._receive


def _restate_own_view(state, records, now_ms, out):
    """Ask for one's own view after a crash, even if one has voted in it."""
    _restore(state, records, now_ms, Outbox())
    if state.certified is None and state.me is not None and state.view > 0:
        view_change.ask_for_view(state, state.view, out)


_restore = recovery.restore


def _propose_anew(state, record, proofs):
    """Forget one's own proposal in a crash."""
    if not hasattr(record, "proposal"):
        _restore_one(state, record, proofs)


def _one_vote_a_slot(self, vote, wanted):
    key = (vote.view, vote.sender)
    if key in self._slots and vote not in self._slots[key]:
        return None
    return _add(self, vote, wanted)


_add = VoteTable.add


def _say_nothing_of_it(self, proven):
    del self, proven


def _always_licensed(self, height, validators):
    del height
    return index_of(self._key, validators)


# -- the engine's promises ---------------------------------------------------------------------------------------


def _majority(validators):
    return validators // 2 + 1


def _two_f_plus_one(validators):
    return 2 * ((validators - 1) // 3) + 1


_on_prepare = voting.on_prepare


def _prepare_is_commit(state, vote, out):
    _on_prepare(state, vote, out)
    commit = Commit(height=vote.height, view=vote.view, digest=vote.digest, sender=vote.sender)
    voting._count_commit(state, commit, out)


_commit_block = Engine._commit


def _cosign_first(self, executed, certificate):
    """Vouch for the log before the block is on the disk."""
    cosigner, header = self._cosigner, executed.outline.header
    members = self._ledger.validators(header.height).members
    own = cosigner._own_index(members)
    if own is not None:
        origin = cosigner._genesis.chain_id
        checkpoint = Checkpoint(origin=origin, size=header.log_size, root=header.log_root)
        key = cosigner._key(members[own])
        time_s = cosigner._clock.now_ms() // 1_000
        signature = cosign(checkpoint.text(), time_s, key, cosigner._signer.sign)
        message = CosignatureMessage(
            height=header.height,
            sender=own,
            timestamp=time_s,
            signature=signature.value[TIME_BYTES:],
        )
        cosigner._network.broadcast(encode_message(message), Urgency.NORMAL)
    _commit_block(self, executed, certificate)


def _apply_twice(self, executed, certificate):
    """Advance the height once for the decision, and once more for the same block by another way."""
    _commit_block(self, executed, certificate)
    self._ledger.state.committed(executed.results.state)
    self._ledger._tip = replace(self._ledger._tip, log_size=self._ledger._tip.log_size + 1)


def _never_replayed(_self, _tx_id):
    return False


def _believe_results(_header, _ours):
    return


def _both(
    *patches: Callable[[contextlib.ExitStack], None],
) -> Callable[[contextlib.ExitStack], None]:
    def patch(stack: contextlib.ExitStack) -> None:
        for one in patches:
            one(stack)

    return patch


# -- time ---------------------------------------------------------------------------------------------------------

_interval_ms = ChainParameters.interval_ms


def _interval_of_view_0(parameters, time_ms, _first_view):
    return _interval_ms(parameters, time_ms, 0)


def _agree_with_anybody(clocks, faulty):
    if len(clocks) < 2 * faulty + 1:
        return None
    return cluster_time.Span(
        earliest_ms=max(clock.earliest_ms for clock in clocks),
        latest_ms=max(clock.latest_ms for clock in clocks),
    )


def _mutant(
    rule: str, name: str, what: str, patch: Callable[[contextlib.ExitStack], None]
) -> Mutant:
    return Mutant(name=name, rule=rule, what=what, patch=patch)


MUTANTS: tuple[Mutant, ...] = (
    _mutant(
        "R1",
        "build-at-once",
        "a leader proposes empty blocks without waiting for work",
        _function(timers.build_due_ms, _build_at_once),
    ),
    _mutant(
        "R1",
        "timer-from-start",
        "the timer of view 0 runs although nothing is due",
        _function(timers.view_deadline_ms, _timer_from_the_start),
    ),
    _mutant(
        "R2",
        "no-rotation",
        "one validator leads all views of a height",
        _function(messages.leader_of, _first_leads_always),
    ),
    _mutant(
        "R2",
        "short-lag",
        "the order of leaders rests on a certificate that not all have yet",
        _attribute(leader_history, "LAG", 2),
    ),
    _mutant(
        "R3",
        "no-justification",
        "a proposal above view 0 needs no justification",
        _function(justification._check_justification, _any_justification),
    ),
    _mutant(
        "R3",
        "untimely",
        "a fresh block may have any time",
        _function(justification.check_proposal, _whatever_its_time),
    ),
    _mutant(
        "R3",
        "signers-twice",
        "a justification counts messages, not signers",
        _function(justification._check_justification, _signers_counted_twice),
    ),
    _mutant(
        "R3",
        "unproven-locks",
        "a view change may state a lock without a proof",
        _function(justification.check_proven_view_change, _unproven_locks),
    ),
    _mutant(
        "R3",
        "any-lock",
        "a justification may prove another lock than the highest",
        _both(
            _function(justification._check_justification, _any_lock_will_do),
            _function(justification.justify, _lowest_lock),
        ),
    ),
    _mutant(
        "R4",
        "two-proposals",
        "a second proposal of a view gets a vote as well",
        _function(voting.on_proposal, _newest_proposal),
    ),
    _mutant(
        "R4",
        "invalid-blocks",
        "a block that was found invalid gets a vote",
        _function(voting.prepare, _prepare_unjudged),
    ),
    _mutant(
        "R5",
        "early-commit",
        "one PREPARE less than a quorum makes a COMMIT",
        _function(voting.commit, _commit_early),
    ),
    _mutant(
        "R5",
        "any-view",
        "a lock adds up PREPAREs of several views",
        _function(voting.commit, _commit_over_views),
    ),
    _mutant(
        "R5",
        "lock-in-memory",
        "the lock is not written down with the COMMIT",
        _function(voting.commit, _lock_in_memory),
    ),
    _mutant(
        "R5",
        "lock-unsaid",
        "a view change never states a lock",
        _function(view_change.ask_for_view, _ask_without_lock),
    ),
    _mutant(
        "R6",
        "old-commit",
        "a COMMIT is sent in a view that was left",
        _function(voting.commit, _commit_after_leaving),
    ),
    _mutant(
        "R6",
        "votes-forgotten",
        "a restart forgets views, votes and locks",
        _function(recovery._restore_one, _forget_views),
    ),
    _mutant(
        "R6",
        "send-first",
        "a vote is sent before it is written down",
        _attribute(Engine, "_carry_out", _send_first),
    ),
    _mutant(
        "R6",
        "unsynced",
        "a vote is written and not synced before it is sent",
        _attribute(VoteLog, "append", _append_unsynced),
    ),
    _mutant(
        "R6",
        "unwritten",
        "votes are not written down at all",
        _attribute(VoteKeeper, "persist", _persist_nothing),
    ),
    _mutant(
        "R7",
        "current-view-only",
        "COMMITs count in the current view only",
        _function(voting._count_commit, _decide_here_only),
    ),
    _mutant(
        "R7",
        "early-decision",
        "one COMMIT less than a quorum decides",
        _both(
            _function(voting._count_commit, _count_commit_early),
            _function(justification.check_certificate, _small_certificates),
        ),
    ),
    _mutant(
        "R8",
        "impatient",
        "a view is given up after a quarter of its time",
        _attribute(Parameters, "view_timeout_ms", _impatient),
    ),
    _mutant(
        "R8",
        "never-leaves",
        "a view whose time is over is not given up",
        _function(view_change.expire, _never),
    ),
    _mutant(
        "R9",
        "no-gate",
        "the timer of a view runs although no quorum asked for it",
        _function(view_change.arm_timer, _arm_at_once),
    ),
    _mutant(
        "R10",
        "no-jump",
        "nobody follows f + 1 others to a higher view",
        _function(view_change.jump, _never),
    ),
    _mutant(
        "R10",
        "follow-anybody",
        "one validator's word is enough to follow it to a higher view",
        _function(view_change.jump, _follow_anybody),
    ),
    _mutant(
        "R11",
        "free-choice",
        "a leader proposes afresh whatever the others have locked",
        _function(justification.justify, _free_choice),
    ),
    _mutant(
        "R11",
        "no-second-proposal",
        "a leader bound to a lock never proposes it again",
        _function(proposing.propose_again, _never),
    ),
    _mutant(
        "R12",
        "push-nothing",
        "nobody sends what a STATUS shows to be missing",
        _function(anti_entropy.on_status, _push_nothing),
    ),
    _mutant(
        "R13",
        "wrong-height",
        "a vote of the next height counts at this one",
        _attribute(replica.Replica, "_receive", _send_late_claims_to_the_open_height),
    ),
    _mutant(
        "R14",
        "restated-view",
        "a restart asks for the view in which it has voted",
        _function(recovery.restore, _restate_own_view),
    ),
    _mutant(
        "R14",
        "proposed-anew",
        "a restart forgets its own proposal and builds another",
        _function(recovery._restore_one, _propose_anew),
    ),
    _mutant(
        "R14",
        "always-licensed",
        "a validator votes although its vote log was lost",
        _attribute(VotingLicence, "index_at", _always_licensed),
    ),
    _mutant(
        "R15",
        "first-vote-only",
        "the second of two contradicting votes is dropped",
        _attribute(VoteTable, "add", _one_vote_a_slot),
    ),
    _mutant(
        "R15",
        "no-evidence",
        "double votes are seen and not reported",
        _attribute(Misconduct, "prove", _say_nothing_of_it),
    ),
    _mutant(
        "quorum", "majority", "more than half is a quorum", _function(quorum.quorum_of, _majority)
    ),
    _mutant(
        "quorum",
        "two-f-plus-one",
        "2f + 1 is a quorum for every n",
        _function(quorum.quorum_of, _two_f_plus_one),
    ),
    _mutant(
        "votes",
        "no-domain",
        "a PREPARE counts as a COMMIT",
        _function(voting.on_prepare, _prepare_is_commit),
    ),
    _mutant(
        "cosigning",
        "cosigned-early",
        "a block is cosigned before it is on the disk",
        _attribute(Engine, "_commit", _cosign_first),
    ),
    _mutant(
        "one way up",
        "applied-twice",
        "a block is applied twice",
        _attribute(Engine, "_commit", _apply_twice),
    ),
    _mutant(
        "replay",
        "replay-allowed",
        "a transaction may be in two blocks",
        _attribute(ChainReader, "is_replayed", _never_replayed),
    ),
    _mutant(
        "results",
        "results-believed",
        "a proposal's results are not compared with one's own",
        _function(checks.check_results, _believe_results),
    ),
    _mutant(
        "time",
        "whole-precision",
        "a stamp may be off by all of the precision, which leaves nothing for the error of right clocks",
        _attribute(ChainParameters, "tolerance_ms", property(lambda self: self.precision_ms)),
    ),
    _mutant(
        "time",
        "delay-unsaid",
        "the certified interval of every block is as short as that of view 0",
        _attribute(ChainParameters, "interval_ms", _interval_of_view_0),
    ),
    _mutant(
        "time",
        "one-liar-decides",
        "what clocks agree on is what the fastest of them says",
        _function(cluster_time.agree, _agree_with_anybody),
    ),
)
"""At least one for each of R1 to R15."""
