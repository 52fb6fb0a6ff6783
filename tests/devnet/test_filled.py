"""The usual load on a chain that is made first, with real processes and few records."""

from __future__ import annotations

import pytest

from chainnode.model.errors import Refused
from devnet.bench import load, run
from devnet.bench.plan import Plan
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
