"""Circumstances registered with a document: gathered or given, committed to by the leaf, checked offline."""

from __future__ import annotations

import hashlib
import json

import pytest

from chainnode.clock import Discipline
from chainnode.model.capture import FORMAT, parse_capture
from tests.support.chain import CLERK
from tests.support.cli import chainnode


def test_what_the_machine_knows_is_gathered_registered_and_checked_offline(home, file, policy):
    ran = chainnode("--home", home, "--json", "notarize", file, "--capture")
    assert ran.status == 0, ran.out
    entry = ran.document["notarized"][0]
    capture = file.with_name("notice.txt.capture.json")
    assert entry["capture"] == str(capture)
    found = parse_capture(capture.read_bytes()).value
    assert found["operator"]["account"] == CLERK
    assert found["source"]["path"] == str(file)
    assert found["source"]["size_bytes"] == file.stat().st_size
    assert found["cleanliness"] == {"result": "not-done"}
    shown = chainnode("--home", home, "--json", "lookup", file).document["records"][0]
    # So that `sha256sum` of the file is what was registered.
    assert shown["metadata_hash"] == hashlib.sha256(capture.read_bytes()).hexdigest()
    check = ("verify", file, entry["proof"], "--policy", policy)
    ran = chainnode(*check)
    assert (ran.status, ran.out.count("--context FILE checks it")) == (0, 1)
    ran = chainnode("--json", *check, "--context", capture)
    assert ran.status == 0
    assert ran.document["context"] == found
    pretty = capture.with_name("pretty.json")
    pretty.write_text(json.dumps(found, indent=2))
    assert chainnode(*check, "--context", pretty).status == 0
    capture.write_text(capture.read_text().replace('"not-done"', '"clean"'))
    ran = chainnode("--json", *check, "--context", capture)
    assert (ran.status, ran.document["error"]["code"]) == (1, "other_metadata")
    ran = chainnode("--home", home, "notarize", file, "--out", file.parent / "x", "--capture")
    assert ran.status == 0
    capture.write_text("{}")
    ran = chainnode(*check, "--context", capture)
    assert (ran.status, ran.err.count("format: it is missing")) == (2, 1)


def test_a_capture_record_of_ones_own_is_registered_with_several_files(home, tmp_path, policy):
    given = tmp_path / "mine.json"
    given.write_text(
        json.dumps(
            {
                "format": FORMAT,
                "nonce": "07" * 32,
                "captured_ms": 1,
                "cleanliness": {"result": "clean", "method": "sealed image"},
            },
            indent=1,
        )
    )
    files = [tmp_path / name for name in "ab"]
    for path in files:
        path.write_text(path.name)
    ran = chainnode("--home", home, "--json", "notarize", *files, "--context", given)
    assert ran.status == 0, ran.out
    assert [e["capture"] for e in ran.document["notarized"]] == [None, None]
    for path in files:
        proof = f"{path}.tlog-proof"
        ran = chainnode("verify", path, proof, "--policy", policy, "--context", given)
        assert ran.status == 0
        assert "it says 1970-01-01" in ran.out


def test_a_record_without_context_has_none_to_check(home, file, tmp_path, policy):
    proof = f"{file}.tlog-proof"
    assert chainnode("--home", home, "notarize", file).status == 0
    given = tmp_path / "c.json"
    given.write_text(json.dumps({"format": FORMAT, "nonce": "07" * 32, "captured_ms": 1}))
    ran = chainnode("--json", "verify", file, proof, "--policy", policy, "--context", given)
    assert (ran.status, ran.document["error"]["code"]) == (1, "no_metadata")
    assert (
        chainnode("--json", "verify", file, proof, "--policy", policy).document["context"] is None
    )


def test_nothing_is_sent_where_a_capture_record_lies_already(home, file, running):
    capture = file.with_name("notice.txt.capture.json")
    capture.write_text("mine")
    before = running.node.ledger.tip.height
    ran = chainnode("--home", home, "notarize", file, "--capture")
    assert (ran.status, capture.read_text()) == (2, "mine")
    assert f"register it with --context {capture}" in ran.err
    ran = chainnode("--home", home, "notarize", file, "--capture", "--context", capture)
    assert ran.status == 2
    assert chainnode("--home", home, "notarize", file, "--context", capture).status == 2
    assert running.node.ledger.tip.height == before


@pytest.mark.parametrize(
    ("discipline", "stated"),
    [
        (None, {"source": "unknown"}),
        (
            Discipline(is_synchronised=True, max_error_ms=7),
            {"source": "unknown", "is_synchronised": True, "max_error_ms": 7},
        ),
        (
            Discipline(is_synchronised=False, max_error_ms=16_000),
            {"source": "unknown", "is_synchronised": False},
        ),
    ],
)
def test_of_the_clock_only_what_the_kernel_says_is_stated(
    home, file, monkeypatch, discipline, stated
):
    monkeypatch.setattr("cli.capture.clock_discipline", lambda: discipline)
    assert chainnode("--home", home, "notarize", file, "--capture").status == 0
    capture = json.loads(file.with_name("notice.txt.capture.json").read_bytes())
    assert capture["time"] == stated
