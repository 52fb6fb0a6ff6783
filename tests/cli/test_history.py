"""Marks of records from the command line: made, shown on one timeline, and proven offline, there or absent."""

from __future__ import annotations

import json
import re
import threading
from itertools import count

from chainnode.model.marks import parse_mark, verify_mark
from chainnode.rpc.client import RpcClient
from cli.proofs import read_policy, read_proof
from tests.support.chain import ADMIN, CLERK, GUEST
from tests.support.cli import chainnode

NUMBERS = count()


def notarized(home, folder, *options):
    path = folder / f"{next(NUMBERS)}.txt"
    path.write_text(path.name)
    ran = chainnode("--home", home, "--json", "notarize", path, *options)
    assert ran.status == 0, ran.out
    return path, path.with_name(f"{path.name}.tlog-proof")


def record(home, *arguments, status=0, account=CLERK):
    ran = chainnode("--home", home, "record", *arguments, "--as", account)
    assert ran.status == status, ran.err
    return ran


def pass_a_block(home, folder):
    """A checkpoint vouches for the state of the block before its own."""
    notarized(home, folder)


def versions(home, what, *options):
    ran = chainnode("--home", home, "--json", "history", what, *options)
    assert ran.status == 0, ran.out
    (document,) = ran.document["documents"]
    return document["versions"]


def test_versions_owners_and_annotations_are_one_timeline(home, tmp_path, policy):
    first, first_proof = notarized(home, tmp_path)
    record(
        home, "annotate", first_proof, "--code", "typo", "--note", "第三页", "--note-file", first
    )
    record(home, "offer", first_proof, GUEST)
    record(home, "accept", first_proof, account=GUEST)
    second, second_proof = notarized(home, tmp_path, "--previous", first_proof)
    record(home, "annotate-by-order", second_proof, "--order", "(2026) 1", account=ADMIN)
    record(home, "renounce", second_proof)
    record(home, "withdraw", second_proof, "--reason", "erroneous", account=GUEST)
    shown = versions(home, first, "--out", tmp_path / "proofs")
    assert shown == versions(home, second)
    assert shown == versions(home, str(shown[1]["record"]["index"]))
    assert [mark["event"] for mark in shown[0]["marks"]] == [
        "annotated",
        "ownership-offered",
        "ownership-accepted",
        "superseded",
    ]
    assert [mark["event"] for mark in shown[1]["marks"]] == [
        "superseded",
        "annotated-by-order",
        "ownership-renounced",
        "withdrawn",
    ]
    assert shown[0]["marks"][0]["note"] == "第三页"
    assert shown[1]["marks"][1]["order"] == "(2026) 1"
    assert shown[0]["owners"] == sorted([CLERK, GUEST])
    assert shown[1]["owners"] == [GUEST]
    assert shown[1]["withdrawn"]["account"] == GUEST
    text = chainnode("--home", home, "history", first).out
    assert "version        1 of 2" in text
    assert "by the next version" in text
    assert "the version before, by this one" in text
    suite = read_policy(policy).logs[0].key.type.suite
    files = sorted((tmp_path / "proofs").iterdir())
    # The superseding mark stands in both histories and is one record.
    assert len(files) == 2 + 4 + 4 - 1
    marks = [
        read_proof(f)
        for f in files
        if f.stem.isdigit() and int(f.stem) != shown[0]["record"]["index"]
    ]
    for proof in marks:
        if proof.index != shown[1]["record"]["index"]:
            verify_mark(suite, parse_mark(proof.extra))
    looked = chainnode("--home", home, "--json", "lookup", first).document["records"][0]
    assert (looked["is_superseded"], looked["withdrawn"]) == (True, None)
    looked = chainnode("--home", home, "lookup", second)
    assert "withdrawn    erroneous" in looked.out


def test_registrations_that_do_not_follow_one_another_are_told_apart(home, tmp_path):
    first, _ = notarized(home, tmp_path)
    assert "registration" not in chainnode("--home", home, "history", first).out
    copy = tmp_path / "copies" / first.name
    copy.parent.mkdir()
    copy.write_bytes(first.read_bytes())
    assert chainnode("--home", home, "notarize", copy).status == 0
    shown = chainnode("--home", home, "history", first).out
    heads = [line for line in shown.splitlines() if line.startswith("registration")]
    assert heads == [
        f"registration {n} of 2; nobody has said that it follows another" for n in (1, 2)
    ]
    assert shown.count("version        1 of 1") == 2


def test_that_a_record_is_not_withdrawn_is_proven_offline(home, tmp_path, policy):
    file, proof = notarized(home, tmp_path)
    pass_a_block(home, tmp_path)
    ran = chainnode("verify", file, proof, "--policy", policy)
    assert (ran.status, ran.out.count("not looked at")) == (0, 1)
    ran = chainnode("--home", home, "--json", "record", "marks", proof)
    assert ran.status == 0, ran.out
    marks = tmp_path / (file.name + ".marks.tlog-proof")
    assert ran.document["file"] == str(marks)
    ran = chainnode("--json", "verify", file, proof, "--policy", policy, "--marks", marks)
    assert ran.status == 0
    known = ran.document["marks"]
    assert (known["withdrawn"], known["successor"], known["owners"]) == (None, None, [CLERK])
    assert known["algorithms"] == {"sha256": "accepted", "sm3": "accepted"}
    other, other_proof = notarized(home, tmp_path)
    ran = chainnode("verify", other, other_proof, "--policy", policy, "--marks", marks)
    assert (ran.status, ran.err.count("about another record")) == (2, 1)
    data = marks.read_bytes()
    spoiled = tmp_path / "spoiled"
    spoiled.write_bytes(data.replace(b"index ", b"index 1", 1))
    ran = chainnode("verify", file, proof, "--policy", policy, "--marks", spoiled)
    assert ran.status == 1


def test_a_withdrawal_is_found_by_who_asks(home, tmp_path, policy):
    file, proof = notarized(home, tmp_path)
    record(home, "withdraw", proof, "--reason", "duplicate")
    pass_a_block(home, tmp_path)
    assert chainnode("verify", file, proof, "--policy", policy).status == 0
    ran = chainnode("--home", home, "verify", file, proof, "--policy", policy, "--ask")
    assert ran.status == 1
    assert f"was withdrawn by {CLERK}" in ran.err
    assert "duplicate" in ran.err
    ran = chainnode("--home", home, "record", "marks", proof, "--out", tmp_path / "m")
    assert "duplicate, by" in ran.out
    ran = chainnode("--json", "verify", file, proof, "--policy", policy, "--marks", tmp_path / "m")
    assert (ran.status, ran.document["error"]["code"]) == (1, "withdrawn")
    ran = chainnode("verify", file, proof, "--policy", policy, "--marks", tmp_path / "m", "--ask")
    assert ran.status == 2


def test_a_withdrawal_that_cannot_be_proven_yet_is_never_denied(
    home, tmp_path, policy, monkeypatch
):
    """The withdrawal is in the newest block, whose state only the next block lets anybody prove."""
    file, proof = notarized(home, tmp_path)
    pass_a_block(home, tmp_path)
    record(home, "withdraw", proof, "--reason", "erroneous")
    with monkeypatch.context() as patch:
        patch.setattr("cli.proven_state.NEXT_BLOCK_MS", 200)
        ran = chainnode("--home", home, "verify", file, proof, "--policy", policy, "--ask")
        assert (ran.status, ran.out) == (5, "")
        assert f"says that this record was withdrawn by {CLERK}" in ran.err
        ran = chainnode("--home", home, "--json", "record", "marks", proof, "--out", tmp_path / "m")
        assert (ran.status, ran.document["error"]["code"]) == (5, "not_yet_proven")
        assert not (tmp_path / "m").exists()
    later = threading.Timer(0.5, pass_a_block, (home, tmp_path))
    later.start()
    ran = chainnode("--home", home, "verify", file, proof, "--policy", policy, "--ask")
    later.join()
    assert (ran.status, ran.err.count("erroneous")) == (1, 1)


def test_who_asks_is_told_where_the_proof_ends(home, tmp_path, policy):
    file, proof = notarized(home, tmp_path)
    pass_a_block(home, tmp_path)
    for arguments in (
        ("verify", file, proof, "--policy", policy, "--ask"),
        ("record", "marks", proof),
    ):
        ran = chainnode("--home", home, *arguments)
        assert (ran.status, ran.err.count("says that nothing came since block")) == (0, 1)
        assert re.search("^withdrawn +no$", ran.out, re.MULTILINE)


def test_a_newer_version_is_named_to_who_asks(home, tmp_path, policy):
    old, old_proof = notarized(home, tmp_path)
    _, new_proof = notarized(home, tmp_path)
    record(home, "supersede", old_proof, new_proof)
    pass_a_block(home, tmp_path)
    ran = chainnode("--home", home, "verify", old, old_proof, "--policy", policy, "--ask")
    assert ran.status == 0
    assert f"superseded   by {CLERK}, transaction" in ran.out


def test_a_state_of_a_lying_node_is_not_believed(home, tmp_path, policy, monkeypatch):
    file, proof = notarized(home, tmp_path)
    record(home, "withdraw", proof, "--reason", "other")
    pass_a_block(home, tmp_path)
    ask = RpcClient.state_get

    async def deny(self, key, *, prove=False, height=None):
        return {**await ask(self, key, prove=prove, height=height), "value": None}

    monkeypatch.setattr(RpcClient, "state_get", deny)
    ran = chainnode("--home", home, "verify", file, proof, "--policy", policy, "--ask")
    assert ran.status == 1
    assert "withdrawn" not in ran.err
    assert chainnode("--home", home, "record", "marks", proof).status == 1


def test_marks_are_refused_to_who_may_not_make_them(home, tmp_path):
    _, proof = notarized(home, tmp_path)
    ran = record(home, "withdraw", proof, "--reason", "other", account=GUEST, status=4)
    assert "does not own the record" in ran.err
    record(home, "annotate-by-order", proof, "--order", "x", status=4)
    record(home, "annotate", proof, status=4)
    record(home, "annotate", proof, "--note", "x" * 257, status=2)
    record(home, "offer", proof, "nobody/none", status=4)
    record(home, "decline", proof, account=GUEST, status=4)
    record(home, "offer", proof, GUEST)
    record(home, "retract", proof, GUEST)
    record(home, "accept", proof, account=GUEST, status=4)


def test_a_proof_of_another_chain_or_record_names_nothing(home, tmp_path):
    _, proof = notarized(home, tmp_path)
    text = proof.read_text()
    other = tmp_path / "other.tlog-proof"
    other.write_text(text.replace("\n\n", "\n\nother.", 1))
    ran = record(home, "withdraw", other, "--reason", "other", status=2)
    assert "is of the chain other." in ran.err


def test_strangers_see_the_history_of_public_records_only(home, tmp_path):
    _, blinded = notarized(home, tmp_path)
    public, public_proof = notarized(home, tmp_path, "--public")
    record(home, "annotate", public_proof, "--note", "for everybody")
    ran = chainnode("--home", home, "history", "--anonymous", public)
    assert (ran.status, ran.out.count("for everybody")) == (0, 1)
    index = json.loads(chainnode("--home", home, "--json", "lookup", blinded.with_suffix("")).out)[
        "records"
    ][0]["index"]
    ran = chainnode("--home", home, "history", "--anonymous", str(index))
    assert (ran.status, ran.err.count("for members")) == (4, 1)
    assert chainnode("--home", home, "history", str(index)).status == 0
    assert chainnode("--home", home, "history", "0").status == 6
    assert chainnode("--home", home, "history", "ab" * 32).status == 6
    ran = chainnode(
        "--home", home, "notarize", public.with_name("new.txt"), "--previous", public_proof
    )
    assert ran.status == 2


def test_a_public_version_follows_public_ones_only(home, tmp_path):
    _, public = notarized(home, tmp_path, "--public")
    notarized(home, tmp_path, "--public", "--previous", public)
    _, blinded = notarized(home, tmp_path)
    path = tmp_path / "next"
    path.write_text("next")
    ran = chainnode("--home", home, "notarize", path, "--public", "--previous", blinded)
    assert (ran.status, ran.err.count("one record is public")) == (4, 1)
    assert not path.with_name("next.tlog-proof").exists()
    ran = chainnode("--home", home, "notarize", path, tmp_path / "0", "--previous", blinded)
    assert ran.status == 2


def test_records_are_listed_by_owner_and_time(home, tmp_path):
    files = [notarized(home, tmp_path)[0] for _ in range(3)]
    shown = [
        chainnode("--home", home, "--json", "lookup", file).document["records"][0] for file in files
    ]

    def listed(*options):
        ran = chainnode("--home", home, "--json", "lookup", *options)
        assert ran.status == 0, ran.out
        assert ran.document["next_after"] is None
        return [entry["index"] for entry in ran.document["records"]]

    indices = [entry["index"] for entry in shown]
    for owner in (CLERK, "court"):
        assert listed("--owner", owner)[-3:] == indices
        assert listed("--owner", owner, "--after", indices[0]) == indices[1:]
        assert listed("--owner", owner, "--since", shown[1]["time_ms"]) == indices[1:]
    assert listed("--since", shown[0]["time_ms"], "--until", shown[2]["time_ms"]) == indices[:2]
    for options in (("--owner", "nobody"), ("--since", "2999-01-01")):
        assert chainnode("--home", home, "lookup", *options).status == 6
    for options in ((), (files[0], "--owner", CLERK), ("--owner", "A B"), ("--since", "soon")):
        assert chainnode("--home", home, "lookup", *options).status == 2
