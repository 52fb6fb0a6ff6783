"""Vote records: what a crash leaves is read back as the core's records with their signatures."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainnode.engine.vote_records import (
    CHANGED,
    LOCKED,
    PROPOSED,
    VIEW_ENTERED,
    VOTED,
    decode_records,
    encode_records,
)
from chainnode.model import codec
from chainnode.model.errors import StorageFault
from chainnode.storage.vote_log import VoteRecord
from consensus.effects import Decided, Locked, Proposed, ViewEntered, Voted
from consensus.messages import Commit, CommitCertificate, Justification, Prepare, Proposal, Propose
from tests.support.claims import (
    DIGEST,
    HEIGHT,
    LEADERS,
    book_of,
    certificate,
    know_all,
    view_change,
    vote,
)
from tests.support.formats import SUITES, samples

CHAIN = samples(SUITES[0]).chain
SET = CHAIN.genesis.validator_set
ME = 1


def proposed(justification: Justification | None) -> Proposed:
    claim = vote(Propose, ME, view=1)
    return Proposed(
        proposal=Proposal(
            height=claim.height,
            view=claim.view,
            digest=claim.digest,
            sender=claim.sender,
            first_view=0,
            proposer=0,
            justification=justification,
        )
    )


FREE = Justification(view_changes=(view_change(0), view_change(2), view_change(3)), prepared=None)
BOUND = Justification(
    view_changes=(view_change(0), view_change(2, prepared=0), view_change(3)),
    prepared=certificate(),
)
RECORDS = {
    "view entered": ViewEntered(height=HEIGHT, view=3),
    "first proposal": proposed(None),
    "proposal of a free choice": proposed(FREE),
    "proposal of what was prepared": proposed(BOUND),
    "prepare": Voted(vote=vote(Prepare, ME)),
    "commit": Voted(vote=vote(Commit, ME)),
    "view change": Voted(vote=view_change(ME)),
    "view change with a lock": Voted(vote=view_change(ME, prepared=0)),
    "lock": Locked(certificate=certificate()),
}


def my_book():
    book = book_of(CHAIN, ME)
    know_all(CHAIN, book, *BOUND.view_changes, *FREE.view_changes, *certificate().claims(LEADERS))
    return book


def written(name: str) -> VoteRecord:
    (record,) = encode_records((RECORDS[name],), my_book(), LEADERS)
    return record


def read(record: VoteRecord, me: int = ME):
    return decode_records((record,), book_of(CHAIN, ME), SET, LEADERS, me)


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_is_read_back_as_it_was_written(name: str) -> None:
    record = written(name)
    assert record.height == HEIGHT
    assert read(record) == (RECORDS[name],)


def test_the_kinds_are_those_of_the_format() -> None:
    assert [written(name).kind for name in RECORDS] == [
        *(VIEW_ENTERED, PROPOSED, PROPOSED, PROPOSED),
        *(VOTED, VOTED, CHANGED, CHANGED, LOCKED),
    ]
    assert (VIEW_ENTERED, PROPOSED, VOTED, CHANGED, LOCKED) == (1, 2, 3, 4, 5)


def test_a_restarted_validator_repeats_itself_with_the_same_signatures() -> None:
    before, after = my_book(), book_of(CHAIN, ME)
    decode_records(
        encode_records(tuple(RECORDS.values()), before, LEADERS), after, SET, LEADERS, ME
    )
    own = [vote(Prepare, ME), vote(Commit, ME), vote(Propose, ME, view=1), view_change(ME)]
    for claim in (*own, *BOUND.view_changes, *certificate().claims(LEADERS)):
        assert after.find(claim) == before.find(claim) is not None


def test_a_decision_needs_no_record() -> None:
    decision = CommitCertificate(height=HEIGHT, view=0, digest=DIGEST, signers=(0, 1, 2))
    assert encode_records((Decided(certificate=decision),), my_book(), LEADERS) == ()


def record(kind: int, value: codec.Value, height: int = HEIGHT) -> VoteRecord:
    return VoteRecord(kind=kind, height=height, payload=codec.encode(value))


def parts(name: str) -> tuple[codec.Value, ...]:
    value = codec.decode(written(name).payload, max_bytes=100_000)
    return codec.array(value, "record")


@pytest.mark.parametrize(
    "bad",
    [
        VoteRecord(kind=VIEW_ENTERED, height=HEIGHT, payload=b""),
        record(VIEW_ENTERED, ()),
        record(VIEW_ENTERED, (-1,)),
        record(VIEW_ENTERED, (2**31,)),
        record(0, (1,)),
        record(6, (1,)),
        record(VOTED, (1, *parts("prepare")[1:])),
        record(VOTED, (4, *parts("prepare")[1:])),
        record(VOTED, (*parts("prepare")[:3], bytes(129))),
        record(VOTED, (*parts("prepare")[:2], bytes(31), parts("prepare")[3])),
        record(CHANGED, ()),
        record(CHANGED, parts("view change"), height=HEIGHT + 1),
        record(LOCKED, (None,)),
        record(LOCKED, (0,)),
        record(LOCKED, parts("lock"), height=HEIGHT + 1),
        record(PROPOSED, parts("first proposal")[:-1]),
        record(PROPOSED, (*parts("first proposal")[:-1], 1)),
        record(PROPOSED, (*parts("first proposal")[:3], 100, *parts("first proposal")[4:])),
        record(PROPOSED, parts("proposal of what was prepared"), height=HEIGHT + 1),
    ],
)
def test_a_record_that_is_not_ours_stops_the_node(bad: VoteRecord) -> None:
    with pytest.raises(StorageFault, match="vote log"):
        read(bad)


def test_the_log_of_another_validator_is_noticed_by_its_view_changes() -> None:
    with pytest.raises(StorageFault, match="vote log"):
        read(written("view change"), me=2)


@settings(max_examples=100)
@given(st.sampled_from(sorted(RECORDS)), st.data())
def test_changed_bytes_are_read_or_stop_the_node(name: str, data: st.DataObject) -> None:
    whole = written(name)
    payload = bytearray(whole.payload)
    at = data.draw(st.integers(0, len(payload) - 1))
    payload[at] = data.draw(st.integers(0, 255))
    changed = VoteRecord(kind=whole.kind, height=whole.height, payload=bytes(payload))
    try:
        read(changed)
    except StorageFault:
        return
