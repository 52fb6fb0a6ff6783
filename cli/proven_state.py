"""Proofs of state as commands handle them: put together from a node's answers, checked, and read for a record."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.model.algorithms import ALL_ACCEPTED, decode_registry
from chainnode.model.algorithms import STATE_KEY as ALGORITHMS_KEY
from chainnode.model.errors import CannotTell, DecodeError, Unavailable
from chainnode.model.header import decode_header
from chainnode.model.marks import MarkSummary, decode_summary, reference_of, state_key, unmarked
from chainnode.model.proven_state import ProvenKey, ProvenState, parse_proven_state
from chainnode.model.record import decode_record
from chainnode.model.state_tree import decode_state_proof
from chainnode.model.tlog_proof import Proof, parse_proof
from chainnode.rpc.base64_text import from_base64
from cli.output import note
from cli.senders import WAIT_MS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainnode.model.algorithms import AlgorithmStatus
    from chainnode.model.notarization import Notarization
    from chainnode.model.suites import Suite
    from chainnode.rpc.client import RpcClient
    from chainnode.rpc.results import StateResult

MARKS_SUFFIX: Final = ".marks.tlog-proof"

NEXT_BLOCK_MS: Final = 75_000
"""How long a command waits for the block that lets the newest one be proven: an idle chain makes one a minute, unless
its genesis says otherwise."""

_POLL_MS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class MarksAnswer:
    """What a node answers about a record's marks. Nothing is verified."""

    proof: Proof
    newest_height: int
    """Of the newest block that the node looked at; of what is above the proof's block it said that nothing there is
    about the record, which is its word alone."""

    def note_what_is_not_proven(self, known: RecordMarks) -> None:
        """Tell a person where the proof ends."""
        if self.newest_height > known.height:
            note(
                f"note: the node is at block {self.newest_height}, and says that nothing came since block "
                f"{known.height}; only a later proof shows that"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordMarks:
    """What the alliance says today of a record of the past."""

    height: int
    """Of the block after which this holds."""

    time_ms: int
    """That block's time."""

    marks: MarkSummary
    algorithms: tuple[tuple[str, AlgorithmStatus], ...]
    """Of the record's digests, and what the next block takes of each."""


def keys_of(notarization: Notarization, suite: Suite) -> tuple[bytes, ...]:
    """Return the state keys that say what became of a record."""
    reference = reference_of(notarization.record)
    return (state_key(suite, reference, notarization.opening.salt), ALGORITHMS_KEY)


async def fetch_marks(node: RpcClient, notarization: Notarization, suite: Suite) -> MarksAnswer:
    """Return a proof of what became of a record that holds all that the node knows of it now.

    Only the block after another one names its header in the log. So where the node's newest block says more of the
    record than can be proven yet, this waits for the next one: a person who was told that a withdrawal is committed
    must not be shown a proof that there was none. Nothing is verified.

    Raises:
        CannotTell: with code `not_yet_proven`: no such block came in `NEXT_BLOCK_MS`.
        Unavailable: with code `not_yet_cosigned`: the chain is too young.
        DecodeError: the node's answer is malformed.
    """
    keys = keys_of(notarization, suite)
    newest = await node.state_get(keys[0])
    height = await _provable_height(node)
    if newest["height"] > height:
        provable = await node.state_get(keys[0], height=height)
        if newest["value"] != provable["value"]:
            height = await _await_next_block(node, newest)
    proof = await _fetch_proven_state(node, keys, height)
    return MarksAnswer(proof=proof, newest_height=max(height, newest["height"]))


async def _await_next_block(node: RpcClient, newest: StateResult) -> int:
    """Return the height of a block that holds what the newest one did, once it can be proven. Raises CannotTell."""
    note(
        f"note: block {newest['height']} says more of this record; waiting up to {NEXT_BLOCK_MS // 1_000} s for the "
        "next block, with which it can be proven"
    )
    for _ in range(NEXT_BLOCK_MS // _POLL_MS):
        await asyncio.sleep(_POLL_MS / 1_000)
        height = await _provable_height(node)
        if height >= newest["height"]:
            return height
    said = None if newest["value"] is None else decode_summary(from_base64(newest["value"]))
    gone = None if said is None else said.withdrawn
    what = (
        "says more of this record"
        if gone is None
        else f"says that this record was withdrawn by {gone.account} in block {gone.height} ({gone.code})"
    )
    raise CannotTell(
        f"the node's newest block, {newest['height']}, {what}; that cannot be proven before there is a block after "
        "it: ask again later, and see `chainnode status` if none comes",
        code="not_yet_proven",
    )


async def _provable_height(node: RpcClient) -> int:
    """Return the newest block whose state a cosigned checkpoint can vouch for. Raises Unavailable."""
    # The record that names a header is the first of the block after.
    height = (await node.log_checkpoint())["height"] - 1
    if height < 1:
        raise Unavailable(
            "the chain has no two blocks yet that a checkpoint covers; try again after the next block",
            code="not_yet_cosigned",
        )
    return height


async def _fetch_proven_state(node: RpcClient, keys: Sequence[bytes], height: int) -> Proof:
    """Return a proof of these state keys as of a block, once a cosigned checkpoint covers the next one."""
    status = await node.chain_status()
    header_bytes = from_base64((await node.chain_header(height))["header"])
    header = decode_header(header_bytes)
    answer = await node.log_proof(header.log_size, wait_ms=WAIT_MS)
    bare, leaf = (
        parse_proof(answer["proof"].encode("utf-8", "replace")),
        from_base64(answer["leaf"]),
    )
    try:
        genesis_hash = bytes.fromhex(status["genesis_hash"])
    except ValueError as error:
        raise DecodeError("the node names no genesis hash", code="bad_answer") from error
    state = ProvenState(
        leaf=leaf,
        record=decode_record(leaf),
        genesis_hash=genesis_hash,
        header_bytes=header_bytes,
        header=header,
        keys=tuple([await _fetch_key(node, key, height) for key in keys]),
    )
    return Proof(
        extra=state.extra(),
        index=bare.index,
        hashes=bare.hashes,
        note=bare.note,
        checkpoint=bare.checkpoint,
    )


async def _fetch_key(node: RpcClient, key: bytes, height: int) -> ProvenKey:
    found = await node.state_get(key, prove=True, height=height)
    if found["proof"] is None:
        raise DecodeError("the node's answer lacks the proof", code="bad_answer")
    return ProvenKey(
        key=key,
        value=None if found["value"] is None else from_base64(found["value"]),
        proof=decode_state_proof(from_base64(found["proof"])),
    )


def marks_in(proof: Proof, notarization: Notarization, suite: Suite) -> RecordMarks:
    """Return what a proof of state says of a record; the proof is verified elsewhere.

    Raises:
        DecodeError: it says nothing of this record, or something else than such a proof does.
    """
    state = parse_proven_state(proof.extra)
    marks_key, algorithms_key = keys_of(notarization, suite)
    marks, algorithms = state.value(marks_key), state.value(algorithms_key)
    registry = ALL_ACCEPTED if algorithms is None else decode_registry(algorithms)
    following = state.header.height + 1
    return RecordMarks(
        height=state.header.height,
        time_ms=state.header.time_ms,
        marks=unmarked(reference_of(notarization.record))
        if marks is None
        else decode_summary(marks),
        algorithms=tuple(
            (d.algorithm, registry.get(d.algorithm).status_at(following))
            for d in notarization.opening.digests
        ),
    )
