"""Three blocks to the byte. A difference here is a change of format: every other implementation would fork off."""

from __future__ import annotations

import hashlib
import json
import pathlib

import pytest

from chainnode.ledger.ledger import Ledger
from chainnode.ledger.rebuild import execute_certified
from chainnode.model.block import decode_certified_block
from chainnode.model.genesis import decode_genesis
from chainnode.model.receipt import decode_receipt
from chainnode.storage.memory import MemoryStore
from tests.support.chain import GUEST, make_chain

GOLDEN = pathlib.Path(__file__).parents[1] / "golden" / "block.json"


def vectors():
    """The chain of the golden file, made by this software: genesis, and what each block holds and gives."""
    chain = make_chain()
    ledger = Ledger.open(MemoryStore(), chain.genesis)
    content = (
        [chain.notarization("a", count=3), chain.notarization("refused", sender=GUEST)],
        [],
        [chain.notarization("b"), chain.notarization("c")],
    )
    blocks = []
    for height, transactions in enumerate(content, 1):
        first = ledger.tip.log_size
        executed = chain.build(ledger, transactions)
        certificate = chain.certify(executed, view=height - 1)
        ledger.commit(executed, certificate)
        header = executed.outline.header
        blocks.append(
            {
                "outline": executed.outline.encode().hex(),
                "certified_block": ledger.certified_block(height).encode().hex(),
                "header": executed.outline.header_bytes.hex(),
                "block_hash": executed.outline.block_hash.hex(),
                "certificate": certificate.encode().hex(),
                "certificate_hash": certificate.hash(chain.genesis.domain).hex(),
                "tx_ids": [t.id.hex() for t in transactions],
                "tx_hashes": [t.hash.hex() for t in transactions],
                "receipts": [receipt.hex() for receipt in executed.results.encoded_receipts],
                "leaves": [leaf.hex() for leaf in ledger.leaves(first, header.log_size - first)],
                "tx_root": header.tx_root.hex(),
                "receipts_root": header.receipts_root.hex(),
                "log_size": header.log_size,
                "log_root": header.log_root.hex(),
                "state_root": header.state_root.hex(),
            }
        )
    return {
        "genesis": chain.genesis.encoded.hex(),
        "genesis_hash": chain.genesis.domain.genesis_hash.hex(),
        "blocks": blocks,
    }


@pytest.fixture(scope="module")
def golden():
    return json.loads(GOLDEN.read_text())


def test_this_software_makes_the_golden_blocks(golden):
    assert vectors() == golden


def test_golden_blocks_are_accepted_from_genesis(golden):
    genesis = decode_genesis(bytes.fromhex(golden["genesis"]))
    ledger = Ledger.open(MemoryStore(), genesis)
    for block in golden["blocks"]:
        certified = decode_certified_block(genesis.domain, bytes.fromhex(block["certified_block"]))
        ledger.commit(*execute_certified(ledger, certified))
        assert ledger.tip.block_hash.hex() == block["block_hash"]
    assert ledger.tip.height == 3


def test_golden_hashes_and_roots_follow_from_the_written_rules(golden):
    """With hashlib alone, so that the vectors do not merely repeat what the code does."""
    genesis_hash = hashlib.sha256(b"chainnode/1 genesis\0" + bytes.fromhex(golden["genesis"]))
    assert genesis_hash.hexdigest() == golden["genesis_hash"]
    leaves = []
    for block in golden["blocks"]:
        assert _hash(golden, b"block", block["header"]) == block["block_hash"]
        assert _hash(golden, b"certificate", block["certificate"]) == block["certificate_hash"]
        leaves += block["leaves"]
        assert len(leaves) == block["log_size"]
        assert _root(leaves) == block["log_root"]
        assert _root(block["tx_hashes"]) == block["tx_root"]
        assert _root(block["receipts"]) == block["receipts_root"]
        receipts = [decode_receipt(bytes.fromhex(r)) for r in block["receipts"]]
        assert [r.tx_id.hex() for r in receipts] == block["tx_ids"]
        for name in ("tx_root", "receipts_root", "log_root", "state_root"):
            assert block[name] in block["header"]


def _hash(golden, kind, data):
    context = b"chainnode/1 " + kind + b"\0" + bytes.fromhex(golden["genesis_hash"])
    return hashlib.sha256(context + bytes.fromhex(data)).hexdigest()


def _root(leaves):
    """RFC 9162 section 2.1.1, by its definition."""

    def tree(hashes):
        if not hashes:
            return hashlib.sha256(b"").digest()
        if len(hashes) == 1:
            return hashes[0]
        half = 1 << ((len(hashes) - 1).bit_length() - 1)
        return hashlib.sha256(b"\x01" + tree(hashes[:half]) + tree(hashes[half:])).digest()

    return tree([hashlib.sha256(b"\x00" + bytes.fromhex(leaf)).digest() for leaf in leaves]).hex()
