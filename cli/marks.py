"""What became of a record, as commands show it: withdrawn, superseded, owned, and how its digests are thought of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainnode.model.errors import ProofInvalid
from cli.output import time_text

if TYPE_CHECKING:
    from chainnode.model.marks import RecordReference
    from cli.output import Json
    from cli.proven_state import RecordMarks


def marks_rows(known: RecordMarks) -> list[tuple[str, object]]:
    """Return it as rows for people."""
    marks = known.marks
    gone, newer = marks.withdrawn, marks.successor
    rows: list[tuple[str, object]] = [
        ("as of", f"block {known.height}, {time_text(known.time_ms)}"),
        (
            "withdrawn",
            "no" if gone is None else f"{gone.code}, by {gone.account} in block {gone.height}",
        ),
        ("superseded", "no" if newer is None else f"by {_name(newer)}"),
        ("owners", ", ".join(marks.owners)),
    ]
    if marks.annotations or marks.orders:
        rows.append(("annotations", f"{marks.annotations}, by order {marks.orders}"))
    return [*rows, ("algorithms", ", ".join(f"{n} {s}" for n, s in known.algorithms))]


def marks_json(known: RecordMarks) -> Json:
    """Return it as a JSON document."""
    marks = known.marks
    gone = marks.withdrawn
    return {
        "height": known.height,
        "time_ms": known.time_ms,
        "withdrawn": None
        if gone is None
        else {"code": gone.code, "height": gone.height, "account": gone.account},
        "predecessor": _named(marks.predecessor),
        "successor": _named(marks.successor),
        "owners": marks.owners,
        "offered": marks.offered,
        "annotations": marks.annotations,
        "orders": marks.orders,
        "algorithms": dict(known.algorithms),
    }


def check_not_withdrawn(known: RecordMarks) -> None:
    """Raise ProofInvalid with code `withdrawn` if the record is."""
    gone = known.marks.withdrawn
    if gone is not None:
        raise ProofInvalid(
            f"the record is genuine, and was withdrawn by {gone.account} in block {gone.height}: {gone.code}",
            code="withdrawn",
        )


def _name(reference: RecordReference) -> str:
    return (
        f"{reference.account}, transaction {reference.tx_id.hex()} call {reference.call} "
        f"item {reference.item}"
    )


def _named(reference: RecordReference | None) -> Json:
    if reference is None:
        return None
    return {
        "account": reference.account,
        "tx_id": reference.tx_id.hex(),
        "call": reference.call,
        "item": reference.item,
    }
