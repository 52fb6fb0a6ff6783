"""What validators take of the machine: memory and disk."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Final

from devnet import processes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from devnet.network import Devnet

_STILL_S: Final = 3
"""A store that has not changed for so long has compacted what it was given."""

_STILL_TIMEOUT_S: Final = 120


def memory_bytes(network: Devnet) -> int:
    """Return the memory of the largest validator process now, without its workers.

    Resident memory of its own: not the store's files that it has mapped, which the kernel takes back when it needs to.
    """
    running = [node.process for node in network.nodes if node.process is not None]
    return max((processes.memory_bytes(process) for process in running), default=0)


def disk_bytes(network: Devnet) -> int:
    """Return the size of all files in all validators' homes."""
    return sum(home_bytes(node.home) for node in network.nodes)


def home_bytes(home: Path) -> int:
    """Return the size of all files in a home."""
    total = 0
    for path in home.rglob("*"):
        # The store removes files as it goes.
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def wait_until_still(network: Devnet, say: Callable[[str], None]) -> None:
    """Wait until the homes have not changed in size for 3 s, so that they grow by the load only; after 2 minutes say so and go on."""
    say("waiting until the stores have compacted what is on the chain")
    deadline = time.monotonic() + _STILL_TIMEOUT_S
    size, since = disk_bytes(network), time.monotonic()
    while (now := time.monotonic()) < since + _STILL_S:
        if now >= deadline:
            say(
                f"the stores still change after {_STILL_TIMEOUT_S} s; the load comes on top of that"
            )
            return
        time.sleep(_STILL_S / 10)
        if (found := disk_bytes(network)) != size:
            size, since = found, now
