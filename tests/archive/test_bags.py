"""Bags: what the Library of Congress's own software says of them, and what the four checks find."""

from __future__ import annotations

import json
import shutil

import bagit
import pytest

from chainnode.pki.pem import write_bundle
from tests.support.certificates import authority
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


def test_nothing_is_overwritten_and_names_that_no_two_programs_agree_on_are_refused(
    exported, tmp_path
):
    again = chainnode("archive", "export", exported / "docs", "--out", exported / "bag")
    assert again.status == 2
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "50%.pdf").write_bytes(b"%PDF-")
    ran = chainnode("--json", "archive", "export", tmp_path / "docs", "--out", tmp_path / "bag")
    assert (ran.status, ran.document["error"]["code"]) == (2, "not_portable")
    assert not (tmp_path / "bag").exists()
