"""Has outside witnesses cosign this log: in rounds, beside the work of the node, never in its way.

A round submits the newest checkpoint to all witnesses at once, each with the proof from the size that it cosigned last, and
ends when the slowest has answered or timed out. Nothing waits for it. A witness that fails is left out for twice as
long each time, so that one that is dead does not slow the others down.

All validators may ask the same witness, each for itself: what another one has submitted meanwhile shows as a size
conflict, and is answered with the proof from there, or in the next round if it is more than this node has.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import aiohttp

from chainnode.model.errors import ChainError, ProofInvalid, Unavailable
from chainnode.model.tlog_witness import SizeConflict, Submission
from chainnode.rpc.short_answers import short_answers
from chainnode.rpc.witness_client import MAX_ANSWER_BYTES, WitnessClient

if TYPE_CHECKING:
    import ssl

    from chainnode.clock import Clock
    from chainnode.logs import Log
    from chainnode.model.note import Signature
    from chainnode.model.tlog_policy import Witness
    from chainnode.services.log import LogService, SignedCheckpoint
    from chainnode.services.outside import OutsideCosignatures

RENEW_MS: Final = 60_000
"""How often the same tree is cosigned again, so that its cosignatures stay fresh: as often as an idle chain cosigns."""

MAX_BACKOFF_MS: Final = 60_000
"""The longest that a witness which fails is left out."""

ATTEMPTS: Final = 3
"""Submissions to one witness in one round: the size that was thought, the size that it says, and once more as others submit too."""

_MS_PER_S: Final = 1_000


@dataclass(slots=True)
class _Asked:
    """One witness, and how things stand with it."""

    witness: Witness
    client: WitnessClient
    size: int = 0
    """What it is thought to have cosigned last."""

    text: str = ""
    """The checkpoint that it cosigned last for this node."""

    cosigned_ms: int = 0
    failures: int = 0
    not_before_ms: int = 0
    """Monotonic clock, as all times here."""


class OutsideRounds:
    """Asks, round after round."""

    def __init__(
        self,
        *,
        outside: OutsideCosignatures,
        log: LogService,
        clock: Clock,
        events: Log,
        interval_ms: int,
        context: ssl.SSLContext | None,
    ) -> None:
        """Prepare to ask; `run` does.

        Args:
            outside: whom to ask, and who hears the answers.
            log: this node's.
            clock: the node's.
            events: hears when a witness is lost, comes back, or contradicts.
            interval_ms: from the end of one round to the next.
            context: how to verify certificates; None for the system's trust roots.
        """
        self._outside = outside
        self._log = log
        self._clock = clock
        self._events = events
        self._interval_ms = interval_ms
        self._context = context

    async def run(self) -> None:
        """Ask until cancelled. Raises NodeFault."""
        # With room for a head beside the longest answer that is read.
        connector = short_answers(asyncio.get_running_loop(), most_bytes=2 * MAX_ANSWER_BYTES)
        async with aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar()
        ) as session:
            asked = self._witnesses(session)
            while True:
                await asyncio.sleep(self._interval_ms / _MS_PER_S)
                await self._round(asked)

    def _witnesses(self, session: aiohttp.ClientSession) -> tuple[_Asked, ...]:
        return tuple(
            _Asked(witness=witness, client=WitnessClient(witness, session, self._context))
            for witness in self._outside.witnesses
        )

    async def _round(self, asked: tuple[_Asked, ...]) -> None:
        try:
            signed = self._log.for_witnesses()
        except Unavailable:
            return
        now_ms = self._clock.monotonic_ms()
        text = signed.note.text
        async with asyncio.TaskGroup() as group:
            for one in asked:
                is_fresh = one.text == text and now_ms - one.cosigned_ms < RENEW_MS
                if now_ms >= one.not_before_ms and not is_fresh:
                    group.create_task(self._ask(one, signed, now_ms))

    async def _ask(self, one: _Asked, signed: SignedCheckpoint, now_ms: int) -> None:
        try:
            signature = await self._submit(one, signed)
        except ChainError as error:
            self._failed(one, error)
            return
        if one.failures:
            self._events.event("outside_witness_back", witness=one.witness.name)
        one.failures = 0
        if signature is None:
            return
        one.text, one.cosigned_ms = signed.note.text, now_ms
        self._outside.take(signed.cosigned, one.witness, signature, now_ms)

    async def _submit(self, one: _Asked, signed: SignedCheckpoint) -> Signature | None:
        """Return its cosignature; None if it has seen more of the log than this node has just now."""
        checkpoint = signed.cosigned.checkpoint
        for _ in range(ATTEMPTS):
            if one.size > checkpoint.size:
                return None
            submission = Submission(
                old_size=one.size,
                proof=self._log.consistency(one.size, checkpoint.size),
                note=signed.note,
                checkpoint=checkpoint,
            )
            now_s = self._clock.now_ms() // _MS_PER_S
            try:
                signature = await one.client.add_checkpoint(submission, now_s)
            except SizeConflict as conflict:
                if conflict.size == submission.old_size:
                    raise ProofInvalid(
                        f"{one.witness.name} has cosigned another tree of {conflict.size} records",
                        code="inconsistent",
                    ) from conflict
                one.size = conflict.size
            else:
                one.size = checkpoint.size
                return signature
        return None

    def _failed(self, one: _Asked, error: ChainError) -> None:
        one.failures += 1
        backoff_ms = min(self._interval_ms << min(one.failures, 16), MAX_BACKOFF_MS)
        one.not_before_ms = self._clock.monotonic_ms() + backoff_ms
        if isinstance(error, ProofInvalid):
            # Either it lies, or somebody has shown it another history of this log in the log's name.
            self._events.error(
                "outside_witness_contradicts", witness=one.witness.name, why=error.message
            )
        elif one.failures == 1:
            self._events.warning(
                "outside_witness_lost", witness=one.witness.name, why=error.message
            )
