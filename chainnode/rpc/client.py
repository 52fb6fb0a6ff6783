"""The typed client of a node: what the command line, the devnet and other programs call.

    async with RpcClient("http://127.0.0.1:8545") as node:
        status = await node.chain_status()

Every method answers as declared in `results` or raises a ChainError: the node's own error under the class and code
that it had there, or Unavailable with code `node_unreachable` if there was no answer to be had. A node's answer is
checked for shape, not for truth: who does not trust the node verifies proofs.
"""

from __future__ import annotations

import json
import os
import ssl
from typing import TYPE_CHECKING, Self, TypeVar, cast

import aiohttp

from chainnode.model.errors import Unavailable
from chainnode.rpc import results
from chainnode.rpc.base64_text import from_base64, to_base64
from chainnode.rpc.error_numbers import error_from
from chainnode.rpc.limits import MAX_RESPONSE_BYTES
from chainnode.rpc.member import Member
from chainnode.rpc.schema import checker_of

if TYPE_CHECKING:
    import ssl as ssl_module
    from collections.abc import Mapping
    from types import TracebackType

    from chainnode.model.canonical_json import Param
    from chainnode.rpc.results import Json

__all__ = ["Member", "RpcClient", "from_base64", "parse_json", "to_base64", "unreachable"]

Result = TypeVar("Result")

DEFAULT_TIMEOUT_MS = 30_000
"""How long a call may take, beyond what the call itself asks the node to wait."""


class RpcClient:
    """One node over HTTP. Use it as an async context manager; calls may overlap."""

    def __init__(
        self,
        url: str,
        *,
        ssl: ssl_module.SSLContext | None = None,
        member: Member | None = None,
        timeout_ms: int = DEFAULT_TIMEOUT_MS,
    ) -> None:
        """Prepare to talk to `url`, for example `http://127.0.0.1:8545`.

        Args:
            url: Scheme, host and port of the node's RPC listener.
            ssl: How to verify the node's certificate; None for the system's trust roots.
            member: Signs the requests whose answers are for members; None asks for what everybody may see.
            timeout_ms: For one call, beyond what the call asks the node to wait.
        """
        self.url = url.rstrip("/")
        self._ssl: ssl_module.SSLContext | bool = True if ssl is None else ssl
        self._member = member
        self._timeout_ms = timeout_ms
        self._session: aiohttp.ClientSession | None = None
        self._last_id = 0

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    # -- the chain -----------------------------------------------------------------------------------------

    async def chain_status(self) -> results.StatusResult:
        """Where the chain and consensus stand, and for whom the node waits."""
        return await self._ask("chain_status", {}, results.StatusResult)

    async def chain_header(self, height: int | None = None) -> results.HeaderResult:
        """A decided header with its certificate; of the tip if no height is given."""
        return await self._ask("chain_header", _given(height=height), results.HeaderResult)

    async def chain_block(
        self, height: int | None = None, *, include_transactions: bool = False
    ) -> results.BlockResult:
        """A block; its transactions are for members."""
        params = _given(height=height, include_transactions=include_transactions or None)
        return await self._ask(
            "chain_block", params, results.BlockResult, as_member=include_transactions
        )

    async def chain_validators(self, height: int | None = None) -> results.ValidatorsResult:
        """The set that governs a height (the next block's if none is given), and where sets began."""
        return await self._ask("chain_validators", _given(height=height), results.ValidatorsResult)

    # -- transactions --------------------------------------------------------------------------------------

    async def tx_submit(self, envelope: bytes) -> results.AcceptedResult:
        """Hand in a transaction; answers when the node has accepted it."""
        return await self._ask(
            "tx_submit", {"transaction": to_base64(envelope)}, results.AcceptedResult
        )

    async def tx_submit_and_wait(
        self, envelope: bytes, *, timeout_ms: int = 30_000
    ) -> results.TransactionResult:
        """Hand in a transaction; answers when it is committed, failed or expired.

        Raises:
            Unavailable: with code `timeout` if none of it happened in time: it is still pending.
        """
        params: dict[str, Param] = {
            "transaction": to_base64(envelope),
            "timeout_ms": timeout_ms,
        }
        return await self._ask(
            "tx_submit_and_wait", params, results.TransactionResult, wait_ms=timeout_ms
        )

    async def tx_get(
        self, tx_id: str, *, last_valid_height: int | None = None
    ) -> results.TransactionResult:
        """What became of a transaction. With its last valid height, a lost one reads `expired` in time."""
        params = _given(tx_id=tx_id, last_valid_height=last_valid_height)
        return await self._ask("tx_get", params, results.TransactionResult)

    # -- accounts, state, contracts ------------------------------------------------------------------------

    async def account_get(self, name: str) -> results.AccountResult:
        """An account as of the tip. Raises NotFound with code `unknown_account`."""
        return await self._ask("account_get", {"name": name}, results.AccountResult)

    async def state_get(
        self, key: bytes, *, prove: bool = False, height: int | None = None
    ) -> results.StateResult:
        """A value of the state, or that there is none, with the proof of either if `prove`."""
        params = _given(key=to_base64(key), prove=prove or None, height=height)
        return await self._ask("state_get", params, results.StateResult)

    async def contract_query(
        self, contract: str, query: str, args: Mapping[str, Param] | None = None
    ) -> results.QueryResult:
        """A contract's own query; which there are is in docs/rpc.md."""
        params: dict[str, Param] = {"contract": contract, "query": query, "args": dict(args or {})}
        return await self._ask("contract_query", params, results.QueryResult, as_member=True)

    async def notary_lookup(
        self,
        algorithm: str,
        digest: str,
        *,
        limit: int | None = None,
        after: int | None = None,
    ) -> results.LookupResult:
        """Registrations of a digest (lower-case hex): all of them for a member, else the public ones."""
        params = _given(algorithm=algorithm, digest=digest, limit=limit, after=after)
        return await self._ask("notary_lookup", params, results.LookupResult, as_member=True)

    async def notary_list(
        self,
        *,
        owner: str | None = None,
        from_ms: int | None = None,
        until_ms: int | None = None,
        limit: int | None = None,
        after: int | None = None,
    ) -> results.LookupResult:
        """Registrations by owner (an account or an organisation) and block time, in log order."""
        params = _given(owner=owner, from_ms=from_ms, until_ms=until_ms, limit=limit, after=after)
        return await self._ask("notary_list", params, results.LookupResult, as_member=True)

    async def notary_history(
        self, index: int, *, limit: int | None = None, after: int | None = None
    ) -> results.HistoryResult:
        """What became of the registration at a log index; of a blinded one for members only."""
        params = _given(index=index, limit=limit, after=after)
        return await self._ask("notary_history", params, results.HistoryResult, as_member=True)

    # -- the log -------------------------------------------------------------------------------------------

    async def log_proof(
        self, index: int, *, wait_ms: int = 0, witnessed: bool = False
    ) -> results.ProofResult:
        """The proof of a record, without `extra`.

        Args:
            index: Log index of the record.
            wait_ms: How long the node may wait for a checkpoint with a quorum of cosignatures to cover it.
            witnessed: Whether outside witnesses must have cosigned the checkpoint too; that is not waited for.

        Raises:
            Unavailable: with code `not_yet_cosigned` or `not_yet_witnessed`.
            Refused: with code `no_outside_witness`.
        """
        record: dict[str, Param] = {"index": index}
        return await self._proof(record | ({"witnessed": True} if witnessed else {}), wait_ms)

    async def log_proof_of(
        self, tx_id: str, *, call: int = 0, item: int = 0, wait_ms: int = 0
    ) -> results.ProofResult:
        """The proof of a record that is named by transaction, call and item; else as `log_proof`."""
        return await self._proof({"tx_id": tx_id, "call": call, "item": item}, wait_ms)

    async def log_checkpoint(self) -> results.CheckpointResult:
        """The newest checkpoint with a quorum of cosignatures."""
        return await self._ask("log_checkpoint", {}, results.CheckpointResult)

    async def log_consistency(self, old: int, new: int) -> results.ConsistencyResult:
        """The proof that the log of `new` records extends that of `old`."""
        params: dict[str, Param] = {"old": old, "new": new}
        return await self._ask("log_consistency", params, results.ConsistencyResult)

    # -- digest algorithms ---------------------------------------------------------------------------------

    async def algorithm_list(self) -> results.AlgorithmListResult:
        """Every digest algorithm, and whether records of the next block may name it."""
        return await self._ask("algorithm_list", {}, results.AlgorithmListResult)

    # -- evidence ------------------------------------------------------------------------------------------

    async def evidence_list(
        self, validator: str | None = None, *, limit: int | None = None, after: int | None = None
    ) -> results.EvidenceListResult:
        """Recorded evidence that validators broke the protocol, in log order; against one of them or all."""
        params = _given(validator=validator, limit=limit, after=after)
        return await self._ask("evidence_list", params, results.EvidenceListResult)

    async def evidence_get(self, tx_id: str) -> results.EvidenceResult:
        """The evidence that a report recorded. Raises NotFound with code `unknown_evidence`."""
        return await self._ask("evidence_get", {"id": tx_id}, results.EvidenceResult)

    # -- below the typed methods ---------------------------------------------------------------------------

    async def call(self, method: str, params: Mapping[str, Param], *, wait_ms: int = 0) -> Json:
        """Call any method; the result's shape is not checked.

        Args:
            method: Its name.
            params: By name.
            wait_ms: How long the node was asked to wait, which adds to the timeout.
        """
        self._last_id += 1
        request = {"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": params}
        _, body = await self._exchange(
            "POST", "/rpc", json.dumps(request).encode(), wait_ms=wait_ms
        )
        answer = parse_json(body)
        if not isinstance(answer, dict) or ("result" in answer) == ("error" in answer):
            raise Unavailable(f"{self.url} does not speak JSON-RPC 2.0", code="bad_answer")
        if "error" in answer:
            raise error_from(answer["error"])
        return answer["result"]

    async def get(self, path: str) -> tuple[int, bytes]:
        """Return status and body of a GET, for example of `/checkpoint`, `/tile/0/000`, `/readyz`."""
        return await self._exchange("GET", path, None)

    async def post(
        self, path: str, body: bytes, *, content_type: str, wait_ms: int = 0
    ) -> tuple[int, bytes]:
        """Return status and body of a POST that is no JSON-RPC, for example of `/tsa`.

        Args:
            path: Of the endpoint.
            body: What is sent.
            content_type: What that is.
            wait_ms: How long the node may take to answer, beyond the client's own patience.
        """
        return await self._exchange("POST", path, body, content_type=content_type, wait_ms=wait_ms)

    async def _proof(self, record: dict[str, Param], wait_ms: int) -> results.ProofResult:
        params: dict[str, Param] = {**record, "wait_ms": wait_ms}
        return await self._ask("log_proof", params, results.ProofResult, wait_ms=wait_ms)

    async def _ask(
        self,
        method: str,
        params: Mapping[str, Param],
        declared: type[Result],
        *,
        wait_ms: int = 0,
        as_member: bool = False,
    ) -> Result:
        if as_member and self._member is not None:
            params = self._member.authorize(method, params)
        result = await self.call(method, params, wait_ms=wait_ms)
        checker_of(declared)(result, method)
        return cast("Result", result)

    async def _exchange(
        self,
        verb: str,
        path: str,
        body: bytes | None,
        *,
        content_type: str = "application/json",
        wait_ms: int = 0,
    ) -> tuple[int, bytes]:
        if self._session is None:
            raise RuntimeError("use the client as an async context manager")
        timeout = aiohttp.ClientTimeout(total=(self._timeout_ms + wait_ms) / 1_000)
        try:
            async with self._session.request(
                verb,
                self.url + path,
                data=body,
                headers={} if body is None else {"Content-Type": content_type},
                ssl=self._ssl,
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                return response.status, await _read(response)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise unreachable(self.url, error) from error


def parse_json(data: bytes | str) -> Json:
    """Read a node's answer. Raises Unavailable with code `bad_answer` if it is not JSON."""
    try:
        return cast("Json", json.loads(data))
    except (ValueError, RecursionError) as error:
        raise Unavailable(f"the node's answer is not JSON: {error}", code="bad_answer") from error


def _why(error: Exception) -> str:
    """Return what kept an answer from coming, in the system's words: aiohttp's speak of settings that nobody made."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, TimeoutError):
        return "it took too long"
    # TLS and the resolver count their errors otherwise, and have words for them.
    if isinstance(cause, OSError) and not isinstance(cause, ssl.SSLError):
        number = cause.errno or 0
        if number > 0:
            return os.strerror(number)
    return str(cause) or type(cause).__name__


def unreachable(url: str, error: Exception) -> Unavailable:
    """Return the error for a node that gave no answer; what it did with the request is unknown."""
    return Unavailable(
        f"no answer from {url}: {_why(error)}; check that the node runs and that this is its RPC address",
        code="node_unreachable",
    )


def _given(**params: Param) -> dict[str, Param]:
    return {name: value for name, value in params.items() if value is not None}


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_RESPONSE_BYTES:
            raise ValueError(f"its answer is longer than {MAX_RESPONSE_BYTES} bytes")
    return bytes(body)
