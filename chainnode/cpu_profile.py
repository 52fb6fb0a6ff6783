"""Where the processor time of a node goes: a sample of what its main thread runs, every few milliseconds of it.

    profile = [interval_ms, parts, functions, samples]       as JSON
    sample  = [monotonic_ms, part, function]                 indices into the two lists of names

A timer of the kernel counts the processor time of the whole process and interrupts the main thread, wherever it is. So
the samples show shares, not durations, and cost well below a percent. The innermost frame of our own code says which
part of the node it is; the innermost frame at all, which function. What threads below Python do, LevelDB's compaction
above all, strikes while the main thread waits: those samples are of the part `waiting`.
"""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import FrameType

INTERVAL_MS: Final = 5
"""Of processor time between two samples."""

MAX_SAMPLES: Final = 1_000_000
"""An hour and a half of a busy processor, 100 MB; later ones are not kept."""

PARTS: Final = (
    ("chainnode/verification/", "verify"),
    ("chainnode/rpc/", "rpc"),
    ("chainnode/services/", "rpc"),
    ("chainnode/p2p/", "network"),
    ("chainnode/node/network.py", "network"),
    ("chainnode/storage/", "storage"),
    ("chainnode/ledger/block_store.py", "storage"),
    ("chainnode/ledger/guarded_store.py", "storage"),
    ("chainnode/ledger/execution.py", "execute"),
    ("chainnode/ledger/checks.py", "execute"),
    ("contracts/", "execute"),
    ("chainnode/ledger/", "tree"),
    ("chainnode/model/merkle.py", "tree"),
    ("chainnode/model/tlog_tiles.py", "tree"),
    ("chainnode/model/state_tree.py", "tree"),
    ("chainnode/mempool/", "pool"),
    ("chainnode/engine/relay.py", "pool"),
    ("chainnode/engine/message_codec.py", "decode"),
    ("chainnode/engine/message_fields.py", "decode"),
    ("chainnode/engine/", "consensus"),
    ("consensus/", "consensus"),
    ("chainnode/model/suites/", ""),
    ("chainnode/model/", "decode"),
    ("chainnode/node/", "loop"),
)
"""Which part of a node a file is; the first that fits. What is nobody's own belongs to whoever called it."""

_LIBRARIES: Final = (
    ("/aiohttp/web", "rpc"),
    ("/aiohttp/http", "rpc"),
    ("/aiohttp/streams.py", "rpc"),
    ("/aiohttp/", "network"),
    ("/asyncio/sslproto.py", "network"),
    ("/ssl.py", "network"),
    ("/selectors.py", "waiting"),
)
"""The same for what runs outside our code, under the event loop alone."""

_HERE: Final = str(Path(__file__).parents[1]) + "/"


def part_of(frame: FrameType | None) -> str:
    """Return the part of the node that a stack of frames, given by its innermost one, is at work for."""
    outside = ""
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(_HERE):
            short = name[len(_HERE) :]
            found = next((part for prefix, part in PARTS if short.startswith(prefix)), "")
            if found and (found != "loop" or not outside):
                return found
        if not outside:
            outside = next((part for piece, part in _LIBRARIES if piece in name), "")
        frame = frame.f_back
    return outside or "loop"


class CpuProfile:
    """Samples one process; for its main thread."""

    def __init__(self) -> None:
        self._parts: dict[str, int] = {}
        self._functions: dict[str, int] = {}
        self._samples: list[tuple[int, int, int]] = []

    def start(self) -> None:
        """Begin to sample; takes the signal SIGPROF and its timer."""
        signal.signal(signal.SIGPROF, self._sample)
        # Calls of the system that it interrupts go on by themselves.
        signal.siginterrupt(signal.SIGPROF, False)  # noqa: FBT003
        signal.setitimer(signal.ITIMER_PROF, INTERVAL_MS / 1000, INTERVAL_MS / 1000)

    def stop(self) -> None:
        """Sample no more."""
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, signal.SIG_IGN)

    def _sample(self, _number: int, frame: FrameType | None) -> None:
        if frame is None or len(self._samples) >= MAX_SAMPLES:
            return
        code = frame.f_code
        function = f"{code.co_filename.removeprefix(_HERE)}:{code.co_qualname}"
        part = self._parts.setdefault(part_of(frame), len(self._parts))
        number = self._functions.setdefault(function, len(self._functions))
        self._samples.append((time.monotonic_ns() // 1_000_000, part, number))

    def encode(self) -> str:
        """Return what was sampled so far."""
        return json.dumps([INTERVAL_MS, list(self._parts), list(self._functions), self._samples])
