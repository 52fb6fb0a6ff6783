"""A network that loses, doubles, delays, reorders and cuts, as one seed tells it to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable

    from chainnode.engine.ports import Urgency
    from tests.support.simulated_checks import Observer
    from tests.support.simulated_clock import VirtualTime


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What happens to a message under way."""

    loss_permille: int = 0
    duplicate_permille: int = 0
    delay_ms: tuple[int, int] = (1, 3)
    slow_permille: int = 0
    """How many messages take `slow_ms` instead."""

    slow_ms: tuple[int, int] = (100, 3_000)
    in_order: bool = True
    """Whether a link keeps the order of messages, as TCP does."""


PERFECT = Conditions()


def kind_of(data: bytes) -> int:
    """Return the kind of an encoded message: what follows the head of its array."""
    return data[1]


class SimulatedNetwork:
    """All links. A message is delivered to whatever life of the receiver is running when it arrives."""

    def __init__(self, time: VirtualTime, random: random.Random, observer: Observer) -> None:
        self.conditions = PERFECT
        self.withholds: Callable[[str, str, int], bool] = lambda _sender, _receiver, _kind: False
        """Says which messages, by (from, to, kind of message), never arrive."""

        self._time = time
        self._random = random
        self._observer = observer
        self._receivers: dict[str, Callable[[str, bytes], None]] = {}
        self._cut: set[tuple[str, str]] = set()
        self._busy_until_ms: dict[tuple[str, str], int] = {}

    def attach(self, name: str, receive: Callable[[str, bytes], None]) -> None:
        """Have what is sent to `name` delivered to `receive`."""
        self._receivers[name] = receive

    def cut(self, links: Iterable[tuple[str, str]]) -> None:
        """Let nothing through on exactly these (from, to), messages under way included."""
        self._cut = set(links)

    def port(self, name: str, is_running: Callable[[], bool]) -> SimulatedPort:
        """Return the network as one life of `name` sees it."""
        return SimulatedPort(self, name, is_running)

    @property
    def names(self) -> tuple[str, ...]:
        """Everybody, in a fixed order."""
        return tuple(self._receivers)

    def transmit(self, sender: str, receiver: str, data: bytes) -> None:
        """Send one message on one link."""
        conditions, random = self.conditions, self._random
        copies = 1
        if conditions.loss_permille and random.randrange(1_000) < conditions.loss_permille:
            copies -= 1
        if conditions.duplicate_permille:
            copies += random.randrange(1_000) < conditions.duplicate_permille
        for _ in range(copies):
            is_slow = random.randrange(1_000) < conditions.slow_permille
            delay_ms = random.randint(*(conditions.slow_ms if is_slow else conditions.delay_ms))
            if conditions.in_order:
                link = (sender, receiver)
                due_ms = max(self._time.now_ms + delay_ms, self._busy_until_ms.get(link, 0))
                self._busy_until_ms[link] = due_ms
                delay_ms = due_ms - self._time.now_ms
            self._time.after(delay_ms, lambda: self._deliver(sender, receiver, data))

    def _deliver(self, sender: str, receiver: str, data: bytes) -> None:
        if (sender, receiver) in self._cut:
            return
        if not self.withholds(sender, receiver, kind_of(data)):
            self._receivers[receiver](sender, data)

    def watch(self, sender: str, data: bytes) -> None:
        """Show the observer what a node says, whether or not it will arrive."""
        self._observer.said(sender, data)


class SimulatedPort:
    """The engine's `Network` port of one life of one node."""

    def __init__(
        self, network: SimulatedNetwork, name: str, is_running: Callable[[], bool]
    ) -> None:
        self._network = network
        self._name = name
        self._is_running = is_running

    def send(self, peer: str, message: bytes, urgency: Urgency) -> None:
        assert peer != self._name, "a node sends to itself"
        assert self._is_running(), "a node speaks after its end"
        self._network.watch(self._name, message)
        self._network.transmit(self._name, peer, message)

    def broadcast(self, message: bytes, urgency: Urgency) -> None:
        assert self._is_running(), "a node speaks after its end"
        self._network.watch(self._name, message)
        for peer in self._network.names:
            if peer != self._name:
                self._network.transmit(self._name, peer, message)
