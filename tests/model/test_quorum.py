"""Quorums: what agreement and progress rest on, for every size of a set."""

from __future__ import annotations

import pytest

from chainnode.model.quorum import faulty_of, quorum_of


@pytest.mark.parametrize("n", range(1, 201))
def test_two_quorums_share_a_correct_validator_and_the_correct_ones_make_one(n: int) -> None:
    q, f = quorum_of(n), faulty_of(n)
    assert 2 * q - n >= f + 1
    assert n - f >= q
    assert 3 * f + 1 <= n < 3 * (f + 1) + 1
    assert 3 * q > 2 * n >= 3 * (q - 1)


def test_the_sizes_that_people_will_use() -> None:
    assert [(quorum_of(n), faulty_of(n)) for n in (1, 2, 3, 4, 5, 6, 7, 10, 13, 100)] == [
        (1, 0),
        (2, 0),
        (3, 0),
        (3, 1),
        (4, 1),
        (5, 1),
        (5, 2),
        (7, 3),
        (9, 4),
        (67, 33),
    ]


@pytest.mark.parametrize("count", [quorum_of, faulty_of])
@pytest.mark.parametrize("n", [0, -1])
def test_an_empty_set_has_none(count, n: int) -> None:
    with pytest.raises(ValueError, match="at least one"):
        count(n)
