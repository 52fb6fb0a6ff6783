"""Consistency proofs and tiles, checked by golang.org/x/mod/sumdb/tlog; proofs of every kind of place in a tree."""

from __future__ import annotations

import base64
import threading
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from chainnode.model.checkpoint import Checkpoint
from chainnode.model.errors import DecodeError, ProofInvalid
from chainnode.model.merkle import EMPTY, consistency_proof_from, leaf_hashes, root_of
from chainnode.model.tlog_proof import parse_proof, verify
from chainnode.model.tlog_tiles import (
    TilePath,
    append_leaves,
    encode_entries,
    hash_reader,
    tile_width,
)
from tests.support.alliance import Alliance
from tests.support.outside import go_verifier

LEAVES = [b"record %d" % n for n in range(70_000)]


@pytest.fixture(scope="module")
def alliance():
    return Alliance()


def checkpoint(alliance, leaves):
    root = root_of(alliance.suite, leaf_hashes(alliance.suite, leaves))
    return Checkpoint(origin=alliance.origin, size=len(leaves), root=root)


def written_log(alliance, leaves, directory):
    """Write a log's static resources as a node serves them."""
    tiles = {}
    growth = append_leaves(
        alliance.suite, lambda *at: tiles.get(at), EMPTY, leaf_hashes(alliance.suite, leaves)
    )
    size = len(leaves)
    for tile in growth.tiles:
        tiles[tile.level, tile.index] = tile.data
        width = tile_width(tile.level, tile.index, size)
        write(directory, TilePath(level=tile.level, index=tile.index, width=width), tile.data)
    for start in range(0, size, 256):
        bundle = leaves[start : start + 256]
        path = TilePath(level=None, index=start // 256, width=len(bundle))
        write(directory, path, encode_entries(bundle))
    note = alliance.signed(checkpoint(alliance, leaves))
    (directory / "checkpoint").write_bytes(note.encode())
    return tiles


def write(directory, path, data):
    at = directory / path.text()
    at.parent.mkdir(parents=True, exist_ok=True)
    at.write_bytes(data)


def test_go_accepts_inclusion_proofs_at_every_place_of_trees_of_every_shape(alliance, tmp_path):
    (tmp_path / "policy").write_bytes(alliance.policy().encode())
    go = go_verifier()
    for size, index in [(1, 0), (2, 1), (3, 2), (4, 0), (7, 6), (11, 5), (256, 255), (257, 256)]:
        proof = alliance.proof(LEAVES[:size], index)
        (tmp_path / "leaf").write_bytes(LEAVES[index])
        (tmp_path / "proof").write_bytes(proof.encode())
        arguments = ("verify-leaf", tmp_path / "leaf", tmp_path / "proof", tmp_path / "policy")
        assert go.run(*arguments).returncode == 0
        (tmp_path / "leaf").write_bytes(LEAVES[index] + b"x")
        assert go.run(*arguments).returncode == 1


NAMES = ("a1", "b2", "c3", "d4")


@pytest.mark.parametrize(
    ("cosigners", "twice", "expected"),
    [(NAMES, NAMES, 0), (NAMES[:3], NAMES[1:], 0), (NAMES, NAMES[:2], 1), (NAMES[:2], NAMES, 1)],
)
def test_go_and_we_agree_on_second_cosignatures(alliance, cosigners, twice, expected, tmp_path):
    policy = alliance.policy_twice()
    proof = alliance.proof(LEAVES[:300], 7, cosigners=cosigners, twice=twice)
    for name, data in {
        "leaf": LEAVES[7],
        "proof": proof.encode(),
        "policy": policy.encode(),
    }.items():
        (tmp_path / name).write_bytes(data)
    arguments = ("verify-leaf", *(tmp_path / name for name in ("leaf", "proof", "policy")))
    done = go_verifier().run(*arguments)
    assert done.returncode == expected, done.stderr
    assert (own_status(proof, LEAVES[7], policy) == 0) == (expected == 0)


def own_status(proof, leaf, policy):
    """Our verdict: 0, or 1 if it is proven not to hold."""
    try:
        verify(parse_proof(proof.encode()), leaf, policy)
    except ProofInvalid:
        return 1
    return 0


def test_go_refuses_a_spoilt_second_cosignature_as_we_do(alliance, tmp_path):
    policy, good = alliance.policy_twice(), alliance.proof(LEAVES[:300], 7, twice=NAMES)
    line = good.note.signatures[-1]
    go = go_verifier()
    (tmp_path / "leaf").write_bytes(LEAVES[7])
    (tmp_path / "policy").write_bytes(policy.encode())
    for place in (0, 7, 8, 1_200, len(line.value) - 1):
        value = bytearray(line.value)
        value[place] ^= 1
        spoilt = replace(line, value=bytes(value))
        note = replace(good.note, signatures=(*good.note.signatures[:-1], spoilt))
        proof = replace(good, note=note)
        (tmp_path / "proof").write_bytes(proof.encode())
        arguments = ("verify-leaf", tmp_path / "leaf", tmp_path / "proof", tmp_path / "policy")
        assert go.run(*arguments).returncode != 0, place
        with pytest.raises((ProofInvalid, DecodeError)):
            verify(parse_proof(proof.encode()), LEAVES[7], policy)


@pytest.mark.parametrize(("old", "new"), [(1, 2), (3, 7), (4, 8), (6, 6), (7, 300), (256, 300)])
def test_go_accepts_consistency_proofs_and_refuses_another_history(alliance, old, new, tmp_path):
    hashes = leaf_hashes(alliance.suite, LEAVES[:new])
    proof = consistency_proof_from(
        alliance.suite,
        lambda level, n: root_of(alliance.suite, hashes[n << level : (n + 1) << level]),
        old,
        new,
    )
    before = alliance.signed(checkpoint(alliance, LEAVES[:old])).encode()
    after = alliance.signed(checkpoint(alliance, LEAVES[:new])).encode()
    forked = alliance.signed(checkpoint(alliance, [b"forged", *LEAVES[1:old]])).encode()
    lines = "".join(f"{base64.b64encode(h).decode()}\n" for h in proof)
    for name, data in {"old": before, "new": after, "forked": forked}.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "policy").write_bytes(alliance.policy().encode())
    (tmp_path / "hashes").write_text(lines)
    go = go_verifier()
    rest = (tmp_path / "new", tmp_path / "policy", tmp_path / "hashes")
    assert go.run("consistency", tmp_path / "old", *rest).returncode == 0
    assert go.run("consistency", tmp_path / "forked", *rest).returncode == 1


@pytest.mark.parametrize("size", [1, 255, 256, 257, 70_000])
def test_go_recomputes_every_tile_and_entry_of_a_log(alliance, size, tmp_path):
    log = tmp_path / "log"
    written_log(alliance, LEAVES[:size], log)
    (tmp_path / "policy").write_bytes(alliance.policy().encode())
    done = go_verifier().run("tiles", log, tmp_path / "policy")
    assert done.returncode == 0, done.stderr


def test_go_refuses_a_changed_tile_or_entry(alliance, tmp_path):
    log = tmp_path / "log"
    written_log(alliance, LEAVES[:300], log)
    (tmp_path / "policy").write_bytes(alliance.policy().encode())
    for path in ("tile/0/001.p/44", "tile/0/000", "tile/entries/000"):
        good = (log / path).read_bytes()
        (log / path).write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        assert go_verifier().run("tiles", log, tmp_path / "policy").returncode == 1, path
        (log / path).write_bytes(good)


def test_go_reads_tiles_over_http(alliance, tmp_path):
    log = tmp_path / "log"
    written_log(alliance, LEAVES[:600], log)
    (tmp_path / "policy").write_bytes(alliance.policy().encode())

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(log)))
    with server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/"
        done = go_verifier().run("tiles", url, tmp_path / "policy")
        server.shutdown()
        thread.join()
    assert done.returncode == 0, done.stderr


def test_tiles_of_a_grown_log_prove_what_the_leaves_prove(alliance, tmp_path):
    tiles = written_log(alliance, LEAVES, tmp_path)
    read_hash = hash_reader(lambda *at: tiles.get(at), alliance.suite, 70_000)
    whole = leaf_hashes(alliance.suite, LEAVES)
    assert read_hash(16, 0) == root_of(alliance.suite, whole[:65_536])
    assert len(tiles) == 274 + 2 + 1
    assert [len(tiles[level, n]) // 32 for level, n in ((0, 273), (1, 1), (2, 0))] == [112, 17, 1]
