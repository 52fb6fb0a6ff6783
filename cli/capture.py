"""What this machine can honestly say of the circumstances in which a document was taken.

Only what the system itself tells is gathered. What it cannot know (who sits in front of it, whether it is clean) is left
out or said to be not done; whoever has more to say writes a capture record of his own (docs/formats/capture.md).
"""

from __future__ import annotations

import getpass
import importlib.metadata
import platform
from typing import TYPE_CHECKING, Final

from chainnode.clock import SystemClock, clock_discipline
from chainnode.keystore.randomness import fresh_seed
from chainnode.model.capture import (
    FORMAT,
    MAX_CAPTURE_BYTES,
    MAX_LONG_BYTES,
    MAX_SHORT_BYTES,
    Capture,
    capture_of,
    parse_capture,
)
from chainnode.model.errors import DecodeError
from cli.session import read_input

if TYPE_CHECKING:
    from pathlib import Path

    from chainnode.model.canonical_json import Param

CAPTURE_SUFFIX: Final = ".capture.json"


def read_capture(path: Path) -> Capture:
    """Return the capture record in a file. Raises DecodeError."""
    return parse_capture(read_input(path, max_bytes=MAX_CAPTURE_BYTES))


def gather(path: Path, account: str | None) -> Capture:
    """Return a capture record of a file on this machine, now.

    Args:
        path: The file.
        account: Who is going to notarize it, if that is known already.

    Raises:
        DecodeError: the file cannot be looked at.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise DecodeError(f"cannot read {path}: {error.strerror}", code="unreadable") from error
    operator: dict[str, Param] = {} if account is None else {"account": account}
    return capture_of(
        {
            "format": FORMAT,
            "nonce": fresh_seed().hex(),
            "captured_ms": SystemClock().now_ms(),
            "operator": operator | _user(),
            "device": {
                "name": _short(platform.node()),
                "system": _short(platform.platform()),
                "machine": _short(platform.machine()),
            },
            "software": {
                "name": "chainnode",
                "version": _short(importlib.metadata.version("chainnode")),
            },
            "source": {
                "path": _cut(str(path.absolute()), MAX_LONG_BYTES),
                "size_bytes": status.st_size,
                "modified_ms": max(status.st_mtime_ns // 1_000_000, 0),
            },
            "time": _time(),
            "cleanliness": {"result": "not-done"},
        }
    )


def _user() -> dict[str, Param]:
    try:
        return {"user": _short(getpass.getuser())}
    except (KeyError, OSError):
        # Of a process whose user has no name.
        return {}


def _time() -> dict[str, Param]:
    discipline = clock_discipline()
    if discipline is None:
        return {"source": "unknown"}
    # The kernel knows that something keeps its clock, not what.
    found: dict[str, Param] = {
        "source": "unknown",
        "is_synchronised": discipline.is_synchronised,
    }
    if discipline.is_synchronised:
        found["max_error_ms"] = discipline.max_error_ms
    return found


def _short(text: str) -> str:
    return _cut(text, MAX_SHORT_BYTES)


def _cut(text: str, most_bytes: int) -> str:
    """Return the text, bytes that are no text replaced, and cut where it is longer than a capture record holds."""
    return text.encode("utf-8", "replace")[:most_bytes].decode("utf-8", "ignore")
