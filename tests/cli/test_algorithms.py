"""`chainnode algorithms`, and how `notarize` obeys the registry: a real server whose engine decides at once."""

from __future__ import annotations

import asyncio
import os

import pytest

from chainnode.client.blocking import connect
from chainnode.client.digesting import document_of_bytes
from chainnode.model.algorithms import STATE_KEY, decode_registry
from chainnode.model.errors import Refused
from chainnode.model.state_tree import decode_state_proof, verify_state_proof
from chainnode.rpc.client import RpcClient, from_base64
from cli.folder.manifest import decode_manifest
from tests.support.chain import ADMIN, CLERK
from tests.support.cli import PASSPHRASE, chainnode, make_client_home, running_node


def statuses(home):
    listed = chainnode("--home", home, "--json", "algorithms", "list").document
    return {a["name"]: (a["status"], a["closed_from"]) for a in listed["algorithms"]}


def act(home, *arguments):
    return chainnode("--home", home, "algorithms", *arguments, "--as", ADMIN)


def notarized(home, path):
    ran = chainnode("--home", home, "--json", "notarize", path)
    assert ran.status == 0, ran.out
    return set(ran.document["notarized"][0]["digests"]), ran.err


def proven_registry(url, suite):
    key, found = asyncio.run(asked_registry(url))
    assert key == STATE_KEY
    value = None if found["value"] is None else from_base64(found["value"])
    proof = decode_state_proof(from_base64(found["proof"]))
    verify_state_proof(suite, bytes.fromhex(found["state_root"]), key, value, proof)
    return value


async def asked_registry(url):
    async with RpcClient(url) as node:
        key = from_base64((await node.algorithm_list())["state_key"])
        return key, await node.state_get(key, prove=True)


def test_an_algorithm_is_left_behind_closed_and_left_out(home, tmp_path, running):
    suite = running.node.chain.genesis.suite
    assert set(statuses(home).values()) == {("accepted", None)}
    assert proven_registry(running.url, suite) is None
    paths = [tmp_path / name for name in "abc"]
    for path in paths:
        path.write_text(path.name)
    assert act(home, "deprecate", "sm3").status == 0
    assert statuses(home)["sm3"] == ("deprecated", None)
    digests, warning = notarized(home, paths[0])
    assert digests == {"sha256", "sm3"}
    assert "the alliance is leaving sm3 behind" in warning
    closed_from = running.node.ledger.tip.height + 3
    assert act(home, "close", "sm3", "--from-height", closed_from).status == 0
    assert statuses(home)["sm3"] == ("deprecated", closed_from)
    assert notarized(home, paths[1])[0] == {"sha256", "sm3"}
    assert statuses(home)["sm3"] == ("closed", closed_from)
    assert notarized(home, paths[2]) == ({"sha256"}, "")
    ran = act(home, "accept", "sm3")
    assert (ran.status, ran.err.count("for ever")) == (4, 1)
    registry = decode_registry(proven_registry(running.url, suite))
    assert registry.get("sm3").closed_from == closed_from
    listed = chainnode("--home", home, "algorithms", "list")
    assert "closed from block" in listed.out
    policy = tmp_path / "policy"
    assert chainnode("--home", home, "policy", "--out", policy).status == 0
    proof = f"{paths[0]}.tlog-proof"
    assert chainnode("verify", paths[0], proof, "--policy", policy).status == 0


@pytest.fixture
def leaving():
    """A chain of this test's own, which is about to be left by an algorithm."""
    with running_node() as node:
        yield node


def test_folders_and_programs_heed_the_registry_before_they_sign(leaving, tmp_path, caplog):
    home = make_client_home(
        tmp_path / "other", leaving.node.chain, accounts=(CLERK, ADMIN), rpc=leaving.url
    )
    (home / "secret").write_text(PASSPHRASE)
    (home / "secret").chmod(0o600)
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "a").write_text("early")

    def folder():
        ran = chainnode("--home", home, "--json", "notarize", docs, "-r")
        assert ran.status == 0, ran.out
        made = decode_manifest((docs / "chainnode-manifest.json").read_bytes())
        found = {e.path: {d.algorithm for d in e.digests} for e in made.entries}
        return found, ran.document, ran.err

    both = document_of_bytes(b"by two")
    with connect(home=home, passphrase=PASSPHRASE.encode()) as notary:
        assert notary.algorithms() == ("sha256", "sm3")
        assert folder()[0] == {"a": {"sha256", "sm3"}}
        closed_from = leaving.node.ledger.tip.height + 5
        assert act(home, "close", "sm3", "--from-height", closed_from).status == 0

        (docs / "b").write_text("announced")
        found, _, err = folder()
        assert found["b"] == {"sha256", "sm3"}
        assert f"leaving sm3 behind, and closes it from block {closed_from} on" in err
        for _ in range(2):
            notary.notarize([both])
        (warned,) = [r.getMessage() for r in caplog.records if "leaving sm3" in r.getMessage()]
        assert "accepted: sha256, sha384, sha512" in warned

        (docs / "c").write_text("closed")
        os.utime(docs / "a", ns=(1, 1))
        found, shown, _ = folder()
        # What is registered with it stays registered.
        assert found == {"a": {"sha256", "sm3"}, "b": {"sha256", "sm3"}, "c": {"sha256"}}
        assert (shown["notarized"], shown["unchanged"]) == (1, 2)
        with pytest.raises(Refused, match="with sm3; nothing was sent; it takes sha256") as refused:
            notary.notarize([both], key="k")
        assert refused.value.error_code == "algorithm_closed"
        # The key is not used up.
        (proven,) = notary.notarize(
            [document_of_bytes(b"by two", algorithms=notary.algorithms())], key="k"
        )
        assert [d.algorithm for d in proven.notarization.opening.digests] == ["sha256"]


def test_only_administrators_change_the_registry(home):
    assert chainnode("--home", home, "algorithms", "deprecate", "sha512").status == 4
    assert chainnode("--home", home, "algorithms", "deprecate", "md5").status == 2
