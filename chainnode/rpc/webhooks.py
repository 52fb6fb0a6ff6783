"""Telling systems how their documents ended: one signed POST for each, repeated until it is taken or was in vain for long.

    X-Chainnode-Timestamp: <milliseconds UTC>
    X-Chainnode-Signature: sha256=<hex of HMAC-SHA-256(secret, timestamp || "." || body)>

What is still to be told is in the gateway's journal. A system may be told twice, around a crash or a lost answer; the
id in the body tells. Each target has connections and pauses of its own, so one that is slow or dead holds up only itself.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import Enum, auto
from itertools import islice
from typing import TYPE_CHECKING, Final

import aiohttp
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from chainnode.model.errors import NotFound
from chainnode.model.suites.hmac_sha256 import hmac_sha256
from chainnode.rpc.gateway_endpoint import record_value
from chainnode.rpc.json_text import encode_json
from chainnode.rpc.short_answers import short_answers
from chainnode.services.gateway_journal import MAX_TOLD

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prometheus_client import Metric

    from chainnode.clock import Clock
    from chainnode.keystore.webhook_targets import Target
    from chainnode.services.gateway import Gateway
    from chainnode.services.gateway_journal import Entry
    from chainnode.services.untold import Untold

AT_ONCE: Final = 8
"""Answers of one target that are waited for at once."""

MAX_CONNECTIONS: Final = 100
"""Of all targets together, which share them evenly; each has one at least, and there are no more targets than this."""

TIMEOUT_S: Final = 10
"""How long a target may take to answer."""

LOOK_S: Final = 0.2
"""How often it is looked whether there is something to tell."""

FIRST_PAUSE_MS: Final = 1_000
MOST_PAUSE_MS: Final = 3_600_000
"""Pauses of a document double from the one to the other ..."""

MAX_TRIES: Final = 36
"""... so that this many take a day; then the document is told no more, and its status is there to be asked for."""

MOST_SILENCE_MS: Final = 60_000
"""Pauses of a target that does not answer double up to this, so soon after it is back it is told of all that it missed."""

_TOO_MANY: Final = 429
_LABELS: Final = ("target",)


class _Answer(Enum):
    """What a target said."""

    TAKEN = auto()
    REFUSED = auto()
    """It lives, and does not want this document now."""

    SILENT = auto()
    """Nothing, or that it cannot just now: it would say so of any document."""


@dataclass(slots=True, eq=False)
class TargetLine:
    """One target, and how it answers."""

    target: Target
    told: int = 0
    """Documents since start."""

    failed: int = 0
    """Tries in vain since start."""

    under_way: int = 0
    silences: int = 0
    """One after the other; a moment in which several answers were missing is one."""

    due_ms: int = 0
    """When a silent one is tried again, on the monotonic clock."""


class Webhooks:
    """Tells the targets of one node."""

    def __init__(self, gateway: Gateway, targets: Sequence[Target], clock: Clock) -> None:
        self._gateway = gateway
        self._lines = {target.name: TargetLine(target) for target in targets}
        self._at_once = min(AT_ONCE, max(1, MAX_CONNECTIONS // max(1, len(targets))))
        self._clock = clock

    @property
    def lines(self) -> Sequence[TargetLine]:
        """All targets."""
        return tuple(self._lines.values())

    def owed(self, name: str) -> int:
        """Return of how many documents a target is still to be told."""
        return len(self._gateway.untold(name))

    async def run(self) -> None:
        """Tell until cancelled. Raises StorageFault, within an exception group."""
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        # How many connections there are is bounded here; a pool's limit would have targets wait for one another.
        async with (
            aiohttp.ClientSession(
                timeout=timeout,
                connector=short_answers(asyncio.get_running_loop()),
                # What one target sets would be kept for ever, and shown to the others of its host.
                cookie_jar=aiohttp.DummyCookieJar(),
            ) as session,
            asyncio.TaskGroup() as tasks,
        ):
            while True:
                for name in self._gateway.untold_webhooks:
                    line = self._lines.get(name)
                    if line is None:
                        self._drop(name)
                        continue
                    while (untold := self._next(line)) is not None:
                        line.under_way += 1
                        tasks.create_task(self._tell_on(session, line, untold))
                await asyncio.sleep(LOOK_S)

    def _drop(self, name: str) -> None:
        """Forget what a target that is no longer configured is owed; the next look goes on."""
        owed = islice(self._gateway.untold(name), MAX_TOLD)
        self._gateway.told(*(entry.id for entry in owed))

    def _next(self, line: TargetLine) -> Untold | None:
        """Return what a target can be told of now; a silent one of one document at a time."""
        now_ms = self._clock.monotonic_ms()
        most = 1 if line.silences else self._at_once
        if line.under_way >= most or line.due_ms > now_ms:
            return None
        return self._gateway.untold(line.target.name).take(now_ms)

    async def _tell_on(
        self, session: aiohttp.ClientSession, line: TargetLine, untold: Untold | None
    ) -> None:
        """Tell a target of a document, and of others for as long as there are any; it counts as one under way."""
        while untold is not None:
            answer = await self._ask(session, line.target, untold.entry)
            line.under_way -= 1
            untold.is_being_told = False
            if answer is not None:
                self._heard(line, untold, answer)
            untold = self._next(line)
            line.under_way += untold is not None

    def _heard(self, line: TargetLine, untold: Untold, answer: _Answer) -> None:
        now_ms = self._clock.monotonic_ms()
        if answer is _Answer.SILENT:
            if line.due_ms <= now_ms:
                line.silences += 1
                line.due_ms = now_ms + _pause_ms(line.silences, MOST_SILENCE_MS)
        else:
            line.silences, line.due_ms = 0, 0
        if answer is _Answer.TAKEN:
            line.told += 1
            self._gateway.told(untold.entry.id)
            return
        line.failed += 1
        untold.tries += 1
        untold.due_ms = now_ms + _pause_ms(untold.tries, MOST_PAUSE_MS)
        if untold.tries >= MAX_TRIES:
            self._gateway.told(untold.entry.id)

    async def _ask(
        self, session: aiohttp.ClientSession, target: Target, entry: Entry
    ) -> _Answer | None:
        """Return what a target answers; None if the document was forgotten, so that there is nothing left to tell."""
        try:
            found = self._gateway.find(entry.token, entry.id)
        except NotFound:
            return None
        body = encode_json(record_value(found)).encode()
        timestamp = str(self._clock.now_ms())
        headers = {
            "Content-Type": "application/json",
            "X-Chainnode-Timestamp": timestamp,
            "X-Chainnode-Signature": f"sha256={signature(target.secret, timestamp, body)}",
        }
        try:
            # A redirect would lead where the operator has not pointed.
            async with session.post(
                target.url, data=body, headers=headers, allow_redirects=False
            ) as response:
                return _answer_of(response.status)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            return _Answer.SILENT


def _answer_of(status: int) -> _Answer:
    if 200 <= status < 300:
        return _Answer.TAKEN
    return _Answer.SILENT if status >= 500 or status == _TOO_MANY else _Answer.REFUSED


def _pause_ms(failures: int, most_ms: int) -> int:
    return min(FIRST_PAUSE_MS << (failures - 1), most_ms)


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    """Return the hex of what a target checks."""
    return hmac_sha256(secret, f"{timestamp}.".encode() + body).hex()


class WebhookCollector:
    """A prometheus_client Collector of what the targets of one node were told."""

    def __init__(self, webhooks: Webhooks) -> None:
        self._webhooks = webhooks

    def collect(self) -> Iterator[Metric]:
        """Yield counters by target, and what is owed."""
        told = CounterMetricFamily(
            "chainnode_webhooks_told", "Documents of which the target took the word", labels=_LABELS
        )
        failed = CounterMetricFamily(
            "chainnode_webhooks_failed", "Tries that the target did not take", labels=_LABELS
        )
        owed = GaugeMetricFamily(
            "chainnode_webhooks_owed",
            "Decided documents of which the target is still to be told",
            labels=_LABELS,
        )
        for line in self._webhooks.lines:
            name = line.target.name
            told.add_metric((name,), line.told)
            failed.add_metric((name,), line.failed)
            owed.add_metric((name,), self._webhooks.owed(name))
        yield from (told, failed, owed)
