"""More than f validators that lie can fork a chain. Then what was signed names at least f + 1 of them, and nobody else."""

from __future__ import annotations

import dataclasses

import pytest

from chainnode.model.errors import NodeFault
from chainnode.model.forensics import culprits, statements_of
from tests.support.adversaries.twins import Twins
from tests.support.simulated_chain import SimulatedChain
from tests.support.simulated_network import PERFECT
from tests.support.simulated_node import State


class TwoFaces(Twins):
    """Each owned validator shows one machine to one half of the others and the other machine to the other half."""

    def __init__(self, world, *, excess):
        super().__init__(world, excess=excess)
        correct = [n.name for n in world.correct()]
        self.random.shuffle(correct)
        validators = world.chain.genesis.validator_set
        # Both halves, with all the owned ones, must be quorums, or there is no fork.
        least = max(1, validators.quorum - len(self.faulty))
        at = self.random.randint(least, len(correct) - least)
        self.halves = (correct[:at], correct[at:])
        self._divide()

    def act(self):
        """Stay as it is."""

    def _divide(self):
        if not hasattr(self, "halves"):
            return
        hosts = list(self.world.nodes)
        for name in self.faulty:
            for own, half in zip(self.world.network.hosts_of(name), self.halves, strict=True):
                for other in hosts:
                    is_owned = self.world.nodes[other].name in self.keys
                    same_side = is_owned and other.endswith("'") == own.endswith("'")
                    self._sides[own, other] = same_side or other in half


def forked(seed, validators, excess):
    """Run until two correct validators have decided different blocks; return the world and the height."""
    world = SimulatedChain(seed=seed, validators=validators)
    adversary = TwoFaces(world, excess=excess)
    random = world.random
    world.network.conditions = dataclasses.replace(
        PERFECT,
        loss_permille=random.choice((0, 50, 200)),
        delay_ms=random.choice(((1, 3), (1, 200))),
    )
    world.start()
    first, second = adversary.halves
    world.cut(
        (a, b) for a in world.nodes for b in world.nodes if {a, b} & {*first} and {a, b} & {*second}
    )
    down = [n for n in world.nodes.values() if n.host.endswith("'")]
    # Without its leader, one half reaches later views than the other: the fork is across views.
    late = (
        random.choice(down)
        if random.random() < 0.7 and len(adversary.faulty) > 2 - excess
        else None
    )
    if late is not None:
        late.pause()
    world.observer.tolerates_forks = world.tolerates_faults = True
    for step in range(240):
        world.submit(1, to=random.choice(first))
        world.submit(1, to=random.choice(second))
        if late is not None and step == 12:
            late.resume()
        world.run_for(50)
        if world.observer.forks:
            return world, world.observer.forks[0]
    return world, None


def decided_at(world, height):
    return [
        n for n in world.correct() if n.state is State.RUNNING and n.ledger.tip.height >= height
    ]


def _hash(node, height):
    return node.ledger.header(height)[1].block_hash


def evidence(world, height):
    """Return what all that is held by correct nodes proves."""
    statements = []
    for node in world.correct():
        if node.state is State.RUNNING:
            statements += node.engine.testimony(height)
        if node.state is State.RUNNING and node.ledger.tip.height >= height:
            statements += statements_of(node.ledger.header(height)[1])
    genesis = world.chain.genesis
    return culprits(genesis.domain, genesis.validator_set, statements)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("validators", "excess"), [(4, 1), (5, 2), (6, 3), (7, 1), (7, 2), (10, 2)]
)
def test_a_fork_is_evidence_against_f_plus_one_and_against_nobody_who_is_correct(
    validators, excess
):
    forks, across_views = 0, 0
    for seed in range(12):
        world, height = forked(seed, validators, excess)
        if height is None:
            continue
        forks += 1
        members = world.chain.genesis.validator_set
        guilty = {members.members[e.signer].name for e in evidence(world, height)}
        again = f"seed {seed}, {validators} validators, {excess} too many"
        assert guilty <= set(world.faulty), f"{again}: {guilty - set(world.faulty)} are framed"
        assert len(guilty) > members.faulty, f"{again}: only {guilty} are named"
        views = {n.ledger.header(height)[1].view for n in decided_at(world, height)}
        across_views += len(views) > 1
    assert 0 < across_views < forks, "forks within one view and across views are both to be judged"


def test_correct_nodes_stop_when_they_meet_the_other_half_and_write_down_why():
    world, height = forked(0, 4, 1)
    assert height is not None
    world.cut(())
    for node in world.nodes.values():
        if node.name in world.faulty and node.is_up:
            node.crash()
    world.run_for(10_000)
    stopped = [n for n in world.correct() if n.state is State.STOPPED]
    assert stopped
    assert all(isinstance(n.fault, NodeFault) for n in stopped)
    assert all("fork" in str(n.fault) for n in stopped)
