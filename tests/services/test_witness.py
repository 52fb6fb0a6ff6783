"""A node as a witness: it cosigns what continues all that it has cosigned, and forgets nothing of it."""

import errno
import os
from dataclasses import replace

import pytest

from chainnode.model.cosignature import cosignature_time_s, verify_cosignature
from chainnode.model.errors import (
    ChainError,
    DecodeError,
    NotFound,
    ProofInvalid,
    Refused,
    StorageFault,
    Unavailable,
)
from chainnode.model.keys import KeyPurpose
from chainnode.model.signatories import verify_checkpoint
from chainnode.model.tlog_policy import Policy, Witness
from chainnode.model.tlog_witness import SizeConflict, origin_hash
from tests.support.alliance import Alliance
from tests.support.rpc import NOW_MS, ManualClock
from tests.support.witnesses import NAME, make_witness, submission, witness_signer

LEAVES = [b"record %d" % n for n in range(40)]
FORKED = [b"another record", *LEAVES[1:]]


@pytest.fixture(scope="module")
def alliance():
    return Alliance()


@pytest.fixture
def witness(tmp_path, alliance):
    return make_witness(tmp_path, alliance.policy())


def test_a_log_that_grows_is_cosigned_each_time(witness, alliance):
    old = 0
    for size in (1, 2, 7, 8, 40):
        given = submission(alliance, LEAVES[:size], old)
        signature = witness.add_checkpoint(given)
        assert signature.name == NAME
        assert cosignature_time_s(signature) == NOW_MS // 1000
        verify_cosignature(witness.key, given.note.text, signature)
        old = size


def test_the_same_tree_is_cosigned_again_with_the_time_of_today(tmp_path, alliance):
    clock = ManualClock()
    witness = make_witness(tmp_path, alliance.policy(), clock=clock)
    witness.add_checkpoint(submission(alliance, LEAVES[:5], 0))
    clock.advance(7_000)
    again = witness.add_checkpoint(submission(alliance, LEAVES[:5], 5))
    assert cosignature_time_s(again) == NOW_MS // 1000 + 7


def test_what_was_cosigned_last_is_shown_under_a_policy_that_asks_for_both(witness, alliance):
    place = origin_hash(alliance.origin)
    with pytest.raises(NotFound, match="no checkpoint of"):
        witness.newest(place)
    with pytest.raises(NotFound, match="no log of that origin"):
        witness.newest("00" * 32)
    given = submission(alliance, LEAVES, 0)
    witness.add_checkpoint(given)
    own = alliance.policy()
    policy = Policy(
        logs=own.logs,
        witnesses=(*own.witnesses, Witness(name="w", key=witness.key)),
        groups=own.groups,
        quorum="w",
    )
    trusted = verify_checkpoint(witness.newest(place), policy)
    assert trusted.checkpoint == given.checkpoint
    assert len(trusted.cosigners) == 5


@pytest.mark.parametrize(
    ("change", "kind", "code"),
    [
        ({"old_size": 21}, DecodeError, "bad_submission"),
        ({"old_size": 9}, SizeConflict, "size_conflict"),
        ({"old_size": 0, "proof": ()}, SizeConflict, "size_conflict"),
        ({"log": None}, Refused, "not_trusted"),
        ({"cosigners": ("a1", "b2")}, Refused, "not_trusted"),
        ({"proof": ()}, ProofInvalid, "inconsistent"),
        ({"proof": [bytes(32)] * 5}, ProofInvalid, "inconsistent"),
    ],
)
def test_what_does_not_continue_the_log_is_refused_and_changes_nothing(
    witness, alliance, change, kind, code
):
    witness.add_checkpoint(submission(alliance, LEAVES[:10], 0))
    with pytest.raises(kind) as caught:
        witness.add_checkpoint(submission(alliance, LEAVES[:20], 10, **change))
    assert caught.value.error_code == code
    if kind is SizeConflict:
        assert caught.value.size == 10
    witness.add_checkpoint(submission(alliance, LEAVES[:20], 10))


def test_signatures_that_are_spoilt_count_for_nothing(witness, alliance):
    given = submission(alliance, LEAVES, 0)
    of_another_tree = submission(alliance, FORKED, 0).note.signatures
    spoilt = replace(given, note=replace(given.note, signatures=of_another_tree))
    with pytest.raises(Refused):
        witness.add_checkpoint(spoilt)
    stranger = submission(Alliance(origin="stranger.example/log"), LEAVES, 0)
    with pytest.raises(NotFound, match="is not witnessed here"):
        witness.add_checkpoint(stranger)


def test_another_history_is_never_cosigned_and_one_of_the_same_size_is_kept_as_proof(
    tmp_path, alliance
):
    lines = []
    witness = make_witness(tmp_path, alliance.policy(), lines=lines)
    witness.add_checkpoint(submission(alliance, LEAVES[:10], 0))
    with pytest.raises(ProofInvalid):
        witness.add_checkpoint(submission(alliance, FORKED[:20], 10))
    for _ in range(2):
        with pytest.raises(SizeConflict, match="another tree of 10 records"):
            witness.add_checkpoint(submission(alliance, FORKED[:10], 10))
    kept = tmp_path / f"{origin_hash(alliance.origin)}.conflict"
    assert kept.read_bytes() == submission(alliance, FORKED[:10], 10).note.encode()
    assert any("log_forked" in line for line in lines)


def test_an_empty_log_can_be_cosigned_and_has_one_root(witness, alliance):
    empty = submission(alliance, [], 0)
    witness.add_checkpoint(empty)
    witness.add_checkpoint(submission(alliance, LEAVES, 0))


def test_a_restart_goes_on_from_what_was_cosigned(tmp_path, alliance):
    make_witness(tmp_path, alliance.policy()).add_checkpoint(submission(alliance, LEAVES[:10], 0))
    # Under another name: the key and its memory are the same.
    again = make_witness(tmp_path, alliance.policy(), name="witness.example/renamed")
    with pytest.raises(SizeConflict) as caught:
        again.add_checkpoint(submission(alliance, FORKED[:10], 0))
    assert caught.value.size == 10
    with pytest.raises(ProofInvalid):
        again.add_checkpoint(submission(alliance, FORKED[:20], 10))
    again.add_checkpoint(submission(alliance, LEAVES[:20], 10))


@pytest.mark.parametrize("failing", ["open", "fsync", "replace"])
def test_a_disk_that_refuses_costs_the_cosignature_and_nothing_else(
    tmp_path, alliance, failing, monkeypatch
):
    def fail(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    witness = make_witness(tmp_path, alliance.policy())
    witness.add_checkpoint(submission(alliance, LEAVES[:10], 0))
    with monkeypatch.context() as patch:
        patch.setattr(f"chainnode.keystore.files.os.{failing}", fail)
        with pytest.raises(Unavailable) as caught:
            witness.add_checkpoint(submission(alliance, LEAVES[:20], 10))
        assert caught.value.error_code == "not_recorded"
    witness.add_checkpoint(submission(alliance, LEAVES[:30], 10))


def test_the_record_is_on_the_disk_before_anything_is_said(tmp_path, alliance, monkeypatch):
    witness = make_witness(tmp_path, alliance.policy())
    record = tmp_path / f"{origin_hash(alliance.origin)}.checkpoint"
    witness.add_checkpoint(submission(alliance, LEAVES[:10], 0))
    before = record.read_bytes()

    def die(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("chainnode.keystore.files.os.replace", die)
    with pytest.raises(KeyboardInterrupt):
        witness.add_checkpoint(submission(alliance, LEAVES[:20], 10))
    assert record.read_bytes() == before
    monkeypatch.undo()
    # The next life took the old record, so it may cosign another continuation: nobody has heard of the first.
    reborn = make_witness(tmp_path, alliance.policy())
    other = [*LEAVES[:10], *FORKED[:10]]
    reborn.add_checkpoint(submission(alliance, other, 10))


@pytest.mark.parametrize("change", ["cut", "flip", "other_key", "other_log"])
def test_a_damaged_record_is_no_ground_to_sign_on(tmp_path, alliance, change):
    make_witness(tmp_path, alliance.policy()).add_checkpoint(submission(alliance, LEAVES[:10], 0))
    record = tmp_path / f"{origin_hash(alliance.origin)}.checkpoint"
    content = bytearray(record.read_bytes())
    signer = witness_signer()
    policies = [alliance.policy()]
    if change == "cut":
        record.write_bytes(content[: len(content) // 2])
    elif change == "flip":
        content[len(alliance.origin) + 1] ^= 2
        record.write_bytes(content)
    elif change == "other_key":
        signer = witness_signer(seed=7)
    else:
        other = Alliance(origin="other.example/log")
        policies = [other.policy()]
        record.rename(tmp_path / f"{origin_hash(other.origin)}.checkpoint")
    with pytest.raises(StorageFault, match="must not sign on a guess"):
        make_witness(tmp_path, *policies, signer=signer)


def test_logs_are_kept_apart(tmp_path, alliance):
    other = Alliance(origin="other.example/log")
    witness = make_witness(tmp_path, alliance.policy(), other.policy())
    witness.add_checkpoint(submission(alliance, LEAVES, 0))
    witness.add_checkpoint(submission(other, FORKED, 0))
    assert len(list(tmp_path.iterdir())) == 2


def test_a_log_that_grows_all_the_time_does_not_keep_the_disk_busy(tmp_path, alliance):
    clock = ManualClock()
    witness = make_witness(tmp_path, alliance.policy(), clock=clock)
    witness.add_checkpoint(submission(alliance, LEAVES[:10], 0))
    with pytest.raises(Unavailable) as caught:
        witness.add_checkpoint(submission(alliance, LEAVES[:20], 10))
    assert caught.value.error_code == "too_fast"
    clock.advance(200)
    witness.add_checkpoint(submission(alliance, LEAVES[:20], 10))


def test_only_a_key_of_its_own_witnesses(tmp_path, alliance):
    for purpose in (KeyPurpose.COSIGNER, KeyPurpose.LOG, KeyPurpose.ACCOUNT):
        with pytest.raises(Refused, match="expected witness") as caught:
            make_witness(tmp_path, alliance.policy(), signer=witness_signer(purpose=purpose))
        assert caught.value.error_code == "wrong_purpose"


@pytest.mark.parametrize(
    ("policies", "code"),
    [
        ((Alliance().policy(), Alliance().policy()), "two_policies"),
        ((Alliance("sm2-sm3").policy(),), "wrong_suite"),
        (tuple(Alliance(origin=f"o.example/{n}").policy() for n in range(101)), "too_many"),
    ],
)
def test_policies_that_do_not_fit_are_refused(tmp_path, policies, code):
    with pytest.raises(ChainError) as caught:
        make_witness(tmp_path, *policies)
    assert caught.value.error_code == code


def test_a_log_on_sm2_is_witnessed_with_a_key_on_sm2(tmp_path):
    alliance = Alliance("sm2-sm3")
    witness = make_witness(tmp_path, alliance.policy(), signer=witness_signer("sm2-sm3"))
    given = submission(alliance, LEAVES[:3], 0)
    verify_cosignature(witness.key, given.note.text, witness.add_checkpoint(given))
    witness.add_checkpoint(submission(alliance, LEAVES, 3))
