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
LONGEST = Signature(name="a" * 193, key_id=bytes(4), value=bytes(2_428))


def test_a_cosigned_checkpoint_is_read_back() -> None:
    assert decode_cosigned(encode_cosigned(COSIGNED)) == COSIGNED


def test_the_largest_one_fits() -> None:
    largest = replace(
        COSIGNED,
        height=2**63 - 1,
        checkpoint=Checkpoint(origin="a" * 128, size=2**63 - 1, root=bytes(32)),
        signatures=(LONGEST,) * 100,
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
        replace(COSIGNED, signatures=(LINE,) * 101),
        replace(COSIGNED, signatures=(replace(LINE, name="a" * 194),)),
        replace(COSIGNED, signatures=(replace(LINE, key_id=bytes(3)),)),
        replace(COSIGNED, signatures=(replace(LINE, value=bytes(2_429)),)),
    ],
)
def test_others_are_refused(bad) -> None:
    with pytest.raises(DecodeError):
        decode_cosigned(encode_cosigned(bad))
