"""Times of X.509: whole seconds, written as RFC 5280 section 4.1.2.5 says: UTCTime through 2049, then GeneralizedTime."""

from __future__ import annotations

import datetime as dt
from typing import Final

from asn1crypto import x509

from chainnode.model.errors import DecodeError, Refused
from chainnode.pki.der import GENERALIZED_TIME, UTC_TIME

MAX_TIME_MS: Final = 253_402_300_799_000
"""9999-12-31T23:59:59Z: no well-defined end (RFC 5280 section 4.1.2.5)."""

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_FIRST_GENERALIZED_MS = 2_524_608_000_000
"""2050-01-01T00:00:00Z."""

_FIRST_UTC_MS = -631_152_000_000
"""1950-01-01T00:00:00Z."""

_UTC_TIME_BYTES = 13
_GENERALIZED_TIME_BYTES = 15


def check_time(time_ms: int, what: str) -> None:
    """Check that a certificate can say this time: a whole second from 1970 through 9999.

    Raises:
        Refused: with code `bad_time`.
    """
    if time_ms % 1000 or not 0 <= time_ms <= MAX_TIME_MS:
        raise Refused(
            f"{what}: found {time_ms} ms; expected a whole second from 1970 through 9999",
            code="bad_time",
            field=what,
        )


def time_text(time_ms: int) -> str:
    """Return a time as `2026-11-27T11:27:09Z`, for people."""
    return f"{moment(time_ms):%Y-%m-%dT%H:%M:%SZ}"


def years_later(time_ms: int, years: int) -> int:
    """Return the same day and time so many calendar years later; 29 February becomes the 28th where there is none."""
    begun = moment(time_ms)
    try:
        ended = begun.replace(year=begun.year + years)
    except ValueError:
        ended = begun.replace(year=begun.year + years, day=28)
    return (ended - _EPOCH) // dt.timedelta(milliseconds=1)


def as_time(time_ms: int) -> x509.Time:
    """Return the ASN.1 value of a time that `check_time` accepts."""
    name = "utc_time" if time_ms < _FIRST_GENERALIZED_MS else "general_time"
    return x509.Time(name=name, value=moment(time_ms))


def time_of(tag: int, content: bytes) -> int:
    """Return the time, in milliseconds UTC, in the content of a UTCTime or GeneralizedTime.

    Raises:
        DecodeError: it is none, has fractions or another zone, or is of the wrong kind for its year.
    """
    if tag == GENERALIZED_TIME:
        time_ms = generalized_time_of(content)
        if _FIRST_UTC_MS <= time_ms < _FIRST_GENERALIZED_MS:
            raise DecodeError(
                f"time: found {time_text(time_ms)} as GeneralizedTime; expected UTCTime through 2049"
            )
        return time_ms
    if tag != UTC_TIME or len(content) != _UTC_TIME_BYTES:
        raise _not_a_time(content)
    return generalized_time_of((b"19" if content >= b"50" else b"20") + content)


def generalized_time_of(content: bytes) -> int:
    """Return the time, in milliseconds UTC, in the content of a GeneralizedTime.

    Raises:
        DecodeError: it is none, or has fractions or another zone.
    """
    digits, zone = content[:-1], content[-1:]
    if len(content) != _GENERALIZED_TIME_BYTES or zone != b"Z" or not digits.isdigit():
        raise _not_a_time(content)
    year, (month, day, hour, minute, second) = (
        int(digits[:4]),
        (int(digits[at : at + 2]) for at in range(4, 14, 2)),
    )
    try:
        found = dt.datetime(year, month, day, hour, minute, second, tzinfo=dt.UTC)
    except ValueError as error:
        raise _not_a_time(content) from error
    return (found - _EPOCH) // dt.timedelta(milliseconds=1)


def moment(time_ms: int) -> dt.datetime:
    """Return a time as asn1crypto takes it."""
    return _EPOCH + dt.timedelta(milliseconds=time_ms)


def _not_a_time(content: bytes) -> DecodeError:
    return DecodeError(f"time: found {content!r}; expected UTC with seconds, as 261127112709Z")
