"""Golden vectors of the log's formats. Set UPDATE_GOLDEN=1 to write them anew after a deliberate change."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from chainnode.model import codec
from chainnode.model.cosignature import cosignature_message
from chainnode.model.merkle import EMPTY, consistency_proof_from, leaf_hashes, root_of
from chainnode.model.suites import SUITE_NAMES
from chainnode.model.tlog_policy import parse_policy
from chainnode.model.tlog_proof import MAX_EXTRA_BYTES, parse_proof, verify
from chainnode.model.tlog_tiles import append_leaves, encode_entries
from tests.support.alliance import TIME_S, Alliance

GOLDEN = Path(__file__).parents[1] / "golden"
LEAVES = [b"leaf %d" % n for n in range(300)]


def vectors(suite_name):
    alliance = Alliance(suite_name)
    suite = alliance.suite
    hashes = leaf_hashes(suite, LEAVES)
    policy = alliance.policy()
    text = alliance.proof(LEAVES[:11], 6).note.text

    def read_hash(level, n):
        return root_of(suite, hashes[n << level : (n + 1) << level])

    growth = append_leaves(suite, lambda *_: None, EMPTY, hashes)
    return {
        "roots": {str(n): root_of(suite, hashes[:n]).hex() for n in (0, 1, 2, 3, 7, 11, 256, 300)},
        "frontier_300": [h.hex() for h in growth.frontier.hashes],
        "tiles_300": {f"{t.level}/{t.index}": suite.hash(t.data).hex() for t in growth.tiles},
        "entries_3": encode_entries(LEAVES[:3]).hex(),
        "consistency_7_11": [h.hex() for h in consistency_proof_from(suite, read_hash, 7, 11)],
        "log_vkey": policy.logs[0].key.vkey(),
        "witness_vkey": policy.witnesses[0].key.vkey(),
        "checkpoint": text,
        "cosignature_message": cosignature_message(policy.witnesses[0].key, text, TIME_S).decode(),
    }


def compare(name, data):
    path = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN") == "1":
        path.write_bytes(data)
    assert path.read_bytes() == data


@pytest.mark.parametrize("suite_name", SUITE_NAMES)
def test_log_formats_keep_their_bytes(suite_name):
    data = json.dumps(vectors(suite_name), indent=1, ensure_ascii=False) + "\n"
    compare(f"log-{suite_name}.json", data.encode())


@pytest.mark.parametrize("suite_name", SUITE_NAMES)
def test_the_golden_policy_and_proof_keep_their_bytes(suite_name):
    """SM2 signatures are random unless the signer derives its nonce, so a golden proof is read, not remade."""
    alliance = Alliance(suite_name)
    compare(f"log-{suite_name}.policy", alliance.policy().encode())
    path = GOLDEN / f"log-{suite_name}.tlog-proof"
    if os.environ.get("UPDATE_GOLDEN") == "1":
        path.write_bytes(alliance.notarization().encode())
    golden, made = parse_proof(path.read_bytes()), alliance.notarization()
    assert golden.encode() == path.read_bytes()
    assert (golden.extra, golden.index, golden.hashes, golden.checkpoint) == (
        made.extra, made.index, made.hashes, made.checkpoint,
    )  # fmt: skip
    if suite_name == "ed25519-sha256":
        assert golden == made
    policy = parse_policy((GOLDEN / f"log-{suite_name}.policy").read_bytes())
    assert policy == alliance.policy()
    leaf, _ = codec.decode_array(golden.extra, max_bytes=MAX_EXTRA_BYTES, arity=2, what="extra")
    verdict = verify(golden, leaf, policy)
    assert [c.name.rpartition("/")[2] for c in verdict.cosigners] == ["a1", "b2", "c3"]
