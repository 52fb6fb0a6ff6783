"""Every rule by which a block is judged, broken once by itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chainnode.ledger import checks
from chainnode.ledger.errors import RESULT_MISMATCH, InvalidBlock
from chainnode.ledger.ledger import Ledger
from chainnode.model.block import Outline, make_outline
from chainnode.model.errors import ChainError, Refused
from chainnode.model.header import block_hash_of
from chainnode.model.limits import MAX_VALID_HEIGHTS
from chainnode.model.parameters import Parameters
from chainnode.storage.memory import MemoryStore
from tests.support.chain import Chain, make_chain
from tests.support.refusals import refuses

CHAIN = make_chain(parameters=Parameters(max_block_transactions=8, max_block_bytes=256 * 1024))
DOMAIN = CHAIN.genesis.domain
OTHER = bytes(range(32))


class Proposal:
    """A good block 2 with one transaction, to be spoiled."""

    def __init__(self, chain: Chain = CHAIN) -> None:
        self.chain = chain
        self.ledger = Ledger.open(MemoryStore(), chain.genesis)
        self.old = chain.notarization("old")
        chain.extend(self.ledger, [self.old])
        self.built = chain.build(self.ledger, [chain.notarization("a")])
        self.outline = self.built.outline
        self.transactions = self.built.transactions

    def with_header(self, **fields) -> Outline:
        """The outline with other header fields."""
        header = replace(self.outline.header, **fields)
        header_bytes = header.encode()
        return replace(
            self.outline,
            header=header,
            header_bytes=header_bytes,
            block_hash=block_hash_of(DOMAIN, header_bytes),
        )

    def with_certificate(self, certificate: bytes) -> Outline:
        """The outline with another parent certificate, named by the header."""
        named = self.with_header(parent_certificate_hash=DOMAIN.hash("certificate", certificate))
        return replace(named, parent_certificate=certificate)

    def with_transactions(self, transactions) -> Outline:
        """The outline with other transactions, named by the header."""
        hashes = tuple(t.hash for t in transactions)
        root = checks.transaction_root(self.chain.genesis.suite, hashes)
        return make_outline(
            DOMAIN,
            header=replace(self.outline.header, tx_count=len(hashes), tx_root=root),
            parent_certificate=self.outline.parent_certificate,
            tx_hashes=hashes,
        )


@pytest.fixture
def good():
    return Proposal()


def test_good_block_passes(good):
    executed = good.ledger.execute(good.outline, good.transactions)
    assert executed.outline is good.outline
    assert executed.transactions == good.transactions


@pytest.mark.parametrize(
    ("code", "field", "value"),
    [
        ("wrong_rules", "rules_version", 2),
        ("wrong_chain", "chain_id", "other.example/chain"),
        ("wrong_height", "height", 3),
        ("wrong_height", "height", 1),
        ("wrong_parent", "parent_hash", OTHER),
        ("wrong_parameters", "params_hash", OTHER),
        ("wrong_validators", "validators_hash", OTHER),
        ("wrong_validators", "next_validators_hash", OTHER),
        ("unknown_proposer", "proposer", "nobody"),
        ("bad_certificate", "parent_certificate_hash", OTHER),
        ("wrong_transactions", "tx_root", OTHER),
        ("wrong_transactions", "tx_count", 2),
        (RESULT_MISMATCH, "receipts_root", OTHER),
        (RESULT_MISMATCH, "log_size", 77),
        (RESULT_MISMATCH, "log_root", OTHER),
        (RESULT_MISMATCH, "state_root", OTHER),
    ],
)
def test_header_field_that_is_wrong_is_named(good, code, field, value):
    with pytest.raises(InvalidBlock) as caught:
        good.ledger.execute(good.with_header(**{field: value}), good.transactions)
    assert (caught.value.error_code, caught.value.field) == (code, field)
    text = value.hex() if isinstance(value, bytes) else str(value)
    sides = {caught.value.found, caught.value.expected}
    assert text in sides
    assert caught.value.first_difference.startswith(f"{field}: found ")
    assert good.ledger.tip.height == 1


def test_first_of_two_differing_results_is_told(good):
    outline = good.with_header(state_root=OTHER, log_root=OTHER)
    with pytest.raises(InvalidBlock) as caught:
        good.ledger.execute(outline, good.transactions)
    root = good.outline.header.log_root.hex()
    assert caught.value.first_difference == f"log_root: found {OTHER.hex()}; expected {root}"


def test_other_view_or_time_changes_the_results(good):
    # The certified interval is in every leaf.
    for field, value in (("first_view", 1), ("time_ms", good.outline.header.time_ms + 1)):
        with refuses(RESULT_MISMATCH, InvalidBlock):
            good.ledger.execute(good.with_header(**{field: value}), good.transactions)


def test_time_must_be_above_the_parents(good):
    with refuses("time_not_rising", InvalidBlock):
        good.ledger.execute(good.with_header(time_ms=good.ledger.tip.time_ms), good.transactions)


def test_block_1_carries_no_certificate():
    ledger = Ledger.open(MemoryStore(), CHAIN.genesis)
    outline = CHAIN.build(ledger).outline
    ledger.execute(outline, ())
    with refuses("bad_certificate", InvalidBlock):
        ledger.execute(replace(outline, parent_certificate=b"x"), ())
    header = replace(outline.header, parent_certificate_hash=OTHER)
    with refuses("bad_certificate", InvalidBlock):
        ledger.execute(replace(outline, header=header), ())


def test_any_certificate_of_the_parent_will_do(good):
    for view, signers in ((0, (1, 2, 3)), (5, (0, 2, 3)), (0, (0, 1, 2, 3))):
        other = CHAIN.certificate(1, good.ledger.tip.block_hash, view=view, signers=signers)
        outline = good.with_certificate(other.encode())
        executed = good.ledger.execute(outline, good.transactions)
        assert executed.outline.parent_certificate == other.encode()


def test_certificate_must_be_the_parents_and_hold(good):
    parent = good.ledger.tip.block_hash
    forged = CHAIN.certificate(1, parent, signers=(1, 2, 3))
    forged = replace(forged, signatures=(*forged.signatures[:2], (3, bytes(64))))
    for certificate in (
        CHAIN.certificate(1, parent, signers=(0, 1)).encode(),
        forged.encode(),
        CHAIN.certificate(1, OTHER).encode(),
        CHAIN.certificate(2, parent).encode(),
        b"",
        b"\xc0",
    ):
        with pytest.raises(InvalidBlock) as caught:
            good.ledger.execute(good.with_certificate(certificate), good.transactions)
        assert caught.value.error_code == "bad_certificate"
        assert caught.value.field == "parent_certificate"


def test_transactions_must_be_those_that_are_named(good):
    other = CHAIN.notarization("b")
    for transactions in ((), (other,), (*good.transactions, other)):
        with refuses("wrong_transactions", InvalidBlock):
            good.ledger.execute(good.outline, transactions)
    outline = replace(good.outline, tx_hashes=(*good.outline.tx_hashes, other.hash))
    root = checks.transaction_root(CHAIN.genesis.suite, outline.tx_hashes)
    outline = replace(outline, header=replace(outline.header, tx_root=root))
    with refuses("wrong_transactions", InvalidBlock):
        good.ledger.execute(outline, good.transactions)


def test_order_of_transactions_matters():
    proposal = Proposal()
    pair = (CHAIN.notarization("a"), CHAIN.notarization("b"))
    outline = proposal.with_transactions(pair)
    with refuses("wrong_transactions", InvalidBlock):
        proposal.ledger.execute(outline, pair[::-1])


def judge(proposal: Proposal, transactions) -> None:
    proposal.ledger.execute(proposal.with_transactions(transactions), transactions)


def test_block_holds_no_more_transactions_than_the_parameters_say(good):
    transactions = [CHAIN.notarization(f"{i}") for i in range(9)]
    with refuses(RESULT_MISMATCH):
        judge(good, transactions[:8])
    with refuses("block_too_large", InvalidBlock):
        judge(good, transactions)


def test_block_holds_no_more_bytes_than_the_parameters_say(good):
    transactions = [CHAIN.notarization(f"{i}", count=1_000) for i in range(8)]
    size = len(transactions[0].envelope)
    fitting = 256 * 1024 // size
    assert fitting < 8, "the test's transactions are too small to fill a block"
    with refuses(RESULT_MISMATCH):
        judge(good, transactions[:fitting])
    with refuses("block_too_large", InvalidBlock):
        judge(good, transactions[: fitting + 1])


def test_block_holds_no_more_records_than_the_parameters_say():
    chain = make_chain(parameters=Parameters(max_block_records=20_000))
    ledger = Ledger.open(MemoryStore(), chain.genesis)
    lists = tuple(chain.notarization(f"{i}", count=1_000) for i in range(20))
    built = chain.build(ledger, lists)
    assert len(built.transactions) == 19
    hashes = tuple(t.hash for t in lists)
    root = checks.transaction_root(chain.genesis.suite, hashes)
    outline = make_outline(
        chain.genesis.domain,
        header=replace(built.outline.header, tx_count=20, tx_root=root),
        parent_certificate=b"",
        tx_hashes=hashes,
    )
    with refuses("too_many_records", InvalidBlock):
        ledger.execute(outline, lists)


def test_transaction_of_another_chain_is_refused(good):
    call = good.transactions[0].body.calls
    with refuses("wrong_chain", InvalidBlock):
        judge(good, (CHAIN.transaction(call, chain_id="other.example/chain"),))


def test_window_of_validity_includes_both_ends(good):
    for last, code in (
        (1, "expired"),
        (2, RESULT_MISMATCH),
        (2 + MAX_VALID_HEIGHTS, RESULT_MISMATCH),
        (3 + MAX_VALID_HEIGHTS, "too_far_ahead"),
    ):
        with refuses(code, InvalidBlock):
            judge(good, (CHAIN.notarization("w", last_valid_height=last),))


def test_transaction_is_in_the_chain_at_most_once(good):
    with refuses("replayed", InvalidBlock):
        judge(good, (good.old,))
    twice = (CHAIN.notarization("b"),) * 2
    with refuses("duplicate_transaction", InvalidBlock):
        judge(good, twice)


def test_replay_under_another_signature_is_still_one():
    chain = make_chain(suite="sm2-sm3")
    first = chain.notarization("a")
    second = next(t for t in iter(lambda: chain.notarization("a"), None) if t.hash != first.hash)
    assert second.id == first.id
    ledger = Ledger.open(MemoryStore(), chain.genesis)
    chain.extend(ledger, [first])
    assert chain.build(ledger, [second]).transactions == ()


def test_invalid_block_tells_code_field_and_both_sides():
    error = InvalidBlock("some_code", "height", found=3, expected=b"\x01\x02")
    assert isinstance(error, ChainError)
    assert not isinstance(error, Refused)
    assert str(error) == "height: found 3; expected 0102"
    assert (error.error_code, error.field, error.found, error.expected) == (
        "some_code",
        "height",
        "3",
        "0102",
    )


def test_proposer_and_judge_agree_on_what_fills_a_block():
    transactions = [CHAIN.notarization(f"{i}") for i in range(3)]
    size = sum(len(t.envelope) for t in transactions)
    for spare, taken in ((0, 3), (-1, 2)):
        for parameters in (
            Parameters(max_block_bytes=size + spare),
            Parameters(max_block_transactions=3 + spare),
        ):
            eligible = checks.eligible(
                transactions,
                chain_id=CHAIN.genesis.chain_id,
                height=1,
                parameters=parameters,
                is_replayed=lambda _: False,
            )
            assert eligible == tuple(transactions[:taken])
            checks.check_size(eligible, parameters)
            if taken < 3:
                with refuses("block_too_large", InvalidBlock):
                    checks.check_size(transactions, parameters)
