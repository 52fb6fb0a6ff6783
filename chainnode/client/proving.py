"""Proofs of a committed list: made from tiles, checked before anybody sees them.

What a leaf must say is known here but for its block's time; so leaves are computed, not asked for, and a node can
neither swap nor alter them. A thousand proofs cost a node a header, a checkpoint and half a dozen tiles.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from chainnode.client.tasks import task_group
from chainnode.client.tiles import inclusion_proofs, tiles_for
from chainnode.client.trust import told_number
from chainnode.model.commitment import digests_value, registration_body
from chainnode.model.errors import NotFound, Unavailable
from chainnode.model.ids import Height
from chainnode.model.merkle import leaf_hash, verify_inclusion
from chainnode.model.notarization import KIND, Notarization
from chainnode.model.record import Record
from chainnode.model.suites import HASH_BYTES
from chainnode.model.tlog_proof import Proof, parse_proof

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable, Mapping, Sequence

    from chainnode.client.lists import DocumentList, ListOutcome
    from chainnode.client.nodes import Nodes
    from chainnode.client.sender import Sender
    from chainnode.client.trust import Trust
    from chainnode.model.commitment import Opening
    from chainnode.model.ids import TransactionId
    from chainnode.model.suites import Suite
    from chainnode.model.tlog_tiles import TilePath
    from chainnode.rpc.client import RpcClient
    from chainnode.rpc.results import HeaderResult

Result = TypeVar("Result")

COSIGNED_WAIT_MS: Final = 30_000
"""How long a node may wait for a quorum's cosignatures before it is asked again; they follow a block in one round trip."""

BEHIND_RETRY_MS: Final = 300
"""When a node that is behind is asked again."""

_CONTRACT: Final = "notary"
_OF_BLOCK: Final = ("height", "time_ms", "not_before_ms", "not_after_ms")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenDocument:
    """A document's record with a proof that was found to hold."""

    proof: Proof
    notarization: Notarization

    def encode(self) -> bytes:
        """Return the bytes of its `.tlog-proof`."""
        return self.proof.encode()

    @property
    def index(self) -> int:
        """Log index of the record."""
        return self.proof.index

    @property
    def height(self) -> int:
        """Block that holds it."""
        return self.notarization.record.height

    @property
    def time_ms(self) -> int:
        """That block's time, milliseconds UTC."""
        return self.notarization.record.time_ms


async def prove_list(
    nodes: Nodes, sender: Sender, trust: Trust, made: DocumentList, outcome: ListOutcome
) -> tuple[ProvenDocument, ...]:
    """Return the proofs of a committed list, in its order, all under one cosigned checkpoint.

    Raises:
        Unavailable: no node had them in time.
        ProofInvalid: what the nodes answer does not hold.
        CannotTell: with code `policy_retired`.
    """
    suite, count = sender.domain.suite, len(made.documents)
    header = await nodes.ask(lambda node: fetch_header(node, outcome.height))
    records = registered(
        suite,
        header,
        tx_id=made.transaction.id,
        account=made.transaction.body.sender,
        documents=zip(
            made.openings(sender.domain), (d.metadata_hash for d in made.documents), strict=True
        ),
    )
    evidence = await nodes.ask(lambda node: fetch_evidence(node, outcome.first_record, count))
    proven = evidence.prove(suite, outcome.first_record, records)
    # The signatures are those of the one checkpoint, so judging one proof judges all.
    await trust.check(nodes, proven[-1].proof, proven[-1].notarization.leaf)
    return proven


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What proofs of neighbouring records are made from, from one node."""

    under: Proof
    """The proof of the last of them, for the sake of its checkpoint."""

    tiles: Mapping[tuple[int, int], bytes]
    """By level and index."""

    def prove(
        self, suite: Suite, first: int, records: Sequence[Notarization]
    ) -> tuple[ProvenDocument, ...]:
        """Return the proofs of the records from index `first` on, in order; the signatures are not judged.

        Raises:
            ProofInvalid: the node's tree does not hold these records there.
        """
        checkpoint = self.under.checkpoint
        paths = inclusion_proofs(suite, self.tiles, first, len(records), checkpoint.size)
        proven: list[ProvenDocument] = []
        for index, (notarization, hashes) in enumerate(zip(records, paths, strict=True), first):
            leaf = leaf_hash(suite, notarization.leaf)
            verify_inclusion(suite, leaf, index, checkpoint.size, hashes, checkpoint.root)
            proof = Proof(
                extra=notarization.extra(),
                index=index,
                hashes=hashes,
                note=self.under.note,
                checkpoint=checkpoint,
            )
            proven.append(ProvenDocument(proof=proof, notarization=notarization))
        return tuple(proven)


async def fetch_header(node: RpcClient, height: int) -> HeaderResult:
    """Fetch the header of a block that is decided. Raises Unavailable."""
    return await _or_behind(node.chain_header(height))


async def fetch_evidence(
    node: RpcClient, first: int, count: int, *, wait_ms: int = COSIGNED_WAIT_MS
) -> Evidence:
    """Fetch what proofs of `count` records, decided ones, are made from: a cosigned checkpoint and tiles that it covers.

    Args:
        node: which has decided them.
        first: log index of the first.
        count: 1 or more.
        wait_ms: how long the node may wait for the checkpoint.

    Raises:
        Unavailable: the node does not answer, is behind, or has no such checkpoint in time.
        DecodeError: its answer is none.
    """
    answer = await _or_behind(node.log_proof(first + count - 1, wait_ms=wait_ms))
    under = parse_proof(answer["proof"].encode("utf-8", "replace"))
    return Evidence(
        under=under, tiles=await _tiles(node, tiles_for(first, count, under.checkpoint.size))
    )


def registered(
    suite: Suite,
    header: HeaderResult,
    *,
    tx_id: TransactionId,
    account: str,
    documents: Iterable[tuple[Opening, bytes | None]],
) -> tuple[Notarization, ...]:
    """Return the records that a list of documents leaves in the block of a header.

    Args:
        suite: the chain's.
        header: of the block.
        tx_id: of the list's transaction, of which it is the first call.
        account: who signed that.
        documents: what opens each commitment, and the hash of its metadata if it has any.

    Raises:
        DecodeError: with code `bad_answer` if no block can have such a header.
    """
    height, time_ms, not_before_ms, not_after_ms = (
        told_number(header[name], name) for name in _OF_BLOCK
    )
    found: list[Notarization] = []
    for item, (opening, metadata_hash) in enumerate(documents):
        digests = digests_value(opening.digests)
        record = Record(
            kind=KIND,
            height=Height(height),
            time_ms=time_ms,
            not_before_ms=not_before_ms,
            not_after_ms=not_after_ms,
            tx_id=tx_id,
            call=0,
            item=item,
            contract=_CONTRACT,
            account=account,
            body=registration_body(suite, opening.salt, digests, metadata_hash),
        )
        found.append(Notarization(leaf=record.encode(), record=record, opening=opening))
    return tuple(found)


async def _tiles(node: RpcClient, paths: Sequence[TilePath]) -> dict[tuple[int, int], bytes]:
    tiles: dict[tuple[int, int], bytes] = {}

    async def fetch(path: TilePath) -> None:
        status, body = await node.get(f"/{path.text()}")
        if status != 200:
            raise Unavailable(
                f"{node.url} answered {status} for {path.text()} of a log that it has a checkpoint of",
                code="bad_answer",
            )
        if len(body) < path.width * HASH_BYTES:
            raise Unavailable(
                f"{node.url} answered {len(body)} bytes for {path.text()}; expected {path.width} hashes",
                code="bad_answer",
            )
        tiles[path.level or 0, path.index] = body

    async with task_group() as tasks:
        for path in paths:
            tasks.create_task(fetch(path))
    return tiles


async def _or_behind(answer: Awaitable[Result]) -> Result:
    """Return an answer about what is known to be decided; a node that does not know it is behind."""
    try:
        return await answer
    except NotFound as error:
        raise Unavailable(
            f"{error.message}; another node has it decided, so this one is behind",
            code="node_behind",
            retry_after_ms=BEHIND_RETRY_MS,
        ) from error
