"""A worker process: `python -m chainnode.verification.worker SUITE`. It ends when its standard input does.

So it never outlives its node, however that ends. It ignores the signals that a terminal or a service manager
sends to every process of a group: it is the node that decides when its workers are no longer needed.
"""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

from chainnode.model.suites import HASH_BYTES, suite_named
from chainnode.verification.wire import COUNT, item_bytes

if TYPE_CHECKING:
    from typing import BinaryIO

    from chainnode.model.suites import Suite


def serve(suite: Suite, chunks: BinaryIO, answers: BinaryIO) -> None:
    """Answer chunks until they end; one that is cut short is the end too."""
    context = _read_counted(chunks, 1)
    if context is None:
        return
    size = item_bytes(suite)
    while (chunk := _read_counted(chunks, size)) is not None:
        answers.write(verdicts(suite, context, chunk))
        answers.flush()


def verdicts(suite: Suite, context: bytes, chunk: bytes) -> bytes:
    """Return the answer to the items of a chunk."""
    id_at = suite.public_key_bytes
    signature_at = id_at + HASH_BYTES
    size = item_bytes(suite)
    return bytes(
        suite.is_signature(
            chunk[start : start + id_at],
            context + chunk[start + id_at : start + signature_at],
            chunk[start + signature_at : start + size],
        )
        for start in range(0, len(chunk), size)
    )


def _read_counted(source: BinaryIO, unit_bytes: int) -> bytes | None:
    prefix = source.read(COUNT.size)
    if len(prefix) < COUNT.size:
        return None
    size = COUNT.unpack(prefix)[0] * unit_bytes
    data = source.read(size)
    return data if len(data) == size else None


def main() -> None:
    """Serve standard input and output for the suite that the command line names."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    try:
        serve(suite_named(sys.argv[1]), sys.stdin.buffer, sys.stdout.buffer)
    except BrokenPipeError:
        # The node went away between a chunk and its answer. The interpreter would flush once more at exit.
        sys.stdout = None


if __name__ == "__main__":
    main()
