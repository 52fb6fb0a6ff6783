"""R15: who voted for what, within bounds that no validator can exceed."""

from collections.abc import Iterator
from typing import Final, Generic, TypeVar

from consensus.messages import Commit, Digest, Prepare, Propose, ValidatorIndex, View

VIEWS_PER_VALIDATOR: Final = 8
"""Views for which one validator's votes of one kind are held: its highest ones.

A validator that signs votes for a million views pushes out only its own.
"""

AnyVote = TypeVar("AnyVote", bound=Propose | Prepare | Commit)


class VoteTable(Generic[AnyVote]):
    """Votes of one kind for one height, by slot (view, sender) and by (view, digest).

    A slot keeps its first vote and one more with another digest: if only the first counted, a
    validator that votes twice could keep one of us from a quorum that all others see.
    """

    __slots__ = ("_by_digest", "_slots", "_views")

    def __init__(self) -> None:
        self._slots: dict[tuple[View, ValidatorIndex], tuple[AnyVote, ...]] = {}
        self._by_digest: dict[tuple[View, Digest], dict[ValidatorIndex, AnyVote]] = {}
        self._views: dict[ValidatorIndex, list[View]] = {}

    def add(self, vote: AnyVote, wanted: Digest | None) -> AnyVote | None:
        """Hold `vote` if its slot has room; one for the `wanted` digest pushes out the second.

        Returns:
            The first vote of the slot if `vote` is another one that had not been seen: proof
            of a double vote. None otherwise.
        """
        key = (vote.view, vote.sender)
        slot: tuple[AnyVote, ...] = self._slots.get(key, ())
        if vote in slot:
            return None
        if not slot and not self._make_room(vote.view, vote.sender):
            return None
        if len(slot) > 1:
            if vote.digest != wanted:
                return None
            self._forget(slot[1])
            slot = slot[:1]
        self._slots[key] = (*slot, vote)
        self._by_digest.setdefault((vote.view, vote.digest), {})[vote.sender] = vote
        return slot[0] if slot else None

    def count(self, view: View, digest: Digest) -> int:
        """Return how many distinct validators voted for `digest` in `view`."""
        return len(self._by_digest.get((view, digest), ()))

    def voters(self, view: View, digest: Digest) -> tuple[ValidatorIndex, ...]:
        """Return who voted for `digest` in `view`, rising."""
        return tuple(sorted(self._by_digest.get((view, digest), ())))

    def votes(self, view: View, digest: Digest) -> tuple[AnyVote, ...]:
        """Return the votes for `digest` in `view`, by rising sender."""
        held = self._by_digest.get((view, digest), {})
        return tuple(held[sender] for sender in sorted(held))

    def of(self, view: View, sender: ValidatorIndex) -> tuple[AnyVote, ...]:
        """Return the votes of `sender` in `view`: none, one, or two that contradict each other."""
        return self._slots.get((view, sender), ())

    def all(self) -> Iterator[AnyVote]:
        """Yield every vote that is held."""
        for slot in self._slots.values():
            yield from slot

    def highest_of(self, sender: ValidatorIndex) -> AnyVote | None:
        """Return the first vote of `sender` in the highest view in which it voted."""
        views = self._views.get(sender)
        return self._slots[views[-1], sender][0] if views else None

    def is_empty(self) -> bool:
        """Tell whether nothing was ever added."""
        return not self._slots

    def _make_room(self, view: View, sender: ValidatorIndex) -> bool:
        """Note that `sender` votes in `view`; False if it has votes in enough higher views."""
        views = self._views.setdefault(sender, [])
        if len(views) == VIEWS_PER_VALIDATOR:
            if view < views[0]:
                return False
            for vote in self._slots.pop((views.pop(0), sender)):
                self._forget(vote)
        views.append(view)
        views.sort()
        return True

    def _forget(self, vote: AnyVote) -> None:
        key = (vote.view, vote.digest)
        tally = self._by_digest[key]
        del tally[vote.sender]
        if not tally:
            del self._by_digest[key]
