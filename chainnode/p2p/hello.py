"""The first thing that two peers tell each other, before anything else is read.

    hello = [version, chain_id, genesis_hash (32 bytes), sender, receiver, dialled]

TLS has already shown which validator this is. The hello shows that both are of one chain, have a version in common
and agree on who dials whom, so that a wrong configuration ends in one clear sentence on both sides.

Each side states the newest version that it speaks, and the link speaks the lower of the two. An older node cannot know
whether a newer one still speaks its version, and goes on; the newer one knows, and hangs up if it does not. So a release
that raises the version and speaks the one before as well can be rolled out one node at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from chainnode.model import codec
from chainnode.model.errors import PeerFault
from chainnode.model.limits import MAX_CHAIN_ID_BYTES, MAX_NAME_BYTES

PROTOCOL_VERSION: Final = 1
"""Of hello, frames and known messages together. Raised only by what an older node would take for a fault or misunderstand;
a new kind of message is none of that, since unknown kinds are ignored."""

OLDEST_VERSION: Final = 1
"""The lowest that is spoken still. A release that raises PROTOCOL_VERSION leaves this one behind by at least one."""

MAX_HELLO_BYTES: Final = 512

_HASH_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """What one side says of itself and expects of the other."""

    version: int
    """PROTOCOL_VERSION of the sender: the newest that it speaks, 1 to 65,535."""

    chain_id: str
    genesis_hash: bytes
    """32 bytes."""

    sender: str
    """Validator that sends this."""

    receiver: str
    """Validator that it believes to talk to."""

    dialled: bool
    """Whether the sender dialled; the validator whose name comes first does."""

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        return codec.encode(
            (
                self.version,
                self.chain_id,
                self.genesis_hash,
                self.sender,
                self.receiver,
                self.dialled,
            )
        )


def decode_hello(data: bytes) -> Hello:
    """Decode a hello.

    Raises:
        DecodeError: not the canonical bytes of any.
    """
    version, chain_id, genesis_hash, sender, receiver, dialled = codec.decode_array(
        data, max_bytes=MAX_HELLO_BYTES, arity=6, what="hello"
    )
    return Hello(
        version=codec.integer(version, "version", least=1, most=65_535),
        chain_id=codec.text(chain_id, "chain_id", most_bytes=MAX_CHAIN_ID_BYTES),
        genesis_hash=codec.binary(genesis_hash, "genesis_hash", size=_HASH_BYTES),
        sender=codec.text(sender, "sender", most_bytes=MAX_NAME_BYTES),
        receiver=codec.text(receiver, "receiver", most_bytes=MAX_NAME_BYTES),
        dialled=codec.boolean(dialled, "dialled"),
    )


def check_hello(theirs: Hello, ours: Hello, *, oldest: int = OLDEST_VERSION) -> None:
    """Refuse a peer of another chain or of a version below `oldest`, or one that mistakes who is who.

    Raises:
        PeerFault: `hello_mismatch`; the message names what was found and what was expected.
    """
    if theirs.version < oldest:
        raise PeerFault(
            f"hello: version is {theirs.version}, expected {oldest} or newer; that node must be upgraded",
            code="hello_mismatch",
            field="version",
        )
    for what, found, expected in (
        ("chain_id", theirs.chain_id, ours.chain_id),
        ("genesis_hash", theirs.genesis_hash.hex(), ours.genesis_hash.hex()),
        ("sender", theirs.sender, ours.receiver),
        ("receiver", theirs.receiver, ours.sender),
        ("dialled", theirs.dialled, not ours.dialled),
    ):
        if found != expected:
            raise PeerFault(
                f"hello: {what} is {found!r}, expected {expected!r}",
                code="hello_mismatch",
                field=what,
            )
