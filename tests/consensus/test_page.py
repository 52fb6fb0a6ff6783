"""docs/consensus.md speaks of functions, tests and mutants that exist."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.mutants import MUTANTS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "consensus.md").read_text()


def test_every_file_and_test_that_the_page_names_exists():
    named = set(re.findall(r"`((?:tests|chainnode)/[\w/]+\.py)(?:::(\w+\*?))?`", PAGE))
    assert len(named) > 20
    for path, function in named:
        text = (ROOT / path).read_text()
        assert not function or f"def {function}" in text, f"{path} has no {function}"


def test_every_mutant_stands_in_the_page_beside_its_rule():
    rows = [line for line in PAGE.splitlines() if re.match(r"\| R\d", line)]
    for mutant in MUTANTS:
        if mutant.rule.startswith("R"):
            row = next(r for r in rows if re.search(rf"\b{mutant.rule}\b", r.split("|")[1]))
            assert f"`{mutant.name}`" in row, f"{mutant.name} is missing beside {mutant.rule}"
    assert f"{len(MUTANTS)} mutants" in PAGE


def test_links_to_other_pages_lead_somewhere():
    for target, anchor in re.findall(r"\]\(([\w/.-]+)(?:#([\w-]+))?\)", PAGE):
        text = (ROOT / "docs" / target).read_text()
        headings = [
            re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-")
            for h in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
        ]
        assert not anchor or anchor in headings, f"{target} has no heading {anchor}"
