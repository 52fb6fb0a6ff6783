"""Draws what `chainnode --json devnet bench --workload growth` found: `python -m devnet.bench.growth_plot growth.json growth.svg`.

Each panel has the documents of the chain across, as powers of ten, and one thing that was measured upwards. The same document
gives the same bytes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

from chainnode.model.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Size = dict[str, Any]
    """One of the document's `sizes`."""

    Curve = tuple[str, Callable[[Size], float | None]]
    """Its name, and where it is at a size; None: nothing was measured there."""

_PANELS: Final[Sequence[tuple[str, Sequence[Curve]]]] = (
    (
        "committed, of the ceiling, %",
        (("one by one", lambda size: 100 * size["tps"] / size["ceiling_tps"]),),
    ),
    (
        "committed documents/s",
        (
            ("one by one", lambda size: size["tps"]),
            ("lists of 1,000", lambda size: size["filled_records_per_s"]),
        ),
    ),
    (
        "answers/s while others write",
        (
            ("proofs", lambda size: size["proofs_per_s"]),
            ("lookups", lambda size: size["lookups_per_s"]),
        ),
    ),
    ("proof, median, ms", (("proof", lambda size: size["proof_latency_ms"]["p50"]),)),
    (
        "MB of a validator",
        (
            ("memory", lambda size: size["memory_bytes"] / 1e6),
            ("home", lambda size: size["home_bytes"] / 1e6),
        ),
    ),
    (
        "ready again, ms",
        (
            ("after a stop", lambda size: size["ready_ms_after_stop"]),
            ("after a kill", lambda size: size["ready_ms_after_kill"]),
        ),
    ),
)

_COLUMNS: Final = 3


def draw(document: dict[str, Any]) -> Figure:
    """Return the figure of a document as `growth.as_json` returns it.

    Raises:
        DecodeError: it is another document.
    """
    try:
        sizes = sorted(document["sizes"], key=lambda size: int(size["records"]))
        _check_range(sizes)
        figure = Figure(figsize=(11, 6), layout="constrained")
        panels = figure.subplots(-(-len(_PANELS) // _COLUMNS), _COLUMNS)
        for panel, (title, curves) in zip(panels.flat, _PANELS, strict=True):
            for name, value in curves:
                points = [
                    (size["records"], found) for size in sizes if (found := value(size)) is not None
                ]
                panel.plot(*zip(*points, strict=True) if points else ((), ()), "o-", label=name)
            panel.set_title(title, fontsize="medium")
            panel.set_xscale("log")
            panel.set_ylim(bottom=0)
            panel.grid(visible=True, alpha=0.3)
            if len(curves) > 1:
                panel.legend(fontsize="small")
        figure.supxlabel("documents on the chain")
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise DecodeError(
            f"this is not what `chainnode --json devnet bench --workload growth` prints: {error!r}"
        ) from error
    return figure


def _check_range(sizes: Sequence[Size]) -> None:
    if not sizes or sizes[0]["records"] < 1:
        raise ValueError("no sizes, or one without documents")


def main(source: str, target: str) -> None:
    """Draw the document in the file `source` into `target`, whose ending says the format.

    Raises:
        DecodeError: it cannot be read, is another document, or cannot be drawn so.
    """
    try:
        document = json.loads(Path(source).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DecodeError(f"{source} cannot be read: {error}") from error
    figure = draw(document)
    try:
        # Without these an SVG has the time and random ids in it.
        with mpl.rc_context({"svg.hashsalt": "growth", "svg.fonttype": "none"}):
            figure.savefig(target, metadata={"Date": None})
    except (OSError, ValueError) as error:
        raise DecodeError(f"{target} cannot be drawn: {error}") from error


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m devnet.bench.growth_plot growth.json growth.svg")
    try:
        main(*sys.argv[1:])
    except DecodeError as wrong:
        sys.exit(f"error: {wrong.message}")
