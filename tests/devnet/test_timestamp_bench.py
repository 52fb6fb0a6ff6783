"""The timestamp workload: what its clients send when, and which tokens its check believes."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import replace

import pytest
from aiohttp import web

from chainnode.model.errors import ProofInvalid
from chainnode.model.timestamp import Serial
from chainnode.tsp.request import Failure, decode_request
from chainnode.tsp.response import granted, rejected
from chainnode.tsp.token import TokenFacts, TokenTemplate
from devnet.bench.http_load import HttpJob, HttpLoad
from devnet.bench.one_asked import Served
from devnet.bench.plan import WARM_UP_S, Plan
from devnet.bench.timestamp import Timestamps, as_json, rows
from devnet.bench.timestamp_check import check_tokens
from devnet.bench.timestamp_client import (
    Answer,
    http_request,
    imprint_of,
    nonce_of,
    outcome_of,
    request_of,
)
from devnet.bench.token_speed import TokenSpeed, token_speed
from devnet.bench.workload import Number
from tests.support.certificates import NOW_MS, authority

POLICY = "2.999.3161.1"
PLAN = Plan(
    validators=4,
    suite="ed25519-sha256",
    workload="timestamp",
    batch_size=1,
    duration_s=10,
    rate=1_000,
    clients=2,
)

SERVED = Served(
    plan=PLAN,
    cores=2,
    per_s=1_000.0,
    latencies_us=tuple(range(1_000, 101_000, 1_000)),
    refused=Counter({"429": 3}),
    blocks_per_s=5.0,
    view_changes=0,
    cpu_us=300.0,
    cpu_us_by_part={"rpc": 200.0, "consensus": 100.0},
    other_cpu_us=60.0,
    functions=(("a.py:f", 3), ("b.py:g", 1)),
    sampled=4,
    memory_bytes=60_000_000,
)


def response_to(request: bytes, index: int) -> bytes:
    made = authority()
    template = TokenTemplate(
        signer=made.leaf_signer, certificate=made.leaf, chain=(made.issuing,), policy=POLICY
    )
    serial = Serial(index=index, blinding=bytes(13)).as_integer()
    facts = TokenFacts(serial_number=serial, time_ms=NOW_MS, accuracy_ms=2_500)
    return granted(template.token(decode_request(request), facts))


def test_requests_follow_from_their_numbers():
    number = Number(3, 17)
    read = decode_request(request_of(number))
    assert read.imprint == imprint_of(number)
    assert read.wants_certificate
    assert int.from_bytes(read.nonce[2:], "big") == nonce_of(number)
    assert request_of(Number(3, 18)) != request_of(number)


def asked(rate: int | None, answer, *, count: int, connections: int = 4):
    """Have a client ask a server of our own for a tenth of a second."""
    begun = []

    async def handle(request):
        begun.append(time.monotonic_ns())
        return await answer(await request.read())

    async def run():
        runner = web.ServerRunner(web.Server(handle))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]
        # Negative, since a warm-up is added: a tenth of a second in all.
        plan = replace(PLAN, rate=rate, clients=1, duration_s=0.1 - WARM_UP_S)
        job = HttpJob(
            number=0,
            plan=plan,
            url=f"http://127.0.0.1:{port}/tsa",
            count=count,
            connections=connections,
        )
        requests = [http_request(job.url, Number(0, n)) for n in range(count)]
        try:
            return outcome_of(0, await HttpLoad(job, requests).run(time.monotonic_ns()))
        finally:
            await runner.cleanup()

    return asyncio.run(run()), begun


def test_at_a_rate_every_request_is_sent_once_and_its_answer_is_its_own():
    async def answer(body):
        return web.Response(body=response_to(body, int.from_bytes(body[-4:], "big")))

    outcome, begun = asked(100, answer, count=10)
    assert len(begun) == 10
    assert {one.number.sequence for one in outcome.granted} == set(range(10))
    assert outcome.refused == {}
    for one in outcome.granted:
        # It is about this request and no other.
        assert imprint_of(one.number).value in one.response
        assert one.answered_ns > one.begun_ns
    dues = sorted(one.begun_ns for one in outcome.granted)
    assert [due - dues[0] for due in dues] == [n * 10_000_000 for n in range(10)]


def test_what_falls_due_while_all_connections_wait_counts_from_when_it_was_due():
    slow_s = 0.2

    async def answer(body):
        await asyncio.sleep(slow_s)
        return web.Response(body=response_to(body, 1))

    outcome, begun = asked(100, answer, count=10, connections=1)
    assert len(begun) == len(outcome.granted) == 10
    last = max(outcome.granted, key=lambda one: one.number.sequence)
    # The tenth was due after 90 ms, and nine were answered before it one by one.
    assert last.answered_ns - last.begun_ns >= (10 * slow_s - 0.1) * 1e9


def test_answers_without_a_token_are_counted_by_what_they_are():
    answers = iter(
        [
            web.Response(status=429, text="busy"),
            web.Response(body=rejected(Failure.TIME_NOT_AVAILABLE, "no")),
        ]
    )

    async def answer(body):
        found = next(answers, None)
        if found is None:
            raise RuntimeError("the connection ends")
        return found

    outcome, _ = asked(100, answer, count=2, connections=1)
    assert (outcome.granted, outcome.refused) == ([], Counter({"429": 1, "rejected": 1}))


def test_a_load_that_runs_out_of_requests_is_no_load():
    async def answer(body):
        return web.Response(body=response_to(body, 1))

    outcome, begun = asked(None, answer, count=3)
    assert outcome.ran_out
    assert len(begun) == 3


def test_two_tokens_with_one_serial_number_end_the_measurement():
    first, second = (
        Answer(Number(0, n), response_to(request_of(Number(0, n)), 7), 0, 1) for n in range(2)
    )
    with pytest.raises(ProofInvalid) as caught:
        check_tokens(None, [first, second], issuer="v1")
    assert caught.value.error_code == "serial_given_twice"


def test_report_names_every_figure_that_scripts_read(monkeypatch):
    monkeypatch.setattr("devnet.bench.token_speed.MEASURE_NS", 1_000_000)
    made = authority()
    speed = token_speed((made.leaf, made.issuing), POLICY)
    found = Timestamps(
        served=SERVED, token_bytes=2_800, checked_serials=10_000, checked_tokens=50, speed=speed
    )
    document, table = as_json(found), rows(found)
    assert document["tokens_per_s"] == 1_000.0
    assert (document["cpu_us_per_token"], document["other_cpu_us_per_token"]) == (300.0, 60.0)
    assert document["latency_ms"] == {"p50": 50.0, "p95": 95.0, "p99": 99.0, "max": 100.0}
    assert document["refused"] == {"429": 3}
    assert document["cpu_share_by_function"] == {"a.py:f": 0.75, "b.py:g": 0.25}
    for name in ("requests_read_per_s", "der_per_s", "signatures_per_s"):
        assert document[name] > 0
    assert ("without token", "3 429") in table
    assert speed != TokenSpeed(requests_per_s=0, der_per_s=0, signatures_per_s=0)
