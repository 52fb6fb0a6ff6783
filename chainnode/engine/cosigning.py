"""Cosigning: validators vouch for the log, each in a message of its own, after the block is on its disk.

A cosignature made with a COMMIT vote could add up, over several views, to a proof of a block that was never
decided; so it is made only here, from the committed tip of the ledger. The ledger only appends and is synced
before this module hears of a block: after a crash it is at or above every height that was cosigned, hence no two trees
are ever signed of which neither extends the other.

A cosignature is sent to all when it is made, and again to any peer whose STATUS shows that it has the height
but not the signature.

A validator that has registered a second key (`contracts.cosigners`) cosigns with it too, in the same message; a quorum of
the first kind makes a checkpoint, so that nobody's second key can hold it up.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from chainnode.engine.message_codec import encode_message
from chainnode.engine.messages import CosignatureMessage
from chainnode.engine.ports import Urgency
from chainnode.model.checkpoint import Checkpoint
from chainnode.model.cosignature import TIME_BYTES, cosign, verify_cosignature
from chainnode.model.cosigned import CosignedCheckpoint, decode_cosigned, encode_cosigned
from chainnode.model.errors import CannotTell, DecodeError, PeerFault, ProofInvalid
from chainnode.model.note import MAX_NOTE_SIGNATURES, Signature, cosigner_key
from chainnode.model.suites import ML_DSA_44, key_suite_named
from contracts.query import second_key_in

if TYPE_CHECKING:
    from chainnode.engine.messages import StatusMessage
    from chainnode.engine.ports import Clock, Network
    from chainnode.keystore.signer import Signer
    from chainnode.ledger.ledger import Ledger
    from chainnode.model.genesis import Genesis
    from chainnode.model.note import VerifierKey
    from chainnode.model.validators import Validator
    from chainnode.services.ports import Witness

MAX_OPEN_HEIGHTS: Final = 64
"""Heights whose cosignatures are being gathered; with blocks of 40 ms, 2.5 seconds. Older ones are superseded."""

MAX_EARLY: Final = 2
"""How many heights above the tip a cosignature may be and still be kept: whoever is further behind will hear newer
ones, and older ones again on the word of its STATUS."""

MAX_SKEW_S: Final = 300
"""A cosignature's time is shown to whoever verifies a proof. One that lies this far before its block's time or after
our clock is not taken: the validator's clock is wrong, which is no breach of the protocol, but no testimony either."""

MAX_COSIGNATURES: Final = MAX_NOTE_SIGNATURES - 1
"""In one checkpoint: verifiers read no longer notes, and the log's own signature comes first. Those of the chain's suite have
precedence, so of more than 73 validators a quorum does not fit twice."""

_MS_PER_S: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cosignature:
    """What one validator has made of one checkpoint; both bear the same time."""

    first: Signature
    second: Signature | None
    """Of its ML-DSA-44 key."""


@dataclass(slots=True)
class _Gathering:
    """The cosignatures of one height."""

    checkpoint: Checkpoint
    block_s: int
    """The block's time; the earliest at which an exact clock can have cosigned it."""

    quorum: int
    members: tuple[Validator, ...]
    second_keys: tuple[bytes | None, ...]
    """By member, as the state has them after that height."""

    signatures: dict[int, _Cosignature] = field(default_factory=dict)


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
        self._early: dict[tuple[int, int], CosignatureMessage] = {}
        self._newest = _newest_of(ledger)

    @property
    def newest(self) -> CosignedCheckpoint | None:
        """The newest checkpoint with a quorum, or None before the first."""
        return self._newest

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
            members=validators.members,
            second_keys=tuple(self._second_key_of(v) for v in validators.members),
        )
        self._open[tip.height] = gathering
        while len(self._open) > MAX_OPEN_HEIGHTS:
            del self._open[min(self._open)]
        own = self._own_index(validators.members)
        if own is not None:
            time_s = self._clock.now_ms() // _MS_PER_S
            made = self._make(gathering, own, time_s)
            self._take(tip.height, own, made)
            self._network.broadcast(self._message(tip.height, own, made), Urgency.NORMAL)
        for height, sender in sorted(k for k in self._early if k[0] <= tip.height):
            message = self._early.pop((height, sender))
            if height == tip.height and self._is_plausible(gathering, message):
                # It was stored unverified, so the fault cannot be pinned on a link any more.
                self._verify_and_take(gathering, sender, message)

    def receive(self, peer: str, message: CosignatureMessage) -> None:
        """Take a validator's cosignature.

        Raises:
            PeerFault: its signature does not hold for the log that this node has at that height.
        """
        gathering = self._open.get(message.height)
        if gathering is None:
            self._keep_early(peer, message)
            return
        if message.sender in gathering.signatures:
            return
        if not self._is_plausible(gathering, message):
            return
        if not self._verify_and_take(gathering, message.sender, message):
            raise PeerFault(
                f"{peer} sent a cosignature of height {message.height} by validator "
                f"{message.sender} that does not hold",
                code="bad_cosignature",
            )

    def _keep_early(self, peer: str, message: CosignatureMessage) -> None:
        """Keep a validator's own cosignature of a block that is not here yet, until it is."""
        above = message.height - self._ledger.tip.height
        if not 0 < above <= MAX_EARLY:
            return
        members = self._ledger.validators(message.height).members
        # From the link of the signer alone, so that nobody takes another's place.
        if message.sender < len(members) and members[message.sender].name == peer:
            self._early[message.height, message.sender] = message

    def resend(self, peer: str, status: StatusMessage) -> None:
        """Send a peer what its status shows it lacks of its tip's cosignatures."""
        gathering = self._open.get(status.tip_height)
        if gathering is None:
            return
        for sender in sorted(gathering.signatures.keys() - set(status.tip_cosigners)):
            message = self._message(status.tip_height, sender, gathering.signatures[sender])
            self._network.send(peer, message, Urgency.NORMAL)

    def tip_cosigners(self) -> tuple[int, ...]:
        """Return the validators whose cosignature of the tip is here, rising."""
        gathering = self._open.get(self._ledger.tip.height)
        return () if gathering is None else tuple(sorted(gathering.signatures))

    def _is_plausible(self, gathering: _Gathering, message: CosignatureMessage) -> bool:
        latest_s = self._clock.now_ms() // _MS_PER_S + MAX_SKEW_S
        return gathering.block_s - MAX_SKEW_S <= message.timestamp <= latest_s

    def _verify_and_take(
        self, gathering: _Gathering, sender: int, message: CosignatureMessage
    ) -> bool:
        if sender >= len(gathering.members):
            return False
        text, member = gathering.checkpoint.text(), gathering.members[sender]
        first = _received(self._key(member), message.timestamp, message.signature)
        second_key, second = gathering.second_keys[sender], None
        try:
            verify_cosignature(self._key(member), text, first)
            if second_key is not None and message.second is not None:
                key = self._second_verifier(member, second_key)
                second = _received(key, message.timestamp, message.second)
                verify_cosignature(key, text, second)
        except (DecodeError, ProofInvalid):
            # One without a single byte has no time in it, as a note would have it, and is none.
            return False
        except CannotTell:
            # Only of the second: what this installation cannot judge it does not hand on.
            second = None
        self._take(message.height, sender, _Cosignature(first=first, second=second))
        return True

    def _make(self, gathering: _Gathering, own: int, time_s: int) -> _Cosignature:
        text, member = gathering.checkpoint.text(), gathering.members[own]
        second_key, second = gathering.second_keys[own], None
        if self._second is not None and second_key == self._second.public_key:
            key = self._second_verifier(member, second_key)
            second = cosign(text, time_s, key, self._second.sign)
        first = cosign(text, time_s, self._key(member), self._signer.sign)
        return _Cosignature(first=first, second=second)

    def _take(self, height: int, sender: int, made: _Cosignature) -> None:
        gathering = self._open[height]
        gathering.signatures[sender] = made
        if len(gathering.signatures) < gathering.quorum:
            return
        if self._newest is not None and self._newest.height > height:
            return
        is_news = self._newest is None or self._newest.height < height
        gathered = [gathering.signatures[member] for member in sorted(gathering.signatures)]
        second = [one.second for one in gathered if one.second is not None]
        self._newest = CosignedCheckpoint(
            height=height,
            checkpoint=gathering.checkpoint,
            signatures=(*(one.first for one in gathered), *second)[:MAX_COSIGNATURES],
        )
        if is_news or len(gathering.signatures) == len(gathering.members):
            # Twice for a height at most. A crash may lose it: the validators then cosign their tips anew.
            self._ledger.save_checkpoint(encode_cosigned(self._newest))
        for old in [h for h in self._open if h < height]:
            del self._open[old]
        if is_news:
            self._witness.checkpoint_cosigned(height)

    def _own_index(self, members: tuple[Validator, ...]) -> int | None:
        key = self._signer.public_key
        return next((i for i, v in enumerate(members) if v.cosigner_key == key), None)

    def _key(self, validator: Validator) -> VerifierKey:
        name = f"{self._genesis.chain_id}/{validator.name}"
        return cosigner_key(self._genesis.suite, name, validator.cosigner_key)

    def _second_key_of(self, validator: Validator) -> bytes | None:
        """Return what the tip's state has as a validator's second key."""
        said = second_key_in(self._ledger.state, validator.name)
        return None if said is None else said.key_for(validator.cosigner_key)

    def _second_verifier(self, validator: Validator, public_key: bytes) -> VerifierKey:
        name = f"{self._genesis.chain_id}/{validator.name}"
        return cosigner_key(key_suite_named(ML_DSA_44), name, public_key)

    @staticmethod
    def _message(height: int, sender: int, made: _Cosignature) -> bytes:
        first, second = made.first.value, made.second
        return encode_message(
            CosignatureMessage(
                height=height,
                sender=sender,
                timestamp=int.from_bytes(first[:TIME_BYTES], "big"),
                signature=first[TIME_BYTES:],
                second=None if second is None else second.value[TIME_BYTES:],
            )
        )


def _received(key: VerifierKey, time_s: int, signature: bytes) -> Signature:
    """Return the line that a message's parts make in a note."""
    value = time_s.to_bytes(TIME_BYTES, "big") + signature
    return Signature(name=key.name, key_id=key.key_id, value=value)


def _newest_of(ledger: Ledger) -> CosignedCheckpoint | None:
    """Return the newest checkpoint of before the restart, unless the ledger has fallen behind it."""
    data = ledger.load_checkpoint()
    if data is None:
        return None
    loaded = decode_cosigned(data)
    return loaded if loaded.height <= ledger.tip.height else None
