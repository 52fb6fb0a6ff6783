"""The method table: dispatching and openrpc.json both read it, so neither can know a method that the other does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chainnode.model.errors import ChainError, Refused
from chainnode.model.limits import MAX_TRANSACTION_BYTES
from chainnode.model.suites import HASH_BYTES
from chainnode.rpc import render, results
from chainnode.rpc.algorithm_methods import algorithm_methods
from chainnode.rpc.base64_text import to_base64
from chainnode.rpc.contract_queries import contract_query_method
from chainnode.rpc.evidence_methods import evidence_methods
from chainnode.rpc.member_methods import member_methods
from chainnode.rpc.shapes import AccountName, Base64, Choice, Flag, Hex, Integer, Name, Parameter
from chainnode.rpc.table import Method, at_once
from chainnode.services.health import reason_not_ready
from chainnode.services.standstill import explain

if TYPE_CHECKING:
    from chainnode.rpc.table import Done, Request, Stream
    from chainnode.services.node_services import NodeServices
    from chainnode.services.outcome import Outcome

MAX_WAIT_MS: Final = 120_000
"""Longest that a request may ask the node to wait; holding a client longer than proxies do helps nobody."""

DEFAULT_WAIT_MS: Final = 30_000
"""How long `tx_submit_and_wait` waits if it is not told: a few heights of trouble."""

MAX_BEHIND: Final = 100_000
"""Records by which a node may be behind whoever asks it to wait for a proof; more than it takes in a few seconds."""

MISSING_WAIT_MS: Final = 5_000
"""How long a proof may be waited for whose record is not there. A node that is further behind is not the one to ask."""

MAX_STATE_KEY_BYTES: Final = 512
"""Longest key of the state."""

TOPICS: Final = ("blocks", "records", "tx")

_HEIGHT: Final = Parameter(
    name="height",
    shape=Integer(least=1),
    about="a block's number; the tip's if absent",
    required=False,
)
_TRANSACTION: Final = Parameter(
    name="transaction",
    shape=Base64(most_bytes=MAX_TRANSACTION_BYTES),
    about="the transaction's canonical bytes",
)
_TX_ID: Final = Hex(least_bytes=HASH_BYTES, most_bytes=HASH_BYTES)

SUBMIT_ERRORS: Final = (
    "malformed",
    "too_large",
    "wrong_suite",
    "wrong_chain",
    "expired",
    "too_far_ahead",
    "replayed",
    "unknown_account",
    "account_suspended",
    "unknown_key",
    "key_revoked",
    "key_not_yet_valid",
    "key_expired",
    "bad_signature",
    "no_contradiction",
    "unknown_signer",
    "outside_window",
    "already_recorded",
    "enough_recorded",
    "already_reported",
    "overloaded",
    "pool_full",
    "share_used_up",
)
"""What a transaction may be refused for before it is accepted."""


def method_table(services: NodeServices) -> tuple[Method, ...]:
    """Return every method, in the order in which openrpc.json lists them."""
    return (
        *_chain_methods(services),
        *_transaction_methods(services),
        *_account_methods(services),
        *member_methods(services),
        *algorithm_methods(services),
        *_log_methods(services),
        *evidence_methods(services),
        contract_query_method(services),
        *_subscription_methods(),
    )


# -- the chain ---------------------------------------------------------------------------------------------


def _chain_methods(services: NodeServices) -> tuple[Method, ...]:
    chain, genesis = services.chain, services.ledger.genesis

    def header(request: Request) -> results.HeaderResult:
        return render.header(chain.header(request.values["height"]), genesis.parameters)

    def validators(request: Request) -> results.ValidatorsResult:
        found = chain.governors(request.values["height"])
        have_second = chain.second_keys(found.validators)
        return render.validators(found, found.validators.hash(genesis.domain), have_second)

    return (
        Method(
            name="chain_status",
            summary="Where the chain and consensus stand, and for whom the node waits",
            parameters=(),
            result=results.StatusResult,
            errors=(),
            handler=at_once(lambda _: _status(services)),
        ),
        Method(
            name="chain_header",
            summary="A decided header with its certificate",
            parameters=(_HEIGHT,),
            result=results.HeaderResult,
            errors=("unknown_height",),
            handler=at_once(header),
        ),
        Method(
            name="chain_validators",
            summary="The validator set that governs a height, the next block's if absent",
            parameters=(_HEIGHT,),
            result=results.ValidatorsResult,
            errors=("unknown_height",),
            handler=at_once(validators),
        ),
    )


def _status(services: NodeServices) -> results.StatusResult:
    ledger, engine, now_ms = services.ledger, services.engine.status(), services.clock.now_ms()
    genesis, tip = ledger.genesis, ledger.tip
    validators = ledger.validators(tip.height + 1)
    reason = reason_not_ready(engine, now_ms)
    return {
        "chain_id": genesis.chain_id,
        "genesis_hash": genesis.domain.genesis_hash.hex(),
        "suite": genesis.suite.name,
        "rules_version": genesis.rules_version,
        "software_version": services.software_version,
        "validator": engine.validator,
        "validators": [v.name for v in validators.members],
        "quorum": validators.quorum,
        "tip_height": tip.height,
        "tip_hash": tip.block_hash.hex(),
        "tip_time_ms": tip.time_ms,
        "log_size": tip.log_size,
        "log_root": tip.log_root.hex(),
        "state_root": tip.state_root.hex(),
        "open_height": engine.open_height,
        "view": engine.view,
        "step": engine.step,
        "awaited": list(engine.awaited),
        "skipped": list(engine.skipped),
        "waiting_since_ms": engine.waiting_since_ms,
        "view_changes": engine.view_changes,
        "cosigned_height": engine.cosigned_height,
        "is_syncing": engine.is_syncing,
        "is_voting": engine.is_voting,
        "is_ready": reason is None,
        "not_ready_reason": reason,
        "pool_count": engine.pool_count,
        "pool_bytes": engine.pool_bytes,
        "unverified": engine.unverified,
        "disk_bytes": ledger.approximate_size_bytes(),
        "now_ms": now_ms,
        "uptime_ms": services.clock.monotonic_ms() - services.started_ms,
        "peers": [render.peer(p) for p in engine.peers],
        "clock": render.clock(engine.clock),
        "undecided_since_ms": engine.undecided_since_ms,
        "digest": None if engine.digest is None else engine.digest.hex(),
        "standings": [render.standing(s) for s in engine.standings],
        "explanation": explain(engine, now_ms),
        "quarantine": None
        if engine.quarantine is None
        else {
            "code": engine.quarantine.code.value,
            "height": engine.quarantine.height,
            "sentence": engine.quarantine.sentence,
            "since_ms": engine.quarantine.since_ms,
        },
        "timestamp_units": [
            {"name": name, "end_ms": unit.end_ms, "problem": unit.problem}
            for name, unit in services.timestamp_units.items()
        ],
    }


# -- transactions ------------------------------------------------------------------------------------------


def _transaction_methods(services: NodeServices) -> tuple[Method, ...]:
    submission = services.submission

    def submit(request: Request, done: Done) -> None:
        submission.submit(
            request.values["transaction"],
            lambda verdict: done(
                verdict if isinstance(verdict, ChainError) else render.accepted(verdict)
            ),
        )

    def submit_and_wait(request: Request, done: Done) -> None:
        def decided(found: Outcome | ChainError) -> None:
            done(found if isinstance(found, ChainError) else render.outcome(found))

        submission.submit_and_wait(
            request.values["transaction"], timeout_ms=request.values["timeout_ms"], done=decided
        )

    def get(request: Request) -> results.TransactionResult:
        values = request.values
        return render.outcome(
            submission.find(values["tx_id"], last_valid_height=values["last_valid_height"])
        )

    return (
        Method(
            name="tx_submit",
            summary="Hand in a transaction; answers when the node has accepted it",
            parameters=(_TRANSACTION,),
            result=results.AcceptedResult,
            errors=SUBMIT_ERRORS,
            handler=submit,
        ),
        Method(
            name="tx_submit_and_wait",
            summary="Hand in a transaction; answers when it is committed, failed or expired",
            parameters=(
                _TRANSACTION,
                Parameter(
                    name="timeout_ms",
                    shape=Integer(least=1, most=MAX_WAIT_MS),
                    about="how long to wait once it is accepted",
                    required=False,
                    default=DEFAULT_WAIT_MS,
                ),
            ),
            result=results.TransactionResult,
            errors=(*SUBMIT_ERRORS, "timeout"),
            handler=submit_and_wait,
        ),
        Method(
            name="tx_get",
            summary="What became of a transaction",
            parameters=(
                Parameter(name="tx_id", shape=_TX_ID, about="the transaction's id"),
                Parameter(
                    name="last_valid_height",
                    shape=Integer(least=1),
                    about="the transaction's: then one that a crash lost reads `expired` in time",
                    required=False,
                ),
            ),
            result=results.TransactionResult,
            errors=(),
            handler=at_once(get),
        ),
    )


# -- accounts and state ------------------------------------------------------------------------------------


def _account_methods(services: NodeServices) -> tuple[Method, ...]:
    chain = services.chain

    def account(request: Request) -> results.AccountResult:
        found = chain.account(request.values["name"])
        return render.account(found, chain.organisation_title(found.organisation))

    def state(request: Request) -> results.StateResult:
        values = request.values
        found = chain.state(values["key"], prove=values["prove"], height=values["height"])
        return render.state(values["key"], found)

    return (
        Method(
            name="account_get",
            summary="An account as of the tip",
            parameters=(Parameter(name="name", shape=AccountName(), about="organisation/account"),),
            result=results.AccountResult,
            errors=("unknown_account",),
            handler=at_once(account),
        ),
        Method(
            name="state_get",
            summary="A value of the state, or that there is none, with the proof of either",
            parameters=(
                Parameter(
                    name="key",
                    shape=Base64(most_bytes=MAX_STATE_KEY_BYTES),
                    about="full key, `<contract>/<rest>`",
                ),
                Parameter(
                    name="prove",
                    shape=Flag(),
                    about="whether to prove it under the height's state root",
                    required=False,
                    default=False,
                ),
                Parameter(
                    name="height",
                    shape=Integer(),
                    about="after which block; the tip if absent",
                    required=False,
                ),
            ),
            result=results.StateResult,
            errors=("unknown_height", "pruned"),
            handler=at_once(state),
        ),
    )


# -- the log -----------------------------------------------------------------------------------------------


def _log_methods(services: NodeServices) -> tuple[Method, ...]:
    log, commits = services.log, services.commits

    def proof(request: Request, done: Done) -> None:
        values = request.values
        index = _record_index(services, request)
        ahead = index - services.ledger.tip.log_size
        if (
            values["witnessed"]
            or values["wait_ms"] == 0
            or log.is_cosigned(index)
            or ahead >= MAX_BEHIND
        ):
            done(render.proof(index, log.prove(index, witnessed=values["witnessed"])))
            return

        def cosigned(error: ChainError | None) -> None:
            try:
                done(render.proof(index, log.prove(index)) if error is None else error)
            except ChainError as too_early:
                done(too_early)

        is_hopeful = ahead >= 0
        wait_ms = min(values["wait_ms"], MISSING_WAIT_MS) if is_hopeful else values["wait_ms"]
        commits.wait_for_checkpoint(
            lambda: log.is_cosigned(index),
            timeout_ms=wait_ms,
            done=cosigned,
            is_hopeful=is_hopeful,
        )

    def consistency(request: Request) -> results.ConsistencyResult:
        old, new = request.values["old"], request.values["new"]
        hashes = log.consistency(old, new)
        return {"old": old, "new": new, "hashes": [to_base64(h) for h in hashes]}

    return (
        Method(
            name="log_proof",
            summary="The proof of a record, without its `extra` line; name it by index, or by tx_id, call, item",
            parameters=(
                Parameter(name="index", shape=Integer(), about="log index", required=False),
                Parameter(
                    name="tx_id", shape=_TX_ID, about="transaction that emitted it", required=False
                ),
                Parameter(
                    name="call",
                    shape=Integer(),
                    about="call of that transaction, from 0",
                    required=False,
                    default=0,
                ),
                Parameter(
                    name="item",
                    shape=Integer(),
                    about="record of that call, from 0",
                    required=False,
                    default=0,
                ),
                Parameter(
                    name="wait_ms",
                    shape=Integer(most=MAX_WAIT_MS),
                    about="how long to wait for a cosigned checkpoint that covers it, and for the record itself",
                    required=False,
                    default=0,
                ),
                Parameter(
                    name="witnessed",
                    shape=Flag(),
                    about="whether outside witnesses must have cosigned too; answers at once",
                    required=False,
                    default=False,
                ),
            ),
            result=results.ProofResult,
            errors=(
                "unknown_record",
                "unknown_transaction",
                "ambiguous_record",
                "not_yet_cosigned",
                "not_yet_witnessed",
                "no_outside_witness",
                "overloaded",
            ),
            handler=proof,
        ),
        Method(
            name="log_checkpoint",
            summary="The newest checkpoint with a quorum of cosignatures",
            parameters=(),
            result=results.CheckpointResult,
            errors=("not_yet_cosigned",),
            handler=at_once(lambda _: render.checkpoint(log.checkpoint())),
        ),
        Method(
            name="log_consistency",
            summary="The proof that the log of `new` records extends that of `old`",
            parameters=(
                Parameter(name="old", shape=Integer(), about="size of the older tree"),
                Parameter(name="new", shape=Integer(), about="size of the newer tree"),
            ),
            result=results.ConsistencyResult,
            errors=("unknown_record",),
            handler=at_once(consistency),
        ),
    )


def _record_index(services: NodeServices, request: Request) -> int:
    values = request.values
    index: int | None = values["index"]
    tx_id: bytes | None = values["tx_id"]
    if (index is None) == (tx_id is None):
        raise Refused(
            "name the record either by index or by tx_id", code="ambiguous_record", field="index"
        )
    if index is not None:
        return index
    return services.log.find_record(values["tx_id"], values["call"], values["item"])


# -- subscriptions -----------------------------------------------------------------------------------------


def _subscription_methods() -> tuple[Method, ...]:
    def subscribe(request: Request) -> results.SubscribedResult:
        values = request.values
        filters = {
            name: values[name] for name in ("account", "kind", "tx_id") if values[name] is not None
        }
        return {"subscription": _stream(request).subscribe(values["topic"], filters)}

    def unsubscribe(request: Request) -> results.UnsubscribedResult:
        return {"removed": _stream(request).unsubscribe(request.values["subscription"])}

    return (
        Method(
            name="subscribe",
            summary="Hear of new blocks, records or transactions; WebSocket only",
            parameters=(
                Parameter(name="topic", shape=Choice(TOPICS), about="what to hear of"),
                Parameter(
                    name="account",
                    shape=AccountName(),
                    about="records, tx: only those of this account",
                    required=False,
                ),
                Parameter(
                    name="kind",
                    shape=Name(),
                    about="records: only those of this kind",
                    required=False,
                ),
                Parameter(
                    name="tx_id",
                    shape=_TX_ID,
                    about="tx: only this transaction",
                    required=False,
                ),
            ),
            result=results.SubscribedResult,
            errors=("websocket_only", "too_many_subscriptions", "filter_not_for_topic"),
            handler=at_once(subscribe),
        ),
        Method(
            name="unsubscribe",
            summary="Hear no more of a subscription; WebSocket only",
            parameters=(Parameter(name="subscription", shape=Integer(), about="its number"),),
            result=results.UnsubscribedResult,
            errors=("websocket_only",),
            handler=at_once(unsubscribe),
        ),
    )


def _stream(request: Request) -> Stream:
    if request.stream is None:
        raise Refused(f"{request.method} needs a WebSocket; connect to /ws", code="websocket_only")
    return request.stream
