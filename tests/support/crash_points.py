"""Where a validator's power is cut: before or after a write to its disk, a message to one of its peers, a decision.

    point = CrashPoint(Step.SEND, 1, kind=COMMIT)      after its second peer has been sent a COMMIT
    point.arm(world, name)
    ...
    assert point.has_struck

A broadcast is a message to each peer, in the order of the machines, and can be cut anywhere between them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING

from tests.support.faulty_disk import SimulatedCrash
from tests.support.message_kinds import kind_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.simulated_chain import SimulatedChain
    from tests.support.simulated_disk import SimulatedDisk


class Step(Enum):
    """What a validator does that others, or its next life, can see."""

    WRITE = auto()
    """Anything reaches its disk: an append, a sync, a batch of the store."""

    SEND = auto()
    """A message leaves for one peer."""

    DECIDED = auto()
    """A block is stored and announced; there is only an after."""


@dataclass
class CrashPoint:
    """One moment in the life of one validator."""

    step: Step
    number: int
    """Which of these steps, counted from 0 when the point is armed; -1 for none, to count them."""

    kind: int | None = None
    """Of sends, those of this kind only."""

    is_after: bool = True
    count: int = field(default=0, init=False)
    has_struck: bool = field(default=False, init=False)
    unsynced: dict[int, int] = field(default_factory=dict, init=False)
    """Bytes at the end of the vote log that a crash right after a write, by its number, may tear."""

    _name: str = field(default="", init=False)
    _disk: SimulatedDisk = field(init=False)

    def arm(self, world: SimulatedChain, name: str) -> None:
        """Have this end the present life of a validator that runs."""
        self.count, self.has_struck, self._name = 0, False, name
        self._disk = world.nodes[name].disk
        if self.step is Step.SEND:
            _tap_sends(world, self)
        elif self.step is Step.WRITE:
            world.nodes[name].disk.plan.run = self._write  # type: ignore[method-assign]
        else:
            world.monitors.append(_Decisions(self))  # type: ignore[arg-type]

    def passes(self, action: Callable[[], None]) -> None:
        """Carry out a step of the kind that counts, unless the power is cut before it."""
        is_here = self.count == self.number and not self.has_struck
        self.count += 1
        if is_here:
            self.has_struck = True
            if self.is_after:
                action()
            raise SimulatedCrash
        action()

    def _write(self, write: Callable[[], None], half: Callable[[], None] | None = None) -> None:
        def written() -> None:
            write()
            self.unsynced[self.count - 1] = self._disk.file.unsynced_bytes

        self.passes(written)


def _tap_sends(world: SimulatedChain, point: CrashPoint) -> None:
    """Have every message of a validator pass the point on its way."""
    transmit = world.network.transmit

    def tapped(sender: str, receiver: str, data: bytes) -> None:
        if sender == point._name and point.kind in {None, kind_of(data)}:
            point.passes(lambda: transmit(sender, receiver, data))
        else:
            transmit(sender, receiver, data)

    world.network.transmit = tapped  # type: ignore[method-assign]


class _Decisions:
    """Cuts the power when a block has been announced."""

    def __init__(self, point: CrashPoint) -> None:
        self._point = point

    def opened(self, host: str, height: int) -> None:
        if host == self._point._name:
            self._point.passes(lambda: None)

    def heard(self, host: str, data: bytes) -> None:
        pass

    def booted(self, host: str) -> None:
        pass

    def refused(self, host: str, height: int) -> None:
        pass

    def forgot(self, host: str) -> None:
        pass
