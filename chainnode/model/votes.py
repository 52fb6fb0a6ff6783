"""What validators sign in consensus: fixed bytes, one form per kind of statement.

    context("vote") || kind u8 || height u64 || view u32 || digest 32                      PROPOSE, PREPARE, COMMIT
    context("vote") || 4 u8 || height u64 || view u32 || prepared_view i32 || digest 32    VIEW-CHANGE

All integers are big-endian. The kinds differ in the first byte after the context, and there are no optional
fields: a VIEW-CHANGE without a prepared block has prepared_view -1 and 32 zero bytes.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from chainnode.model.suites import HASH_BYTES

if TYPE_CHECKING:
    from chainnode.model.domain import Domain

PROPOSE: Final = 1
PREPARE: Final = 2
COMMIT: Final = 3
VIEW_CHANGE: Final = 4

MAX_VIEW: Final = 2**31 - 1
"""Views fit a signed 32-bit integer; at one view a second that is 68 years within one height."""

_VOTE: Final = struct.Struct(">BQI")
_CHANGE: Final = struct.Struct(">BQIi")
_NOTHING: Final = bytes(HASH_BYTES)


def vote_message(domain: Domain, kind: int, height: int, view: int, digest: bytes) -> bytes:
    """Return the bytes signed by a PROPOSE, PREPARE or COMMIT for `digest` in (`height`, `view`)."""
    return domain.context("vote") + _VOTE.pack(kind, height, view) + digest


def view_change_message(
    domain: Domain, height: int, view: int, prepared: tuple[int, bytes] | None
) -> bytes:
    """Return the bytes signed by a VIEW-CHANGE to `view`; `prepared` is (view, digest) or None."""
    prepared_view, digest = prepared if prepared is not None else (-1, _NOTHING)
    change = _CHANGE.pack(VIEW_CHANGE, height, view, prepared_view)
    return domain.context("vote") + change + digest
