"""Whether what a gateway called committed is so: every record on every validator, and proofs that verify."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Final

import aiohttp

from chainnode.model.errors import ProofInvalid
from chainnode.model.notarization import digest_map, parse_notarization, verify_notarization
from chainnode.model.tlog_policy import parse_policy
from chainnode.model.tlog_proof import parse_proof
from devnet.bench.check import logs_of
from devnet.bench.workload import digests_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from devnet.bench.gateway_client import Committed
    from devnet.network import Devnet

SAMPLE: Final = 50
"""Proofs that are fetched and verified; about 20 ms each."""

_OK: Final = 200
_NOT_YET: Final = 409
_RETRY_S: Final = 0.1
_PROOF_WAIT_S: Final = 20


def check_records(network: Devnet, committed: Sequence[Committed]) -> int:
    """Check that each document has a record of its own in the log of every validator; return how many there are.

    The network must be level, with nothing under way.

    Raises:
        ProofInvalid: one is not there; says which and where.
    """
    if len({one.index for one in committed}) != len(committed):
        raise ProofInvalid("two documents have the same record", code="record_given_twice")
    for log in logs_of(network):
        for one in committed:
            record = log.record(one.index)
            found = None if record is None else (record.tx_id.hex(), record.height)
            if found != (one.tx_id, one.height):
                raise ProofInvalid(
                    f"{log.name} does not have record {one.index} of transaction {one.tx_id}, which the gateway "
                    f"called committed in block {one.height}",
                    code="acknowledged_lost",
                )
    return len(committed)


def check_proofs(
    network: Devnet, committed: Sequence[Committed], *, url: str, token: str, digests: int
) -> int:
    """Verify the proofs of a random sample, as the gateway at `url` gives them; return how many there were.

    Raises:
        ChainError: one does not verify, is about something else, or is not to be had.
    """
    sample = random.sample(committed, min(SAMPLE, len(committed)))
    policy = parse_policy(network.policy.read_bytes())
    for one, text in zip(sample, asyncio.run(_proofs(url, token, sample)), strict=True):
        proof = parse_proof(text)
        notarization = parse_notarization(proof.extra)
        verify_notarization(
            proof, policy, notarization, digest_map(digests_of(one.number, 0, digests))
        )
        if proof.index != one.index:
            raise ProofInvalid(
                f"the proof of {one.id} is of record {proof.index}; it was told {one.index}",
                code="other_record",
            )
    return len(sample)


async def _proofs(url: str, token: str, sample: Sequence[Committed]) -> list[bytes]:
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers) as session, asyncio.timeout(_PROOF_WAIT_S):
        return [await _proof(session, f"{url}/{one.id}/proof") for one in sample]


async def _proof(session: aiohttp.ClientSession, url: str) -> bytes:
    while True:
        async with session.get(url) as response:
            body = await response.read()
        if response.status == _OK:
            return body
        if response.status != _NOT_YET:
            raise ProofInvalid(f"{url} answers {response.status}", code="acknowledged_lost")
        # Committed, and not cosigned yet.
        await asyncio.sleep(_RETRY_S)
