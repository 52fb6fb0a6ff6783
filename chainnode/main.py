"""What `chainnode start` and `chainnode rebuild` run: a home becomes a process, a fault becomes one line."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import signal
import sys
import traceback
from typing import TYPE_CHECKING, Final, TextIO

from chainnode.clock import SystemClock
from chainnode.config import load_config
from chainnode.cpu_profile import CpuProfile
from chainnode.logs import Log, level_named
from chainnode.model.errors import ChainError, NodeFault, Refused
from chainnode.node.offline import rebuild_home, reinstate_home
from chainnode.node.run import run_node

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from chainnode.config import NodeConfig

FAULT_STATUS: Final = 70
"""Exit status of a node that stopped by a fault of its own (sysexits.h EX_SOFTWARE)."""


MAX_DESCRIPTORS: Final = 65_536
"""Files and connections that a node asks the system for; its doors bound what they let in by what it gets."""


def run(home: Path, passphrase: bytes, profile: Path | None = None) -> int:
    """Run the validator of a home until SIGTERM or SIGINT; return the exit status.

    Args:
        home: of the validator.
        passphrase: of its keys.
        profile: where to write, at the end, what its processor time went into (`chainnode.cpu_profile`).

    Raises:
        ChainError: the home does not allow a start; nothing was started.
    """
    config = load_config(home)
    _raise_descriptor_limit()
    with _opened(config) as stream:

        def write(line: str) -> None:
            stream.write(line)
            stream.flush()

        log = Log(
            write,
            now_ms=SystemClock().now_ms,
            level=level_named(config.log_level),
            format_=config.log_format,
        )
        with _profiled(profile, log):
            return _run(config, passphrase, log)


@contextlib.contextmanager
def _profiled(file: Path | None, log: Log) -> Iterator[None]:
    """Sample what this process does, and write that to a file in the end; what is not written is told, no more."""
    if file is None:
        yield
        return
    profile = CpuProfile()
    # Before the work, so that it is not in vain.
    _check_writable(file)
    profile.start()
    try:
        yield
    finally:
        profile.stop()
        try:
            file.write_text(profile.encode(), encoding="utf-8")
        except OSError as error:
            with contextlib.suppress(OSError):
                file.unlink()
            log.warning("profile_not_written", file=str(file), reason=error.strerror or str(error))


def _check_writable(file: Path) -> None:
    try:
        file.touch()
    except OSError as error:
        raise Refused(
            f"--profile: {file} cannot be written ({error.strerror}); "
            "name a file in a directory that exists and may be written to",
            field="profile",
        ) from error


def _run(config: NodeConfig, passphrase: bytes, log: Log) -> int:
    try:
        asyncio.run(_until_signal(config, passphrase, log))
    except Exception as error:  # noqa: BLE001  # whatever it is, the operator gets one line
        first = _first(error)
        if isinstance(first, ChainError):
            raise first from None
        # One line for the operator. A fault that is not a NodeFault is a bug, so its place is told too.
        log.error(  # noqa: TRY400  # our Log, not logging
            "node_stopped",
            kind=type(first).__name__,
            reason=str(first),
            where="-" if isinstance(first, NodeFault) else _place(first),
        )
        return FAULT_STATUS
    log.event("node_stopped", reason="asked to stop")
    return 0


def rebuild(home: Path, progress: Callable[[int, int], None]) -> int:
    """Execute the chain of a stopped home again from its blocks, checking everything; return its height.

    `progress` hears (height done, height of the tip). The new store replaces the old one only when every root of
    every block came out equal.

    Raises:
        ChainError, NodeFault: it did not; the home is as it was.
    """
    return rebuild_home(home, progress)


def reinstate(home: Path, height: int) -> None:
    """Let the validator of a stopped home vote again from `height` on, by word of the alliance.

    Raises:
        ChainError, NodeFault: as `reinstate_home`; the home is as it was.
    """
    reinstate_home(home, height)


async def _until_signal(config: NodeConfig, passphrase: bytes, log: Log) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await run_node(config, passphrase, log, stop)


def _raise_descriptor_limit() -> None:
    """Let this process open as many files as its hard limit allows: LevelDB and clients share them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MAX_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _opened(config: NodeConfig) -> contextlib.AbstractContextManager[TextIO]:
    if config.log_file is None:
        return contextlib.nullcontext(sys.stderr)
    try:
        return config.log_file.open("a", encoding="utf-8")
    except OSError as error:
        raise Refused(
            f"log.file: {config.log_file} cannot be opened ({error.strerror}); "
            "name a file in a directory that exists and may be written to",
            field="log.file",
        ) from error


def _first(error: BaseException) -> BaseException:
    """Return the first single error of a group: what went wrong first, not what followed."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "-"
