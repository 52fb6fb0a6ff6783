"""Records: leaves of the public log."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chainnode.model import codec
from chainnode.model.errors import DecodeError
from chainnode.model.limits import MAX_RECORD_BYTES
from chainnode.model.receipt import decode_receipt
from chainnode.model.record import PARENT_KIND, decode_record
from tests.support.formats import SUITES, samples

RECORD = samples(SUITES[0]).record
PARENT = samples(SUITES[0]).parent
RECEIPT, FAILED = samples(SUITES[0]).receipts


def test_a_leaf_is_read_back() -> None:
    assert decode_record(RECORD.encode()) == RECORD


def test_the_first_leaf_of_a_block_vouches_for_the_block_before() -> None:
    parent = decode_record(PARENT.encode())
    assert parent == PARENT
    assert parent.kind == PARENT_KIND
    assert parent.body == (1, samples(SUITES[0]).certificate.block_hash)
    assert (parent.tx_id, parent.call, parent.item) == (bytes(32), 0, 0)
    assert (parent.contract, parent.account) == ("", "")


@pytest.mark.parametrize(
    "bad",
    [
        {"kind": ""},
        {"kind": "Notary"},
        {"height": 0},
        {"time_ms": -1},
        {"not_before_ms": -1},
        {"not_after_ms": 2**63},
        {"tx_id": bytes(31)},
        {"call": 100},
        {"item": 10_000},
        {"contract": ""},
        {"contract": "a b"},
        {"account": ""},
        {"account": "clerk"},
        {"body": "text"},
        {"body": (bytes(MAX_RECORD_BYTES),)},
    ],
)
def test_leaves_that_cannot_be_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(DecodeError):
        decode_record(replace(RECORD, **bad).encode())


def test_there_is_one_version_of_a_leaf_and_of_a_receipt() -> None:
    for data, decode in ((RECORD.encode(), decode_record), (RECEIPT.encode(), decode_receipt)):
        fields = codec.array(codec.decode(data, max_bytes=1_000), "fields")
        with pytest.raises(DecodeError, match="version"):
            decode(codec.encode((2, *fields[1:])))


@pytest.mark.parametrize(
    "changes",
    [
        {"tx_id": b"\x01" * 32},
        {"call": 1},
        {"item": 1},
        {"contract": "notary"},
        {"account": "justice/desk"},
        {"body": (PARENT.height, PARENT.body[1])},
        {"body": PARENT.body[:1]},
        {"body": (*PARENT.body, 0)},
    ],
)
def test_a_parent_record_holds_nothing_but_its_parent(changes) -> None:
    with pytest.raises(DecodeError):
        decode_record(replace(PARENT, **changes).encode())
