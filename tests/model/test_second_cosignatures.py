"""Second cosignatures: what is signed, which policy asks for them, and what is found when they are missing."""

from __future__ import annotations

import pytest

from chainnode.model import codec, tlog_proof
from chainnode.model.checkpoint import Checkpoint
from chainnode.model.cosignature import cosign, cosignature_message, verify_cosignature
from chainnode.model.errors import CannotTell, DecodeError, ProofInvalid, Refused
from chainnode.model.note import SignatureType, cosigner_key, parse_verifier_key
from chainnode.model.tlog_policy import parse_policy, with_outside
from chainnode.model.tlog_proof import parse_proof
from tests.support.alliance import ORIGIN, Alliance

ROOT = bytes(range(32))
TEXT = Checkpoint(origin=ORIGIN, size=11, root=ROOT).text()
NAMES = ("a1", "b2", "c3", "d4")


def verify(alliance, policy, **signed):
    leaf, _ = alliance.leaf_and_opening()
    proof = parse_proof(alliance.notarization(**signed).encode())
    return tlog_proof.verify(proof, codec.encode(leaf), policy)


def second_key(alliance, name="a1"):
    return alliance.second_keys[name], alliance.second_key(name)


def test_the_message_is_that_of_the_specification():
    _, vkey = second_key(Alliance())
    name, origin = f"{ORIGIN}/a1".encode(), ORIGIN.encode()
    assert cosignature_message(vkey, TEXT, 7) == (
        b"subtree/v1\n\0"
        + bytes((len(name),))
        + name
        + (7).to_bytes(8, "big")
        + bytes((len(origin),))
        + origin
        + bytes(8)
        + (11).to_bytes(8, "big")
        + ROOT
    )


def test_a_key_is_written_with_its_type_and_read_again():
    _, vkey = second_key(Alliance())
    assert vkey.type is SignatureType.ML_DSA_44_COSIGNATURE
    assert vkey.type.prefix == b"\x06"
    assert parse_verifier_key(vkey.vkey()) == vkey


def test_a_cosignature_covers_cosigner_time_origin_size_and_root():
    alliance = Alliance()
    key, vkey = second_key(alliance)
    line = cosign(TEXT, 7, vkey, key.sign)
    assert len(line.value) == 8 + 2_420
    verify_cosignature(vkey, TEXT, line)
    renamed = cosigner_key(alliance.second_suite, f"{ORIGIN}/b2", key.public)
    for under, text in (
        (renamed, TEXT),
        (vkey, Checkpoint(origin=f"{ORIGIN}x", size=11, root=ROOT).text()),
        (vkey, Checkpoint(origin=ORIGIN, size=12, root=ROOT).text()),
        (vkey, Checkpoint(origin=ORIGIN, size=11, root=bytes(32)).text()),
    ):
        with pytest.raises(ProofInvalid):
            verify_cosignature(under, text, line)


def test_names_that_the_message_cannot_hold_are_refused():
    alliance = Alliance()
    key, _ = second_key(alliance)
    long = cosigner_key(alliance.second_suite, "n" * 256, key.public)
    with pytest.raises(DecodeError, match="256 bytes"):
        cosign(TEXT, 7, long, key.sign)


@pytest.mark.parametrize("suite", ["ed25519-sha256", "sm2-sm3"])
def test_a_policy_may_ask_for_a_quorum_of_both_kinds(suite):
    alliance = Alliance(suite)
    policy = alliance.policy_twice()
    assert parse_policy(policy.encode()) == policy
    verdict = verify(alliance, policy, cosigners=NAMES[:3], twice=NAMES[1:])
    assert [c.label for c in verdict.cosigners] == [
        *(f"{ORIGIN}/{n}" for n in NAMES[:3]),
        *(f"{ORIGIN}/{n} (ml-dsa-44)" for n in NAMES[1:]),
    ]
    # Who does not ask for them is not disturbed by them.
    assert len(verify(alliance, alliance.policy(), cosigners=NAMES[:3], twice=NAMES).cosigners) == 3


@pytest.mark.parametrize(
    ("cosigners", "twice", "lack"),
    [
        (
            NAMES,
            NAMES[:2],
            "1 by second keys of validators (ML-DSA-44); `chainnode refresh PROOF` at",
        ),
        (NAMES[:2], NAMES, "needs 1 more: 1 by validators"),
        (NAMES, (), "3 by second keys of validators (ML-DSA-44); `chainnode refresh PROOF` at"),
        (NAMES[:2], NAMES[:2], "needs 2 more: 1 by validators and 1 by second keys of validators"),
    ],
)
def test_a_quorum_of_one_kind_does_not_make_up_for_the_other(cosigners, twice, lack):
    alliance = Alliance()
    with pytest.raises(ProofInvalid) as refused:
        verify(alliance, alliance.policy_twice(), cosigners=cosigners, twice=twice)
    assert refused.value.error_code == "too_few_cosignatures"
    assert lack in refused.value.message


def test_second_cosignatures_by_keys_that_have_been_replaced_leave_it_open():
    before, after = Alliance(), Alliance()
    after.second_keys = {n: before.second_keys[NAMES[i - 1]] for i, n in enumerate(NAMES)}
    with pytest.raises(CannotTell) as open_:
        verify(before, after.policy_twice(), cosigners=NAMES, twice=NAMES)
    assert open_.value.error_code == "policy_retired"


def test_unknown_second_cosignatures_do_not_excuse_missing_first_ones():
    alliance = Alliance()
    with pytest.raises(ProofInvalid) as refused:
        verify(alliance, alliance.policy(), cosigners=NAMES[:2], twice=NAMES)
    assert refused.value.error_code == "too_few_cosignatures"


def test_a_spoilt_second_cosignature_condemns_the_note():
    alliance = Alliance()
    alliance.second_keys["b2"] = alliance.second_keys["c3"]
    good = Alliance().policy_twice()
    with pytest.raises((ProofInvalid, CannotTell)):
        verify(alliance, good, cosigners=NAMES, twice=NAMES[:3])


def test_fewer_registered_keys_than_a_quorum_make_no_policy():
    with pytest.raises(Refused) as refused:
        Alliance().policy_twice(NAMES[:2])
    assert refused.value.error_code == "too_few_second_keys"
    assert len(Alliance().policy_twice(NAMES[:3]).witnesses) == 7


def test_outside_witnesses_may_be_asked_for_beside():
    notary = Alliance(origin="notary.example", names=("w1",))
    vkey = notary.policy().witnesses[0].key.vkey()
    outside = parse_policy(f"witness notary {vkey}\nquorum notary\n".encode())
    both = with_outside(Alliance().policy_twice(), outside)
    assert both.missing({f"{ORIGIN}/{n}" for n in NAMES}) == 3 + 1
