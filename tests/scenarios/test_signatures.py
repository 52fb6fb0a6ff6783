"""S33 and S34: signatures that differ each time they are made, one signer counted twice, and keys of another suite."""

from __future__ import annotations

import dataclasses

import pytest

from chainnode.engine.message_codec import decode_message, encode_message
from chainnode.engine.messages import DecidedMessage, ProposeMessage, ViewChangeMessage
from chainnode.model import codec, votes
from chainnode.model.certificate import Certificate
from chainnode.model.errors import DecodeError, InvariantViolation
from chainnode.model.genesis import decode_genesis
from chainnode.model.limits import MAX_GENESIS_BYTES
from chainnode.model.suites import ED25519_SHA256, SM2_SM3, suite_named
from chainnode.model.transaction import Call
from chainnode.model.validators import decode_validator_set, ordered_set
from tests.support.chain import key_pair, make_chain
from tests.support.message_kinds import kind_of
from tests.support.refusals import refuses
from tests.support.scenario import (
    PREPARE,
    PROPOSE,
    VOTES,
    Puppet,
    begin,
    decide,
    name_of_leader,
    names,
    recover,
    started,
    wait_for_leader,
    watched,
)
from tests.support.simulated_node import State
from tests.support.simulated_suite import GOVERNANCE

# -- S33 -----------------------------------------------------------------------------------------------------


def sm2_chain():
    """A chain whose signatures are randomised, and one of its validators that signs all it says anew each time."""
    world = watched(real_crypto=True, suite=SM2_SM3)
    liar = names(world)[1]
    evil = Resigner(world, [liar])
    return begin(world), evil, liar


class Resigner(Puppet):
    """Says everything twice, with two signatures that both hold."""

    copies = 0

    def overhears(self, host, data):
        super().overhears(host, data)
        message = decode_message(data) if kind_of(data) in VOTES else None
        again = None if message is None or not self.owns(host) else self.again(message)
        if again is not None:
            self.copies += 1
            for target in self.targets():
                self.world.network.inject(host, target, encode_message(again))

    def again(self, message):
        domain = self.world.chain.genesis.domain
        (name,) = self.faulty
        key = self.keys[name]
        if isinstance(message, ViewChangeMessage):
            change = message.change
            if change.sender != self.index(name, change.height):
                return None
            signed = votes.view_change_message(domain, change.height, change.view, change.prepared)
            fresh = dataclasses.replace(change, signature=key.sign(signed))
            assert fresh != change
            return dataclasses.replace(message, change=fresh)
        if message.sender != self.index(name, message.height):
            return None
        if isinstance(message, ProposeMessage):
            held = [d for d, o in self.knowledge.outlines.items() if o == message.outline]
            kind, (digest,) = votes.PROPOSE, {digest for _, digest in held}
        else:
            kind, digest = message.kind, message.digest
        signed = votes.vote_message(domain, kind, message.height, message.view, digest)
        fresh = dataclasses.replace(message, signature=key.sign(signed))
        assert fresh.signature != message.signature
        return fresh


def test_s33_two_signatures_of_one_statement_are_one_vote_and_no_evidence():
    world, evil, _liar = sm2_chain()
    decide(world, 4)
    # Requests for views as well, and locks whose proofs hold either signature.
    world.network.withholds = lambda _from, _to, kind: kind == PROPOSE
    world.submit(2)
    world.run_for(3_000)
    world.network.withholds = None
    decide(world, 4)
    assert evil.copies > 20
    assert world.observer.events["misbehaviour_proven"] == 0
    assert world.observer.events["peer_fault"] == 0
    assert len(world.observer.acknowledged) == len(world.submitted), "nobody has reported anybody"
    recover(world)


def test_s33_a_restarted_validator_says_again_what_it_signed():
    world = started(real_crypto=True, suite=SM2_SM3)
    for name in names(world):
        node = world.nodes[name]
        world.network.withholds = lambda _from, _to, kind: kind == PREPARE
        world.submit(2)
        world.run_for(200)
        node.crash()
        node.boot()
        world.run_for(200)
        world.network.withholds = None
        decide(world)
    recover(world)


def with_one_correct(suite):
    """Of four, two are gone, one is correct, and one would make up for both; return also the block that waits."""
    world = watched(real_crypto=True, suite=suite)
    liar = names(world)[1]
    evil = Puppet(world, [liar])
    begin(world)
    alone, *gone = evil.targets()
    height = wait_for_leader(world, alone, 0)
    for name in gone:
        world.nodes[name].crash()
    world.submit(2)
    world.run_until(
        lambda: any(h == height for h, _ in evil.knowledge.outlines),
        within_ms=4_000,
        what="a block",
    )
    digest = next(d for h, d in evil.knowledge.outlines if h == height)
    return world, evil, liar, world.nodes[alone], height, digest


@pytest.mark.parametrize("suite", [ED25519_SHA256, SM2_SM3])
def test_s33_no_number_of_signatures_of_one_validator_is_a_quorum(suite):
    world, evil, liar, alone, height, digest = with_one_correct(suite)
    for _ in range(5):
        for view in range(3):
            for kind in (votes.PREPARE, votes.COMMIT):
                evil.tell(liar, evil.vote(liar, kind, height, view, digest), [alone.name])
            if view:
                change = evil.change(liar, height, view, None)
                evil.tell(liar, ViewChangeMessage(change=change, proof=None), [alone.name])
        world.run_for(300)
    assert alone.ledger.tip.height == height - 1
    # Its own timer has it leave view 0, and the liar, which asks for view 2, may leave the view that it leads: once.
    left = 1 + (name_of_leader(world, height, 1) == liar)
    assert alone.engine.status().view <= left, "nor do requests of one make a quorum"
    recover(world)


def certificates(evil, liar, height, digest):
    """What a liar could pass off as the signatures of a quorum."""
    index = evil.index(liar, height)
    own = [evil.vote(liar, votes.COMMIT, height, 0, digest).signature for _ in range(3)]
    genuine = Certificate(
        height=height, view=0, block_hash=digest, signatures=((index, own[0]),)
    ).encode()
    version, *head, _bits, _signatures = codec.decode_array(
        genuine, max_bytes=10_000, arity=6, what="certificate"
    )
    places = sorted([index, *(i for i in range(4) if i != index)][:3])
    bits = sum(1 << place for place in places)
    yield codec.encode((version, *head, bytes([bits]), tuple(own)))
    yield codec.encode((version, *head, bytes([1 << index]), tuple(own)))
    yield codec.encode((version, *head, bytes([1 << index]) * 3, tuple(own)))
    yield genuine


@pytest.mark.parametrize("suite", [ED25519_SHA256, SM2_SM3])
@pytest.mark.parametrize("number", range(4))
def test_s33_a_certificate_that_names_one_signer_twice_decides_nothing(suite, number):
    world, evil, liar, alone, height, digest = with_one_correct(suite)
    forged = list(certificates(evil, liar, height, digest))[number]
    evil.tell(liar, DecidedMessage(forged), [alone.name])
    world.run_for(1_000)
    assert alone.ledger.tip.height == height - 1
    assert world.observer.accusations or world.observer.refusals, "it was looked at"
    recover(world)


# -- S34 -----------------------------------------------------------------------------------------------------

PAIRS = [(ED25519_SHA256, SM2_SM3), (SM2_SM3, ED25519_SHA256)]
KEYS = ("consensus_key", "cosigner_key", "log_key")


@pytest.mark.parametrize(("suite", "other"), PAIRS)
@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("member", [0, 3])
def test_s34_a_genesis_with_a_validators_key_of_another_suite_is_refused(suite, other, key, member):
    chain = make_chain(suite=suite)
    fields = codec.decode_array(
        chain.genesis.encoded, max_bytes=MAX_GENESIS_BYTES, arity=10, what="genesis"
    )
    validators = list(fields[7])
    foreign = key_pair(suite_named(other), "foreign").public
    at = 2 + KEYS.index(key)
    validators[member] = (*validators[member][:at], foreign, *validators[member][at + 1 :])
    with refuses("bad_key", DecodeError):
        decode_genesis(codec.encode((*fields[:7], tuple(validators), *fields[8:])))


def mixed_set(chain, other, key):
    """The set of genesis with one key of another suite."""
    members = list(chain.genesis.validator_set.members)
    foreign = key_pair(suite_named(other), "foreign").public
    members[2] = dataclasses.replace(members[2], **{key: foreign})
    return ordered_set(tuple(members))


@pytest.mark.parametrize(("suite", "other"), PAIRS)
@pytest.mark.parametrize("key", KEYS)
def test_s34_a_set_with_a_key_of_another_suite_is_none(suite, other, key):
    chain = make_chain(suite=suite)
    with refuses("bad_key", DecodeError):
        decode_validator_set(mixed_set(chain, other, key).encode(), suite_named(suite))


@pytest.mark.parametrize(("suite", "other"), PAIRS)
def test_s34_a_change_to_a_mixed_set_is_voted_for_by_nobody_though_a_contract_made_it(suite, other):
    """A contract of the product would refuse it. One that does not is a fault of the software, which no block records."""
    world = started(real_crypto=True, suite=suite, has_governance=True)
    world.tolerates_faults = True
    height = world.height()
    encoded = mixed_set(world.chain, other, "consensus_key").encode()
    change = world.chain.transaction(
        [Call(contract=GOVERNANCE, method="replace", args=(encoded,))], nonce="mixed"
    )
    for node in world.nodes.values():
        node.submit(change)
    world.run_for(10_000)
    stopped = [n for n in world.nodes.values() if n.state is State.STOPPED]
    assert stopped
    for node in stopped:
        assert isinstance(node.fault, InvariantViolation)
        assert "impossible validator set" in str(node.fault)
    assert {n.ledger.tip.height for n in world.nodes.values()} == {height}
    # What waits in memory is gone with the process; nobody has it on disk, since nobody voted for it.
    for node in world.nodes.values():
        if node.is_up:
            node.crash()
    world.run_for(100)
    world.tolerates_faults = False
    recover(world)
    assert {v.name for v in world.observer.validators(world.height() + 2).members} == set(
        names(world)
    )
