"""The gateway workload: what its clients send and how they read what comes back."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

from chainnode.model.commitment import DIGEST_BYTES
from chainnode.rpc.gateway_request import parse_record_request
from devnet.bench.gateway import GatewayFigures, as_json, rows
from devnet.bench.gateway_client import http_request, outcome_of
from devnet.bench.http_load import Heard, HttpAnswer, HttpJob
from devnet.bench.plan import GATEWAY
from devnet.bench.workload import Number, digests_of
from tests.devnet.test_timestamp_bench import PLAN, SERVED

JOB = HttpJob(
    number=0,
    plan=replace(PLAN, workload=GATEWAY, digests=2),
    url="http://127.0.0.1:1/v1/records",
    count=1,
    token="cng_x",
)


def test_a_request_is_one_document_under_a_key_of_its_own():
    heads = []
    for number in (Number(3, 17), Number(3, 18)):
        head, _, body = http_request(JOB, number).partition(b"\r\n\r\n")
        asked = parse_record_request(body)
        assert (asked.wait, asked.is_public) == ("committed", False)
        assert asked.document.digests == digests_of(number, 0, 2)
        assert {digest.algorithm for digest in asked.document.digests} <= set(DIGEST_BYTES)
        assert b"Authorization: Bearer cng_x" in head
        assert f"Content-Length: {len(body)}".encode() in head
        heads.append(head)
    assert heads[0] != heads[1]


def record(status, **fields):
    return {"id": "a", "tx_id": "b", "index": 5, "height": 2, "status": status, **fields}


def test_only_what_is_committed_counts_and_all_else_is_named():
    overloaded = {"error": {"code": "overloaded", "message": "", "field": None}}
    answers = [
        (200, record("committed")),
        (202, record("accepted", index=None, height=None)),
        (200, record("failed", index=None)),
        (429, overloaded),
    ]
    heard = Heard(
        answers=[
            HttpAnswer(n, status, json.dumps(value).encode(), 10, 20)
            for n, (status, value) in enumerate(answers)
        ],
        missing=Counter(no_answer=2),
        ran_out=True,
    )
    outcome = outcome_of(7, heard)
    (one,) = outcome.committed
    assert (one.number, one.index, one.answered_ns - one.begun_ns) == (Number(7, 0), 5, 10)
    assert outcome.refused == {"accepted": 1, "failed": 1, "overloaded": 1, "no_answer": 2}
    assert outcome.ran_out


def test_report_names_every_figure_that_scripts_read():
    found = GatewayFigures(
        served=replace(SERVED, plan=JOB.plan),
        list_size=12.34,
        checked_records=500,
        checked_proofs=50,
    )
    document = as_json(found)
    assert (document["workload"], document["records_per_s"]) == ("gateway", 1_000.0)
    assert document["latency_ms"]["p99"] == 99.0
    assert (document["cpu_us_per_record"], document["other_cpu_us_per_record"]) == (300.0, 60.0)
    assert (document["list_size"], document["digests"]) == (12.3, 2)
    assert (document["checked_records"], document["checked_proofs"]) == (500, 50)
    table = dict(rows(found))
    assert table["records"] == "1,000/s in lists of 12.3 on average"
    assert table["without record"] == "3 429"
