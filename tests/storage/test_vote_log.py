"""The vote log under every cut and every flipped bit, under failing disks and across crashes."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainnode.model.errors import InvariantViolation, StorageFault
from chainnode.storage import vote_log
from chainnode.storage.append_file import MemoryFile
from chainnode.storage.vote_log import VoteLog, VoteLogDamaged, VoteRecord
from tests.support.faulty_disk import Fate, FaultPlan, FaultyFile, SimulatedCrash

BINDING = bytes(range(32))
HEADER_BYTES = 44
RECORDS = (
    VoteRecord(kind=1, height=7, payload=b"prepare"),
    VoteRecord(kind=2, height=7, payload=b""),
    VoteRecord(kind=255, height=2**64 - 1, payload=bytes(20)),
    VoteRecord(kind=1, height=8, payload=b"commit"),
)


def written(records: tuple[VoteRecord, ...] = RECORDS) -> bytes:
    file = MemoryFile()
    log, _ = VoteLog.open(file, BINDING)
    for record in records:
        log.append([record])
    return file.read_all(1 << 20)


def ends() -> list[int]:
    """Where the file ends after the header and after each record."""
    counts = range(1, len(RECORDS) + 1)
    return [HEADER_BYTES, *(len(written(RECORDS[:count])) for count in counts)]


def test_the_bytes_are_those_of_the_format() -> None:
    header = b"cnvotes\x01" + BINDING
    body = b"\x01" + (7).to_bytes(8, "big") + b"prepare"
    frame = len(body).to_bytes(4, "big") + zlib.crc32(body).to_bytes(4, "big") + body
    assert written(RECORDS[:1]) == header + zlib.crc32(header).to_bytes(4, "big") + frame


def test_a_log_is_new_until_something_was_appended() -> None:
    file = MemoryFile()
    VoteLog.open(file, BINDING)
    file = file.crash()
    log, records = VoteLog.open(file, BINDING)
    assert (log.is_new, log.torn_bytes, records) == (True, 0, ())
    log.append(RECORDS[:1])
    log, records = VoteLog.open(file.crash(), BINDING)
    assert (log.is_new, log.torn_bytes, records) == (False, 0, RECORDS[:1])


def test_records_come_back_in_order_after_a_crash() -> None:
    file = MemoryFile()
    log, _ = VoteLog.open(file, BINDING)
    log.append(RECORDS[:3])
    log.append(RECORDS[3:])
    log.append([])
    log, records = VoteLog.open(file.crash(), BINDING)
    assert records == RECORDS
    assert log.torn_bytes == 0


def test_a_log_cut_at_any_byte_gives_the_records_before_the_cut() -> None:
    content, marks = written(), ends()
    for cut in range(1, len(content)):
        file = MemoryFile(content[:cut])
        if cut < HEADER_BYTES:
            with pytest.raises(VoteLogDamaged, match="offset 0"):
                VoteLog.open(file, BINDING)
            continue
        log, records = VoteLog.open(file, BINDING)
        whole = sum(mark <= cut for mark in marks[1:])
        assert records == RECORDS[:whole]
        assert log.torn_bytes == cut - marks[whole]
        log.append(RECORDS[whole:])
        assert file.read_all(1 << 20) == content


def test_a_flipped_bit_anywhere_is_damage_unless_it_is_in_the_last_record() -> None:
    content, marks = written(), ends()
    for offset in range(len(content)):
        for bit in range(8):
            flipped = bytearray(content)
            flipped[offset] ^= 1 << bit
            file = MemoryFile(bytes(flipped))
            if offset < marks[-2]:
                with pytest.raises(VoteLogDamaged):
                    VoteLog.open(file, BINDING)
                assert file.read_all(1 << 20) == flipped, "damage is left as evidence"
            else:
                log, records = VoteLog.open(file, BINDING)
                assert records == RECORDS[:-1]
                assert log.torn_bytes == len(content) - marks[-2]


@settings(max_examples=200, deadline=None)
@given(
    kept=st.integers(1, len(RECORDS)),
    edits=st.lists(st.tuples(st.integers(0, 200), st.integers(1, 255)), max_size=4),
    tail=st.binary(max_size=60),
)
def test_no_record_is_found_that_was_not_appended(kept: int, edits: list, tail: bytes) -> None:
    content = bytearray(written(RECORDS[:kept]) + tail)
    for offset, mask in edits:
        content[offset % len(content)] ^= mask
    try:
        _, records = VoteLog.open(MemoryFile(bytes(content)), BINDING)
    except VoteLogDamaged:
        return
    assert records == RECORDS[: len(records)]


@pytest.mark.parametrize("survivors", range(0, 40, 7))
def test_zeros_where_data_had_not_arrived_are_a_torn_tail(survivors: int) -> None:
    file = MemoryFile(written())
    record = VoteRecord(kind=3, height=9, payload=b"\xff" * 40)
    length = len(written((*RECORDS, record))) - file.size_bytes
    file.append(written((*RECORDS, record))[-length:])
    log, records = VoteLog.open(file.crash(survivors=survivors, zeros=length - survivors), BINDING)
    assert records == RECORDS
    assert log.torn_bytes == length


def test_more_bad_bytes_than_one_append_can_have_are_damage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(vote_log, "MAX_APPEND_BYTES", 100)
    _, records = VoteLog.open(MemoryFile(written() + bytes(100)), BINDING)
    assert records == RECORDS
    with pytest.raises(VoteLogDamaged, match="101 bytes"):
        VoteLog.open(MemoryFile(written() + bytes(101)), BINDING)


def test_another_chains_log_is_refused() -> None:
    with pytest.raises(VoteLogDamaged, match="another chain") as caught:
        VoteLog.open(MemoryFile(written()), bytes(32))
    assert BINDING.hex() in str(caught.value)


def test_a_later_version_of_the_format_is_refused() -> None:
    header = b"cnvotes\x02" + BINDING
    with pytest.raises(VoteLogDamaged, match="version 2"):
        VoteLog.open(MemoryFile(header + zlib.crc32(header).to_bytes(4, "big")), BINDING)


def test_damage_says_where_and_what_to_do_in_one_line() -> None:
    content = bytearray(written())
    content[ends()[1] + 10] ^= 1
    with pytest.raises(VoteLogDamaged) as caught:
        VoteLog.open(MemoryFile(bytes(content)), BINDING)
    message = str(caught.value)
    assert f"offset {ends()[1]}" in message
    assert f"valid one behind it at offset {ends()[2]}" in message
    assert "do not vote" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "record",
    [
        VoteRecord(kind=256, height=1, payload=b""),
        VoteRecord(kind=-1, height=1, payload=b""),
        VoteRecord(kind=1, height=2**64, payload=b""),
        VoteRecord(kind=1, height=1, payload=bytes(vote_log.MAX_PAYLOAD_BYTES + 1)),
    ],
)
def test_a_record_out_of_bounds_is_never_written(record: VoteRecord) -> None:
    file = MemoryFile(written())
    log, _ = VoteLog.open(file, BINDING)
    with pytest.raises(InvariantViolation):
        log.append([RECORDS[0], record])
    assert file.read_all(1 << 20) == written()


def test_the_largest_record_and_append_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    file = MemoryFile()
    log, _ = VoteLog.open(file, BINDING)
    largest = VoteRecord(kind=1, height=1, payload=bytes(vote_log.MAX_PAYLOAD_BYTES))
    log.append([largest])
    assert VoteLog.open(file, BINDING)[1] == (largest,)
    with pytest.raises(InvariantViolation, match="an append"):
        log.append([largest, largest])
    monkeypatch.setattr(vote_log, "MAX_FILE_BYTES", file.size_bytes + 10)
    with pytest.raises(StorageFault, match="full"):
        log.append([RECORDS[0]])


def test_a_binding_is_a_hash() -> None:
    with pytest.raises(InvariantViolation):
        VoteLog.open(MemoryFile(), b"short")


def test_a_small_log_forgets_nothing() -> None:
    file = MemoryFile(written())
    log, _ = VoteLog.open(file, BINDING)
    log.forget_below(8)
    assert VoteLog.open(file, BINDING)[1] == RECORDS


def test_a_grown_log_keeps_the_heights_that_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vote_log, "REWRITE_BYTES", 100)
    file = MemoryFile(written())
    log, _ = VoteLog.open(file, BINDING)
    log.forget_below(8)
    assert VoteLog.open(file.crash(), BINDING)[1] == RECORDS[2:]


def test_a_log_that_stays_long_is_not_rewritten_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vote_log, "REWRITE_BYTES", 100)
    plan = FaultPlan()
    log, _ = VoteLog.open(FaultyFile(MemoryFile(written()), plan), BINDING)
    for _ in range(9):
        log.forget_below(0)
    assert plan.writes == 1


def test_forgetting_finds_rot_and_touches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vote_log, "REWRITE_BYTES", 100)
    file = MemoryFile(written())
    log, _ = VoteLog.open(file, BINDING)
    file._content[-1] ^= 1
    before = file.read_all(1 << 20)
    with pytest.raises(VoteLogDamaged):
        log.forget_below(8)
    assert file.read_all(1 << 20) == before


def test_a_closed_log_takes_nothing() -> None:
    log, _ = VoteLog.open(MemoryFile(), BINDING)
    log.close()
    with pytest.raises(StorageFault):
        log.append(RECORDS)


@pytest.mark.parametrize("fate", Fate)
@pytest.mark.parametrize("torn", [0.0, 0.3, 1.0])
def test_whatever_write_fails_what_was_acknowledged_is_found(
    fate: Fate, torn: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault-table row for each write of a log's life; the acknowledged records are always a prefix."""
    monkeypatch.setattr(vote_log, "REWRITE_BYTES", 100)
    at = 0
    while True:
        disk, plan = MemoryFile(), FaultPlan(at=at, fate=fate)
        acknowledged: list[VoteRecord] = []
        forgotten = False
        try:
            log, _ = VoteLog.open(FaultyFile(disk, plan), BINDING)
            for record in RECORDS:
                log.append([record])
                acknowledged.append(record)
            forgotten = True
            log.forget_below(8)
        except (StorageFault, SimulatedCrash):
            assert plan.has_struck
        found = disk.crash(survivors=int(disk.unsynced_bytes * torn))
        _, records = VoteLog.open(found, BINDING)
        if forgotten:
            assert records in (RECORDS, RECORDS[2:])
        else:
            assert records[: len(acknowledged)] == tuple(acknowledged)
            assert records == RECORDS[: len(records)]
        if not plan.has_struck:
            break
        at += 1
    # One for header and first record together, two for each of the others, one for the rewrite.
    assert at == 1 + 2 * (len(RECORDS) - 1) + 1
