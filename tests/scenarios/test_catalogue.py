"""docs/testing.md lists all scenarios, each with tests that exist, and no test of a scenario is missing there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "testing.md").read_text()
SCENARIOS = range(1, 36)


def rows():
    """(number of the scenario, what happens, what must hold, tests as (file, function)) of each row of the table."""
    found = []
    for line in PAGE.splitlines():
        if re.match(r"\| S\d+ \|", line):
            number, what, must_hold, tests = (cell.strip() for cell in line.strip("|").split("|"))
            found.append((int(number[1:]), what, must_hold, named_in(tests)))
    return found


def named_in(cell):
    """A name that ends with .py is the file of the functions that follow it."""
    path, found = None, []
    for name in re.findall(r"`([^`]+)`", cell):
        if name.endswith(".py"):
            path = name
        else:
            found.append((path, name))
    return found


def functions_of(path):
    """Names of the test functions at the top of a file."""
    tree = ast.parse(path.read_text())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {n.name for n in tree.body if isinstance(n, functions) and n.name.startswith("test_")}


def numbers_of(name):
    """The scenarios that a test names: test_s15_s16_... names two."""
    prefix = re.match(r"test_((?:s\d\d_)*)", name)[1]
    return [int(number) for number in re.findall(r"s(\d\d)_", prefix)]


ROWS = rows()


def test_each_scenario_stands_in_the_table_once_and_in_order():
    assert [number for number, *_ in ROWS] == list(SCENARIOS)
    assert all(what and must_hold for _, what, must_hold, _ in ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"S{row[0]}")
def test_each_scenario_names_a_test_of_its_own_and_all_that_it_names_exist(row):
    number, _, _, tests = row
    assert len(set(tests)) == len(tests)
    for path, name in tests:
        assert path is not None, f"{name} stands before any file"
        assert name in functions_of(TESTS / path), f"{path} has no {name}"
    assert any(number in numbers_of(name) for _, name in tests)


def test_each_test_of_a_scenario_stands_in_its_row():
    listed = {(number, *test) for number, _, _, tests in ROWS for test in tests}
    named = {
        (number, str(path.relative_to(TESTS)), name)
        for path in sorted(TESTS.rglob("test_*.py"))
        for name in functions_of(path)
        for number in numbers_of(name)
    }
    assert named - listed == set()
    assert {number for number, _, _ in named} == set(SCENARIOS)
