"""A whole chain in one process and one thread, in virtual time, from one seed.

    world = SimulatedChain(seed=1)
    world.start()
    world.submit(5)
    world.run_until(lambda: world.height() >= 3, within_ms=10_000)

Everything that happens, happens in the same order in every run of the same seed: `trace_hash` says so.
"""

from __future__ import annotations

import functools
import hashlib
import random
from typing import TYPE_CHECKING

from chainnode.model.parameters import Parameters
from tests.support.chain import ARCHIVE, CLERK
from tests.support.simulated_checks import Observer, Violation
from tests.support.simulated_clock import VirtualTime
from tests.support.simulated_network import SimulatedNetwork
from tests.support.simulated_node import SimulatedNode, State
from tests.support.simulated_suite import simulated_genesis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from chainnode.model.domain import Domain
    from chainnode.model.transaction import Transaction
    from tests.support.chain import Chain

PARAMETERS = Parameters(
    min_interval_ms=100,
    heartbeat_ms=30_000,
    timeout_ms=1_000,
    timeout_cap_ms=4_000,
)
"""Few blocks a second, so that seconds of chaos are cheap; a low cap, so that healing is quick; heartbeats too rare to heal
anything."""


class SimulatedChain:
    """Validators, their network, their disks, their clients."""

    def __init__(
        self,
        *,
        seed: int,
        validators: int = 4,
        parameters: Parameters = PARAMETERS,
        real_crypto: bool = False,
    ) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        self.chain = simulated_genesis(validators, parameters, real_crypto=real_crypto)
        self.parameters = parameters
        self.time = VirtualTime()
        self.observer = Observer(self.chain.genesis)
        self.network = SimulatedNetwork(self.time, self.random, self.observer)
        self.nodes = {keys.name: SimulatedNode(self, keys) for keys in self.chain.validators}
        self.submitted: list[Transaction] = []
        self.accepted: dict[bytes, tuple[SimulatedNode, int, Transaction]] = {}
        """What a node took from a client: by id, the node, its life and the transaction."""

        self.tolerates_faults = False
        self._hasher = hashlib.sha256()
        self._linked: set[tuple[str, str]] = set()
        self._lives: dict[tuple[str, str], tuple[int, int]] = {}
        self._cut: set[tuple[str, str]] = set()
        for node in self.nodes.values():
            self.network.attach(node.name, functools.partial(self._arrived, node))

    # -- the course of things --------------------------------------------------------------------------------

    def start(self, names: Iterable[str] | None = None) -> None:
        """Boot these nodes, by default all."""
        for name in self.nodes if names is None else names:
            self.nodes[name].boot()

    def run_for(self, duration_ms: int) -> None:
        """Let time pass."""
        until_ms = self.time.now_ms + duration_ms
        while self.time.step(until_ms):
            pass

    def run_until(self, condition: Callable[[], bool], *, within_ms: int, what: str = "") -> int:
        """Let time pass until `condition` holds; return how long that took.

        Raises:
            Violation: it does not hold within `within_ms`.
        """
        start_ms = self.time.now_ms
        until_ms = start_ms + within_ms
        while not condition():
            if not self.time.step(until_ms):
                if condition():
                    break
                raise Violation(f"not within {within_ms} ms: {what}; {self.describe()}")
        return self.time.now_ms - start_ms

    def trace(self, what: str, name: str, data: bytes) -> None:
        """Add something that happened to the hash of everything that happened."""
        self._hasher.update(b"%d %s %s " % (self.time.now_ms, what.encode(), name.encode()))
        self._hasher.update(data)

    def trace_hash(self) -> str:
        """Return what two runs of one seed must agree in."""
        return self._hasher.hexdigest()

    # -- clients -------------------------------------------------------------------------------------------

    def submit(self, count: int = 1, *, to: str | None = None, lasts: int = 1_000) -> None:
        """Send new notarizations to a running node; they expire `lasts` blocks above its tip."""
        running = [n for n in self.nodes.values() if n.state is State.RUNNING]
        if to is None and not running:
            return
        for _ in range(count):
            node = self.random.choice(running) if to is None else self.nodes[to]
            last = lasts if lasts >= 1_000 else node.ledger.tip.height + lasts
            transaction = _notarization(self.chain, len(self.submitted), last)
            self.submitted.append(transaction)
            node.submit(transaction)

    # -- failures ------------------------------------------------------------------------------------------

    def split(self, *groups: Iterable[str]) -> None:
        """Let only the members of one group talk to each other."""
        side = {name: i for i, group in enumerate(groups) for name in group}
        self.cut(
            (a, b) for a in self.nodes for b in self.nodes if side.get(a, -1) != side.get(b, -2)
        )

    def cut(self, links: Iterable[tuple[str, str]]) -> None:
        """Let nothing through on exactly these (from, to)."""
        self._cut = {(a, b) for a, b in links if a != b}
        self.network.cut(self._cut)
        self._update_links()

    def booted(self, node: SimulatedNode) -> None:
        """A node has come up: its connections follow."""
        self.trace("boot", node.name, b"")
        self._update_links()

    def crashed(self, node: SimulatedNode) -> None:
        """A node is gone, and its connections with it."""
        self.trace("down", node.name, b"")
        self._update_links()

    def stopped(self, node: SimulatedNode) -> None:
        """A NodeFault has stopped a node."""
        self.trace("stopped", node.name, b"")
        if not self.tolerates_faults:
            raise Violation(f"{node.name} stops: {node.fault!r}") from node.fault

    def _update_links(self) -> None:
        """Tell the nodes which connections there are now.

        A cut in one direction breaks a connection only now and then: keep-alives may take the whole cut to notice.
        """
        names = list(self.nodes)
        for i, a in enumerate(names):
            for b in names[i + 1 :]:
                cuts = ((a, b) in self._cut) + ((b, a) in self._cut)
                should = self.nodes[a].is_up and self.nodes[b].is_up
                if should and cuts and (a, b) in self._linked:
                    should = self.random.randrange(3) < 3 - cuts
                elif cuts:
                    should = False
                lives = (self.nodes[a].life, self.nodes[b].life)
                is_fresh = self._lives.get((a, b)) != lives
                if (a, b) in self._linked and (not should or is_fresh):
                    self._linked.discard((a, b))
                    self.nodes[a].link(b, is_up=False)
                    self.nodes[b].link(a, is_up=False)
                if should and (a, b) not in self._linked:
                    self._linked.add((a, b))
                    self._lives[a, b] = lives
                    self.nodes[a].link(b, is_up=True)
                    self.nodes[b].link(a, is_up=True)

    def _arrived(self, node: SimulatedNode, sender: str, data: bytes) -> None:
        pair = (sender, node.name) if (sender, node.name) in self._linked else (node.name, sender)
        if pair in self._linked:
            self.trace(sender, node.name, data)
            node.receive(sender, data)

    # -- looking -------------------------------------------------------------------------------------------

    def running(self) -> list[SimulatedNode]:
        """Return the nodes that run."""
        return [n for n in self.nodes.values() if n.state is State.RUNNING]

    def height(self) -> int:
        """Return the lowest tip of the running nodes."""
        return min(n.ledger.tip.height for n in self.running())

    def is_level(self) -> bool:
        """Whether all running nodes have one tip."""
        return len({n.ledger.tip.height for n in self.running()}) == 1

    def is_settled(self) -> bool:
        """Whether all running nodes are level and nothing is pending anywhere."""
        return self.is_level() and all(
            len(n.pool) == 0 and n.engine.status().unverified == 0 for n in self.running()
        )

    def describe(self) -> str:
        """Return where every node stands, in one line."""
        parts = []
        for node in self.nodes.values():
            if node.state is not State.RUNNING:
                parts.append(f"{node.name} {node.state.name.lower()}")
                continue
            status = node.engine.status()
            parts.append(
                f"{node.name} tip {status.tip_height} view {status.view} {status.step} "
                f"awaits {','.join(status.awaited) or 'nobody'} pool {status.pool_count}"
            )
        return f"at {self.time.now_ms} ms: " + "; ".join(parts)

    def check_history(self) -> None:
        """All running nodes have one history, with all that was ever acknowledged in it.

        What a node took is decided or expired, unless the node went down with it before it could tell anybody.
        """
        for tx_id, (node, life, transaction) in self.accepted.items():
            is_lost = node.life != life or not node.is_up
            is_expired = transaction.body.last_valid_height <= self.height()
            if tx_id not in self.observer.acknowledged and not is_lost and not is_expired:
                raise Violation(f"{node.name} took transaction {tx_id.hex()} and dropped it")
        self.observer.check_same_history({n.name: n.ledger for n in self.running()})


_made: dict[tuple[Domain, int, int], Transaction] = {}


def _notarization(chain: Chain, number: int, last_valid_height: int) -> Transaction:
    """Return the same transaction for the same chain and number; making them is half of a short run."""
    key = (chain.genesis.domain, number, last_valid_height)
    if key not in _made:
        _made[key] = chain.notarization(
            f"document {number}",
            sender=ARCHIVE if number % 3 == 0 else CLERK,
            last_valid_height=last_valid_height,
        )
    return _made[key]
