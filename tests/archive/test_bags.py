"""Bags: what the Library of Congress's own software says of them, and what the four checks find."""

from __future__ import annotations

import json
import shutil

import bagit
import pytest

from chainnode.model.suites import SM2_SM3
from chainnode.model.tlog_policy import validators_policy
from chainnode.pki.pem import REVOCATION_LIST, write_bundle, write_pem
from chainnode.pki.revocation import RevocationReason, RevokedCertificate
from tests.support.certificates import DAY_MS, NOW_MS, authority
from tests.support.chain import make_chain
from tests.support.cli import chainnode
from tests.support.evidence_records import sealed

CONTENTS = {"a/合同.pdf": b"%PDF-1.7 a contract", "b.png": b"\x89PNG\r\n\x1a\n picture"}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    root = tmp_path_factory.mktemp("bags")
    for (name, content), record in zip(
        CONTENTS.items(), sealed(list(CONTENTS.values())), strict=True
    ):
        for folder, written, suffix in (("docs", content, ""), ("ev", record.encode(), ".er")):
            path = root / folder / f"{name}{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(written)
    (root / "roots.pem").write_bytes(write_bundle((authority().root,)))
    ran = chainnode(
        "--json", "archive", "export", root / "docs", "--out", root / "bag",
        "--records", root / "ev", "--root", root / "roots.pem",
    )  # fmt: skip
    assert ran.status == 0, ran.out + ran.err
    assert (ran.document["documents"], ran.document["records"]) == (2, 2)
    return root


@pytest.fixture
def bag(exported, tmp_path):
    shutil.copytree(exported / "bag", tmp_path / "bag")
    return tmp_path / "bag"


def check(exported, bag, *arguments):
    trust = arguments or ("--root", exported / "roots.pem")
    ran = chainnode("--json", "archive", "check", bag, *trust)
    return ran.status, {c["name"]: c["result"] for c in ran.document["checks"]}


def test_bagit_validates_it_and_all_four_checks_pass(exported, bag, tmp_path):
    assert bagit.Bag(str(bag)).validate()
    status, results = check(exported, bag)
    assert (status, set(results.values())) == (0, {"passed"})
    stem = tmp_path / "report"
    ran = chainnode("archive", "check", bag, "--root", exported / "roots.pem", "--report", stem)
    assert ran.status == 0
    assert [line.split()[0] for line in ran.out.splitlines()[:5]] == [
        *("authentic", "complete", "usable", "safe", "report")
    ]
    assert str(stem.with_name("report.md")) in ran.out
    assert len(ran.out.splitlines()) == 6
    assert json.loads((tmp_path / "report.json").read_text())["passed"] is True
    text = (tmp_path / "report.md").read_text()
    for word in ("真实性", "完整性", "可用性", "安全性", "passed 通过", "malware"):
        assert word in text


def test_an_altered_document_is_told_by_bagit_and_by_us(exported, bag):
    (bag / "data" / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n Picture")
    with pytest.raises(bagit.BagValidationError):
        bagit.Bag(str(bag)).validate()
    status, results = check(exported, bag)
    assert status == 1
    assert (results["authentic"], results["complete"]) == ("failed", "failed")
    assert (results["usable"], results["safe"]) == ("passed", "passed")


@pytest.mark.parametrize(
    ("spoil", "failed"),
    [
        (lambda bag: (bag / "data" / "b.png").unlink(), "complete"),
        (lambda bag: (bag / "data" / "more.pdf").write_bytes(b"%PDF-"), "complete"),
        (lambda bag: (bag / "manifest-sha512.txt").unlink(), "complete"),
        (lambda bag: (bag / "VERIFY.txt").write_text("trust us"), "complete"),
        (lambda bag: (bag / "chainnode-digests.txt").write_text(""), "complete"),
        (lambda bag: (bag / "evidence" / "b.png.er").write_bytes(b"0"), "authentic"),
        (lambda bag: (bag / "data" / "b.png").write_bytes(b"MZ"), "safe"),
        (lambda bag: (bag / "data" / "link").symlink_to("/etc/passwd"), "safe"),
        (lambda bag: (bag / "data" / "b.png").write_bytes(b""), "usable"),
        (lambda bag: (bag / "data" / "b.png").write_bytes(b"GIF89a"), "usable"),
    ],
)
def test_each_check_fails_for_what_it_is_about(exported, bag, spoil, failed):
    spoil(bag)
    status, results = check(exported, bag)
    assert (status, results[failed]) == (1, "failed")


def test_what_is_not_shown_is_not_called_passed(exported, bag):
    ran = chainnode("--json", "archive", "check", bag)
    assert ran.status == 5
    assert ran.document["checks"][0]["result"] == "not_shown"
    (bag / "evidence" / "b.png.er").unlink()
    for path in bag.glob("tagmanifest-*"):
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(line for line in lines if "b.png.er" not in line))
    assert check(exported, bag) == (
        5,
        {"authentic": "not_shown", "complete": "passed", "usable": "passed", "safe": "passed"},
    )


def verify_one(exported, *trust):
    """What `archive verify` says of one of the documents: its status, and the answer."""
    name = "a/合同.pdf"
    document, record = exported / "docs" / name, exported / "ev" / f"{name}.er"
    ran = chainnode("--json", "archive", "verify", document, record, *trust)
    return ran.status, ran.document


def both(exported, bag, *trust):
    """Status of `verify`, and that of `check` with what it says of authenticity."""
    trust = ("--root", exported / "roots.pem", *trust)
    status, results = check(exported, bag, *trust)
    return verify_one(exported, *trust)[0], (status, results["authentic"])


def write_crl(path, *revoked, by_root=False, days=3_000):
    crl = authority().crl(*revoked, by_root=by_root, next_update_ms=NOW_MS + days * DAY_MS)
    path.write_bytes(write_pem(REVOCATION_LIST, crl.encoded))
    return path


def test_lists_of_root_and_authority_count_and_a_stolen_key_is_refused(exported, bag, tmp_path):
    made = authority()
    nothing = ("--crl", write_crl(tmp_path / "no.pem"))
    assert both(exported, bag, *nothing) == (0, (0, "passed"))
    for name, by_root, serial in (
        ("leaf.pem", False, made.leaf.serial_number),
        ("issuing.pem", True, made.issuing.serial_number),
    ):
        entry = RevokedCertificate(serial, NOW_MS, RevocationReason.KEY_COMPROMISE)
        back = ("--crl", write_crl(tmp_path / name, entry, by_root=by_root))
        assert both(exported, bag, *back, *nothing * by_root) == (1, (1, "failed"))
        assert verify_one(exported, "--root", exported / "roots.pem", *back)[1]["error"][
            "code"
        ] == ("revoked")
    stale = ("--crl", write_crl(tmp_path / "old.pem", days=1))
    assert both(exported, bag, *stale) == (1, (1, "failed"))
    assert verify_one(exported, *nothing)[0] == 2


def test_a_root_of_others_proves_nothing_against_a_record(exported, bag, tmp_path):
    other = tmp_path / "other.pem"
    other.write_bytes(write_bundle((authority(SM2_SM3).root,)))
    status, said = verify_one(exported, "--root", other)
    assert (status, said["error"]["code"]) == (5, "no_path")
    status, results = check(exported, bag, "--root", other)
    assert (status, results["authentic"]) == (5, "not_shown")


def test_whoever_believes_an_algorithm_no_more_says_since_when(exported, bag):
    assert both(exported, bag, "--weak", "sha256=2999-01-01") == (0, (0, "passed"))
    assert both(exported, bag, "--weak", "sm3=2020-01-01") == (0, (0, "passed"))
    assert both(exported, bag, "--weak", "sha256=2026-10-01") == (1, (1, "failed"))
    root = ("--root", exported / "roots.pem")
    said = verify_one(exported, *root, "--weak", "sha256=2026-10-01")[1]
    assert said["error"]["code"] == "weak_algorithm"
    for nonsense in ("sha256", "md5=2026-01-01", "sha256=soon"):
        assert chainnode("archive", "check", bag, *root, "--weak", nonsense).status == 2


def test_a_token_that_the_chain_has_no_proof_of_is_not_shown_unless_its_root_is_to_do(
    exported, bag, tmp_path
):
    genesis, policy = make_chain().genesis, tmp_path / "policy"
    keys = [(v.name, v.log_key, v.cosigner_key) for v in genesis.validators]
    policy.write_bytes(validators_policy(genesis.suite, genesis.chain_id, keys).encode())
    assert both(exported, bag, "--policy", policy) == (5, (5, "not_shown"))
    assert both(exported, bag, "--policy", policy, "--by-root") == (0, (0, "passed"))
    trust = ("--root", exported / "roots.pem", "--policy", policy, "--by-root")
    authentic = chainnode("--json", "archive", "check", bag, *trust).document["checks"][0]
    assert authentic["note_count"] == len(CONTENTS)
    assert "nothing shows that the chain issued" in authentic["notes"][0]
    assert "依据较少" in chainnode("archive", "check", bag, *trust).out
    assert chainnode("archive", "check", bag, "--policy", policy, "--by-root").status == 2


def test_evidence_is_found_beside_the_documents_and_in_every_folder_that_is_named(tmp_path):
    names = ("a.pdf", "b.pdf", "c.pdf")
    record, token = sealed([b"%PDF-"])[0].encode(), "chainnode-tokens/01.tsr"
    written = {
        **{f"docs/{name}": b"%PDF-" for name in names},
        "docs/a.pdf.tlog-proof": b"of notarize -r",
        "old/a.pdf.er": record,
        "new/a.pdf.tlog-proof": b"named before those beside the documents",
        "new/b.pdf.er": record,
        f"old/{token}": b"old",
        f"new/{token}": b"new",
    }
    for name, content in written.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def export(bag, *folders):
        options = [word for folder in folders for word in ("--records", tmp_path / folder)]
        asked = ("archive", "export", tmp_path / "docs", "--out", tmp_path / bag, *options)
        ran = chainnode("--json", *asked)
        assert ran.status == 0, ran.err
        said = ran.document
        return said["records"], said["proofs"], said["without_evidence"]

    assert export("alone") == (0, 1, 2)
    assert export("both", "new", "old") == (2, 1, 1)
    both = tmp_path / "both"
    assert (both / "proofs" / "a.pdf.tlog-proof").read_bytes().startswith(b"named before")
    assert (both / "evidence" / token).read_bytes() == b"new"
    assert bagit.Bag(str(both)).validate()


@pytest.mark.parametrize(
    ("content", "result"),
    [
        ("合同 a contract\n".encode(), "passed"),
        ("合同".encode("gb18030"), "passed"),
        ("é".encode("utf-16"), "not_shown"),
        (b"\x89PNG\0", "not_shown"),
        ("合".encode()[:2] + b"\xff", "not_shown"),
        (b"", "failed"),
    ],
)
def test_text_is_looked_at_by_its_encoding(tmp_path, content, result):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "note.TXT").write_bytes(content)
    bag = tmp_path / "bag"
    assert chainnode("archive", "export", tmp_path / "docs", "--out", bag).status == 0
    ran = chainnode("--json", "archive", "check", bag)
    assert {c["name"]: c["result"] for c in ran.document["checks"]}["usable"] == result


def test_nothing_is_overwritten_and_names_that_no_two_programs_agree_on_are_refused(
    exported, tmp_path
):
    again = chainnode("archive", "export", exported / "docs", "--out", exported / "bag")
    assert (again.status, "--out" in again.err) == (2, True)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "50%.pdf").write_bytes(b"%PDF-")
    ran = chainnode("--json", "archive", "export", tmp_path / "docs", "--out", tmp_path / "bag")
    assert (ran.status, ran.document["error"]["code"]) == (2, "not_portable")
    assert not (tmp_path / "bag").exists()
