"""Cosigned checkpoints as nodes keep and exchange them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chainnode.model.checkpoint import Checkpoint
from chainnode.model.cosigned import MAX_COSIGNED_BYTES, decode_cosigned, encode_cosigned
from chainnode.model.errors import DecodeError
from chainnode.model.note import Signature
from tests.support.formats import SUITES, samples

COSIGNED = samples(SUITES[0]).cosigned
LINE = COSIGNED.signatures[0]
SHORT = Signature(name="a" * 193, key_id=bytes(4), value=bytes(72))
LONGEST = Signature(name="a" * 193, key_id=bytes(4), value=bytes(2_428))


def test_a_cosigned_checkpoint_is_read_back() -> None:
    assert decode_cosigned(encode_cosigned(COSIGNED)) == COSIGNED


def test_the_largest_one_fits() -> None:
    largest = replace(
        COSIGNED,
        height=2**63 - 1,
        checkpoint=Checkpoint(origin="a" * 128, size=2**63 - 1, root=bytes(32)),
        signatures=(SHORT,) * 100 + (LONGEST,) * 100,
    )
    assert len(encode_cosigned(largest)) <= MAX_COSIGNED_BYTES
    assert decode_cosigned(encode_cosigned(largest)) == largest


@pytest.mark.parametrize(
    "bad",
    [
        replace(COSIGNED, height=0),
        replace(COSIGNED, checkpoint=replace(COSIGNED.checkpoint, origin="a" * 129)),
        replace(COSIGNED, checkpoint=replace(COSIGNED.checkpoint, size=-1)),
        replace(COSIGNED, checkpoint=replace(COSIGNED.checkpoint, root=bytes(31))),
        replace(COSIGNED, signatures=(LINE,) * 201),
        replace(COSIGNED, signatures=(replace(LINE, name="a" * 194),)),
        replace(COSIGNED, signatures=(replace(LINE, key_id=bytes(3)),)),
        replace(COSIGNED, signatures=(replace(LINE, value=bytes(2_429)),)),
    ],
)
def test_others_are_refused(bad) -> None:
    with pytest.raises(DecodeError):
        decode_cosigned(encode_cosigned(bad))


def lines(first, second, *, most, quorum):
    made = replace(COSIGNED, signatures=(SHORT,) * first + (LONGEST,) * second)
    chosen = made.lines(most, quorum)
    assert len(chosen) <= most
    return (chosen.count(SHORT), chosen.count(LONGEST))


@pytest.mark.parametrize(
    ("first", "second", "most", "quorum", "expected"),
    [
        (4, 4, 99, 3, (4, 4)),
        (60, 60, 99, 41, (58, 41)),
        (73, 73, 99, 49, (50, 49)),
        (73, 48, 99, 49, (73, 0)),
        (74, 74, 99, 50, (74, 0)),
        (100, 0, 99, 67, (99, 0)),
        (61, 61, 83, 41, (42, 41)),
    ],
)
def test_a_quorum_of_both_kinds_is_kept_as_long_as_it_fits(first, second, most, quorum, expected):
    assert lines(first, second, most=most, quorum=quorum) == expected
