"""The contract `evidence`: each offence once, within its window, and no more than a bound of one validator."""

from __future__ import annotations

import dataclasses

import pytest

from chainnode.model import codec
from chainnode.model.evidence import Statement, pair
from chainnode.model.record import decode_record
from chainnode.model.transaction import Call, make_report
from chainnode.model.votes import COMMIT, VIEW_CHANGE
from contracts.evidence import ENTRIES_PER_PERIOD, PERIOD, WINDOW, parse_finding
from tests.support.contracts import CHAIN_ID, Chain, example_genesis

CLERK = "justice/clerk"


@pytest.fixture
def chain():
    return Chain(
        example_genesis(contracts=(("evidence", 1, 1), ("identity", 1, 1), ("notary", 1, 1)))
    )


def statement(chain, kind, height, view, digest, *, name="v1"):
    signer = chain.genesis.validator_set.index_of(name)
    unsigned = Statement(
        kind=kind, height=height, signer=signer, view=view, digest=digest, signature=b""
    )
    signature = chain.key(f"{name} consensus").sign(unsigned.message(chain.domain))
    return dataclasses.replace(unsigned, signature=signature)


def double(chain, height, *, view=0, name="v1"):
    one, other = (
        statement(chain, COMMIT, height, view, bytes([d]) * 32, name=name) for d in (1, 2)
    )
    return pair(one, other)


def amnesia(chain, height):
    return pair(
        statement(chain, COMMIT, height, 2, bytes(32)),
        statement(chain, VIEW_CHANGE, height, 3, None),
    )


def send(chain, evidence):
    report = make_report(chain.domain, CHAIN_ID, evidence)
    return chain.execute(report).receipts[0].code


def test_evidence_enters_the_log_and_the_state(chain):
    evidence = double(chain, 1)
    assert send(chain, evidence) == ""
    record = decode_record(chain.last.emitted[-1].leaf)
    assert (record.kind, record.contract, record.account) == ("evidence", "evidence", "")
    assert record.body == ("v1", "double-vote", 1, 0, evidence.encode())
    assert parse_finding(record.body).evidence == evidence
    entry = chain.state[b"evidence/entry/v1/double-vote/1"]
    assert codec.decode(entry, max_bytes=100) == (
        1,
        chain.domain.hash("evidence", evidence.encode()),
        1,
    )


def test_an_offence_is_recorded_once_whoever_proves_it_and_how(chain):
    assert send(chain, double(chain, 1)) == ""
    assert send(chain, double(chain, 1, view=4)) == "already_recorded"
    assert send(chain, amnesia(chain, 1)) == ""
    assert send(chain, double(chain, 2)) == ""
    assert send(chain, double(chain, 1, name="v2")) == ""


def test_evidence_is_of_the_past_and_not_of_the_distant_past(chain):
    assert send(chain, double(chain, 9)) == "outside_window"
    chain.height = 9 + WINDOW
    assert send(chain, double(chain, 9)) == "outside_window"
    chain.height = 9 + WINDOW - 1
    assert send(chain, double(chain, 9)) == ""


def test_a_validator_that_signs_without_end_fills_nothing(chain):
    chain.height = ENTRIES_PER_PERIOD + 5
    codes = [send(chain, double(chain, h)) for h in range(1, ENTRIES_PER_PERIOD + 2)]
    assert codes == [""] * ENTRIES_PER_PERIOD + ["enough_recorded"]
    assert send(chain, double(chain, 1, name="v2")) == ""
    chain.height = PERIOD
    assert send(chain, double(chain, PERIOD)) == ""


def test_a_bad_signature_is_not_recorded(chain):
    evidence = double(chain, 1)
    bad = dataclasses.replace(
        evidence, second=dataclasses.replace(evidence.second, signature=bytes(64))
    )
    assert send(chain, bad) == "bad_signature"


def test_only_a_report_calls_the_contract(chain):
    call = Call(contract="evidence", method="report", args=(double(chain, 1).encode(),))
    assert chain.send(CLERK, call) == "not_a_report"
