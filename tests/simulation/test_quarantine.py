"""A validator whose vote log is older than what it has said keeps silent, says why, and votes again: it never votes twice.

The observer of the simulation raises at the first vote that contradicts another one.
"""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from chainnode.engine.message_codec import decode_message, encode_message
from chainnode.engine.messages import ClockMessage
from chainnode.ledger.ledger import Ledger
from chainnode.ledger.reinstatement import Reinstatement
from chainnode.storage import keys
from chainnode.storage.kv import WriteBatch
from tests.support.message_kinds import kind_of
from tests.support.scenario import VOTES, Puppet, Recorder, begin, watched
from tests.support.simulated_backups import back_up, restore
from tests.support.simulated_chain import SimulatedChain
from tests.support.simulated_network import Conditions

PREPARE, COMMIT = 3, 4
ABSENT = {"asking_others"}


def started(heights=4, seed=3, **options):
    world = SimulatedChain(seed=seed, **options)
    world.start()
    decide(world, heights)
    return world


def decide(world, count=1):
    for _ in range(count):
        goal = world.height() + 1
        world.submit(2)
        world.run_until(
            lambda goal=goal: world.height() >= goal and world.is_settled(),
            within_ms=6_000,
            what=f"height {goal}",
        )


def codes(world, node, for_ms=3_000):
    """Return every reason for silence that a node gives in this time."""
    found = set()
    for _ in range(for_ms // 10):
        world.run_for(10)
        reason = node.engine.status().quarantine
        if reason is not None:
            found.add(reason.code.value)
    return found - ABSENT


def check_votes_again(world, node):
    """See the chain go on with the node, and then with it as one of a bare quorum."""
    world.run_for(2_000)
    decide(world, 4)
    status = node.engine.status()
    assert status.is_voting, status.quarantine
    assert status.quarantine is None
    next(n for n in world.running() if n is not node).crash()
    decide(world, 3)


def hold_open(world, node):
    """Have the next height prepared and committed to by `node`, and not decided by anybody; return the height."""
    height = world.height() + 1
    world.network.withholds = lambda sender, _to, kind: kind == COMMIT and sender != node.name
    world.submit(2, to=node.name)
    world.run_until(
        lambda: any(
            kind == 3 and h == height for kind, h, _ in world.observer.voted.get(node.name, ())
        ),
        within_ms=900,
        what="it has sent a COMMIT",
    )
    world.run_for(20)
    return height


@pytest.mark.parametrize("behind", [1, 5, 40])
def test_an_older_home_is_exposed_by_its_signatures_in_the_blocks_that_it_fetches(behind):
    world = started()
    node = world.nodes[list(world.nodes)[1]]
    backup = back_up(node)
    decide(world, behind)
    node.crash()
    restore(world, node, backup)
    node.boot()
    assert codes(world, node, 1_000) & {"unknown_signature", "unknown_vote"} or behind == 1
    world.run_until(world.is_level, within_ms=6_000)
    check_votes_again(world, node)


@pytest.mark.parametrize("victim", range(4))
def test_an_older_home_is_exposed_by_its_votes_for_the_open_height_before_it_votes(victim):
    world = started()
    node = world.nodes[list(world.nodes)[victim]]
    backup = back_up(node)
    height = hold_open(world, node)
    before = list(world.observer.voted[node.name])
    node.crash()
    restore(world, node, backup)
    world.network.withholds = lambda _from, _to, kind: kind == COMMIT
    node.boot()
    assert codes(world, node) == {"unknown_vote"}
    assert "of height" in node.engine.status().quarantine.sentence
    assert node.engine.status().quarantine.height == height
    assert world.observer.voted[node.name] == before
    assert world.observer.events["quarantine_began"] == 1
    world.network.withholds = lambda _from, _to, _kind: False
    world.run_until(lambda: world.height() >= height, within_ms=6_000)
    check_votes_again(world, node)
    assert world.observer.events["quarantine_ended"] == 1


@pytest.mark.parametrize("victim", range(4))
@pytest.mark.parametrize("delay_ms", [(1, 3), (8, 12), (20, 45)])
def test_an_older_home_that_fetches_a_block_first_is_told_of_its_votes_above_that_before_it_votes(
    victim, delay_ms
):
    """Its first question is about another height than the one where it matters, and comes but moments before the second."""
    world = started()
    world.network.conditions = Conditions(delay_ms=delay_ms)
    node = world.nodes[list(world.nodes)[victim]]
    backup = back_up(node)
    # The certificate of the block that it fetches shall not tell on it.
    world.network.withholds = lambda sender, _to, kind: kind == COMMIT and sender == node.name
    decide(world)
    height = hold_open(world, node)
    world.run_for(100)
    before = list(world.observer.voted[node.name])
    node.crash()
    restore(world, node, backup)
    world.network.withholds = lambda _from, _to, kind: kind == COMMIT
    node.boot()
    assert codes(world, node) == {"unknown_vote"}
    assert world.observer.voted[node.name] == before
    world.network.withholds = lambda _from, _to, _kind: False
    world.run_until(lambda: world.height() >= height, within_ms=6_000)
    check_votes_again(world, node)


@pytest.mark.parametrize("restarts", [1, 3])
def test_an_older_vote_log_beside_a_current_store_is_known_at_the_start(restarts):
    world = started()
    node = world.nodes[list(world.nodes)[2]]
    backup = back_up(node)
    decide(world, 6)
    node.crash()
    restore(world, node, backup, store=False)
    for _ in range(restarts):
        node.boot()
        reason = node.engine.status().quarantine
        assert reason.code.value == "vote_log_older"
        assert f"the vote log ends at height {backup.height}" in reason.sentence
        assert f"at height {world.height()}" in reason.sentence
        assert not node.engine.status().is_voting
        if restarts > 1:
            node.crash()
    if restarts > 1:
        node.boot()
    check_votes_again(world, node)


def test_a_lost_vote_log_and_an_older_store_each_say_so():
    world = started()
    names = list(world.nodes)
    node = world.nodes[names[0]]
    backup = back_up(node)
    decide(world, 5)
    node.crash()
    file = node.disk.file
    node.disk.lose_vote_log()
    node.boot()
    assert node.engine.status().quarantine.code.value == "vote_log_lost"
    node.crash()
    node.disk.file = file
    restore(world, node, backup, vote_log=False)
    node.boot()
    assert node.engine.status().quarantine.code.value == "store_older"
    world.run_until(world.is_level, within_ms=6_000)
    world.run_for(700)
    assert node.engine.status().is_voting


@pytest.mark.parametrize("hours", [-2, -1, 1])
def test_a_restored_machine_whose_clock_is_wrong_is_not_released_by_old_blocks(hours):
    """A virtual machine may believe for a while that it is when its snapshot was taken."""
    world = started()
    node = world.nodes[list(world.nodes)[1]]
    backup = back_up(node)
    world.run_for(3_600_000)
    decide(world, 3)
    height = hold_open(world, node)
    node.crash()
    restore(world, node, backup)
    node.clock.skew_ms = hours * 3_600_000
    world.network.withholds = lambda _from, _to, kind: kind == COMMIT
    node.boot()
    assert codes(world, node) <= {"unknown_vote", "unknown_signature"}
    assert node.ledger.tip.height == height - 1
    assert not node.engine.status().is_voting
    node.clock.skew_ms = 0
    world.network.withholds = lambda _from, _to, _kind: False
    world.run_until(lambda: world.height() >= height, within_ms=6_000)
    check_votes_again(world, node)


class LiesAboutItsClock(Puppet):
    """Answers like anybody, and says that its clock is ages ahead."""

    def alters(self, host, receiver, data):
        message = decode_message(data)
        if isinstance(message, ClockMessage) and message.echoed_ms:
            data = encode_message(replace(message, received_ms=2**50))
        return ((0, data),)


def test_a_liar_about_its_clock_keeps_nobody_in_quarantine_who_is_linked_with_enough_others_later():
    """Its answer is one of the two that a validator of four awaits, so that only one honest clock is known by then."""
    world = watched()
    liar, node, _other, late = world.nodes.values()
    LiesAboutItsClock(world, [liar.name])
    begin(world)
    decide(world, 3)
    backup = back_up(node)
    height = hold_open(world, node)
    late.crash()
    node.crash()
    restore(world, node, backup)
    world.network.withholds = lambda _from, _to, kind: kind == COMMIT
    node.boot()
    assert codes(world, node) == {"unknown_vote"}
    world.network.withholds = None
    late.boot()
    world.run_until(lambda: world.height() >= height, within_ms=6_000)
    world.run_for(6_000)
    decide(world, 2)
    assert node.engine.status().quarantine is None
    liar.crash()
    decide(world, 3)


def test_answers_of_peers_that_are_no_validators_allow_no_vote():
    world = watched(spares=3)
    members = {v.name for v in world.observer.validators(1).members}
    strangers = [n for n in world.nodes.values() if n.name not in members]
    node, *rest = (n for n in world.nodes.values() if n.name in members)
    begin(world)
    decide(world, 3)
    backup = back_up(node)
    height = hold_open(world, node)
    node.crash()
    restore(world, node, backup)
    for stranger in strangers:
        # They have heard nothing, or say so.
        stranger.crash()
        stranger.boot()
    silent, deaf = {n.name for n in rest}, {n.name for n in (node, *strangers)}
    world.network.withholds = lambda sender, to, kind: (
        kind == COMMIT or (sender in silent and to in deaf)
    )
    node.boot()
    world.run_for(3_000)
    assert not node.engine.status().is_voting
    world.network.withholds = lambda _from, _to, kind: kind == COMMIT
    assert codes(world, node) == {"unknown_vote"}
    world.network.withholds = None
    world.run_until(lambda: world.height() >= height, within_ms=12_000, what="it goes on")
    check_votes_again(world, node)


@pytest.mark.parametrize("victim", range(3))
def test_a_home_from_before_its_first_vote_by_word_of_the_alliance_does_not_vote_by_it_again(
    victim,
):
    world = watched()
    begin(world)
    lost, height = lose_a_quorum(world, is_open=False)
    for one in lost:
        Ledger.open(one.disk.store, world.chain.genesis).reinstate(height)
    node = lost[victim]
    backup = back_up(node)
    world.network.withholds = lambda sender, _to, kind: kind == COMMIT and sender != node.name
    for one in world.nodes.values():
        one.boot()
    world.submit(2)
    world.run_until(lambda: has_voted(world, node, {3}, height), within_ms=9_000)
    world.run_for(20)
    before = list(world.observer.voted[node.name])
    node.crash()
    world.run_for(6_000)
    restore(world, node, backup)
    node.boot()
    assert codes(world, node, 6_000) == {"unknown_vote"}
    assert world.observer.voted[node.name] == before
    assert node.ledger.reinstatement.has_voted, "another word for this height is another time"
    world.network.withholds = None
    world.run_until(lambda: world.height() >= height, within_ms=12_000, what="it goes on")
    check_votes_again(world, node)


def has_voted(world, node, kinds, height):
    return any(k in kinds and h == height for k, h, _ in world.observer.voted.get(node.name, ()))


@pytest.mark.parametrize("is_told_early", [False, True])
def test_a_lost_vote_that_came_before_the_records_of_its_height_were_read_is_not_taken_for_one_of_them(
    is_told_early,
):
    """The store is two blocks older than the log, and the log ends in the middle of a height."""
    world = watched()
    liar, node, *rest = world.nodes.values()
    Puppet(world, [liar.name])
    begin(world)
    decide(world, 3)
    old = back_up(node)
    decide(world)
    height = world.height() + 1
    said = Recorder(world)
    # It votes for the block, and its log is copied; then it alone locks, and tells so.
    others = {n.name for n in (liar, *rest)}
    world.network.withholds = lambda sender, _to, kind: (
        kind == PREPARE or (kind == COMMIT and sender != node.name)
    )
    world.submit(2)
    world.run_until(lambda: has_voted(world, node, {1, 2}, height), within_ms=900)
    world.run_for(5)
    half = back_up(node)
    world.network.withholds = lambda sender, to, kind: (
        (kind == PREPARE and to in others) or (kind == COMMIT and sender != node.name)
    )
    world.run_until(lambda: has_voted(world, node, {3}, height), within_ms=1_200)
    world.run_for(20)
    node.crash()
    world.run_for(2_000)
    restore(world, node, old, vote_log=False)
    restore(world, node, half, store=False)
    world.network.withholds = lambda _from, _to, kind: kind == PREPARE
    node.boot()
    assert node.engine.status().quarantine.code.value == "store_older"
    if is_told_early:
        commit = next(d for host, d in said.of_kind(COMMIT) if host == node.name)
        world.network.inject(liar.host, node.name, commit)
    assert "unknown_vote" in codes(world, node)
    assert not node.engine.status().is_voting
    world.network.withholds = None
    world.run_until(lambda: world.height() >= height, within_ms=12_000, what="it goes on")
    check_votes_again(world, node)


def test_a_node_that_is_asked_for_nothing_does_not_wait_long_after_a_normal_restart():
    world = started()
    for node in world.nodes.values():
        node.crash()
        node.boot()
        assert world.run_until(lambda n=node: n.engine.status().is_voting, within_ms=200) < 100
    for node in world.nodes.values():
        node.crash()
    for node in world.nodes.values():
        node.boot()
    world.run_until(
        lambda: all(n.engine.status().is_voting for n in world.running()), within_ms=700
    )
    assert world.observer.events["quarantine_began"] == 0
    decide(world, 2)


class LastWord:
    """When a node last said something that it must not contradict."""

    def __init__(self, world, node):
        self.world, self.host, self.said_ms = world, node.host, 0
        world.network.watchers.append(self)

    def said(self, host, data):
        if host == self.host and kind_of(data) in VOTES:
            self.said_ms = self.world.time.now_ms


def run_backups(seed):
    """One validator comes back again and again from some older copy of its home, or of a part of it."""
    world = started(heights=2, seed=seed, validators=random.Random(seed).choice((4, 4, 5, 7)))
    rng = world.random
    node = world.nodes[rng.choice(list(world.nodes))]
    word = LastWord(world, node)
    backups = [back_up(node)]
    for _ in range(6):
        for _ in range(rng.randint(1, 4)):
            world.submit(rng.randint(0, 3))
            world.run_for(rng.choice((5, 20, 100, 700)))
            if rng.random() < 0.5:
                backups.append(back_up(node))
        if rng.random() < 0.3:
            other = rng.choice([n for n in world.nodes.values() if n is not node])
            other.crash()
            other.boot()
        # What it said is on its way for some milliseconds, and gone with its links; if it reached nobody, nothing could
        # show that it was said.
        while world.time.now_ms - word.said_ms < 5:
            world.run_for(1)
        node.crash()
        world.run_for(rng.randint(5, 400))
        kind = rng.randrange(4)
        if kind:
            restore(world, node, rng.choice(backups), store=kind != 1, vote_log=kind != 2)
        node.boot()
        backups = backups[-3:] if kind == 0 else [back_up(node)]
    world.run_for(3_000)
    decide(world, 4)
    assert node.engine.status().is_voting, node.engine.status().quarantine
    world.check_history()


@pytest.mark.parametrize("first", range(0, 60, 10))
def test_random_restores_of_older_homes_never_make_a_validator_vote_twice(first):
    for seed in range(first, first + 10):
        try:
            run_backups(seed)
        except BaseException as error:
            error.add_note(f"run_backups({seed})")
            raise


def lose_a_quorum(world, *, is_open):
    """Three of four lose their vote logs, perhaps while a height is open; return the height from which to vote again."""
    *lost, survivor = world.nodes.values()
    if is_open:
        # All of them propose or prepare, and nobody hears of it: nobody is locked.
        world.network.withholds = lambda _from, _to, kind: kind in {PREPARE, COMMIT}
        world.submit(2, to=survivor.name)
        world.run_for(500)
    for node in world.nodes.values():
        node.crash()
    for node in lost:
        node.disk.lose_vote_log()
    return lost, min(world.observer.tips.values()) + 1


@pytest.mark.parametrize("is_open", [False, True])
def test_a_quorum_that_lost_its_vote_logs_waits_for_ever_and_goes_on_by_word_of_the_alliance(
    is_open,
):
    world = started()
    lost, height = lose_a_quorum(world, is_open=is_open)
    world.network.withholds = lambda _from, _to, _kind: False
    for node in world.nodes.values():
        node.boot()
    world.submit(2)
    world.run_for(120_000)
    assert world.height() == height - 1
    assert {n.engine.status().quarantine.code.value for n in lost} <= {
        "vote_log_lost",
        "unknown_vote",
    }
    for node in world.nodes.values():
        node.crash()
    for node in lost:
        Ledger.open(node.disk.store, world.chain.genesis).reinstate(height)
    for node in world.nodes.values():
        node.boot()
    world.run_until(lambda: world.height() >= height, within_ms=12_000, what="it goes on")
    assert world.observer.events["reinstated"] == len(lost)
    decide(world, 3)
    world.check_history()
    # The statement has served: a log that is lost later is found out as ever.
    lost[0].crash()
    lost[0].disk.lose_vote_log()
    lost[0].boot()
    assert lost[0].engine.status().quarantine.code.value == "vote_log_lost"


def reinstated(world):
    """Have three of four lose their vote logs and be reinstated at a height that stays open; return the three."""
    lost, height = lose_a_quorum(world, is_open=False)
    for node in lost:
        Ledger.open(node.disk.store, world.chain.genesis).reinstate(height)
    # They propose and prepare; nobody is locked, so that nobody can be said to have forgotten a COMMIT.
    world.network.withholds = lambda _from, _to, kind: kind in {PREPARE, COMMIT}
    for node in world.nodes.values():
        node.boot()
    world.submit(2)
    world.run_for(3_000)
    assert {node.engine.status().view >> 16 for node in lost} == {1}
    return lost, height


def test_a_reinstated_validator_that_loses_its_vote_log_again_is_found_out_at_the_very_height():
    world = started()
    (again, *_), height = reinstated(world)
    again.crash()
    again.disk.lose_vote_log()
    again.boot()
    assert again.engine.status().quarantine.code.value == "vote_log_lost"
    world.run_for(3_000)
    world.network.withholds = None
    world.run_until(lambda: world.height() >= height, within_ms=12_000, what="the others go on")
    check_votes_again(world, again)


def test_validators_that_are_reinstated_twice_at_one_height_contradict_nothing_of_the_first_time():
    world = started()
    lost, height = reinstated(world)
    for node in world.nodes.values():
        node.crash()
    for node in lost:
        node.disk.lose_vote_log()
        Ledger.open(node.disk.store, world.chain.genesis).reinstate(height)
    world.network.withholds = None
    for node in world.nodes.values():
        node.boot()
    world.run_until(lambda: world.height() >= height, within_ms=12_000, what="it goes on")
    decide(world, 3)
    world.check_history()


def test_a_crash_between_the_first_vote_of_a_reinstated_validator_and_the_note_of_it_uses_the_word_up():
    world = started()
    (node, *_), height = reinstated(world)
    node.crash()
    store = node.disk.store
    batch = WriteBatch()
    batch.put(keys.REINSTATED, Reinstatement(height=height, times=1, has_voted=False).encode())
    store.write(batch, sync=True)
    node.boot()
    node.crash()
    assert Ledger.open(node.disk.store, world.chain.genesis).reinstatement.has_voted
