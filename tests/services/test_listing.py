"""Registrations by owner and time: the same whatever the pages, and the same as a search of the whole log finds."""

from __future__ import annotations

import random

import pytest

from chainnode.model.calls import Document, register_documents
from chainnode.model.commitment import derive_salt
from chainnode.model.mark_calls import SaltedRecord, accept, offer, renounce, supersede
from chainnode.model.marks import RecordReference
from chainnode.model.record import decode_record
from chainnode.services.listing import Selection
from tests.support.chain import ARCHIVE, CLERK, GUEST, digest
from tests.support.rpc import Node, make_node

SEED = b"s" * 32


def registration(node: Node, label: str, sender: str, count: int = 1, *, public: bool = False):
    documents = [Document(digests=(digest(f"{label} {i}"),)) for i in range(count)]
    call = register_documents(documents, seed=None if public else SEED)
    return node.chain.transaction([call], sender=sender, nonce=label)


def named(node: Node, transaction, item: int = 0) -> SaltedRecord:
    suite = node.ledger.genesis.suite
    reference = RecordReference(
        account=transaction.body.sender, tx_id=transaction.id, call=0, item=item
    )
    return SaltedRecord(reference=reference, salt=derive_salt(suite, SEED, item))


def everything(node: Node, selection: Selection, *, limit: int = 100, as_member: bool = True):
    """All pages; each advances."""
    found: list[int] = []
    after = None
    while True:
        page = node.services.listing.page(selection, as_member=as_member, limit=limit, after=after)
        assert len(page.found) <= limit
        found += [one.index for one in page.found]
        if page.next_after is None:
            return found
        assert after is None or page.next_after > after
        after = page.next_after


def searched(node: Node, owner: str | None = None, from_ms: int = 0, until_ms: int = 2**62):
    """What a search of the whole log finds."""
    size = node.ledger.tip.log_size
    records = [(i, decode_record(node.ledger.leaf(i))) for i in range(size)]
    return [
        index
        for index, record in records
        if record.kind == "notary"
        and from_ms <= record.time_ms < until_ms
        and (owner is None or owner in {record.account, record.account.partition("/")[0]})
    ]


@pytest.fixture
def node() -> Node:
    node = make_node()
    rng = random.Random(4)
    for height in range(30):
        transactions = [
            registration(node, f"{height} {n}", rng.choice((CLERK, ARCHIVE)), rng.choice((1, 1, 5)))
            for n in range(rng.choice((0, 1, 3)))
        ]
        node.engine.commit(transactions)
    return node


@pytest.mark.parametrize("limit", [1, 3, 100])
@pytest.mark.parametrize(
    "owner", [None, CLERK, ARCHIVE, "court", "archive", "nobody", "court/cler"]
)
def test_every_way_of_paging_finds_what_the_log_holds(node, owner, limit):
    assert everything(node, Selection(owner=owner), limit=limit) == searched(node, owner)


def test_a_range_of_times_is_a_range_of_the_log(node):
    times = [node.services.chain.header(h).header.time_ms for h in (5, 12, 13, 30)]
    for from_ms in (None, times[0], times[0] + 1, times[1], times[3] + 1):
        for until_ms in (None, 0, times[1], times[2], times[2] + 1, times[3] + 1):
            for owner in (None, CLERK):
                selection = Selection(owner=owner, from_ms=from_ms, until_ms=until_ms)
                expected = searched(
                    node, owner, from_ms or 0, 2**62 if until_ms is None else until_ms
                )
                assert everything(node, selection, limit=7) == expected


def test_bounds_of_one_answer_end_the_page_early_and_lose_nothing(node, monkeypatch):
    for name, bound in (("MAX_LEAVES", 3), ("MAX_BLOCKS", 2), ("MAX_EXAMINED", 4)):
        with monkeypatch.context() as patch:
            patch.setattr(f"chainnode.services.listing.{name}", bound)
            for owner in (None, CLERK, "archive"):
                assert everything(node, Selection(owner=owner)) == searched(node, owner), name


def test_only_the_first_of_a_block_is_indexed_for_its_owner(node):
    before = node.ledger.tip.log_size
    node.engine.commit(
        [registration(node, "long", CLERK, 500), registration(node, "longer", CLERK, 500)]
    )
    assert node.ledger.lookup(b"registered/" + CLERK.encode(), 10, before - 1) == [before + 1]
    assert everything(node, Selection(owner=CLERK))[-1000:] == list(
        range(before + 1, before + 1001)
    )


def test_strangers_are_shown_public_registrations_only():
    node = make_node()
    node.engine.commit(
        [
            registration(node, "a", CLERK),
            registration(node, "b", CLERK, public=True),
            registration(node, "c", ARCHIVE, public=True),
        ]
    )
    assert everything(node, Selection(), as_member=False) == [2, 3]
    assert everything(node, Selection(owner=CLERK), as_member=False) == [2]
    assert everything(node, Selection(owner=CLERK)) == [1, 2]


def test_a_record_is_its_present_owners_in_the_order_in_which_it_came_to_them():
    node = make_node()
    chain = node.chain
    first, second = registration(node, "a", CLERK, 2), registration(node, "b", GUEST)
    node.engine.commit([first])
    record, newer = named(node, first), named(node, first, 1)
    node.engine.commit([chain.transaction([offer(record, ARCHIVE)], sender=CLERK, nonce="1")])
    assert everything(node, Selection(owner=ARCHIVE)) == []
    node.engine.commit([registration(node, "c", ARCHIVE)])
    own = node.ledger.tip.log_size - 1
    node.engine.commit([chain.transaction([accept(record)], sender=ARCHIVE, nonce="2")])
    assert everything(node, Selection(owner=ARCHIVE), limit=1) == [own, 1]
    assert everything(node, Selection(owner="archive"), limit=1) == [own, 1]
    assert everything(node, Selection(owner=CLERK)) == [1, 2]
    node.engine.commit([chain.transaction([supersede(record, newer)], sender=CLERK, nonce="3")])
    assert everything(node, Selection(owner=ARCHIVE), limit=1) == [own, 1, 2]
    node.engine.commit([chain.transaction([renounce(record)], sender=CLERK, nonce="4")])
    assert everything(node, Selection(owner=CLERK)) == [2]
    # A guest may not register, and what failed is nobody's.
    node.engine.commit([second])
    assert everything(node, Selection(owner=GUEST)) == []


def test_marks_of_records_that_never_were_list_nothing():
    node = make_node()
    chain = node.chain
    invented = SaltedRecord(
        reference=RecordReference(account=CLERK, tx_id=bytes(32), call=0, item=0), salt=SEED
    )
    node.engine.commit([chain.transaction([offer(invented, ARCHIVE)], sender=CLERK, nonce="1")])
    node.engine.commit([chain.transaction([accept(invented)], sender=ARCHIVE, nonce="2")])
    assert everything(node, Selection(owner=ARCHIVE)) == []
