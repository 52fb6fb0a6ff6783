"""A network of real replicas under one virtual clock and one seeded source of chance.

Everything between claims is simulated: delivery, disks that keep only what was synced, block
execution. A monitor that shares no code with the replicas watches each record and each message.
"""

import heapq
import random
from dataclasses import dataclass, field

from consensus.effects import Amnesia, Decided, Effects, Locked, Proposed, Voted
from consensus.events import (
    Built,
    CommitReceived,
    DecidedReceived,
    PrepareReceived,
    ProposalReceived,
    Recovered,
    StartHeight,
    StatusReceived,
    Tick,
    Verdict,
    ViewChangeReceived,
    WorkPending,
)
from consensus.messages import Commit, Prepare, Proposal, ProvenViewChange, Status, ViewChange
from consensus.parameters import Parameters
from consensus.replica import Replica
from tests.support.leaders import rotation

PARAMETERS = Parameters(
    timeout_ms=300, timeout_cap_ms=2_000, min_interval_ms=50, heartbeat_ms=1_000
)
TIMELY_MS = 1_500


class Violation(AssertionError):
    """The replicas broke a promise of the protocol."""


@dataclass(frozen=True)
class Block:
    height: int
    first_view: int
    proposer: int
    made_ms: int
    valid: bool = True


@dataclass
class Network:
    loss: float = 0.0
    repeat: float = 0.0
    delay_ms: int = 10
    blocked: set = field(default_factory=set)

    @classmethod
    def chaos(cls, rng, names):
        network = cls(
            loss=rng.choice([0, 0.05, 0.2, 0.4]),
            repeat=rng.choice([0, 0.1, 0.5]),
            delay_ms=rng.choice([5, 50, 500, 3_000]),
        )
        shape = rng.choice(["whole", "split", "one way", "mute"])
        side = {name for name in names if rng.random() < 0.5}
        if shape == "split":
            network.blocked = {(a, b) for a in names for b in names if (a in side) != (b in side)}
        elif shape == "one way":
            network.blocked = {(a, b) for a in names for b in names if a in side and b not in side}
        elif shape == "mute":
            lone = rng.choice(names)
            network.blocked = {(lone, b) for b in names}
        return network


class Node:
    """A replica with its disk: synced records of the open height, stored decisions."""

    def __init__(self, name, index):
        self.name = name
        self.index = index
        self.replica = Replica(PARAMETERS)
        self.records = []
        self.decisions = {}
        self.heard = {}
        self.up = True
        self.life = 0
        self.tick_at = None

    @property
    def height(self):
        return len(self.decisions) + 1


class Simulation:
    """Runs `n` validators; those in `twins` run twice under one index, and count as faulty."""

    def __init__(self, seed, n=4, twins=(), crashes=True, idle=False, bad_blocks=0.0):
        self.rng = random.Random(seed)
        self.seed, self.n, self.quorum = seed, n, 2 * n // 3 + 1
        self.faulty = set(twins)
        self.nodes = [Node(f"v{i}", i) for i in range(n)] + [Node(f"v{i}twin", i) for i in twins]
        self.by_name = {node.name: node for node in self.nodes}
        self.crashes, self.idle, self.bad_blocks = crashes, idle, bad_blocks
        self.crash_rate = self.rng.choice([0.002, 0.01, 0.04])
        self.network = Network()
        self.now = 0
        self.queue = []
        self.order = 0
        self.blocks = {}
        self.decided = {}
        self.said = {}
        self.left = {}
        self.locked = {}
        self.steps = 0
        self.view_changes = 0
        for node in self.nodes:
            self.open(node)

    # --- running ---------------------------------------------------------------------------

    def at(self, delay_ms, action, *args):
        self.order += 1
        heapq.heappush(self.queue, (self.now + delay_ms, self.order, action, args))

    def run(self, until_ms, stop=lambda: False):
        while self.queue and self.queue[0][0] <= until_ms and not stop():
            self.now, _, action, args = heapq.heappop(self.queue)
            action(*args)
        if not stop():
            self.now = until_ms

    def chaos(self, duration_ms):
        end = self.now + duration_ms
        while self.now < end:
            self.network = Network.chaos(self.rng, [node.name for node in self.nodes])
            self.run(min(end, self.now + self.rng.randint(100, 4_000)))

    def heal_and_check_progress(self, heights=3):
        self.network, self.crashes, self.bad_blocks = Network(), False, 0.0
        honest = [node for node in self.nodes if node.index not in self.faulty]
        for node in honest:
            if not node.up:
                self.restart(node, node.life)
        goal = max(node.height for node in self.nodes) + heights
        # Worst case: delayed leftovers, then one round of views at the cap, plus three heartbeats.
        bound = (2 * self.n + 4) * PARAMETERS.timeout_cap_ms + heights * PARAMETERS.heartbeat_ms
        self.run(self.now + bound, stop=lambda: all(node.height >= goal for node in honest))
        if any(node.height < goal for node in honest):
            where = [(node.name, node.replica.snapshot()) for node in honest]
            self.fail(f"stuck below height {goal}: {where}")

    def fail(self, what):
        raise Violation(f"seed={self.seed} n={self.n} now={self.now}: {what}")

    # --- the host --------------------------------------------------------------------------

    def open(self, node, records=None):
        start = StartHeight(
            height=node.height,
            n=self.n,
            quorum=self.quorum,
            me=node.index,
            leaders=rotation(node.height, self.n),
            parent_ms=self.now,
        )
        if not self.idle:
            self.step(node, WorkPending(since_ms=self.now))
        if not node.up:
            return
        if records is None:
            self.step(node, start)
        else:
            self.step(node, Recovered(start=start, records=tuple(records)))
        self.offer_heard(node)

    def offer_heard(self, node):
        certificate = node.heard.pop(node.height, None)
        if node.up and certificate is not None:
            self.step(node, DecidedReceived(peer="sync", certificate=certificate))

    def step(self, node, event):
        self.steps += 1
        effects = node.replica.step(event, self.now)
        cut = None
        if self.crashes and self.rng.random() < self.crash_rate:
            cut = self.rng.randint(-1, len(effects.send))
        if cut != -1:
            self.watch_records(node, effects)
            node.records += effects.persist
            for number, send in enumerate(effects.send):
                if number == cut:
                    break
                self.send(node, send)
        if cut is not None:
            self.crash(node)
            return
        self.answer(node, effects)
        deadline = node.replica.deadline_ms
        if deadline is not None and deadline != node.tick_at:
            node.tick_at = deadline
            self.at(max(0, deadline - self.now), self.tick, node, node.life, deadline)

    def tick(self, node, life, deadline):
        if node.up and node.life == life and node.tick_at == deadline:
            node.tick_at = None
            self.step(node, Tick())

    def crash(self, node):
        node.up = False
        node.life += 1
        node.heard = {}
        self.at(self.rng.randint(10, 3_000), self.restart, node, node.life)

    def restart(self, node, life):
        if node.up or node.life != life:
            return
        node.up = True
        node.tick_at = None
        node.replica = Replica(PARAMETERS)
        self.open(node, list(node.records))

    def answer(self, node, effects: Effects):
        for fault in effects.faults:
            claim = fault.commit if isinstance(fault, Amnesia) else fault.first
            if claim.sender not in self.faulty:
                self.fail(f"{node.name} accuses the honest {claim.sender}: {fault}")
        for build in effects.build:
            digest = f"{build.height}/{build.view}/{node.name}/{self.order}".encode().ljust(32)
            self.at(self.rng.randint(0, 20), self.built, node, node.life, build, digest)
        for ask in effects.validate:
            self.at(self.rng.randint(0, 30), self.judge, node, node.life, ask)
        for behind in effects.behind:
            self.give(node, behind.peer, behind.height)
        for ahead in effects.ahead:
            if ahead.peer in self.by_name:
                self.give(self.by_name[ahead.peer], node.name, node.height)
        for certificate in effects.decided:
            self.watch_decision(node, certificate)
            self.at(self.rng.randint(0, 10), self.store, node, node.life, certificate)

    def built(self, node, life, build, digest):
        if node.up and node.life == life:
            valid = self.rng.random() >= self.bad_blocks
            self.blocks[digest] = Block(build.height, build.view, node.index, self.now, valid)
            self.step(node, Built(height=build.height, view=build.view, digest=digest))

    def judge(self, node, life, ask):
        if node.up and node.life == life:
            block = self.blocks[ask.digest]
            self.step(
                node,
                Verdict(
                    height=ask.height,
                    digest=ask.digest,
                    first_view=block.first_view,
                    valid=block.valid,
                ),
            )

    def store(self, node, life, certificate):
        if node.up and node.life == life and certificate.height == node.height:
            node.decisions[certificate.height] = certificate
            node.records = []
            self.open(node)

    def give(self, node, peer, height):
        certificate = node.decisions.get(height)
        if certificate is not None and peer in self.by_name:
            self.deliver_later(node, self.by_name[peer], certificate)

    # --- the wire --------------------------------------------------------------------------

    def send(self, node, send):
        self.watch_message(node, send.message)
        for other in self.nodes:
            if other is not node and send.to in (None, other.name):
                self.deliver_later(node, other, send.message)

    def deliver_later(self, node, other, message):
        network, rng = self.network, self.rng
        if (node.name, other.name) in network.blocked or rng.random() < network.loss:
            return
        copies = 2 if rng.random() < network.repeat else 1
        for _ in range(copies):
            self.at(rng.randint(1, network.delay_ms), self.deliver, node.name, other, message)

    def deliver(self, peer, node, message):
        if not node.up:
            return
        match message:
            case Proposal():
                block = self.blocks[message.digest]
                timely = self.now - block.made_ms <= TIMELY_MS
                event = ProposalReceived(peer=peer, proposal=message, timely=timely)
            case Prepare():
                event = PrepareReceived(peer=peer, vote=message)
            case Commit():
                event = CommitReceived(peer=peer, vote=message)
            case ProvenViewChange():
                event = ViewChangeReceived(peer=peer, message=message)
            case Status():
                event = StatusReceived(peer=peer, status=message)
            case _:
                if message.height > node.height:
                    node.heard[message.height] = message
                    return
                event = DecidedReceived(peer=peer, certificate=message)
        self.step(node, event)

    # --- the monitor -----------------------------------------------------------------------

    def watch_records(self, node, effects):
        for record in effects.persist:
            match record:
                case Proposed():
                    self.watch_claim(node, record.proposal.claim)
                case Voted():
                    self.watch_claim(node, record.vote)
                case Locked():
                    key = (node.name, record.certificate.height)
                    if record.certificate.view < self.locked.get(key, -1):
                        self.fail(f"{node.name} lowered its lock")
                    self.locked[key] = record.certificate.view
                    if Commit not in [type(getattr(r, "vote", None)) for r in effects.persist]:
                        self.fail(f"{node.name} locked without its COMMIT in the same group")

    def watch_claim(self, node, claim):
        """Each slot is used once, across crashes, and never below a view that was left."""
        slot = (node.name, type(claim), claim.height, claim.view)
        if self.said.setdefault(slot, claim) != claim:
            self.fail(f"{node.name} said both {self.said[slot]} and {claim}")
        left = self.left.get((node.name, claim.height), 0)
        if claim.view < left:
            self.fail(f"{node.name} said {claim} after it left for view {left}")
        if isinstance(claim, ViewChange):
            self.view_changes += 1
            self.left[node.name, claim.height] = claim.view
            locked = self.locked.get((node.name, claim.height))
            if claim.prepared_view != locked:
                self.fail(f"{node.name} is locked in view {locked} but said {claim}")

    def watch_message(self, node, message):
        """What leaves in the sender's own name is on its disk."""
        if isinstance(message, Status):
            return
        claim = message.claim if isinstance(message, Proposal | ProvenViewChange) else message
        durable = [getattr(r, "vote", None) for r in node.records]
        durable += [r.proposal.claim for r in node.records if isinstance(r, Proposed)]
        if claim.sender == node.index and claim not in durable:
            if node.index in self.faulty:
                return
            self.fail(f"{node.name} sent {claim} before it was durable")

    def watch_decision(self, node, certificate):
        if node.index in self.faulty:
            return
        if not any(isinstance(r, Decided) for r in node.records):
            self.fail(f"{node.name} decided before it was durable")
        digest = self.decided.setdefault(certificate.height, certificate.digest)
        if digest != certificate.digest:
            self.fail(f"two decisions at {certificate.height}: {digest} and {certificate.digest}")
        if len(set(certificate.signers)) < self.quorum:
            self.fail(f"decision by too few: {certificate}")
        for claim in certificate.claims():
            names = [x.name for x in self.nodes if x.index == claim.sender]
            slots = [(x, Commit, claim.height, claim.view) for x in names]
            if claim not in [self.said.get(slot) for slot in slots]:
                self.fail(f"decision with a vote that nobody cast: {claim}")
        if not self.blocks[certificate.digest].valid:
            self.fail(f"an invalid block was decided: {certificate}")
