"""Two processes with one validator's keys notice each other through peers, and stop.

Each process draws a challenge when it starts, and shows it to its peers in PRESENCE. Peers report to each other whose
challenges they have heard (HEARD), and tell whoever speaks as a validator which ones they know in its name. A process
that is told of another one than its own signs it, together with its own (CLONE). The peer keeps that for a while, hands
it to every process of that name that it is linked with, one after the other if they push each other from one link,
and passes it once to the other peers, who do the same if they have heard a process that is concerned.

A signature by my key over my challenge, which I never sign, proves that another process has the key and was alive
after I started. No clock is compared and no peer is believed: who has not got the key cannot make the proof, and an
earlier life of mine cannot have made it, since my challenge did not exist then. A process that has the proof takes no
further part; it answers with the same proof for the other, stays for `FAREWELL_MS` so that this gets out, and stops.

Two processes none of whose peers are linked with each other are not noticed here; what both have voted is, later on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chainnode.engine.allowance import Turns
from chainnode.engine.message_codec import encode_message
from chainnode.engine.messages import (
    MAX_CHALLENGES,
    CloneMessage,
    HeardMessage,
    PresenceMessage,
)
from chainnode.engine.ports import Urgency
from chainnode.model.errors import CloneFound, PeerFault
from chainnode.model.presence import presence_message

if TYPE_CHECKING:
    from chainnode.engine.neighbours import Neighbours
    from chainnode.engine.ports import Clock, Network
    from chainnode.keystore.signer import Signer
    from chainnode.ledger.ledger import Ledger
    from chainnode.model.domain import Domain
    from chainnode.model.validators import Validator
    from chainnode.services.ports import Witness

PRESENCE_EVERY_MS: Final = 3_000
"""How often each peer hears of us and ours. What decides is said when a link comes up; this repeats what was lost."""

KEPT_MS: Final = 10_000
"""How long a challenge or a CLONE is passed on: two processes that push each other from one link come back within the
longest pause between two calls (2.5 s), and a handshake may take 5 s."""

SIGN_EVERY_MS: Final = 250
"""For each peer one signature in this time at most: showing costs it a line, and us a signature."""

VERIFY_EVERY_MS: Final = 100
"""For each peer, and each validator of which it tells, one verification in this time at most."""

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
        self._reported: dict[str, dict[str, tuple[bytes, int]]] = {}
        self._clones: dict[str, dict[bytes, tuple[CloneMessage, int]]] = {}
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
                self.greet(peer)

    def greet(self, peer: str) -> None:
        """Tell a peer who we are, what we know of the processes that speak in its name, and whom else we hear."""
        if self._end is not None:
            self._network.send(peer, self._farewell, Urgency.VOTE)
            return
        oldest_ms = self._clock.monotonic_ms() - KEPT_MS
        known = {c for c, at_ms in self._reported.get(peer, {}).values() if at_ms >= oldest_ms}
        known.update(self._fresh(self._heard.get(peer, {})))
        message = PresenceMessage(self._challenge, tuple(sorted(known)))
        self._network.send(peer, encode_message(message), Urgency.VOTE)
        for clone, taken_ms in self._clones.get(peer, {}).values():
            if taken_ms >= oldest_ms:
                self._network.send(peer, encode_message(clone), Urgency.VOTE)
        self._network.send(peer, encode_message(self._report()), Urgency.VOTE)

    def _report(self) -> HeardMessage:
        """Return the newest process of each validator that has a link with us, or had one lately."""
        oldest_ms = self._clock.monotonic_ms() - KEPT_MS
        # Whoever was heard last stands last.
        newest = [(peer, *next(reversed(heard.items()))) for peer, heard in self._heard.items()]
        return HeardMessage(
            tuple(sorted((peer, challenge) for peer, challenge, ms in newest if ms >= oldest_ms))
        )

    # -- what peers show -----------------------------------------------------------------------------------

    def receive(self, peer: str, message: PresenceMessage) -> None:
        """Take a peer's challenge, and answer those that it has heard in our name and are not ours."""
        now_ms = self._clock.monotonic_ms()
        heard = self._fresh(self._heard.get(peer, {}))
        heard.pop(message.challenge, None)
        heard[message.challenge] = now_ms
        self._heard[peer] = dict(list(heard.items())[-MAX_CHALLENGES:])
        others = tuple(c for c in message.heard if c != self._challenge)
        if others and self._sign_turns.take(peer):
            self._network.send(peer, self._sign(others), Urgency.VOTE)

    def receive_report(self, peer: str, message: HeardMessage) -> None:
        """Take whom a peer is linked with; each is told when it is shown what is known in its name."""
        now_ms = self._clock.monotonic_ms()
        names = {v.name for v in self._members()} - {self._name, peer}
        for validator, challenge in message.processes:
            if validator in names:
                self._reported.setdefault(validator, {})[peer] = (challenge, now_ms)

    def receive_clone(self, peer: str, message: CloneMessage) -> None:
        """Take what a process has signed: of our name, of the peer's, or of another that the peer passes on.

        Raises:
            PeerFault: the signature does not hold.
        """
        if message.validator == self._name:
            self._receive_own(peer, message)
        else:
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
        name = message.validator
        is_direct = name == peer
        heard = self._fresh(self._heard.get(name, {}))
        if not is_direct and heard.keys().isdisjoint(message.shown):
            # Nobody whom it concerns is linked with us.
            return
        clones = self._clones.get(name, {})
        held, taken_ms = clones.get(message.challenge, (None, 0))
        now_ms = self._clock.monotonic_ms()
        if held and held.shown == message.shown and now_ms < taken_ms + PRESENCE_EVERY_MS:
            return
        key = next((v.consensus_key for v in self._members() if v.name == name), None)
        if key is None or not self._verify_turns.take(f"{peer} {name}"):
            return
        self._check(peer, message, key)
        self._clones[name] = clones
        clones.pop(message.challenge, None)
        clones[message.challenge] = (message, now_ms)
        while len(clones) > MAX_CHALLENGES:
            del clones[next(iter(clones))]
        for other in (clone for clone, _ in clones.values()):
            is_mutual = other.challenge in message.shown and message.challenge in other.shown
            if is_mutual and self._note_turns.take(name):
                # Each of the two has signed after the other was there: no restart looks like that.
                self._witness.event("peer_runs_twice", peer=name)
        # From its signer once to everybody, from anybody else to its addressee only: nothing goes round.
        data = encode_message(message)
        for linked in self._neighbours.linked():
            if linked != peer and (is_direct or linked == name):
                self._network.send(linked, data, Urgency.VOTE)

    def _members(self) -> tuple[Validator, ...]:
        return self._ledger.validators(self._ledger.tip.height + 1).members

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
