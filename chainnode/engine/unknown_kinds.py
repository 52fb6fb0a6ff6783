"""Messages of kinds that this version does not know: ignored and counted, since newer versions must not be hung up on.

They cost their sender what any message costs it: the link counts them and their bytes against its budget.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chainnode.engine.allowance import Turns

if TYPE_CHECKING:
    from chainnode.engine.messages import UnknownMessage
    from chainnode.engine.ports import Clock
    from chainnode.services.ports import Witness

NOTE_EVERY_MS: Final = 60_000
"""One line a minute and peer says so; an upgrade of everybody takes hours."""


class UnknownKinds:
    """Counts what is ignored, and says so now and then."""

    def __init__(self, *, clock: Clock, witness: Witness) -> None:
        self._witness = witness
        self._turns = Turns(clock, NOTE_EVERY_MS)
        self.total = 0
        """Messages ignored since the start, of all peers."""

    def ignore(self, peer: str, message: UnknownMessage) -> None:
        """Count a message; nothing else comes of it."""
        self.total += 1
        if self._turns.take(peer):
            self._witness.event("message_ignored", peer=peer, kind=message.kind, total=self.total)
