"""Messages between validators: golden bytes, one encoding each, and every bound."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainnode.engine.message_codec import decode_message, encode_message
from chainnode.engine.messages import (
    LAST_KIND,
    MAX_BLOCKS_PER_ANSWER,
    MAX_SHOWN,
    MAX_TRANSACTIONS_PER_MESSAGE,
    BlocksMessage,
    ClockMessage,
    CloneMessage,
    CosignatureMessage,
    DecidedMessage,
    FetchBlocksMessage,
    FetchMessage,
    FetchOutlineMessage,
    HeardMessage,
    Message,
    OutlineMessage,
    PreparedProof,
    PresenceMessage,
    ProposeMessage,
    SecondCosignatureMessage,
    SignedChange,
    StatusMessage,
    TransactionsMessage,
    UnknownMessage,
    ViewChangeMessage,
    Vote,
)
from chainnode.model import codec
from chainnode.model.block import MAX_CERTIFIED_BLOCK_BYTES, MAX_OUTLINE_BYTES
from chainnode.model.errors import DecodeError
from chainnode.model.limits import (
    MAX_BLOCK_TRANSACTIONS,
    MAX_CERTIFICATE_BYTES,
    MAX_MESSAGE_BYTES,
    MAX_TRANSACTION_BYTES,
    MAX_VALIDATORS,
)
from chainnode.model.votes import COMMIT, PREPARE
from tests.support.chain import random_bytes
from tests.support.encodings import foreign_kinds, is_refused, longer_forms, other_kinds
from tests.support.golden import as_json, check_golden
from tests.support.message_kinds import Kind, kind_of
from tests.support.refusals import refuses

DIGEST = random_bytes("digest")
SIGNATURE = random_bytes("signature", 64)
MAX_VIEW = 2**31 - 1

VOTE = Vote(kind=PREPARE, height=7, view=1, sender=3, digest=DIGEST, signature=SIGNATURE)
PROOF = PreparedProof(view=1, digest=DIGEST, signatures=((0, SIGNATURE), (2, SIGNATURE)))
LOCKED = SignedChange(height=7, view=2, sender=0, prepared=(1, DIGEST), signature=SIGNATURE)
FREE = SignedChange(height=7, view=2, sender=1, prepared=None, signature=SIGNATURE)
STATUS = StatusMessage(
    height=7,
    view=2,
    digest=DIGEST,
    has_proposal=True,
    prepares=(0, 2),
    commits=(1,),
    view_changes=(-1, 2, 0, -1),
    tip_height=6,
    cosigned_height=5,
    tip_cosigners=(0, 3),
)
PROPOSE = ProposeMessage(
    height=7,
    view=2,
    sender=1,
    signature=SIGNATURE,
    outline=random_bytes("outline", 40),
    changes=(LOCKED, FREE),
    proof=PROOF,
)

CHALLENGE, *OTHERS = sorted(random_bytes(f"challenge {i}") for i in range(MAX_SHOWN + 2))
CLONE = CloneMessage(
    validator="birch", challenge=CHALLENGE, shown=tuple(OTHERS[:2]), signature=SIGNATURE
)

MESSAGES: dict[str, Message] = {
    "STATUS": STATUS,
    "STATUS without a proposal": replace(
        STATUS, digest=None, has_proposal=False, prepares=(), commits=(), tip_cosigners=()
    ),
    "PROPOSE": PROPOSE,
    "PROPOSE in view 0": replace(PROPOSE, view=0, changes=(), proof=None),
    "PREPARE": VOTE,
    "COMMIT": replace(VOTE, kind=COMMIT),
    "VIEW-CHANGE": ViewChangeMessage(change=LOCKED, proof=PROOF),
    "VIEW-CHANGE, nothing prepared": ViewChangeMessage(change=FREE, proof=None),
    "DECIDED": DecidedMessage(random_bytes("certificate", 40)),
    "TRANSACTIONS": TransactionsMessage((b"first", b"second")),
    "FETCH": FetchMessage((DIGEST, random_bytes("other digest"))),
    "FETCH-OUTLINE": FetchOutlineMessage(7, DIGEST),
    "OUTLINE": OutlineMessage(random_bytes("outline", 40)),
    "FETCH-BLOCKS": FetchBlocksMessage(8, MAX_BLOCKS_PER_ANSWER),
    "BLOCKS": BlocksMessage((b"block 8", b"block 9")),
    "COSIGNATURE": CosignatureMessage(
        height=6, sender=2, timestamp=1_790_000_000, signature=SIGNATURE
    ),
    "CLOCK": ClockMessage(
        sent_ms=1_790_000_000_123, echoed_ms=1_789_999_999_100, received_ms=1_789_999_999_200
    ),
    "PRESENCE": PresenceMessage(CHALLENGE, (CHALLENGE, OTHERS[0])),
    "PRESENCE, nothing heard": PresenceMessage(CHALLENGE, ()),
    "CLONE": CLONE,
    "HEARD": HeardMessage((("ash", CHALLENGE), ("birch", OTHERS[0]))),
    "HEARD, nobody": HeardMessage(()),
    "SECOND-COSIGNATURE": SecondCosignatureMessage(
        height=6,
        sender=2,
        timestamp=1_790_000_000,
        signature=random_bytes("second cosignature", 2_420),
    ),
}
EVERY = pytest.mark.parametrize("name", MESSAGES)


def test_simulations_call_every_kind_by_its_name() -> None:
    found = {
        name.split(",")[0].split(" ")[0]: kind_of(encode_message(m)) for name, m in MESSAGES.items()
    }
    assert found == {kind.name.replace("_", "-"): kind for kind in Kind}


def test_every_message_gives_the_recorded_bytes() -> None:
    vectors = {}
    for name, message in MESSAGES.items():
        data = encode_message(message)
        value = codec.decode(data, max_bytes=MAX_MESSAGE_BYTES)
        vectors[name] = {"value": as_json(value), "bytes": data.hex()}
    check_golden("messages", vectors)


@EVERY
def test_a_message_is_read_back(name: str) -> None:
    assert decode_message(encode_message(MESSAGES[name])) == MESSAGES[name]


def read(data: bytes) -> None:
    try:
        message = decode_message(data)
    except DecodeError:
        return
    if isinstance(message, UnknownMessage):
        value = codec.decode(data, max_bytes=MAX_MESSAGE_BYTES)
        assert codec.encode(value) == data
        assert isinstance(value, tuple)
        assert value[0] == message.kind
    else:
        assert encode_message(message) == data


@EVERY
def test_no_other_encoding_is_taken(name: str) -> None:
    data = encode_message(MESSAGES[name])
    for make in (longer_forms, foreign_kinds):
        for what, other in make(data):
            assert is_refused(decode_message, other), what
    for length in range(len(data)):
        assert is_refused(decode_message, data[:length])
    assert is_refused(decode_message, data + b"\0")
    for other in other_kinds(data):
        read(other)


@EVERY
@settings(max_examples=60)
@given(data=st.data())
def test_changed_bytes_are_refused_or_are_another_message(name: str, data: st.DataObject) -> None:
    changed = bytearray(encode_message(MESSAGES[name]))
    places = st.tuples(st.integers(0, len(changed) - 1), st.integers(0, 255))
    for at, byte in data.draw(st.lists(places, min_size=1, max_size=4)):
        changed[at] = byte
    read(bytes(changed))


@given(st.binary(max_size=80))
def test_any_bytes_give_a_message_one_to_be_ignored_or_a_decode_error(data: bytes) -> None:
    read(data)


@pytest.mark.parametrize("kind", [0, LAST_KIND + 1, 255])
def test_a_kind_that_no_version_may_have_is_refused(kind: int) -> None:
    with refuses("unknown_kind", DecodeError):
        decode_message(codec.encode((kind, 0)))


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text(max_size=8)
    | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3).map(tuple),
    max_leaves=10,
)


@given(st.integers(19, LAST_KIND), st.lists(VALUES, max_size=5))
def test_whatever_a_newer_version_may_say_is_ignored(kind: int, rest: list[codec.Value]) -> None:
    assert decode_message(codec.encode((kind, *rest))) == UnknownMessage(kind)


@given(st.integers(1, 17), st.lists(VALUES, max_size=12))
def test_a_known_kind_is_never_ignored(kind: int, rest: list[codec.Value]) -> None:
    try:
        message = decode_message(codec.encode((kind, *rest)))
    except DecodeError:
        return
    assert not isinstance(message, UnknownMessage)


@pytest.mark.parametrize("kind", [19, LAST_KIND])
def test_an_unknown_message_that_is_not_canonical_or_too_large_is_refused(kind: int) -> None:
    data = codec.encode((kind, 5, b"x"))
    for make in (longer_forms, foreign_kinds):
        for what, other in make(data):
            assert is_refused(decode_message, other), what
    for length in range(len(data)):
        assert is_refused(decode_message, data[:length])
    assert is_refused(decode_message, data + b"\0")
    with refuses("too_large", DecodeError):
        decode_message(codec.encode((kind, bytes(MAX_MESSAGE_BYTES))))


@pytest.mark.parametrize("value", [(), None, 3, ("3",), (True,), (None,), (-1,), (256,), ((3,),)])
def test_what_does_not_begin_with_a_kind_is_refused(value: codec.Value) -> None:
    with pytest.raises(DecodeError):
        decode_message(codec.encode(value))


@EVERY
def test_a_message_has_as_many_parts_as_its_kind(name: str) -> None:
    parts = codec.array(codec.decode(encode_message(MESSAGES[name]), max_bytes=10_000), "parts")
    for other in (parts[:-1], (*parts, None)):
        with pytest.raises(DecodeError):
            decode_message(codec.encode(other))


LARGEST: list[Message] = [
    replace(VOTE, height=2**63 - 1, view=MAX_VIEW, sender=MAX_VALIDATORS - 1, signature=bytes(128)),
    replace(
        STATUS,
        prepares=tuple(range(MAX_VALIDATORS)),
        commits=tuple(range(MAX_VALIDATORS)),
        view_changes=(MAX_VIEW,) * MAX_VALIDATORS,
        tip_cosigners=tuple(range(MAX_VALIDATORS)),
    ),
    replace(
        PROPOSE,
        outline=bytes(MAX_OUTLINE_BYTES),
        changes=(replace(LOCKED, prepared=(MAX_VIEW, DIGEST)),) * MAX_VALIDATORS,
        proof=replace(PROOF, signatures=tuple((i, SIGNATURE) for i in range(MAX_VALIDATORS))),
    ),
    DecidedMessage(bytes(MAX_CERTIFICATE_BYTES)),
    TransactionsMessage((b"",) * MAX_TRANSACTIONS_PER_MESSAGE),
    TransactionsMessage((bytes(MAX_TRANSACTION_BYTES),)),
    FetchMessage((DIGEST,) * MAX_BLOCK_TRANSACTIONS),
    OutlineMessage(bytes(MAX_OUTLINE_BYTES)),
    FetchBlocksMessage(1, 1),
    BlocksMessage((b"",) * MAX_BLOCKS_PER_ANSWER),
    BlocksMessage((bytes(MAX_CERTIFIED_BLOCK_BYTES),)),
    ClockMessage(sent_ms=0, echoed_ms=0, received_ms=2**63 - 1),
    PresenceMessage(CHALLENGE, tuple(OTHERS[:MAX_SHOWN])),
    replace(CLONE, validator="v" * 64, shown=tuple(OTHERS[:MAX_SHOWN]), signature=bytes(128)),
    HeardMessage(tuple((f"{number:064}", CHALLENGE) for number in range(MAX_VALIDATORS))),
]


@pytest.mark.parametrize("message", LARGEST, ids=lambda m: type(m).__name__)
def test_messages_at_their_bounds_are_taken(message: Message) -> None:
    assert decode_message(encode_message(message)) == message


BEYOND: list[Message] = [
    replace(VOTE, height=-1),
    replace(VOTE, view=-1),
    replace(VOTE, view=MAX_VIEW + 1),
    replace(VOTE, sender=MAX_VALIDATORS),
    replace(VOTE, digest=bytes(31)),
    replace(VOTE, signature=bytes(129)),
    replace(STATUS, prepares=(1, 1)),
    replace(STATUS, commits=(2, 1)),
    replace(STATUS, tip_cosigners=(3, 0)),
    replace(STATUS, prepares=(MAX_VALIDATORS,)),
    replace(STATUS, view_changes=(-2,)),
    replace(STATUS, view_changes=(MAX_VIEW + 1,)),
    replace(STATUS, view_changes=(0,) * (MAX_VALIDATORS + 1)),
    replace(STATUS, digest=b""),
    replace(STATUS, has_proposal=1),
    replace(PROPOSE, outline=bytes(MAX_OUTLINE_BYTES + 1)),
    replace(PROPOSE, changes=(FREE,) * (MAX_VALIDATORS + 1)),
    replace(PROPOSE, proof=replace(PROOF, signatures=())),
    replace(PROPOSE, proof=replace(PROOF, signatures=((1, SIGNATURE), (1, SIGNATURE)))),
    replace(PROPOSE, proof=replace(PROOF, signatures=((2, SIGNATURE), (1, SIGNATURE)))),
    replace(PROPOSE, proof=replace(PROOF, view=MAX_VIEW + 1)),
    ViewChangeMessage(change=replace(FREE, prepared=(-1, DIGEST)), proof=None),
    ViewChangeMessage(change=replace(FREE, prepared=(-2, DIGEST)), proof=None),
    DecidedMessage(bytes(MAX_CERTIFICATE_BYTES + 1)),
    TransactionsMessage(()),
    TransactionsMessage((b"",) * (MAX_TRANSACTIONS_PER_MESSAGE + 1)),
    TransactionsMessage((bytes(MAX_TRANSACTION_BYTES + 1),)),
    FetchMessage(()),
    FetchMessage((DIGEST,) * (MAX_BLOCK_TRANSACTIONS + 1)),
    FetchMessage((bytes(33),)),
    OutlineMessage(bytes(MAX_OUTLINE_BYTES + 1)),
    FetchBlocksMessage(0, 1),
    FetchBlocksMessage(1, 0),
    FetchBlocksMessage(1, MAX_BLOCKS_PER_ANSWER + 1),
    BlocksMessage(()),
    BlocksMessage((b"",) * (MAX_BLOCKS_PER_ANSWER + 1)),
    BlocksMessage((bytes(MAX_CERTIFIED_BLOCK_BYTES + 1),)),
    CosignatureMessage(height=1, sender=0, timestamp=-1, signature=SIGNATURE),
    SecondCosignatureMessage(height=1, sender=0, timestamp=1, signature=SIGNATURE),
    SecondCosignatureMessage(height=1, sender=0, timestamp=1, signature=bytes(2_421)),
    ClockMessage(sent_ms=-1, echoed_ms=0, received_ms=0),
    PresenceMessage(bytes(31), ()),
    PresenceMessage(CHALLENGE, tuple(OTHERS[: MAX_SHOWN + 1])),
    PresenceMessage(CHALLENGE, (OTHERS[1], OTHERS[0])),
    PresenceMessage(CHALLENGE, (OTHERS[0], OTHERS[0])),
    PresenceMessage(CHALLENGE, (bytes(33),)),
    replace(CLONE, validator="v" * 65),
    replace(CLONE, challenge=b""),
    replace(CLONE, shown=()),
    replace(CLONE, shown=tuple(OTHERS[: MAX_SHOWN + 1])),
    replace(CLONE, shown=(OTHERS[1], OTHERS[0])),
    replace(CLONE, shown=(CHALLENGE,)),
    replace(CLONE, signature=bytes(129)),
    HeardMessage(tuple((f"{number:03}", CHALLENGE) for number in range(MAX_VALIDATORS + 1))),
    HeardMessage((("v" * 65, CHALLENGE),)),
    HeardMessage((("ash", bytes(31)),)),
    HeardMessage((("ash", CHALLENGE), ("ash", CHALLENGE))),
    HeardMessage((("birch", CHALLENGE), ("ash", CHALLENGE))),
]


@pytest.mark.parametrize("message", BEYOND, ids=lambda m: type(m).__name__)
def test_messages_beyond_their_bounds_are_refused(message: Message) -> None:
    with pytest.raises(DecodeError):
        decode_message(encode_message(message))


def test_the_largest_proposal_fits_into_a_message_and_nothing_larger_is_read() -> None:
    assert len(encode_message(LARGEST[2])) < MAX_MESSAGE_BYTES
    with refuses("too_large", DecodeError):
        decode_message(bytes(MAX_MESSAGE_BYTES + 1))
