"""Small manifests and journals of folders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainnode.model.commitment import Digest
from cli.folder.journal import Begun, Dropped, Finished, Head, Place
from cli.folder.manifest import Entry, Manifest, make_manifest
from cli.folder.walk import FoundFile

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cli.folder.journal import Line

PATHS = ("a.txt", "b/通知.pdf", "b/line\nbreak\\", "gb-\udcb9\udcab.doc")
"""As people have them; the last one is no UTF-8."""


def entries() -> tuple[Entry, ...]:
    return tuple(
        Entry(
            path=path,
            size=10 * number,
            mtime_ns=1_760_000_000_000_000_000 + number,
            digests=(
                Digest(algorithm="sha256", value=bytes([number]) * 32),
                Digest(algorithm="sm3", value=bytes([16 + number]) * 32),
            ),
            account="justice/clerk",
            tx_id=bytes([9]) * 32,
            item=number,
            index=100 + number,
            height=7,
            time_ms=1_760_000_000_000,
            not_before_ms=1_759_999_999_000,
            not_after_ms=1_760_000_001_000,
        )
        for number, path in enumerate(PATHS)
    )


def manifest(of: Iterable[Entry]) -> Manifest:
    return make_manifest("sz.example/alliance", bytes([5]) * 32, of)


def lines(envelope: bytes) -> tuple[Line, ...]:
    """A record of every kind, and the one of a list that began."""
    files = tuple(FoundFile(path=e.path, size=e.size, mtime_ns=e.mtime_ns) for e in entries())
    place = Place(height=7, time_ms=3, not_before_ms=2, not_after_ms=4, first_record=100)
    return (
        Head(chain_id="sz.example/alliance", genesis_hash=bytes([5]) * 32),
        Begun(number=0, envelope=envelope, files=files),
        Finished(number=0, place=place, without_proof=(1, 3)),
        Dropped(number=1),
    )
