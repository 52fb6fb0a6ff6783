"""A network that loses, doubles, delays, reorders and cuts, as one seed tells it to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

from tests.support.message_kinds import kind_of

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable, Sequence

    from chainnode.engine.ports import Urgency
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


class Interference(Protocol):
    """What an adversary does to the messages of the hosts that it owns, and sees of all others."""

    def owns(self, host: str) -> bool:
        """Whether it speaks for this host."""

    def overhears(self, host: str, data: bytes) -> None:
        """See what a host says, whoever owns it."""

    def alters(self, host: str, receiver: str, data: bytes) -> Sequence[tuple[int, bytes]]:
        """Return what an own host sends to `receiver` instead of `data`: (additional delay in ms, message)."""

    def admits(self, sender: str, host: str, data: bytes) -> bool:
        """Whether an own host hears this."""


class Watcher(Protocol):
    """Sees what correct hosts say, before any of it is on its way."""

    def said(self, host: str, data: bytes) -> None:
        """Judge it; raise Violation if it must not be said."""


class SimulatedNetwork:
    """All links between hosts.

    A host is a machine with one validator's keys; twins are two hosts of one validator, and only hosts know that. A
    message is delivered to whatever life of the receiver is running when it arrives.
    """

    def __init__(self, time: VirtualTime, random: random.Random) -> None:
        self.conditions = PERFECT
        self.withholds: Callable[[str, str, int], bool] | None = None
        """Says which messages, by (from, to, kind of message), never arrive."""

        self.interference: Interference | None = None
        self.lag_ms: Callable[[str], int] = lambda _host: 0
        """How much later than now what a host says leaves it."""

        self.watchers: list[Watcher] = []
        self._time = time
        self._random = random
        self._receivers: dict[str, Callable[[str, bytes], None]] = {}
        self._hosts: dict[str, tuple[str, ...]] = {}
        self._names: dict[str, str] = {}
        self._cut: set[tuple[str, str]] = set()
        self._busy_until_ms: dict[tuple[str, str], int] = {}

    def attach(self, host: str, name: str, receive: Callable[[str, bytes], None]) -> None:
        """Have what is sent to the validator `name` delivered to `receive`, at `host`."""
        self._receivers[host] = receive
        self._names[host] = name
        self._hosts[name] = (*self._hosts.get(name, ()), host)

    def cut(self, links: Iterable[tuple[str, str]]) -> None:
        """Let nothing through on exactly these (from, to), messages under way included."""
        self._cut = set(links)

    def port(self, host: str, is_running: Callable[[], bool]) -> SimulatedPort:
        """Return the network as one life of `host` sees it."""
        return SimulatedPort(self, host, self._names[host], is_running)

    def hosts_of(self, name: str) -> tuple[str, ...]:
        """Return the machines of a validator: one, or two if it has a twin."""
        return self._hosts.get(name, ())

    @property
    def hosts(self) -> tuple[str, ...]:
        """Every machine, in a fixed order."""
        return tuple(self._receivers)

    def name_of(self, host: str) -> str:
        """Return whose keys are on a machine."""
        return self._names[host]

    def transmit(self, sender: str, receiver: str, data: bytes) -> None:
        """Send one message from host to host."""
        interference = self.interference
        if interference is None or not interference.owns(sender):
            self._travel(sender, receiver, data, 0)
            return
        for delay_ms, altered in interference.alters(sender, receiver, data):
            self._travel(sender, receiver, altered, delay_ms)

    def inject(self, sender: str, receiver: str, data: bytes, delay_ms: int = 0) -> None:
        """Send what an adversary made up."""
        self._travel(sender, receiver, data, delay_ms)

    def _travel(self, sender: str, receiver: str, data: bytes, later_ms: int) -> None:
        later_ms += self.lag_ms(sender)
        conditions, random = self.conditions, self._random.random
        copies = 1
        if conditions.loss_permille and random() * 1_000 < conditions.loss_permille:
            copies = 0
        if conditions.duplicate_permille and random() * 1_000 < conditions.duplicate_permille:
            copies += 1
        for _ in range(copies):
            is_slow = conditions.slow_permille and random() * 1_000 < conditions.slow_permille
            least, most = conditions.slow_ms if is_slow else conditions.delay_ms
            delay_ms = later_ms + least + int(random() * (most - least + 1))
            if conditions.in_order:
                link = (sender, receiver)
                due_ms = max(self._time.now_ms + delay_ms, self._busy_until_ms.get(link, 0))
                self._busy_until_ms[link] = due_ms
                delay_ms = due_ms - self._time.now_ms
            self._time.after(delay_ms, partial(self._deliver, sender, receiver, data))

    def _deliver(self, sender: str, receiver: str, data: bytes) -> None:
        if (sender, receiver) in self._cut:
            return
        if self.withholds is not None and self.withholds(
            self._names[sender], self._names[receiver], kind_of(data)
        ):
            return
        interference = self.interference
        if (
            interference is not None
            and interference.owns(receiver)
            and not interference.admits(sender, receiver, data)
        ):
            return
        self._receivers[receiver](sender, data)

    def watch(self, host: str, data: bytes) -> None:
        """Show what a host says to whoever watches, whether or not it will arrive."""
        interference = self.interference
        if interference is not None:
            interference.overhears(host, data)
            if interference.owns(host):
                return
        for watcher in self.watchers:
            watcher.said(host, data)


class SimulatedPort:
    """The engine's `Network` port of one life of one host."""

    def __init__(
        self, network: SimulatedNetwork, host: str, name: str, is_running: Callable[[], bool]
    ) -> None:
        self._network = network
        self._host = host
        self._name = name
        self._is_running = is_running

    def send(self, peer: str, message: bytes, urgency: Urgency) -> None:
        assert peer != self._name, "a node sends to itself"
        assert self._is_running(), "a node speaks after its end"
        self._network.watch(self._host, message)
        for host in self._network.hosts_of(peer):
            self._network.transmit(self._host, host, message)

    def broadcast(self, message: bytes, urgency: Urgency) -> None:
        assert self._is_running(), "a node speaks after its end"
        network = self._network
        network.watch(self._host, message)
        for host in network.hosts:
            if network.name_of(host) != self._name:
                network.transmit(self._host, host, message)
