"""Who leads: everybody in turn, those whose turn failed a short while ago last; from decided blocks and nothing else."""

from __future__ import annotations

import dataclasses
import functools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainnode.ledger.execution as execution_module
from chainnode.ledger.leader_history import (
    FailedTurns,
    decode_failed_turns,
    failed_turns,
    order_at,
    skipped_at,
)
from chainnode.ledger.ledger import Ledger
from chainnode.ledger.rebuild import execute_certified, rebuild
from chainnode.model.errors import DecodeError, NotFound, StorageFault
from chainnode.model.parameters import Parameters
from chainnode.model.validators import ValidatorSet, ordered_set
from chainnode.storage import keys
from chainnode.storage.kv import WriteBatch
from chainnode.storage.memory import MemoryStore
from contracts.runtime import VALIDATORS_NEXT_KEY
from tests.support.chain import make_chain
from tests.support.leaders import rotation
from tests.support.refusals import refuses

CHAIN = make_chain(parameters=Parameters(skip_heights=6))
SEVEN = make_chain(validators=7, parameters=Parameters(skip_heights=6))
NAMES = [v.name for v in CHAIN.validators]


def grow(ledger, *views, chain=CHAIN):
    """Extend by one block for each of `views`, in which it is decided."""
    for view in views:
        executed = chain.build(ledger)
        signers = range(ledger.validators(ledger.tip.height + 1).quorum)
        ledger.commit(executed, chain.certify(executed, view=view, signers=signers))
    return ledger


def opened(chain=CHAIN):
    return Ledger.open(MemoryStore(), chain.genesis)


def store_of(ledger):
    return ledger._store._store


# -- the order, as a function ------------------------------------------------------------------------------------


def expected_order(height, names, failures, skip_heights):
    """The rule once more, in other words: `failures` maps heights to (view, name) in the order of views."""
    latest = {}
    for failed_at, turns in failures.items():
        if height - 2 - skip_heights <= failed_at <= height - 3:
            for view, name in turns:
                if name in names:
                    latest[name] = max(latest.get(name, (0, 0)), (failed_at, view))
    worst = sorted(latest, key=latest.get, reverse=True)[: (len(names) - 1) // 3]
    turn = [names[(height + i) % len(names)] for i in range(len(names))]
    return [n for n in turn if n not in worst] + [n for n in turn if n in worst]


@functools.cache
def a_set(size):
    return make_chain(validators=size).genesis.validator_set


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_everybody_leads_once_and_at_most_f_come_last(data):
    validators = a_set(data.draw(st.integers(1, 10)))
    names = [v.name for v in validators.members]
    skip_heights = data.draw(st.integers(0, 20))
    height = data.draw(st.integers(1, 40))
    everybody = st.sampled_from([*names, "gone"])
    failures = data.draw(
        st.dictionaries(
            st.integers(1, 40), st.lists(everybody, min_size=1, unique=True), max_size=12
        )
    )
    failed = [FailedTurns(height=h, names=tuple(reversed(failures[h]))) for h in sorted(failures)]
    skipped = skipped_at(height, validators, failed, skip_heights)
    order = order_at(height, validators.size, skipped)
    assert sorted(order) == list(range(validators.size))
    assert len(skipped) <= validators.faulty
    by_view = {h: list(enumerate(led)) for h, led in failures.items()}
    assert [names[i] for i in order] == expected_order(height, names, by_view, skip_heights)


@pytest.mark.parametrize(
    ("view", "expected"),
    [(0, ""), (1, "C"), (2, "DC"), (4, "BADC"), (5, "CBAD"), (7, "ADCB"), (4_000_003, "ADCB")],
)
def test_the_turns_that_failed_are_those_below_the_view_of_the_decision(view, expected):
    validators = a_set(4)
    by_letter = dict(zip("ABCD", (v.name for v in validators.members), strict=True))
    found = failed_turns(9, view, (2, 3, 0, 1), validators)
    assert found == FailedTurns(height=9, names=tuple(by_letter[letter] for letter in expected))


# -- what the ledger makes of decided blocks ---------------------------------------------------------------------


def test_while_no_turn_fails_leaders_rotate():
    ledger = grow(opened(), *[0] * 9)
    assert ledger.leaders(10) == rotation(10, 4)
    assert ledger.leaders(11) == rotation(11, 4)
    assert ledger.skipped(10) == ledger.skipped(11) == ()


def test_a_failed_turn_counts_from_three_heights_on_for_as_many_as_the_chain_says():
    ledger = opened()
    found = {}
    for height in range(1, 20):
        found[height] = ledger.leaders(height)
        grow(ledger, 1 if height == 5 else 0)
    (failed,) = {1}  # 5 mod 4: who led view 0 of height 5
    for height, order in found.items():
        turn = rotation(height, 4)
        if 8 <= height < 14:
            assert order == (*(i for i in turn if i != failed), failed), height
        else:
            assert order == turn, height


@pytest.mark.parametrize("chain", [CHAIN, SEVEN], ids=["f1", "f2"])
def test_an_order_announced_two_heights_ahead_stays(chain):
    """Messages of the height after the open one are judged by it before they can be used."""
    ledger, early = opened(chain), {}
    for view in (0, 2, 0, 1, 1, 3, 0, 0, 9, 0, 0, 1, 0, 5, 0, 0, 0, 0):
        tip = ledger.tip.height
        assert ledger.leaders(tip + 1) == early.get(tip + 1, rotation(1, len(chain.validators)))
        early[tip + 2] = ledger.leaders(tip + 2)
        grow(ledger, view, chain=chain)


def test_with_more_failures_than_f_the_newest_count():
    ledger = grow(opened(), 1, 0, 0, 1, 0, 0, 0)
    # At height 1 validator 1 led in vain, at height 4 validator 0; f is 1.
    assert ledger.skipped(8) == (0,)
    both = grow(opened(SEVEN), 1, 0, 0, 2, 0, 0, 0, chain=SEVEN)
    # Of seven two may be skipped: those of height 4, views 1 and 0, before the one of height 1.
    assert both.skipped(8) == (4, 5)


def test_a_skipped_one_that_fails_in_a_later_view_is_found_by_the_order_of_that_height():
    ledger = grow(opened(), 1, 0, 0, 0)
    assert ledger.leaders(5) == (2, 3, 0, 1)
    grow(ledger, 1, 0, 0)
    # By mere rotation it would have been validator 1 that led height 5 in vain.
    assert ledger.skipped(8) == (2,)


def test_without_the_rule_leaders_rotate_whatever_fails():
    chain = make_chain(parameters=Parameters(skip_heights=0))
    ledger = opened(chain)
    for height in range(1, 12):
        assert ledger.leaders(height) == rotation(height, 4)
        grow(ledger, height % 3, chain=chain)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_where_nobody_may_fail_nobody_is_skipped(n):
    chain = make_chain(validators=n)
    ledger = opened(chain)
    for height in range(1, 10):
        assert ledger.leaders(height) == rotation(height, n)
        grow(ledger, 2, chain=chain)


def test_other_heights_than_the_next_two_have_no_leaders_here():
    ledger = grow(opened(), 0, 0)
    for height in (-1, 0, 1, 2, 5):
        for ask in (ledger.leaders, ledger.skipped):
            with refuses("unknown_height", NotFound):
                ask(height)


def test_only_the_certificate_inside_the_next_block_counts():
    """A node may have decided by another certificate than the one that the next leader put into its block."""
    one, other = opened(), opened()
    for height in range(1, 10):
        executed = CHAIN.build(one)
        known = CHAIN.certify(executed, view=1 if height == 4 else 0)
        mine = CHAIN.certify(executed, view=3)
        one.commit(executed, known)
        other.commit(other.execute(executed.outline, ()), mine)
        assert other.leaders(height + 2) == one.leaders(height + 2)
    assert one.skipped(11) == (0,)


# -- whoever has the blocks has the order ------------------------------------------------------------------------

VIEWS = st.lists(st.sampled_from([0, 0, 0, 0, 1, 1, 2, 3, 4, 11]), min_size=1, max_size=24)


@settings(max_examples=25, deadline=None)
@given(views=VIEWS, restarts=st.sets(st.integers(0, 24)))
def test_a_restart_changes_no_order(views, restarts):
    running, restarted = opened(SEVEN), opened(SEVEN)
    for height, view in enumerate(views):
        if height in restarts:
            restarted = Ledger.open(store_of(restarted), SEVEN.genesis)
        grow(running, view, chain=SEVEN)
        grow(restarted, view, chain=SEVEN)
        for ahead in (height + 2, height + 3):
            assert restarted.leaders(ahead) == running.leaders(ahead)
            assert restarted.skipped(ahead) == running.skipped(ahead)


@settings(max_examples=10, deadline=None)
@given(views=VIEWS)
def test_a_node_that_fetches_the_blocks_finds_the_same_order(views):
    source, late = grow(opened(SEVEN), *views, chain=SEVEN), opened(SEVEN)
    for height in range(1, source.tip.height + 1):
        late.commit(*execute_certified(late, source.certified_block(height)))
    rebuilt = rebuild(
        store_of(source), MemoryStore(), SEVEN.genesis, progress=lambda _height, _last: None
    )
    for ahead in (1, 2):
        order = source.leaders(source.tip.height + ahead)
        assert late.leaders(source.tip.height + ahead) == order
        assert rebuilt.leaders(source.tip.height + ahead) == order


def test_whoever_is_skipped_is_so_by_name_when_the_set_changes(monkeypatch):
    """Height 2 fails validator 2 of four. From height 7 on the set has five, and later it is left out."""
    five = make_chain(validators=5).genesis.validator_set
    failed = CHAIN.genesis.validator_set.members[2].name
    without = ordered_set(tuple(v for v in five.members if v.name != failed))
    sets = {5: five, 7: without}
    execute_block = execution_module.execute_block
    ledger = opened()

    def changed(*args, **kwargs):
        result = execute_block(*args, **kwargs)
        new = sets.get(ledger.tip.height + 1)
        values = {} if new is None else {VALIDATORS_NEXT_KEY: new.encode()}
        return dataclasses.replace(result, changes={**result.changes, **values})

    monkeypatch.setattr(execution_module, "execute_block", changed)
    skipped = {}
    for height in range(1, 10):
        governing: ValidatorSet = ledger.validators(height)
        skipped[height] = [governing.members[i].name for i in ledger.skipped(height)]
        assert sorted(ledger.leaders(height)) == list(range(governing.size))
        proposer = governing.members[0].name
        executed = ledger.build(
            transactions=(), time_ms=ledger.tip.time_ms + 1_000, first_view=0, proposer=proposer
        )
        # Signatures of the parent's certificate are checked when a block is executed, which `commit` relies on.
        ledger.commit(executed, CHAIN.certify(executed, view=int(height == 2)))
    assert ledger.validators(7) == five
    assert ledger.validators(9) == without
    assert skipped == {h: [failed] if 5 <= h < 9 else [] for h in range(1, 10)}


# -- at rest -----------------------------------------------------------------------------------------------------


def test_what_failed_is_at_rest_in_these_bytes():
    turns = FailedTurns(height=7, names=("cedar", "ash"))
    assert turns.encode().hex() == "920192a56365646172a3617368"
    assert decode_failed_turns(7, turns.encode()) == turns
    ledger = grow(opened(), 0, 2, 0)
    found = store_of(ledger).scan(b"F", b"G", limit=10)
    assert found == [
        (
            keys.failed_turns(2),
            FailedTurns(height=2, names=(NAMES[3], NAMES[2])).encode(),
        )
    ]


@given(st.binary(max_size=100))
def test_other_bytes_are_no_failed_turns(data):
    try:
        turns = decode_failed_turns(3, data)
    except DecodeError:
        return
    assert turns.encode() == data


@pytest.mark.parametrize("value", [b"", b"\x90", b"\x92\x01\x90", b"\x92\x02\x91\xa1a", b"\xa1x"])
def test_an_entry_that_cannot_be_read_stops_the_node(value):
    store = store_of(grow(opened(), 0, 2, 0))
    batch = WriteBatch()
    batch.put(keys.failed_turns(2), value)
    store.write(batch, sync=True)
    with pytest.raises(StorageFault, match="failed turns"):
        Ledger.open(store, CHAIN.genesis)
