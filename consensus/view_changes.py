"""Who asked for which view: the book behind R9, R10 and R11."""

from collections.abc import Iterator
from typing import Final

from consensus.messages import FIRST_VIEW, ProvenViewChange, ValidatorIndex, View, ViewChange

HELD_PER_VALIDATOR: Final = 2
"""View changes held per validator: its two highest. There is no upper window: a node that restarts
at view 0 must believe that the others are at view 60."""


class ViewChangeBook:
    """Proven view changes of one height, at most two per validator."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: dict[ValidatorIndex, tuple[ProvenViewChange, ...]] = {}

    def add(self, message: ProvenViewChange) -> ViewChange | None:
        """Hold a view change that has been checked, if it is among its sender's two highest.

        Returns:
            An earlier claim of the same sender for the same view that says something else.
        """
        claim = message.claim
        held = self._held.get(claim.sender, ())
        for other in held:
            if other.claim.view == claim.view:
                return None if other.claim == claim else other.claim
        merged = sorted((*held, message), key=lambda one: -one.claim.view)
        self._held[claim.sender] = tuple(merged[:HELD_PER_VALIDATOR])
        return None

    def highest(self, sender: ValidatorIndex) -> View | None:
        """Return the highest view that `sender` asked for."""
        held = self._held.get(sender)
        return held[0].claim.view if held else None

    def of(self, sender: ValidatorIndex) -> tuple[ProvenViewChange, ...]:
        """Return what is held of `sender`, highest view first."""
        return self._held.get(sender, ())

    def all(self) -> Iterator[ProvenViewChange]:
        """Yield every view change that is held."""
        for held in self._held.values():
            yield from held

    def for_view(self, view: View) -> tuple[ProvenViewChange, ...]:
        """Return the requests for exactly `view`, by rising sender."""
        return tuple(
            message
            for sender in sorted(self._held)
            for message in self._held[sender]
            if message.claim.view == view
        )

    def asking(self, view: View) -> tuple[ValidatorIndex, ...]:
        """Return who asked for `view` or a higher one, rising."""
        return tuple(s for s in sorted(self._held) if self._held[s][0].claim.view >= view)

    def reached(self, rank: int, *, without: ValidatorIndex | None) -> View:
        """Return the `rank`-th highest view asked for, one per validator; 0 if fewer asked.

        Args:
            rank: 1 for the highest.
            without: A validator not to count.
        """
        if not self._held:
            return FIRST_VIEW
        views = sorted(
            (held[0].claim.view for sender, held in self._held.items() if sender != without),
            reverse=True,
        )
        return views[rank - 1] if len(views) >= rank else FIRST_VIEW
