"""Proofs of state as commands handle them: put together from a node's answers, checked, and read for a record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chainnode.model.algorithms import ALL_ACCEPTED, decode_registry
from chainnode.model.algorithms import STATE_KEY as ALGORITHMS_KEY
from chainnode.model.errors import DecodeError, Unavailable
from chainnode.model.header import decode_header
from chainnode.model.marks import MarkSummary, decode_summary, reference_of, state_key, unmarked
from chainnode.model.proven_state import ProvenKey, ProvenState, parse_proven_state
from chainnode.model.record import decode_record
from chainnode.model.state_tree import decode_state_proof
from chainnode.model.tlog_proof import Proof, parse_proof
from chainnode.rpc.base64_text import from_base64
from cli.senders import WAIT_MS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainnode.model.algorithms import AlgorithmStatus
    from chainnode.model.notarization import Notarization
    from chainnode.model.suites import Suite
    from chainnode.rpc.client import RpcClient

MARKS_SUFFIX = ".marks.tlog-proof"


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


async def fetch_proven_state(node: RpcClient, keys: Sequence[bytes]) -> Proof:
    """Return a proof of these state keys, as of the newest block that a cosigned checkpoint can vouch for.

    Nothing is verified.

    Raises:
        Unavailable: with code `not_yet_cosigned`: the chain is too young.
        DecodeError: the node's answer is malformed.
    """
    status = await node.chain_status()
    # The record that names a header is the first of the block after.
    height = (await node.log_checkpoint())["height"] - 1
    if height < 1:
        raise Unavailable(
            "the chain has no two blocks yet that a checkpoint covers; try again after the next block",
            code="not_yet_cosigned",
        )
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
