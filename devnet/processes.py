"""Processes that outlive the command that started them: told apart for certain, signalled, waited for, measured.

A process is named by its pid and by when it started, since a pid alone may be somebody else's by tomorrow.
Nothing here signals a process unless both still fit. Linux: all of it is read from /proc.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from chainnode.clock import SystemClock
from chainnode.model.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PROC: Final = Path("/proc")
_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
_POLL_MS: Final = 20
"""How often to look whether a process is gone."""

# Positions in /proc/PID/stat without its second field, the command; proc(5) counts from 1.
_PID: Final = 0
_STATE: Final = 1
_PARENT: Final = 2
_CPU_TICKS: Final = slice(12, 16)
"""User and system time, then those of children that were waited for."""
_OWN_TICKS: Final = slice(12, 14)
"""User and system time alone."""
_START_TICKS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process, for ever."""

    pid: int
    started: str
    """Boot of the machine and clock ticks since then; equal for no two processes of one pid."""


@dataclass(frozen=True, slots=True)
class CpuSplit:
    """CPU time in milliseconds, by who has used it."""

    main_thread: int
    other_threads: int
    """Those that libraries start: LevelDB's compaction, the resolver of names."""

    descendants: int
    """Processes that it has started, and theirs."""

    def __add__(self, other: CpuSplit) -> CpuSplit:
        return CpuSplit(
            self.main_thread + other.main_thread,
            self.other_threads + other.other_threads,
            self.descendants + other.descendants,
        )

    def __sub__(self, other: CpuSplit) -> CpuSplit:
        return CpuSplit(
            self.main_thread - other.main_thread,
            self.other_threads - other.other_threads,
            self.descendants - other.descendants,
        )

    @property
    def total(self) -> int:
        """All of it."""
        return self.main_thread + self.other_threads + self.descendants


def spawn(argv: Sequence[str], *, log: Path, environment: Mapping[str, str]) -> Process:
    """Start a program in a session of its own, so that it survives us and our terminal.

    Args:
        argv: the program's path and arguments.
        log: file that its standard output and error are appended to.
        environment: its whole environment.
    """
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        pid = os.posix_spawn(
            argv[0],
            list(argv),
            environment,
            file_actions=(
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, output, 1),
                (os.POSIX_SPAWN_DUP2, output, 2),
            ),
            setsid=True,
        )
    finally:
        os.close(output)
    process = find(pid)
    if process is None:
        raise Unavailable(f"{argv[0]} ended at once; see {log}", code="process_ended")
    return process


def find(pid: int) -> Process | None:
    """Return the process that has `pid` now, or None."""
    fields = _stat(pid)
    if fields is None:
        return None
    boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return Process(pid=pid, started=f"{boot}/{fields[_START_TICKS]}")


def is_running(process: Process) -> bool:
    """Whether the process still runs; one that has ended but was not waited for does not."""
    fields = _stat(process.pid)
    return fields is not None and fields[_STATE] not in {"Z", "X"} and find(process.pid) == process


def is_stopped(process: Process) -> bool:
    """Whether the process was stopped by SIGSTOP and not continued."""
    fields = _stat(process.pid)
    return fields is not None and fields[_STATE] == "T" and find(process.pid) == process


def send(process: Process, number: signal.Signals) -> bool:
    """Signal the process; return False if it is gone."""
    if not is_running(process):
        return False
    with suppress(ProcessLookupError):
        os.kill(process.pid, number)
        return True
    return False


def wait_until_gone(process: Process, timeout_ms: int) -> bool:
    """Wait for the end of a process; return whether it came in time."""
    clock = SystemClock()
    deadline_ms = clock.monotonic_ms() + timeout_ms
    while is_running(process):
        if clock.monotonic_ms() > deadline_ms:
            return False
        time.sleep(_POLL_MS / 1000)
    # If it was our child, this is what makes its pid free again.
    with suppress(ChildProcessError):
        os.waitpid(process.pid, os.WNOHANG)
    return True


def stop(process: Process, timeout_ms: int) -> None:
    """End a process: ask, wait, and kill if it does not listen."""
    send(process, signal.SIGTERM)
    # One that was stopped hears nothing before it is continued.
    send(process, signal.SIGCONT)
    if not wait_until_gone(process, timeout_ms):
        send(process, signal.SIGKILL)
        wait_until_gone(process, timeout_ms)


def cpu_ms(process: Process) -> int:
    """Return the CPU time of a process and its descendants so far, in milliseconds."""
    return _ms(sum(_ticks(fields, _CPU_TICKS) for fields in _family(process.pid)))


def cpu_split_ms(process: Process) -> CpuSplit:
    """Return the CPU time of a process so far, by who has used it; nothing if it is gone."""
    family = _family(process.pid)
    main = _stat(process.pid, f"task/{process.pid}/stat")
    if not family or main is None:
        return CpuSplit(0, 0, 0)
    whole = _ticks(family[0], _OWN_TICKS)
    total = sum(_ticks(fields, _CPU_TICKS) for fields in family)
    main_thread = _ticks(main, _OWN_TICKS)
    return CpuSplit(_ms(main_thread), _ms(whole - main_thread), _ms(total - whole))


def memory_bytes(process: Process) -> int:
    """Return the resident memory of a process that is its own, without files that it has mapped; 0 if it is gone."""
    try:
        text = (_PROC / str(process.pid) / "status").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name == "RssAnon":
            return int(value.split()[0]) * 1024
    return 0


def descendants(process: Process) -> tuple[Process, ...]:
    """Return the processes that a process has started, and those that they have."""
    found = (find(int(fields[_PID])) for fields in _family(process.pid)[1:])
    return tuple(child for child in found if child is not None)


def _family(pid: int) -> list[list[str]]:
    """Return the fields of a process and its descendants, its own first; nothing if it is gone."""
    stats = {
        int(path.name): fields
        for path in _PROC.iterdir()
        if path.name.isdigit() and (fields := _stat(int(path.name))) is not None
    }
    if pid not in stats:
        return []
    family, seen = [pid], 0
    while seen < len(family):
        family += [child for child, fields in stats.items() if int(fields[_PARENT]) == family[seen]]
        seen += 1
    return [stats[member] for member in family]


def _ticks(fields: list[str], which: slice) -> int:
    return sum(map(int, fields[which]))


def _ms(ticks: int) -> int:
    return ticks * 1000 // _TICKS_PER_SECOND


def _stat(pid: int, name: str = "stat") -> list[str] | None:
    try:
        text = (_PROC / str(pid) / name).read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command stands in parentheses and may hold anything, parentheses and spaces too.
    return [str(pid), *text.rpartition(")")[2].split()]
