"""Proofs: their one encoding, and each verdict with its reason."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainnode.model.errors import CannotTell, DecodeError, ProofInvalid
from chainnode.model.note import Signature
from chainnode.model.tlog_policy import parse_policy
from chainnode.model.tlog_proof import (
    MAX_EXTRA_BYTES,
    MAX_PROOF_BYTES,
    Verifier,
    parse_proof,
    verify,
)
from tests.support.alliance import TIME_S, Alliance

LEAVES = [b"leaf %d" % n for n in range(11)]


@pytest.fixture(params=["ed25519-sha256", "sm2-sm3"])
def alliance(request):
    return Alliance(request.param)


def code_of(error, proof, policy, leaf=LEAVES[6]):
    with pytest.raises(error) as caught:
        verify(proof, leaf, policy)
    return caught.value.error_code


def with_signatures(proof, signatures):
    return replace(proof, note=replace(proof.note, signatures=tuple(signatures)))


def renamed(line, name=None, key_id=b"none"):
    return Signature(name=name or line.name, key_id=key_id, value=line.value)


def test_a_genuine_proof_names_its_log_and_cosigners(alliance):
    proof = parse_proof(alliance.proof(LEAVES, 6, extra=b"", cosigners=("a1", "c3", "d4")).encode())
    verdict = verify(proof, LEAVES[6], alliance.policy())
    assert verdict.checkpoint.size == 11
    assert verdict.index == 6
    assert verdict.log_key.public_key == alliance.log_keys["a1"].public
    assert [(c.name, c.time_s) for c in verdict.cosigners] == [
        (f"{alliance.origin}/a1", TIME_S),
        (f"{alliance.origin}/c3", TIME_S + 1),
        (f"{alliance.origin}/d4", TIME_S + 2),
    ]


def test_another_record_or_place_is_refused(alliance):
    proof, policy = alliance.proof(LEAVES, 6), alliance.policy()
    assert code_of(ProofInvalid, proof, policy, leaf=LEAVES[5]) == "bad_inclusion"
    assert code_of(ProofInvalid, replace(proof, index=7), policy) == "bad_inclusion"
    assert code_of(ProofInvalid, replace(proof, hashes=proof.hashes[1:]), policy) == "bad_inclusion"
    assert code_of(ProofInvalid, replace(proof, index=11), policy) == "bad_inclusion"


def test_another_chain_is_refused_by_its_name(alliance):
    other = Alliance(alliance.suite.name, origin="other.example/chain")
    assert code_of(ProofInvalid, other.proof(LEAVES, 6), alliance.policy()) == "other_chain"
    nobody = parse_policy(b"quorum none\n")
    assert code_of(ProofInvalid, alliance.proof(LEAVES, 6), nobody) == "other_chain"


def test_fewer_cosignatures_than_the_quorum_are_refused(alliance):
    for few in ((), ("a1",), ("a1", "b2")):
        proof = alliance.proof(LEAVES, 6, cosigners=few)
        with pytest.raises(
            ProofInvalid, match=f"found {len(few)} .* {3 - len(few)} more"
        ) as caught:
            verify(proof, LEAVES[6], alliance.policy())
        assert caught.value.error_code == "too_few_cosignatures"


def test_without_a_known_logs_signature_a_quorum_does_not_count(alliance):
    proof = alliance.proof(LEAVES, 6, log=None)
    assert code_of(ProofInvalid, proof, alliance.policy()) == "no_log_signature"


def test_one_bad_signature_of_a_known_key_condemns_the_note(alliance):
    proof = alliance.proof(LEAVES, 6)
    for n, line in enumerate(proof.note.signatures):
        bent = Signature(
            name=line.name, key_id=line.key_id, value=line.value[:-1] + bytes([line.value[-1] ^ 1])
        )
        lines = (*proof.note.signatures[:n], bent, *proof.note.signatures[n + 1 :])
        changed = with_signatures(proof, lines)
        assert code_of(ProofInvalid, changed, alliance.policy()) == "bad_signature"


def test_unknown_signatures_are_ignored(alliance):
    proof = alliance.proof(LEAVES, 6, cosigners=("a1", "b2", "c3"))
    stranger = renamed(proof.note.signatures[1], "witness.example")
    verify(with_signatures(proof, (stranger, *proof.note.signatures)), LEAVES[6], alliance.policy())


def test_validators_of_another_time_leave_the_verdict_open(alliance):
    later = Alliance(alliance.suite.name, names=("e5", "f6", "g7", "h8"))
    proof = later.proof(LEAVES, 6, log="e5")
    assert code_of(CannotTell, proof, alliance.policy()) == "policy_retired"
    # What is proven wrong stays wrong, whoever has signed.
    assert code_of(ProofInvalid, proof, alliance.policy(), leaf=b"x") == "bad_inclusion"


def test_one_replaced_validator_leaves_the_verdict_open(alliance):
    proof = alliance.proof(LEAVES, 6, cosigners=("a1", "b2", "c3"))
    log, first, second, third = proof.note.signatures
    for line in (renamed(third), renamed(third, f"{alliance.origin}/new")):
        changed = with_signatures(proof, (log, first, second, line))
        assert code_of(CannotTell, changed, alliance.policy()) == "policy_retired"
    changed = with_signatures(proof, (renamed(log), first, second, third))
    assert code_of(CannotTell, changed, alliance.policy()) == "policy_retired"


def test_unknown_lines_that_cannot_make_the_quorum_are_a_refusal(alliance):
    proof = alliance.proof(LEAVES, 6, cosigners=("a1", "b2", "c3"))
    log, first, second, third = proof.note.signatures
    short = Signature(name=f"{alliance.origin}/new", key_id=b"none", value=b"short")
    for lines in (
        (log, first, second, renamed(third, "other.example/new")),
        (log, first, second, renamed(third, f"{alliance.origin}x/new")),
        (log, first, second, short),
        (log, first, second, renamed(second)),
        (log, first, renamed(third, key_id=b"aaaa"), renamed(third, key_id=b"bbbb")),
    ):
        changed = with_signatures(proof, lines)
        assert code_of(ProofInvalid, changed, alliance.policy()) == "too_few_cosignatures"


def test_a_proof_reads_back_with_and_without_extra(alliance):
    for extra in (None, b"", b"x" * MAX_EXTRA_BYTES):
        for size in (1, 2, 11):
            proof = alliance.proof(LEAVES[:size], 0, extra=extra)
            assert parse_proof(proof.encode()) == proof


GOOD = Alliance().proof(LEAVES, 6, extra=b"extra").encode().decode()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("@v1", "@v2"),
        ("@v1\n", "@v1\r\n"),
        ("extra ZXh0cmE=\n", "extra ZXh0cmF=\n"),
        ("extra ZXh0cmE=\n", "extra  ZXh0cmE=\n"),
        ("extra ZXh0cmE=\n", "extra ZXh0cmE=\nextra ZXh0cmE=\n"),
        ("extra ZXh0cmE=\n", "index 6\n"),
        ("index 6\n", ""),
        ("index 6\n", "index 06\n"),
        ("index 6\n", f"index {2**63}\n"),
        ("index 6\n", "index 6\nAAAA\n"),
        ("index 6\n", "index 6\n" + "A" * 43 + "=\n" + ("A" * 43 + "=\n") * 63),
        ("index 6\n", "index 6\né\n"),
        ("\n\nsz", "\n\n\nsz"),
        ("\n\nsz", "\nsz"),
        ("\n11\n", "\n011\n"),
        ("\n\n—", "\nextension\n\n—"),
    ],
)
def test_a_proof_has_one_encoding(old, new):
    assert old in GOOD
    with pytest.raises(DecodeError):
        parse_proof(GOOD.replace(old, new, 1).encode())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"c2sp.org/tlog-proof@v1\n\n",
        GOOD[:-1].encode(),
        GOOD.encode() + b"\n",
        b"x" * (MAX_PROOF_BYTES + 1),
        GOOD.replace("ZXh0cmE=", "AAAA" * (MAX_EXTRA_BYTES // 3 + 1)).encode(),
    ],
)
def test_other_bytes_are_no_proof(data):
    with pytest.raises(DecodeError):
        parse_proof(data)


@given(at=st.integers(0, len(GOOD.encode()) - 1), byte=st.binary(max_size=2))
def test_any_bytes_are_a_proof_or_refused(at, byte):
    data = GOOD.encode()
    data = data[:at] + byte + data[at + 1 :]
    try:
        proof = parse_proof(data)
    except DecodeError:
        return
    assert proof.encode() == data


def test_a_known_cosigner_without_a_time_is_malformed(alliance):
    proof = alliance.proof(LEAVES, 6)
    log, first, *rest = proof.note.signatures
    cut = Signature(name=first.name, key_id=first.key_id, value=b"short")
    with pytest.raises(DecodeError):
        verify(with_signatures(proof, (log, cut, *rest)), LEAVES[6], alliance.policy())


def test_a_verifier_checks_the_signatures_of_each_checkpoint_that_it_meets(alliance):
    verifier = Verifier(alliance.policy())
    good = alliance.proof(LEAVES, 6)
    assert verifier.verify(good, LEAVES[6]) == verify(good, LEAVES[6], alliance.policy())
    assert verifier.verify(alliance.proof(LEAVES, 2), LEAVES[2]).index == 2
    line = good.note.signatures[1]
    bent = Signature(name=line.name, key_id=line.key_id, value=bytes(len(line.value)))
    bad = with_signatures(good, (good.note.signatures[0], bent, *good.note.signatures[2:]))
    for _ in range(2):
        with pytest.raises(ProofInvalid) as caught:
            verifier.verify(bad, LEAVES[6])
        assert caught.value.error_code == "bad_signature"
        with pytest.raises(ProofInvalid) as caught:
            verifier.verify(good, LEAVES[5])
        assert caught.value.error_code == "bad_inclusion"
