"""What validators sign: fixed bytes, no two statements alike."""

from __future__ import annotations

import itertools

from chainnode.model.votes import (
    COMMIT,
    MAX_VIEW,
    PREPARE,
    PROPOSE,
    VIEW_CHANGE,
    view_change_message,
    vote_message,
)
from tests.support.chain import make_chain

DOMAIN = make_chain().genesis.domain
ONE, OTHER = b"\1" * 32, b"\2" * 32


def test_a_vote_is_its_kind_height_view_and_digest() -> None:
    expected = bytes.fromhex("02" + "0000000000000102" + "00000003") + ONE
    assert vote_message(DOMAIN, PREPARE, 258, 3, ONE) == DOMAIN.context("vote") + expected


def test_a_view_change_states_what_was_prepared_or_minus_one() -> None:
    start = DOMAIN.context("vote") + bytes.fromhex("04" + "0000000000000102" + "00000003")
    assert view_change_message(DOMAIN, 258, 3, (2, ONE)) == start + b"\0\0\0\2" + ONE
    assert view_change_message(DOMAIN, 258, 3, None) == start + b"\xff" * 4 + bytes(32)


def test_views_go_up_to_the_largest_that_is_decoded() -> None:
    assert vote_message(DOMAIN, COMMIT, 2**63 - 1, MAX_VIEW, ONE)
    assert view_change_message(DOMAIN, 2**63 - 1, MAX_VIEW, (MAX_VIEW, ONE))


def test_no_two_statements_are_signed_by_the_same_bytes() -> None:
    votes = itertools.product((PROPOSE, PREPARE, COMMIT), (1, 2), (0, 1), (ONE, OTHER))
    changes = itertools.product((1, 2), (1, 2), (None, (0, ONE), (0, OTHER), (1, ONE)))
    messages = [vote_message(DOMAIN, *vote) for vote in votes]
    messages += [view_change_message(DOMAIN, *change) for change in changes]
    assert len(set(messages)) == len(messages)
    assert {len(m) - len(DOMAIN.context("vote")) for m in messages} == {45, 49}
    assert VIEW_CHANGE not in (PROPOSE, PREPARE, COMMIT)
