"""The state store against the naive twin: every kept height, every key, and nothing left over."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainnode.ledger import state_store
from chainnode.ledger.state_store import PRUNE_HEIGHTS, StateStore
from chainnode.model.errors import InvariantViolation, StorageFault, Unavailable
from chainnode.model.state_tree import (
    EMPTY,
    MAX_STATE_KEY_BYTES,
    MAX_STATE_VALUE_BYTES,
    decode_state_proof,
    verify_state_proof,
)
from chainnode.storage import keys
from chainnode.storage.kv import WriteBatch
from chainnode.storage.memory import MemoryStore
from tests.support.state_twin import ShallowSuite, tree, twin_proof, twin_root

SUITE = ShallowSuite()
POOL = [
    *(b"@%02x" % i for i in (0, 1, 2, 3, 0x10, 0x40, 0x41, 0x80, 0xC0, 0xFE, 0xFF)),
    b"@" + b"0" * 63 + b"1",
    b"notary/a",
    b"notary/b",
]
changes_of_a_height = st.dictionaries(
    st.sampled_from(POOL), st.none() | st.sampled_from([b"", b"x", b"y"]), max_size=6
)
histories = st.lists(changes_of_a_height, min_size=1, max_size=10)


class Chain:
    """A state store with the maps that it should hold, height by height."""

    def __init__(self, *heights):
        self.disk = MemoryStore()
        self.state = StateStore(self.disk, SUITE)
        self.maps = []
        for changes in ({b"genesis": b"0"}, *heights):
            self.commit(changes)

    def commit(self, changes, below_height=None):
        height = len(self.maps)
        staged, batch = self.state.stage(changes, height), WriteBatch()
        staged.write(batch)
        if below_height is not None:
            self.state.prune(batch, height=height, below_height=below_height)
        self.disk.write(batch, sync=True)
        self.state.committed(staged)
        after = {**(self.maps[-1] if self.maps else {}), **changes}
        self.maps.append({key: value for key, value in after.items() if value is not None})
        assert staged.root == self.state.root() == twin_root(SUITE, self.maps[-1])

    def prune(self, below_height):
        batch = WriteBatch()
        self.state.prune(batch, height=len(self.maps) - 1, below_height=below_height)
        self.disk.write(batch, sync=True)
        return len(batch)

    def entries(self, prefix=b"\x00"):
        stop = b"\xff" if prefix == b"\x00" else keys.end_of(prefix)
        return self.disk.scan(prefix, stop, limit=10**6)

    def check_height(self, height):
        entries, root = self.maps[height], self.state.root_at(height)
        assert root == twin_root(SUITE, entries)
        for key in (*POOL, b"genesis", b"never"):
            value, proof = self.state.prove(key, height)
            assert value == entries.get(key)
            assert proof.encode() == twin_proof(SUITE, entries, key)
            verify_state_proof(SUITE, root, key, value, decode_state_proof(proof.encode()))


@given(histories)
@settings(max_examples=60, deadline=None)
def test_every_height_of_any_history_is_the_twins(history):
    chain = Chain(*history)
    for height in range(len(chain.maps)):
        chain.check_height(height)
    tip = sorted(chain.maps[-1].items())
    assert chain.state.scan(b"", limit=100) == tip
    assert all(chain.state.get(key) == chain.maps[-1].get(key) for key in POOL)


@given(histories)
@settings(max_examples=40, deadline=None)
def test_the_root_does_not_depend_on_how_the_map_came_about(history):
    chain = Chain(*history)
    at_once = Chain({**chain.maps[-1], b"genesis": chain.maps[-1].get(b"genesis")})
    assert at_once.state.root() == chain.state.root()


@given(history=histories, data=st.data())
@settings(max_examples=60, deadline=None)
def test_pruning_keeps_what_is_in_the_window_and_nothing_else(history, data):
    chain = Chain(*history)
    tip = len(history)
    below = data.draw(st.integers(0, tip))
    chain.prune(below)
    oldest = max(h for h in range(below + 1) if h == 0 or chain.maps[h] != chain.maps[h - 1])
    for height in range(oldest):
        for call in (chain.state.root_at, lambda h: chain.state.prove(b"genesis", h)):
            with pytest.raises(Unavailable, match=f"is of height {oldest}") as refused:
                call(height)
            assert refused.value.error_code == "pruned"
    for height in range(oldest, tip + 1):
        chain.check_height(height)
    # What is left is what the kept heights reach: a node is its place and the height that wrote it.
    roots, nodes, past = set(), set(), set()
    first_seen: dict[tuple[str, bytes], int] = {}
    for height in range(tip + 1):
        hashes = tree(SUITE, chain.maps[height])
        first_seen = {node: first_seen.get(node, height) for node in hashes.items()}
        if height >= oldest:
            nodes |= {(first_seen[node], node[0]) for node in first_seen}
            roots.add(hashes.get("", EMPTY))
        if height > oldest:
            before, after = chain.maps[height - 1], chain.maps[height]
            past |= {(SUITE.hash(k), height, v) for k, v in before.items() if after.get(k) != v}
    changed = [h for h in range(oldest + 1, tip + 1) if chain.maps[h] != chain.maps[h - 1]]
    found = {keys.state_node(version, len(bits), int(bits or "0", 2)) for version, bits in nodes}
    assert {key for key, _ in chain.entries(b"N")} == found
    assert {value for _, value in chain.entries(b"E")} == roots
    assert [key for key, _ in chain.entries(b"E")] == [
        keys.state_root(h) for h in (oldest, *changed)
    ]
    assert {(key[1:33], keys.parse_number(key), v) for key, v in chain.entries(b"P")} == past
    assert [key for key, _ in chain.entries(b"O")] == [keys.obsolete(h) for h in changed]


def test_pruning_at_every_commit_leaves_as_many_records_as_the_window_needs():
    chain = Chain()
    sizes = []
    for height in range(1, 40):
        chain.commit({POOL[height % 4]: b"%d" % height}, below_height=height - 5)
        sizes.append(len(chain.entries()))
        for kept in range(max(height - 5, 0), height + 1):
            chain.check_height(kept)
    assert max(sizes[20:]) - min(sizes[20:]) <= 10


def test_a_backlog_is_pruned_bit_by_bit():
    chain = Chain(*({b"@00": b"%d" % height} for height in range(3 * PRUNE_HEIGHTS)))
    tip = len(chain.maps) - 1
    for call in range(1, 4):
        assert chain.prune(tip) > 0
        assert len(chain.entries(b"O")) == (3 - call) * PRUNE_HEIGHTS
        chain.check_height(call * PRUNE_HEIGHTS)
    assert chain.prune(tip) == 0
    chain.check_height(tip)


def test_pruning_before_the_first_height_or_twice_writes_nothing():
    chain = Chain({b"@00": b"1"}, {b"@00": b"2"})
    assert chain.prune(-5) == chain.prune(0) == 0
    assert chain.prune(1) > 0
    assert chain.prune(1) == 0


def test_pruning_must_leave_the_tip():
    chain = Chain({b"@00": b"1"})
    with pytest.raises(InvariantViolation, match="would not leave height 1"):
        chain.prune(2)


@pytest.mark.parametrize("changes", [{}, {b"@00": b"1"}, {b"@77": None}], ids=str)
def test_a_height_that_changes_nothing_writes_nothing_and_is_provable(changes):
    chain = Chain({b"@00": b"1"})
    before = chain.entries()
    assert chain.state.stage(changes, 2).operations == ()
    chain.commit(changes)
    chain.commit({})
    assert chain.entries() == before
    for height in (2, 3):
        chain.check_height(height)


def test_what_is_staged_and_not_written_leaves_no_trace():
    chain = Chain({b"@00": b"1", b"@01": b"1"})
    before = chain.entries()
    one = chain.state.stage({b"@00": b"2", b"@01": None}, 2)
    other = chain.state.stage({b"@02": b"3"}, 2)
    assert chain.entries() == before
    assert chain.state.root() not in (one.root, other.root)
    chain.check_height(1)
    chain.commit({b"@02": b"3"})
    assert chain.state.root() == other.root


def test_a_crash_before_the_sync_finds_the_height_before_and_the_height_can_be_done_again():
    chain = Chain({b"@00": b"1", b"@01": b"1"})
    staged, batch = chain.state.stage({b"@00": None, b"@02": b"2"}, 2), WriteBatch()
    staged.write(batch)
    chain.disk.write(batch, sync=False)
    chain.state.committed(staged)
    assert chain.state.root() == staged.root
    chain.disk = chain.disk.crash()
    chain.state = StateStore(chain.disk, SUITE)
    chain.check_height(1)
    assert chain.state.root() == chain.state.root_at(1)
    chain.commit({b"@00": None, b"@02": b"2"})
    assert chain.state.root() == staged.root
    chain.check_height(2)


def test_a_store_without_any_state_is_the_empty_tree():
    state = StateStore(MemoryStore(), SUITE)
    assert state.root() == state.root_at(0) == state.stage({}, 0).root == EMPTY
    value, proof = state.prove(b"key", 7)
    assert value is None
    verify_state_proof(SUITE, EMPTY, b"key", None, proof)


def test_a_state_that_became_empty_can_be_filled_again():
    chain = Chain({b"genesis": None}, {}, {b"@01": b"1"})
    assert chain.state.root_at(2) == EMPTY
    for height in range(4):
        chain.check_height(height)


def test_a_scan_goes_by_pages_within_its_prefix():
    chain = Chain(dict.fromkeys((b"n/a", b"n/b", b"n/b\x00", b"n/c", b"n0", b"n\xff", b"m"), b"v"))
    assert [key for key, _ in chain.state.scan(b"n/", limit=2)] == [b"n/a", b"n/b"]
    rest = [b"n/b\x00", b"n/c"]
    assert [key for key, _ in chain.state.scan(b"n/", limit=9, after=b"n/b")] == rest
    assert [key for key, _ in chain.state.scan(b"n/", limit=1, after=b"a")] == [b"n/a"]
    assert chain.state.scan(b"n/", limit=9, after=b"z") == []
    assert [key for key, _ in chain.state.scan(b"n\xff", limit=9)] == [b"n\xff"]


@pytest.mark.parametrize(
    ("changes", "height", "why"),
    [
        ({b"": b"v"}, 2, "a key of 0 bytes"),
        ({b"k" * (MAX_STATE_KEY_BYTES + 1): b"v"}, 2, "a key of 513 bytes"),
        ({b"k": bytes(MAX_STATE_VALUE_BYTES + 1)}, 2, "a value of 65537 bytes"),
        ({b"k": b"v"}, 1, "height 1 is staged upon height 1"),
    ],
)
def test_what_no_contract_can_ask_for_is_an_invariant_violation(changes, height, why):
    chain = Chain({b"@00": b"1"})
    with pytest.raises(InvariantViolation, match=why):
        chain.state.stage(changes, height)


def test_keys_and_values_of_the_greatest_length_are_kept():
    key, value = b"k" * MAX_STATE_KEY_BYTES, bytes(MAX_STATE_VALUE_BYTES)
    chain = Chain({key: value})
    assert chain.state.prove(key, 1)[0] == chain.state.get(key) == value


DAMAGED_HISTORY = ({b"@00": b"1", b"@80": b"1"}, {b"@00": b"2"})
TREE_AND_PAST = [key for key, _ in Chain(*DAMAGED_HISTORY).entries() if key[:1] in b"NAP"]


DAMAGES = [
    (key, damage)
    for key in TREE_AND_PAST
    for damage in ("missing", b"", b"\xc0", b"\x91\xc0", "flipped")
    # A height whose root is missing looks like one that changed nothing; only headers can tell.
    if damage != "missing" or key[:1] != b"E"
]


@pytest.mark.parametrize(("key", "damage"), DAMAGES)
def test_damage_to_the_tree_or_the_past_is_a_fault_and_never_an_answer(key, damage):
    chain, batch = Chain(*DAMAGED_HISTORY), WriteBatch()
    value = chain.disk.get(key)
    if damage == "missing":
        batch.delete(key)
    else:
        batch.put(key, value[:-1] + bytes((value[-1] ^ 1,)) if damage == "flipped" else damage)
    chain.disk.write(batch, sync=True)
    faults = 0
    for height in range(3):
        for asked in (*POOL, b"genesis"):
            try:
                found, proof = chain.state.prove(asked, height)
            except StorageFault:
                faults += 1
            else:
                root = twin_root(SUITE, chain.maps[height])
                verify_state_proof(SUITE, root, asked, found, proof)
                assert found == chain.maps[height].get(asked)
    assert faults


def test_values_at_the_tip_and_the_tree_must_agree():
    chain = Chain({b"@00": b"1", b"@01": b"1", b"@80": b"1"})
    batch = WriteBatch()
    batch.put(keys.state_value(b"@02"), b"planted")
    batch.put(keys.state_value(b"@00"), b"changed")
    chain.disk.write(batch, sync=True)
    with pytest.raises(StorageFault, match="is missing"):
        chain.state.stage({b"@02": None}, 2)
    with pytest.raises(StorageFault, match="is damaged"):
        chain.state.prove(b"@00", 1)


@pytest.mark.parametrize("data", [b"\x91\x01", b"\xc1", b"\x01", b""])
def test_an_unreadable_list_of_obsolete_records_is_a_fault(data):
    chain = Chain({b"@00": b"1"})
    batch = WriteBatch()
    batch.put(keys.obsolete(1), data)
    chain.disk.write(batch, sync=True)
    with pytest.raises(StorageFault, match="obsolete"):
        chain.prune(1)


def test_what_is_kept_in_memory_is_bounded_and_never_older_than_the_tip(monkeypatch):
    monkeypatch.setattr(state_store, "MAX_CACHED", 4)
    chain = Chain({b"@%02x" % i: b"1" for i in range(1, 9)})
    keys = [b"@%02x" % i for i in range(1, 9)]
    for _ in range(2):
        assert [chain.state.get(key) for key in keys] == [b"1"] * 8
        assert len(chain.state._cache) <= 4
    chain.commit({b"@08": b"2", b"@07": None})
    assert chain.state.get(b"@08") == b"2"
    assert chain.state.get(b"@07") is None
    chain.commit({b"@06": b"x" * (state_store.MAX_CACHED_VALUE_BYTES + 1)})
    assert chain.state.get(b"@06") is not None
    assert b"@06" not in chain.state._cache
