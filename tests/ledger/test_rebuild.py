"""A chain made anew from its blocks is the same chain, and a block that was touched stops it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from chainnode.ledger.errors import InvalidBlock
from chainnode.ledger.ledger import Ledger
from chainnode.ledger.rebuild import execute_certified, rebuild, verify_signatures
from chainnode.model import codec
from chainnode.model.errors import DecodeError, ProofInvalid, StorageFault
from chainnode.model.header import block_hash_of
from chainnode.model.transaction import sign_transaction
from chainnode.storage import keys
from chainnode.storage.memory import MemoryStore
from tests.support.chain import GUEST, make_chain
from tests.support.refusals import refuses
from tests.support.stores import put

if TYPE_CHECKING:
    from chainnode.model.block import CertifiedBlock

CHAIN = make_chain()
DOMAIN = CHAIN.genesis.domain
HEIGHTS = 3


def grown(chain=CHAIN):
    store = MemoryStore()
    ledger = Ledger.open(store, chain.genesis)
    chain.extend(ledger, [chain.notarization("a", count=3), chain.notarization("b", sender=GUEST)])
    chain.extend(ledger)
    chain.extend(ledger, [chain.notarization("c")])
    return store


def everything(store):
    return store.scan(b"", b"\xff" * 8, limit=1_000_000)


@pytest.mark.parametrize("suite", ["ed25519-sha256", "sm2-sm3"])
def test_rebuilt_store_is_the_same_to_the_byte(suite):
    chain = make_chain(suite=suite)
    source, target = grown(chain), MemoryStore()
    steps = []
    ledger = rebuild(
        source, target, chain.genesis, progress=lambda height, last: steps.append((height, last))
    )
    assert ledger.tip == Ledger.open(source, chain.genesis).tip
    assert everything(target) == everything(source)
    assert steps == [(1, 3), (2, 3), (3, 3)]


def test_only_blocks_are_read_from_the_source():
    source, target = grown(), MemoryStore()
    expected = everything(source)
    for key, _ in expected:
        if key[:1] != b"B":
            put(source, key, None)
    rebuild(source, target, CHAIN.genesis, progress=lambda *_: None)
    assert everything(target) == expected


def test_store_of_the_former_order_is_rebuilt_in_todays():
    source, target = grown(), MemoryStore()
    expected = everything(source)
    for key, value in expected:
        if key[:1] == b"B" and len(key) <= 10:
            put(source, (b"C" if key[9:] else b"H") + key[1:9], value)
            put(source, key, None)
    with pytest.raises(StorageFault):
        Ledger.open(source, CHAIN.genesis)
    rebuild(source, target, CHAIN.genesis, progress=lambda *_: None)
    assert everything(target) == expected


def test_interrupted_rebuild_is_carried_on_with():
    source, target = grown(), MemoryStore()

    def stop_after_2(height, _last):
        if height == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rebuild(source, target, CHAIN.genesis, progress=stop_after_2)
    steps = []
    rebuild(source, target, CHAIN.genesis, progress=lambda height, _: steps.append(height))
    assert steps == [3]
    assert everything(target) == everything(source)


def test_empty_source_gives_a_chain_at_genesis():
    ledger = rebuild(MemoryStore(), MemoryStore(), CHAIN.genesis, progress=lambda *_: None)
    assert ledger.tip.height == 0


def test_missing_block_stops_it():
    source, target = grown(), MemoryStore()
    put(source, keys.header(2), None)
    with pytest.raises(StorageFault, match="block 2 of 3 is missing"):
        rebuild(source, target, CHAIN.genesis, progress=lambda *_: None)
    assert Ledger.open(target, CHAIN.genesis).tip.height == 1


def test_tampered_transaction_stops_it():
    source, target = grown(), MemoryStore()
    other = CHAIN.notarization("other")
    put(source, keys.envelopes(3, 0), codec.encode((other.envelope,)))
    with refuses("wrong_transactions", InvalidBlock):
        rebuild(source, target, CHAIN.genesis, progress=lambda *_: None)
    assert Ledger.open(target, CHAIN.genesis).tip.height == 2


def test_signatures_are_verified_by_whatever_is_given():
    seen = []
    rebuild(
        grown(),
        MemoryStore(),
        CHAIN.genesis,
        progress=lambda *_: None,
        verify=lambda domain, transactions: seen.append((domain, len(transactions))),
    )
    assert seen == [(DOMAIN, 2), (DOMAIN, 0), (DOMAIN, 1)]


# -- one certified block -----------------------------------------------------------------------------------


@pytest.fixture
def ledger():
    return Ledger.open(MemoryStore(), CHAIN.genesis)


def first_block() -> CertifiedBlock:
    return Ledger.open(grown(), CHAIN.genesis).certified_block(1)


def recertified(block, header, **certificate) -> CertifiedBlock:
    """The block with another header that a quorum signed nevertheless."""
    header_bytes = header.encode()
    block_hash = block_hash_of(DOMAIN, header_bytes)
    return replace(
        block,
        header=header,
        header_bytes=header_bytes,
        block_hash=block_hash,
        certificate=CHAIN.certificate(header.height, block_hash, **certificate).encode(),
    )


def test_certified_block_is_executed_and_left_to_the_caller(ledger):
    block = first_block()
    executed, certificate = execute_certified(ledger, block)
    assert ledger.tip.height == 0
    assert executed.outline.block_hash == certificate.block_hash == block.block_hash
    ledger.commit(executed, certificate)
    assert ledger.certified_block(1) == block


def test_certified_results_that_are_not_ours_are_told_apart(ledger):
    block = first_block()
    wrong = recertified(block, replace(block.header, state_root=bytes(32)))
    with pytest.raises(InvalidBlock) as caught:
        execute_certified(ledger, wrong)
    assert caught.value.error_code == "result_mismatch"
    assert caught.value.first_difference.startswith("state_root: found 0000")


@pytest.mark.parametrize("signers", [(0, 1), ()])
def test_block_without_a_quorum_is_refused(ledger, signers):
    block = first_block()
    with refuses("too_few_signatures", ProofInvalid):
        execute_certified(ledger, recertified(block, block.header, signers=signers))


def test_block_with_the_certificate_of_another_is_refused(ledger):
    block = first_block()
    for height, block_hash in ((1, bytes(32)), (2, block.block_hash)):
        certificate = CHAIN.certificate(height, block_hash).encode()
        with refuses("other_block", ProofInvalid):
            execute_certified(ledger, replace(block, certificate=certificate))
    with refuses("other_block", ProofInvalid):
        execute_certified(ledger, recertified(block, replace(block.header, height=2)))


def test_block_with_malformed_parts_is_refused(ledger):
    block = first_block()
    with pytest.raises(DecodeError):
        execute_certified(ledger, replace(block, certificate=b"\xc0"))
    with pytest.raises(DecodeError):
        execute_certified(ledger, replace(block, envelopes=(b"\xc0", b"\xc0")))


def test_signature_that_does_not_hold_is_refused():
    good = CHAIN.notarization("a")
    forged = sign_transaction(
        DOMAIN, good.body, public_key=good.public_key, sign=lambda _: bytes(64)
    )
    verify_signatures(DOMAIN, (good,))
    with refuses("bad_signature", ProofInvalid):
        verify_signatures(DOMAIN, (good, forged))
