"""Rules R1 to R15, one replica at a time: what goes in, what must come out.

The replica under test is validator 1 of 4 unless a test says otherwise; it leads height 1, view 0
(R2). At height 2 validator 2 leads view 0, 3 view 1, 0 view 2 and 1 view 3.
"""

from dataclasses import replace

import pytest

from consensus.effects import (
    Ahead,
    Amnesia,
    Behind,
    Build,
    Decided,
    DoubleVote,
    Locked,
    Proposed,
    Validate,
    ViewEntered,
    Voted,
)
from consensus.errors import InvariantViolation
from consensus.events import (
    Built,
    CommitReceived,
    DecidedReceived,
    Declined,
    PrepareReceived,
    ProposalReceived,
    Recovered,
    StartHeight,
    StatusReceived,
    Tick,
    Verdict,
    ViewChangeReceived,
    WorkDone,
    WorkPending,
)
from consensus.messages import (
    Commit,
    CommitCertificate,
    Justification,
    Prepare,
    PreparedCertificate,
    Proposal,
    ProvenViewChange,
    Status,
    ViewChange,
    leader_of,
)
from consensus.parameters import Parameters
from consensus.replica import Replica
from consensus.state import MAX_VERDICTS, Step
from tests.support.leaders import rotation

A, B, C = b"A" * 32, b"B" * 32, b"C" * 32
T0, CAP, HEARTBEAT = 1_000, 20_000, 60_000


def start(height=2, me=1, n=4, parent_ms=0):
    return StartHeight(
        height=height,
        n=n,
        quorum=2 * n // 3 + 1,
        me=me,
        leaders=rotation(height, n),
        parent_ms=parent_ms,
    )


def opened(height=2, me=1, n=4):
    replica = Replica(Parameters())
    replica.step(start(height, me, n), 0)
    return replica


def proposal(view=0, digest=A, height=2, first_view=None, justification=None, n=4):
    first_view = view if first_view is None else first_view
    return Proposal(
        height=height,
        view=view,
        digest=digest,
        sender=leader_of(rotation(height, n), view),
        first_view=first_view,
        proposer=leader_of(rotation(height, n), first_view),
        justification=justification,
    )


def got(message, timely=True, peer="p"):
    match message:
        case Proposal():
            return ProposalReceived(peer=peer, proposal=message, timely=timely)
        case Prepare():
            return PrepareReceived(peer=peer, vote=message)
        case Commit():
            return CommitReceived(peer=peer, vote=message)
        case ProvenViewChange():
            return ViewChangeReceived(peer=peer, message=message)
        case Status():
            return StatusReceived(peer=peer, status=message)
        case _:
            return DecidedReceived(peer=peer, certificate=message)


def prepare(sender, view=0, digest=A, height=2):
    return Prepare(height=height, view=view, digest=digest, sender=sender)


def commit(sender, view=0, digest=A, height=2):
    return Commit(height=height, view=view, digest=digest, sender=sender)


def proof(view=0, digest=A, signers=(0, 2, 3), height=2):
    return PreparedCertificate(height=height, view=view, digest=digest, signers=signers)


def ask(sender, view=1, lock=None, height=2):
    return ProvenViewChange(
        claim=ViewChange(
            height=height,
            view=view,
            prepared_view=lock and lock.view,
            prepared_digest=lock and lock.digest,
            sender=sender,
        ),
        prepared=lock,
    )


def certificate(view=0, digest=A, signers=(0, 2, 3), height=2):
    return CommitCertificate(height=height, view=view, digest=digest, signers=signers)


def verdict(digest=A, valid=True, height=2, first_view=0):
    return Verdict(height=height, digest=digest, first_view=first_view, valid=valid)


def messages(effects, kind=object):
    return [send.message for send in effects.send if isinstance(send.message, kind)]


def prepared(replica, digest=A, view=0):
    """Bring a follower to its COMMIT."""
    replica.step(got(proposal(view, digest)), 0)
    replica.step(verdict(digest), 0)
    others = [i for i in (0, 2, 3) if i != leader_of(rotation(2, 4), view)]
    replica.step(got(prepare(others[0], view, digest)), 0)
    return replica


def free(view=1, senders=(0, 2, 3)):
    claims = tuple(ask(sender, view).claim for sender in senders)
    return Justification(view_changes=claims, prepared=None)


# --- R1, R2 ------------------------------------------------------------------------------------


def test_r1_leader_builds_a_heartbeat_and_not_before():
    replica = opened(height=1)
    assert replica.step(Tick(), HEARTBEAT - 1).build == ()
    assert replica.step(Tick(), HEARTBEAT).build == (Build(height=1, view=0),)
    assert replica.step(Tick(), HEARTBEAT + 1).build == ()


def test_r1_leader_builds_once_work_is_pending_and_the_interval_is_over():
    replica = opened(height=1)
    assert replica.step(WorkPending(since_ms=10), 10).build == ()
    assert replica.deadline_ms == 100
    assert replica.step(Tick(), 99).build == ()
    assert replica.step(Tick(), 100).build == (Build(height=1, view=0),)


def test_r2_whoever_is_named_for_a_view_leads_it():
    replica = Replica(Parameters())
    replica.step(replace(start(), leaders=(3, 1, 0, 2)), 0)
    assert replica.snapshot().leader == 3
    by_rotation = replica.step(got(proposal()), 0)
    assert [r.code for r in by_rotation.refused] == ["not_leader"]
    first = replace(proposal(), sender=3, proposer=3)
    assert replica.step(got(first), 0).validate == (Validate(height=2, digest=A, holders=(3,)),)
    for sender in (0, 2, 3):
        replica.step(got(ask(sender)), 0)
    # We lead view 1, and say so by building for it; after view 3 everybody has had a turn and 3 leads again.
    assert replica.snapshot().leader == 1
    for view, leader in ((2, 0), (3, 2), (4, 3), (5, 1)):
        effects = [replica.step(got(ask(sender, view)), 0) for sender in (0, 2, 3)]
        assert effects
        assert (replica.snapshot().view, replica.snapshot().leader) == (view, leader)


@pytest.mark.parametrize(
    "leaders", [(), (0, 1, 2), (0, 1, 2, 2), (0, 1, 2, 4), (-1, 0, 1, 2), (0, 1, 2, 3, 0)]
)
def test_r2_an_order_that_leaves_somebody_out_is_refused(leaders):
    with pytest.raises(InvariantViolation, match="leaders"):
        Replica(Parameters()).step(replace(start(), leaders=leaders), 0)


def test_r1_followers_expect_a_block_only_when_one_is_due():
    replica = opened()
    assert replica.snapshot().deadline_ms == HEARTBEAT + T0
    replica.step(WorkPending(since_ms=500), 500)
    assert replica.snapshot().deadline_ms == 500 + 100 + T0
    replica.step(WorkDone(), 600)
    assert replica.snapshot().deadline_ms == HEARTBEAT + T0


def test_r1_a_long_overdue_heartbeat_gives_the_leader_its_time():
    replica = Replica(Parameters())
    replica.step(start(parent_ms=0), 10 * HEARTBEAT)
    assert replica.snapshot().deadline_ms == 10 * HEARTBEAT + T0


def test_r1_a_parent_from_the_future_counts_as_of_now():
    replica = Replica(Parameters())
    replica.step(start(parent_ms=99_999), 1_000)
    assert replica.snapshot().deadline_ms == 1_000 + HEARTBEAT + T0


def test_r1_work_pending_before_the_height_holds_in_it():
    replica = Replica(Parameters())
    assert replica.deadline_ms is None
    replica.step(WorkPending(since_ms=0), 0)
    replica.step(start(height=1), 50)
    assert replica.step(Tick(), 100).build


def test_leader_proposes_what_was_built_and_that_is_its_prepare():
    replica = opened(height=1)
    replica.step(Tick(), HEARTBEAT)
    effects = replica.step(Built(height=1, view=0, digest=A), HEARTBEAT)
    mine = proposal(height=1)
    assert effects.persist == (Proposed(proposal=mine),)
    assert messages(effects) == [mine]
    assert replica.snapshot().prepares == (1,)
    assert replica.step(Built(height=1, view=0, digest=B), HEARTBEAT).persist == ()


def test_a_block_that_was_not_asked_for_is_not_proposed():
    assert opened(height=1).step(Built(height=1, view=0, digest=A), 0).send == ()


# --- R3, R4 ------------------------------------------------------------------------------------


def test_r4_prepare_follows_the_verdict_and_is_durable_first():
    replica = opened()
    effects = replica.step(got(proposal()), 0)
    assert effects.validate == (Validate(height=2, digest=A, holders=(2,)),)
    assert effects.send == ()
    effects = replica.step(verdict(), 1)
    assert effects.persist == (Voted(vote=prepare(1)),)
    assert messages(effects) == [prepare(1)]


def test_r4_the_first_proposal_of_a_view_wins_and_a_second_is_evidence():
    replica = opened()
    replica.step(got(proposal()), 0)
    effects = replica.step(got(proposal(digest=B)), 0)
    assert effects.faults == (DoubleVote(first=proposal().claim, second=proposal(digest=B).claim),)
    assert replica.step(verdict(B), 1).send == ()
    assert messages(replica.step(verdict(A), 1)) == [prepare(1)]


def test_r3_an_untimely_fresh_block_is_refused():
    effects = opened().step(got(proposal(), timely=False), 0)
    assert [refusal.code for refusal in effects.refused] == ["untimely"]
    assert effects.validate == ()


def test_r4_a_justified_proposal_of_a_higher_view_takes_us_there_durably():
    replica = opened()
    effects = replica.step(got(proposal(1, justification=free())), 5)
    assert effects.persist == (ViewEntered(height=2, view=1),)
    assert replica.snapshot().view == 1
    assert replica.snapshot().deadline_ms == 5 + T0 * 3 // 2


def test_r4_a_block_proposed_again_is_fetched_from_those_that_prepared_it():
    lock = proof()
    justification = Justification(
        view_changes=(ask(0, 1, lock).claim, ask(2).claim, ask(3).claim), prepared=lock
    )
    again = proposal(1, first_view=0, justification=justification)
    effects = opened().step(got(again, timely=False), 0)
    assert effects.validate == (Validate(height=2, digest=A, holders=(0, 2, 3)),)


def test_an_invalid_block_is_never_prepared_and_its_view_is_left_at_once():
    replica = opened()
    replica.step(got(proposal()), 0)
    effects = replica.step(verdict(valid=False), 1)
    assert messages(effects, Prepare) == []
    assert messages(effects) == [ask(1, 1)]
    assert replica.snapshot().deadline_ms is None


def test_r8_views_take_their_time_once_as_many_blocks_were_invalid_as_may_have_liars_for_leaders():
    replica = opened()
    replica.step(got(proposal()), 0)
    assert messages(replica.step(verdict(valid=False), 1)) == [ask(1, 1)]
    replica.step(got(proposal(1, B, justification=free())), 2)
    assert messages(replica.step(verdict(B, valid=False, first_view=1), 3)) == []
    assert (replica.snapshot().step, replica.snapshot().awaited) == (Step.REFUSED, ())
    deadline_ms = replica.snapshot().deadline_ms
    assert deadline_ms == 2 + T0 * 3 // 2
    assert messages(replica.step(Tick(), deadline_ms), ProvenViewChange) == [ask(1, 2)]


def test_r8_a_leader_whose_host_makes_no_block_leaves_its_view_at_once():
    replica = opened(height=1)
    replica.step(WorkPending(since_ms=0), 0)
    assert replica.step(Tick(), 100).build == (Build(height=1, view=0),)
    effects = replica.step(Declined(height=1, view=0), 100)
    assert messages(effects) == [ask(1, 1, height=1)]
    assert effects.persist == (Voted(vote=ask(1, 1, height=1).claim),)
    assert replica.step(Built(height=1, view=0, digest=A), 101).send == ()


def test_r8_a_leader_that_is_bound_by_a_lock_needs_no_block_of_its_host():
    replica = opened()
    replica.step(got(ask(0, 3, proof(digest=B))), 0)
    replica.step(got(ask(2, 3)), 0)
    assert replica.step(Declined(height=2, view=3), 0).send == ()
    effects = replica.step(verdict(B), 1)
    assert [m.digest for m in messages(effects, Proposal)] == [B]


@pytest.mark.parametrize("late", [Declined(height=2, view=0), Declined(height=1, view=3)])
def test_r8_a_block_that_is_declined_for_another_view_is_still_awaited(late):
    replica = opened()
    replica.step(got(ask(0, 3)), 0)
    replica.step(got(ask(2, 3)), 0)
    assert replica.step(late, 0).send == ()
    assert messages(replica.step(Built(height=2, view=3, digest=A), 0), Proposal) != []


def test_r8_a_view_whose_leader_has_left_it_without_a_block_is_left_at_once():
    replica = opened()
    assert messages(replica.step(got(ask(3, 1)), 5), ProvenViewChange) == []
    assert messages(replica.step(got(ask(2, 1)), 5)) == [ask(1, 1)]


def test_r8_a_view_that_has_a_block_lasts_though_its_leader_has_left_it():
    replica = opened()
    replica.step(got(proposal()), 0)
    assert messages(replica.step(got(ask(2, 1)), 5)) == []
    assert messages(replica.step(verdict(), 6)) == [prepare(1)]


def test_r8_leaders_that_leave_move_others_as_often_as_may_be_and_then_views_take_their_time():
    replica = opened()
    replica.step(got(ask(2, 1)), 5)
    assert replica.snapshot().view == 1
    replica.step(got(ask(3, 2)), 6)
    assert replica.snapshot().view == 1
    # A quorum has asked for view 1, so its time runs.
    replica.step(got(ask(0, 1)), 7)
    assert replica.snapshot().deadline_ms == 6 + T0 * 3 // 2
    assert messages(replica.step(Tick(), 6 + T0 * 3 // 2), ProvenViewChange) == [ask(1, 2)]


def test_r8_one_that_validates_alone_and_makes_no_block_lets_its_views_last():
    replica = opened(height=1, me=0, n=1)
    replica.step(WorkPending(since_ms=0), 0)
    assert replica.step(Tick(), 100).build == (Build(height=1, view=0),)
    assert replica.step(Declined(height=1, view=0), 100).send == ()
    assert replica.snapshot().deadline_ms >= T0
    late = replica.step(Tick(), replica.snapshot().deadline_ms)
    assert late.build == (Build(height=1, view=1),)


def test_only_the_first_verdict_that_was_asked_for_counts():
    replica = opened()
    replica.step(verdict(), 0)
    replica.step(got(proposal()), 0)
    replica.step(verdict(), 0)
    assert replica.step(verdict(valid=False), 0).send == ()
    assert replica.snapshot().step is Step.PREPARE


def test_verdicts_are_bounded_and_the_oldest_is_asked_for_again():
    replica = opened()
    for number in range(MAX_VERDICTS + 1):
        view = 4 * number + 1
        digest = bytes([number]) * 32
        replica.step(got(proposal(view, digest, justification=free(view))), 0)
    for number, is_asked in ((1, False), (0, True)):
        view = 4 * MAX_VERDICTS + 2 + 4 * (1 - number)
        last = proposal(view, bytes([number]) * 32, justification=free(view))
        assert bool(replica.step(got(last), 0).validate) is is_asked


# --- R5, R6, R7 --------------------------------------------------------------------------------


def test_r5_lock_and_commit_are_one_durable_group():
    replica = opened()
    replica.step(got(proposal()), 0)
    replica.step(verdict(), 0)
    effects = replica.step(got(prepare(3)), 0)
    lock = proof(signers=(1, 2, 3))
    assert effects.persist == (Locked(certificate=lock), Voted(vote=commit(1)))
    assert messages(effects) == [commit(1)]
    assert lock.claims(rotation(2, 4)) == (prepare(1), proposal().claim, prepare(3))


def test_r5_no_commit_without_an_own_prepare():
    replica = opened()
    replica.step(got(proposal()), 0)
    replica.step(got(prepare(0)), 0)
    assert replica.step(got(prepare(3)), 0).send == ()


def test_a_prepare_by_the_leader_does_not_count():
    replica = opened()
    replica.step(got(prepare(2)), 0)
    assert replica.step(got(prepare(2, digest=B)), 0).faults == ()


def test_r6_no_vote_below_a_view_that_was_asked_for():
    replica = opened()
    replica.step(got(proposal()), 0)
    replica.step(Tick(), 5_000)
    assert replica.snapshot().view == 1
    assert messages(replica.step(verdict(), 5_000), Prepare) == []
    assert replica.step(got(proposal()), 5_000).persist == ()
    replica.step(got(prepare(0)), 5_000)
    assert messages(replica.step(got(prepare(3)), 5_000), Commit) == []


@pytest.mark.parametrize("view", [0, 1, 7])
def test_r7_a_quorum_of_commits_decides_from_any_view(view):
    replica = opened()
    replica.step(got(ask(0, 3)), 0)
    replica.step(got(ask(2, 3)), 0)
    assert replica.snapshot().view == 3
    replica.step(got(commit(0, view)), 0)
    effects = replica.step(got(commit(2, view)), 0)
    assert (effects.decided, effects.refused) == ((), ())
    effects = replica.step(got(commit(3, view)), 0)
    assert effects.decided == (certificate(view),)
    assert effects.persist == (Decided(certificate=certificate(view)),)
    assert replica.deadline_ms is None


def test_r7_commits_of_different_views_or_digests_do_not_add_up():
    replica = opened()
    replica.step(got(commit(0, 0)), 0)
    replica.step(got(commit(2, 1)), 0)
    assert replica.step(got(commit(3, 0, B)), 0).decided == ()
    assert replica.step(got(commit(2, 0)), 0).decided == ()


def test_r7_a_certificate_from_anybody_decides_once():
    replica = opened()
    assert replica.step(got(certificate()), 0).decided == (certificate(),)
    assert replica.step(got(certificate(view=2)), 0).decided == ()
    assert replica.step(got(commit(0)), 0).decided == ()


def test_a_certificate_by_too_few_decides_nothing():
    effects = opened().step(got(certificate(signers=(0, 2))), 0)
    assert effects.decided == ()
    assert effects.refused[0].code == "certificate_quorum"


def test_two_decisions_of_one_height_stop_the_node():
    replica = opened()
    replica.step(got(certificate()), 0)
    with pytest.raises(InvariantViolation, match="two decisions"):
        replica.step(got(certificate(digest=B)), 0)


def test_nothing_is_voted_on_after_the_decision():
    replica = opened()
    replica.step(got(proposal()), 0)
    replica.step(got(certificate()), 0)
    assert replica.step(verdict(), 0).send == ()
    assert replica.step(Tick(), 10 * HEARTBEAT).send == ()
    assert replica.step(got(proposal(1, justification=free())), 0).persist == ()


# --- R8, R9, R10 -------------------------------------------------------------------------------


def test_r8_timeout_asks_for_the_next_view_with_the_lock_and_does_not_start_its_timer():
    replica = prepared(opened())
    effects = replica.step(Tick(), T0)
    request = ask(1, 1, proof(signers=(0, 1, 2)))
    assert effects.persist == (Voted(vote=request.claim),)
    assert messages(effects, ProvenViewChange) == [request]
    assert replica.snapshot().deadline_ms is None
    assert replica.snapshot().step is Step.VIEW_CHANGE
    assert replica.snapshot().awaited == (0, 2, 3)


def test_r9_the_timer_runs_when_a_quorum_asked_for_the_view_or_a_higher_one():
    replica = prepared(opened())
    replica.step(Tick(), T0)
    replica.step(got(ask(0, 1)), T0)
    assert replica.snapshot().deadline_ms is None
    replica.step(got(ask(2, 5)), 3_000)
    assert replica.snapshot().deadline_ms == 3_000 + T0 * 3 // 2


def test_r9_a_lone_replica_does_not_run_ahead():
    replica = prepared(opened())
    for now in range(T0, 100 * T0, T0):
        replica.step(Tick(), now)
    assert replica.snapshot().view == 1


def test_r10_f_plus_one_others_take_us_along_and_f_do_not():
    replica = opened()
    assert messages(replica.step(got(ask(0, 2**31 - 1)), 0), ProvenViewChange) == []
    effects = replica.step(got(ask(3, 60)), 0)
    assert messages(effects, ProvenViewChange) == [ask(1, 60)]


def test_the_highest_view_is_not_left():
    replica = opened()
    top = 2**31 - 1
    for sender in (0, 2, 3):
        replica.step(got(ask(sender, top)), 0)
    assert replica.step(Tick(), 10 * HEARTBEAT).persist == ()
    assert replica.snapshot().view == top


def test_timeouts_grow_by_half_up_to_the_cap():
    parameters = Parameters(jitter_permille=100)
    assert [parameters.view_timeout_ms(v) for v in (0, 1, 2, 3)] == [1100, 1650, 2475, 3712]
    assert parameters.view_timeout_ms(2**31 - 1) == 22_000


@pytest.mark.parametrize(
    "wrong",
    [
        {"timeout_ms": 5},
        {"timeout_ms": 30_000},
        {"min_interval_ms": -1},
        {"heartbeat_ms": 10},
        {"anti_entropy_ms": 0},
        {"jitter_permille": 1_001},
    ],
)
def test_parameters_that_cannot_work_are_refused(wrong):
    with pytest.raises(InvariantViolation, match="expected"):
        Parameters(**wrong)


# --- R11 ---------------------------------------------------------------------------------------


def test_r11_leader_builds_afresh_when_a_quorum_holds_no_lock():
    replica = opened()
    replica.step(got(ask(0, 3)), 0)
    effects = replica.step(got(ask(2, 3)), 0)
    assert effects.build == (Build(height=2, view=3),)
    assert replica.step(Built(height=2, view=2, digest=A), 0).send == ()
    effects = replica.step(Built(height=2, view=3, digest=A), 0)
    assert messages(effects) == [proposal(3, justification=free(3, (0, 1, 2)))]


def test_r11_leader_proposes_the_highest_lock_again_once_it_is_found_valid():
    replica = opened()
    low, high = proof(0, B), proof(2, A)
    replica.step(got(ask(0, 3, low)), 0)
    effects = replica.step(got(ask(2, 3, high)), 0)
    assert effects.build == ()
    assert effects.validate == (Validate(height=2, digest=A, holders=(0, 2, 3)),)
    assert replica.step(Built(height=2, view=3, digest=C), 0).send == ()
    effects = replica.step(verdict(A, first_view=1), 0)
    (mine,) = messages(effects, Proposal)
    assert (mine.digest, mine.first_view, mine.proposer) == (A, 1, 3)
    assert mine.justification.prepared == high


def test_r11_leader_does_not_propose_again_what_it_finds_invalid():
    replica = opened()
    replica.step(got(ask(0, 3, proof())), 0)
    replica.step(got(ask(2, 3)), 0)
    assert messages(replica.step(verdict(valid=False), 0), Proposal) == []


def test_r11_a_lock_without_proof_does_not_count():
    replica = opened()
    liar = replace(ask(0, 3, proof()), prepared=None)
    assert replica.step(got(liar), 0).refused[0].code == "lock_unproven"
    assert replica.step(got(ask(2, 3)), 0).build == ()


# --- R12, R13 ----------------------------------------------------------------------------------


def test_r12_an_idle_height_tells_its_status_rarely_and_a_busy_one_often():
    replica = opened()
    assert messages(replica.step(Tick(), 1_999), Status) == []
    assert len(messages(replica.step(Tick(), 2_000), Status)) == 1
    replica.step(got(proposal()), 2_100)
    (status,) = messages(replica.step(Tick(), 2_350), Status)
    assert (status.digest, status.prepares, status.has_proposal) == (A, (2,), True)


def test_r12_peers_get_what_they_lack_of_anybody():
    replica = prepared(opened())
    replica.step(got(ask(3, 1)), 0)
    bare = Status(
        height=2,
        view=0,
        digest=None,
        has_proposal=False,
        prepares=(),
        commits=(),
        view_changes=(-1,) * 4,
    )
    effects = replica.step(got(bare, peer="x"), 0)
    assert {send.to for send in effects.send} == {"x"}
    assert messages(effects) == [ask(3, 1), proposal(), prepare(0), prepare(1), commit(1)]
    full = replace(
        bare,
        digest=A,
        has_proposal=True,
        prepares=(0, 1, 2),
        commits=(1,),
        view_changes=(-1, -1, -1, 1),
    )
    assert replica.step(got(full), 0).send == ()


def test_r12_a_peer_in_a_lower_view_gets_the_proposal_that_takes_it_up():
    replica = opened()
    higher = proposal(1, justification=free())
    replica.step(got(higher), 0)
    low = Status(
        height=2,
        view=0,
        digest=None,
        has_proposal=False,
        prepares=(),
        commits=(),
        view_changes=(1,) * 4,
    )
    assert messages(replica.step(got(low), 0)) == [higher]
    assert replica.step(got(replace(low, view=2)), 0).send == ()


def test_a_status_of_another_number_of_validators_is_refused():
    wrong = Status(
        height=2,
        view=0,
        digest=None,
        has_proposal=False,
        prepares=(),
        commits=(),
        view_changes=(-1,),
    )
    replica = opened()
    assert replica.step(got(wrong), 0).refused[0].code == "status_size"
    right = replace(wrong, view_changes=(-1,) * 4)
    assert replica.step(got(right), 0).send == ()
    replica.step(got(certificate()), 0)
    assert replica.step(got(right), 0).behind == (Behind(peer="p", height=2),)


def test_r13_whoever_is_behind_is_answered_and_who_is_ahead_is_pointed_out():
    replica = opened()
    assert replica.step(got(commit(0, height=1)), 0).behind == (Behind(peer="p", height=1),)
    assert replica.step(got(commit(0, height=4)), 0).ahead == (Ahead(peer="p", height=4),)
    assert replica.step(got(certificate(height=3)), 0).ahead == (Ahead(peer="p", height=3),)


def test_a_late_decision_is_not_answered_with_a_decision():
    assert opened().step(got(certificate(height=1)), 0).behind == ()


def test_r13_four_claims_a_validator_of_the_next_height_wait_for_it():
    replica = opened()
    for digest in (C, A, B, b"D" * 32, b"E" * 32):
        replica.step(got(commit(0, height=3, digest=digest)), 0)
    replica.step(got(commit(2, height=3)), 0)
    replica.step(got(commit(3, height=3)), 0)
    replica.step(got(certificate()), 0)
    effects = replica.step(start(height=3), 0)
    assert effects.decided == (certificate(height=3),)
    assert len(effects.faults) == 1


def test_messages_before_the_first_height_are_dropped():
    assert Replica(Parameters()).step(got(commit(0)), 0).behind == ()
    assert Replica(Parameters()).step(verdict(), 0).send == ()
    assert Replica(Parameters()).snapshot() is None


# --- R14 ---------------------------------------------------------------------------------------


def recovered(*records, me=1):
    replica = Replica(Parameters())
    return replica, replica.step(Recovered(start=start(me=me), records=records), 0)


def test_r14_a_restart_says_its_votes_again_and_runs_the_timer_at_once():
    lock = proof(signers=(0, 1, 2))
    replica, effects = recovered(
        Voted(vote=prepare(1)), Locked(certificate=lock), Voted(vote=commit(1))
    )
    assert effects.persist == ()
    assert messages(effects)[:2] == [prepare(1), commit(1)]
    assert replica.snapshot().deadline_ms == T0
    (request,) = messages(replica.step(Tick(), T0), ProvenViewChange)
    assert request.prepared == lock


def test_r14_one_that_validates_alone_decides_at_once_what_it_had_committed():
    """Nobody else will say anything that could make it look again; found by the specification in simulation."""
    replica = Replica(Parameters())
    mine = Proposal(height=2, view=0, digest=A, sender=0, first_view=0, proposer=0)
    vote = Commit(height=2, view=0, digest=A, sender=0)
    lock = PreparedCertificate(height=2, view=0, digest=A, signers=(0,))
    records = (Proposed(proposal=mine), Locked(certificate=lock), Voted(vote=vote))
    effects = replica.step(Recovered(start=start(me=0, n=1), records=records), 0)
    assert [certificate.digest for certificate in effects.decided] == [A]


def test_r14_a_restarted_replica_commits_to_its_prepare_and_to_nothing_else():
    replica, _ = recovered(Voted(vote=prepare(1)))
    replica.step(got(proposal(digest=B)), 0)
    replica.step(got(proposal(), timely=False), 0)
    assert replica.snapshot().digest == A
    effects = replica.step(got(prepare(3)), 0)
    # What it prepared must still be here: its disk may have come back with less than the records tell of.
    assert messages(effects, Commit) == []
    assert [(one.digest, one.holders) for one in effects.validate] == [(A, (2, 3))]
    assert messages(replica.step(verdict(valid=False), 0), Commit) == []


def test_r5_a_restarted_replica_commits_once_its_host_has_found_the_block_again():
    replica, _ = recovered(Voted(vote=prepare(1)))
    replica.step(got(proposal()), 0)
    replica.step(got(prepare(3)), 0)
    assert messages(replica.step(verdict(), 0), Commit) == [commit(1)]


def test_r14_a_restarted_leader_sends_the_same_proposal():
    mine = proposal(3, justification=free(3))
    replica, effects = recovered(Voted(vote=ask(1, 3).claim), Proposed(proposal=mine))
    assert messages(effects)[:2] == [ask(1, 3), mine]
    assert effects.build == ()
    assert replica.snapshot().step is Step.PREPARE


def test_r14_without_a_vote_in_the_view_the_view_is_asked_for():
    _, effects = recovered(ViewEntered(height=2, view=2))
    assert messages(effects, ProvenViewChange) == [ask(1, 2)]
    assert effects.persist == (Voted(vote=ask(1, 2).claim),)


def test_r14_a_request_is_repeated_as_it_was():
    lock = proof(signers=(0, 1, 2))
    _, effects = recovered(
        Voted(vote=prepare(1)),
        Locked(certificate=lock),
        Voted(vote=commit(1)),
        Voted(vote=ask(1, 4, lock).claim),
    )
    assert messages(effects, ProvenViewChange) == [ask(1, 4, lock)]
    assert messages(effects, Prepare | Commit) == []
    assert effects.persist == ()


@pytest.mark.parametrize("me", [1, None])
def test_r14_a_decision_is_handed_over_again(me):
    _, effects = recovered(Decided(certificate=certificate()), me=me)
    assert effects.decided == (certificate(),)


def test_r14_nothing_recorded_is_a_plain_start():
    replica, effects = recovered()
    assert effects.send == ()
    assert replica.snapshot().deadline_ms == HEARTBEAT + T0


@pytest.mark.parametrize(
    "records",
    [
        (ViewEntered(height=2, view=2), Voted(vote=prepare(1))),
        (Voted(vote=ask(1, 3, proof()).claim),),
    ],
)
def test_r14_records_that_cannot_be_stop_the_node(records):
    with pytest.raises(InvariantViolation, match="records"):
        recovered(*records)


# --- R15, evidence -----------------------------------------------------------------------------


def test_r15_two_digests_a_slot_are_held_and_reported_once():
    replica = opened()
    replica.step(got(commit(0, digest=B)), 0)
    effects = replica.step(got(commit(0)), 0)
    assert effects.faults == (DoubleVote(first=commit(0, digest=B), second=commit(0)),)
    assert replica.step(got(commit(0)), 0).faults == ()
    assert replica.step(got(commit(0, digest=C)), 0).faults == ()
    replica.step(got(commit(2)), 0)
    assert replica.step(got(commit(3)), 0).decided == (certificate(),)


def test_r15_a_vote_for_the_accepted_proposal_replaces_the_second():
    replica = opened()
    replica.step(got(proposal()), 0)
    replica.step(verdict(), 0)
    for digest in (B, C):
        replica.step(got(prepare(3, digest=digest)), 0)
    assert messages(replica.step(got(prepare(3)), 0), Commit) == [commit(1)]


def test_two_requests_for_one_view_are_evidence():
    replica = opened()
    replica.step(got(ask(0, 2)), 0)
    assert replica.step(got(ask(0, 2)), 0).faults == ()
    effects = replica.step(got(ask(0, 2, proof())), 0)
    assert effects.faults == (DoubleVote(first=ask(0, 2).claim, second=ask(0, 2, proof()).claim),)


@pytest.mark.parametrize("commit_first", [True, False])
def test_a_forgotten_lock_is_reported_once_in_either_order(commit_first):
    replica = opened()
    pair = [got(commit(0, 1)), got(ask(0, 2, proof(0)))]
    first, second = pair if commit_first else pair[::-1]
    assert replica.step(first, 0).faults == ()
    assert replica.step(second, 0).faults == (
        Amnesia(commit=commit(0, 1), view_change=ask(0, 2, proof(0)).claim),
    )
    assert replica.step(got(ask(0, 3)), 0).faults == ()


@pytest.mark.parametrize("lock_view", [1, 2])
def test_a_kept_lock_is_no_evidence(lock_view):
    replica = opened()
    replica.step(got(commit(0, 1)), 0)
    assert replica.step(got(ask(0, 3, proof(lock_view))), 0).faults == ()


def test_claims_in_our_name_from_outside_do_not_count():
    replica = opened()
    replica.step(got(commit(1)), 0)
    replica.step(got(commit(2)), 0)
    assert replica.step(got(commit(3)), 0).decided == ()


# --- bounds, observers, contract ---------------------------------------------------------------


def test_a_validator_that_votes_in_many_views_pushes_out_only_its_own_votes():
    replica = opened()
    replica.step(got(commit(0, 0)), 0)
    replica.step(got(commit(2, 0)), 0)
    for view in range(100, 108):
        replica.step(got(commit(3, view)), 0)
    assert replica.step(got(commit(3, 0)), 0).decided == ()
    for view in range(200, 208):
        replica.step(got(commit(3, view)), 0)
    replica.step(got(commit(0, 207)), 0)
    assert replica.step(got(commit(2, 207)), 0).decided == (certificate(207),)


@pytest.mark.parametrize(
    "message",
    [commit(4), commit(-1), commit(0, 2**63), prepare(9), prepare(0, -1), proposal(2**31), ask(7)],
)
def test_indices_and_views_out_of_range_are_refused_and_never_raise(message):
    assert len(opened().step(got(message), 0).refused) == 1


def test_an_observer_decides_and_says_nothing():
    replica = opened(me=None)
    assert replica.step(got(proposal()), 0).validate == ()
    assert replica.step(Tick(), 10 * HEARTBEAT).send == ()
    assert replica.deadline_ms is None
    assert replica.snapshot().deadline_ms is None
    for sender in (0, 2):
        replica.step(got(commit(sender)), 0)
    assert replica.step(got(commit(3)), 0).decided == (certificate(),)


def test_a_single_validator_decides_alone_in_one_step():
    replica = opened(height=1, me=0, n=1)
    replica.step(Tick(), HEARTBEAT)
    effects = replica.step(Built(height=1, view=0, digest=A), HEARTBEAT)
    assert [type(record) for record in effects.persist] == [Proposed, Locked, Voted, Decided]
    assert effects.decided[0].claims() == (commit(0, height=1),)


@pytest.mark.parametrize("again", [start(2), start(1)])
def test_a_height_is_never_opened_twice(again):
    with pytest.raises(InvariantViolation, match="cannot start"):
        opened().step(again, 0)


@pytest.mark.parametrize(("n", "quorum"), [(0, 0), (4, 2), (4, 5)])
def test_a_quorum_that_cannot_be_is_refused(n, quorum):
    with pytest.raises(InvariantViolation, match="quorum"):
        Replica(Parameters()).step(replace(start(), n=n, quorum=quorum), 0)


def test_answers_for_another_height_are_late_and_harmless():
    replica = opened()
    replica.step(got(proposal()), 0)
    assert replica.step(verdict(height=1), 0).send == ()


def test_a_snapshot_names_who_is_awaited_in_each_step():
    replica = opened()
    assert replica.snapshot().awaited == (2,)
    replica.step(got(proposal()), 10)
    assert replica.snapshot().awaited == ()
    replica.step(verdict(), 20)
    snapshot = replica.snapshot()
    assert (snapshot.step, snapshot.awaited, snapshot.since_ms) == (Step.PREPARE, (0, 3), 20)
    replica.step(got(prepare(3)), 30)
    snapshot = replica.snapshot()
    assert (snapshot.step, snapshot.awaited) == (Step.COMMIT, (0, 2, 3))
    assert snapshot.commits == (1,)
    assert opened(height=1).snapshot().awaited == ()
    replica.step(got(certificate()), 40)
    assert replica.snapshot().awaited == ()


def test_a_snapshot_tells_of_each_validator_what_it_voted_and_asked_for():
    replica = opened()
    replica.step(got(proposal()), 10)
    replica.step(got(prepare(3)), 20)
    replica.step(got(commit(0, view=2, digest=B)), 30)
    replica.step(got(ask(0, view=3, lock=proof(view=2, digest=B))), 40)
    mine, leader, silent_but_ahead = (replica.snapshot().standings[i] for i in (1, 2, 0))
    assert (mine.votes, mine.asked_view) == ((), None)
    assert leader.votes == (proposal().claim,)
    assert replica.snapshot().standings[3].votes == (prepare(3),)
    assert silent_but_ahead.votes == (commit(0, view=2, digest=B),)
    assert silent_but_ahead.asked_view == 3
    assert (silent_but_ahead.locked_view, silent_but_ahead.locked_digest) == (2, B)
    assert replica.snapshot().undecided_since_ms == 10


def test_a_snapshot_shows_both_of_two_votes_that_contradict_each_other():
    replica = opened()
    replica.step(got(proposal()), 0)
    replica.step(got(prepare(3)), 0)
    replica.step(got(prepare(3, digest=B)), 0)
    assert replica.snapshot().standings[3].votes == (prepare(3), prepare(3, digest=B))


def test_a_snapshot_says_since_when_there_is_something_to_decide_whatever_the_view():
    replica = opened()
    assert replica.snapshot().undecided_since_ms is None
    replica.step(WorkPending(since_ms=5), 7)
    for now_ms in range(1_000, 10_000, 1_000):
        replica.step(Tick(), now_ms)
    assert replica.snapshot().view == 1
    assert replica.snapshot().undecided_since_ms == 7
    replica.step(WorkDone(), 10_000)
    replica.step(start(height=3), 10_000)
    assert replica.snapshot().undecided_since_ms is None


def test_a_snapshot_of_an_observer_tells_what_it_sees_of_the_others():
    replica = opened(me=None)
    assert replica.snapshot().step is Step.PROPOSE
    assert replica.snapshot().awaited == (2,)
    replica.step(got(proposal()), 0)
    snapshot = replica.snapshot()
    assert (snapshot.step, snapshot.digest, snapshot.awaited) == (Step.PREPARE, A, (0, 1, 3))
    for sender in (0, 3):
        replica.step(got(prepare(sender)), 0)
    assert (replica.snapshot().step, replica.snapshot().awaited) == (Step.COMMIT, (0, 1, 2, 3))
    for sender in (0, 3):
        replica.step(got(ask(sender)), 0)
    snapshot = replica.snapshot()
    assert (snapshot.view, snapshot.step) == (1, Step.VIEW_CHANGE)
    assert snapshot.awaited == (1, 2)
    replica.step(got(certificate()), 0)
    assert replica.snapshot().step is Step.DECIDED
