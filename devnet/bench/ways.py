"""The ways in which a reader asks one node.

    http     `log_proof` of one record, by POST on connections that are kept; as most programs would
    stream   the same over one WebSocket
    tiles    whole lists, as the client library gets them: header, checkpoint and tiles, from which it makes the proofs
    lookup   the registrations of a digest, asked by a member over one WebSocket

A way checks nothing but what the client library does; what came is checked when the measurement is over.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol, Self, cast

from chainnode.client.proving import fetch_evidence, registered
from chainnode.model.errors import ProofInvalid, Unavailable
from chainnode.model.ids import TransactionId
from chainnode.model.notarization import digest_map, verify_notarization
from chainnode.rpc.client import RpcClient, parse_json
from chainnode.rpc.error_numbers import error_from
from chainnode.rpc.stream import RpcStream
from devnet.bench.check import verify_answer
from devnet.bench.keep_alive import HEAD_END, KeptConnection, dial, post
from devnet.bench.plan import HTTP, QUERY, STREAM, TILES
from devnet.bench.workload import digests_of, opening_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from chainnode.client.proving import ProvenDocument
    from chainnode.model.genesis import Genesis
    from chainnode.model.tlog_proof import Verifier
    from chainnode.rpc.member import Member
    from chainnode.rpc.results import Json, LookupResult, ProofResult
    from devnet.bench.client import Acknowledged
    from devnet.bench.plan import Plan

OPEN_QUESTIONS: Final = 8
"""Of one reader at a time; over HTTP each has a connection of its own."""

OPEN_LISTS: Final = 2
"""Of one reader at a time: a thousand proofs come of each, and are made on one core."""

_JSON: Final = "Content-Type: application/json"
_LOOKUP: Final = "notary_lookup"
_RESULT: Final = b'"result"'
_BEFORE_RESULT: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Who asks, about what, and what the answers are checked by."""

    url: str
    """Of the node that is asked."""

    genesis: Genesis
    verifier: Verifier
    member: Member
    """Who registered the documents, and looks them up."""

    digests: int
    """Of each document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Got:
    """What came of a question."""

    begun_ns: int
    answered_ns: int
    count: int
    """Proofs, or look-ups."""

    check: Callable[[], None]
    """Verifies all proofs offline, against what was registered; of a look-up, compares. Raises ChainError."""


class Way(Protocol):
    """Asks. An async context manager."""

    async def __aenter__(self) -> Self:
        """Connect. Raises Unavailable."""

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Disconnect."""

    async def ask(self, tx: Acknowledged, item: int) -> Got:
        """Ask about a transaction's `item`-th document, or about all of them. Raises ChainError."""


class _Http:
    def __init__(self, asker: Asker) -> None:
        self._url, self._asker = f"{asker.url}/rpc", asker
        self._free: list[KeptConnection] = []
        self._waiting: dict[KeptConnection, asyncio.Future[bytes]] = {}

    async def __aenter__(self) -> Self:
        for _ in range(OPEN_QUESTIONS):
            self._free.append(await dial(self._url, self._lost))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for connection in self._free:
            connection.close()

    def _lost(self, connection: KeptConnection) -> None:
        if connection in self._free:
            self._free.remove(connection)
        waiting = self._waiting.pop(connection, None)
        if waiting is not None and not waiting.done():
            waiting.set_exception(self._hung_up())

    def _hung_up(self) -> Unavailable:
        return Unavailable(f"{self._url} hung up", code="node_unreachable")

    async def ask(self, tx: Acknowledged, item: int) -> Got:
        index = tx.first_record + item
        question = {"jsonrpc": "2.0", "id": 1, "method": "log_proof", "params": {"index": index}}
        request = post(self._url, json.dumps(question).encode(), _JSON)
        if not self._free:
            raise self._hung_up()
        connection = self._free.pop()
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[connection] = answer
        begun_ns = time.monotonic_ns()
        connection.send(request, answer.set_result)
        body = (await answer).partition(HEAD_END)[2]
        answered_ns = time.monotonic_ns()
        del self._waiting[connection]
        self._free.append(connection)
        if _RESULT not in body[:_BEFORE_RESULT]:
            raise error_from(_member(body, "error"))

        def check() -> None:
            result = cast("ProofResult", _member(body, "result"))
            _verify_one(self._asker, tx, item, result)

        return Got(begun_ns=begun_ns, answered_ns=answered_ns, count=1, check=check)


class _Streaming:
    def __init__(self, asker: Asker) -> None:
        self._stream, self._asker = RpcStream(asker.url), asker

    async def __aenter__(self) -> Self:
        await self._stream.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stream.__aexit__(kind, error, traceback)


class _Stream(_Streaming):
    async def ask(self, tx: Acknowledged, item: int) -> Got:
        begun_ns = time.monotonic_ns()
        answer = await self._stream.request("log_proof", {"index": tx.first_record + item})
        answered_ns = time.monotonic_ns()
        check = partial(_verify_one, self._asker, tx, item, cast("ProofResult", answer))
        return Got(begun_ns=begun_ns, answered_ns=answered_ns, count=1, check=check)


class _LookUps(_Streaming):
    async def ask(self, tx: Acknowledged, item: int) -> Got:
        digest = digests_of(tx.number, item, self._asker.digests)[-1]
        params = {"algorithm": digest.algorithm, "digest": digest.value.hex()}
        authorized = self._asker.member.authorize(_LOOKUP, params)
        begun_ns = time.monotonic_ns()
        answer = await self._stream.request(_LOOKUP, authorized)
        answered_ns = time.monotonic_ns()
        index = tx.first_record + item

        def check() -> None:
            found = [record["index"] for record in cast("LookupResult", answer)["records"]]
            if found != [index]:
                raise ProofInvalid(
                    f"the digest of record {index} is found at {found}", code="wrong_lookup"
                )

        return Got(begun_ns=begun_ns, answered_ns=answered_ns, count=1, check=check)


class _Tiles:
    def __init__(self, asker: Asker) -> None:
        self._node, self._asker = RpcClient(asker.url), asker

    async def __aenter__(self) -> Self:
        await self._node.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._node.__aexit__(kind, error, traceback)

    async def ask(self, tx: Acknowledged, item: int) -> Got:
        del item
        suite, digests = self._asker.genesis.suite, self._asker.digests
        openings = [opening_of(suite, tx.number, item, digests) for item in range(tx.record_count)]
        begun_ns = time.monotonic_ns()
        records = registered(
            suite,
            await self._node.chain_header(tx.height),
            tx_id=TransactionId(bytes.fromhex(tx.tx_id)),
            account=self._asker.member.account,
            documents=((opening, None) for opening in openings),
        )
        evidence = await fetch_evidence(self._node, tx.first_record, tx.record_count)
        proven = evidence.prove(suite, tx.first_record, records)
        answered_ns = time.monotonic_ns()

        def check() -> None:
            for one in proven:
                _verify_proven(self._asker, one)

        return Got(begun_ns=begun_ns, answered_ns=answered_ns, count=len(proven), check=check)


_WAYS: Final[Mapping[str, Callable[[Asker], Way]]] = {
    HTTP: _Http,
    STREAM: _Stream,
    TILES: _Tiles,
}


def way_of(plan: Plan, asker: Asker) -> Way:
    """Return how a reader of a plan asks."""
    return _LookUps(asker) if plan.workload == QUERY else _WAYS[plan.path](asker)


def _verify_one(asker: Asker, tx: Acknowledged, item: int, answer: ProofResult) -> None:
    verify_answer(asker.genesis, asker.verifier, tx, item, answer, asker.digests)


def _verify_proven(asker: Asker, one: ProvenDocument) -> None:
    found = digest_map(one.notarization.opening.digests)
    verify_notarization(one.proof, asker.verifier, one.notarization, found)


def _member(body: bytes, name: str) -> Json:
    answer = parse_json(body)
    if not isinstance(answer, dict) or name not in answer:
        raise Unavailable("the node does not speak JSON-RPC 2.0", code="bad_answer")
    return answer[name]
