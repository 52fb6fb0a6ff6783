"""A process that reads: a few questions open, and the next one asked when there is an answer.

What came is checked when the measurement is over, so that the time is the nodes' and not the checker's; a thousand signatures
verified by the reader would be as many less that the machine has for the nodes.

parent -> reader   ReadJob
reader -> parent   how many transactions it may ask about
parent -> reader   when to begin (monotonic clock)
reader -> parent   Answers, or the ChainError that ends the measurement
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from chainnode.keystore.keystore import KeyStore
from chainnode.model.errors import ChainError, Unavailable
from chainnode.model.genesis import decode_genesis
from chainnode.model.tlog_policy import parse_policy
from chainnode.model.tlog_proof import Verifier
from chainnode.rpc.member import Member
from devnet import homes
from devnet.bench.client import window_ns
from devnet.bench.plan import PROOF, TILES, Plan
from devnet.bench.ways import OPEN_LISTS, OPEN_QUESTIONS, Asker, way_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from multiprocessing.connection import Connection
    from pathlib import Path

    from devnet.bench.client import Acknowledged

MOST_KEPT: Final = 20_000
"""Answers of one reader that are kept, and checked afterwards: the first ones. Of proofs from lists they take 40 MB."""

_NS_PER_S: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadJob:
    """What one reader does."""

    plan: Plan
    url: str
    directory: Path
    """Of the network: genesis, policy, the client's home."""

    home: Path
    """Whose account asks."""

    account: str
    passphrase: bytes
    known: Sequence[Acknowledged]
    """What it may ask about."""


@dataclass(slots=True)
class Answers:
    """What came back to one reader in the measured time."""

    count: int = 0
    """Proofs, or look-ups."""

    checked: int = 0
    """How many were checked afterwards, and were right."""

    latencies_us: list[int] = field(default_factory=list)
    """Of each question, to its answer."""

    refused: Counter[str] = field(default_factory=Counter)


def open_questions(plan: Plan) -> int:
    """Return how many questions a reader has open."""
    return OPEN_LISTS if (plan.workload, plan.path) == (PROOF, TILES) else OPEN_QUESTIONS


def main(job: ReadJob, parent: Connection) -> None:
    """Be a reader."""
    genesis = decode_genesis((job.directory / homes.GENESIS).read_bytes())
    policy = parse_policy((job.directory / homes.POLICY).read_bytes())
    keys = KeyStore(job.home / homes.KEYS)
    (info,) = keys.list()
    signer = keys.open(info.name, job.passphrase)
    asker = Asker(
        url=job.url,
        genesis=genesis,
        verifier=Verifier(policy),
        member=Member(account=job.account, signer=signer, domain=genesis.domain),
        digests=job.plan.digests,
    )
    parent.send(len(job.known))
    begin_ns: int = parent.recv()
    try:
        parent.send(_read(job, asker, begin_ns))
    except* ChainError as errors:
        first: BaseException = errors
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        parent.send(first)


def _read(job: ReadJob, asker: Asker, begin_ns: int) -> Answers:
    answers = Answers()
    kept: list[tuple[int, Callable[[], None]]] = []
    asyncio.run(_ask(job, asker, begin_ns, answers, kept))
    for count, check in kept:
        check()
        answers.checked += count
    return answers


async def _ask(
    job: ReadJob,
    asker: Asker,
    begin_ns: int,
    answers: Answers,
    kept: list[tuple[int, Callable[[], None]]],
) -> None:
    first_ns, end_ns = window_ns(job.plan, begin_ns)
    async with way_of(job.plan, asker) as way:
        await asyncio.sleep((begin_ns - time.monotonic_ns()) / _NS_PER_S)

        async def keep_asking() -> None:
            while time.monotonic_ns() < end_ns:
                tx = random.choice(job.known)
                try:
                    got = await way.ask(tx, random.randrange(tx.record_count))
                except Unavailable as error:
                    answers.refused[error.error_code] += 1
                    await asyncio.sleep((error.retry_after_ms or 100) / 1000)
                    continue
                if first_ns <= got.answered_ns < end_ns:
                    if answers.count < MOST_KEPT:
                        kept.append((got.count, got.check))
                    answers.count += got.count
                    answers.latencies_us.append((got.answered_ns - got.begun_ns) // 1_000)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(open_questions(job.plan)):
                tasks.create_task(keep_asking())
