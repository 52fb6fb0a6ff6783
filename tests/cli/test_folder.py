"""`notarize DIR -r` and `verify DIR --manifest`: a real server on a real ledger, whose engine decides at once."""

import asyncio
import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess

import pytest

from chainnode.client.lists import ListOutcome, ListStatus
from chainnode.client.nodes import Nodes
from chainnode.model.errors import DecodeError, Unavailable
from chainnode.rpc.client import RpcClient
from cli.folder import run as folder_run
from cli.folder.journal import FolderJournal, decode_line, encode_line
from cli.folder.manifest import decode_manifest
from cli.folder.names import unfinished_name
from cli.folder.place import Placer
from cli.folder.progress import progress_line
from cli.folder.walk import walk
from tests.support.chain import GUEST, make_chain
from tests.support.cli import chainnode
from tests.support.folders import entries, lines, manifest
from tests.support.golden import check_golden
from tests.support.missing import missing


@pytest.fixture
def docs(tmp_path):
    root = tmp_path / "docs"
    for path in ("a.txt", "b/通知.txt", "b/.hidden", "b/c/deep.pdf", ".git/config", "empty"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("" if path == "empty" else f"{tmp_path.name} {path}")
    (root / "link").symlink_to("a.txt")
    return root


PATHS = [".git/config", "a.txt", "b/.hidden", "b/c/deep.pdf", "b/通知.txt", "empty"]


def notarize(home, *arguments):
    return chainnode("--home", home, "--json", "notarize", *arguments, "-r")


def registrations(running, content):
    """Log indices under which a content is registered."""
    found = running.node.services.notary.lookup(
        "sha256", hashlib.sha256(content).digest(), as_member=True, limit=100, after=None
    )
    return [one.index for one in found.found]


def check_once(running, root, paths=PATHS):
    for path in paths:
        content = (root / path).read_bytes()
        if content:
            assert len(registrations(running, content)) == 1, path


# -- the whole of it ---------------------------------------------------------------------------------------


def test_a_folder_is_notarized_and_checked_as_a_whole(home, docs, policy, running):
    ran = notarize(home, docs)
    assert ran.status == 0, ran.out
    shown = ran.document
    assert (shown["files"], shown["notarized"], shown["passed_over"]) == (6, 6, 1)
    made = decode_manifest((docs / "chainnode-manifest.json").read_bytes())
    assert [entry.path for entry in made.entries] == PATHS
    for path in PATHS:
        one = chainnode("verify", docs / path, f"{docs / path}.tlog-proof", "--policy", policy)
        assert one.status == 0, one.err
    ran = chainnode("--json", "verify", docs, "--manifest", shown["manifest"], "--policy", policy)
    assert (ran.status, ran.document["holds"], ran.document["files"]) == (0, True, 6)
    assert ran.document["not_in_manifest"] == 0
    check_once(running, docs)


def test_the_manifest_within_a_folder_need_not_be_named(home, docs, policy, tmp_path):
    assert notarize(home, docs).status == 0
    for options in (("--manifest", "--policy", policy), ("--policy", policy, "--manifest")):
        ran = chainnode("--json", "verify", docs, *options)
        assert (ran.status, ran.document["holds"]) == (0, True)
    ran = chainnode("verify", tmp_path, "--manifest", "--policy", policy)
    assert (ran.status, "cannot read" in ran.err) == (2, True)
    assert str(tmp_path / "chainnode-manifest.json") in ran.err


def test_a_finished_folder_is_left_alone_and_new_files_only_are_added(home, docs, running):
    assert notarize(home, docs).status == 0
    before = {path: path.stat().st_mtime_ns for path in docs.rglob("*") if path.is_file()}
    height = running.node.ledger.tip.height
    ran = chainnode("--home", home, "notarize", docs, "-r")
    assert ran.status == 0
    assert "nothing to do: every file is notarized" in ran.out
    assert {path: path.stat().st_mtime_ns for path in before if "journal" not in path.name} == {
        path: time for path, time in before.items() if "journal" not in path.name
    }
    assert running.node.ledger.tip.height == height
    (docs / "b" / "new").write_text(f"{docs.parent.name} new")
    ran = notarize(home, docs)
    assert (ran.document["notarized"], ran.document["unchanged"]) == (1, 6)
    check_once(running, docs, [*PATHS, "b/new"])


def test_a_file_that_was_deleted_on_purpose_leaves_the_manifest_with_it(
    home, docs, policy, running
):
    """As the page says: without the manifest the next run makes it anew of the proofs that are there."""
    assert notarize(home, docs).status == 0
    height = running.node.ledger.tip.height
    (docs / "a.txt").unlink()
    (docs / "a.txt.tlog-proof").unlink()
    assert notarize(home, docs).document["gone"] == 1
    ran = chainnode("--json", "verify", docs, "--manifest", "--policy", policy)
    assert (ran.status, ran.document["missing"]) == (2, 1)
    (docs / "chainnode-manifest.json").unlink()
    ran = notarize(home, docs)
    assert (ran.document["gone"], ran.document["adopted"], ran.document["notarized"]) == (0, 5, 0)
    ran = chainnode("--json", "verify", docs, "--manifest", "--policy", policy)
    assert (ran.status, ran.document["files"]) == (0, 5)
    assert running.node.ledger.tip.height == height


def test_proofs_go_into_a_folder_that_mirrors_the_documents(home, docs, policy, tmp_path):
    out = docs / "proofs"
    ran = notarize(home, docs, "--out", out, "--skip-hidden")
    assert ran.status == 0
    assert sorted(str(p.relative_to(out)) for p in out.rglob("*.tlog-proof")) == [
        "a.txt.tlog-proof",
        "b/c/deep.pdf.tlog-proof",
        "b/通知.txt.tlog-proof",
        "empty.tlog-proof",
    ]
    assert not list(docs.glob("*.tlog-proof"))
    ran = chainnode(
        "--json", "verify", docs, "--manifest", out / "chainnode-manifest.json", "--policy", policy
    )
    assert (ran.status, ran.document["not_in_manifest"]) == (0, 2)


def test_lists_are_filled_up_to_their_bound(home, docs, running, monkeypatch):
    monkeypatch.setattr("chainnode.client.lists.MAX_DOCUMENTS_PER_CALL", 2)
    ran = notarize(home, docs, "--title", "t", "--public")
    assert (ran.status, ran.document["transactions"]) == (0, 3)
    check_once(running, docs)


def test_sha256sum_reads_the_manifest_whatever_files_are_called(tmp_path):
    if shutil.which("sha256sum") is None:
        missing("sha256sum (coreutils)", so="nobody else has read a manifest")
    listed = []
    for entry in entries():
        path = tmp_path / entry.path
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(entry.digests[0].value)
        digest = hashlib.sha256(path.read_bytes()).digest()
        listed.append((entry, digest))
    text = manifest(e for e, _ in listed).sums()
    for entry, digest in listed:
        text = text.replace(entry.digests[0].value.hex().encode(), digest.hex().encode())
    (tmp_path / "sums").write_bytes(text)
    command = ["sha256sum", "--strict", "--quiet", "-c", "sums"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    (tmp_path / entries()[0].path).write_bytes(b"altered")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 1


# -- what is found ------------------------------------------------------------------------------------------


def test_a_walk_has_one_order_and_leaves_out_what_is_ours(docs):
    (docs / "x.tlog-proof").write_text("")
    (docs / ".chainnode-unfinished-0-1").write_text("")
    os.mkfifo(docs / "pipe")
    found = walk(docs, skip_hidden=False, besides=docs / "b" / "c")
    assert [f.path for f in found.files] == [p for p in PATHS if p != "b/c/deep.pdf"]
    assert found.others == 2
    assert [f.path for f in walk(docs, skip_hidden=True, besides=None).files] == [
        "a.txt",
        "b/c/deep.pdf",
        "b/通知.txt",
        "empty",
    ]


def test_a_file_that_cannot_be_notarized_is_named_and_the_others_are(home, docs):
    (docs / ("n" * 250)).write_text("x")
    (docs / "taken.tlog-proof").write_text("mine")
    (docs / "taken").write_text("y")
    ran = notarize(home, docs)
    assert ran.status == 2
    assert {p["path"][:5]: p["problem"][-40:] for p in ran.document["problems"]} == {
        "nnnnn": "its name is too long to add .tlog-proof to it"[-40:],
        "taken": ran.document["problems"][1]["problem"][-40:],
    }
    assert "is no proof that holds" in ran.document["problems"][1]["problem"]
    assert ran.document["notarized"] == 6
    assert (docs / "taken.tlog-proof").read_text() == "mine"
    text = chainnode("--home", home, "notarize", docs, "-r")
    assert "not everything: 2 problems" in text.out


def test_a_folder_needs_r_and_r_needs_one_folder(home, docs):
    assert chainnode("--home", home, "notarize", docs).status == 2
    assert chainnode("--home", home, "notarize", docs / "a.txt", "-r").status == 2
    assert chainnode("--home", home, "notarize", docs, docs, "-r").status == 2
    assert chainnode("verify", docs, "--policy", docs / "a.txt").status == 2


def test_an_account_that_may_not_is_refused_by_the_chain_and_nothing_stays_open(home, docs):
    ran = notarize(home, docs, "--as", GUEST)
    assert (ran.status, ran.document["error"]["code"]) == (4, "missing_role")
    ran = notarize(home, docs)
    assert (ran.status, ran.document["notarized"]) == (0, 6)


def test_a_proof_that_is_there_is_taken_in_and_not_made_again(home, docs, running):
    assert chainnode("--home", home, "notarize", docs / "a.txt").status == 0
    ran = notarize(home, docs)
    assert (ran.document["notarized"], ran.document["adopted"]) == (5, 1)
    check_once(running, docs)
    (docs / "chainnode-manifest.json").unlink()
    ran = notarize(home, docs)
    assert (ran.document["notarized"], ran.document["adopted"]) == (0, 6)
    check_once(running, docs)


@pytest.mark.parametrize("is_touched", [False, True])
def test_a_proof_that_is_gone_is_fetched_again(home, docs, policy, running, is_touched):
    assert notarize(home, docs).status == 0
    height = running.node.ledger.tip.height
    for path in ("a.txt", "b/c/deep.pdf"):
        (docs / f"{path}.tlog-proof").unlink()
        if is_touched:
            os.utime(docs / path, ns=(1, 1))
    ran = notarize(home, docs)
    assert ran.status == 0, ran.out
    assert (ran.document["notarized"], ran.document["restored"], ran.document["unchanged"]) == (
        0,
        2,
        4,
    )
    assert running.node.ledger.tip.height == height
    made = docs / "chainnode-manifest.json"
    ran = chainnode("--json", "verify", docs, "--manifest", made, "--policy", policy)
    assert (ran.status, ran.document["holds"]) == (0, True)
    assert notarize(home, docs).document["unchanged"] == 6


def test_equal_files_that_share_a_record_get_their_proofs_again_at_once(home, tmp_path, policy):
    root = tmp_path / "equal"
    root.mkdir()
    names = [f"{number}.txt" for number in range(8)]
    for name in names:
        (root / name).write_text(f"{tmp_path.name} equal")
    assert chainnode("--home", home, "notarize", root / names[0]).status == 0
    for name in names[1:]:
        shutil.copy(root / f"{names[0]}.tlog-proof", root / f"{name}.tlog-proof")
    assert notarize(home, root).document["adopted"] == 8
    for proof in root.glob("*.tlog-proof"):
        proof.unlink()
    ran = notarize(home, root)
    assert (ran.status, ran.document.get("restored")) == (0, 8), ran.out
    made = root / "chainnode-manifest.json"
    ran = chainnode("--json", "verify", root, "--manifest", made, "--policy", policy)
    assert (ran.status, ran.document["files"]) == (0, 8)
    assert not list(root.glob(".chainnode-unfinished-*"))


def test_a_proof_that_nobody_has_is_named(home, docs, monkeypatch):
    assert notarize(home, docs).status == 0
    (docs / "a.txt.tlog-proof").unlink()

    async def nothing(_client, *_what, **_how):
        return {"records": [], "next_after": None, "as_member": True}

    with monkeypatch.context() as patched:
        patched.setattr(RpcClient, "notary_lookup", nothing)
        ran = notarize(home, docs)
    assert ran.status == 2
    (problem,) = ran.document["problems"]
    assert problem["path"] == "a.txt"
    assert "its proof is gone and not to be had" in problem["problem"]
    assert notarize(home, docs).document["restored"] == 1


def test_a_changed_file_is_registered_anew_and_its_older_proof_is_kept(home, docs, policy):
    notarize(home, docs)
    old = (docs / "a.txt").read_bytes()
    (docs / "a.txt").write_bytes(old + b"!")
    os.utime(docs / "b/c/deep.pdf", ns=(1, 1))
    shown = notarize(home, docs).document
    assert (shown["notarized"], shown["unchanged"]) == (1, 5)
    (kept,) = docs.glob("a.txt.*.tlog-proof")
    (docs.parent / "old").write_bytes(old)
    for file, proof in ((docs.parent / "old", kept), (docs / "a.txt", docs / "a.txt.tlog-proof")):
        assert chainnode("verify", file, proof, "--policy", policy).status == 0
    assert notarize(home, docs).document["unchanged"] == 6


def test_what_is_wrong_with_a_folder_decides_what_verify_ends_with(home, docs, policy, tmp_path):
    notarize(home, docs)
    check = ("--json", "verify", docs, "--manifest", docs / "chainnode-manifest.json", "--policy")
    (docs / "empty").unlink()
    ran = chainnode(*check, policy)
    assert (ran.status, ran.document["missing"]) == (2, 1)
    (docs / "a.txt").write_text("altered")
    ran = chainnode(*check, policy)
    assert (ran.status, ran.document["false"], ran.document["missing"]) == (1, 1, 1)
    assert {f["path"]: f["code"] for f in ran.document["findings"]} == {
        "a.txt": "other_document",
        "empty": "unreadable",
    }
    proofs = [docs / "b/.hidden.tlog-proof", docs / "b/通知.txt.tlog-proof"]
    text = [proof.read_bytes() for proof in proofs]
    for proof, other in zip(proofs, reversed(text), strict=True):
        proof.write_bytes(other)
    assert chainnode(*check, policy).document["false"] == 3
    shown = chainnode(*check[1:], policy)
    assert "not every proof holds" in shown.out


# -- what stops it ------------------------------------------------------------------------------------------


class Crash(BaseException):
    """The process is gone."""


def crashing(monkeypatch, owner, name, *, at, after):
    """Let the `at`-th call of a method end the process, before or after it has done its work."""
    genuine, calls = getattr(owner, name), []

    def method(self, *arguments, **named):
        calls.append(name)
        is_it = len(calls) == at
        if is_it and not after:
            raise Crash
        result = genuine(self, *arguments, **named)
        if is_it:
            raise Crash
        return result

    monkeypatch.setattr(owner, name, method)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("owner", "name", "at"),
    [
        (FolderJournal, "begin", 1),
        (FolderJournal, "begin", 2),
        (Placer, "place", 1),
        (Placer, "_one", 3),
        (FolderJournal, "finish", 1),
        (FolderJournal, "finish", 3),
        (folder_run.FolderRun, "_write_manifest", 1),
        (FolderJournal, "clear", 1),
    ],
)
def test_wherever_it_is_killed_the_next_run_ends_it_and_registers_nothing_twice(
    home, docs, policy, running, monkeypatch, owner, name, at, after
):
    monkeypatch.setattr("chainnode.client.lists.MAX_DOCUMENTS_PER_CALL", 2)
    with monkeypatch.context() as patched:
        crashing(patched, owner, name, at=at, after=after)
        with pytest.raises(Crash):
            notarize(home, docs)
    ran = notarize(home, docs)
    assert ran.status == 0, ran.out
    check_once(running, docs)
    ran = chainnode(
        "--json", "verify", docs, "--manifest", docs / "chainnode-manifest.json", "--policy", policy
    )
    assert (ran.status, ran.document["files"]) == (0, 6)
    assert notarize(home, docs).document["unchanged"] == 6
    assert not list(docs.rglob("*.tlog-proof.*"))
    assert not [p for p in docs.rglob("*.tlog-proof") if p.name.count(".tlog-proof") > 1]


def test_a_list_that_was_sent_is_not_sent_again_when_its_answer_was_lost(
    home, docs, running, monkeypatch
):
    async def lose(nodes, trust, made):
        await genuine(nodes, trust, made)
        raise Unavailable("the cable is out", code="node_unreachable")

    genuine = folder_run.settle
    with monkeypatch.context() as patched:
        patched.setattr(folder_run, "settle", lose)
        ran = notarize(home, docs)
    assert ran.status == 3
    assert "not yet: the cable is out; run the same command again" in ran.out
    (docs / "later").write_text(f"{docs.parent.name} later")
    assert notarize(home, docs).document["notarized"] == 7
    check_once(running, docs, [*PATHS, "later"])


def test_a_list_that_expired_is_made_anew(home, docs, running, monkeypatch):
    async def expire(nodes, trust, made):
        monkeypatch.setattr(folder_run, "settle", genuine)
        return ListOutcome(status=ListStatus.EXPIRED)

    genuine = folder_run.settle
    monkeypatch.setattr(folder_run, "settle", expire)
    assert notarize(home, docs).document["notarized"] == 6
    check_once(running, docs)


@pytest.mark.parametrize(
    ("lie", "status"),
    [({"status": "expired", "receipt": None, "height": None}, 3), ({"status": "failed"}, 1)],
)
def test_a_node_that_denies_what_a_block_has_gets_nothing_registered_twice(
    home, docs, running, monkeypatch, lie, status
):
    honest = RpcClient.tx_submit_and_wait

    async def deny(client, envelope, *, timeout_ms):
        found = await honest(client, envelope, timeout_ms=timeout_ms)
        no = {"succeeded": False, "code": "missing_role", "message": "no", "record_count": 0}
        return {**found, "receipt": {**found["receipt"], **no}, **lie}

    with monkeypatch.context() as patched:
        patched.setattr(Nodes.__init__, "__kwdefaults__", {"patience_ms": 0, "clock": None})
        patched.setattr(RpcClient, "tx_submit_and_wait", deny)
        assert notarize(home, docs).status == status
    assert notarize(home, docs).document["notarized"] == 6
    check_once(running, docs)


def test_a_file_that_changes_on_the_way_gets_a_proof_of_what_it_is(
    home, docs, policy, running, monkeypatch
):
    async def change(nodes, trust, made):
        monkeypatch.setattr(folder_run, "settle", genuine)
        (docs / "a.txt").write_text("changed on the way")
        (docs / "b/.hidden").unlink()
        return await genuine(nodes, trust, made)

    genuine = folder_run.settle
    monkeypatch.setattr(folder_run, "settle", change)
    ran = notarize(home, docs)
    assert ran.status == 2
    assert [p["path"] for p in ran.document["problems"]] == ["b/.hidden"]
    proof = docs / "a.txt.tlog-proof"
    assert chainnode("verify", docs / "a.txt", proof, "--policy", policy).status == 0
    assert len(registrations(running, b"changed on the way")) == 1


@pytest.mark.parametrize(
    "written",
    [unfinished_name("a.txt.tlog-proof"), unfinished_name("chainnode-manifest.json"), "journal"],
)
def test_a_full_disk_leaves_a_clean_not_yet(home, docs, running, monkeypatch, written):
    opened, genuine = {}, os.open

    def remember(path, *arguments, **named):
        descriptor = genuine(path, *arguments, **named)
        opened[descriptor] = str(path)
        return descriptor

    def full(descriptor):
        if opened.get(descriptor, "").endswith(f"/{written}"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", remember)
        patched.setattr(os, "fsync", full)
        ran = notarize(home, docs)
    assert ran.status == 2, ran.out
    assert "not yet: " in ran.document["error"]["message"]
    assert "No space left on device" in ran.document["error"]["message"]
    ran = notarize(home, docs)
    assert ran.status == 0
    check_once(running, docs)


def test_two_runs_do_not_work_on_one_folder(home, docs, running):
    domain = running.node.chain.genesis.domain
    journal = FolderJournal.open_in(
        docs / ".chainnode-folder", domain, running.node.chain.genesis.chain_id
    )
    ran = notarize(home, docs)
    assert (ran.status, ran.document["error"]["code"]) == (2, "in_use")
    journal.close()
    assert notarize(home, docs).status == 0


def test_a_folder_of_another_chain_is_left_alone(home, docs):
    notarize(home, docs)
    other = make_chain(chain_id="other.example/x").genesis
    kept = docs / "chainnode-manifest.json"
    text = json.loads(kept.read_text())["genesis_hash"]
    kept.write_text(kept.read_text().replace(text, other.domain.genesis_hash.hex()))
    ran = notarize(home, docs)
    assert (ran.status, ran.document["error"]["code"]) == (2, "other_chain")
    shutil.rmtree(docs / ".chainnode-folder")
    FolderJournal.open_in(docs / ".chainnode-folder", other.domain, "other.example/x").close()
    ran = notarize(home, docs)
    assert (ran.status, ran.document["error"]["code"]) == (2, "other_chain")


def test_a_damaged_journal_is_not_guessed_at(home, docs):
    notarize(home, docs)
    journal = docs / ".chainnode-folder" / "journal"
    for content in (b"something", journal.read_bytes()[:8] + b"\0\0\0\1\0\0\0\0\xc0" + b"x" * 99):
        journal.write_bytes(content)
        ran = notarize(home, docs)
        assert ran.status == 2
        assert "journal" in ran.document["error"]["message"]


def test_ctrl_c_says_that_nothing_is_lost(home, docs, monkeypatch):
    async def stop(nodes, trust, made):
        signal.raise_signal(signal.SIGINT)
        await asyncio.sleep(60)

    with monkeypatch.context() as patched:
        patched.setattr(folder_run, "settle", stop)
        ran = chainnode("--home", home, "notarize", docs, "-r")
    assert ran.status == 130
    assert "not yet: stopped; run the same command again" in ran.err
    assert notarize(home, docs).status == 0


def test_progress_says_files_bytes_rate_and_time_left():
    line = progress_line("x", files=(250, 1_000), size_bytes=(512, 1_024), elapsed_ms=20_000)
    assert line == "x  250/1000 files  512 B/1.0 KiB  12/s  ETA 1:00"
    assert "ETA ?" in progress_line("x", files=(0, 9), size_bytes=(0, 9), elapsed_ms=1)


def test_bytes_of_manifest_and_journal_are_those_of_the_golden_file():
    made = manifest(entries())
    check_golden(
        "folder",
        {
            "manifest": made.encode().decode(),
            "sums": made.sums().hex(),
            "journal": [encode_line(line).hex() for line in lines(b"envelope")],
        },
    )
    assert decode_manifest(made.encode()) == made
    for line in lines(b"envelope"):
        assert decode_line(encode_line(line)) == line


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"count": 4', '"count": 5'),
        ('"path": "a.txt"', '"path": "../a.txt"'),
        ('"path": "a.txt"', '"path": "/a.txt"'),
        ('"path": "a.txt"', '"path": "z.txt"'),
        ('"proof": "a.txt.tlog-proof"', '"proof": "/etc/passwd"'),
        ('"index": 100', '"index": 100.0'),
        ('"index": 100', '"index": -9223372036854775809'),
        ('"sha256": "00', '"sha256": "0'),
        ('"sha256"', '"md5"'),
        ("chainnode-manifest/v1", "chainnode-manifest/v2"),
        ("\n]\n}\n", "\n]\n}\n\n"),
        ('"path_hex": null', '"path_hex": "612e747874"'),
    ],
)
def test_a_manifest_has_one_form(old, new):
    text = manifest(entries()).encode().decode()
    assert old in text
    with pytest.raises(DecodeError):
        decode_manifest(text.replace(old, new, 1).encode())
