"""Receipts: the outcome of each transaction."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chainnode.model.errors import DecodeError
from chainnode.model.receipt import MAX_RECEIPT_BYTES, decode_receipt
from tests.support.formats import SUITES, samples

RECEIPT, FAILED = samples(SUITES[0]).receipts


@pytest.mark.parametrize("receipt", [RECEIPT, FAILED])
def test_a_receipt_is_read_back(receipt) -> None:
    assert decode_receipt(receipt.encode()) == receipt


def test_the_largest_receipt_fits() -> None:
    largest = replace(FAILED, code="a" * 64, message="公" * 170, first_record=2**63 - 1)
    assert len(largest.encode()) <= MAX_RECEIPT_BYTES
    assert decode_receipt(largest.encode()) == largest


@pytest.mark.parametrize(
    "bad",
    [
        replace(RECEIPT, code="refused"),
        replace(FAILED, code=""),
        replace(RECEIPT, message="a success needs no words"),
        replace(FAILED, record_count=1),
        replace(FAILED, code="a" * 65),
        replace(FAILED, message="公" * 171),
        replace(RECEIPT, tx_id=bytes(31)),
        replace(RECEIPT, succeeded=1),
        replace(RECEIPT, first_record=-1),
        replace(RECEIPT, record_count=10_001),
    ],
)
def test_receipts_that_cannot_be_are_refused(bad) -> None:
    with pytest.raises(DecodeError):
        decode_receipt(bad.encode())
