"""The chain, the log, the notary's index, readiness and metrics, asked directly."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from chainnode.keystore.signer import local_signer
from chainnode.model.calls import Document, register_documents
from chainnode.model.commitment import PUBLIC_SALT
from chainnode.model.errors import InvariantViolation, NotFound, Unavailable
from chainnode.model.keys import KeyPurpose
from chainnode.model.merkle import leaf_hash, verify_consistency, verify_inclusion
from chainnode.model.note import parse_note
from chainnode.model.tlog_tiles import TilePath
from chainnode.services import notary as notary_module
from chainnode.services.chain import ChainService
from chainnode.services.health import STALLED_MS, reason_not_ready
from chainnode.services.log import LogService
from tests.support.chain import ARCHIVE, CLERK, digest
from tests.support.rpc import NOW_MS, engine_status, make_node

# -- the chain -------------------------------------------------------------------------------------------------


class Sets:
    """A ledger that knows nothing but which set governs each height from 1 on."""

    def __init__(self, sets):
        self._sets = sets
        self.tip = SimpleNamespace(height=len(sets) - 1)

    def validators(self, height):
        return self._sets[height - 1]


@pytest.mark.parametrize(
    ("sets", "changes"),
    [
        ("A", ()),
        ("AAAA", ()),
        ("AAB", (3,)),
        ("AABBBBBCC", (3, 8)),
        ("AABBCDDDE", (3, 5, 6, 9)),
        # Whoever trusts the set that governs needs no way to it, wherever it has been meanwhile.
        ("ABBA", ()),
        ("AABBAC", (3, 5, 6)),
    ],
)
def test_changes_of_the_validator_set_lead_from_genesis_to_the_one_that_governs(sets, changes):
    found = ChainService(Sets(sets)).governors(None)
    assert (found.height, found.validators) == (len(sets), sets[-1])
    assert found.change_heights == changes
    trusted = sets[0]
    for height in found.change_heights:
        # Whoever trusts the set before the change can check the header that names the next one.
        assert sets[height - 2] == trusted
        trusted = sets[height - 1]
    assert trusted == sets[-1]


def test_a_height_that_is_not_there_is_not_found():
    chain = make_node().services.chain
    for ask in (chain.header, chain.receipts, chain.transactions, chain.governors):
        with pytest.raises(NotFound) as missing:
            ask(7)
        assert missing.value.error_code == "unknown_height"
    with pytest.raises(NotFound):
        chain.header(None)
    with pytest.raises(NotFound):
        chain.state(b"x", prove=True, height=7)


def test_old_state_is_answered_with_its_own_root():
    node = make_node()
    genesis_root = node.ledger.tip.state_root
    node.engine.commit([])
    value = node.services.chain.state(b"validators/next", prove=True, height=0)
    assert (value.height, value.state_root) == (0, genesis_root)
    assert value.value is not None
    assert value.proof is not None


# -- the log ---------------------------------------------------------------------------------------------------


def test_a_record_is_found_by_transaction_call_and_item():
    node = make_node()
    calls = [
        register_documents([Document(digests=(digest(f"{c}{i}"),)) for i in range(n)], seed=None)
        for c, n in (("a", 3), ("b", 1), ("c", 4))
    ]
    transaction = node.chain.transaction(calls)
    node.engine.commit([node.chain.notarization("before", count=2), transaction])
    places = [(0, 0), (0, 1), (0, 2), (1, 0), (2, 0), (2, 1), (2, 2), (2, 3)]
    log = node.services.log
    assert [log.find_record(transaction.id, *place) for place in places] == list(range(3, 11))
    for place in ((0, 3), (1, 1), (3, 0), (2, 4)):
        with pytest.raises(NotFound):
            log.find_record(transaction.id, *place)


def test_a_failed_transaction_has_no_records():
    node = make_node()
    failed = node.chain.notarization("a", sender="court/guest")
    node.engine.commit([failed, node.chain.notarization("b")])
    with pytest.raises(NotFound):
        node.services.log.find_record(failed.id, 0, 0)


def test_proofs_and_consistency_hold_under_the_checkpoint_served():
    node = make_node()
    suite, log = node.chain.genesis.suite, node.services.log
    with pytest.raises(Unavailable):
        log.checkpoint()
    node.engine.commit([node.chain.notarization("a", count=4)])
    node.engine.cosign()
    node.engine.commit([node.chain.notarization("b", count=4)])
    checkpoint = log.checkpoint().cosigned.checkpoint
    for index in range(checkpoint.size):
        assert log.is_cosigned(index)
        found = log.prove(index)
        verify_inclusion(
            suite,
            leaf_hash(suite, found.leaf),
            index,
            checkpoint.size,
            found.proof.hashes,
            checkpoint.root,
        )
    assert not log.is_cosigned(checkpoint.size)
    with pytest.raises(Unavailable) as early:
        log.prove(checkpoint.size)
    assert early.value.error_code == "not_yet_cosigned"
    tip = node.ledger.tip
    old, new = checkpoint.size, tip.log_size
    proof = log.consistency(old, new)
    verify_consistency(suite, old, checkpoint.root, new, tip.log_root, proof)
    with pytest.raises(NotFound):
        log.consistency(1, tip.log_size + 1)


def test_the_log_signature_is_made_once_per_checkpoint():
    node = make_node()
    node.engine.commit([])
    node.engine.cosign()
    log = node.services.log
    first = log.checkpoint()
    assert log.checkpoint() is first
    node.engine.commit([])
    node.engine.cosign()
    assert log.checkpoint() is not first
    assert parse_note(first.note.encode()) == first.note


@pytest.mark.parametrize("purpose", [p for p in KeyPurpose if p is not KeyPurpose.LOG])
def test_no_other_key_signs_as_the_log(purpose):
    node = make_node()
    keys = node.chain.validators[0].log
    signer = local_signer(name="x", suite=keys.suite, purpose=purpose, private_key=keys.private)
    with pytest.raises(InvariantViolation):
        LogService(ledger=node.ledger, engine=node.engine, log_signer=signer)


def test_a_tile_that_the_ledger_lost_is_a_fault(monkeypatch):
    node = make_node()
    node.engine.commit([])
    monkeypatch.setattr(type(node.ledger), "tile", lambda *_: None)
    with pytest.raises(InvariantViolation):
        node.services.log.tile(TilePath(level=0, index=0, width=1))


# -- the notary ------------------------------------------------------------------------------------------------


def register(node, label, sender, *, public=False, title=None):
    seed = None if public else b"s" * 32
    document = Document(digests=(digest("same"),), title=title)
    return node.chain.transaction(
        [register_documents([document], seed=seed)], sender=sender, nonce=label
    )


def lookup(node, **how):
    options = {"as_member": True, "limit": 10, "after": None, **how}
    return node.services.notary.lookup("sha256", digest("same").value, **options)


def test_every_registration_of_a_digest_keeps_its_own_time_and_owner():
    node = make_node()
    node.engine.commit([register(node, "a", CLERK, title="许可目录")])
    node.engine.commit([register(node, "b", ARCHIVE), register(node, "c", CLERK, public=True)])
    page = lookup(node)
    assert [(f.record.account, f.record.height) for f in page.found] == [
        (CLERK, 1),
        (ARCHIVE, 2),
        (CLERK, 2),
    ]
    assert [f.is_public for f in page.found] == [False, False, True]
    assert page.found[0].registration.title == "许可目录"
    assert page.next_after is None


def test_strangers_find_public_registrations_only():
    node = make_node()
    node.engine.commit([register(node, "a", CLERK), register(node, "b", CLERK, public=True)])
    page = lookup(node, as_member=False)
    assert [f.registration.opening.salt for f in page.found] == [PUBLIC_SALT]
    assert page.found[0].index == 2


def test_lookups_go_on_where_they_ended(monkeypatch):
    monkeypatch.setattr(notary_module, "MAX_EXAMINED", 3)
    node = make_node()
    node.engine.commit([register(node, str(i), CLERK, public=i == 7) for i in range(8)])
    seen, after = [], None
    while True:
        page = lookup(node, limit=2, after=after)
        assert len(page.found) <= 2
        seen += [f.index for f in page.found]
        after = page.next_after
        if after is None:
            break
    assert seen == list(range(1, 9))
    stranger = lookup(node, as_member=False)
    assert (stranger.found, stranger.next_after) == ((), 3)


def test_a_stranger_has_a_node_look_at_few_of_many_registrations():
    node = make_node()
    many = [register_documents([Document(digests=(digest("same"),))] * 500, seed=b"s" * 32)]
    node.engine.commit([node.chain.transaction(many, nonce="many")])
    assert [lookup(node, as_member=False, after=a).next_after for a in (None, 250)] == [250, 500]


def test_a_lookup_reads_no_more_than_its_share_of_transactions(monkeypatch):
    monkeypatch.setattr(notary_module, "MAX_READ_BYTES", 0)
    node = make_node()
    twice = [register_documents([Document(digests=(digest("same"),))] * 2, seed=b"s" * 32)]
    node.engine.commit([node.chain.transaction(twice, nonce=label) for label in "ab"])
    first = lookup(node)
    assert ([f.index for f in first.found], first.next_after) == ([1], 1)
    monkeypatch.setattr(notary_module, "MAX_READ_BYTES", 10_000)
    page = lookup(node)
    assert [f.index for f in page.found] == [1, 2, 3, 4]
    assert page.next_after is None


def test_a_registration_whose_transaction_is_gone_is_a_fault(monkeypatch):
    node = make_node()
    node.engine.commit([register(node, "a", CLERK)])
    monkeypatch.setattr(type(node.ledger), "find_transaction", lambda *_: None)
    with pytest.raises(InvariantViolation):
        lookup(node)


def test_a_log_without_a_wanted_account_says_so():
    with pytest.raises(NotFound):
        make_node().services.chain.account("no/body")


# -- readiness and metrics -------------------------------------------------------------------------------------


def disconnect(status, count):
    peers = tuple(replace(peer, connected=i >= count) for i, peer in enumerate(status.peers))
    return replace(status, peers=peers)


def test_readiness_gives_the_reason():
    ready = engine_status(["ash", "birch", "cedar", "dogwood"])
    assert reason_not_ready(ready, NOW_MS) is None
    assert reason_not_ready(disconnect(ready, 1), NOW_MS) is None
    without = reason_not_ready(disconnect(ready, 2), NOW_MS)
    assert without is not None
    assert "2 of 4" in without
    assert "birch, cedar" in without
    assert "syncing" in reason_not_ready(replace(ready, is_syncing=True), NOW_MS)
    birch = replace(ready.standings[1], awaited_for="propose")
    waits = replace(
        ready,
        step="propose",
        standings=(ready.standings[0], birch, *ready.standings[2:]),
        undecided_since_ms=NOW_MS - STALLED_MS,
    )
    assert reason_not_ready(waits, NOW_MS) is None
    assert reason_not_ready(waits, NOW_MS + 1) == (
        "stalled since 10.0 s: nothing is proposed in view 0 of height 1; awaited: birch"
    )
    assert reason_not_ready(engine_status(["alone"]), NOW_MS + STALLED_MS + 1) is None


def test_metrics_say_for_how_long_the_height_waits_and_for_whom():
    node = make_node()
    names = [s.name for s in node.engine.current.standings]
    text = node.services.metrics.render().decode()
    assert "chainnode_waiting_seconds 0.0" in text
    assert f'chainnode_awaited{{validator="{names[1]}"}} 0.0' in text
    first, second, *rest = node.engine.current.standings
    node.engine.set(
        step="prepare",
        waiting_since_ms=NOW_MS - 2_500,
        undecided_since_ms=NOW_MS - 12_400,
        standings=(first, replace(second, awaited_for="prepare"), *rest),
    )
    text = node.services.metrics.render().decode()
    assert "chainnode_waiting_seconds 2.5" in text
    assert "chainnode_undecided_seconds 12.4" in text
    assert f'chainnode_awaited{{validator="{names[1]}"}} 1.0' in text
    assert f'chainnode_awaited{{validator="{names[0]}"}} 0.0' in text


def test_metrics_count_blocks_transactions_and_events():
    node = make_node()
    metrics = node.services.metrics
    for outcome in ("a", "b"):
        executed = node.chain.build(
            node.ledger,
            [
                node.chain.notarization(outcome),
                node.chain.notarization(f"{outcome} fails", sender="court/guest"),
            ],
        )
        certificate = node.chain.certify(executed)
        node.ledger.commit(executed, certificate)
        metrics.block_committed(executed, certificate)
    metrics.checkpoint_cosigned(2)
    for number in range(200):
        metrics.event(f"event_{number}")
    metrics.event("event_0", view=3)
    text = metrics.render().decode()
    assert "chainnode_blocks_total 2.0" in text
    assert 'chainnode_transactions_total{outcome="committed"} 2.0' in text
    assert 'chainnode_transactions_total{outcome="failed"} 2.0' in text
    assert "chainnode_block_interval_seconds_sum 1.0" in text
    assert 'chainnode_events_total{event="event_0"} 2.0' in text
    assert text.count("chainnode_events_total{") == 100


def test_metrics_of_a_peer_without_samples_leave_them_out():
    node = make_node()
    first, *others = node.engine.current.peers
    silent = replace(first, clock_offset_ms=None, round_trip_ms=None, connected=False)
    node.engine.set(peers=(silent, *others))
    text = node.services.metrics.render().decode()
    assert f'chainnode_peer_connected{{peer="{first.name}"}} 0.0' in text
    assert f'chainnode_peer_round_trip_seconds{{peer="{first.name}"}}' not in text


def test_metrics_tell_what_passed_over_each_link():
    text = make_node().services.metrics.render().decode()
    for name, value in (
        ("bytes_in", 1_000),
        ("bytes_out", 2_000),
        ("messages_in", 30),
        ("messages_dropped", 4),
        ("faults", 1),
    ):
        assert f'chainnode_peer_{name}_total{{peer="v2"}} {value}.0' in text
