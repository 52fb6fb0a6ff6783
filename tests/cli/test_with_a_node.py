"""Commands that talk to a node: a real server on a real ledger, whose engine decides at once."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from chainnode.model.cosignature import cosign
from chainnode.model.errors import ChainError, Unavailable
from chainnode.model.note import Note, cosigner_key
from chainnode.model.tlog_policy import parse_policy, with_outside
from chainnode.model.tlog_proof import parse_proof
from chainnode.rpc.client import RpcClient
from chainnode.services.ports import HeldVote
from tests.support.alliance import Alliance
from tests.support.chain import ADMIN, CLERK, GUEST, make_chain
from tests.support.cli import chainnode, make_client_home


def notarized(home, file):
    ran = chainnode("--home", home, "--json", "notarize", file)
    assert ran.status == 0, ran.out
    return ran.document["notarized"][0]


# -- notarize and verify ------------------------------------------------------------------------------------


def test_a_file_is_notarized_and_its_proof_verifies_offline(home, file, tmp_path):
    entry = notarized(home, file)
    assert entry["digests"]["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert set(entry["digests"]) == {"sha256", "sm3"}
    assert (entry["account"], entry["is_public"]) == (CLERK, False)
    policy = tmp_path / "policy"
    assert chainnode("--home", home, "policy", "--out", policy).status == 0
    ran = chainnode("--json", "verify", file, entry["proof"], "--policy", policy)
    assert ran.status == 0
    shown = ran.document
    assert shown["holds"] is True
    assert shown["index"] == entry["index"]
    assert shown["record"]["tx_id"] == entry["tx_id"]
    assert len(shown["cosigners"]) == 3
    text = chainnode("verify", file, entry["proof"], "--policy", policy)
    assert text.status == 0
    assert "the proof holds" in text.out
    file.write_text("关于公布许可目录的通知!\n")
    ran = chainnode("verify", file, entry["proof"], "--policy", policy)
    assert (ran.status, ran.out) == (1, "")
    assert "another document, or an altered one" in ran.err


def test_several_files_go_into_one_transaction_and_each_gets_its_proof(home, tmp_path):
    files = []
    for number in range(3):
        files.append(tmp_path / f"{number}.pdf")
        files[-1].write_bytes(b"%d" % number)
    ran = chainnode("--home", home, "--json", "notarize", *files, "--out", tmp_path / "proofs")
    assert ran.status == 0
    entries = ran.document["notarized"]
    assert len({entry["tx_id"] for entry in entries}) == 1
    first = entries[0]["index"]
    assert [entry["index"] for entry in entries] == [first, first + 1, first + 2]
    assert sorted(p.name for p in (tmp_path / "proofs").iterdir()) == [
        "0.pdf.tlog-proof",
        "1.pdf.tlog-proof",
        "2.pdf.tlog-proof",
    ]


def test_more_files_than_fit_one_list_go_into_several_transactions(home, tmp_path, monkeypatch):
    monkeypatch.setattr("chainnode.client.lists.MAX_DOCUMENTS_PER_CALL", 2)
    files = [tmp_path / f"{n}" for n in range(5)]
    for path in files:
        path.write_text(path.name)
    ran = chainnode("--home", home, "--json", "notarize", *files)
    assert len({entry["tx_id"] for entry in ran.document["notarized"]}) == 3


def test_an_existing_proof_is_not_overwritten_and_nothing_is_sent(home, file, running):
    proof = file.with_name("notice.txt.tlog-proof")
    proof.write_text("mine")
    before = running.node.ledger.tip.height
    ran = chainnode("--home", home, "notarize", file)
    assert ran.status == 2
    assert ran.err.startswith(f"error: {proof} exists and is not overwritten; nothing was sent")
    assert (proof.read_text(), running.node.ledger.tip.height) == ("mine", before)


def test_two_files_of_one_name_cannot_share_a_folder_of_proofs(home, file, tmp_path):
    other = tmp_path / "other" / file.name
    other.parent.mkdir()
    other.write_text("x")
    ran = chainnode("--home", home, "notarize", file, other, "--out", tmp_path / "proofs")
    assert ran.status == 2
    assert "would have their proofs in one file" in ran.err


def test_a_folder_that_takes_no_proofs_is_found_before_anything_is_sent(home, file, running):
    before = running.node.ledger.tip.height
    ran = chainnode("--home", home, "notarize", file, "--out", "/proc/proofs")
    assert ran.status == 2
    assert "cannot write proofs to /proc/proofs" in ran.err
    assert "nothing was sent" in ran.err
    assert running.node.ledger.tip.height == before


def test_a_disk_that_fills_up_meanwhile_leaves_a_way_to_the_proofs(home, file, monkeypatch):
    def full(path, content, *, mode):
        raise ChainError(f"cannot write {path}: No space left on device", code="file_error")

    monkeypatch.setattr("cli.notarize.write_new_file", full)
    ran = chainnode("--home", home, "notarize", file)
    assert ran.status == 2
    assert "get their proofs with `chainnode lookup FILE --out DIR`" in ran.err


def test_where_there_is_no_home_that_is_named_as_the_cause(tmp_path, file):
    home = tmp_path / "mistyped"
    for command in (("notarize", file), ("status",)):
        ran = chainnode("--home", home, *command)
        assert ran.status == 3
        assert "no answer from http://127.0.0.1:8545" in ran.err
        assert (
            f"that is the default, for there is no {home / 'config.toml'}: name a home" in ran.err
        )
    ran = chainnode("--home", home, "--rpc", "http://127.0.0.1:1", "status")
    assert (ran.status, "no answer from http://127.0.0.1:1" in ran.err) == (3, True)
    assert "default" not in ran.err
    ran = chainnode("--home", home, "policy")
    assert ran.status == 2
    assert f"cannot read {home / 'genesis'}" in ran.err
    assert "or the file with --genesis" in ran.err


@pytest.mark.parametrize("url", ["foo", "127.0.0.1:8545", "ftp://127.0.0.1"])
def test_a_node_is_named_by_its_url(home, url):
    ran = chainnode("--home", home, "--rpc", url, "status")
    assert ran.status == 2
    assert f"--rpc: found '{url}'; expected a URL" in ran.err


def test_a_file_that_cannot_be_read_is_named(home, tmp_path):
    ran = chainnode("--home", home, "notarize", tmp_path / "absent")
    assert ran.status == 2
    assert f"cannot read {tmp_path / 'absent'}: No such file or directory" in ran.err
    assert chainnode("--home", home, "notarize", tmp_path).status == 2


def test_a_title_that_is_too_long_is_refused_here(home, file):
    ran = chainnode("--home", home, "notarize", file, "--title", "x" * 257)
    assert ran.status == 2
    assert "--title: expected 1 to 256 bytes" in ran.err


def test_an_account_without_the_role_is_refused_by_the_chain(home, file):
    ran = chainnode("--home", home, "--json", "notarize", file, "--as", GUEST)
    assert ran.status == 4
    assert ran.document["error"]["code"] == "missing_role"
    assert not file.with_name("notice.txt.tlog-proof").exists()


def test_an_account_that_the_chain_does_not_know_is_refused_by_the_chain(home, file):
    ran = chainnode("--home", home, "notarize", file, "--as", "court/nobody")
    assert ran.status == 4
    assert "court/nobody" in ran.err


def test_an_account_whose_key_is_not_here_cannot_sign(tmp_path, running, file):
    home = make_client_home(tmp_path / "h", running.node.chain, accounts=(), rpc=running.url)
    ran = chainnode("--home", home, "notarize", file)
    assert ran.status == 2
    assert f"holds none of the 1 keys that are valid for {CLERK}" in ran.err


def test_somebody_must_act(tmp_path, running, file):
    home = make_client_home(tmp_path / "h", running.node.chain, account=None, rpc=running.url)
    ran = chainnode("--home", home, "notarize", file)
    assert ran.status == 2
    assert "no account to act for; name one with --as" in ran.err


def test_a_node_of_another_chain_is_noticed_before_anything_is_signed(tmp_path, running, file):
    other = make_client_home(tmp_path / "h", running.node.chain, rpc=running.url)
    (other / "genesis").write_bytes(make_chain(chain_id="other.example/x").genesis.encoded)
    ran = chainnode("--home", other, "notarize", file)
    assert ran.status == 2
    assert "use --rpc or --home of one chain" in ran.err


def test_without_genesis_or_policy_the_user_is_told_what_was_not_checked(tmp_path, running, file):
    home = make_client_home(tmp_path / "h", running.node.chain, genesis=False, rpc=running.url)
    ran = chainnode("--home", home, "notarize", file)
    assert ran.status == 0
    assert "the home has neither genesis nor policy" in ran.err
    assert "block" in ran.out


def test_a_policy_in_the_home_is_what_proofs_are_checked_by(tmp_path, running, file):
    home = make_client_home(tmp_path / "h", running.node.chain, genesis=False, rpc=running.url)
    (home / "policy").write_bytes(Alliance(names=("x",)).policy().encode())
    ran = chainnode("--home", home, "notarize", file)
    assert ran.status == 5
    assert "keys of sz.gov.example/alliance that the policy does not know" in ran.err
    assert not file.with_name("notice.txt.tlog-proof").exists()


def other_time(honest):
    async def lie(self, height=None):
        answer = await honest(self, height)
        return answer | {"time_ms": answer["time_ms"] + 1}

    return lie


def other_tiles(honest):
    async def lie(self, path):
        status, body = await honest(self, path)
        return status, body[:-1] + bytes([body[-1] ^ 1])

    return lie


def other_checkpoint(honest):
    async def lie(self, index, *, wait_ms=0, witnessed=False):
        answer = await honest(self, index, wait_ms=wait_ms)
        proof = parse_proof(answer["proof"].encode())
        other = replace(proof.checkpoint, root=bytes(32)).text()
        return answer | {
            "proof": replace(proof, note=replace(proof.note, text=other)).encode().decode()
        }

    return lie


@pytest.mark.parametrize(
    ("name", "lie"),
    [("chain_header", other_time), ("get", other_tiles), ("log_proof", other_checkpoint)],
)
def test_a_node_that_answers_otherwise_is_caught(home, file, monkeypatch, name, lie):
    # A second record, so that the first one's proof has a hash of a tile in it.
    second = file.with_name("second")
    second.write_text("second")
    with monkeypatch.context() as patched:
        patched.setattr(RpcClient, name, lie(getattr(RpcClient, name)))
        ran = chainnode("--home", home, "notarize", file, second)
    assert ran.status == 1, ran.err
    assert not file.with_name("notice.txt.tlog-proof").exists()


@pytest.mark.parametrize(
    "command",
    [("notarize", "FILE"), ("org", "register", "tax", "--title", "税务局", "--as", ADMIN)],
)
def test_nothing_is_signed_for_a_tip_that_a_node_made_up(home, file, monkeypatch, command):
    handed_in, honest = [], RpcClient.chain_status

    async def lie(client):
        return {**await honest(client), "tip_height": 10**12}

    async def take(_client, envelope, **_how):
        handed_in.append(envelope)
        raise Unavailable("the line is dead", code="node_unreachable")

    monkeypatch.setattr(RpcClient, "chain_status", lie)
    monkeypatch.setattr(RpcClient, "tx_submit_and_wait", take)
    arguments = [file if one == "FILE" else one for one in command]
    ran = chainnode("--home", home, "--json", *arguments)
    assert (ran.status, ran.document["error"]["code"]) == (3, "bad_answer")
    assert not handed_in


# -- refresh, lookup, policy --------------------------------------------------------------------------------


def test_a_proof_is_refreshed_under_a_newer_checkpoint(home, file, tmp_path):
    entry = notarized(home, file)
    second = tmp_path / "second"
    second.write_text("2")
    notarized(home, second)
    ran = chainnode("--home", home, "--json", "refresh", entry["proof"])
    assert ran.status == 0
    assert ran.document["new_size"] > ran.document["old_size"]
    policy = tmp_path / "policy"
    chainnode("--home", home, "policy", "--out", policy)
    assert chainnode("verify", file, entry["proof"], "--policy", policy).status == 0
    copy = tmp_path / "copy"
    ran = chainnode("--home", home, "refresh", entry["proof"], "--out", copy)
    assert ran.status == 0
    assert chainnode("verify", file, copy, "--policy", policy).status == 0


def test_refreshing_never_replaces_a_proof_by_one_of_another_record(home, file, monkeypatch):
    entry = notarized(home, file)
    honest = RpcClient.log_proof

    async def lie(self, index, *, wait_ms=0, witnessed=False):
        return await honest(self, 0, wait_ms=wait_ms)

    monkeypatch.setattr(RpcClient, "log_proof", lie)
    before = Path(entry["proof"]).read_bytes()
    ran = chainnode("--home", home, "refresh", entry["proof"])
    assert ran.status == 3
    assert "about another record than the one asked for" in ran.err
    assert Path(entry["proof"]).read_bytes() == before


@pytest.mark.parametrize("out", [None, "same", "./same", "../folder/same", "link"])
def test_a_proof_is_not_replaced_by_a_poorer_one_however_its_path_is_written(
    home, file, tmp_path, monkeypatch, out
):
    entry = notarized(home, file)
    chainnode("--home", home, "policy", "--out", home / "policy")
    suite, key = Alliance().suite, Alliance().cosigner_keys["a1"]
    outside = cosigner_key(suite, "outside.example/w", key.public)
    asked = parse_policy(f"witness w {outside.vkey()}\nquorum w\n".encode())
    both = with_outside(parse_policy((home / "policy").read_bytes()), asked)
    (home / "policy").write_bytes(both.encode())
    proof = parse_proof(Path(entry["proof"]).read_bytes())
    text = proof.note.text
    signatures = (*proof.note.signatures, cosign(text, 1_790_000_000, outside, key.sign))
    folder = tmp_path / "folder"
    folder.mkdir()
    same = folder / "same"
    same.write_bytes(replace(proof, note=Note(text=text, signatures=signatures)).encode())
    (folder / "link").symlink_to("same")
    monkeypatch.chdir(folder)
    before = same.read_bytes()
    ran = chainnode(
        "--home", home, "--json", "refresh", same, *([] if out is None else ["--out", out])
    )
    assert (ran.status, ran.document["error"]["code"]) == (5, "would_lose_cosignatures")
    assert same.read_bytes() == before
    assert chainnode("--home", home, "refresh", same, "--out", "other").status == 0


def test_members_find_blinded_registrations_and_strangers_only_public_ones(home, tmp_path):
    blinded, public = tmp_path / "blinded", tmp_path / "public"
    blinded.write_text("b")
    public.write_text("p")
    chainnode("--home", home, "notarize", blinded, "--title", "秘密")
    chainnode("--home", home, "notarize", public, "--public")
    ran = chainnode("--home", home, "--json", "lookup", blinded)
    assert ran.status == 0
    assert ran.document["records"][0]["title"] == "秘密"
    assert "秘密" in chainnode("--home", home, "lookup", blinded).out
    ran = chainnode("--home", home, "lookup", "--anonymous", blinded)
    assert ran.status == 6
    assert "a member's account (--as) would see blinded ones too" in ran.err
    digest = hashlib.sha256(b"p").hexdigest()
    ran = chainnode("--home", home, "--json", "lookup", "--anonymous", digest)
    assert [r["is_public"] for r in ran.document["records"]] == [True]
    assert ran.document["as_member"] is False
    assert chainnode("--home", home, "lookup", "--anonymous", digest).status == 0


@pytest.mark.parametrize("step", [1, -1])
@pytest.mark.parametrize(("method", "of"), [("lookup", "ab" * 32), ("list", "--since=2020-01-01")])
def test_a_node_that_always_has_one_more_page_is_left(home, monkeypatch, method, of, step):
    asked = []

    async def turn_in_circles(_client, *_what, after=None, **_how):
        asked.append(after)
        assert len(asked) < 5_000
        following = 10**6 if after is None else after + step
        return {"records": [], "next_after": following, "as_member": True}

    monkeypatch.setattr(RpcClient, f"notary_{method}", turn_in_circles)
    assert chainnode("--home", home, "lookup", of).status == 6
    assert len(asked) == (2 if step < 0 else 1_000)


def test_lost_proofs_are_had_again_from_the_node(home, file, tmp_path):
    entry = notarized(home, file)
    ran = chainnode("--home", home, "lookup", file, "--out", tmp_path / "again")
    assert ran.status == 0, ran.err
    again = tmp_path / "again" / f"{entry['index']}.tlog-proof"
    assert f"proof of record {entry['index']}: {again}" in ran.err
    policy = tmp_path / "policy"
    chainnode("--home", home, "policy", "--out", policy)
    assert chainnode("verify", file, again, "--policy", policy).status == 0
    (home / "genesis").unlink()
    ran = chainnode("--home", home, "lookup", file, "--out", tmp_path / "unchecked")
    assert "the home has neither genesis nor policy" in ran.err
    assert "neither genesis nor policy" in chainnode("--home", home, "refresh", again).err


def test_a_node_that_vanishes_after_the_decision_leaves_a_way_to_the_proofs(
    home, file, monkeypatch
):
    async def vanish(self, index, *, wait_ms=0):
        raise Unavailable("no answer")

    monkeypatch.setattr(RpcClient, "log_proof", vanish)
    ran = chainnode("--home", home, "notarize", file)
    assert ran.status == 3
    assert (
        "do not send them again, get their proofs with `chainnode lookup FILE --out DIR`" in ran.err
    )


def test_an_outcome_that_is_not_known_names_the_transaction(home, file, monkeypatch):
    async def vanish(self, envelope, *, timeout_ms=0):
        raise Unavailable("no answer")

    monkeypatch.setattr(RpcClient, "tx_submit_and_wait", vanish)
    ran = chainnode("--home", home, "notarize", file)
    assert ran.status == 3
    assert "if it was accepted, `chainnode tx show " in ran.err


def test_an_expired_transaction_is_status_4(home, file, monkeypatch):
    async def expire(self, envelope, *, timeout_ms=0):
        return {"tx_id": "ab", "status": "expired", "receipt": None, "height": None}

    monkeypatch.setattr(RpcClient, "tx_submit_and_wait", expire)
    ran = chainnode("--home", home, "notarize", file)
    assert ran.status == 4
    assert "transaction ab is expired; it changed nothing; submit it anew" in ran.err


@pytest.mark.parametrize("what", ["nothing", "ab" * 31, "md5:" + "ab" * 16, "sm3:" + "ab" * 64])
def test_what_is_neither_file_nor_digest_cannot_be_looked_up(home, what):
    ran = chainnode("--home", home, "lookup", what)
    assert ran.status == 2
    assert "which is no file and no digest" in ran.err


@pytest.mark.parametrize("what", ["ab" * 32, "ab" * 64, "sm3:" + "ab" * 32, "sha512:" + "ab" * 64])
def test_a_digest_that_nobody_registered_is_not_found(home, what):
    assert chainnode("--home", home, "lookup", what).status == 6


def test_the_policy_names_every_validator_and_the_height_it_was_checked_at(home, running):
    ran = chainnode("--home", home, "policy", "--height", "0")
    assert ran.status == 0
    assert len(parse_policy(ran.out.encode()).witnesses) == 4
    assert "in force at height 0" in ran.err
    ran = chainnode("--home", home, "--json", "policy")
    assert ran.document["height"] == running.node.ledger.tip.height
    assert ran.document["changes"] == 0


def test_a_policy_needs_the_genesis_it_is_checked_from(tmp_path, running):
    ran = chainnode("--home", tmp_path, "--rpc", running.url, "policy")
    assert ran.status == 2
    assert "genesis: cannot read" in ran.err


def test_a_policy_of_another_chain_is_not_believed(home, file):
    notarized(home, file)
    (home / "genesis").write_bytes(make_chain(chain_id="other.example/x").genesis.encoded)
    ran = chainnode("--home", home, "policy", "--height", "1")
    assert ran.status == 1
    assert "expected other.example/x" in ran.err


def test_a_height_that_is_not_there_is_not_found(home):
    assert chainnode("--home", home, "policy", "--height", "1000000").status == 6


# -- reading -------------------------------------------------------------------------------------------------


def test_status_says_where_the_chain_stands(home, running):
    ran = chainnode("--home", home, "status")
    assert ran.status == 0
    assert "waits for  nothing: no transaction is pending" in ran.out
    assert "skipped    nobody" in ran.out
    assert chainnode("--home", home, "--json", "status").document["quorum"] == 3
    ran = chainnode("--home", home, "--json", "status", "--watch")
    assert ran.status == 2


def test_transactions_blocks_accounts_and_validators_are_shown(home, file):
    entry = notarized(home, file)
    ran = chainnode("--home", home, "tx", "show", entry["tx_id"].upper())
    assert ran.status == 0
    assert f"log records  {entry['index']} .. {entry['index']}" in ran.out
    shown = chainnode("--home", home, "--json", "tx", "show", entry["tx_id"]).document
    assert shown["status"] == "committed"
    assert entry["tx_id"] in chainnode("--home", home, "block", "show", entry["height"]).out
    shown = chainnode("--home", home, "--json", "block", "show", entry["height"]).document
    assert shown["header"]["height"] == entry["height"]
    assert "admin" in chainnode("--home", home, "account", "show", ADMIN).out
    assert chainnode("--home", home, "--json", "account", "show", ADMIN).document["name"] == ADMIN
    assert "quorum 3 of 4" in chainnode("--home", home, "validators").out
    shown = chainnode("--home", home, "--json", "validators", "--height", "1").document
    assert [v["has_second_key"] for v in shown["validators"]] == [False] * 4


def test_what_is_not_there_is_not_found(home):
    assert chainnode("--home", home, "tx", "show", "0" * 64).status == 6
    assert chainnode("--home", home, "block", "show", "1000000").status == 6
    assert chainnode("--home", home, "account", "show", "court/nobody").status == 6


# -- accounts -----------------------------------------------------------------------------------------------


def test_an_account_is_registered_with_a_key_that_its_owner_offers(home, tmp_path, running):
    owner = make_client_home(tmp_path / "owner", running.node.chain, accounts=(), rpc=running.url)
    offer = tmp_path / "offer"
    ran = chainnode("--home", owner, "account", "offer-key", "court/judge", "--out", offer)
    assert ran.status == 0, ran.err
    ran = chainnode(
        "--home", home, "account", "register", "court/judge",
        "--role", "notary", "--offer", offer, "--as", ADMIN,
    )  # fmt: skip
    assert ran.status == 0, ran.err
    file = tmp_path / "judgment"
    file.write_text("j")
    assert chainnode("--home", owner, "notarize", file, "--as", "court/judge").status == 0
    ran = chainnode(
        "--home", home, "account", "add-key", "court/other", "--offer", offer, "--as", ADMIN
    )
    assert ran.status == 2
    assert "offers a key for court/judge; expected one for court/other" in ran.err
    ran = chainnode("--home", home, "--json", "account", "show", "court/judge")
    (key,) = ran.document["keys"]
    ran = chainnode(
        "--home", owner, "account", "rotate-key", "court/judge",
        "--old", key["public_key"], "--key", "second", "--as", "court/judge",
    )  # fmt: skip
    assert ran.status == 0, ran.err
    (new,) = [i for i in chainnode("--home", owner, "--json", "keys", "list").document["keys"]
              if i["name"] == "second"]  # fmt: skip
    ran = chainnode(
        "--home", home, "account", "revoke-key", new["public_key"],
        "--reason", "lost", "--as", ADMIN,
    )  # fmt: skip
    assert ran.status == 0, ran.err
    file.with_name("judgment.tlog-proof").unlink()
    ran = chainnode("--home", owner, "notarize", file, "--as", "court/judge")
    assert ran.status == 2
    assert "holds none of the 0 keys" in ran.err


def test_roles_and_suspension_go_and_come(home):
    def act(*arguments):
        return chainnode("--home", home, "--json", "account", *arguments, "--as", ADMIN)

    def shown():
        return chainnode("--home", home, "--json", "account", "show", "archive/keeper").document

    assert act("grant", "archive/keeper", "org-admin").status == 0
    assert shown()["roles"] == ["notary", "org-admin"]
    assert act("revoke", "archive/keeper", "org-admin").status == 0
    assert act("suspend", "archive/keeper").status == 0
    assert (shown()["roles"], shown()["suspended"]) == (["notary"], True)
    assert act("resume", "archive/keeper").status == 0
    assert shown()["suspended"] is False


def test_a_member_is_admitted_and_its_account_gets_a_key_made_here(home):
    ran = chainnode("--home", home, "org", "register", "police", "--title", "公安局", "--as", ADMIN)
    assert ran.status == 0, ran.err
    ran = chainnode("--home", home, "account", "register", "police/desk", "--as", ADMIN)
    assert ran.status == 0, ran.err
    assert chainnode("--home", home, "keys", "show", "police.desk").status == 0
    ran = chainnode(
        "--home", home, "account", "add-key", "police/desk", "--key", "police.2", "--as", ADMIN
    )
    assert ran.status == 0, ran.err


def test_only_who_may_administer_does(home):
    ran = chainnode("--home", home, "org", "register", "fire", "--title", "x")
    assert ran.status == 4
    assert f"{CLERK}" in ran.err


def test_an_offer_and_a_key_cannot_both_be_meant(home, tmp_path):
    ran = chainnode(
        "--home", home, "account", "add-key", "a/b",
        "--offer", tmp_path / "o", "--key", "k", "--as", ADMIN,
    )  # fmt: skip
    assert ran.status == 2
    assert "--offer and --key: found both; expected one" in ran.err


def test_a_file_that_is_no_offer_is_refused(home, tmp_path):
    (tmp_path / "o").write_text("hello")
    ran = chainnode(
        "--home", home, "account", "add-key", "a/b", "--offer", tmp_path / "o", "--as", ADMIN
    )
    assert ran.status == 2
    assert "is no key offer; make one with `chainnode account offer-key a/b`" in ran.err


def test_a_key_of_another_purpose_is_not_offered(home, tmp_path):
    chainnode("--home", home, "keys", "new", "c", "--purpose", "consensus")
    ran = chainnode(
        "--home", home, "account", "offer-key", "a/b", "--key", "c", "--out", tmp_path / "o"
    )
    assert ran.status == 2
    assert "found purpose consensus of ed25519-sha256; expected account" in ran.err


# -- no node ------------------------------------------------------------------------------------------------


def test_a_node_that_is_not_there_is_status_3(home, file):
    ran = chainnode("--home", home, "--rpc", "http://127.0.0.1:1", "notarize", file)
    assert ran.status == 3
    assert ran.err.startswith(
        "error: no answer from http://127.0.0.1:1: Connection refused; check "
    )
    assert chainnode("status", "--rpc", "http://127.0.0.1:1").status == 3


def test_a_certificate_file_that_is_none_is_named(home, tmp_path):
    (home / "config.toml").write_text('[client]\nrpc_certificate = "absent.pem"\n')
    ran = chainnode("--home", home, "status")
    assert ran.status == 2
    assert "client.rpc_certificate: cannot read" in ran.err


def test_status_explains_a_stall_with_a_row_for_each_validator(home, running):
    node = running.node
    status = node.engine.current
    digest = bytes.fromhex("3f2a91c0") + bytes(28)
    first, second, third, fourth = status.standings
    vote = HeldVote(kind="prepare", view=1, digest=digest)
    standings = (
        replace(first, votes=(replace(vote, kind="propose"),), asked_view=1),
        replace(second, votes=(vote, replace(vote, kind="commit", view=0)), tip_height=7),
        replace(third, is_linked=False, tip_height=None, last_heard_ms=0, awaited_for="prepare"),
        replace(
            fourth,
            asked_view=1,
            locked_view=0,
            locked_digest=digest,
            is_linked=False,
            tip_height=None,
            awaited_for="prepare",
        ),
    )
    try:
        node.engine.set(
            step="prepare",
            view=1,
            digest=digest,
            awaited=(third.name, fourth.name),
            undecided_since_ms=node.clock.wall_ms - 12_400,
            standings=standings,
        )
        ran = chainnode("--home", home, "status")
        document = chainnode("--home", home, "--json", "status").document
    finally:
        node.engine.current = status
    assert ran.status == 0
    assert (
        "why        stalled since 12.4 s: 2 of 4 validators have prepared 3f2a91c0 in view 1 of height 1; "
        f"a quorum is 3; awaited: {third.name}, {fourth.name} (both not linked)\n"
    ) in ran.out
    rows = {line.split()[0]: line for line in ran.out.splitlines() if line}
    assert rows[first.name].split()[1:] == [
        "itself",
        "-",
        "0",
        "1",
        "view",
        "1",
        "proposed",
        "3f2a91c0",
        "-",
    ]
    assert "prepared 3f2a91c0, committed 3f2a91c0 in view 0" in ran.out
    assert "view 1, locked on 3f2a91c0 of view 0" in ran.out
    assert document["undecided_since_ms"] == node.clock.wall_ms - 12_400
    assert document["digest"] == digest.hex()
    assert [s["awaited_for"] for s in document["standings"]] == [None, None, "prepare", "prepare"]
    assert document["standings"][1]["votes"][1] == {
        "kind": "commit",
        "view": 0,
        "digest": digest.hex(),
    }
    assert document["explanation"].startswith("stalled since 12.4 s")
