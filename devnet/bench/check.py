"""Whether what was acknowledged is so: every record on every validator, and proofs that verify."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from chainnode.model.errors import ProofInvalid
from chainnode.model.genesis import decode_genesis
from chainnode.model.merkle import leaf_hashes
from chainnode.model.notarization import Notarization, digest_map, verify_notarization
from chainnode.model.record import decode_record
from chainnode.model.tlog_policy import parse_policy
from chainnode.model.tlog_proof import parse_proof
from chainnode.model.tlog_tiles import (
    TILE_WIDTH,
    TilePath,
    decode_entries,
    frontier_from,
    tile_width,
)
from chainnode.rpc.client import RpcClient, from_base64
from devnet.bench.workload import opening_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chainnode.model.genesis import Genesis
    from chainnode.model.record import Record
    from chainnode.model.tlog_policy import Policy
    from chainnode.model.tlog_proof import Verifier
    from chainnode.rpc.results import ProofResult
    from devnet.bench.client import Acknowledged
    from devnet.network import Devnet

SAMPLE: Final = 50
"""Proofs that are fetched and verified; about 20 ms each."""

_AT_ONCE: Final = 8
"""Bundles that are fetched at the same time."""

_PROOF_WAIT_MS: Final = 20_000
_HTTP_OK: Final = 200


@dataclass(frozen=True, slots=True)
class ReadLog:
    """What a validator's log holds from some record on; it hashes to the root that it names."""

    name: str
    """Of the validator."""

    begin: int
    records: Sequence[Record]

    def record(self, index: int) -> Record | None:
        """Return the record at a log index; None if it is not among these."""
        at = index - self.begin
        return self.records[at] if 0 <= at < len(self.records) else None


def logs_of(network: Devnet, first: int = 0) -> Iterator[ReadLog]:
    """Read the log of each validator through its public tiles, record by record from `first` on, of those before the hashes.

    The network must be level, with nothing under way.

    Raises:
        ProofInvalid: one does not hash to the root that its validator names.
    """
    suite = decode_genesis(network.genesis.read_bytes()).suite
    for node in network.nodes:
        status = network.status(node.name)
        size = status["log_size"]
        begin = min(first, size) // TILE_WIDTH * TILE_WIDTH
        leaves = asyncio.run(_leaves(node.rpc, begin, size))
        before = frontier_from(partial(_hash_tile, network, node.name, size), suite, begin)
        root = before.extended(suite, leaf_hashes(suite, leaves)).root(suite)
        if root.hex() != status["log_root"]:
            raise _lost(f"the records of {node.name} do not hash to its log root")
        yield ReadLog(node.name, begin, [decode_record(leaf) for leaf in leaves])


def check_records(network: Devnet, acknowledged: Sequence[Acknowledged], first: int = 0) -> int:
    """Check that every acknowledged record is in the log of every validator; return how many there are.

    Every validator's log is read record by record, and must hash to the root that it names. The network must be level,
    with nothing under way.

    Args:
        network: whose logs.
        acknowledged: what was.
        first: log index before which nothing of it lies; of those records only the hashes are read.

    Raises:
        ProofInvalid: something acknowledged is not there; says what and where.
    """
    expected = {
        (bytes.fromhex(tx.tx_id), item): tx
        for tx in acknowledged
        for item in range(tx.record_count)
    }
    for log in logs_of(network, first):
        for (tx_id, item), tx in expected.items():
            index = tx.first_record + item
            record = log.record(index)
            if record is None or not _is_record(record, tx_id, item, tx.height):
                raise _lost(
                    f"{log.name} does not have record {index} of transaction {tx.tx_id}, "
                    f"which was acknowledged in block {tx.height}"
                )
    return len(expected)


def check_proofs(network: Devnet, acknowledged: Sequence[Acknowledged], digests: int) -> int:
    """Check the proofs of a random sample of acknowledged records; return how many there were.

    Raises:
        ChainError: one does not verify, or is not to be had.
    """
    sample = random.sample(acknowledged, min(SAMPLE, len(acknowledged)))
    genesis = decode_genesis(network.genesis.read_bytes())
    policy = parse_policy(network.policy.read_bytes())
    for number, tx in enumerate(sample):
        item = random.randrange(tx.record_count)
        node = network.nodes[number % len(network.nodes)]
        answer = _proof(network, node.name, tx.first_record + item)
        verify_answer(genesis, policy, tx, item, answer, digests)
    return len(sample)


def verify_answer(
    genesis: Genesis,
    policy: Policy | Verifier,
    tx: Acknowledged,
    item: int,
    answer: ProofResult,
    digests: int,
) -> None:
    """Verify the proof of a transaction's `item`-th document offline, against what was registered; policy as `verify_notarization`.

    Raises:
        ChainError: it does not hold.
    """
    leaf = from_base64(answer["leaf"])
    notarization = Notarization(
        leaf=leaf,
        record=decode_record(leaf),
        opening=opening_of(genesis.suite, tx.number, item, digests),
    )
    proof = parse_proof(answer["proof"].encode())
    found = digest_map(notarization.opening.digests)
    verify_notarization(proof, policy, notarization, found)


def _proof(network: Devnet, name: str, index: int) -> ProofResult:
    return network.ask(name, lambda client: client.log_proof(index, wait_ms=_PROOF_WAIT_MS))


def _is_record(record: Record, tx_id: bytes, item: int, height: int) -> bool:
    return (record.tx_id, record.item, record.height) == (tx_id, item, height)


def _hash_tile(network: Devnet, name: str, size: int, level: int, index: int) -> bytes:
    """Return a tile of hashes of a validator's log of `size`, as wide as it is."""
    path = TilePath(level=level, index=index, width=tile_width(level, index, size)).text()
    status, body = network.ask(name, lambda client: client.get(f"/{path}"))
    if status != _HTTP_OK:
        raise _lost(f"{name} answers {status} to /{path}")
    return body


async def _leaves(url: str, begin: int, size: int) -> list[bytes]:
    """Return the records of a log of `size` from its public tiles, from the beginning of a bundle, `begin`, on."""
    bundles: dict[int, tuple[bytes, ...]] = {}
    numbers = iter(range(begin // TILE_WIDTH, (size + TILE_WIDTH - 1) // TILE_WIDTH))

    async def fetch(client: RpcClient) -> None:
        for number in numbers:
            width = min(TILE_WIDTH, size - number * TILE_WIDTH)
            path = TilePath(level=None, index=number, width=width).text()
            status, body = await client.get(f"/{path}")
            if status != _HTTP_OK:
                raise _lost(f"{url}/{path} answers {status}")
            bundles[number] = decode_entries(body)

    async with RpcClient(url) as client, asyncio.TaskGroup() as tasks:
        for _ in range(_AT_ONCE):
            tasks.create_task(fetch(client))
    return [leaf for number in sorted(bundles) for leaf in bundles[number]]


def _lost(what: str) -> ProofInvalid:
    return ProofInvalid(what, code="acknowledged_lost")
