"""The listener over real loopback sockets."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import re
import ssl
from dataclasses import replace

import aiohttp
import pytest

from chainnode.clock import SystemClock
from chainnode.keystore.tls import TlsFiles, create_tls_identity
from chainnode.model.checkpoint import parse_checkpoint
from chainnode.model.cosignature import verify_cosignature
from chainnode.model.errors import InvariantViolation, NotFound, Refused, Unavailable
from chainnode.model.merkle import leaf_hash, root_of
from chainnode.model.note import cosigner_key, log_key, parse_note, verify_note_signature
from chainnode.model.suites import HASH_BYTES
from chainnode.model.tlog_tiles import decode_entries
from chainnode.rpc import limits, server
from chainnode.rpc.client import RpcClient, to_base64
from chainnode.rpc.doorway import room_for_clients
from chainnode.rpc.methods import MAX_BEHIND, method_table
from chainnode.rpc.reading_turn import ReadingTurn
from chainnode.rpc.server import RpcServer, check_listen_address
from chainnode.rpc.session import Session
from chainnode.rpc.stream import RpcStream
from chainnode.services.ports import ClockVerdict
from tests.support.rpc import make_node, serve

pytestmark = pytest.mark.asyncio


async def post(url, body, **options):
    async with (
        aiohttp.ClientSession() as session,
        session.post(url + "/rpc", data=body, **options) as response,
    ):
        return response.status, response.headers, await response.read()


def secured_listener(directory):
    """A server that speaks TLS, not started, and the context of a client that trusts it."""
    files = TlsFiles(certificate=directory / "rpc.crt", key=directory / "rpc.key")
    create_tls_identity(files, "node", b"passphrase", now_ms=SystemClock().now_ms())
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(files.certificate, files.key, password=b"passphrase")
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    theirs.load_verify_locations(files.certificate)
    theirs.check_hostname = False
    listener = RpcServer(
        make_node().services, host="127.0.0.1", port=0, on_fault=lambda _: None, ssl=ours
    )
    return listener, theirs


def request(method, id_=1, **params):
    return {"jsonrpc": "2.0", "id": id_, "method": method, "params": params}


async def first_line(port, *head):
    """Say the head of a request in bytes of any kind, and return the first line of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"\r\n".join((*head, b"", b"")))
    async with asyncio.timeout(10):
        line = await reader.readline()
    writer.close()
    return line


async def test_a_websocket_key_that_is_no_base64_is_refused():
    async with serve() as served:
        for key in (b"\xea" * 16, b"AAAA", b""):
            line = await first_line(
                served.server.port,
                b"GET /ws HTTP/1.1",
                b"Host: a",
                b"Connection: Upgrade",
                b"Upgrade: websocket",
                b"Sec-WebSocket-Version: 13",
                b"Sec-WebSocket-Key: " + key,
            )
            assert line.startswith(b"HTTP/1.1 400"), key


# -- POST /rpc -----------------------------------------------------------------------------------------------


async def test_a_request_and_a_batch_are_answered_over_http():
    async with serve() as served:
        status, headers, body = await post(served.url, json.dumps(request("chain_status")))
        assert (status, headers["Content-Type"]) == (200, "application/json")
        assert json.loads(body)["result"]["tip_height"] == 0
        batch = [request("chain_status", 1), request("chain_status", 2)]
        status, _, body = await post(served.url, json.dumps(batch))
        assert [a["id"] for a in json.loads(body)] == [1, 2]


async def test_a_notification_gets_no_content():
    async with serve() as served:
        status, _, body = await post(served.url, '{"jsonrpc":"2.0","method":"chain_status"}')
        assert (status, body) == (204, b"")


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_limit_is_refused(chunked):
    async def chunks():
        for _ in range(limits.MAX_BODY_BYTES // 65_536 + 1):
            yield b" " * 65_536

    async with serve() as served:
        body = chunks() if chunked else io.BytesIO(b" " * (limits.MAX_BODY_BYTES + 1))
        try:
            status, _, answer = await post(served.url, body)
        except aiohttp.ClientConnectionError:
            # The node closes while we still send; that it answered first cannot always be seen.
            return
        assert status == 413
        assert json.loads(answer)["error"]["data"]["code"] == "too_large"


async def test_a_client_that_asks_first_is_told_to_go_on():
    async with serve() as served:
        text = json.dumps(request("chain_status"))
        status, _, body = await post(served.url, text, expect100=True)
        assert status == 200
        assert json.loads(body)["result"]["tip_height"] == 0


@pytest.mark.parametrize(
    "headers", [{"Content-Encoding": "gzip"}, {"Content-Encoding": "deflate"}], ids=str
)
async def test_a_body_that_is_not_encoded_as_it_says_is_refused(headers):
    async with serve() as served:
        status, _, body = await post(served.url, b"not compressed", headers=headers)
        assert status == 400
        assert json.loads(body)["error"]["data"]["code"] == "bad_body"
        status, _, _ = await post(served.url, json.dumps(request("chain_status")))
        assert status == 200


async def test_a_body_that_is_not_utf8_is_no_json():
    async with serve() as served:
        status, _, body = await post(served.url, b'"\xff"')
        assert status == 200
        assert json.loads(body)["error"]["code"] == -32700


async def test_only_post_reaches_the_methods():
    async with serve() as served:
        assert (await served.client.get("/rpc"))[0] == 405


async def test_overload_is_http_429_with_retry_after():
    async with serve() as served:
        served.node.engine.refusal = Unavailable("full", code="overloaded", retry_after_ms=1_500)
        status, headers, body = await post(
            served.url, json.dumps(request("tx_submit", transaction=""))
        )
        assert (status, headers["Retry-After"]) == (429, "2")
        assert json.loads(body)["error"]["code"] == -32005


async def test_requests_beyond_the_bound_are_refused_unread(monkeypatch):
    monkeypatch.setattr(server, "MAX_CONCURRENT_REQUESTS", 1)
    async with serve() as served:
        transaction = served.node.chain.notarization("a")
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(served.client.tx_submit_and_wait(transaction.envelope))
            while not served.node.engine.pool:
                await asyncio.sleep(0)
            status, headers, body = await post(served.url, json.dumps(request("chain_status")))
            assert (status, headers["Retry-After"]) == (429, "1")
            assert json.loads(body)["error"]["data"]["code"] == "overloaded"
            served.node.engine.commit()
        assert first.result()["status"] == "committed"


async def test_a_fault_goes_to_the_node_and_the_request_is_not_answered():
    async with serve() as served:
        served.node.engine.refusal = InvariantViolation("the disk lies")
        with pytest.raises(aiohttp.ClientConnectionError):
            await post(served.url, json.dumps(request("tx_submit", transaction="")))
        assert [str(f) for f in served.faults] == ["the disk lies"]


async def test_a_fault_met_over_a_websocket_goes_to_the_node():
    async with serve() as served:
        served.node.engine.refusal = InvariantViolation("the disk lies")
        async with RpcStream(served.url) as stream:
            with pytest.raises(Unavailable):
                await stream.request("tx_submit", {"transaction": ""})
        assert [str(f) for f in served.faults] == ["the disk lies"]


async def test_a_fault_met_while_telling_subscribers_goes_to_the_node(monkeypatch):
    async with serve() as served, RpcStream(served.url) as stream:
        await stream.subscribe("records")

        def broken(*_):
            raise InvariantViolation("the disk lies")

        monkeypatch.setattr(type(served.node.ledger), "leaves", broken)
        served.node.engine.commit()
        while not served.faults:
            await asyncio.sleep(0)
        assert [str(f) for f in served.faults] == ["the disk lies"]


async def test_a_fault_met_when_a_deadline_passes_goes_to_the_node(monkeypatch):
    async with serve() as served:

        def broken(*_):
            raise InvariantViolation("the disk lies")

        monkeypatch.setattr(type(served.node.commits), "tick", broken)
        while not served.faults:
            await asyncio.sleep(0.01)
        assert str(served.faults[0]) == "the disk lies"


# -- waiting -------------------------------------------------------------------------------------------------


async def test_a_client_that_waits_hears_of_the_decision():
    async with serve() as served:
        good = served.node.chain.notarization("a")
        bad = served.node.chain.notarization("b", sender="court/guest")
        async with asyncio.TaskGroup() as tasks:
            committed = tasks.create_task(served.client.tx_submit_and_wait(good.envelope))
            failed = tasks.create_task(served.client.tx_submit_and_wait(bad.envelope))
            while len(served.node.engine.pool) < 2:
                await asyncio.sleep(0)
            served.node.engine.commit()
        assert committed.result()["status"] == "committed"
        assert committed.result()["height"] == 1
        assert failed.result()["status"] == "failed"
        assert failed.result()["receipt"]["code"] == "missing_role"
        assert await served.client.tx_get(bad.id.hex()) == failed.result()


async def test_a_client_whose_time_runs_out_hears_that_the_transaction_is_still_pending():
    async with serve() as served:
        transaction = served.node.chain.notarization("a")
        async with asyncio.TaskGroup() as tasks:
            late = tasks.create_task(
                _error_of(served.client.tx_submit_and_wait(transaction.envelope, timeout_ms=500))
            )
            while not served.node.engine.pool:
                await asyncio.sleep(0)
            served.node.clock.advance(500)
        assert late.result().error_code == "timeout"
        assert (await served.client.tx_get(transaction.id.hex()))["status"] == "pending"


async def _error_of(call, kind=Unavailable):
    with pytest.raises(kind) as raised:
        await call
    return raised.value


async def test_a_proof_may_wait_for_its_checkpoint():
    async with serve() as served:
        served.node.engine.commit([served.node.chain.notarization("a")])
        assert (await _error_of(served.client.log_proof(1))).error_code == "not_yet_cosigned"
        async with asyncio.TaskGroup() as tasks:
            proof = tasks.create_task(served.client.log_proof(1, wait_ms=60_000))
            while not served.node.commits.waiting_count:
                await asyncio.sleep(0)
            served.node.engine.cosign()
        assert proof.result()["proof"].startswith("c2sp.org/tlog-proof@v1\nindex 1\n")


async def test_a_proof_may_wait_for_a_record_that_another_node_holds_already():
    async with serve() as served:
        served.node.engine.commit()
        ahead = served.node.services.ledger.tip.log_size
        async with asyncio.TaskGroup() as tasks:
            proof = tasks.create_task(served.client.log_proof(ahead, wait_ms=60_000))
            while not served.node.commits.waiting_count:
                await asyncio.sleep(0)
            served.node.engine.commit([served.node.chain.notarization("a")])
            served.node.engine.cosign()
        assert proof.result()["proof"].startswith(f"c2sp.org/tlog-proof@v1\nindex {ahead}\n")


async def test_a_record_that_never_comes_is_unknown_at_last_and_one_too_far_ahead_at_once():
    async with serve() as served:
        ahead = served.node.services.ledger.tip.log_size
        async with asyncio.TaskGroup() as tasks:
            missing = served.client.log_proof(ahead, wait_ms=900)
            waited = tasks.create_task(_error_of(missing, NotFound))
            while not served.node.commits.waiting_count:
                await asyncio.sleep(0)
            served.node.clock.advance(900)
        assert waited.result().error_code == "unknown_record"
        far = served.client.log_proof(ahead + MAX_BEHIND, wait_ms=60_000)
        assert (await _error_of(far, NotFound)).error_code == "unknown_record"


async def test_a_proof_that_waited_in_vain_says_so():
    async with serve() as served:
        served.node.engine.commit()
        async with asyncio.TaskGroup() as tasks:
            proof = tasks.create_task(_error_of(served.client.log_proof(0, wait_ms=900)))
            while not served.node.commits.waiting_count:
                await asyncio.sleep(0)
            served.node.clock.advance(900)
        assert proof.result().error_code == "not_yet_cosigned"
        assert proof.result().retry_after_ms > 0


async def test_a_client_that_leaves_gives_its_place_back():
    async with serve() as served:
        transaction = served.node.chain.notarization("a")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await served.client.tx_submit_and_wait(transaction.envelope, timeout_ms=60_000)
        assert served.node.engine.pool
        while served.server.request_count:
            await asyncio.sleep(0)
        served.node.engine.commit()
        assert (await served.client.tx_get(transaction.id.hex()))["status"] == "committed"


# -- pages ---------------------------------------------------------------------------------------------------


async def test_the_checkpoint_is_a_note_signed_by_the_log_and_a_quorum():
    async with serve() as served:
        assert (await served.client.get("/checkpoint"))[0] == 503
        node = served.node
        node.engine.commit([node.chain.notarization("a")])
        node.engine.cosign()
        status, body = await served.client.get("/checkpoint")
        note, genesis = parse_note(body), node.chain.genesis
        checkpoint = parse_checkpoint(note.text)
        assert status == 200
        assert (checkpoint.size, checkpoint.root) == (
            node.ledger.tip.log_size,
            node.ledger.tip.log_root,
        )
        own = log_key(genesis.suite, genesis.chain_id, node.chain.validators[0].log.public)
        verify_note_signature(own, note.text, note.signatures[0])
        assert len(note.signatures) == 1 + genesis.validator_set.quorum
        keys = {
            f"{genesis.chain_id}/{v.name}": cosigner_key(
                genesis.suite, f"{genesis.chain_id}/{v.name}", v.cosigner_key
            )
            for v in genesis.validator_set.members
        }
        for signature in note.signatures[1:]:
            verify_cosignature(keys[signature.name], note.text, signature)
        assert (await served.client.log_checkpoint())["checkpoint"].encode() == body


async def test_tiles_and_entries_make_up_the_root():
    async with serve() as served:
        node = served.node
        node.engine.commit([node.chain.notarization("a", count=299)])
        suite, size = node.chain.genesis.suite, node.ledger.tip.log_size
        assert size == 300
        hashes, leaves = [], []
        for path in ("000", "001.p/44"):
            status, tile = await served.client.get(f"/tile/0/{path}")
            assert status == 200
            hashes += [tile[i : i + HASH_BYTES] for i in range(0, len(tile), HASH_BYTES)]
            status, bundle = await served.client.get(f"/tile/entries/{path}")
            assert status == 200
            leaves += decode_entries(bundle)
        assert root_of(suite, hashes) == node.ledger.tip.log_root
        assert [leaf_hash(suite, leaf) for leaf in leaves] == hashes
        _, upper = await served.client.get("/tile/1/000.p/1")
        assert upper == root_of(suite, hashes[:256])


async def test_tiles_are_immutable_and_their_absence_is_not():
    async with serve() as served, aiohttp.ClientSession() as session:
        served.node.engine.commit()
        async with session.get(served.url + "/tile/0/000.p/1") as response:
            assert "immutable" in response.headers["Cache-Control"]
        async with session.head(served.url + "/tile/0/000.p/1") as response:
            assert (response.status, response.headers["Content-Length"]) == (200, "32")
        for path in (
            "0/000",
            "0/000.p/2",
            "1/000.p/1",
            "0/001",
            "entries/000",
            "0/0",
            "64/000",
            "0/000.p/0",
        ):
            async with session.get(f"{served.url}/tile/{path}") as response:
                assert (response.status, response.headers["Cache-Control"]) == (404, "no-store")


async def test_readiness_has_a_reason_and_health_has_none():
    async with serve() as served:
        assert await served.client.get("/readyz") == (
            200,
            b'{"ready":true,"reason":null,"warning":null}\n',
        )
        served.node.engine.set(is_syncing=True)
        status, body = await served.client.get("/readyz")
        assert status == 503
        assert "syncing" in json.loads(body)["reason"]
        assert (await served.client.get("/healthz"))[0] == 200
        found = await served.client.chain_status()
        assert (found["is_ready"], found["is_syncing"]) == (False, True)


async def test_a_wrong_clock_warns_whoever_watches_and_sends_no_client_away():
    async with serve() as served:
        clock = served.node.engine.status().clock
        wrong = replace(clock, verdict=ClockVerdict.WRONG, vouches=False, sentence="it is 3 s off")
        served.node.engine.set(clock=wrong)
        status, body = await served.client.get("/readyz")
        assert (status, json.loads(body)["warning"]) == (200, "clock wrong: it is 3 s off")
        found = await served.client.chain_status()
        assert (found["is_ready"], found["clock"]["vouches"]) == (True, False)
        _, metrics = await served.client.get("/metrics")
        assert b'chainnode_clock_verdict{verdict="wrong"} 1.0' in metrics
        assert b"chainnode_clock_vouches 0.0" in metrics


async def test_metrics_are_prometheus_text():
    async with serve() as served:
        served.node.engine.commit()
        status, body = await served.client.get("/metrics")
        assert status == 200
        assert re.search(rb"^chainnode_tip_height 1.0$", body, re.MULTILINE)
        assert b'chainnode_peer_connected{peer="' in body


async def test_other_paths_and_verbs_are_refused():
    async with serve() as served, aiohttp.ClientSession() as session:
        assert (await served.client.get("/"))[0] == 404
        assert (await served.client.get("/tilex"))[0] == 404
        async with session.delete(served.url + "/healthz") as response:
            assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD")


async def test_openrpc_lists_exactly_what_can_be_called():
    async with serve() as served:
        _, body = await served.client.get("/openrpc.json")
        document = json.loads(body)
        names = [m["name"] for m in document["methods"]]
        assert names == [m.name for m in method_table(served.node.services)]
        assert len(set(names)) == len(names)
        for method in document["methods"]:
            assert method["result"]["schema"]["type"] == "object"
            assert all({"name", "required", "schema"} <= p.keys() for p in method["params"])
            for reference in method["errors"]:
                number = reference["$ref"].rpartition("/")[2]
                assert document["components"]["errors"][number]["message"]
            _, _, answer = await post(served.url, json.dumps(request(method["name"], zzz=1)))
            assert json.loads(answer)["error"]["data"]["code"] == "unknown_parameter"
        interfaces = {
            "chain_status", "chain_header", "chain_block", "chain_validators", "tx_submit",
            "tx_submit_and_wait", "tx_get", "account_get", "notary_lookup", "log_proof",
            "log_checkpoint", "state_get", "contract_query",
        }  # fmt: skip
        assert interfaces <= set(names)


# -- WebSocket -----------------------------------------------------------------------------------------------


async def test_a_stream_carries_many_requests_and_their_answers_at_once():
    async with serve() as served, RpcStream(served.url) as stream:
        transactions = [served.node.chain.notarization(str(i)) for i in range(250)]
        async with asyncio.TaskGroup() as tasks:
            waiting = [
                tasks.create_task(stream.tx_submit_and_wait(t.envelope)) for t in transactions
            ]
            while len(served.node.engine.pool) < len(transactions):
                await asyncio.sleep(0)
            served.node.engine.commit()
        assert [w.result()["tx_id"] for w in waiting] == [t.id.hex() for t in transactions]
        assert {w.result()["status"] for w in waiting} == {"committed"}


async def test_a_plain_websocket_client_gets_one_message_per_answer():
    async with (
        serve() as served,
        aiohttp.ClientSession() as session,
        session.ws_connect(served.url + "/ws") as socket,
    ):
        await socket.send_str(json.dumps(request("chain_status", "a")))
        assert (await socket.receive_json())["id"] == "a"
        await socket.send_str(json.dumps([request("chain_status", 1), request("chain_status", 2)]))
        assert [a["id"] for a in await socket.receive_json()] == [1, 2]
        await socket.send_str("{")
        assert (await socket.receive_json())["error"]["code"] == -32700
        await socket.send_bytes(b"{}")
        assert (await socket.receive_json())["error"]["code"] == -32700


async def test_subscribers_hear_of_blocks_records_and_transactions():
    async with serve() as served, RpcStream(served.url) as stream:
        chain = served.node.chain
        mine, other = chain.notarization("a"), chain.notarization("b", sender="archive/keeper")
        blocks = await stream.subscribe("blocks")
        records = await stream.subscribe("records", kind="notary", account="court/clerk")
        every = await stream.subscribe("records")
        one = await stream.subscribe("tx", tx_id=other.id.hex())
        served.node.engine.commit([mine, other])
        assert (await anext(blocks))["tx_count"] == 2
        assert [r["index"] for r in (await anext(records))["records"]] == [1]
        leaves = [to_base64(leaf) for leaf in served.node.ledger.leaves(0, 3)]
        assert [r["leaf"] for r in (await anext(every))["records"]] == leaves
        heard = await anext(one)
        assert (heard["tx_id"], heard["status"]) == (other.id.hex(), "committed")
        await one.cancel()
        assert await stream.request("unsubscribe", {"subscription": one.number}) == {
            "removed": False
        }


async def test_subscriptions_are_bounded_and_filters_belong_to_topics():
    async with serve() as served, RpcStream(served.url) as stream:
        with pytest.raises(Refused) as refused:
            await stream.subscribe("blocks", kind="notary")
        assert refused.value.error_code == "filter_not_for_topic"
        for _ in range(limits.MAX_SUBSCRIPTIONS):
            await stream.subscribe("tx")
        with pytest.raises(Refused) as refused:
            await stream.subscribe("tx")
        assert refused.value.error_code == "too_many_subscriptions"


async def test_a_subscriber_that_does_not_read_is_told_that_it_was_too_slow(monkeypatch):
    monkeypatch.setattr("chainnode.rpc.session.MAX_OUTBOX_BYTES", 2_000)
    async with (
        serve() as served,
        aiohttp.ClientSession() as session,
        session.ws_connect(served.url + "/ws") as socket,
    ):
        await socket.send_str(json.dumps(request("subscribe", topic="records")))
        assert (await socket.receive_json())["result"]["subscription"] == 1
        # More than the bound in one turn of the loop, so nothing of it can have been read.
        served.node.engine.commit([served.node.chain.notarization("a", count=300)])
        async for _ in socket:
            pass
        assert socket.close_code == limits.TOO_SLOW == 4008
        assert (await served.client.chain_status())["tip_height"] == 1


async def test_a_client_that_reads_nothing_at_all_is_cut(monkeypatch):
    monkeypatch.setattr("chainnode.rpc.session.MAX_OUTBOX_BYTES", 100_000)
    monkeypatch.setattr("chainnode.rpc.session.CLOSE_PATIENCE_S", 0)
    async with serve() as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.server.port, limit=1_024)
        writer.write(
            b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
        text = json.dumps(request("subscribe", topic="records")).encode()
        writer.write(bytes((0x81, 0x80 | len(text))) + bytes(4) + text)
        await reader.readexactly(2)
        while served.server.stream_count:
            served.node.engine.commit(
                [served.node.chain.notarization(f"{served.node.ledger.tip.height}", count=1_000)]
            )
            await asyncio.sleep(0)
        writer.close()


class _ReadAhead:
    """A connection of which three messages have arrived already."""

    async def __aiter__(self):
        for _ in range(3):
            yield aiohttp.WSMessage(aiohttp.WSMsgType.TEXT, "{}", None)

    async def close(self, **_):
        pass


class _Desk:
    """Notes what is answered and when others have their turn; an answer takes 10 ms."""

    def __init__(self):
        self.happened = []
        self.now_ms = 0

    def answer(self, *_, **__):
        self.happened.append("answer")
        self.now_ms += 10
        asyncio.get_running_loop().call_soon(self.happened.append, "others")


async def _read_three(desk, turn):
    session = Session(_ReadAhead(), desk, is_packed=False, turn=turn, abort=lambda: None)
    await session.run()


@pytest.mark.parametrize(
    ("least_ms", "happened"),
    [
        (1, ["answer", "others"] * 3),
        (60_000, ["answer"] * 3 + ["others"] * 3),
    ],
)
async def test_messages_that_were_read_ahead_are_read_until_the_turn_is_over(
    monkeypatch, least_ms, happened
):
    monkeypatch.setattr("chainnode.rpc.reading_turn.LEAST_READ_MS", least_ms)
    monkeypatch.setattr("chainnode.rpc.reading_turn.MOST_READ_MS", max(1, least_ms))
    desk = _Desk()
    await _read_three(desk, ReadingTurn(lambda: desk.now_ms))
    await asyncio.sleep(0)
    assert desk.happened == happened


@pytest.mark.parametrize(("others_ms", "read_in_one_go"), [(5, 1), (15, 2), (40, 3)])
async def test_reading_may_take_as_long_as_what_came_before(monkeypatch, others_ms, read_in_one_go):
    monkeypatch.setattr("chainnode.rpc.reading_turn.LEAST_READ_MS", 0)
    desk = _Desk()
    turn = ReadingTurn(lambda: desk.now_ms)
    desk.now_ms += others_ms
    await _read_three(desk, turn)
    await asyncio.sleep(0)
    assert desk.happened.index("others") == read_in_one_go


async def test_requests_that_wait_on_one_stream_are_bounded(monkeypatch):
    monkeypatch.setattr("chainnode.rpc.session.MAX_PENDING_PER_STREAM", 1)
    async with serve() as served, RpcStream(served.url) as stream:
        first, second = (served.node.chain.notarization(x) for x in "ab")
        waiting = stream.request("tx_submit_and_wait", {"transaction": to_base64(first.envelope)})
        error = await _error_of(
            stream.request("tx_submit_and_wait", {"transaction": to_base64(second.envelope)})
        )
        assert error.error_code == "overloaded"
        served.node.engine.commit()
        assert (await waiting)["status"] == "committed"
        assert not served.node.ledger.is_replayed(second.id)


async def test_streams_are_bounded(monkeypatch):
    monkeypatch.setattr(server, "MAX_STREAMS", 1)
    async with serve() as served, RpcStream(served.url):
        with pytest.raises(Unavailable) as refused:
            async with RpcStream(served.url):
                pass
        assert refused.value.error_code == "node_unreachable"


async def test_streams_are_told_that_the_node_stops():
    async with serve() as served:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(served.url + "/ws") as socket,
        ):
            await socket.send_str(json.dumps(request("chain_status")))
            await socket.receive_json()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(served.server.stop())
                async for _ in socket:
                    pass
            assert socket.close_code == limits.STOPPING
        with pytest.raises(Unavailable):
            await served.client.chain_status()


# -- listening -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"])
async def test_loopback_needs_no_tls(host):
    check_listen_address(host, has_tls=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "node.example", ""])
async def test_any_other_address_without_tls_refuses_to_start(host):
    with pytest.raises(Refused) as refused:
        check_listen_address(host, has_tls=False)
    assert refused.value.error_code == "tls_required"
    check_listen_address(host, has_tls=True)
    unsafe = RpcServer(make_node().services, host=host, port=0, on_fault=lambda _: None)
    with pytest.raises(Refused):
        await unsafe.start()


async def test_no_more_clients_are_let_in_than_there_are_descriptors_for(monkeypatch):
    monkeypatch.setattr("chainnode.rpc.doorway.room_for_clients", lambda _: 2)
    async with serve() as served:
        silent = [await asyncio.open_connection("127.0.0.1", served.server.port) for _ in range(2)]
        waiting = asyncio.ensure_future(post(served.url, json.dumps(request("chain_status"))))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not waiting.done()
        for _, writer in silent:
            writer.close()
        assert (await waiting)[0] == 200


@pytest.mark.parametrize(
    ("descriptors", "clients"),
    [(-1, limits.MAX_CONNECTIONS), (1 << 20, limits.MAX_CONNECTIONS), (1_024, 624), (256, 64)],
)
async def test_clients_leave_descriptors_to_the_node(descriptors, clients):
    assert room_for_clients(descriptors) == clients


async def test_a_silent_client_is_sent_away(monkeypatch):
    monkeypatch.setattr("chainnode.rpc.server.IDLE_PATIENCE_S", 0.01)
    async with serve() as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.server.port)
        writer.write(b"POST /rpc HTTP/1.1\r\nHost:")
        assert await reader.read() == b""
        writer.close()


async def test_a_failed_handshake_is_forgotten(tmp_path):
    listener, _ = secured_listener(tmp_path)
    await listener.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(b"no hello of TLS\r\n\r\n")
    await reader.read()
    assert not listener._doorway._arriving
    writer.close()
    await listener.stop()


async def test_a_port_in_use_is_an_error_that_says_so():
    async with serve() as served:
        second = RpcServer(
            make_node().services, host="127.0.0.1", port=served.server.port, on_fault=lambda _: None
        )
        with pytest.raises(Unavailable) as refused:
            await second.start()
        assert refused.value.error_code == "cannot_listen"
        await second.stop()


async def test_a_blinded_registration_is_found_by_members_only():
    async with serve() as served:
        document = b"a 0"
        served.node.engine.commit([served.node.chain.notarization("a")])
        digest = hashlib.sha256(document).hexdigest()
        found = await served.client.notary_lookup("sha256", digest)
        assert (found["records"], found["as_member"]) == ([], False)
    async with serve(member="archive/keeper") as served:
        served.node.engine.commit([served.node.chain.notarization("a")])
        found = await served.client.notary_lookup("sha256", digest)
        assert [r["index"] for r in found["records"]] == [1]
        assert found["as_member"]


async def test_a_client_talks_to_a_node_over_tls(tmp_path):
    listener, theirs = secured_listener(tmp_path)
    await listener.start()
    url = f"https://127.0.0.1:{listener.port}"
    async with RpcClient(url, ssl=theirs) as client, RpcStream(url, ssl=theirs) as stream:
        assert (await client.chain_status())["tip_height"] == 0
        assert (await stream.request("chain_status", {}))["tip_height"] == 0
    async with RpcClient(url) as stranger:
        with pytest.raises(Unavailable):
            await stranger.chain_status()
    await listener.stop()
