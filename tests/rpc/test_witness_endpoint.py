"""`POST /add-checkpoint` and what is below `/witness/`, as logs and monitors ask for them."""

import asyncio

import aiohttp
import pytest

from chainnode.model.cosignature import verify_cosignature
from chainnode.model.note import parse_note, parse_signature_lines, parse_verifier_key
from chainnode.model.tlog_witness import MAX_SUBMISSION_BYTES, origin_hash
from chainnode.rpc.witness_endpoint import (
    MONITORING_FOLDER,
    SUBMISSION_PATH,
    SubmissionEndpoint,
    WitnessedEndpoint,
)
from tests.support.alliance import Alliance
from tests.support.rpc import ManualClock, serve
from tests.support.witnesses import NAME, make_witness, submission

LEAVES = [b"record %d" % n for n in range(40)]
FORKED = [b"another record", *LEAVES[1:]]
ALLIANCE = Alliance()
STRANGER = Alliance(origin="stranger.example/log")


def with_witness(tmp_path, work, *, clock=None):
    """Run `work(ask)` against a node that witnesses; `ask(verb, path, body)` gives status, headers, body."""

    async def run():
        witness = make_witness(tmp_path, ALLIANCE.policy(), clock=clock)
        endpoints = {
            SUBMISSION_PATH: SubmissionEndpoint(witness),
            MONITORING_FOLDER: WitnessedEndpoint(witness),
        }
        async with serve(endpoints=endpoints) as served, aiohttp.ClientSession() as session:

            async def ask(verb, path, body=None):
                async with session.request(verb, served.url + path, data=body) as response:
                    return response.status, response.headers, await response.read()

            return await work(ask)

    return asyncio.run(run())


def encoded(*arguments, **options):
    return submission(ALLIANCE, *arguments, **options).encode()


def test_the_statuses_are_those_of_the_specification(tmp_path):
    good = encoded(LEAVES[:20], 10)
    cases = [
        (400, b""),
        (400, b"old 010\n\n" + good.partition(b"\n\n")[2]),
        (400, good[:-1]),
        (400, encoded(LEAVES[:20], 10, old_size=21)),
        (400, encoded(LEAVES[:20], 10, proof=[bytes(32)] * 64)),
        (403, encoded(LEAVES[:20], 10, log=None)),
        (403, encoded(LEAVES[:20], 10, cosigners=("a1",))),
        (404, submission(STRANGER, LEAVES[:20], 10).encode()),
        (409, encoded(LEAVES[:20], 10, old_size=0)),
        (409, encoded(LEAVES[:20], 10, old_size=11)),
        (409, encoded(FORKED[:10], 10)),
        (413, bytes(MAX_SUBMISSION_BYTES + 1)),
        (422, encoded(LEAVES[:20], 10, proof=[])),
        (422, encoded(FORKED[:20], 10)),
        (200, good),
        # What was good once is a conflict now, and says with what.
        (409, good),
    ]

    async def work(ask):
        assert (await ask("POST", "/add-checkpoint", encoded(LEAVES[:10], 0)))[0] == 200
        return [await ask("POST", "/add-checkpoint", body) for _, body in cases]

    answers = with_witness(tmp_path, work)
    assert [status for status, _, _ in answers] == [status for status, _ in cases]
    for (status, headers, body), last in zip(answers, [10] * 15 + [20], strict=True):
        if status == 409:
            assert headers["Content-Type"] == "text/x.tlog.size"
            assert body == b"%d\n" % last


def test_logs_get_their_cosignature_and_monitors_what_was_cosigned(tmp_path):
    async def work(ask):
        given = submission(ALLIANCE, LEAVES, 0)
        place = f"/witness/{origin_hash(ALLIANCE.origin)}/checkpoint"
        assert (await ask("GET", place))[0] == 404
        _, _, vkey = await ask("GET", "/witness/vkey")
        key = parse_verifier_key(vkey.decode().removesuffix("\n"))
        assert key.name == NAME
        status, _, body = await ask("POST", "/add-checkpoint", given.encode())
        assert status == 200
        (signature,) = parse_signature_lines(body.decode())
        verify_cosignature(key, given.note.text, signature)
        status, headers, body = await ask("GET", place)
        assert (status, headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
        note = parse_note(body)
        assert note.text == given.note.text
        assert note.signatures == (*given.note.signatures, signature)

    with_witness(tmp_path, work)


@pytest.mark.parametrize(
    ("verb", "path", "status"),
    [
        ("GET", "/add-checkpoint", 405),
        ("POST", "/witness/vkey", 405),
        ("GET", "/witness/", 404),
        ("GET", f"/witness/{'0' * 63}/checkpoint", 404),
        ("GET", f"/witness/{'A' * 64}/checkpoint", 404),
        ("GET", f"/witness/{'0' * 64}/checkpoint", 404),
    ],
)
def test_other_requests_are_told_so(tmp_path, verb, path, status):
    async def work(ask):
        return await ask(verb, path)

    assert with_witness(tmp_path, work)[0] == status


def test_of_many_at_once_exactly_one_grows_the_log_and_all_that_is_cosigned_is_one_log(tmp_path):
    histories = [LEAVES[:10] + [b"%d" % n] * n for n in range(1, 20)]

    async def work(ask):
        assert (await ask("POST", "/add-checkpoint", encoded(LEAVES[:10], 0)))[0] == 200
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(ask("POST", "/add-checkpoint", encoded(history, 10)))
                for history in histories
            ]
        return sorted(task.result()[0] for task in tasks)

    assert with_witness(tmp_path, work) == [200, *[409] * 18]


def test_a_log_that_is_too_fast_is_told_to_wait(tmp_path):
    async def work(ask):
        await ask("POST", "/add-checkpoint", encoded(LEAVES[:10], 0))
        return await ask("POST", "/add-checkpoint", encoded(LEAVES[:20], 10))

    status, headers, _ = with_witness(tmp_path, work, clock=ManualClock())
    assert (status, headers["Retry-After"]) == (429, "1")
