"""Telling systems how their documents ended: one signed POST for each, repeated until it is taken or was in vain for long.

    X-Chainnode-Timestamp: <milliseconds UTC>
    X-Chainnode-Signature: sha256=<hex of HMAC-SHA-256(secret, timestamp || "." || body)>

What is still to be told is in the gateway's journal. A system may be told twice, around a crash or a lost answer; the
id in the body tells.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import aiohttp

from chainnode.model.errors import NotFound
from chainnode.model.suites.hmac_sha256 import hmac_sha256
from chainnode.rpc.gateway_endpoint import record_value
from chainnode.rpc.json_text import encode_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainnode.clock import Clock
    from chainnode.keystore.webhook_targets import Target
    from chainnode.services.gateway import Gateway
    from chainnode.services.gateway_journal import Entry

AT_ONCE: Final = 8
"""Targets' answers that are waited for at once; the rest of what is to be told waits in the journal."""

TIMEOUT_S: Final = 10
"""How long a target may take to answer."""

LOOK_S: Final = 0.2
"""How often it is looked whether there is something to tell."""

FIRST_PAUSE_MS: Final = 1_000
MOST_PAUSE_MS: Final = 3_600_000
"""Pauses double from the one to the other ..."""

MAX_TRIES: Final = 36
"""... so that this many take a day; then the document is told no more, and its status is there to be asked for."""

MAX_WATCHED: Final = 10_000
"""Documents that are being told or tried again, the oldest; newer ones wait in the journal until there is room."""


class Webhooks:
    """Tells the targets of one node."""

    def __init__(self, gateway: Gateway, targets: Sequence[Target], clock: Clock) -> None:
        self._gateway = gateway
        self._targets = {target.name: target for target in targets}
        self._clock = clock
        self._tries: dict[bytes, tuple[int, int]] = {}
        """By id: how often it was tried, and when it is due again on the monotonic clock."""

    async def run(self) -> None:
        """Tell until cancelled. Raises StorageFault."""
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                due = self._due()
                if due:
                    async with asyncio.TaskGroup() as tasks:
                        for entry in due:
                            tasks.create_task(self._tell(session, entry))
                else:
                    await asyncio.sleep(LOOK_S)

    def _due(self) -> list[Entry]:
        now_ms = self._clock.monotonic_ms()
        due: list[Entry] = []
        for entry in self._gateway.untold(MAX_WATCHED):
            if self._tries.get(entry.id, (0, 0))[1] <= now_ms:
                due.append(entry)
                if len(due) == AT_ONCE:
                    break
        return due

    async def _tell(self, session: aiohttp.ClientSession, entry: Entry) -> None:
        tries = self._tries.get(entry.id, (0, 0))[0] + 1
        target = self._targets.get(entry.webhook or "")
        if target is None or await self._is_taken(session, entry, target) or tries >= MAX_TRIES:
            self._gateway.told(entry.id)
            self._tries.pop(entry.id, None)
            return
        pause_ms = min(FIRST_PAUSE_MS << (tries - 1), MOST_PAUSE_MS)
        self._tries[entry.id] = (tries, self._clock.monotonic_ms() + pause_ms)

    async def _is_taken(self, session: aiohttp.ClientSession, entry: Entry, target: Target) -> bool:
        try:
            found = self._gateway.find(entry.token, entry.id)
        except NotFound:
            # Forgotten meanwhile; there is nothing left to tell.
            return True
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
                return 200 <= response.status < 300
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            return False


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    """Return the hex of what a target checks."""
    return hmac_sha256(secret, f"{timestamp}.".encode() + body).hex()
