"""Every alteration of FILE, PROOF and POLICY that one pair of hands would try, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def altered_lines(text: str, *, every: int) -> Iterator[tuple[str, str]]:
    """Each line removed, duplicated, swapped with the next, padded, and changed in every `every`-th character."""
    lines = text.split("\n")[:-1]

    def joined(parts: list[str]) -> str:
        return "".join(f"{part}\n" for part in parts)

    for n, line in enumerate(lines):
        before, after = lines[:n], lines[n + 1 :]
        yield f"removed-{n}", joined(before + after)
        yield f"duplicated-{n}", joined([*before, line, line, *after])
        if after and after[0] != line:
            yield f"swapped-{n}", joined([*before, after[0], line, *after[1:]])
        yield f"space-{n}", joined([*before, line + " ", *after])
        yield f"return-{n}", joined([*before, line + "\r", *after])
        for at in range(0, len(line), every):
            yield f"flip-{n}-{at}", joined([*before, flipped(line, at), *after])
        if line:
            yield f"emptied-{n}", joined([*before, "", *after])
            yield f"flip-{n}-last", joined([*before, flipped(line, len(line) - 1), *after])
    yield "unterminated", text[:-1]
    yield "trailing-newline", text + "\n"
    yield "trailing-text", text + "x\n"
    yield "leading-newline", "\n" + text
    yield "empty", ""


def flipped(line: str, at: int) -> str:
    """One character changed for its successor among letters, digits and base64's signs."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    found = alphabet.find(line[at])
    return line[:at] + alphabet[(found + 1) % len(alphabet)] + line[at + 1 :]


def altered_value(value: object) -> Iterator[tuple[str, object]]:
    """Each field of nested arrays changed, dropped, doubled; each pair of neighbours swapped."""
    match value:
        case bytes():
            yield "cut", value[:-1]
            yield "bit", value[:-1] + bytes([value[-1] ^ 1])
            yield "text", value.hex()
        case str():
            yield "longer", value + "x"
            yield "bytes", value.encode()
        case int():
            yield "more", value + 1
            yield "text", str(value)
        case tuple():
            for n, item in enumerate(value):
                yield f"{n}-nil", (*value[:n], None, *value[n + 1 :])
                yield f"{n}-dropped", (*value[:n], *value[n + 1 :])
                yield f"{n}-doubled", (*value[:n], item, *value[n:])
                if n:
                    yield f"{n}-swapped", (*value[: n - 1], item, value[n - 1], *value[n + 1 :])
                for name, changed in altered_value(item):
                    yield f"{n}-{name}", (*value[:n], changed, *value[n + 1 :])
