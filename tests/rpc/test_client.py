"""The typed client: what it makes of a node's answers, and of none."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from chainnode.model.errors import (
    CannotTell,
    DecodeError,
    NotFound,
    ProofInvalid,
    Refused,
    Unavailable,
)
from chainnode.model.header import block_hash_of
from chainnode.model.state_tree import decode_state_proof, verify_state_proof
from chainnode.model.tlog_policy import validators_policy
from chainnode.model.tlog_proof import parse_proof, verify
from chainnode.rpc import client as client_module
from chainnode.rpc import results
from chainnode.rpc.client import RpcClient, from_base64, parse_json
from chainnode.rpc.dispatch import error_text
from chainnode.rpc.error_numbers import MEANINGS, error_from, number_of
from chainnode.rpc.packing import packed
from chainnode.rpc.schema import checker_of, schema_of
from chainnode.rpc.stream import RpcStream
from contracts.query import account_state_key
from tests.support.chain import CLERK, digest
from tests.support.rpc import serve


class Imposter:
    """An HTTP server that answers every request with the same bytes."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aenter__(self) -> str:
        async def answer(request: web.BaseRequest) -> web.Response:
            await request.read()
            return web.Response(body=self._body)

        self._runner = web.ServerRunner(web.Server(answer))
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()


@pytest.mark.asyncio
async def test_every_typed_method_reaches_a_node_and_is_of_the_declared_shape():
    async with serve(member=CLERK) as served:
        node, rpc = served.node, served.client
        transaction = node.chain.notarization("a", count=3)
        accepted = await rpc.tx_submit(transaction.envelope)
        assert accepted["tx_id"] == transaction.id.hex()
        node.engine.commit()
        node.engine.cosign()
        genesis, tip = node.chain.genesis, node.ledger.tip

        header = await rpc.chain_header()
        assert header["height"] == 1
        computed = block_hash_of(genesis.domain, from_base64(header["header"]))
        assert computed.hex() == header["block_hash"] == tip.block_hash.hex()
        assert (await rpc.chain_block(1))["transactions"] is None
        block = await rpc.chain_block(include_transactions=True)
        assert block["transactions"] == [client_module.to_base64(transaction.envelope)]
        assert (await rpc.chain_validators(1))["encoded"] == client_module.to_base64(
            genesis.validator_set.encode()
        )
        assert (await rpc.tx_get(transaction.id.hex()))["status"] == "committed"
        assert (await rpc.account_get(CLERK))["roles"] == ["notary"]
        found = await rpc.notary_lookup("sha256", digest("a 2").value.hex(), limit=5, after=0)
        assert [r["item"] for r in found["records"]] == [2]
        proof = await rpc.log_proof_of(transaction.id.hex(), item=2)
        assert proof == await rpc.log_proof(3)
        policy = validators_policy(
            genesis.suite,
            genesis.chain_id,
            [(v.name, v.log_key, v.cosigner_key) for v in genesis.validator_set.members],
        )
        verdict = verify(parse_proof(proof["proof"].encode()), from_base64(proof["leaf"]), policy)
        assert verdict.index == 3
        assert (await rpc.log_checkpoint())["size"] == 4
        assert (await rpc.log_consistency(1, 4))["hashes"]
        for key in (account_state_key(CLERK), b"identity/account/no/body"):
            state = await rpc.state_get(key, prove=True)
            verify_state_proof(
                genesis.suite,
                bytes.fromhex(header["state_root"]),
                key,
                None if state["value"] is None else from_base64(state["value"]),
                decode_state_proof(from_base64(state["proof"])),
            )
        assert (await rpc.state_get(b"x", height=0))["state_root"]
        for contract, query, args in (
            ("identity", "account", {"name": CLERK}),
            ("identity", "organisation", {"name": "court"}),
            (
                "identity",
                "key",
                {"public_key": (await rpc.account_get(CLERK))["keys"][0]["public_key"]},
            ),
            ("notary", "lookup", {"algorithm": "sha256", "digest": digest("a 2").value.hex()}),
        ):
            assert (await rpc.contract_query(contract, query, args))["height"] == 1


@pytest.mark.asyncio
async def test_refusals_arrive_under_their_own_class_and_code():
    async with serve() as served:
        rpc = served.client
        for call, kind, code in (
            (rpc.chain_header(9), NotFound, "unknown_height"),
            (rpc.chain_header(-1), DecodeError, "bad_parameter"),
            (rpc.chain_block(0), DecodeError, "bad_parameter"),
            (rpc.account_get("no/body"), NotFound, "unknown_account"),
            (rpc.account_get("body"), DecodeError, "bad_name"),
            (rpc.tx_submit(b"junk"), DecodeError, "malformed"),
            (rpc.tx_submit(bytes(300_000)), DecodeError, "too_large"),
            (rpc.log_checkpoint(), Unavailable, "not_yet_cosigned"),
            (rpc.log_proof(5), NotFound, "unknown_record"),
            (rpc.log_proof_of("00" * 32), NotFound, "unknown_transaction"),
            (rpc.log_consistency(3, 2), NotFound, "unknown_record"),
            (rpc.notary_lookup("sha256", "00" * 64), DecodeError, "bad_digest"),
            (rpc.notary_lookup("md5", "00" * 32), DecodeError, "bad_parameter"),
            (rpc.chain_block(include_transactions=True), Refused, "auth_required"),
            (rpc.contract_query("notary", "nothing"), NotFound, "unknown_query"),
            (rpc.contract_query("identity", "key", {"public_key": "AAAA"}), NotFound, "unknown_key"),
            (rpc.contract_query("identity", "organisation", {"name": "x"}), NotFound, "unknown_organisation"),
            (rpc.call("no_such", {}), Refused, "unknown_method"),
        ):  # fmt: skip
            with pytest.raises(kind) as raised:
                await call
            assert raised.value.error_code == code, raised.value


@pytest.mark.asyncio
async def test_a_node_that_does_not_answer_is_unreachable():
    async with serve() as served:
        url = served.url
    async with RpcClient(url) as rpc:
        with pytest.raises(Unavailable) as raised:
            await rpc.chain_status()
    assert raised.value.error_code == "node_unreachable"
    with pytest.raises(Unavailable):
        async with RpcStream(url):
            pass
    async with RpcClient("nonsense") as rpc:
        with pytest.raises(Unavailable):
            await rpc.chain_status()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<html>", Unavailable),
        (b"[]", Unavailable),
        (b"{}", Unavailable),
        (b'{"result":1,"error":2}', Unavailable),
        (b'{"error":"no"}', Unavailable),
        (b'{"error":{}}', Refused),
        (b'{"result":5}', DecodeError),
        (b'{"result":{}}', DecodeError),
    ],
)
async def test_an_answer_of_another_shape_is_an_error_and_no_crash(body, kind):
    async with Imposter(body) as url, RpcClient(url) as rpc:
        with pytest.raises(kind):
            await rpc.chain_status()


@pytest.mark.asyncio
async def test_an_endless_answer_is_not_read_to_its_end(monkeypatch):
    monkeypatch.setattr(client_module, "MAX_RESPONSE_BYTES", 100)
    async with Imposter(b" " * 101) as url, RpcClient(url) as rpc:
        with pytest.raises(Unavailable) as raised:
            await rpc.get("/")
    assert "longer than 100" in raised.value.message


@pytest.mark.asyncio
async def test_a_client_outside_its_context_is_a_mistake_of_the_caller():
    with pytest.raises(RuntimeError):
        await RpcClient("http://127.0.0.1:1").chain_status()


@pytest.mark.asyncio
async def test_a_stream_answers_errors_and_ignores_what_it_did_not_ask():
    async with serve() as served, RpcStream(served.url) as stream:
        with pytest.raises(NotFound):
            await stream.request("chain_header", {"height": 9})
        stream._take([{"id": 99, "result": 1}, {"id": None, "error": {}}])
        assert (await stream.request("chain_status", {}))["tip_height"] == 0
        abandoned = stream.request("chain_status", {})
        abandoned.cancel()
        assert (await stream.request("chain_status", {}))["tip_height"] == 0
        with pytest.raises(Unavailable):
            stream._take("nonsense")


@pytest.mark.asyncio
async def test_a_stream_ends_when_the_node_talks_nonsense():
    async def talk(request: web.BaseRequest) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.receive()
        await socket.send_str("<html>")
        await socket.receive()
        return socket

    runner = web.ServerRunner(web.Server(talk))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with RpcStream(f"http://127.0.0.1:{runner.addresses[0][1]}") as stream:
        with pytest.raises(Unavailable) as raised:
            await stream.request("chain_status", {})
        assert raised.value.error_code == "bad_answer"
    await runner.cleanup()


@pytest.mark.asyncio
async def test_a_stream_that_read_too_slowly_is_told_so(monkeypatch):
    monkeypatch.setattr("chainnode.rpc.session.MAX_OUTBOX_BYTES", 2_000)
    async with serve() as served, RpcStream(served.url) as stream:
        records = await stream.subscribe("records")
        served.node.engine.commit([served.node.chain.notarization("a", count=300)])
        with pytest.raises(Unavailable) as raised:
            await anext(records)
        assert raised.value.error_code == "too_slow"


@pytest.mark.asyncio
async def test_what_waits_on_a_stream_fails_when_the_node_stops():
    async with serve() as served, RpcStream(served.url) as stream:
        transaction = served.node.chain.notarization("a")
        waiting = asyncio.ensure_future(stream.tx_submit_and_wait(transaction.envelope))
        blocks = await stream.subscribe("blocks")
        await served.server.stop()
        for failing in (waiting, anext(blocks), stream.request("chain_status", {})):
            with pytest.raises(Unavailable) as raised:
                await failing
            assert raised.value.error_code == "node_unreachable"


@pytest.mark.parametrize(
    "error",
    [
        DecodeError("m", code="a", field="f"),
        NotFound("m", code="a"),
        Refused("m", code="a", field="f"),
        CannotTell("m", code="a"),
        ProofInvalid("m", code="a"),
        Unavailable("m", code="a", retry_after_ms=5),
        Unavailable("m", code="timeout"),
        Unavailable("m", code="overloaded", retry_after_ms=5),
    ],
)
def test_an_error_survives_the_wire(error):
    answer = parse_json(error_text("1", error, number_of(error)))
    assert isinstance(answer, dict)
    copy = error_from(answer["error"])
    assert (type(copy), copy.error_code, copy.message, copy.field) == (
        type(error),
        error.error_code,
        "m",
        error.field,
    )
    assert getattr(copy, "retry_after_ms", None) == getattr(error, "retry_after_ms", None)
    assert number_of(error) in MEANINGS


@pytest.mark.parametrize("name", [n for n in dir(results) if n.endswith("Result")])
def test_every_result_has_a_schema_and_a_checker(name):
    declared = getattr(results, name)
    schema = schema_of(declared)
    assert schema["required"] == list(schema["properties"])
    check = checker_of(declared)
    for wrong in (None, [], {}, 3):
        with pytest.raises(DecodeError):
            check(wrong, name)


def test_a_checker_looks_into_lists_choices_and_optional_fields():
    good = {
        "tx_id": "00", "status": "failed", "height": 1, "position": None, "time_ms": None,
        "receipt": None, "added_by_a_newer_node": 1,
    }  # fmt: skip
    check = checker_of(results.TransactionResult)
    check(good, "x")
    for name, wrong in (("status", "maybe"), ("height", "1"), ("height", True), ("receipt", {})):
        with pytest.raises(DecodeError):
            check({**good, name: wrong}, "x")
    with pytest.raises(DecodeError):
        checker_of(results.ConsistencyResult)({"old": 1, "new": 2, "hashes": [3]}, "x")


def test_bad_base64_and_bad_json_of_a_node_are_errors():
    with pytest.raises(DecodeError):
        from_base64("%%%")
    for text in (b"{", b"\xff", b"[" * 100_000):
        with pytest.raises(Unavailable):
            parse_json(text)


def test_texts_are_packed_by_number_and_by_size():
    assert packed([]) == []
    assert packed(["1"]) == ["1"]
    assert packed(["1", "2"]) == ["[1,2]"]
    assert [m.count(",") + 1 for m in packed(["1"] * 250)] == [100, 100, 50]
    large = '"' + "x" * 1_000_000 + '"'
    assert packed([large, large, "1"]) == [large, f"[{large},1]"]
