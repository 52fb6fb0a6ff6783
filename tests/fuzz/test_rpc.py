"""Whatever a client sends: a JSON-RPC answer, never the node's own mistake, and the node goes on answering."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
from collections import Counter
from typing import Any

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainnode.logs import Log, level_named
from chainnode.node.library_logs import LOGGERS, gather_library_logs
from chainnode.rpc.dispatch import Dispatcher
from chainnode.rpc.methods import method_table
from chainnode.rpc.subscriptions import make_subscription
from tests.support.rpc import make_node, serve
from tests.support.rpc_requests import Requests, check_answers, populated

PATIENCE_S = 20
STATUS = '{"jsonrpc":"2.0","id":1,"method":"chain_status"}'


class ManyStreams:
    """A WebSocket as handlers see it."""

    is_full = False

    def begin(self) -> None:
        """Count nothing."""

    def end(self) -> None:
        """Count nothing."""

    def subscribe(self, topic: str, filters: Any) -> int:
        """Subscribe to nothing, if it can be subscribed to."""
        make_subscription(topic, filters)
        return 1

    def unsubscribe(self, number: int) -> bool:
        """End nothing."""
        return number == 1


@settings(derandomize=True, database=None, deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32 - 1))
def test_every_method_answers_any_parameters(seed: int) -> None:
    node = populated(make_node())
    dispatcher = Dispatcher(
        method_table(node.services), metrics=node.services.metrics, clock=node.clock
    )
    requests = Requests(node, random.Random(seed))
    answers: list[str | None] = []
    for number in range(60):
        before = len(answers)
        dispatcher.answer(
            requests.text(),
            lambda text, _: answers.append(text),
            stream=ManyStreams() if number % 3 == 0 else None,
            packed=number % 7 == 0,
        )
        node.clock.advance(130_000)
        node.commits.tick()
        node.commits.publish()
        assert len(answers) > before, "a request was never answered"
        for text in answers[before:]:
            check_answers(text)


def test_the_requests_get_far_into_every_method() -> None:
    """Not all are refused at the door: each method answers with results, and with errors of its own."""
    node = populated(make_node())
    methods = method_table(node.services)
    dispatcher = Dispatcher(methods, metrics=node.services.metrics, clock=node.clock)
    requests = Requests(node, random.Random(9))
    codes: dict[str, Counter[str]] = {method.name: Counter() for method in methods}
    for _ in range(6_000):
        text = requests.text()
        with contextlib.suppress(ValueError, RecursionError):
            asked = json.loads(text)
            name = asked.get("method") if isinstance(asked, dict) else None
            if isinstance(name, str) and name in codes:
                dispatcher.answer(
                    text,
                    lambda t, _, n=name: codes[n].update(check_answers(t)),
                    stream=ManyStreams(),
                )
                node.clock.advance(1_000)
                node.commits.tick()
    assert not [name for name, seen in codes.items() if not seen["result"]]
    own = {method.name for method in methods if method.errors} - {"subscribe", "unsubscribe"}
    own -= {"log_checkpoint"}  # there is one here
    declared = {method.name: set(method.errors) for method in methods}
    assert not [name for name in own if not declared[name] & set(codes[name])]


# -- over real sockets ---------------------------------------------------------------------------------------

_HEADS = (
    b"POST /rpc HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n",
    b"POST /rpc HTTP/1.0\r\nContent-Length: %d\r\n\r\n",
    b"POST /rpc HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n%%%d",
    b"POST /rpc HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n%%%d",
    b"POST /rpc HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: %d\r\n\r\n",
    b"POST /rpc HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n",
    b"POST /rpc HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff%d\r\n",
    b"POST /rpc HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n",
    b"POST /rpc HTTP/1.1\r\nHost: a\r\nContent-Type: \xff\xfe; charset=x\r\nContent-Length: %d\r\n\r\n",
    b"POST /rpc HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n",
    b"GET /rpc HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n",
    b"PUT /checkpoint HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n",
    b"\x00\x01 / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n",
    b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nContent-Length: %d\r\n\r\n",
    (
        b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %d\xea==\r\n\r\n"
    ),
    (
        b"GET /ws?packed=\xff HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %d\r\n\r\n"
    ),
)  # fmt: skip
_PATHS = (
    *("/tile/0/000", "/tile/entries/000.p/3", "/tile/entries/x000/000", "/tile/64/000", "/tile/0/x"),
    *("/tile//", "/tile/0/000.p/0", "/tile/0/000.p/256", "/tile/0/" + "x999/" * 30 + "999", "/"),
    *("/checkpoint", "/checkpoint/", "/openrpc.json", "/healthz", "/readyz", "/metrics", "/ws", "//"),
    *("/tile/0/%30%30%30", "/%2e%2e/etc/passwd", "/tile/../genesis", "/\x7f", "/rpc?x=%ff", "/\u4e00"),
    *("http://other/rpc", "*", "/" + "a" * 9_000),
)  # fmt: skip
_VERBS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PATCH", "BREW")


async def spoken(port: int, data: bytes) -> bytes:
    """Say bytes to the listener and hear what it says until it closes, or says no more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    heard = b""
    with contextlib.suppress(ConnectionError, TimeoutError):
        writer.write(data)
        while chunk := await asyncio.wait_for(reader.read(65_536), 0.2 if heard else 1):
            heard += chunk
    writer.close()
    return heard


async def check_still_answers(url: str) -> None:
    async with (
        asyncio.timeout(PATIENCE_S),
        aiohttp.ClientSession() as session,
        session.post(url + "/rpc", data=STATUS) as response,
    ):
        assert response.status == 200
        assert "result" in json.loads(await response.read())


@pytest.fixture(name="log_lines")
def fixture_log_lines():
    """What a node that runs this server would write into its log."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [(logger.handlers[:], logger.propagate, logger.level) for logger in loggers]
    written: list[str] = []
    gather_library_logs(Log(written.append, now_ms=lambda: 0, level=level_named("info")))
    yield written
    for logger, kept in zip(loggers, before, strict=True):
        logger.handlers[:], logger.propagate, logger.level = kept


@pytest.mark.asyncio
async def test_odd_http_is_answered_below_500_or_not_at_all(log_lines) -> None:
    rng = random.Random(11)
    async with serve() as served:
        populated(served.node)
        requests = Requests(served.node, rng)
        said = [head % 5 + b"{\xff\xfe\x00}" for head in _HEADS]
        for _ in range(60):
            body = requests.text().encode("utf-8", "replace")[:200_000]
            said.append(rng.choice(_HEADS) % len(body) + body)
        for path in _PATHS:
            verbs = rng.sample(_VERBS, 3)
            said += [f"{verb} {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode() for verb in verbs]
        said += [rng.randbytes(rng.randrange(1, 400)) for _ in range(30)]
        said += [
            b"\r\n" * 500,
            b"GET " + b"a" * 20_000,
            b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 5_000,
        ]
        statuses: Counter[bytes] = Counter()
        async with asyncio.TaskGroup() as tasks:
            port = served.server.port
            asked = [(data, tasks.create_task(spoken(port, data))) for data in said]
        for data, task in asked:
            heard = task.result()
            status = heard[9:12] if heard.startswith(b"HTTP/1.") else heard[:20]
            statuses[status] += 1
            # 503: not ready, no checkpoint yet; 501: not a verb or transfer that HTTP libraries know.
            assert status in {b"", b"503", b"501"} or status < b"500", (data[:100], heard[:300])
        assert statuses[b"200"] > 10
        assert statuses[b"400"] > 10
        await check_still_answers(served.url)
        assert not served.faults
        assert log_lines == []


@pytest.mark.asyncio
async def test_any_requests_over_http_are_answered_as_json_rpc(log_lines) -> None:
    async with serve() as served, aiohttp.ClientSession() as session:
        populated(served.node)
        requests = Requests(served.node, random.Random(5))
        for _ in range(250):
            body = requests.text().encode("utf-8", "surrogatepass")
            async with asyncio.timeout(PATIENCE_S):
                asked = asyncio.ensure_future(_posted(session, served.url, body))
                while not asked.done():
                    # Whoever waits for a decision waits by the node's clock, which the test moves.
                    served.node.clock.advance(10_000)
                    await asyncio.sleep(0.001)
                status, text = await asked
            assert status in {200, 204, 413, 429}
            check_answers(text or None)
        await check_still_answers(served.url)
        assert not served.faults
        assert log_lines == []


async def _posted(session: aiohttp.ClientSession, url: str, body: bytes) -> tuple[int, str]:
    async with session.post(url + "/rpc", data=body) as response:
        return response.status, await response.text()


@pytest.mark.asyncio
@pytest.mark.parametrize("packed", [False, True])
async def test_any_messages_over_a_websocket_are_answered_as_json_rpc(packed, log_lines) -> None:
    rng = random.Random(6)
    async with serve() as served, aiohttp.ClientSession() as session:
        populated(served.node)
        requests = Requests(served.node, rng)
        url = served.url + ("/ws?packed=1" if packed else "/ws")
        async with session.ws_connect(url, max_msg_size=0) as socket:
            for number in range(200):
                if number % 10 == 9:
                    await socket.send_bytes(rng.randbytes(20))
                else:
                    text = requests.text().encode("utf-8", "replace").decode()
                    await socket.send_str(text)
                if number % 25 == 24:
                    served.node.engine.commit([served.node.chain.notarization(f"ws {number}")])
            await socket.send_str('{"jsonrpc":"2.0","id":"last","method":"chain_status"}')
            is_last = False
            async with asyncio.timeout(PATIENCE_S):
                while not is_last:
                    message = await socket.receive()
                    assert message.type is aiohttp.WSMsgType.TEXT, message
                    heard = json.loads(message.data)
                    for one in heard if isinstance(heard, list) else [heard]:
                        if "method" not in one:
                            check_answers(json.dumps(one))
                            is_last = is_last or one["id"] == "last"
        await check_still_answers(served.url)
        assert not served.faults
        assert log_lines == []
