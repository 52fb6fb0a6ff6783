"""Cosigning: validators vouch for the log, each in a message of its own, after the block is on its disk.

A cosignature made with a COMMIT vote could add up, over several views, to a proof of a block that was never
decided; so it is made only here, from the committed tip of the ledger. The ledger only appends and is synced
before this module hears of a block: after a crash it is at or above every height that was cosigned, hence no two trees
are ever signed of which neither extends the other.

A cosignature is sent to all when it is made, and again to any peer whose STATUS shows that it has the height
but not the signature.

A validator that has registered a second key (`chainnode.model.second_key`) cosigns with it too, and says so first. A quorum of
first cosignatures makes a checkpoint. Where a quorum has second keys, it waits a little for as many second ones, so that
who asks for both finds both; but nobody's second key can hold it up for longer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from chainnode.engine.message_codec import encode_message
from chainnode.engine.messages import CosignatureMessage, SecondCosignatureMessage
from chainnode.engine.ports import Urgency
from chainnode.model.checkpoint import Checkpoint
from chainnode.model.cosignature import TIME_BYTES, cosign, verify_cosignature
from chainnode.model.cosigned import CosignedCheckpoint, decode_cosigned, encode_cosigned
from chainnode.model.errors import CannotTell, DecodeError, PeerFault, ProofInvalid
from chainnode.model.note import MAX_NOTE_SIGNATURES, Signature, cosigner_key
from chainnode.model.second_key import second_key_of
from contracts.query import second_key_in

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeAlias

    from chainnode.engine.messages import StatusMessage
    from chainnode.engine.ports import Clock, Network
    from chainnode.keystore.signer import Signer
    from chainnode.ledger.ledger import Ledger
    from chainnode.model.genesis import Genesis
    from chainnode.model.note import VerifierKey
    from chainnode.model.validators import Validator, ValidatorSet
    from chainnode.services.ports import Witness

    Said: TypeAlias = CosignatureMessage | SecondCosignatureMessage

MAX_OPEN_HEIGHTS: Final = 64
"""Heights whose cosignatures are being gathered; with blocks of 40 ms, 2.5 seconds. Older ones are superseded."""

MAX_EARLY: Final = 2
"""How many heights above the tip a cosignature may be and still be kept: whoever is further behind will hear newer
ones, and older ones again on the word of its STATUS."""

MAX_SKEW_S: Final = 300
"""A cosignature's time is shown to whoever verifies a proof. One that lies this far before its block's time or after
our clock is not taken: the validator's clock is wrong, which is no breach of the protocol, but no testimony either."""

MAX_COSIGNATURES: Final = MAX_NOTE_SIGNATURES - 1
"""In one note: verifiers read no longer ones, and the log's own signature comes first. Where a quorum does not fit twice, of
more than 73 validators, nobody cosigns twice."""

PATIENCE_MS: Final = 2_000
"""How long a checkpoint may wait for second cosignatures. Having waited in vain it waits no more until a quorum of them has
come again, so that a lost second key costs this once."""

_MS_PER_S: Final = 1_000


class _Kind(IntEnum):
    FIRST = 0
    SECOND = 1


@dataclass(slots=True)
class _Gathering:
    """The cosignatures of one height."""

    checkpoint: Checkpoint
    block_s: int
    """The block's time; the earliest at which an exact clock can have cosigned it."""

    quorum: int
    keys: tuple[Mapping[int, VerifierKey], Mapping[int, VerifierKey]]
    """By kind, then by validator: who may cosign that height, and with which key. Second ones as the state after it has them."""

    held: tuple[dict[int, Signature], dict[int, Signature]] = field(
        default_factory=lambda: ({}, {})
    )
    """By kind, then by validator."""

    @property
    def is_quorate(self) -> bool:
        """Whether a quorum has cosigned."""
        return len(self.held[_Kind.FIRST]) >= self.quorum

    @property
    def lacks_second(self) -> bool:
        """Whether a quorum has second keys, and has not cosigned with them yet."""
        keys, held = self.keys[_Kind.SECOND], self.held[_Kind.SECOND]
        return len(keys) >= self.quorum > len(held)

    @property
    def is_complete(self) -> bool:
        """Whether there is nothing more to come."""
        return all(len(held) == len(keys) for held, keys in zip(self.held, self.keys, strict=True))

    def lines(self) -> tuple[Signature, ...]:
        """Return all cosignatures, first ones first, each in the order of the validator set."""
        return tuple(held[sender] for held in self.held for sender in sorted(held))


class Cosigner:
    """Makes, gathers and serves the cosignatures of the log."""

    def __init__(
        self,
        *,
        genesis: Genesis,
        ledger: Ledger,
        signer: Signer,
        second: Signer | None,
        network: Network,
        clock: Clock,
        witness: Witness,
    ) -> None:
        """Cosign with `signer`, of the chain's suite, and with `second`, of ML-DSA-44, while that is registered."""
        self._genesis = genesis
        self._ledger = ledger
        self._signer = signer
        self._second = second
        self._network = network
        self._clock = clock
        self._witness = witness
        self._open: dict[int, _Gathering] = {}
        self._early: dict[tuple[int, _Kind, int], Said] = {}
        self._newest = _newest_of(ledger)
        self._is_patient = True
        self._waiting: int | None = None
        """Newest height that has a quorum and waits for second cosignatures."""
        self._waits_until_ms: int | None = None

    @property
    def newest(self) -> CosignedCheckpoint | None:
        """The newest checkpoint with a quorum, or None before the first."""
        return self._newest

    @property
    def deadline_ms(self) -> int | None:
        """When `repeat` should be called, on the monotonic clock; None while nothing waits."""
        return self._waits_until_ms

    def repeat(self, now_ms: int) -> None:
        """Serve what has waited long enough for second cosignatures."""
        if self._waits_until_ms is not None and self._waits_until_ms <= now_ms:
            self._is_patient = False
            height, self._waiting, self._waits_until_ms = self._waiting, None, None
            gathering = None if height is None else self._open.get(height)
            if height is not None and gathering is not None:
                keys, held = gathering.keys[_Kind.SECOND], gathering.held[_Kind.SECOND]
                silent = ", ".join(key.name for i, key in keys.items() if i not in held)
                self._witness.event("second_cosignatures_missing", height=height, of=silent)
                self._serve(height, gathering)

    def committed(self) -> None:
        """Cosign the log as of the ledger's tip, which is decided and synced; tell everybody. Once per height."""
        tip = self._ledger.tip
        if tip.height == 0 or tip.height in self._open:
            return
        validators = self._ledger.validators(tip.height)
        gathering = _Gathering(
            checkpoint=Checkpoint(
                origin=self._genesis.chain_id, size=tip.log_size, root=tip.log_root
            ),
            block_s=tip.time_ms // _MS_PER_S,
            quorum=validators.quorum,
            keys=(
                {i: self._key(v) for i, v in enumerate(validators.members)},
                self._second_keys(validators),
            ),
        )
        self._open[tip.height] = gathering
        while len(self._open) > MAX_OPEN_HEIGHTS:
            del self._open[min(self._open)]
        own = self._own_index(validators.members)
        if own is not None:
            self._cosign(tip.height, gathering, own)
        for place in sorted(k for k in self._early if k[0] <= tip.height):
            message = self._early.pop(place)
            height, kind, sender = place
            if height == tip.height and self._is_plausible(gathering, message):
                # It was stored unverified, so the fault cannot be pinned on a link any more.
                self._verify_and_take(gathering, kind, sender, message)

    def receive(self, peer: str, message: Said) -> None:
        """Take a validator's cosignature.

        Raises:
            PeerFault: its signature does not hold for the log that this node has at that height.
        """
        kind = _Kind.FIRST if isinstance(message, CosignatureMessage) else _Kind.SECOND
        gathering = self._open.get(message.height)
        if gathering is None:
            self._keep_early(peer, kind, message)
            return
        sender = message.sender
        if kind is _Kind.SECOND and sender not in gathering.keys[kind]:
            # Its key is not registered as of that height, or cannot be judged here.
            return
        if sender in gathering.held[kind] or not self._is_plausible(gathering, message):
            return
        if not self._verify_and_take(gathering, kind, sender, message):
            raise PeerFault(
                f"{peer} sent a cosignature of height {message.height} by validator "
                f"{sender} that does not hold",
                code="bad_cosignature",
            )

    def _keep_early(self, peer: str, kind: _Kind, message: Said) -> None:
        """Keep a validator's own cosignature of a block that is not here yet, until it is."""
        above = message.height - self._ledger.tip.height
        if not 0 < above <= MAX_EARLY:
            return
        members = self._ledger.validators(message.height).members
        # From the link of the signer alone, so that nobody takes another's place.
        if message.sender < len(members) and members[message.sender].name == peer:
            self._early[message.height, kind, message.sender] = message

    def resend(self, peer: str, status: StatusMessage) -> None:
        """Send a peer what its status shows it lacks of its tip's cosignatures; of second ones our own, since they are long."""
        gathering = self._open.get(status.tip_height)
        if gathering is None:
            return
        own = self._own_index(self._ledger.validators(status.tip_height).members)
        for sender in sorted(gathering.held[_Kind.FIRST].keys() - set(status.tip_cosigners)):
            for kind in (_Kind.SECOND, _Kind.FIRST) if sender == own else (_Kind.FIRST,):
                signature = gathering.held[kind].get(sender)
                if signature is not None:
                    message = _message(kind, status.tip_height, sender, signature)
                    self._network.send(peer, message, Urgency.NORMAL)

    def tip_cosigners(self) -> tuple[int, ...]:
        """Return the validators whose cosignature of the tip is here, rising."""
        gathering = self._open.get(self._ledger.tip.height)
        return () if gathering is None else tuple(sorted(gathering.held[_Kind.FIRST]))

    def _cosign(self, height: int, gathering: _Gathering, own: int) -> None:
        """Make our own cosignatures, the second one first: a quorum then finds it there."""
        time_s, text = self._clock.now_ms() // _MS_PER_S, gathering.checkpoint.text()
        for kind, signer in ((_Kind.SECOND, self._second), (_Kind.FIRST, self._signer)):
            key = gathering.keys[kind].get(own)
            if key is None or signer is None or key.public_key != signer.public_key:
                continue
            signature = cosign(text, time_s, key, signer.sign)
            self._network.broadcast(_message(kind, height, own, signature), Urgency.NORMAL)
            self._take(height, kind, own, signature)

    def _is_plausible(self, gathering: _Gathering, message: Said) -> bool:
        latest_s = self._clock.now_ms() // _MS_PER_S + MAX_SKEW_S
        return gathering.block_s - MAX_SKEW_S <= message.timestamp <= latest_s

    def _verify_and_take(
        self, gathering: _Gathering, kind: _Kind, sender: int, message: Said
    ) -> bool:
        key = gathering.keys[kind].get(sender)
        if key is None:
            return False
        value = message.timestamp.to_bytes(TIME_BYTES, "big") + message.signature
        signature = Signature(name=key.name, key_id=key.key_id, value=value)
        try:
            verify_cosignature(key, gathering.checkpoint.text(), signature)
        except (DecodeError, ProofInvalid):
            # One without a single byte has no time in it, as a note would have it, and is none.
            return False
        self._take(message.height, kind, sender, signature)
        return True

    def _take(self, height: int, kind: _Kind, sender: int, signature: Signature) -> None:
        gathering = self._open[height]
        gathering.held[kind][sender] = signature
        if not gathering.is_quorate:
            return
        if self._newest is not None and self._newest.height > height:
            return
        if not gathering.lacks_second:
            self._is_patient = True
        elif self._is_patient:
            self._wait(height)
            return
        self._serve(height, gathering)

    def _wait(self, height: int) -> None:
        if self._waits_until_ms is None:
            self._waits_until_ms = self._clock.monotonic_ms() + PATIENCE_MS
        if self._waiting is None or self._waiting < height:
            self._waiting = height

    def _serve(self, height: int, gathering: _Gathering) -> None:
        """Make a height's checkpoint the newest, or add to it what has come since."""
        is_news = self._newest is None or self._newest.height < height
        self._newest = CosignedCheckpoint(
            height=height, checkpoint=gathering.checkpoint, signatures=gathering.lines()
        )
        if is_news or gathering.is_complete:
            # Twice for a height at most. A crash may lose it: the validators then cosign their tips anew.
            self._ledger.save_checkpoint(encode_cosigned(self._newest))
        for old in [h for h in self._open if h < height]:
            del self._open[old]
        if self._waiting is not None and self._waiting <= height:
            self._waiting = self._waits_until_ms = None
        if is_news:
            self._witness.checkpoint_cosigned(height)

    def _own_index(self, members: tuple[Validator, ...]) -> int | None:
        key = self._signer.public_key
        return next((i for i, v in enumerate(members) if v.cosigner_key == key), None)

    def _key(self, validator: Validator) -> VerifierKey:
        name = f"{self._genesis.chain_id}/{validator.name}"
        return cosigner_key(self._genesis.suite, name, validator.cosigner_key)

    def _second_keys(self, validators: ValidatorSet) -> dict[int, VerifierKey]:
        """Return the second keys that count as of the tip."""
        found: dict[int, VerifierKey] = {}
        if 2 * validators.quorum > MAX_COSIGNATURES:
            return found
        for index, validator in enumerate(validators.members):
            said = second_key_in(self._ledger.state, validator.name)
            try:
                key = second_key_of(
                    self._genesis.domain,
                    self._genesis.chain_id,
                    validator.name,
                    validator.cosigner_key,
                    said,
                )
            except CannotTell:
                # What this installation cannot judge it does not gather.
                return {}
            if key is not None:
                found[index] = key
        return found


def _message(kind: _Kind, height: int, sender: int, signature: Signature) -> bytes:
    made = CosignatureMessage if kind is _Kind.FIRST else SecondCosignatureMessage
    return encode_message(
        made(
            height=height,
            sender=sender,
            timestamp=int.from_bytes(signature.value[:TIME_BYTES], "big"),
            signature=signature.value[TIME_BYTES:],
        )
    )


def _newest_of(ledger: Ledger) -> CosignedCheckpoint | None:
    """Return the newest checkpoint of before the restart, unless the ledger has fallen behind it."""
    data = ledger.load_checkpoint()
    if data is None:
        return None
    loaded = decode_cosigned(data)
    return loaded if loaded.height <= ledger.tip.height else None
