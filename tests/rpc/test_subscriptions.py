"""What is made of a block for those who subscribed, however many they are."""

from __future__ import annotations

import json

import pytest

from chainnode.rpc import subscriptions
from chainnode.rpc.subscriptions import RECORDS_PER_NOTIFICATION, BlockNews, make_subscription
from tests.support.rpc import make_node


@pytest.fixture(name="node", scope="module")
def fixture_node():
    return make_node()


@pytest.fixture(name="block", scope="module")
def fixture_block(node):
    """A block of a parent record, 1,000 records of one account and 200 of another."""
    blocks = []
    node.commits.attach(lambda: None)
    node.commits.listen(blocks.append)
    chain = node.chain
    many = chain.notarization("many", count=1_000)
    few = chain.notarization("few", count=200, sender="archive/keeper")
    node.engine.commit([many, few])
    node.commits.publish()
    return blocks[0]


def heard(news, topic, **filters):
    return [json.loads(text) for text in news.texts(make_subscription(topic, filters))]


@pytest.mark.parametrize(
    ("filters", "indices"),
    [
        ({}, range(1_201)),
        ({"kind": "notary"}, range(1, 1_201)),
        ({"kind": "parent"}, range(1)),
        ({"account": "archive/keeper"}, range(1_001, 1_201)),
        ({"account": "court/clerk", "kind": "notary"}, range(1, 1_001)),
        ({"account": "court/clerk", "kind": "parent"}, range(0)),
        ({"account": "nobody/here"}, range(0)),
    ],
)
def test_records_are_told_in_order_and_in_parts(node, block, filters, indices):
    parts = heard(BlockNews(block, node.ledger), "records", **filters)
    assert [r["index"] for part in parts for r in part["records"]] == list(indices)
    assert all(0 < len(part["records"]) <= RECORDS_PER_NOTIFICATION for part in parts)


def test_transactions_are_told_by_account_and_id(node, block):
    news, (many, few) = BlockNews(block, node.ledger), block.transactions
    told = {}
    for filters in (
        {},
        {"account": "court/clerk"},
        {"tx_id": few.id},
        {"account": "archive/keeper", "tx_id": few.id},
        {"account": "archive/keeper", "tx_id": many.id},
    ):
        told[tuple(filters.values())] = [t["tx_id"] for t in heard(news, "tx", **filters)]
    assert list(told.values()) == [
        [many.id.hex(), few.id.hex()],
        [many.id.hex()],
        [few.id.hex()],
        [few.id.hex()],
        [],
    ]


def test_a_block_is_gone_through_once_however_different_its_subscribers_are(
    node, block, monkeypatch
):
    decoded = []

    def decode(leaf):
        decoded.append(leaf)
        return decode_record(leaf)

    decode_record = subscriptions.decode_record
    monkeypatch.setattr(subscriptions, "decode_record", decode)
    news = BlockNews(block, node.ledger)
    for number in range(100):
        assert heard(news, "records", account=f"nobody/a{number}") == []
    assert len(decoded) == 1_201
