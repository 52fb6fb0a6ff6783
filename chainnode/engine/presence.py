"""Two processes with one validator's keys notice each other through any peer that both are linked with, and stop.

Each process draws a challenge when it starts, and shows it to its peers in PRESENCE. A peer tells whoever speaks as a
validator which challenges it has heard lately from that validator. A process that is told of another one than its own
signs it, together with its own (CLONE); the peer keeps that for a while and hands it to every process of that name
that it is linked with, one after the other if they push each other from one link.

A signature by my key over my challenge, which I never sign, proves that another process has the key and was alive
after I started. No clock is compared and no peer is believed: who has not got the key cannot make the proof, and an
earlier life of mine cannot have made it, since my challenge did not exist then. A process that has the proof takes no
further part; it answers with the same proof for the other, stays for `FAREWELL_MS` so that this gets out, and stops.

Two processes that have no peer in common, directly, are not noticed here; what both have voted then is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chainnode.engine.allowance import Turns
from chainnode.engine.message_codec import encode_message
from chainnode.engine.messages import MAX_CHALLENGES, CloneMessage, PresenceMessage
from chainnode.engine.ports import Urgency
from chainnode.model.errors import CloneFound, PeerFault
from chainnode.model.presence import presence_message

if TYPE_CHECKING:
    from chainnode.engine.neighbours import Neighbours
    from chainnode.engine.ports import Clock, Network
    from chainnode.keystore.signer import Signer
    from chainnode.ledger.ledger import Ledger
    from chainnode.model.domain import Domain
    from chainnode.services.ports import Witness

PRESENCE_EVERY_MS: Final = 1_500
"""How often each peer hears of our process; twice that and the pauses between links are well below five seconds."""

KEPT_MS: Final = 10_000
"""How long a challenge or a CLONE is passed on: two processes that push each other from one link come back within the
longest pause between two calls (2.5 s), and a handshake may take 5 s."""

SIGN_EVERY_MS: Final = 250
"""For each peer one signature in this time at most: showing costs it a line, and us a signature."""

VERIFY_EVERY_MS: Final = 100
"""For each peer one verification in this time at most of what it has signed itself."""

FAREWELL_MS: Final = 1_000
"""From the proof to the stop. The answer goes to the link by which the proof came, which was up an instant ago."""


class Presence:
    """Shows our process to peers, and peers' processes to each other."""

    def __init__(
        self,
        *,
        domain: Domain,
        name: str,
        challenge: bytes,
        ledger: Ledger,
        signer: Signer,
        neighbours: Neighbours,
        network: Network,
        clock: Clock,
        witness: Witness,
    ) -> None:
        """`challenge` was drawn for this start of the process, and never serves another one."""
        self._domain = domain
        self._name = name
        self._challenge = challenge
        self._ledger = ledger
        self._signer = signer
        self._neighbours = neighbours
        self._network = network
        self._clock = clock
        self._witness = witness
        self._heard: dict[str, dict[bytes, int]] = {}
        self._clones: dict[str, dict[bytes, tuple[bytes, int]]] = {}
        self._sign_turns = Turns(clock, SIGN_EVERY_MS)
        self._verify_turns = Turns(clock, VERIFY_EVERY_MS)
        self._note_turns = Turns(clock, KEPT_MS)
        self._next_ms = 0
        self._end: tuple[int, CloneFound] | None = None
        self._farewell = b""

    @property
    def is_ending(self) -> bool:
        """Whether the proof has come: this process takes no part in anything any more."""
        return self._end is not None

    # -- by the clock --------------------------------------------------------------------------------------

    @property
    def deadline_ms(self) -> int:
        """When `repeat` has something to do next."""
        return self._next_ms if self._end is None else self._end[0]

    def repeat(self, now_ms: int) -> None:
        """Show ourselves, if it is time (monotonic) to.

        Raises:
            CloneFound: another process has our key; it has been given time to hear of us.
        """
        if self._end is not None:
            end_ms, fault = self._end
            if now_ms >= end_ms:
                raise fault
        elif now_ms >= self._next_ms:
            self._next_ms = now_ms + PRESENCE_EVERY_MS
            for peer in self._neighbours.linked():
                self.show(peer)

    def show(self, peer: str) -> None:
        """Tell a peer who we are, and what we know of the processes that speak in its name."""
        if self._end is not None:
            self._network.send(peer, self._farewell, Urgency.VOTE)
            return
        heard = tuple(sorted(self._fresh(self._heard.get(peer, {}))))
        message = PresenceMessage(self._challenge, heard)
        self._network.send(peer, encode_message(message), Urgency.VOTE)
        oldest_ms = self._clock.monotonic_ms() - KEPT_MS
        for data, taken_ms in self._clones.get(peer, {}).values():
            if taken_ms >= oldest_ms:
                self._network.send(peer, data, Urgency.VOTE)

    # -- what peers show -----------------------------------------------------------------------------------

    def receive(self, peer: str, message: PresenceMessage) -> None:
        """Take a peer's challenge, and answer those that it has heard in our name and are not ours."""
        now_ms = self._clock.monotonic_ms()
        heard = self._fresh(self._heard.get(peer, {}))
        is_back = message.challenge in heard and message.challenge != next(reversed(heard))
        heard.pop(message.challenge, None)
        heard[message.challenge] = now_ms
        self._heard[peer] = dict(list(heard.items())[-MAX_CHALLENGES:])
        if is_back and self._note_turns.take(peer):
            # A restart leaves its old challenge behind for good; only two that live come back in turns.
            self._witness.event("peer_runs_twice", peer=peer)
        others = tuple(c for c in message.heard if c != self._challenge)
        if others and self._sign_turns.take(peer):
            self._network.send(peer, self._sign(others), Urgency.VOTE)

    def receive_clone(self, peer: str, message: CloneMessage) -> None:
        """Take what a process has signed: of our name, or of the peer's.

        Raises:
            PeerFault: the signature does not hold.
        """
        if message.validator == self._name:
            self._receive_own(peer, message)
        elif message.validator == peer:
            self._receive_other(peer, message)

    def _receive_own(self, peer: str, message: CloneMessage) -> None:
        if self._challenge not in message.shown:
            # Our own answer to somebody else's challenge, or one to an earlier life of ours.
            return
        self._check(peer, message, self._signer.public_key)
        self._farewell = self._sign((message.challenge,))
        self._network.broadcast(self._farewell, Urgency.VOTE)
        fault = CloneFound(
            f"another process runs with the keys of validator {self._name}: it has signed the challenge of this one, "
            f"which came back through {peer}. Both stop. Find the other machine and make sure that it stays off before "
            "one of the two is started again; if it is not yours, the keys are stolen (see Two machines with one key "
            "in docs/operations.md)"
        )
        self._end = (self._clock.monotonic_ms() + FAREWELL_MS, fault)
        self._witness.event("clone_found", validator=self._name, by_way_of=peer)

    def _receive_other(self, peer: str, message: CloneMessage) -> None:
        members = self._ledger.validators(self._ledger.tip.height + 1).members
        key = next((v.consensus_key for v in members if v.name == peer), None)
        if key is None or not self._verify_turns.take(peer):
            return
        self._check(peer, message, key)
        clones = self._clones.setdefault(peer, {})
        clones.pop(message.challenge, None)
        clones[message.challenge] = (encode_message(message), self._clock.monotonic_ms())
        while len(clones) > MAX_CHALLENGES:
            del clones[next(iter(clones))]

    def _check(self, peer: str, message: CloneMessage, key: bytes) -> None:
        signed = presence_message(self._domain, message.challenge, message.shown)
        if not self._domain.suite.is_signature(key, signed, message.signature):
            raise PeerFault(f"{peer} sent a CLONE of {message.validator} that does not hold")

    def _sign(self, others: tuple[bytes, ...]) -> bytes:
        """Return the signed answer to challenges, none of which is ours."""
        signed = presence_message(self._domain, self._challenge, others)
        return encode_message(
            CloneMessage(
                validator=self._name,
                challenge=self._challenge,
                shown=others,
                signature=self._signer.sign(signed),
            )
        )

    def _fresh(self, heard: dict[bytes, int]) -> dict[bytes, int]:
        oldest_ms = self._clock.monotonic_ms() - KEPT_MS
        return {c: at_ms for c, at_ms in heard.items() if at_ms >= oldest_ms}
