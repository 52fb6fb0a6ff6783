"""Fork forensics: from what correct nodes hold to evidence that names f + 1 guilty, and never anybody else."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainnode.model.errors import DecodeError, ProofInvalid
from chainnode.model.evidence import Statement, contradiction, pair, verify_evidence
from chainnode.model.forensics import (
    check_one_height,
    culprits,
    decode_testimony,
    encode_testimony,
    statements_of,
)
from chainnode.model.votes import COMMIT, PREPARE, PROPOSE, VIEW_CHANGE
from tests.support.chain import make_chain
from tests.support.misconduct import statement

CHAIN = make_chain(validators=7)
DOMAIN, SET = CHAIN.genesis.domain, CHAIN.genesis.validator_set
D, OTHER = bytes([1]) * 32, bytes([2]) * 32
HEIGHT = 5
QUORUM, LIARS = SET.quorum, SET.faulty + 1
ONE_SIDE, OTHER_SIDE = range(QUORUM), range(7 - QUORUM, 7)
GUILTY = {2, 3, 4}
"""In both quorums of five of seven."""


def vote(signer, digest, kind, view):
    return statement(CHAIN, signer, digest, kind=kind, height=HEIGHT, view=view)


def change(signer, view, lock=None):
    lock_view, digest = (None, None) if lock is None else lock
    unsigned = Statement(
        kind=VIEW_CHANGE,
        height=HEIGHT,
        signer=signer,
        view=view,
        digest=digest,
        prepared_view=lock_view,
        signature=b"",
    )
    key = CHAIN.validators[signer].consensus
    return dataclasses.replace(unsigned, signature=key.sign(unsigned.message(DOMAIN)))


def certificate(digest, view, signers):
    return statements_of(CHAIN.certificate(HEIGHT, digest, view=view, signers=signers))


def prepared(digest, view, signers, leader):
    return [vote(s, digest, PROPOSE if s == leader else PREPARE, view) for s in signers]


def accused(statements):
    return {e.signer for e in culprits(DOMAIN, SET, statements)}


def test_two_decisions_of_one_view_name_who_committed_both():
    both = (*certificate(D, 0, ONE_SIDE), *certificate(OTHER, 0, OTHER_SIDE))
    assert accused(both) == GUILTY
    assert len(GUILTY) >= LIARS


def test_a_lock_forgotten_in_a_later_view_names_who_forgot_it():
    both = (*certificate(D, 0, ONE_SIDE), *certificate(OTHER, 1, OTHER_SIDE))
    assert accused(both) == set(), "the certificates alone do not tell"
    justification = [change(s, 1) for s in OTHER_SIDE]
    assert accused((*both, *justification)) == GUILTY


def test_an_older_lock_put_before_a_newer_one_names_who_did():
    both = (*certificate(D, 2, ONE_SIDE), *certificate(OTHER, 3, OTHER_SIDE))
    justification = [change(s, 3, (0, OTHER)) for s in OTHER_SIDE]
    proof = prepared(OTHER, 0, OTHER_SIDE, 6)
    assert accused((*both, *justification, *proof)) == GUILTY


def test_two_blocks_prepared_in_the_view_of_the_decision_name_who_prepared_both():
    both = (*certificate(D, 1, ONE_SIDE), *certificate(OTHER, 2, OTHER_SIDE))
    justification = [change(s, 2, (1, OTHER)) for s in (5, 6)] + [
        change(s, 2, (1, OTHER)) for s in (2, 3, 4)
    ]
    assert accused((*both, *justification, *prepared(OTHER, 1, OTHER_SIDE, 6))) == GUILTY
    assert accused((*both, *prepared(OTHER, 1, OTHER_SIDE, 6))) == GUILTY


def test_honest_change_of_mind_names_nobody():
    """A block that was prepared by few and given up lawfully, another decided in the next view."""
    statements = [
        *prepared(D, 0, range(4), 0),
        *[change(s, 1) for s in ONE_SIDE],
        *prepared(OTHER, 1, ONE_SIDE, 1),
        *certificate(OTHER, 1, ONE_SIDE),
        *[change(s, 2, (1, OTHER)) for s in ONE_SIDE],
    ]
    assert accused(statements) == set()


@given(st.randoms(use_true_random=False))
def test_forged_statements_accuse_nobody_and_order_does_not_matter(rng):
    both = [*certificate(D, 0, ONE_SIDE), *certificate(OTHER, 0, OTHER_SIDE)]
    forged = [
        dataclasses.replace(s, signer=rng.choice([0, 1, 5, 6]), digest=rng.choice([D, OTHER]))
        for s in both
    ]
    statements = both + forged + both
    rng.shuffle(statements)
    assert accused(statements) == GUILTY
    assert culprits(DOMAIN, SET, statements) == culprits(DOMAIN, SET, both)


def every_pair(statements):
    """The same by looking at each pair: slow, and plainly right."""
    held = sorted(set(statements), key=lambda s: (s.order(), s.signature))
    found = {}
    for one, other in itertools.combinations(held, 2):
        offence = contradiction(one, other)
        if offence is None or offence in found:
            continue
        with contextlib.suppress(ProofInvalid):
            verify_evidence(pair(one, other), DOMAIN, SET)
            found[offence] = pair(one, other)
    return tuple(found[offence] for offence in sorted(found))


def sayings():
    """All that one validator could say in four views, genuine and forged."""
    blocks, locks = (D, OTHER, bytes([3]) * 32), (D, OTHER)
    genuine = [
        *(vote(1, d, k, v) for d in blocks for k in (PROPOSE, PREPARE, COMMIT) for v in range(4)),
        *(change(1, v) for v in range(1, 5)),
        *(change(1, v, (w, d)) for v in range(1, 5) for w in range(v) for d in locks),
    ]
    return [*genuine, *(dataclasses.replace(s, signature=bytes(64)) for s in genuine)]


@given(st.randoms(use_true_random=False))
def test_each_pair_that_convicts_is_found_whatever_else_is_said(rng):
    said = rng.sample(sayings(), rng.randint(1, 9))
    assert culprits(DOMAIN, SET, said) == every_pair(said)


def test_thousands_of_forged_statements_are_each_looked_at_once():
    forged = [
        dataclasses.replace(vote(1, D, COMMIT, 0), digest=i.to_bytes(32, "big"))
        for i in range(5_000)
    ]
    assert accused(forged) == set()
    assert accused([*forged, vote(1, D, COMMIT, 0), change(1, 1)]) == {1}


def test_testimony_is_read_as_it_was_written():
    statements = (
        *certificate(D, 0, ONE_SIDE),
        change(2, 1),
        change(3, 4, (2, D)),
        vote(1, D, COMMIT, 3),
    )
    data = encode_testimony(HEIGHT, statements)
    assert decode_testimony(data) == statements
    with pytest.raises(DecodeError):
        decode_testimony(data + b"\0")
    check_one_height(statements)
    with pytest.raises(DecodeError):
        check_one_height((*statements, dataclasses.replace(change(2, 1), height=HEIGHT + 1)))
