"""Registrations as commands get them from a node: found by digest, and checked for what can be checked without a proof."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.model import codec
from chainnode.model.commitment import parse_opening
from chainnode.model.errors import DecodeError
from chainnode.model.notarization import Notarization, verify_commitment, verify_metadata
from chainnode.model.record import decode_record
from chainnode.rpc.base64_text import from_base64

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainnode.model.commitment import Digest
    from chainnode.model.suites import Suite
    from chainnode.rpc.client import RpcClient
    from chainnode.rpc.results import LookupResult, NotaryRecordResult

MAX_RECORDS: Final = 10_000
"""Registrations that one command fetches; who has more asks over RPC."""

MAX_PAGES: Final = 1_000
"""Answers that one command asks for, each about as many registrations as a node looks at in one turn, for any of which it may
show none. Beyond it the command makes do with what it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registrations:
    """What a node knows."""

    records: dict[int, NotaryRecordResult]
    """By log index, in the order of the answer."""

    as_member: bool
    next_after: int | None = None
    """Log index after which there may be more, if not all were fetched."""


async def find_by_digest(node: RpcClient, digests: Sequence[Digest]) -> Registrations:
    """Return the registrations of any of these digests that the node shows us."""
    records: dict[int, NotaryRecordResult] = {}
    as_member = True
    for digest in digests:
        after: int | None = None
        for _ in range(MAX_PAGES):
            answer = await node.notary_lookup(digest.algorithm, digest.value.hex(), after=after)
            records |= {record["index"]: record for record in answer["records"]}
            as_member = as_member and answer["as_member"]
            if _is_last(answer, after) or len(records) >= MAX_RECORDS:
                break
            after = answer["next_after"]
    return Registrations(records=dict(sorted(records.items())), as_member=as_member)


async def find_by_owner(
    node: RpcClient,
    *,
    owner: str | None,
    from_ms: int | None,
    until_ms: int | None,
    after: int | None,
) -> Registrations:
    """Return the registrations of an owner or time that the node shows us, in the order in which they came to be so."""
    records: dict[int, NotaryRecordResult] = {}
    as_member, following = True, after
    for _ in range(MAX_PAGES):
        after = following
        answer = await node.notary_list(
            owner=owner, from_ms=from_ms, until_ms=until_ms, after=after
        )
        records |= {record["index"]: record for record in answer["records"]}
        as_member, following = as_member and answer["as_member"], answer["next_after"]
        if _is_last(answer, after) or len(records) >= MAX_RECORDS:
            break
    return Registrations(records=records, as_member=as_member, next_after=following)


def _is_last(answer: LookupResult, after: int | None) -> bool:
    """Whether nothing follows a page that was asked for from `after` on; a node that does not advance would keep us."""
    following = answer["next_after"]
    return following is None or (after is not None and following <= after)


def checked_registration(result: NotaryRecordResult, suite: Suite) -> Notarization:
    """Return a registration whose leaf commits to its opening; whether it is in the log only a proof shows.

    Raises:
        DecodeError, ProofInvalid: it does not, or is none.
    """
    leaf = from_base64(result["leaf"])
    opening = parse_opening(codec.decode(from_base64(result["opening"]), max_bytes=512))
    notarization = Notarization(leaf=leaf, record=decode_record(leaf), opening=opening)
    verify_commitment(suite, notarization)
    if result["metadata_hash"] is not None:
        verify_metadata(suite, notarization, _from_hex(result["metadata_hash"]))
    return notarization


def _from_hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise DecodeError(
            f"the node's answer: {text[:80]!r} is no hex", code="bad_answer"
        ) from error


def check_is_about(
    result: NotaryRecordResult, notarization: Notarization, digests: Sequence[Digest]
) -> None:
    """Raise DecodeError unless a registration is about a document with one of these digests."""
    if not set(notarization.opening.digests) & set(digests):
        raise DecodeError(
            f"record {result['index']} of the node's answer is about another document",
            code="bad_answer",
        )
