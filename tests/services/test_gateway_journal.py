"""The gateway's journal: what it remembers, what it forgets, and when its file is written anew."""

import zlib

import pytest

from chainnode.model.errors import StorageFault
from chainnode.services.gateway_journal import MAGIC, Ending, Entry, GatewayJournal
from chainnode.services.outcome import Status
from chainnode.storage.append_file import MemoryFile
from tests.support.rpc import make_node

NODE = make_node()
DOMAIN = NODE.chain.genesis.domain
ENVELOPE = NODE.chain.notarization(0).envelope
ENDING = Ending(status=Status.COMMITTED, height=1, first_record=2, code="", message="")


class CountingFile(MemoryFile):
    """Counts how often it was written anew."""

    replaced = 0

    def replace(self, content):
        self.replaced += 1
        super().replace(content)


def entry(number, **fields):
    named = {"token": "a", "key": f"{number}", "request_hash": bytes(32), "webhook": "w"}
    return Entry(id=number.to_bytes(16, "big"), **{**named, **fields})


def accept(journal, *entries):
    return journal.accept(entries, ENVELOPE, bytes(32))


def reopened(file, **options):
    return GatewayJournal(MemoryFile(file.read_all(10**8)), DOMAIN, **options)


def ids(entries):
    return [int.from_bytes(one.id, "big") for one in entries]


def test_the_oldest_are_forgotten_and_a_file_written_anew_says_the_same(monkeypatch):
    monkeypatch.setattr("chainnode.services.gateway_journal._REWRITE_BYTES", 0)
    file = CountingFile()
    journal = GatewayJournal(file, DOMAIN, most_kept=3)
    for number in range(6):
        one = accept(journal, entry(number))
        if number < 5:
            journal.end(one, ENDING)
        if number == 2:
            journal.told(entry(2).id)
    assert file.replaced > 1
    for book in (journal, reopened(file, most_kept=3)):
        assert book.by_key("a", "1") is None
        assert book.by_key("a", "4") == entry(4)
        assert book.place(entry(4).id)[0].ending == ENDING
        assert [one.number for one in book.open_lists] == [5]
        assert ids(book.untold("w")) == [3, 4]


def test_a_damaged_one_is_refused():
    with pytest.raises(StorageFault):
        GatewayJournal(
            MemoryFile(MAGIC + b"\0\0\0\1" + zlib.crc32(b"\xc0").to_bytes(4, "big") + b"\xc0"),
            DOMAIN,
        )


def test_a_list_that_ends_late_is_remembered_as_long_as_any_other(monkeypatch):
    file = MemoryFile()
    journal = GatewayJournal(file, DOMAIN, most_kept=3)
    late = accept(journal, entry(0))
    for number in range(1, 6):
        journal.end(accept(journal, entry(number)), ENDING)
    journal.end(late, ENDING)
    # Written anew when it is opened, and read once more: the order is kept.
    monkeypatch.setattr("chainnode.services.gateway_journal._REWRITE_BYTES", 0)
    again = CountingFile(file.read_all(10**8))
    GatewayJournal(again, DOMAIN, most_kept=3)
    assert again.replaced == 1
    for book in (journal, reopened(again, most_kept=3)):
        assert [book.by_key("a", f"{n}") is not None for n in range(6)] == [
            True, False, False, False, True, True,
        ]  # fmt: skip
        book.end(accept(book, entry(9)), ENDING)
        assert book.by_key("a", "0") is not None
        assert book.by_key("a", "4") is None


def test_a_file_is_written_anew_as_it_doubles_whatever_its_records_take(monkeypatch):
    monkeypatch.setattr("chainnode.services.gateway_journal._REWRITE_BYTES", 64 * 1024)
    file = CountingFile()
    journal = GatewayJournal(file, DOMAIN)
    for number in range(600):
        long = entry(number, key=f"{number:0256}", token="t" * 60, webhook="w" * 60)
        journal.end(accept(journal, long), ENDING)
    # One that is made, and from 64 KiB to some 500 KiB of records with long keys.
    assert 2 <= file.replaced <= 4
    assert len(ids(reopened(file).untold("w" * 60))) == 600


def test_what_a_target_is_owed_is_taken_in_turn_and_leaves_nothing_behind(monkeypatch):
    journal = GatewayJournal(MemoryFile(), DOMAIN, most_kept=4)
    for number in range(4):
        journal.end(accept(journal, entry(number, webhook="wv"[number % 2])), ENDING)
    assert journal.untold_webhooks == ("w", "v")
    queue = journal.untold("w")
    first, second = queue.take(0), queue.take(0)
    assert ids([first.entry, second.entry]) == [0, 2]
    assert queue.take(0) is None
    first.is_being_told = second.is_being_told = False
    first.due_ms, second.due_ms = 5, 0
    assert [queue.take(1), queue.take(1)] == [second, None]
    second.is_being_told = False
    # However many wait for their time, each look is short and the next goes on behind it.
    monkeypatch.setattr("chainnode.services.untold.MAX_LOOKED_AT", 1)
    assert [queue.take(1), queue.take(1)] == [None, second]
    # Forgotten, told and never owed: nothing is kept of any.
    journal.told(entry(1).id)
    for number in range(4, 8):
        journal.end(accept(journal, entry(number, webhook=None)), ENDING)
    assert journal.untold_webhooks == ()
    assert len(queue) == 0
