"""Twins: two correct machines with one validator's keys (arXiv 2004.10617). What they say together, a liar could say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.adversaries.base import Adversary

if TYPE_CHECKING:
    from tests.support.simulated_chain import SimulatedChain

_REDRAW_PERMILLE = 120
"""How often, per act, the others are divided anew between the twins."""


class Twins(Adversary):
    """Each owned validator runs twice; every other host is linked to one of the two, or to both."""

    name = "twins"

    def __init__(self, world: SimulatedChain, *, excess: int = 0) -> None:
        super().__init__(world, excess=excess)
        self._sides: dict[tuple[str, str], bool] = {}
        for name in self.faulty:
            world.add_twin(name)
        self._divide()

    def act(self) -> None:
        """Now and then, let other hosts talk to the other twin."""
        if self.random.randrange(1_000) < _REDRAW_PERMILLE:
            self._divide()

    def alters(self, host: str, receiver: str, data: bytes) -> tuple[tuple[int, bytes], ...]:
        """Say it to those of one's own side only."""
        return ((0, data),) if self._are_together(host, receiver) else ()

    def admits(self, sender: str, host: str, data: bytes) -> bool:
        """Hear those of one's own side only."""
        return self._are_together(host, sender)

    def _are_together(self, host: str, other: str) -> bool:
        return self._sides.get((host, other), True)

    def _divide(self) -> None:
        hosts = list(self.world.nodes)
        for name in self.faulty:
            first, second = self.world.network.hosts_of(name)
            for other in hosts:
                side = self.random.choice(((True, False), (False, True), (True, True)))
                self._sides[first, other], self._sides[second, other] = side
