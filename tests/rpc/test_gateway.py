"""The gateway over a real listener, on a real ledger whose engine decides when told."""

import asyncio
import contextlib
import hashlib
import hmac
import json
from dataclasses import dataclass

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from chainnode.keystore.gateway_tokens import Token, encode_tokens, fresh_token, hash_of
from chainnode.keystore.signer import local_signer
from chainnode.keystore.webhook_targets import Target, read_targets
from chainnode.model import codec
from chainnode.model.calls import Document, close_algorithm, register_documents
from chainnode.model.commitment import Digest, parse_digests
from chainnode.model.errors import DecodeError, Refused, StorageFault, Unavailable
from chainnode.model.keys import KeyPurpose
from chainnode.model.notarization import digest_map, parse_notarization, verify_notarization
from chainnode.model.tlog_policy import validators_policy
from chainnode.model.tlog_proof import parse_proof
from chainnode.rpc import gateway_endpoint, gateway_openapi, webhooks
from chainnode.rpc.gateway_access import GatewayAccess
from chainnode.rpc.gateway_endpoint import GatewayEndpoint
from chainnode.rpc.gateway_openapi import OpenApiPage
from chainnode.rpc.server import RpcServer
from chainnode.rpc.webhooks import WebhookCollector, Webhooks
from chainnode.services import commits, gateway_lists
from chainnode.services import gateway as gateway_service
from chainnode.services.gateway import Gateway
from chainnode.services.gateway_journal import GatewayJournal
from chainnode.services.gateway_lists import Wish
from chainnode.services.gateway_metrics import GatewayCollector
from chainnode.services.own_account import OwnAccount
from chainnode.storage.append_file import MemoryFile
from tests.support.chain import ADMIN, ARCHIVE, CLERK
from tests.support.rpc import make_node

HOOKS = {"hook", "other"}


@dataclass
class Desk:
    """A gateway with a client."""

    node: object
    file: MemoryFile
    gateway: Gateway
    session: aiohttp.ClientSession
    url: str
    tokens: dict
    path: object
    faults: list

    async def ask(self, verb, path, body=None, *, token="a", key=None):
        headers = (
            {} if token is None else {"Authorization": f"Bearer {self.tokens.get(token, token)}"}
        )
        if key is not None:
            headers["Idempotency-Key"] = key
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        async with self.session.request(
            verb, self.url + path, data=data, headers=headers
        ) as response:
            text = await response.text()
            is_json = response.content_type == "application/json"
            return response.status, json.loads(text) if is_json else text

    async def submit(self, content, *, token="a", key=None, **fields):
        digests = {"sha256": hashlib.sha256(content).hexdigest()}
        body = {"digests": digests, **fields}
        return await self.ask("POST", "/v1/records", body, token=token, key=key)

    def decide(self):
        self.node.engine.commit()
        self.node.engine.cosign()
        self.node.commits.publish()

    async def decided(self):
        """Let the list reach the pool, and decide it."""
        async with asyncio.timeout(10):
            while not self.node.engine.pool:
                await asyncio.sleep(0.01)
        self.decide()
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def open_desk(tmp_path, *, node=None, content=b"", per_minute=1_000):
    node = make_node() if node is None else node
    keys = node.chain.accounts[CLERK]
    own = OwnAccount(
        name=CLERK,
        signers=[
            local_signer(
                name="k", suite=keys.suite, purpose=KeyPurpose.ACCOUNT, private_key=keys.private
            )
        ],
        ledger=node.ledger,
        submission=node.services.submission,
    )
    tokens = {name: fresh_token() for name in ("a", "b")}
    path = tmp_path / "tokens.json"
    write_tokens(path, tokens, per_minute)
    file = MemoryFile(content)
    loop = asyncio.get_running_loop()
    gateway = Gateway(
        services=node.services,
        own_account=own,
        journal=GatewayJournal(file, node.chain.genesis.domain),
        clock=node.clock,
        defer=loop.call_soon,
    )
    access = GatewayAccess(path, node.clock)
    faults = []
    server = RpcServer(
        node.services,
        host="127.0.0.1",
        port=0,
        on_fault=faults.append,
        endpoints={
            gateway_endpoint.FOLDER: GatewayEndpoint(gateway, access, node.commits, HOOKS),
            gateway_openapi.PATH: OpenApiPage("1"),
        },
        on_tick=[gateway.tick],
    )
    await server.start()
    try:
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{server.port}"
            yield Desk(node, file, gateway, session, url, tokens, path, faults)
    finally:
        await server.stop()


def write_tokens(path, tokens, per_minute=1_000):
    kept = tuple(
        Token(name=name, sha256=hash_of(text), per_minute=per_minute, created_ms=1)
        for name, text in tokens.items()
    )
    path.write_bytes(encode_tokens(kept))
    path.chmod(0o600)


def verify(node, content, text):
    genesis = node.chain.genesis
    policy = validators_policy(
        genesis.suite,
        genesis.chain_id,
        [(v.name, v.log_key, v.cosigner_key) for v in genesis.validator_set.members],
    )
    proof = parse_proof(text.encode())
    notarization = parse_notarization(proof.extra)
    found = digest_map(parse_digests((("sha256", hashlib.sha256(content).digest()),)))
    verify_notarization(proof, policy, notarization, found)
    return notarization


@pytest.mark.asyncio
async def test_a_digest_goes_in_and_a_proof_comes_out(tmp_path):
    async with open_desk(tmp_path) as desk:
        status, made = await desk.submit(b"one", title="t")
        assert (status, made["status"], made["index"]) == (202, "accepted", None)
        place = f"/v1/records/{made['id']}"
        assert (await desk.ask("GET", f"{place}/proof"))[1]["error"]["code"] == "not_yet_committed"
        await desk.decided()
        status, found = await desk.ask("GET", place)
        assert (status, found["status"], found["tx_id"]) == (200, "committed", made["tx_id"])
        status, text = await desk.ask("GET", f"{place}/proof")
        assert status == 200
        assert not verify(desk.node, b"one", text).is_public
        digest = hashlib.sha256(b"one").hexdigest()
        _, listed = await desk.ask("GET", f"/v1/digests/sha256/{digest}")
        assert [one["index"] for one in listed["records"]] == [found["index"]]


def registrations(node, digest, count, *, sender=ARCHIVE, public=False):
    """A transaction by which somebody registers a digest so many times."""
    document = Document(digests=(Digest(algorithm="sha256", value=digest),))
    seed = None if public else bytes(32)
    call = register_documents([document] * count, seed=seed)
    return node.chain.transaction([call], sender=sender, nonce=f"{digest.hex()} {public}")


@pytest.mark.asyncio
async def test_a_lookup_finds_what_lies_behind_any_number_that_it_does_not_show(tmp_path):
    digest = hashlib.sha256(b"wanted").digest()
    path = f"/v1/digests/sha256/{digest.hex()}"
    async with open_desk(tmp_path) as desk:
        desk.node.engine.commit([registrations(desk.node, digest, 50)])
        desk.node.engine.commit([registrations(desk.node, digest, 21, public=True)])
        await desk.submit(b"wanted")
        await desk.decided()
        _, first = await desk.ask("GET", path)
        assert len(first["records"]) == 20
        assert first["next_after"] == first["records"][-1]["index"]
        _, rest = await desk.ask("GET", f"{path}?after={first['next_after']}")
        assert [one["account"] for one in rest["records"]] == [ARCHIVE, CLERK]
        assert rest["next_after"] is None
        for bad in ("-1", "x", "", "1" * 16, "٣"):
            status, refused = await desk.ask("GET", f"{path}?after={bad}")
            assert (status, refused["error"]["field"]) == (400, "after")


@pytest.mark.asyncio
async def test_what_comes_together_goes_into_one_list_and_public_ones_apart(tmp_path):
    async with open_desk(tmp_path) as desk:
        async with asyncio.TaskGroup() as tasks:
            asked = [
                tasks.create_task(desk.submit(b"%d" % n, public=n % 2 == 0, wait="proof"))
                for n in range(6)
            ]
            await asyncio.sleep(0.2)
            desk.decide()
        answers = [task.result() for task in asked]
        assert {status for status, _ in answers} == {200}
        assert len({made["tx_id"] for _, made in answers}) <= 4
        for number, (_, made) in enumerate(answers):
            assert verify(desk.node, b"%d" % number, made["proof"]).is_public is (number % 2 == 0)


@pytest.mark.asyncio
async def test_a_closure_that_is_announced_fails_no_document_without_that_algorithm(tmp_path):
    async with open_desk(tmp_path) as desk:
        node = desk.node
        announced = close_algorithm("sha512", from_height=3)
        node.engine.commit([node.chain.transaction([announced], sender=ADMIN)])
        bodies = [{"sha256": "ab" * 32}, {"sha256": "cd" * 32, "sha512": "ab" * 64}]
        async with asyncio.TaskGroup() as tasks:
            asked = [
                tasks.create_task(desk.ask("POST", "/v1/records", {"digests": body}))
                for body in bodies
            ]
        made = [task.result()[1] for task in asked]
        assert [one["status"] for one in made] == ["accepted"] * 2
        # Both come too late for the last block that takes the algorithm.
        waiting = tuple(node.engine.pool.values())
        node.engine.commit([])
        node.engine.commit(waiting)
        node.commits.publish()
        found = [(await desk.ask("GET", f"/v1/records/{one['id']}"))[1] for one in made]
        assert [(one["status"], one["code"]) for one in found] == [
            ("committed", None),
            ("failed", "algorithm_closed"),
        ]


@pytest.mark.asyncio
async def test_lists_hold_as_many_documents_and_bytes_as_a_transaction(tmp_path, monkeypatch):
    monkeypatch.setattr(gateway_lists, "MAX_DOCUMENTS_PER_CALL", 3)
    monkeypatch.setattr(gateway_lists, "MAX_LIST_BYTES", 1_000)
    async with open_desk(tmp_path) as desk:
        heard = []
        for number, title in enumerate(["", "", "", "", "x" * 256, "x" * 256, "x" * 256]):
            digest = Digest(algorithm="sha256", value=bytes([number]) * 32)
            document = Document(digests=(digest,), title=title or None)
            wish = Wish(
                token="a", key=None, request_hash=bytes(32), document=document, is_public=False
            )
            desk.gateway.submit(wish, heard.append)
        while len(heard) < 7:
            await asyncio.sleep(0)
        lists = {desk.gateway.find("a", id_).tx_id for id_ in heard}
        # Three; one and one with a title; two with one.
        sizes = [
            sum(desk.gateway.find("a", id_).tx_id == tx_id for id_ in heard) for tx_id in lists
        ]
        assert sorted(sizes) == [2, 2, 3]


def test_a_document_costs_a_list_no_less_than_it_takes_in_a_transaction():
    digests = tuple(
        Digest(algorithm=name, value=bytes(size))
        for name, size in (("sha256", 32), ("sha512", 64), ("sm3", 32))
    )
    for title in (None, "", "x" * 31, "x" * 32, "x" * 255, "x" * 256, "证" * 85):
        document = Document(digests=digests, title=title, metadata_hash=bytes(32))
        wish = Wish(token="a", key=None, request_hash=b"", document=document, is_public=False)
        taken = len(codec.encode(document.as_value()))
        assert taken <= gateway_lists.document_bytes(wish.document) <= taken + 8


@pytest.mark.asyncio
async def test_a_key_names_one_wish_of_one_token(tmp_path):
    async with open_desk(tmp_path) as desk:
        async with asyncio.TaskGroup() as tasks:
            same = [tasks.create_task(desk.submit(b"x", key="k")) for _ in range(4)]
        ids = {task.result()[1]["id"] for task in same}
        assert len(ids) == 1
        assert (await desk.submit(b"x", key="k", token="b"))[1]["id"] not in ids
        status, refused = await desk.submit(b"y", key="k")
        assert (status, refused["error"]["code"]) == (422, "key_conflict")
        assert (await desk.submit(b"x", key="k", public=True))[0] == 422
        await desk.decided()
        assert (await desk.submit(b"x", key="k"))[1]["status"] == "committed"


@pytest.mark.asyncio
async def test_whoever_finds_no_room_to_wait_for_a_proof_hears_that_it_is_committed(
    tmp_path, monkeypatch
):
    async with open_desk(tmp_path) as desk:
        await desk.submit(b"x", key="k")
        while not desk.node.engine.pool:
            await asyncio.sleep(0)
        desk.node.engine.commit()
        desk.node.commits.publish()
        monkeypatch.setattr(commits, "MAX_WAITING_PROOFS", 0)
        status, told = await desk.submit(b"x", key="k", wait="proof")
        assert (status, told["status"]) == (202, "committed")


@pytest.mark.asyncio
async def test_a_client_that_waits_no_more_leaves_nothing_behind_while_the_chain_stands_still(
    tmp_path, monkeypatch
):
    async with open_desk(tmp_path) as desk:
        monkeypatch.setattr(gateway_endpoint, "WAIT_MS", 50)
        for _ in range(3):
            status, told = await desk.submit(b"x", key="k", wait="committed")
            assert (status, told["status"]) == (202, "accepted")
        assert desk.gateway.waiting_count == 0
        monkeypatch.undo()
        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            gone = [
                tasks.create_task(desk.submit(b"x", key="k", wait="committed")) for _ in range(3)
            ]
            stays = tasks.create_task(desk.submit(b"x", key="k", wait="committed"))
            while desk.gateway.waiting_count < 4:
                await asyncio.sleep(0.01)
            for client in gone:
                client.cancel()
            while desk.gateway.waiting_count > 1:
                await asyncio.sleep(0.01)
            await desk.decided()
        assert stays.result()[1]["status"] == "committed"
        assert desk.gateway.waiting_count == 0


@pytest.mark.asyncio
async def test_one_token_sees_nothing_of_another(tmp_path):
    async with open_desk(tmp_path) as desk:
        _, made = await desk.submit(b"mine")
        await desk.decided()
        for path in (f"/v1/records/{made['id']}", f"/v1/records/{made['id']}/proof"):
            status, answer = await desk.ask("GET", path, token="b")
            assert (status, answer["error"]["code"]) == (404, "unknown_record")


@pytest.mark.asyncio
async def test_without_a_token_there_is_nothing_on_loopback_either(tmp_path):
    async with open_desk(tmp_path) as desk:
        for token in (None, "", "cng_" + "A" * 43, "x" * 4_000):
            assert (await desk.submit(b"x", token=token))[0] == 401
        async with desk.session.get(
            f"{desk.url}/v1/records/{'0' * 32}", headers={"Authorization": "Basic eDp5"}
        ) as response:
            assert (response.status, response.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert (await desk.submit(b"x"))[0] == 202
        write_tokens(desk.path, {"b": desk.tokens["b"]})
        desk.node.clock.advance(1_000)
        assert (await desk.submit(b"x"))[0] == 401
        desk.path.chmod(0o644)
        desk.path.write_text("{}")
        desk.node.clock.advance(1_000)
        assert (await desk.submit(b"x", token="b"))[0] == 401


@pytest.mark.asyncio
async def test_a_token_has_its_share_of_a_minute(tmp_path):
    async with open_desk(tmp_path, per_minute=2) as desk:
        for _ in range(2):
            assert (await desk.submit(b"x"))[0] == 202
        status, refused = await desk.submit(b"x")
        assert (status, refused["error"]["code"]) == (429, "overloaded")
        assert (await desk.submit(b"x", token="b"))[0] == 202
        desk.node.clock.advance(60_000)
        assert (await desk.submit(b"x"))[0] == 202


@pytest.mark.asyncio
async def test_what_cannot_be_is_refused_and_names_its_field(tmp_path):
    good = "ab" * 32
    async with open_desk(tmp_path) as desk:
        for body, field in (
            (b"{", None),
            (b"\xff", None),
            ([], None),
            ({}, "digests"),
            ({"digests": {}}, "digests"),
            ({"digests": {"md5": "ab"}}, "algorithm"),
            ({"digests": {"sha256": good[:-2]}}, "digest"),
            ({"digests": {"sha256": good.upper()}}, "digests.sha256"),
            ({"digests": {"sha256": good}, "title": 1}, "title"),
            ({"digests": {"sha256": good}, "title": "x" * 257}, "title"),
            ({"digests": {"sha256": good}, "public": 1}, "public"),
            ({"digests": {"sha256": good}, "wait": {}}, "wait"),
            ({"digests": {"sha256": good}, "metadata_hash": "ab"}, "metadata_hash"),
            ({"digests": {"sha256": good}, "url": "http://x"}, "url"),
            ({"digests": {"sha256": good}, "webhook": "http://x"}, "webhook"),
            ({"digests": {"sha256": good}, "webhook": 1}, "webhook"),
        ):
            status, answer = await desk.ask("POST", "/v1/records", body)
            assert (status, answer["error"]["field"]) == (400, field), body
        assert (await desk.ask("POST", "/v1/records", b" " * 9_000))[0] == 413
        assert (await desk.submit(b"x", key="k" * 257))[0] == 400
        for path, status in (
            ("/v1/records", 404),
            ("/v1/records/xyz", 400),
            (f"/v1/records/{'0' * 32}", 404),
            (f"/v1/digests/md5/{good}", 400),
            ("/v1/", 404),
        ):
            assert (await desk.ask("GET", path))[0] == status, path
        assert desk.gateway.open_count == 0


@pytest.mark.asyncio
async def test_too_much_that_is_open_is_refused_before_it_is_accepted(tmp_path, monkeypatch):
    monkeypatch.setattr(gateway_service, "MAX_OPEN", 2)
    async with open_desk(tmp_path) as desk:
        for _ in range(2):
            assert (await desk.submit(b"x"))[0] == 202
        status, refused = await desk.submit(b"x")
        assert (status, refused["error"]["retry_after_ms"]) == (429, 500)
        await desk.decided()
        while desk.gateway.open_count:
            await desk.decided()
        assert (await desk.submit(b"x"))[0] == 202


@pytest.mark.asyncio
async def test_what_was_accepted_is_committed_once_after_a_crash(tmp_path):
    async with open_desk(tmp_path) as desk:
        _, made = await desk.submit(b"kept", key="k")
        _, lost = await desk.submit(b"decided", key="d")
        await desk.decided()
        node, content = desk.node, desk.file.read_all(10**6)
        tokens = desk.tokens
    # The first life's pool is lost with it; what had been decided is known to the ledger alone.
    node.engine.pool.clear()
    async with open_desk(tmp_path, node=node, content=content) as desk:
        desk.tokens.update(tokens)
        write_tokens(desk.path, tokens)
        node.clock.advance(1_000)
        assert (await desk.submit(b"kept", key="k"))[1]["id"] == made["id"]
        assert (await desk.submit(b"decided", key="d"))[1]["id"] == lost["id"]
        async with asyncio.timeout(10):
            while desk.gateway.open_count:
                node.clock.advance(1_100)
                await asyncio.sleep(0.05)
                if node.engine.pool:
                    desk.decide()
        for one, text in ((made, b"kept"), (lost, b"decided")):
            status, proof = await desk.ask("GET", f"/v1/records/{one['id']}/proof")
            assert status == 200
            verify(node, text, proof)
            digest = hashlib.sha256(text).hexdigest()
            _, listed = await desk.ask("GET", f"/v1/digests/sha256/{digest}")
            assert len(listed["records"]) == 1


@pytest.mark.asyncio
async def test_a_list_that_expired_is_signed_anew_under_the_same_ids(tmp_path, monkeypatch):
    monkeypatch.setattr("chainnode.services.own_account.VALID_HEIGHTS", 1)
    async with open_desk(tmp_path) as desk:
        _, made = await desk.submit(b"late")
        desk.node.engine.pool.clear()
        desk.decide()
        desk.decide()
        async with asyncio.timeout(10):
            while not desk.node.engine.pool:
                desk.node.clock.advance(1_100)
                await asyncio.sleep(0.05)
        desk.decide()
        _, found = await desk.ask("GET", f"/v1/records/{made['id']}")
        assert found["status"] == "committed"
        assert found["tx_id"] != made["tx_id"]
        status, proof = await desk.ask("GET", f"/v1/records/{made['id']}/proof")
        assert status == 200
        verify(desk.node, b"late", proof)


@pytest.mark.asyncio
async def test_a_node_that_is_refused_goes_on_trying(tmp_path):
    async with open_desk(tmp_path) as desk:
        for refusal in (
            Unavailable("busy", code="overloaded", retry_after_ms=2_000),
            Refused("no such account", code="unknown_account"),
        ):
            desk.node.engine.refusal = refusal
            _, made = await desk.submit(b"%d" % id(refusal))
            assert made["status"] == "accepted"
            desk.node.engine.refusal = None
            async with asyncio.timeout(10):
                while not desk.node.engine.pool:
                    desk.node.clock.advance(1_100)
                    await asyncio.sleep(0.05)
            desk.decide()
            _, found = await desk.ask("GET", f"/v1/records/{made['id']}")
            assert found["status"] == "committed"


@pytest.mark.asyncio
async def test_a_disk_that_fails_stops_the_node_and_nobody_is_told_accepted(tmp_path, monkeypatch):
    async with open_desk(tmp_path) as desk:
        heard = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: heard.append(context["exception"]))

        def full(self, data):
            raise StorageFault("no space")

        monkeypatch.setattr(MemoryFile, "append", full)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await desk.submit(b"x")
        assert [type(error) for error in heard] == [StorageFault]


@pytest.mark.asyncio
async def test_the_description_names_what_there_is(tmp_path):
    async with open_desk(tmp_path) as desk:
        status, document = await desk.ask("GET", "/openapi.json", token=None)
        assert (status, document["openapi"]) == (200, "3.1.0")
        assert sorted(document["paths"]) == [
            "/v1/digests/{algorithm}/{digest}",
            "/v1/records",
            "/v1/records/{id}",
            "/v1/records/{id}/proof",
        ]
        schema = document["components"]["schemas"]
        _, made = await desk.submit(b"x")
        assert set(made) == set(schema["Record"]["required"])
        assert (await desk.ask("POST", "/openapi.json", token=None))[0] == 405


SECRET = "s" * 32


@contextlib.asynccontextmanager
async def target(answers, heard):
    """A system that is told; it gives these answers, one after the other."""

    async def take(request):
        heard.append((request.headers.copy(), await request.read()))
        return web.Response(status=answers.pop(0), headers={"Location": "/elsewhere"})

    async with listening(take) as to:
        yield to


@contextlib.asynccontextmanager
async def listening(take, name="hook"):
    """A system at a port of its own."""
    runner = web.ServerRunner(web.Server(take))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        port = site._server.sockets[0].getsockname()[1]
        yield Target(name=name, url=f"http://127.0.0.1:{port}/x", secret=SECRET.encode())
    finally:
        await runner.cleanup()


async def tell(desk, telling, monkeypatch):
    """Tell until nothing is left to be told."""
    monkeypatch.setattr(webhooks, "LOOK_S", 0.01)
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(telling.run())
        while desk.gateway.untold_webhooks:
            desk.node.clock.advance(1_000)
            await asyncio.sleep(0.02)
        running.cancel()


@pytest.mark.asyncio
async def test_a_system_is_told_once_it_takes_it_and_can_check_who_speaks(tmp_path, monkeypatch):
    heard = []
    async with open_desk(tmp_path) as desk, target([500, 302, 204], heard) as to:
        _, made = await desk.submit(b"x", webhook="hook")
        _, quiet = await desk.submit(b"y")
        assert desk.gateway.untold_webhooks == ()
        while desk.gateway.open_count:
            await desk.decided()
        # What is to be told outlives the node.
        again = GatewayJournal(
            MemoryFile(desk.file.read_all(10**6)), desk.node.chain.genesis.domain
        )
        assert [entry.id.hex() for entry in again.untold("hook")] == [made["id"]]
        await tell(desk, Webhooks(desk.gateway, [to], desk.node.clock), monkeypatch)
        again = GatewayJournal(
            MemoryFile(desk.file.read_all(10**6)), desk.node.chain.genesis.domain
        )
        assert again.untold_webhooks == ()
    assert len(heard) == 3
    for headers, body in heard:
        assert json.loads(body)["id"] == made["id"] != quiet["id"]
        assert json.loads(body)["status"] == "committed"
        signed = headers["X-Chainnode-Timestamp"].encode() + b"." + body
        expected = hmac.new(SECRET.encode(), signed, "sha256").hexdigest()
        assert headers["X-Chainnode-Signature"] == f"sha256={expected}"


@pytest.mark.asyncio
async def test_a_target_that_never_answers_or_is_no_more_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(webhooks, "MAX_TRIES", 3)
    gone = Target(name="hook", url="http://127.0.0.1:9/x", secret=SECRET.encode())
    async with open_desk(tmp_path) as desk:
        for targets in ([gone], []):
            await desk.submit(b"x", webhook="hook")
            await desk.decided()
            assert len(desk.gateway.untold("hook")) == 1
            await tell(desk, Webhooks(desk.gateway, targets, desk.node.clock), monkeypatch)


@pytest.mark.asyncio
async def test_what_was_owed_to_a_target_that_is_no_more_takes_one_sync(tmp_path, monkeypatch):
    async with open_desk(tmp_path) as desk:
        await owed(desk, 20, "hook")
        syncs = []
        sync = MemoryFile.sync
        monkeypatch.setattr(MemoryFile, "sync", lambda file: (syncs.append(file), sync(file)))
        await tell(desk, Webhooks(desk.gateway, [], desk.node.clock), monkeypatch)
        assert syncs == [desk.file]
        again = GatewayJournal(
            MemoryFile(desk.file.read_all(10**6)), desk.node.chain.genesis.domain
        )
        assert again.untold_webhooks == ()


async def owed(desk, count, webhook):
    """Have a target be owed so many documents."""
    for number in range(count):
        await desk.submit(b"%s %d" % (webhook.encode(), number), webhook=webhook)
    while desk.gateway.open_count:
        await desk.decided()


@pytest.mark.asyncio
async def test_a_target_that_hangs_holds_up_only_itself(tmp_path):
    hanging, heard, over = [], [], asyncio.Event()

    async def hang(request):
        hanging.append(request)
        await over.wait()
        return web.Response(status=204)

    async def take(request):
        heard.append(json.loads(await request.read())["id"])
        return web.Response(status=204)

    async with (
        open_desk(tmp_path) as desk,
        listening(hang) as dead,
        listening(take, "other") as well,
        asyncio.timeout(webhooks.TIMEOUT_S - 1),
        asyncio.TaskGroup() as tasks,
    ):
        # More than are told at once, and all of them before the others.
        await owed(desk, 2 * webhooks.AT_ONCE, "hook")
        await owed(desk, 2 * webhooks.AT_ONCE, "other")
        telling = Webhooks(desk.gateway, [dead, well], desk.node.clock)
        running = tasks.create_task(telling.run())
        while desk.gateway.untold_webhooks != ("hook",):
            await asyncio.sleep(0.01)
        # Not one of those that hang was given up meanwhile.
        assert len(hanging) == telling.lines[0].under_way == webhooks.AT_ONCE
        assert len(heard) == len(set(heard)) == telling.lines[1].told == 2 * webhooks.AT_ONCE
        assert (telling.owed("hook"), telling.owed("other")) == (2 * webhooks.AT_ONCE, 0)
        over.set()
        running.cancel()


@pytest.mark.asyncio
async def test_a_silent_target_is_tried_with_one_document_after_the_other_until_it_answers(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(webhooks, "LOOK_S", 0.01)
    ids, at_once, most = [], 0, []
    status = 503

    async def take(request):
        nonlocal at_once
        at_once += 1
        most.append(at_once)
        ids.append(json.loads(await request.read())["id"])
        await asyncio.sleep(0.01)
        at_once -= 1
        return web.Response(status=status)

    async with (
        open_desk(tmp_path) as desk,
        listening(take) as to,
        asyncio.timeout(10),
        asyncio.TaskGroup() as tasks,
    ):
        count = 2 * webhooks.AT_ONCE
        await owed(desk, count, "hook")
        telling = Webhooks(desk.gateway, [to], desk.node.clock)
        running = tasks.create_task(telling.run())
        (line,) = telling.lines
        while line.under_way or not line.failed:
            await asyncio.sleep(0.01)
        # What was under way at once was one silence, and its end is awaited.
        assert (line.silences, line.failed) == (1, webhooks.AT_ONCE)
        most.clear()
        for silences in range(2, 9):
            desk.node.clock.advance(webhooks.MOST_SILENCE_MS)
            while line.silences < silences:
                await asyncio.sleep(0.01)
        assert set(most) == {1}
        assert len(set(ids)) > webhooks.AT_ONCE
        status = 200
        desk.node.clock.advance(webhooks.MOST_SILENCE_MS)
        while desk.gateway.untold_webhooks:
            desk.node.clock.advance(60_000)
            await asyncio.sleep(0.01)
        assert (line.silences, line.told) == (0, count)
        assert max(most) > 1
        running.cancel()


@contextlib.asynccontextmanager
async def raw_target(answer):
    """A system that says whatever it likes after each request; `answer` gets the writer."""
    ends = []

    async def serve(reader, writer):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                (length,) = (
                    int(line.split(b":")[1])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length:")
                )
                await reader.readexactly(length)
                await answer(writer)
        ends.append(writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        port = server.sockets[0].getsockname()[1]
        yield Target(name="hook", url=f"http://127.0.0.1:{port}/x", secret=SECRET.encode()), ends
    finally:
        server.close()


@pytest.mark.asyncio
async def test_an_answer_is_read_no_further_than_its_head_may_be_long(tmp_path, monkeypatch):
    # Whatever ends is ended by us, and not because the time is up.
    monkeypatch.setattr(webhooks, "TIMEOUT_S", 600)
    monkeypatch.setattr(webhooks, "LOOK_S", 0.01)
    interim = b"HTTP/1.1 102 Processing\r\n\r\n"

    async def never_ends(writer):
        while True:
            writer.write(interim * 1_000)
            await writer.drain()

    async def never_ends_its_head(writer):
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"Set-Cookie: a=b\r\n" * 10)
            await writer.drain()

    async def talks_on(writer):
        body = b"x" * 2**22
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()

    async def is_polite(writer):
        writer.write(interim + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    for answer, outcome in (
        (never_ends, (0, 1)),
        (never_ends_its_head, (0, 1)),
        (talks_on, (1, 0)),
        (is_polite, (1, 0)),
    ):
        async with (
            open_desk(tmp_path) as desk,
            raw_target(answer) as (to, ends),
            asyncio.timeout(20),
            asyncio.TaskGroup() as tasks,
        ):
            await owed(desk, 1, "hook")
            telling = Webhooks(desk.gateway, [to], desk.node.clock)
            running = tasks.create_task(telling.run())
            (line,) = telling.lines
            while not line.told + line.failed:
                await asyncio.sleep(0.01)
            assert (line.told, line.failed) == outcome
            while answer is not is_polite and not ends:
                await asyncio.sleep(0.01)
            running.cancel()


@pytest.mark.asyncio
async def test_targets_keep_nothing_on_a_node_and_their_connections_are_used_again(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(webhooks, "AT_ONCE", 1)
    heard, peers = [], set()

    async def take(request):
        heard.append(request.headers.get("Cookie"))
        peers.add(request.transport.get_extra_info("peername"))
        answer = web.Response(text="ok")
        answer.set_cookie("a", "b")
        return answer

    async with open_desk(tmp_path) as desk, listening(take) as to:
        named = Target(name=to.name, url=to.url.replace("127.0.0.1", "localhost"), secret=to.secret)
        await owed(desk, 3, "hook")
        await tell(desk, Webhooks(desk.gateway, [named], desk.node.clock), monkeypatch)
    assert (heard, len(peers)) == ([None] * 3, 1)


@pytest.mark.asyncio
async def test_a_document_that_a_target_refuses_does_not_hold_up_the_others(tmp_path, monkeypatch):
    monkeypatch.setattr(webhooks, "LOOK_S", 0.01)
    monkeypatch.setattr(webhooks, "AT_ONCE", 1)
    refused = []

    async def take(request):
        id_ = json.loads(await request.read())["id"]
        refused[:] = refused or [id_]
        return web.Response(status=422 if id_ in refused else 200)

    async with (
        open_desk(tmp_path) as desk,
        listening(take) as to,
        asyncio.timeout(10),
        asyncio.TaskGroup() as tasks,
    ):
        await owed(desk, 5, "hook")
        telling = Webhooks(desk.gateway, [to], desk.node.clock)
        running = tasks.create_task(telling.run())
        (line,) = telling.lines
        # The clock stands still: no pause of anybody's ends.
        while line.told < 4:
            await asyncio.sleep(0.01)
        assert [entry.id.hex() for entry in desk.gateway.untold("hook")] == refused
        running.cancel()


@pytest.mark.asyncio
async def test_monitoring_sees_what_came_what_is_open_and_who_is_owed(tmp_path, monkeypatch):
    async with open_desk(tmp_path) as desk, target([500, 200], []) as to:
        registry = CollectorRegistry()
        registry.register(GatewayCollector(desk.gateway))
        telling = Webhooks(desk.gateway, [to], desk.node.clock)
        registry.register(WebhookCollector(telling))

        def documents():
            return [
                registry.get_sample_value("chainnode_gateway_documents_total", {"outcome": outcome})
                for outcome in ("accepted", "committed", "failed")
            ]

        def now(name):
            return registry.get_sample_value(f"chainnode_gateway_{name}")

        def hook(name):
            return registry.get_sample_value(f"chainnode_webhooks_{name}", {"target": "hook"})

        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            tasks.create_task(desk.submit(b"x", wait="committed", webhook="hook"))
            while now("waiting_clients") == 0:
                await asyncio.sleep(0.01)
            assert (documents(), now("open_documents"), now("open_lists")) == ([1, 0, 0], 1, 1)
            await desk.decided()
        assert (documents(), now("open_documents"), now("open_lists")) == ([1, 1, 0], 0, 0)
        assert now("waiting_clients") == 0
        assert (hook("told_total"), hook("failed_total"), hook("owed")) == (0, 0, 1)
        await tell(desk, telling, monkeypatch)
        assert (hook("told_total"), hook("failed_total"), hook("owed")) == (1, 1, 0)


def test_targets_are_what_the_operator_wrote_and_nothing_else(tmp_path):
    path = tmp_path / "hooks.json"
    good = {"name": "a", "url": "https://a.example/x", "secret": SECRET}
    for bad in (
        [{**good, "url": "ftp://a"}],
        [{**good, "url": "https://"}],
        [{**good, "url": "https://a b"}],
        [{**good, "secret": "short"}],
        [{**good, "more": 1}],
        [good, good],
    ):
        path.write_text(json.dumps({"version": 1, "targets": bad}))
        path.chmod(0o600)
        with pytest.raises(DecodeError):
            read_targets(path)
    path.write_text(json.dumps({"version": 1, "targets": [good]}))
    assert SECRET not in repr(read_targets(path))
    path.chmod(0o644)
    with pytest.raises(Refused):
        read_targets(path)
