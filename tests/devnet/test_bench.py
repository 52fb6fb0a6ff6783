import asyncio
import contextlib
import json
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from chainnode.model.errors import Unavailable
from chainnode.model.suites import SUITE_NAMES
from chainnode.rpc.dispatch import error_text
from chainnode.rpc.error_numbers import number_of
from devnet.bench.ceiling import ceiling_tps
from devnet.bench.client import Job, _Sender, window_ns
from devnet.bench.cpu import cpu_us_by_part, read_samples
from devnet.bench.plan import (
    IN_FLIGHT_LISTS,
    IN_FLIGHT_TRANSACTIONS,
    LEAST_FILLED_PER_S,
    WARM_UP_S,
    Plan,
)
from devnet.bench.report import Figures, Report, as_json, function_table, percentile, rows
from devnet.processes import CpuSplit

NS_PER_S = 1_000_000_000

PLAN = Plan(
    validators=4,
    suite="ed25519-sha256",
    workload="notarize",
    batch_size=1,
    duration_s=10,
    rate=None,
    clients=2,
)

FIGURES = Figures(
    plan=PLAN,
    cores=2,
    tps=1_000.0,
    records_per_s=1_000.0,
    latencies_us=tuple(range(1_000, 101_000, 1_000)),
    refused=Counter(overloaded=3),
    blocks_per_s=4.0,
    view_changes=2,
    cpu_us_per_tx=160.0,
    cpu_us_by_part={"verify": 100.0, "decode": 60.0},
    functions=(("chainnode/model/codec.py:decode", 3), ("ssl.py:write", 1)),
    sampled=4,
    memory_bytes=150_000_000,
    disk_bytes_per_tx=700.0,
    home_bytes=8_000_000,
    records=0,
    wire_bytes_per_tx=None,
    checked_records=10_000,
    checked_proofs=50,
)
REPORT = Report(figures=FIGURES, ceiling_before_tps=4_000.0, ceiling_after_tps=5_000.0)


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ((), 50, 0),
        ((7,), 50, 7),
        ((7,), 100, 7),
        ((1, 2, 3, 4), 50, 2),
        ((1, 2, 3, 4), 51, 3),
        (tuple(range(1, 101)), 95, 95),
        (tuple(range(1, 101)), 99, 99),
        (tuple(range(1, 101)), 100, 100),
        ((1, 2), 0, 1),
    ],
)
def test_percentile_is_the_nearest_rank(values, percent, expected):
    assert percentile(values, percent) == expected


def test_report_names_every_figure_that_scripts_read():
    document = as_json(REPORT)
    assert document["tps"] == 1_000.0
    assert document["records_per_s"] == 1_000.0
    assert document["latency_ms"] == {"p50": 50.0, "p95": 95.0, "p99": 99.0, "max": 100.0}
    assert document["ceiling_tps"] == 5_000.0
    assert document["share_of_ceiling"] == 0.2
    assert document["cpu_us_per_tx"] == 160.0
    assert document["checked_records"] == 10_000
    assert document["checked_proofs"] == 50
    assert document["memory_bytes"] == 150_000_000
    assert document["refused"] == {"overloaded": 3}


def test_table_says_what_was_not_committed_and_what_was_not_counted():
    table = dict(rows(REPORT))
    assert table["not committed"] == "3 overloaded"
    assert "not counted" in table["wire"]
    assert table["of the ceiling"] == "20.0 %"
    figures = replace(FIGURES, refused={}, wire_bytes_per_tx=1_234.5)
    clean = dict(rows(replace(REPORT, figures=figures)))
    assert clean["not committed"] == "none"
    assert clean["wire"].startswith("1,23")


def test_report_says_what_was_there_before_the_load_and_how_far_apart_validators_were():
    document = as_json(REPORT)
    assert (document["delay_ms"], document["records"]) == (None, 0)
    assert document["home_bytes"] == 8_000_000
    assert "ms" not in dict(rows(REPORT))["network"]
    figures = replace(FIGURES, plan=replace(PLAN, delay_ms=0, records=1_000), records=2_000)
    delayed = replace(REPORT, figures=figures)
    document = as_json(delayed)
    assert (document["delay_ms"], document["records"]) == (0, 2_000)
    table = dict(rows(delayed))
    assert table["network"].endswith(", 0 ms from any to any other")
    assert table["chain"] == "2,000 documents before the load"


def test_chain_is_filled_by_long_lists_at_saturation_whatever_the_load():
    plan = replace(PLAN, rate=50, records=10_000_000, delay_ms=20).filling()
    assert (plan.batch_size, plan.rate) == (1_000, None)
    assert plan.records / plan.duration_s < LEAST_FILLED_PER_S


def test_clients_share_a_fixed_rate():
    plan = replace(PLAN, rate=500)
    assert plan.transactions_per_client(1.0) * plan.clients >= 500 * (WARM_UP_S + 10)


def test_saturation_prepares_what_the_machine_could_do_and_bounds_memory():
    assert PLAN.transactions_per_client(50_000.0) * PLAN.clients >= 50_000 * (WARM_UP_S + 10)
    lists = replace(PLAN, batch_size=1_000, workload="notarize-batch")
    assert lists.transactions_per_client(50_000.0) * lists.clients < 1_000


def test_clients_share_what_may_be_in_flight():
    assert PLAN.in_flight_per_client() * PLAN.clients == IN_FLIGHT_TRANSACTIONS
    assert replace(PLAN, batch_size=2).in_flight_per_client() * 2 == IN_FLIGHT_LISTS
    assert replace(PLAN, clients=64, batch_size=2).in_flight_per_client() == 1


@pytest.mark.parametrize("suite", SUITE_NAMES)
def test_ceiling_is_less_with_more_validators(suite):
    assert 0 < ceiling_tps(suite, 1_000) < ceiling_tps(suite, 1)


def answer(sequence):
    return {
        "tx_id": f"{sequence:064x}",
        "status": "committed",
        "height": 7,
        "position": 0,
        "time_ms": 1,
        "receipt": {
            "code": "",
            "first_record": sequence,
            "message": "",
            "record_count": 1,
            "succeeded": True,
            "tx_id": f"{sequence:064x}",
        },
    }


class StubSocket:
    """A node's stream that answers each request after a while, or with an error."""

    def __init__(self, delay_s=0.0, errors=(), result=answer):
        self.delay_s, self.errors, self.result = delay_s, list(errors), result
        self.open = self.most_open = self.requests = 0
        self._answers = asyncio.Queue()

    async def send_str(self, message):
        for request in json.loads(message if message[0] == "[" else f"[{message}]"):
            self.requests += 1
            self.open += 1
            self.most_open = max(self.most_open, self.open)
            loop = asyncio.get_running_loop()
            loop.call_later(self.delay_s, self._answer, request["id"])

    def _answer(self, sequence):
        self.open -= 1
        if self.errors:
            error = self.errors.pop(0)
            text = error_text(str(sequence), error, number_of(error))
        else:
            result = json.dumps(self.result(sequence))
            text = f'{{"jsonrpc":"2.0","id":{sequence},"result":{result}}}'
        self._answers.put_nowait(aiohttp.WSMessage(aiohttp.WSMsgType.TEXT, text, None))

    def __aiter__(self):
        return self

    async def __anext__(self):
        return await self._answers.get()


@contextlib.asynccontextmanager
async def sending(plan, socket, count=100_000, client=0):
    """A client that hears."""
    job = Job(
        number=client,
        plan=plan,
        url="",
        home=Path(),
        account="",
        passphrase=b"",
        count=count,
    )
    requests = [f'{{"id":{number}}}' for number in range(count)]
    sender = _Sender(job, socket, requests)
    hearing = asyncio.create_task(sender.hear())
    yield sender
    hearing.cancel()


@pytest.mark.asyncio
async def test_transactions_count_from_when_they_were_due_however_late_they_leave():
    plan = replace(PLAN, rate=1_000, clients=1)
    begin_ns = time.monotonic_ns() - NS_PER_S  # all of this second is overdue
    async with sending(plan, StubSocket()) as sender:
        await sender.keep_rate(begin_ns, begin_ns + NS_PER_S, 1_000)
        await sender.drain()
    acknowledged = sender.outcome().acknowledged
    begun = sorted(tx.begun_ns - begin_ns for tx in acknowledged)
    assert begun == [number * 1_000_000 for number in range(1_000)]
    assert all(tx.answered_ns - begin_ns >= NS_PER_S for tx in acknowledged)
    assert all(tx.begun_ns - begin_ns == tx.number.sequence * 1_000_000 for tx in acknowledged)


@pytest.mark.asyncio
@pytest.mark.parametrize("first", [0, 2])
async def test_clients_take_turns_at_a_fixed_rate(first):
    plan = replace(PLAN, rate=1_000, clients=2)
    begin_ns = time.monotonic_ns() - NS_PER_S
    begun = []
    for client in range(first, first + 2):
        async with sending(plan, StubSocket(), client=client) as sender:
            await sender.keep_rate(begin_ns, begin_ns + NS_PER_S, 1_000)
            await sender.drain()
        begun += [tx.begun_ns - begin_ns for tx in sender.outcome().acknowledged]
    assert sorted(begun) == [number * 1_000_000 for number in range(1_000)]


@pytest.mark.asyncio
async def test_fixed_rate_does_not_wait_for_answers():
    plan = replace(PLAN, rate=1_000, clients=1)
    socket = StubSocket(delay_s=0.5)
    begin_ns = time.monotonic_ns()
    async with sending(plan, socket) as sender:
        await sender.keep_rate(begin_ns, begin_ns + NS_PER_S // 10, 1_000)
        assert socket.requests == socket.most_open == 100
        await sender.drain()
    assert len(sender.outcome().acknowledged) == 100


@pytest.mark.asyncio
async def test_saturation_leaves_a_bounded_number_unanswered_and_says_when_it_runs_out():
    socket = StubSocket()
    async with sending(PLAN, socket, count=4_000) as sender:
        await sender.saturate(time.monotonic_ns() + 60 * NS_PER_S)
        await sender.drain()
    assert socket.most_open == PLAN.in_flight_per_client() < socket.requests
    assert len(sender.outcome().acknowledged) == socket.requests == 4_000
    assert sender.outcome().ran_out


@pytest.mark.asyncio
async def test_saturation_ends_on_time():
    end_ns = time.monotonic_ns() + NS_PER_S // 20
    async with sending(PLAN, StubSocket(delay_s=0.001)) as sender:
        async with asyncio.timeout(30):
            # Not when everything is sent, which would take minutes.
            await sender.saturate(end_ns)
        assert time.monotonic_ns() >= end_ns
        await sender.drain()
    assert not sender.outcome().ran_out


@pytest.mark.asyncio
async def test_overloaded_node_is_given_the_pause_that_it_asks_for():
    refusal = Unavailable("too many", code="overloaded", retry_after_ms=200)
    socket = StubSocket(delay_s=0.001, errors=[refusal] * PLAN.in_flight_per_client())
    async with sending(PLAN, socket) as sender:
        await sender.saturate(time.monotonic_ns() + NS_PER_S // 10)
        await sender.drain()
    assert socket.requests == PLAN.in_flight_per_client()
    assert sender.outcome().refused == {"overloaded": socket.requests}
    assert sender.outcome().acknowledged == []


@pytest.mark.asyncio
async def test_expired_transaction_is_not_acknowledged():
    def expired(sequence):
        gone = {"status": "expired", "height": None, "position": None, "time_ms": None}
        return answer(sequence) | gone | {"receipt": None}

    plan = replace(PLAN, rate=10, clients=1)
    begin_ns = time.monotonic_ns() - NS_PER_S
    async with sending(plan, StubSocket(result=expired)) as sender:
        await sender.keep_rate(begin_ns, begin_ns + NS_PER_S, 10)
        await sender.drain()
    assert sender.outcome().refused == {"expired": 10}
    assert sender.outcome().acknowledged == []


# -- processor time --------------------------------------------------------------------------------------------


def profile_of(path, samples):
    parts, functions = ["decode", "waiting", "verify"], ["codec.py:decode", "selectors.py:select"]
    path.write_text(json.dumps([5, parts, functions, samples]))
    return path


def test_processor_time_is_divided_by_the_samples_of_the_measured_time(tmp_path):
    before, within, after = 999, 1_500, 2_000
    files = [
        profile_of(tmp_path / "a", [(before, 2, 0), (within, 0, 0), (within, 1, 1)]),
        profile_of(tmp_path / "b", [(within, 0, 0), (within, 2, 0), (after, 2, 0)]),
    ]
    samples = read_samples(files, 1_000_000_000, 2_000_000_000)
    assert samples.parts == {"decode": 2, "verify": 1}
    assert samples.functions == {"codec.py:decode": 3}
    used = CpuSplit(main_thread=300, other_threads=50, descendants=400)
    assert cpu_us_by_part(used, samples, 1_000) == {
        "verify": 500.0,
        "decode": 200.0,
        "compaction": 50.0,
    }


def test_most_costly_functions_are_named_with_their_share():
    assert function_table(FIGURES.functions, FIGURES.sampled, 1) == [
        ("75.0 %", "chainnode/model/codec.py:decode")
    ]
    assert as_json(REPORT)["cpu_share_by_function"]["ssl.py:write"] == 0.25


def test_warm_up_does_not_count():
    assert window_ns(PLAN, 5) == (5 + WARM_UP_S * NS_PER_S, 5 + (WARM_UP_S + 10) * NS_PER_S)


def test_a_profile_that_was_not_written_is_named(tmp_path):
    # A node makes the file when it starts, and fills it when it has stopped.
    (tmp_path / "v3.json").touch()
    with pytest.raises(Unavailable, match=r"v3\.json is empty"):
        read_samples([tmp_path / "v3.json"], 0, 1)
