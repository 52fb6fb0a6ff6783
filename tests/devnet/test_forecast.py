"""Forecasts: the machines, the sizes and the network that they are made of, and the costs that they start from."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import replace
from types import SimpleNamespace

import pytest

from chainnode.engine.message_codec import encode_message
from chainnode.engine.messages import CosignatureMessage, TransactionsMessage, Vote
from chainnode.model.suites import SUITE_NAMES
from chainnode.model.votes import PREPARE
from devnet.bench.workload import Number, transaction
from devnet.forecast import report
from devnet.forecast.calibration import Calibration, costs_from
from devnet.forecast.costs import Costs
from devnet.forecast.network import CLIENT_MS, Setting, _Run, forecast
from devnet.forecast.schedule import QUANTUM_US, Events, Machine, Thread
from devnet.forecast.sizes import FRAME_BYTES, envelope_bytes, sizes_of
from devnet.homes import CHAIN_ID, NOTARY_ACCOUNT
from tests.devnet.test_bench import FIGURES, PLAN
from tests.support.chain import CLERK, make_chain

COSTS = Costs(
    client=10,
    request=25,
    arrive=30,
    verify=60,
    execute=15,
    store=10,
    compact=5,
    copy=2,
    message=150,
    block=1_000,
    sync=1_000,
)
HERE = Setting(
    validators=4,
    cores=2,
    is_shared=True,
    delay_ms=0,
    mbit_per_s=None,
    clients=2,
    in_flight=3_000,
    envelope_bytes=277,
)
APART = replace(HERE, is_shared=False, delay_ms=1, mbit_per_s=1_000)


def test_threads_take_turns_on_a_core_and_leave_it_while_they_wait_for_a_disk():
    events = Events()
    machine = Machine(events, cores=1)
    done = {}

    def at(name):
        return lambda: done.setdefault(name, events.now_us)

    long, short, waits = (Thread(machine) for _ in range(3))
    long.do(3 * QUANTUM_US, at("long"))
    short.do(10, at("short"))
    waits.do(10, at("waits"), disk_us=QUANTUM_US)
    waits.do(10, at("after"))
    events.run(1e9)
    assert done == {
        "short": QUANTUM_US + 10,
        # The disk works while the long job has its second turn, and the thread is before it for the third.
        "waits": 2 * QUANTUM_US + 20,
        "after": 2 * QUANTUM_US + 30,
        "long": 3 * QUANTUM_US + 30,
    }
    assert machine.busy_us == 3 * QUANTUM_US + 30


def test_two_cores_do_twice_as_much():
    for cores, expected_us in ((1, 200), (2, 100)):
        events = Events()
        machine = Machine(events, cores)
        done = []
        for _ in range(2):
            Thread(machine).do(100, lambda e=events, d=done: d.append(e.now_us))
        events.run(1e9)
        assert max(done) == expected_us


def test_sizes_are_those_of_the_real_messages():
    sizes = sizes_of(100, 277)
    common = {"height": 100_000, "sender": 99, "signature": bytes(64)}
    vote = encode_message(Vote(kind=PREPARE, view=0, digest=bytes(32), **common))
    assert sizes.vote == len(vote) + FRAME_BYTES
    cosignature = encode_message(CosignatureMessage(timestamp=1_800_000_000, **common))
    assert sizes.cosignature == len(cosignature) + FRAME_BYTES
    one, two = (len(encode_message(TransactionsMessage((bytes(277),) * n))) for n in (1, 2))
    assert sizes.envelope == two - one
    # The certificate of the parent grows with the quorum.
    assert sizes.outline - sizes_of(4, 277).outline > 60 * 64


@pytest.mark.parametrize("suite", SUITE_NAMES)
def test_size_of_a_transaction_is_that_of_a_real_one(suite):
    chain = make_chain(suite=suite)
    keys = chain.accounts[CLERK]
    signer = SimpleNamespace(public_key=keys.public, sign=keys.sign)
    real = transaction(chain.genesis, CLERK, signer, Number(0, 0), 1, tip_height=95_000)
    names = len(CHAIN_ID) + len(NOTARY_ACCOUNT) - len(chain.genesis.chain_id) - len(CLERK)
    assert abs(envelope_bytes(suite) - len(real.envelope) - names) <= 2


def test_shared_machine_is_used_up_and_does_what_its_costs_allow():
    found = forecast(HERE, COSTS)
    assert found.busy > 0.95
    per_tx_us = 4 * 120 + 25 + 10 + 3 * 2
    assert 0.75 < found.tps * per_tx_us / 2e6 <= 1.01
    assert forecast(replace(HERE, validators=7), COSTS).tps < 0.7 * found.tps


def test_machines_of_their_own_are_not_slower_the_more_cores_they_have():
    one, two = (forecast(replace(APART, cores=cores, in_flight=20_000), COSTS) for cores in (1, 2))
    # The verifier has the second core to itself.
    assert 1.5 < two.tps / one.tps < 2


def test_all_that_is_due_is_committed_no_sooner_than_three_messages_take():
    near, far = (forecast(replace(APART, rate=1_000, delay_ms=ms), COSTS) for ms in (1, 50))
    for found in (near, far):
        assert found.tps == pytest.approx(1_000, rel=0.05)
    assert far.latencies_us[0] >= 3 * 50_000
    assert 100 < far.latency_ms(50) - near.latency_ms(50) < 400


def test_what_cannot_be_divided_among_clients_goes_round():
    sent = Counter()

    class Client:
        def __init__(self, number):
            self.number = number

        def send(self, count, _now_us):
            sent[self.number] += count

    world = _Run(replace(APART, clients=3), COSTS)
    world._clients = deque(Client(number) for number in range(3))
    for _ in range(6):
        world._keep_rate(4 * 1_000 // CLIENT_MS)
    assert sent == {0: 8, 1: 8, 2: 8}


def test_a_thin_wire_bounds_what_many_validators_do():
    thin = replace(APART, validators=31, clients=31, mbit_per_s=20)
    found = forecast(thin, COSTS)
    assert found.tps < 0.7 * forecast(replace(thin, mbit_per_s=1_000), COSTS).tps
    assert found.tps * found.wire_bytes_per_tx * 8 <= 20e6


def test_forecast_is_the_same_each_time():
    assert forecast(APART, COSTS) == forecast(APART, COSTS)


def test_costs_are_found_again_in_what_they_would_have_caused():
    n, per_block = 4, 2.0
    parts = {
        "verify": COSTS.verify,
        "decode": 20.0,
        "pool": COSTS.arrive - 20,
        "rpc": COSTS.request / n,
        "execute": 9.0,
        "tree": COSTS.execute - 9,
        "storage": COSTS.store,
        "compaction": COSTS.compact,
        "network": COSTS.copy * (n - 1) / n,
    }
    known = sum(parts.values())
    saturated = replace(
        FIGURES,
        plan=replace(PLAN, validators=n),
        tps=3_000.0,
        cpu_us_by_part=parts,
        cpu_us_per_tx=2e6 / 3_000 / n - COSTS.client / n,
    )

    def quiet(validators):
        block = COSTS.block + 3 * (validators - 1) * COSTS.message
        return replace(
            FIGURES,
            plan=replace(PLAN, validators=validators),
            tps=50.0,
            blocks_per_s=50.0 / per_block,
            cpu_us_per_tx=known + block / per_block,
        )

    found = costs_from(saturated, quiet(4), quiet(10), cores=2, sync_us=COSTS.sync)
    for name in Costs.__dataclass_fields__:
        assert getattr(found, name) == pytest.approx(getattr(COSTS, name)), name


def test_study_tells_what_is_measured_from_what_is_forecast(monkeypatch):
    monkeypatch.setattr(
        report,
        "calibrate",
        lambda suite, **_: Calibration(suite=suite, cores=2, saturated=FIGURES, costs=COSTS),
    )
    found = report.study(
        "ed25519-sha256",
        validators=(4,),
        cores=2,
        delay_ms=1,
        mbit_per_s=1_000,
        is_checked=False,
        say=lambda _: None,
    )
    assert [len(row) for row in report.here_table(found)] == [len(report.HERE_HEADS)] * 4
    assert [len(row) for row in report.apart_table(found)] == [len(report.APART_HEADS)]
    document = report.as_json(found)
    assert [line["validators"] for line in document["here"] if "measured" in line] == [
        FIGURES.plan.validators
    ]
    assert document["apart"][0]["at_rate"]["tps"] == pytest.approx(
        document["apart"][0]["rate"], rel=0.05
    )
