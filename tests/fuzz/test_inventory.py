"""No decoder without fuzzing: the table in docs/testing.md and the code name the same functions."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.decoders import decoders

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"(decode|parse|read|load|from|unseal)(_\w+)?")
ROW = re.compile(r"\| (?P<names>`[^|]+`) \| (?P<how>[^|]+) \|")


def decoders_of_the_code() -> Iterator[str]:
    """Public functions, and public methods of public classes, that are named as decoders are."""
    for top in ("chainnode", "contracts", "cli"):
        for path in sorted((ROOT / top).rglob("*.py")):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    if NAMED.fullmatch(node.name):
                        yield f"{module}.{node.name}"
                elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    for method in node.body:
                        if isinstance(method, ast.FunctionDef) and re.fullmatch(
                            r"(decode|parse|from)(_\w+)?", method.name
                        ):
                            yield f"{module}.{node.name}.{method.name}"


def rows() -> dict[str, str]:
    """Each function of the table, and how it is fuzzed."""
    text = (ROOT / "docs" / "testing.md").read_text()
    table = text.partition("## Every decoder")[2].partition("\n## ")[0]
    return {
        name: match["how"].strip()
        for match in ROW.finditer(table)
        for name in re.findall(r"`([^`]+)`", match["names"])
    }


def test_every_decoder_stands_in_the_table_and_everything_there_exists() -> None:
    written, found = rows(), set(decoders_of_the_code())
    missing = sorted(found - set(written))
    assert not missing, (
        f"fuzz them (tests/support/decoders.py) and list them in docs/testing.md: {missing}"
    )
    gone = sorted(set(written) - found - {d.function for d in decoders().values()})
    assert not gone, f"docs/testing.md lists functions that do not exist: {gone}"


@pytest.mark.parametrize("name", rows())
def test_a_row_says_the_truth(name: str) -> None:
    how, fuzzed = rows()[name], {d.function for d in decoders().values()}
    if how == "itself":
        assert name in fuzzed
    elif how.startswith("within "):
        assert how.removeprefix("within ").strip("`") in fuzzed
    else:
        tests = re.findall(r"`(tests/[^`]+)`", how)
        assert tests, f"{name}: say `itself`, `within` another one, or name its test"
        for test in tests:
            assert (ROOT / test).exists()


def test_every_fuzzed_function_stands_in_the_table() -> None:
    assert {d.function for d in decoders().values()} <= set(rows())
