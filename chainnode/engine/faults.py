"""What peers did wrong: told to the witness, and held against whoever did it when it comes to light too late."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chainnode.model.errors import PeerFault

if TYPE_CHECKING:
    from chainnode.engine.ports import Clock
    from chainnode.services.ports import Witness

MAX_NOTES_PER_S: Final = 20
"""Log lines about refused messages and proven misbehaviour; a peer could fill a disk with them otherwise."""


class Faults:
    """Accusations by peer, and the rate of what is said about all of them."""

    def __init__(self, *, clock: Clock, witness: Witness) -> None:
        self._clock = clock
        self._witness = witness
        self._accused: dict[str, str] = {}
        self._noted_at_s = 0
        self._noted = 0

    def accuse(self, peer: str, reason: str) -> None:
        """Have a peer pay for something that came to light after its message was taken: its next one is refused."""
        self._accused[peer] = f"{peer}: {reason}"
        self.report(peer, reason)

    def check_not_accused(self, peer: str) -> None:
        """Have a peer pay for what it was accused of, once.

        Raises:
            PeerFault: it was accused since its last message.
        """
        if peer in self._accused:
            raise PeerFault(self._accused.pop(peer))

    def forget(self, peer: str) -> None:
        """Drop the accusation of a peer whose link is down: the next one begins anew."""
        self._accused.pop(peer, None)

    def report(self, peer: str, reason: str) -> None:
        """Tell the witness that a peer broke the protocol."""
        self._witness.event("peer_fault", peer=peer, reason=reason)

    def note(self, name: str, **fields: int | str) -> None:
        """Tell the witness what a peer can bring about at will; beyond a rate, not at all."""
        second = self._clock.monotonic_ms() // 1_000
        if second != self._noted_at_s:
            self._noted_at_s, self._noted = second, 0
        self._noted += 1
        if self._noted <= MAX_NOTES_PER_S:
            self._witness.event(name, **fields)
