"""The usual load on a chain that is made first, with real processes and few records."""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import pytest

from chainnode.model.errors import Refused, Unavailable
from devnet.bench import load, run
from devnet.bench.client import Acknowledged, Outcome
from devnet.bench.plan import Plan
from devnet.bench.workload import Number
from devnet.network import Devnet

PLAN = Plan(
    validators=4,
    suite="ed25519-sha256",
    workload="notarize",
    batch_size=1,
    duration_s=2,
    rate=50,
    clients=2,
    records=3_000,
)


@pytest.mark.e2e
@pytest.mark.timeout(300)
@pytest.mark.xdist_group("network")
@pytest.mark.soak
def test_chain_is_made_in_rounds_and_its_records_do_not_count_for_the_load(monkeypatch):
    monkeypatch.setattr(load, "MOST_SIGNED_RECORDS", 2_000)
    said = []
    figures = run.measure(PLAN, 1.0, say=said.append)
    assert said.count("filling the chain") == 2
    assert figures.records == 4_000
    # All that was due, each once: none was taken for a transaction of the filling.
    assert not figures.refused
    assert figures.checked_records == PLAN.rate * PLAN.sending_s
    assert figures.home_bytes > figures.disk_bytes_per_tx * figures.checked_records


def test_network_without_wires_that_can_be_cut_has_no_delay(tmp_path):
    with (
        Devnet.create(tmp_path / "net", validators=2, can_cut=False) as network,
        pytest.raises(Refused, match="without wires"),
    ):
        network.delay(20)


def _list_of(plan, number):
    return Acknowledged(
        number=Number(number, 0),
        tx_id="00",
        height=1,
        first_record=0,
        record_count=plan.batch_size,
        begun_ns=0,
        answered_ns=1,
    )


@pytest.fixture
def answers(monkeypatch):
    """What clients answer, round by round, in place of real ones."""
    rounds = []

    @contextlib.contextmanager
    def clients_of(_network, _plan, _count, _first):
        yield [SimpleNamespace(send=lambda _: None)]

    monkeypatch.setattr(load, "clients_of", clients_of)
    monkeypatch.setattr(load, "hear", lambda _client, _timeout_s: rounds[0])
    monkeypatch.setattr(load, "_hear_outcome", lambda _client, _timeout_s: rounds.pop(0))
    return rounds


def test_what_an_overloaded_node_refused_is_made_up_for(answers):
    plan = replace(PLAN.filling(), clients=1, records=2_000)
    answers += [
        Outcome(acknowledged=[_list_of(plan, 0)], refused=Counter(overloaded=1)),
        Outcome(acknowledged=[_list_of(plan, 1)]),
    ]
    filled = load.fill(None, plan, lambda _: None)
    assert (filled.records, filled.clients) == (2_000, 2)


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(refused=Counter(overloaded=2)),
        Outcome(acknowledged=[_list_of(PLAN, 0)], refused=Counter(bad_signature=1)),
    ],
)
def test_what_is_refused_for_another_reason_or_altogether_ends_the_filling(answers, outcome):
    answers.append(outcome)
    with pytest.raises(Unavailable, match="not all was committed"):
        load.fill(None, replace(PLAN.filling(), clients=1), lambda _: None)
