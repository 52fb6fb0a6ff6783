"""What people and programs see: aligned text, or one JSON document; errors in one line.

Everything printed may hold what a node or a file said, so control characters are shown, never sent to the terminal.
"""

from __future__ import annotations

import json
import sys
import unicodedata
from typing import TYPE_CHECKING, Final, TypeAlias, Union

import click

from chainnode.logs import utc, utc_second
from chainnode.model.errors import ChainError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Json: TypeAlias = Union[bool, int, float, str, "Sequence[Json]", "Mapping[str, Json]", None]
"""What a command answers with `--json`."""

_LAST_SECOND: Final = 253_402_300_799


def print_json(document: Json) -> None:
    """Print the one JSON document of a command to stdout."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


def print_fields(rows: Sequence[tuple[str, object]]) -> None:
    """Print one `name  value` per line, the values aligned; a value of several lines is indented."""
    width = max((len(name) for name, _ in rows), default=0)
    for name, value in rows:
        first, *others = visible(str(value)).split("\n")
        click.echo(f"{name:<{width}}  {first}".rstrip())
        for line in others:
            click.echo(" " * (width + 2) + line)


def print_table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table with columns as wide as their widest cell; the last one is not padded."""
    cells = [tuple(heads), *(tuple(visible(str(cell)) for cell in row) for row in rows)]
    widths = [max(_width(row[i]) for row in cells) for i in range(len(heads))]
    for row in cells:
        padded = [cell + " " * (widths[i] - _width(cell)) for i, cell in enumerate(row)]
        click.echo("  ".join(padded).rstrip())


def print_error(error: BaseException, *, as_json: bool) -> None:
    """Print `error: found; expected; do` to stderr, or the JSON document of an error to stdout."""
    message = message_of(error)
    if as_json:
        code = error.error_code if isinstance(error, ChainError) else _code_of(error)
        field = error.field if isinstance(error, ChainError) else None
        print_json({"error": {"code": code, "message": message, "field": field}})
    else:
        click.echo(f"error: {' '.join(visible(message).split())}", err=True)


def message_of(error: BaseException) -> str:
    """Return what a person is told about an error; a mistake of ours says so and where."""
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, ChainError):
        return error.message
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return f"{type(error).__name__}: {error}"


def note(message: str) -> None:
    """Tell a person something beside the result, on stderr."""
    click.echo(visible(message), err=True)


def stderr_is_terminal() -> bool:
    """Whether progress may be drawn."""
    return sys.stderr.isatty()


def visible(text: str) -> str:
    """Return `text` with everything that could steer a terminal shown as an escape; line ends stay."""
    return "".join(
        c
        if c == "\n" or unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}
        else _escaped(c)
        for c in text
    )


def time_text(time_ms: int | None) -> str:
    """Return a time for people, or `-`."""
    return "-" if time_ms is None else utc(time_ms)


def second_text(time_s: int) -> str:
    """Return a time that is known to the second; a cosigner may name any, and calendars end with the year 9999."""
    return utc_second(min(time_s, _LAST_SECOND))


def size_text(size_bytes: int) -> str:
    """Return a size for people: `812 B`, `4.2 MiB`."""
    if size_bytes < 1024:
        return f"{size_bytes} B"
    size, unit = size_bytes * 10 // 1024, "KiB"
    for larger in ("MiB", "GiB", "TiB"):
        if size < 10 * 1024:
            break
        size, unit = size // 1024, larger
    return f"{size // 10}.{size % 10} {unit}"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _width(text: str) -> int:
    """Columns that a terminal gives it: East Asian wide characters take two."""
    return sum(2 if unicodedata.east_asian_width(c) in {"W", "F"} else 1 for c in text)


def _code_of(error: BaseException) -> str:
    if isinstance(error, click.UsageError):
        return "usage"
    return "interrupted" if isinstance(error, KeyboardInterrupt) else "internal"
