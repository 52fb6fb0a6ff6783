"""Records sealed, renewed both ways and read again; and each way in which one does not hold."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainnode.ers.record import (
    MAX_RECORD_BYTES,
    MAX_STAMPS,
    EvidenceRecord,
    archive_timestamp,
    decode_evidence_record,
)
from chainnode.ers.verifying import verify_evidence
from chainnode.model.errors import CannotTell, DecodeError, ProofInvalid
from chainnode.model.suites import P256_SHA256, SM2_SM3
from chainnode.pki.revocation import RevocationReason, RevokedCertificate
from chainnode.tsp.encoding import context, integer, oid, sequence
from tests.support.certificates import DAY_MS, NOW_MS, authority
from tests.support.evidence_records import (
    digest,
    documents,
    hashed_again,
    read_again,
    sealed,
    stamped_again,
    token_over,
)

DOCUMENTS = documents(5)
LATER_MS = NOW_MS + 30 * DAY_MS


def check(record, document=DOCUMENTS[0], *, at_ms=LATER_MS, suite=P256_SHA256, **how):
    digests = [digest(document, algorithm) for algorithm in ("sha256", "sha384", "sha512", "sm3")]
    return verify_evidence(
        read_again(record), digests, at_ms=at_ms, **{"roots": (authority(suite).root,)} | how
    )


def refused(record, **how):
    with pytest.raises(ProofInvalid) as caught:
        check(record, **how)
    return caught.value.error_code


@pytest.mark.parametrize("suite", [P256_SHA256, SM2_SM3])
@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512", "sm3"])
def test_every_document_of_a_batch_holds_and_no_other(suite, algorithm):
    for document, record in zip(
        DOCUMENTS, sealed(DOCUMENTS, algorithm=algorithm, suite=suite), strict=True
    ):
        verdict = check(record, document, suite=suite)
        assert verdict.exists_since_ms == NOW_MS
        assert verdict.timestamps[0].path.root == authority(suite).root
        assert refused(record, document=document + b"x", suite=suite) == "other_document"


@settings(max_examples=10, deadline=None)
@given(st.lists(st.sampled_from(["stamp", "sha384", "sha512", "sm3"]), max_size=5))
def test_any_order_of_renewals_holds_and_is_read_as_it_was_written(steps):
    records, at_ms = sealed(DOCUMENTS[:3]), NOW_MS
    for step in steps:
        at_ms += DAY_MS
        if step == "stamp":
            records = stamped_again(records, at_ms=at_ms)
        else:
            records = hashed_again(records, DOCUMENTS[:3], algorithm=step, at_ms=at_ms)
    for document, record in zip(DOCUMENTS, records, strict=False):
        assert read_again(record) == record
        verdict = check(record, document)
        times = [judged.stamp.token.time_ms for judged in verdict.timestamps]
        assert times == [NOW_MS + n * DAY_MS for n in range(len(steps) + 1)]
        assert [j.until_ms for j in verdict.timestamps] == [*times[1:], LATER_MS]
        assert refused(record, document=document + b"x") == "other_document"


def test_a_certificate_must_hold_until_the_next_token_and_no_longer():
    made = authority()
    short = made.issue(not_after_ms=NOW_MS + 10 * DAY_MS)
    records = sealed(DOCUMENTS, leaf=short)
    check(records[0], at_ms=NOW_MS + 9 * DAY_MS)
    assert refused(records[0], at_ms=NOW_MS + 11 * DAY_MS) == "expired"
    in_time = stamped_again(records, at_ms=NOW_MS + 9 * DAY_MS)
    check(in_time[0], at_ms=NOW_MS + 300 * DAY_MS)
    too_late = stamped_again(records, at_ms=NOW_MS + 11 * DAY_MS)
    assert refused(too_late[0], at_ms=NOW_MS + 12 * DAY_MS) == "expired"


def test_a_weak_digest_must_be_left_in_time():
    weak = {"sha256": NOW_MS + 10 * DAY_MS}
    records = sealed(DOCUMENTS)
    assert refused(records[0], weak_from_ms=weak) == "weak_algorithm"
    # Tokens signed with SHA-256 grow weak as well, so the newer one is signed by SM2 with SM3.
    how = {"algorithm": "sm3", "suite": SM2_SM3}
    roots = (authority().root, authority(SM2_SM3).root)
    in_time = hashed_again(records, DOCUMENTS, at_ms=NOW_MS + 9 * DAY_MS, **how)
    check(in_time[0], weak_from_ms=weak, roots=roots)
    too_late = hashed_again(records, DOCUMENTS, at_ms=NOW_MS + 11 * DAY_MS, **how)
    assert refused(too_late[0], weak_from_ms=weak, roots=roots) == "weak_algorithm"
    # A newer token alone does not help: the tree under it is as weak as it was.
    only_stamped = stamped_again(records, at_ms=NOW_MS + 9 * DAY_MS)
    assert refused(only_stamped[0], weak_from_ms=weak) == "weak_algorithm"


def test_a_stolen_key_and_a_stale_list_are_told():
    made = authority()
    records = sealed(DOCUMENTS)
    stolen = RevokedCertificate(
        made.leaf.serial_number, NOW_MS + DAY_MS, RevocationReason.KEY_COMPROMISE
    )
    lists = (made.crl(stolen, next_update_ms=LATER_MS + DAY_MS),)
    assert refused(records[0], crls=lists) == "revoked"
    assert refused(records[0], crls=(made.crl(),)) == "crl_stale"
    check(records[0], crls=(made.crl(next_update_ms=LATER_MS + DAY_MS),))


def test_parts_of_one_record_do_not_serve_another():
    one, other = sealed(DOCUMENTS[:2]), sealed(DOCUMENTS[2:], at_ms=NOW_MS + 1)
    renewed = stamped_again(other, at_ms=NOW_MS + DAY_MS)
    rehashed = hashed_again(other, DOCUMENTS[2:], at_ms=NOW_MS + DAY_MS)
    first = one[0].chains[0][0]

    def with_stamps(*chains):
        return EvidenceRecord(chains=chains)

    assert refused(with_stamps((first, renewed[0].chains[0][1]))) == "other_token"
    assert refused(with_stamps((first,), rehashed[0].chains[1])) == "other_chain"
    foreign = other[0].chains[0][0].token
    mixed = archive_timestamp("sha256", first.tree, foreign)
    assert refused(with_stamps((mixed,))) == "other_root"
    again = stamped_again(one, at_ms=NOW_MS)
    assert refused(again[0]) == "order"
    assert refused(one[0], at_ms=NOW_MS - 1) == "order"
    bare = archive_timestamp("sha256", None, token_over("sha256", digest(b"d").value, at_ms=NOW_MS))
    check(with_stamps((bare,)), b"d")
    assert refused(with_stamps((bare,))) == "other_document"


def test_a_chain_of_two_digest_algorithms_is_refused():
    (record,) = sealed(DOCUMENTS[:1])
    leaf = digest(record.last.token.encoded, "sha512").value
    stamp = archive_timestamp(
        "sha512", ((leaf,),), token_over("sha512", leaf, at_ms=NOW_MS + DAY_MS)
    )
    mixed = EvidenceRecord(chains=((*record.chains[0], stamp),))
    assert refused(mixed) == "mixed_algorithms"


def test_what_is_not_known_is_not_called_wrong():
    record = hashed_again(sealed(DOCUMENTS), DOCUMENTS, at_ms=NOW_MS + DAY_MS)[0]
    with pytest.raises(CannotTell) as caught:
        verify_evidence(record, [digest(DOCUMENTS[0])], at_ms=LATER_MS, roots=())
    assert caught.value.error_code == "digest_missing"
    assert refused(sealed(DOCUMENTS, wants_certificate=False)[0]) == "no_certificate"
    with pytest.raises(CannotTell) as caught:
        check(sealed(DOCUMENTS)[0], roots=(authority(SM2_SM3).root,))
    assert caught.value.error_code == "no_path"
    verdict = check(sealed(DOCUMENTS)[0], roots=())
    assert verdict.timestamps[0].path is None


def test_bounds_and_optional_fields_are_refused():
    (record,) = sealed(DOCUMENTS[:1])
    stamp = record.last
    version, algorithms = integer(1), sequence(sequence(oid("2.16.840.1.101.3.4.2.1")))
    chains = sequence(sequence(stamp.encoded))
    assert decode_evidence_record(sequence(version, algorithms, chains)) == record
    for wrong in (
        sequence(integer(2), algorithms, chains),
        sequence(version, algorithms, context(0), chains),
        sequence(version, algorithms, sequence()),
        sequence(version, algorithms, sequence(sequence())),
        sequence(version, sequence(sequence(oid("1.3.14.3.2.26"))), chains),
        sequence(version, sequence(sequence(oid("2.16.840.1.101.3.4.2.3"))), chains),
        sequence(version, algorithms, sequence(sequence(*[stamp.encoded] * (MAX_STAMPS + 1)))),
        sequence(version, algorithms, sequence(*[sequence(*[stamp.encoded] * 33)] * 2)),
        sequence(version, algorithms, chains, b"\x05\x00"),
        bytes(MAX_RECORD_BYTES + 1),
        archive_timestamp("sha256", ((b"short",),), stamp.token).encoded,
        EvidenceRecord(
            chains=((archive_timestamp("sha256", ((b"short",),), stamp.token),),)
        ).encode(),
        EvidenceRecord(chains=((archive_timestamp("sha256", (), stamp.token),),)).encode(),
    ):
        with pytest.raises(DecodeError):
            decode_evidence_record(wrong)
