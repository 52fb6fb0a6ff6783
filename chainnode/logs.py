"""Structured log lines: one event with fields per line, for people with grep and for machines.

    2026-11-22T16:00:00.123Z info block_committed height=812 txs=240 proposer=justice-1

Values are logfmt: bare where they can be, else quoted as JSON strings, so that no value can forge a line or a
field. Fields are integers, strings and booleans; bytes and objects are not taken, which keeps keys and
passphrases out by type. A line that cannot be written is counted and dropped: a full log disk is no reason for
a validator to stop.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from enum import IntEnum
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

Field: TypeAlias = int | str | bool | None
"""What a field may hold. None is written as `-`."""

MAX_VALUE_CHARACTERS: Final = 1_000
"""A longer string is cut: what peers send us ends up in log lines, and must not fill the disk."""

FORMATS: Final = ("logfmt", "json")

_BARE: Final = re.compile(r"[A-Za-z0-9._/:+@\[\],-]+")
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_RESERVED: Final = ("time", "level", "event")


class Level(IntEnum):
    """How much a line matters."""

    DEBUG = 10
    """For whoever is looking for a fault; off by default."""

    INFO = 20
    """Normal work: one line per block or request."""

    WARNING = 30
    """Somebody should look some day: a peer's fault, a view change, a slow disk."""

    ERROR = 40
    """Somebody should look now; mostly the last line before the node stops."""


def level_named(name: str) -> Level:
    """Return the level that a configuration names in lower case. Raises KeyError for any other name."""
    return Level[name.upper()]


class Log:
    """Writes events at or above a level. Owns no file: who made it closes what it writes to."""

    __slots__ = ("_format", "_level", "_now_ms", "_write", "lost")

    def __init__(
        self,
        write: Callable[[str], object],
        *,
        now_ms: Callable[[], int],
        level: Level = Level.INFO,
        format_: str = "logfmt",
    ) -> None:
        """Prepare to write.

        Args:
            write: Takes one line with its line end, for example `sys.stderr.write`; it should not buffer.
            now_ms: Wall clock, milliseconds UTC.
            level: Lines below it are dropped.
            format_: One of `FORMATS`.
        """
        self._write = write
        self._now_ms = now_ms
        self._level = level
        self._format = _as_json if format_ == "json" else _as_logfmt
        self.lost = 0
        """Lines that could not be written."""

    def debug(self, name: str, /, **fields: Field) -> None:
        """Say what only a search for a fault needs."""
        self._line(Level.DEBUG, name, fields)

    def event(self, name: str, /, **fields: Field) -> None:
        """Say that something happened."""
        self._line(Level.INFO, name, fields)

    def warning(self, name: str, /, **fields: Field) -> None:
        """Say that something should be looked at."""
        self._line(Level.WARNING, name, fields)

    def error(self, name: str, /, **fields: Field) -> None:
        """Say that something must be looked at."""
        self._line(Level.ERROR, name, fields)

    def _line(self, level: Level, name: str, fields: dict[str, Field]) -> None:
        if level < self._level:
            return
        line = self._format(utc(self._now_ms()), level.name.lower(), name, fields)
        try:
            self._write(line + "\n")
        except (OSError, ValueError):
            # ValueError: the stream was closed. Either way there is nobody left to tell.
            self.lost += 1


def utc(time_ms: int) -> str:
    """Return a time as people read it: `2026-11-22T16:00:00.123Z`."""
    return f"{_moment(time_ms // 1_000)}.{time_ms % 1_000:03d}Z"


def utc_second(time_s: int) -> str:
    """Return a time that is known to the second, as cosigners name it: `2026-11-22T16:00:00Z`."""
    return f"{_moment(time_s)}Z"


def _moment(time_s: int) -> str:
    return f"{_EPOCH + dt.timedelta(seconds=time_s):%Y-%m-%dT%H:%M:%S}"


def _as_logfmt(time: str, level: str, name: str, fields: dict[str, Field]) -> str:
    return " ".join(
        (time, level, name, *(f"{key}={_value(value)}" for key, value in fields.items()))
    )


def _as_json(time: str, level: str, name: str, fields: dict[str, Field]) -> str:
    # A field that bears a reserved name keeps its value under a longer one.
    renamed = {
        f"{key}_" if key in _RESERVED else key: _cut(value) if isinstance(value, str) else value
        for key, value in fields.items()
    }
    return json.dumps({"time": time, "level": level, "event": name, **renamed})


def _value(value: Field) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str():
            # "-" alone is how None is written, so the string is quoted.
            text = _cut(value)
            bare = _BARE.fullmatch(text) is not None and text != "-"
            return text if bare else json.dumps(text)


def _cut(value: str) -> str:
    return value if len(value) <= MAX_VALUE_CHARACTERS else value[:MAX_VALUE_CHARACTERS] + "..."
