"""What the benchmark checks after a load: that it notices what is missing, wrong, or another's."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chainnode.model.errors import ChainError, ProofInvalid
from chainnode.model.genesis import decode_genesis
from chainnode.model.tlog_policy import parse_policy
from devnet.bench import gateway_check, reading
from devnet.bench.check import check_proofs, check_records, verify_answer
from devnet.bench.gateway_client import Committed
from devnet.bench.load import fill
from devnet.bench.overload import Overload
from devnet.bench.plan import PROOF, QUERY, TILES, Plan
from devnet.network import Devnet

PLAN = Plan(
    validators=1,
    suite="ed25519-sha256",
    workload=PROOF,
    batch_size=100,
    duration_s=1,
    rate=20,
    clients=1,
    records=1_000,
)


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A network of one validator with a thousand documents, and what was acknowledged of them."""
    with Devnet.create(tmp_path_factory.mktemp("check") / "net", validators=1) as network:
        network.up()
        done = fill(network, PLAN, lambda _: None)
        network.wait_level(timeout_ms=30_000)
        yield network, done.acknowledged


pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120), pytest.mark.xdist_group("network")]


def test_what_is_there_is_found(filled):
    network, known = filled
    assert check_records(network, known) == 1_000
    assert check_proofs(network, known, 1) == len(known) == 10
    late = [tx for tx in known if tx.first_record >= 500]
    assert check_records(network, late, 500) == sum(tx.record_count for tx in late)


@pytest.mark.parametrize(
    "change",
    [
        lambda tx: {"height": tx.height + 1},
        lambda tx: {"first_record": tx.first_record + 1},
        lambda tx: {"first_record": 1_000_000},
        lambda _tx: {"tx_id": "00" * 32},
        lambda tx: {"record_count": tx.record_count + 1},
    ],
)
def test_what_is_not_there_is_told(filled, change):
    network, known = filled
    wrong = replace(known[4], **change(known[4]))
    with pytest.raises(ProofInvalid, match="which was acknowledged in block") as caught:
        check_records(network, [*known[:4], wrong, *known[5:]])
    assert caught.value.error_code == "acknowledged_lost"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda _: {}, None),
        (lambda one: {"height": one.height + 1}, "acknowledged_lost"),
        (lambda one: {"index": one.index + 1}, "record_given_twice"),
        (lambda _: {"index": 1_000_000}, "acknowledged_lost"),
        (lambda _: {"tx_id": "00" * 32}, "acknowledged_lost"),
    ],
)
def test_what_a_gateway_called_committed_must_be_there(filled, change, code):
    network, known = filled
    committed = [
        Committed(
            number=tx.number,
            id="",
            tx_id=tx.tx_id,
            index=tx.first_record + item,
            height=tx.height,
            begun_ns=0,
            answered_ns=1,
        )
        for tx in known[:2]
        for item in range(tx.record_count)
    ]
    committed[4] = replace(committed[4], **change(committed[4]))
    if code is None:
        assert gateway_check.check_records(network, committed) == 200
        return
    with pytest.raises(ProofInvalid) as caught:
        gateway_check.check_records(network, committed)
    assert caught.value.error_code == code


def test_what_lies_before_the_load_does_not_count_for_it(filled):
    network, known = filled
    with pytest.raises(ProofInvalid):
        check_records(network, known, 600)


def test_the_proof_of_another_document_is_no_proof(filled):
    network, known = filled
    genesis = decode_genesis(network.genesis.read_bytes())
    policy = parse_policy(network.policy.read_bytes())
    node = network.nodes[0].name
    answer = network.ask(node, lambda client: client.log_proof(known[0].first_record + 3))
    verify_answer(genesis, policy, known[0], 3, answer, 1)
    for tx, item in ((known[0], 4), (known[1], 3)):
        with pytest.raises(ChainError):
            verify_answer(genesis, policy, tx, item, answer, 1)


@pytest.mark.parametrize(
    ("plan", "code"),
    [
        (PLAN, None),
        pytest.param(replace(PLAN, path=TILES), "bad_inclusion", marks=pytest.mark.soak),
        (replace(PLAN, workload=QUERY), "wrong_lookup"),
    ],
)
def test_a_wrong_answer_to_a_reader_ends_the_measurement_and_says_why(filled, plan, code):
    network, known = filled
    swapped = [replace(tx, first_record=known[0].first_record) for tx in known[1:]]
    with pytest.raises(ChainError) as caught:
        reading.read(network, plan, swapped, lambda _: None, 10)
    assert caught.value.error_code not in {"client_ended", "client_silent"}
    assert code is None or caught.value.error_code == code


@pytest.mark.parametrize(
    ("after_ms", "found"),
    [
        ([10, 10, 10], 0),
        ([90, 21, 10, 20], 2),
        ([10, None, 20, 10], 2),
        ([10, 10, 21], None),
    ],
)
def test_normal_is_what_stays_below_twice_the_calm(after_ms, found):
    overload = Overload(
        plan=PLAN,
        cores=2,
        saturation_tps=None,
        tps=1.0,
        refused={},
        unhinted=0,
        unanswered=0,
        behind_ms=0,
        calm_us=(10_000,),
        during_us=(),
        after_us=tuple(() if ms is None else (ms * 1_000,) for ms in after_ms),
        memory_bytes=(1, 1, 1),
        checked_records=0,
        checked_proofs=0,
    )
    assert overload.normal_after_s == found
