"""The journal: what a crash leaves of it, and what is refused."""

import pytest

from chainnode.client.journal_file import JournalFile
from chainnode.model.errors import ChainError, Refused, StorageFault
from chainnode.storage.append_file import MemoryFile
from chainnode.storage.journal import MAX_PAYLOAD_BYTES, Journal

MAGIC = b"testing\x01"
PAYLOADS = (b"one", b"two" * 30, b"three")


def written(payloads=PAYLOADS):
    file = MemoryFile()
    journal, found = Journal.open(file, MAGIC)
    assert found == ()
    for payload in payloads:
        journal.append(payload)
    return file.read_all(10_000)


def found_in(content):
    file = MemoryFile(content)
    return Journal.open(file, MAGIC)[1], file.read_all(10_000)


def test_records_are_found_again_in_order():
    assert found_in(written())[0] == PAYLOADS


def test_a_torn_end_is_cut_off_wherever_it_is_torn():
    whole, before = written(), written(PAYLOADS[:2])
    for end in range(len(before), len(whole)):
        for zeros in (0, len(whole) - end):
            content = whole[:end] + bytes(zeros)
            found, left = found_in(content)
            assert (found, left) == (PAYLOADS[:2], before)


def test_damage_that_is_no_torn_end_is_refused():
    content = bytearray(written())
    content[17] ^= 1
    for bad in (bytes(content), b"another\x01" + written()[8:], b"x"):
        with pytest.raises(StorageFault):
            found_in(bad)


@pytest.mark.parametrize("position", range(4))
@pytest.mark.parametrize("value", [0, 1, 127, 255])
def test_a_damaged_length_does_not_make_a_torn_end_of_what_follows(position, value):
    content = bytearray(written())
    at = len(MAGIC) + position
    content[at] = value if content[at] != value else value ^ 5
    with pytest.raises(StorageFault, match="restore it from a backup"):
        found_in(bytes(content))


def test_a_rewrite_leaves_the_new_records_alone():
    file = MemoryFile(written())
    journal, _ = Journal.open(file, MAGIC)
    journal.rewrite([b"new"])
    journal.append(b"er")
    assert found_in(file.read_all(1_000))[0] == (b"new", b"er")


def test_a_record_beyond_the_bound_is_refused_and_nothing_is_written():
    file = MemoryFile()
    journal, _ = Journal.open(file, MAGIC)
    with pytest.raises(StorageFault, match="do not fit"):
        journal.append(bytes(MAX_PAYLOAD_BYTES + 1))
    assert file.size_bytes == len(MAGIC)


def test_a_folder_has_one_user_at_a_time(tmp_path):
    journal, _ = JournalFile.open(tmp_path / "j", MAGIC)
    journal.append(b"a")
    with pytest.raises(Refused) as caught:
        JournalFile.open(tmp_path / "j", MAGIC)
    assert caught.value.error_code == "in_use"
    journal.close()
    again, found = JournalFile.open(tmp_path / "j", MAGIC)
    assert found == (b"a",)
    again.close()
    (tmp_path / "j" / "journal").write_bytes(b"garbage")
    with pytest.raises(ChainError) as caught:
        JournalFile.open(tmp_path / "j", MAGIC)
    assert caught.value.error_code == "file_error"
    with pytest.raises(ChainError):
        JournalFile.open(tmp_path / "j" / "journal", MAGIC)
