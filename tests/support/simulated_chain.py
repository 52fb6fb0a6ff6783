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
from chainnode.model.suites import ED25519_SHA256
from tests.support.chain import ARCHIVE, CLERK
from tests.support.simulated_checks import Observer, Violation
from tests.support.simulated_clock import VirtualTime
from tests.support.simulated_dating import Dating
from tests.support.simulated_network import SimulatedNetwork
from tests.support.simulated_node import SimulatedNode, State
from tests.support.simulated_suite import replace_validators, simulated_genesis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Protocol

    from chainnode.ledger.execution import Executed
    from chainnode.model.certificate import Certificate
    from chainnode.model.cosigned import CosignedCheckpoint
    from chainnode.model.domain import Domain
    from chainnode.model.transaction import Transaction
    from tests.support.chain import Chain

    class Monitor(Protocol):
        """Judges what each correct host says by what it has heard."""

        def heard(self, host: str, data: bytes) -> None:
            """The host's engine takes this message."""

        def said(self, host: str, data: bytes) -> None:
            """The host says this."""

        def booted(self, host: str) -> None:
            """A new life of the host begins, from what its disk holds."""

        def opened(self, host: str, height: int) -> None:
            """The host works on this height now."""

        def refused(self, host: str, height: int) -> None:
            """The host found a block of this height invalid."""

        def forgot(self, host: str) -> None:
            """The host has lost its vote log and is about to boot."""


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
        suite: str = ED25519_SHA256,
        spares: int = 0,
        has_governance: bool = False,
    ) -> None:
        """With `real_crypto`, signatures are those of `suite`. `spares` more machines are there whose validators are not in genesis' set; see `change_validators`."""
        self.seed = seed
        self.random = random.Random(seed)
        self.chain = simulated_genesis(
            validators,
            parameters,
            real_crypto=real_crypto,
            suite=suite,
            spares=spares,
            has_governance=has_governance or spares > 0,
        )
        self.has_governance = has_governance or spares > 0
        self.parameters = parameters
        self.time = VirtualTime()
        self.faulty: frozenset[str] = frozenset()
        """Validators that an adversary owns; nothing is promised of them, and they may be accused."""

        self.observer = Observer(self.chain.genesis)
        self.monitors: list[Monitor] = []
        self.dating = Dating(self)
        self.network = SimulatedNetwork(self.time, self.random)
        self.network.watchers += (self.observer, self.dating)
        self.network.lag_ms = lambda host: self.nodes[host].lag_ms
        self.nodes: dict[str, SimulatedNode] = {}
        """By machine: the validator's name, unless it is a twin."""

        self.submitted: list[Transaction] = []
        self.accepted: dict[bytes, tuple[SimulatedNode, int, Transaction]] = {}
        """What a node took from a client: by id, the node, its life and the transaction."""

        self.tolerates_faults = False
        """Whether a correct node may be stopped by a NodeFault in this run."""

        self._hasher = hashlib.sha256()
        self._linked: set[tuple[str, str]] = set()
        self._lives: dict[tuple[str, str], tuple[int, int]] = {}
        self._cut: set[tuple[str, str]] = set()
        for keys in self.chain.validators:
            self._add(SimulatedNode(self, keys))

    def _add(self, node: SimulatedNode) -> None:
        self.nodes[node.host] = node
        self.network.attach(node.host, node.name, functools.partial(self._arrived, node))

    def corrupt(self, names: Iterable[str]) -> None:
        """Give these validators to an adversary, before anything has happened."""
        self.faulty = frozenset(names)
        self.observer.faulty = self.faulty

    def add_twin(self, name: str, *, may_notice: bool = False) -> SimulatedNode:
        """Return a second machine with the keys of a validator, which is faulty by that.

        Honest software stops both as soon as they can know of each other; they do so only if they `may_notice`.
        """
        assert name in self.faulty
        node = SimulatedNode(self, self.nodes[name].keys, host=f"{name}'")
        for host in (node, self.nodes[name]):
            host.is_deaf_to_presence = not may_notice
        self._add(node)
        return node

    def watch(self, monitor: Monitor) -> None:
        """Have one more pair of eyes judge every message."""
        self.monitors.append(monitor)
        self.network.watchers.append(monitor)

    # -- the course of things --------------------------------------------------------------------------------

    def start(self, names: Iterable[str] | None = None) -> None:
        """Boot these nodes, by default all."""
        for name in self.nodes if names is None else names:
            self.nodes[name].boot()

    def run_for(self, duration_ms: int) -> None:
        """Let time pass."""
        self.time.run(self.time.now_ms + duration_ms)

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
        self._hasher.update(f"{self.time.now_ms} {what} {name} ".encode() + data)

    def trace_hash(self) -> str:
        """Return what two runs of one seed must agree in."""
        return self._hasher.hexdigest()

    # -- clients -------------------------------------------------------------------------------------------

    def submit(self, count: int = 1, *, to: str | None = None, lasts: int = 1_000) -> None:
        """Send new notarizations to a running node; they expire `lasts` blocks above its tip."""
        running = self.running()
        if to is None and not running:
            return
        for _ in range(count):
            node = self.random.choice(running) if to is None else self.nodes[to]
            last = lasts if lasts >= 1_000 else node.ledger.tip.height + lasts
            transaction = _notarization(self.chain, len(self.submitted), last)
            self.submitted.append(transaction)
            node.submit(transaction)

    def change_validators(self, names: Iterable[str]) -> None:
        """Have the chain replace its validator set, if somebody is there to take the transaction."""
        running = self.running()
        if running:
            self.submitted.append(
                self.chain.transaction(
                    [replace_validators(self.chain, names)],
                    nonce=f"set {len(self.submitted)} of {self.seed}",
                )
            )
            self.random.choice(running).submit(self.submitted[-1])

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
        self.trace("boot", node.host, b"")
        self._update_links()

    def crashed(self, node: SimulatedNode) -> None:
        """A node is gone, and its connections with it."""
        self.trace("down", node.host, b"")
        self._update_links()

    def stopped(self, node: SimulatedNode) -> None:
        """A NodeFault has stopped a node."""
        self.trace("stopped", node.host, b"")
        if not self.tolerates_faults and node.name not in self.faulty:
            raise Violation(f"{node.host} stops: {node.fault!r}") from node.fault

    def _update_links(self) -> None:
        """Tell the nodes which connections there are now.

        A cut in one direction breaks a connection only now and then: keep-alives may take the whole cut to notice.
        """
        hosts = list(self.nodes)
        for i, a in enumerate(hosts):
            for b in hosts[i + 1 :]:
                if self.nodes[a].name != self.nodes[b].name:
                    self._update_link(a, b)

    def _update_link(self, a: str, b: str) -> None:
        one, other = self.nodes[a], self.nodes[b]
        cuts = ((a, b) in self._cut) + ((b, a) in self._cut)
        should = one.is_up and other.is_up
        if should and cuts and (a, b) in self._linked:
            should = self.random.randrange(3) < 3 - cuts
        elif cuts:
            should = False
        lives = (one.life, other.life)
        is_fresh = self._lives.get((a, b)) != lives
        if (a, b) in self._linked and (not should or is_fresh):
            self._linked.discard((a, b))
            one.link(other.name, is_up=False)
            other.link(one.name, is_up=False)
        if should and (a, b) not in self._linked:
            self._linked.add((a, b))
            self._lives[a, b] = lives
            one.link(other.name, is_up=True)
            other.link(one.name, is_up=True)

    def _arrived(self, node: SimulatedNode, sender: str, data: bytes) -> None:
        if (sender, node.host) in self._linked or (node.host, sender) in self._linked:
            self.trace(sender, node.host, data)
            node.receive(self.network.name_of(sender), data)

    # -- what nodes report ---------------------------------------------------------------------------------

    def observed_boot(self, node: SimulatedNode) -> None:
        """A node has opened its disk."""
        if node.name not in self.faulty:
            self.observer.booted(node.host, node.ledger)
            for monitor in self.monitors:
                monitor.booted(node.host)
                monitor.opened(node.host, node.ledger.tip.height + 1)

    def committed(self, node: SimulatedNode, executed: Executed, certificate: Certificate) -> None:
        """A node says that a block is committed."""
        header = executed.outline.header
        if node.name in self.faulty:
            return
        self.dating.committed(executed)
        self.observer.committed(node.host, executed, certificate)
        for monitor in self.monitors:
            monitor.opened(node.host, header.height + 1)
        self.trace("commit", node.host, executed.outline.block_hash)

    def cosigned(self, node: SimulatedNode, newest: CosignedCheckpoint) -> None:
        """A node says that a quorum has cosigned."""
        if node.name not in self.faulty:
            self.observer.cosigned(node.host, newest)

    def happened(self, node: SimulatedNode, event: str, fields: dict[str, int | str]) -> None:
        """A node logs something."""
        if node.name not in self.faulty:
            self.observer.happened(node.host, event, fields)
            if event == "block_refused":
                for monitor in self.monitors:
                    monitor.refused(node.host, int(fields["height"]))

    # -- looking -------------------------------------------------------------------------------------------

    def running(self) -> list[SimulatedNode]:
        """Return the correct nodes that run."""
        return [
            n for n in self.nodes.values() if n.state is State.RUNNING and n.name not in self.faulty
        ]

    def correct(self) -> list[SimulatedNode]:
        """Return the correct nodes, whether or not they run."""
        return [n for n in self.nodes.values() if n.name not in self.faulty]

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

    def leader(self, height: int, view: int) -> int:
        """Return the index of whoever leads a view."""
        leaders = self.observer.leaders(height)
        return leaders[view % len(leaders)]

    def may_be_found_wrong(self, host: str) -> bool:
        """Whether others, or its own time source, may rightly find a clock wrong: it was far enough from one of them.

        A clock that was wrong for an hour is one of the f whose word counts for nothing.
        """
        node = self.nodes[host]
        bound_ms = self.parameters.clock_bound_ms
        least_ms, most_ms = node.clock.errors_ms
        if node.time_source is not None or node.clock.has_jumped:
            return True
        return any(
            most_ms - other.clock.errors_ms[0] > bound_ms
            or other.clock.errors_ms[1] - least_ms > bound_ms
            for other in self.correct()
            if not other.clock.has_jumped
        )

    def describe(self) -> str:
        """Return where every node stands, in one line."""
        parts = []
        for node in self.nodes.values():
            if node.state is not State.RUNNING:
                parts.append(f"{node.host} {node.state.name.lower()}")
                continue
            status = node.engine.status()
            parts.append(
                f"{node.host} tip {status.tip_height} view {status.view} {status.step} "
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
