"""Bouncy Castle on evidence records: a batch of a thousand, and records renewed in every way; and each altered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chainnode.model.suites import P256_SHA256, SM2_SM3
from tests.support.certificates import DAY_MS, NOW_MS
from tests.support.evidence_records import documents, hashed_again, sealed, stamped_again
from tests.support.outside import java_evidence_records

if TYPE_CHECKING:
    from pathlib import Path

AT_S = (NOW_MS + 30 * DAY_MS) // 1000


def put(folder: Path, name: str, record: bytes, document: bytes) -> None:
    (folder / f"{name}.er").write_bytes(record)
    (folder / name).write_bytes(document)


def test_every_document_of_a_batch_of_a_thousand_holds_and_a_changed_one_does_not(
    tmp_path: Path,
) -> None:
    texts, expected = documents(1_000), {}
    for place, (text, record) in enumerate(zip(texts, sealed(texts), strict=True)):
        put(tmp_path, f"{place}", record.encode(), text)
        expected[f"{place}"] = 0
        if place % 100 == 0:
            put(tmp_path, f"{place}-changed", record.encode(), text + b"x")
            put(tmp_path, f"{place}-next", record.encode(), texts[place + 1])
            forged = record.encode()
            put(tmp_path, f"{place}-forged", forged[:-1] + bytes([forged[-1] ^ 1]), text)
            expected |= {f"{place}-{how}": 1 for how in ("changed", "next", "forged")}
    assert java_evidence_records().batch(tmp_path, AT_S) == expected


@pytest.mark.parametrize("suite", [P256_SHA256, SM2_SM3])
def test_records_renewed_in_every_way_hold(tmp_path: Path, suite: str) -> None:
    texts, expected = documents(5), {}
    at = [NOW_MS + day * DAY_MS for day in range(4)]
    first = sealed(texts, suite=suite)
    stamped = stamped_again(first, at_ms=at[1], suite=suite)
    hashed = hashed_again(first, texts, at_ms=at[1], suite=suite)
    cases = {
        "first": first,
        "stamped": stamped,
        "stamped-twice": stamped_again(stamped, at_ms=at[2], suite=suite),
        "stamped-thrice": stamped_again(
            stamped_again(stamped, at_ms=at[2], suite=suite), at_ms=at[3], suite=suite
        ),
        "hashed": hashed,
        "hashed-stamped": stamped_again(hashed, at_ms=at[2], suite=suite),
        "stamped-hashed": hashed_again(stamped, texts, at_ms=at[2], suite=suite),
        "sm3": hashed_again(first, texts, algorithm="sm3", at_ms=at[1], suite=suite),
    }
    for name, records in cases.items():
        for place in (0, 4):
            encoded = records[place].encode()
            put(tmp_path, f"{name}{place}", encoded, texts[place])
            put(tmp_path, f"{name}{place}-changed", encoded, texts[place] + b"x")
            expected |= {f"{name}{place}": 0, f"{name}{place}-changed": 1}
    assert java_evidence_records().batch(tmp_path, AT_S) == expected
