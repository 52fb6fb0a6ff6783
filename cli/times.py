"""Times on the command line: ISO 8601, or milliseconds UTC as results have them."""

from __future__ import annotations

import datetime as dt
from typing import Final

import click

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MAX_MS: Final = 253_402_300_799_999
"""The end of the year 9999, where calendars end."""


_MS_DIGITS: Final = range(12, len(str(_MAX_MS)) + 1)
"""Fewer digits are a date, as in 20261122, or a mistake."""


def parse_time(text: str) -> int:
    """Return a time from the command line as milliseconds UTC: `2026-11-22`, `2026-11-22T16:00:00Z`, or the number itself.

    What comes without a zone is UTC.

    Raises:
        click.BadParameter: it is no time from 1970 to 9999.
    """
    if text.isascii() and text.isdigit() and len(text) in _MS_DIGITS:
        time_ms = int(text)
    else:
        try:
            moment = dt.datetime.fromisoformat(text)
            moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=dt.UTC)
            time_ms = (moment - _EPOCH) // dt.timedelta(milliseconds=1)
        except (ValueError, OverflowError) as error:
            raise _no_time(text) from error
    if not 0 <= time_ms <= _MAX_MS:
        raise _no_time(text)
    return time_ms


def _no_time(text: str) -> click.BadParameter:
    return click.BadParameter(
        f"found {text[:80]!r}; expected a time such as 2026-11-22, 2026-11-22T16:00:00Z or 1795363200000"
    )
