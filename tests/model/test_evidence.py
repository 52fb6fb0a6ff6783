"""Evidence: what two statements prove, and above all what they do not."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainnode.model import codec
from chainnode.model.errors import DecodeError, ProofInvalid
from chainnode.model.evidence import (
    MAX_EVIDENCE_BYTES,
    Evidence,
    Offence,
    Statement,
    contradiction,
    decode_evidence,
    pair,
    verify_evidence,
)
from chainnode.model.suites import ED25519_SHA256, SM2_SM3
from chainnode.model.transaction import decode_transaction, encode_envelope, make_report
from chainnode.model.votes import COMMIT, PREPARE, PROPOSE, VIEW_CHANGE
from tests.support.chain import make_chain
from tests.support.golden import check_golden

CHAIN = make_chain()
DOMAIN = CHAIN.genesis.domain
SET = CHAIN.genesis.validator_set
D1, D2 = bytes([1]) * 32, bytes([2]) * 32


def said(kind, *, height=7, signer=1, view=0, digest=D1, prepared=None, chain=CHAIN, by=None):
    """A signed statement; `prepared` is the lock of a view change."""
    lock_view, lock_digest = (None, None) if prepared is None else prepared
    statement = Statement(
        kind=kind,
        height=height,
        signer=signer,
        view=view,
        digest=lock_digest if kind == VIEW_CHANGE else digest,
        prepared_view=lock_view,
        signature=b"",
    )
    key = chain.validators[signer if by is None else by].consensus
    return dataclasses.replace(
        statement, signature=key.sign(statement.message(chain.genesis.domain))
    )


def vc(view, prepared=None, **fields):
    return said(VIEW_CHANGE, view=view, prepared=prepared, **fields)


PROOFS = {
    "two commits": (said(COMMIT), said(COMMIT, digest=D2), Offence.DOUBLE_VOTE),
    "two prepares": (said(PREPARE), said(PREPARE, digest=D2), Offence.DOUBLE_VOTE),
    "two proposals": (said(PROPOSE), said(PROPOSE, digest=D2), Offence.DOUBLE_VOTE),
    "a proposal and a prepare": (said(PROPOSE), said(PREPARE, digest=D2), Offence.DOUBLE_VOTE),
    "a commit of what was not prepared": (
        said(COMMIT),
        said(PREPARE, digest=D2),
        Offence.DOUBLE_VOTE,
    ),
    "two locks for one view": (vc(3), vc(3, (1, D1)), Offence.DOUBLE_VOTE),
    "two locks of one view": (vc(3, (1, D1)), vc(3, (1, D2)), Offence.DOUBLE_VOTE),
    "a commit forgotten": (said(COMMIT, view=2), vc(3), Offence.AMNESIA),
    "a commit forgotten for an older one": (said(COMMIT, view=2), vc(9, (1, D1)), Offence.AMNESIA),
    "a commit exchanged": (said(COMMIT, view=2), vc(3, (2, D2)), Offence.AMNESIA),
}


@pytest.mark.parametrize("what", PROOFS)
def test_what_no_correct_validator_signs_is_proof_in_either_order(what):
    one, other, offence = PROOFS[what]
    evidence = pair(one, other)
    assert pair(other, one) == evidence
    assert decode_evidence(evidence.encode()) == evidence
    assert len(evidence.encode()) < MAX_EVIDENCE_BYTES
    accused, found = verify_evidence(evidence, DOMAIN, SET)
    assert (accused.name, found) == (SET.members[1].name, offence)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (said(PREPARE), said(COMMIT)),
        (said(PREPARE), said(PREPARE, view=1, digest=D2)),
        (said(COMMIT), said(COMMIT, view=1, digest=D2)),
        (said(PREPARE, view=2), vc(3)),
        (said(COMMIT, view=2), vc(2)),
        (said(COMMIT, view=2), vc(3, (2, D1))),
        (said(COMMIT, view=2), vc(9, (5, D2))),
        (vc(3), vc(4, (3, D1))),
    ],
)
def test_what_a_correct_validator_may_sign_proves_nothing(one, other):
    with pytest.raises(ProofInvalid) as caught:
        verify_evidence(pair(one, other), DOMAIN, SET)
    assert caught.value.error_code == "no_contradiction"


@pytest.mark.parametrize("what", PROOFS)
def test_each_part_of_a_proof_is_needed(what):
    one, other, _ = PROOFS[what]

    def refused(evidence, code, domain=DOMAIN, validators=SET):
        with pytest.raises(ProofInvalid) as caught:
            verify_evidence(evidence, domain, validators)
        assert caught.value.error_code == code

    whole = pair(one, other)
    refused(
        whole, "bad_signature", domain=make_chain(chain_id="other.example/chain").genesis.domain
    )
    for name in ("first", "second"):
        statement = getattr(whole, name)

        def changed(name=name, statement=statement, **fields):
            return dataclasses.replace(whole, **{name: dataclasses.replace(statement, **fields)})

        refused(changed(signature=bytes(64)), "bad_signature")
        refused(changed(height=8), "no_contradiction")
        refused(changed(signer=2), "no_contradiction")
    for signer, code in ((2, "bad_signature"), (4, "unknown_signer"), (-1, "unknown_signer")):
        moved = (dataclasses.replace(s, signer=signer) for s in (one, other))
        refused(pair(*moved), code)
    for height in (1, 8):
        moved = (dataclasses.replace(s, height=height) for s in (one, other))
        refused(pair(*moved), "bad_signature")


def test_no_statement_can_be_replayed_as_one_of_another_kind():
    statements = [said(PROPOSE), said(PREPARE), said(COMMIT), vc(1), vc(1, (0, D1))]
    for real, slot in itertools.permutations(statements, 2):
        for partner in (said(COMMIT, digest=D2), vc(1, (0, D2)), said(COMMIT)):
            forged = dataclasses.replace(slot, signature=real.signature)
            if contradiction(forged, partner) is None:
                continue
            with pytest.raises(ProofInvalid) as caught:
                verify_evidence(pair(forged, partner), DOMAIN, SET)
            assert caught.value.error_code == "bad_signature"


def test_two_signatures_of_one_statement_are_no_evidence():
    chain = make_chain(suite=SM2_SM3)
    one, other = said(COMMIT, chain=chain), said(COMMIT, chain=chain)
    assert contradiction(one, other) is None
    twice = Evidence(first=one, second=other)
    with pytest.raises(DecodeError):
        decode_evidence(twice.encode())
    with pytest.raises(ProofInvalid):
        verify_evidence(twice, chain.genesis.domain, chain.genesis.validator_set)
    evidence = pair(one, said(COMMIT, digest=D2, chain=chain))
    verify_evidence(evidence, chain.genesis.domain, chain.genesis.validator_set)


# -- an honest life ----------------------------------------------------------------------------------------


@st.composite
def honest_statements(draw):
    """All that one validator signs at one height while it keeps R4 to R8, whatever the others do."""
    statements, view, lock = [], 0, None
    for _ in range(draw(st.integers(1, 6))):
        digest = draw(st.sampled_from([D1, D2]))
        if draw(st.booleans()):
            statements.append(
                said(draw(st.sampled_from([PROPOSE, PREPARE])), view=view, digest=digest)
            )
            if draw(st.booleans()):
                lock = (view, digest)
                statements.append(said(COMMIT, view=view, digest=digest))
        view += draw(st.integers(1, 3))
        if draw(st.booleans()):
            statements.append(vc(view, lock))
    return statements


@given(honest_statements())
def test_no_two_statements_of_a_correct_validator_are_evidence(statements):
    for one, other in itertools.combinations(statements, 2):
        assert contradiction(one, other) is None


# -- bytes -------------------------------------------------------------------------------------------------


@given(st.binary(max_size=MAX_EVIDENCE_BYTES + 8))
def test_any_bytes_are_an_evidence_or_a_decode_error(data):
    try:
        evidence = decode_evidence(data)
    except DecodeError:
        return
    assert evidence.encode() == data


@given(st.data())
def test_altered_bytes_are_another_evidence_or_a_decode_error(data):
    encoded = bytearray(pair(*PROOFS["a commit exchanged"][:2]).encode())
    at = data.draw(st.integers(0, len(encoded) - 1))
    encoded[at] ^= data.draw(st.integers(1, 255))
    try:
        evidence = decode_evidence(bytes(encoded))
    except DecodeError:
        return
    assert evidence.encode() == encoded
    with pytest.raises(ProofInvalid):
        verify_evidence(evidence, DOMAIN, SET)


def test_statements_stand_in_one_order_only():
    evidence = pair(*PROOFS["two commits"][:2])
    turned = Evidence(first=evidence.second, second=evidence.first)
    with pytest.raises(DecodeError):
        decode_evidence(turned.encode())


def test_golden_bytes():
    vectors = {}
    for what, (one, other, offence) in PROOFS.items():
        evidence = pair(one, other)
        report = make_report(DOMAIN, CHAIN.genesis.chain_id, evidence)
        vectors[what] = {
            "offence": offence.value,
            "signed": [s.message(DOMAIN).hex() for s in (evidence.first, evidence.second)],
            "evidence": evidence.encode().hex(),
            "report": report.envelope.hex(),
            "tx_id": report.id.hex(),
        }
    check_golden("evidence", vectors)


# -- reports -----------------------------------------------------------------------------------------------


def test_an_evidence_has_one_report():
    evidence = pair(*PROOFS["two commits"][:2])
    report = make_report(DOMAIN, CHAIN.genesis.chain_id, evidence)
    read = decode_transaction(DOMAIN, report.envelope)
    assert read.is_report
    assert read.evidence() == evidence
    assert (read.id, read.hash) == (report.id, report.hash)


@pytest.mark.parametrize(
    "change",
    [
        {"nonce": b"\1" + bytes(15)},
        {"last_valid_height": 5_008},
        {"calls": ()},
        {"calls": "twice"},
        {"calls": "other method"},
        {"calls": "more arguments"},
        {"calls": "no evidence"},
    ],
)
def test_a_transaction_without_sender_is_the_report_of_its_evidence_or_malformed(change):
    body = make_report(DOMAIN, CHAIN.genesis.chain_id, pair(*PROOFS["two commits"][:2])).body
    (call,) = body.calls
    if "calls" in change:
        change = {
            "calls": {
                (): (),
                "twice": (call, call),
                "other method": (dataclasses.replace(call, method="other"),),
                "more arguments": (dataclasses.replace(call, args=(*call.args, 1)),),
                "no evidence": (dataclasses.replace(call, args=(b"\x90",)),),
            }[change["calls"]]
        }
    bad = dataclasses.replace(body, **change)
    envelope = encode_envelope(
        body=bad.encode(), suite=ED25519_SHA256, public_key=b"", signature=b""
    )
    with pytest.raises(DecodeError):
        decode_transaction(DOMAIN, envelope)


@pytest.mark.parametrize(("key", "signature"), [(b"\1", b""), (b"", b"\1")])
def test_a_report_carries_no_key_and_no_signature(key, signature):
    report = make_report(DOMAIN, CHAIN.genesis.chain_id, pair(*PROOFS["two commits"][:2]))
    envelope = codec.encode((report.body.encode(), ED25519_SHA256, key, signature))
    with pytest.raises(DecodeError):
        decode_transaction(DOMAIN, envelope)
