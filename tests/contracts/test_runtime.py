"""Executing blocks: order, all or nothing, receipts, limits, activation."""

from __future__ import annotations

from types import MappingProxyType

import pytest

from chainnode.model import calls
from chainnode.model.commitment import Digest
from chainnode.model.errors import InvariantViolation, Refused, StorageFault
from chainnode.model.limits import MAX_RECORD_BYTES, MAX_RECORDS_PER_TRANSACTION
from chainnode.model.receipt import decode_receipt
from chainnode.model.record import Record, decode_record
from chainnode.model.roles import Role
from chainnode.model.transaction import Call
from contracts import registry
from contracts.api import ContractError
from contracts.identity.sender import check_sender
from contracts.leaves import LeafEncoder
from contracts.overlay import Overlay
from contracts.registry import Registry, registry_of
from contracts.runtime import (
    VALIDATORS_NEXT_KEY,
    execute_block,
    genesis_state,
    receipt_message,
)
from tests.support.contracts import CHAIN_ID, Chain, example_genesis

CLERK = "justice/clerk"
ADMIN = "justice/admin"


def registration(count: int = 1) -> Call:
    digests = (Digest(algorithm="sha256", value=bytes(32)),)
    return calls.register_documents([calls.Document(digests=digests)] * count, seed=bytes(32))


@pytest.fixture
def probe(monkeypatch):
    """Install a contract `probe` of one's own methods; return the chain that activates it."""

    def install(**methods):
        implementations = {("identity", 1): {}, ("probe", 1): methods}
        monkeypatch.setattr(registry, "_IMPLEMENTATIONS", MappingProxyType(implementations))
        registry_of.cache_clear()
        return Chain(example_genesis(contracts=(("identity", 1, 1), ("probe", 1, 1))))

    yield install
    registry_of.cache_clear()


def call(method: str, *args) -> Call:
    return Call(contract="probe", method=method, args=args)


def test_the_first_leaf_of_a_block_names_its_parent():
    chain = Chain()
    block = chain.block()
    result = chain.execute()
    assert (result.receipts, result.included, result.changes) == ((), 0, {})
    record = decode_record(result.emitted[0].leaf)
    assert (record.kind, record.height, record.body) == ("parent", 1, (0, block.parent_hash))
    assert (record.not_before_ms, record.not_after_ms) == block.interval_ms


def test_records_are_numbered_on_from_the_log_and_receipts_say_where():
    chain = Chain()
    chain.execute()
    result = chain.execute(
        chain.transaction(CLERK, registration(2), registration(1)),
        chain.transaction("archive/reader", registration()),
        chain.transaction(CLERK, registration()),
    )
    assert [(r.first_record, r.record_count) for r in result.receipts] == [(2, 3), (0, 0), (5, 1)]
    placed = [decode_record(chain.log[i]) for i in (2, 3, 4, 5)]
    assert [(r.call, r.item) for r in placed] == [(0, 0), (0, 1), (1, 0), (0, 0)]
    for receipt in result.receipts:
        assert decode_receipt(receipt.encode()) == receipt


def test_a_failed_call_undoes_the_calls_before_it_and_later_transactions_go_on():
    chain = Chain()
    admit = calls.register_organisation("health", "Health")
    result = chain.execute(
        chain.transaction(ADMIN, admit, registration()),
        chain.transaction(ADMIN, calls.register_organisation("health", "Another title")),
    )
    assert [r.code for r in result.receipts] == ["missing_role", ""]
    assert len(result.changes) == 1
    assert len(result.emitted) == 2


def test_later_transactions_and_calls_see_the_changes_of_earlier_ones():
    chain = Chain()
    grant = calls.grant_role("archive/reader", Role.NOTARY)
    result = chain.execute(
        chain.transaction("archive/reader", registration()),
        chain.transaction(ADMIN, grant, calls.grant_role(ADMIN, Role.NOTARY), registration()),
        chain.transaction("archive/reader", registration()),
    )
    assert [r.code for r in result.receipts] == ["missing_role", "", ""]


def test_a_transaction_whose_records_do_not_fit_ends_the_block():
    chain = Chain()
    three = [chain.transaction(CLERK, registration(4)) for _ in range(3)]
    result = chain.execute(*three, max_records=9)
    assert (result.included, len(result.receipts), len(result.emitted)) == (2, 2, 9)
    assert chain.execute(three[2], max_records=5).included == 1
    assert chain.execute(three[2], max_records=4).included == 0


def test_contracts_and_methods_that_are_not_active_are_refused_with_a_receipt():
    chain = Chain(example_genesis(contracts=(("identity", 1, 1), ("notary", 1, 3))))
    assert chain.send(CLERK, Call(contract="absent", method="x", args=())) == "unknown_contract"
    assert chain.send(CLERK, registration()) == "unknown_contract"
    assert chain.send(CLERK, registration()) == ""
    assert chain.send(CLERK, Call(contract="notary", method="x", args=())) == "unknown_method"
    assert "it has register" in chain.last.receipts[0].message


def test_the_highest_activated_version_is_in_force(monkeypatch):
    versions = {("notary", 1): {"old": None}, ("notary", 2): {"new": None}}
    monkeypatch.setattr(registry, "_IMPLEMENTATIONS", versions)
    genesis = example_genesis(contracts=(("notary", 1, 1), ("notary", 2, 10)))
    active = Registry(genesis.contracts)
    assert active.methods("notary", 9) == {"old": None}
    assert active.methods("notary", 10) == {"new": None}
    assert active.methods("identity", 10) is None


def test_a_chain_whose_contracts_this_software_lacks_is_refused_at_once():
    with pytest.raises(Refused) as caught:
        genesis_state(example_genesis(contracts=(("notary", 7, 1),)))
    assert caught.value.error_code == "unknown_contract_version"


def test_genesis_state_holds_the_validators_that_govern_next():
    genesis = example_genesis()
    state = genesis_state(genesis)
    assert state[VALIDATORS_NEXT_KEY] == genesis.validator_set.encode()
    assert list(state) == sorted(state)


def test_what_a_contract_must_not_raise_stops_the_node(probe):
    def crash(context, args):
        raise KeyError("bug")

    def disk(context, args):
        raise StorageFault("gone")

    chain = probe(crash=crash, disk=disk)
    with pytest.raises(InvariantViolation, match=r"call 0 \(probe.crash\): KeyError"):
        chain.send(ADMIN, call("crash"))
    with pytest.raises(StorageFault):
        chain.send(ADMIN, call("disk"))


def test_state_is_scoped_and_only_net_changes_are_returned(probe):
    def write(context, args):
        context.state.put(b"a", b"1")
        context.state.put(b"b", b"2")
        context.state.delete(b"b")
        context.state.delete(b"never there")
        assert context.state.get(b"a") == b"1"
        assert context.state.get(b"b") is None
        assert context.read("probe").get(b"a") == b"1"
        assert context.read("other").get(b"a") is None
        assert not hasattr(context.read("probe"), "put")

    def remove(context, args):
        context.state.delete(b"a")

    chain = probe(write=write, remove=remove)
    chain.send(ADMIN, call("write"))
    assert chain.last.changes == {b"probe/a": b"1"}
    chain.send(ADMIN, call("write"))
    assert chain.last.changes == {}
    chain.send(ADMIN, call("remove"))
    assert chain.last.changes == {b"probe/a": None}


def test_changes_come_in_rising_order_of_keys():
    overlay = Overlay({})
    for key in (b"b", b"c", b"a"):
        overlay.put(key, key)
    assert list(overlay.net_changes()) == [b"a", b"b", b"c"]


def test_a_contract_knows_block_transaction_and_sender(probe):
    seen = []

    def look(context, args):
        seen.append((context.block, context.tx_id, context.sender, context.call, args))
        context.require(True, "never", "")
        assert context.has_role(Role.ADMIN)
        assert not context.has_role(Role.NOTARY)
        context.require_role(Role.ADMIN)
        context.require_role(Role.NOTARY)

    chain = probe(look=look)
    block = chain.block()
    transaction = chain.transaction(ADMIN, call("look", 5))
    assert chain.execute(transaction).receipts[0].code == "missing_role"
    assert seen == [(block, transaction.id, ADMIN, 0, (5,))]
    assert block.chain_id == CHAIN_ID


def test_a_transaction_emits_no_more_records_than_allowed(probe):
    def flood(context, args):
        for _ in range(args[0]):
            context.emit("flood", ())

    chain = probe(flood=flood)
    half = MAX_RECORDS_PER_TRANSACTION // 2
    assert chain.send(ADMIN, call("flood", half), call("flood", half)) == ""
    assert chain.send(ADMIN, call("flood", half), call("flood", half + 1)) == "too_many_records"


def test_a_record_beyond_the_size_of_a_leaf_is_a_fault_of_the_contract(probe):
    def emit(context, args):
        context.emit("big", (bytes(args[0]),))

    chain = probe(emit=emit)
    assert chain.send(ADMIN, call("emit", MAX_RECORD_BYTES - 200)) == ""
    with pytest.raises(InvariantViolation, match="record of kind big"):
        chain.send(ADMIN, call("emit", MAX_RECORD_BYTES))


@pytest.mark.parametrize("item", [0, 127, 128, 255, 256, 9_999])
def test_leaves_encoded_in_bulk_are_those_of_the_record(item):
    shared = {
        "height": 70_000,
        "time_ms": 1_800_000_000_000,
        "tx_id": bytes(range(32)),
        "call": 99,
        "contract": "notary",
        "account": CLERK,
    }
    encoder = LeafEncoder(interval_ms=(5, 7), **shared)
    for kind in ("notary", "other", "notary"):
        body = (bytes(32), None, ("x", 1))
        record = Record(kind=kind, not_before_ms=5, not_after_ms=7, item=item, body=body, **shared)
        assert encoder.encode(kind, item, body) == record.encode()


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        ("plain", "plain"),
        ("é 书 \U0001fae8", "\\xe9 \\u4e66 \\U0001fae8"),
        ("x" * 600, "x" * 512),
        ("书" * 100, ("\\u4e66" * 100)[:512]),
    ],
)
def test_receipt_messages_are_short_ascii(message, kept):
    assert receipt_message(message) == kept


def test_receipts_do_not_depend_on_what_this_python_calls_printable():
    # repr() writes U+1FAE8 as an escape before Unicode 15 (Python 3.11) and as itself after (3.12).
    assert receipt_message(r"found '\U0001fae8'") == receipt_message("found '\U0001fae8'")


def test_failure_messages_are_kept_to_their_limit(probe):
    def refuse(context, args):
        raise ContractError("long " * 500, code="refused_here")

    chain = probe(refuse=refuse)
    assert chain.send(ADMIN, call("refuse")) == "refused_here"
    receipt = chain.last.receipts[0]
    assert len(receipt.message) == 512
    assert decode_receipt(receipt.encode()) == receipt


def test_execution_leaves_the_given_state_alone_and_repeats_itself():
    chain = Chain()
    before = dict(chain.state)
    transactions = [
        chain.transaction(ADMIN, calls.register_organisation("health", "Health")),
        chain.transaction(CLERK, registration(3)),
    ]
    results = [
        execute_block(
            genesis=chain.genesis,
            state=chain.state,
            block=chain.block(),
            transactions=transactions,
            first_record_index=0,
            max_records=100,
        )
        for _ in range(2)
    ]
    assert results[0] == results[1]
    assert chain.state == before


@pytest.mark.parametrize(
    ("sender", "signer", "code"),
    [
        ("justice/nobody", "justice/nobody", "unknown_account"),
        (CLERK, "stranger", "unknown_key"),
        (CLERK, ADMIN, "unknown_key"),
        (CLERK, "v0 consensus", "unknown_key"),
    ],
)
def test_a_sender_that_is_not_who_it_says_gets_a_receipt_and_no_admission(sender, signer, code):
    chain = Chain()
    transaction = chain.transaction(sender, registration(), key=chain.key(signer))
    with pytest.raises(Refused) as caught:
        check_sender(chain.state, transaction, time_ms=chain.time_ms)
    assert caught.value.error_code == code
    assert chain.execute(transaction).receipts[0].code == code
