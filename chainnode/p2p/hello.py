"""The first thing that two peers tell each other, before anything else is read.

    hello = [version, chain_id, genesis_hash (32 bytes), sender, receiver, dialled]

TLS has already shown which validator this is. The hello shows that both are of one chain, speak one version
and agree on who dials whom, so that a wrong configuration ends in one clear sentence on both sides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from chainnode.model import codec
from chainnode.model.errors import PeerFault
from chainnode.model.limits import MAX_CHAIN_ID_BYTES, MAX_NAME_BYTES

PROTOCOL_VERSION: Final = 1
"""Of frames and messages together. Nodes of different versions do not talk."""

MAX_HELLO_BYTES: Final = 512

_HASH_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """What one side says of itself and expects of the other."""

    version: int
    """PROTOCOL_VERSION of the sender, 1 to 65,535."""

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


def check_hello(theirs: Hello, ours: Hello) -> None:
    """Refuse a peer that is of another chain or version, or mistakes who is who.

    Raises:
        PeerFault: `hello_mismatch`; the message names what was found and what was expected.
    """
    for what, found, expected in (
        ("version", theirs.version, ours.version),
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
