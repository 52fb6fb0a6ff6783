"""`chainnode verify`: true, false, malformed and cannot tell, by their exit statuses and words."""

import pytest

from tests.support.alliance import FILE, Alliance, digests_of
from tests.support.cli import chainnode


@pytest.fixture
def paths(tmp_path):
    alliance = Alliance()
    (tmp_path / "file").write_bytes(FILE)
    (tmp_path / "proof").write_bytes(alliance.notarization().encode())
    (tmp_path / "policy").write_bytes(alliance.policy().encode())
    return tmp_path


def verify(paths, *, json=False):
    options = ["--json"] if json else []
    return chainnode(
        *options, "verify", paths / "file", paths / "proof", "--policy", paths / "policy"
    )


@pytest.mark.parametrize("suite", ["ed25519-sha256", "sm2-sm3"])
def test_a_proof_that_holds_is_status_0_and_says_what_it_shows(paths, suite):
    alliance = Alliance(suite)
    (paths / "proof").write_bytes(alliance.notarization().encode())
    (paths / "policy").write_bytes(alliance.policy().encode())
    ran = verify(paths)
    assert (ran.status, ran.err) == (0, "")
    for digest in digests_of(FILE):
        assert f"{digest.algorithm:<12} {digest.value.hex()}" in ran.out
    for shown in (
        "record       a document, notarized by justice/notary-1",
        "log index    6",
        "size 11",
        "sz.gov.example/alliance/a1 at 2026-09-21T14:13:20Z",
        "between 2026-09-21T14:13:19.123Z and 2026-09-21T14:13:21.123Z, 2.000 s",
        "existed by the later of the two times; it may be years older than the earlier one",
        "public       no",
    ):
        assert shown in ran.out
    assert verify(paths, json=True).document["record"]["height"] == 812


def test_another_file_is_status_1(paths):
    (paths / "file").write_bytes(FILE + b" ")
    ran = verify(paths, json=True)
    assert ran.status == 1
    assert ran.document["error"]["code"] == "other_document"


def test_another_file_is_status_1_even_under_a_retired_policy(paths):
    (paths / "file").write_bytes(FILE + b" ")
    (paths / "policy").write_bytes(Alliance(names=("x1", "y2")).policy().encode())
    assert verify(paths).status == 1


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (lambda leaf, opening: (leaf, (bytes(32), opening[1])), "opening_mismatch"),
        (lambda leaf, opening: ((*leaf[:-1], (bytes(32),)), opening), "opening_mismatch"),
    ],
)
def test_an_opening_that_does_not_fit_the_record_is_status_1(paths, edit, code):
    (paths / "proof").write_bytes(Alliance().notarization(change=edit).encode())
    ran = verify(paths, json=True)
    assert (ran.status, ran.document["error"]["code"]) == (1, code)


def test_too_few_cosignatures_are_status_1(paths):
    (paths / "proof").write_bytes(Alliance().notarization(cosigners=("a1", "b2")).encode())
    ran = verify(paths)
    assert ran.status == 1
    assert "its quorum needs 1 more: 1 by validators\n" in ran.err


def test_a_policy_of_another_chain_is_status_1(paths):
    (paths / "policy").write_bytes(Alliance(origin="other.example/x").policy().encode())
    ran = verify(paths, json=True)
    assert (ran.status, ran.document["error"]["code"]) == (1, "other_chain")


@pytest.mark.parametrize(
    ("of_chain", "of_policy"), [("ed25519-sha256", "sm2-sm3"), ("sm2-sm3", "ed25519-sha256")]
)
def test_a_policy_of_another_suite_is_status_5_and_said_to_be_that(paths, of_chain, of_policy):
    (paths / "proof").write_bytes(Alliance(of_chain).notarization().encode())
    (paths / "policy").write_bytes(Alliance(of_policy).policy().encode())
    ran = verify(paths, json=True)
    assert (ran.status, ran.document["error"]["code"]) == (5, "other_suite")
    assert (
        f"chain of the suite {of_chain}; the policy is of one of the suite {of_policy}"
        in (ran.document["error"]["message"])
    )


def test_a_retired_policy_is_status_5_and_says_what_would_settle_it(paths):
    (paths / "policy").write_bytes(Alliance(names=("x1", "y2", "z3", "w4")).policy().encode())
    ran = verify(paths)
    assert ran.status == 5
    assert "refresh the proof, or take the policy of the proof's time" in ran.err


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda leaf, opening: ((*leaf[:-1], ()), opening), "commitment: found nil"),
        (lambda leaf, opening: ((leaf[0], "other", *leaf[2:]), opening), "is of kind other"),
        (lambda leaf, opening: (leaf, (bytes(31), opening[1])), "salt: found 31 bytes"),
    ],
)
def test_a_record_that_is_no_notarization_is_status_2(paths, edit, message):
    (paths / "proof").write_bytes(Alliance().notarization(change=edit).encode())
    ran = verify(paths)
    assert (ran.status, message in ran.err) == (2, True), ran.err


def test_a_proof_of_another_kind_of_record_is_named(paths):
    """As the proof of a timestamp's record is, or a file of marks."""

    def edit(leaf, opening):
        return (leaf[0], "other", *leaf[2:]), opening

    (paths / "proof").write_bytes(Alliance().notarization(change=edit).encode())
    ran = verify(paths)
    assert ran.err.startswith(f"error: {paths / 'proof'}: proof: its record is of kind other")
    assert "name the .tlog-proof that `chainnode notarize` wrote" in ran.err


def test_a_file_that_is_no_opentimestamps_proof_is_named(paths):
    ran = chainnode("ots", "verify", paths / "file", paths / "proof", "--policy", paths / "policy")
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith(f"error: {paths / 'proof'}: ots: ")
    assert "name the FILE.ots that `ots stamp` wrote" in ran.err


def test_a_proof_without_extra_is_status_2(paths):
    proof = (paths / "proof").read_bytes()
    lines = [line for line in proof.split(b"\n") if not line.startswith(b"extra ")]
    (paths / "proof").write_bytes(b"\n".join(lines))
    ran = verify(paths)
    assert ran.status == 2
    assert "no `extra` line, so nothing to compare a document with" in ran.err


@pytest.mark.parametrize("name", ["file", "proof", "policy"])
def test_a_file_that_is_not_there_is_status_2_and_named(paths, name):
    (paths / name).unlink()
    ran = verify(paths)
    assert ran.status == 2
    assert f"cannot read {paths / name}: No such file or directory" in ran.err


@pytest.mark.parametrize(
    ("name", "instead"),
    [("proof", "name the .tlog-proof that"), ("policy", "what `chainnode policy` writes")],
)
@pytest.mark.parametrize("content", ["hello\n", "-----BEGIN CERTIFICATE-----\n", ""])
def test_a_malformed_file_is_status_2_and_named_with_what_to_name_instead(
    paths, name, instead, content
):
    (paths / name).write_text(content)
    ran = verify(paths)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith(f"error: {paths / name}: {name}")
    assert instead in ran.err
    assert verify(paths, json=True).document["error"]["field"] == name


@pytest.mark.parametrize("name", ["proof", "policy"])
def test_a_file_far_too_large_is_not_read(paths, name):
    (paths / name).write_bytes(b"x" * 1_000_000)
    ran = verify(paths)
    assert (ran.status, "is larger than" in ran.err) == (2, True)


def test_a_policy_without_logs_vouches_for_nothing(paths):
    (paths / "policy").write_text("quorum none\n")
    ran = verify(paths)
    assert ran.status == 2
    assert "it names no log, so it can vouch for nothing" in ran.err


def test_a_policy_must_be_given(paths):
    ran = chainnode("verify", paths / "file", paths / "proof")
    assert ran.status == 2
    assert ran.err.startswith("error: ")
