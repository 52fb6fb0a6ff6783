"""A node tells the chain of itself: once, again when that changes, and not what is nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

from chainnode.keystore.signer import local_signer
from chainnode.model.calls import grant_role
from chainnode.model.keys import KeyPurpose
from chainnode.model.roles import Role
from chainnode.model.second_key import second_key_of
from chainnode.model.suites import ML_DSA_44, key_suite_named
from chainnode.services.declaring import (
    LOOK_MS,
    PATIENCE_MS,
    Declaring,
    clock_due,
    second_key_due,
)
from chainnode.services.own_account import OwnAccount
from contracts.clocks import NAME as CLOCKS
from contracts.clocks import Declaration
from contracts.cosigners import NAME as COSIGNERS
from contracts.query import clock_declaration, second_key_in
from tests.support.chain import ADMIN, ARCHIVE, CLERK, random_bytes
from tests.support.rpc import make_node

NODE = ARCHIVE


@dataclass
class Heard:
    """What the node would log."""

    recorded: list[int] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def declaring(node, *sources, account, check=None):
    keys = node.chain.accounts[account]
    signer = local_signer(
        name="own", suite=keys.suite, purpose=KeyPurpose.ACCOUNT, private_key=keys.private
    )
    ledger, heard = node.ledger, Heard()
    own = OwnAccount(
        name=account,
        signers=[signer],
        ledger=ledger,
        submission=node.services.submission,
    )
    wanted = Declaration(validator=node.chain.validators[0].name, sources=sources, check=check)
    return heard, Declaring(
        CLOCKS,
        lambda: clock_due(wanted, ledger, account),
        own_account=own,
        ledger=ledger,
        is_ready=lambda: True,
        recorded=heard.recorded.append,
        refused=heard.refused.append,
        clock=node.clock,
    )


def settle(node, declaration):
    node.clock.advance(LOOK_MS)
    declaration.tick()
    sent = len(node.engine.pool)
    if sent:
        node.engine.commit()
        node.services.commits.publish()
    return sent


def attached():
    """A node whose account `NODE` may declare."""
    node = make_node()
    node.commits.attach(lambda: None)
    node.engine.commit([node.chain.transaction([grant_role(NODE, Role.TIMESTAMPER)], sender=ADMIN)])
    node.services.commits.publish()
    return node


def test_it_is_declared_once_and_again_when_it_changes():
    node = attached()
    _, first = declaring(node, "北斗", account=NODE)
    assert [settle(node, first), settle(node, first)] == [1, 0]
    assert clock_declaration(node.ledger.state, NODE).sources == ("北斗",)
    _, second = declaring(node, "ntp.example", account=NODE, check="ntp.example:123")
    assert [settle(node, second), settle(node, second)] == [1, 0]
    _, nothing = declaring(node, account=NODE)
    assert [settle(node, nothing), settle(node, nothing)] == [1, 0]
    assert clock_declaration(node.ledger.state, NODE).sources == ()


def test_a_node_that_has_nothing_to_say_says_nothing():
    node = attached()
    _, nothing = declaring(node, account=NODE)
    assert settle(node, nothing) == 0


def test_a_refusal_is_told_and_tried_again_after_a_while():
    node = attached()
    heard, declaration = declaring(node, "ntp.example", account=CLERK)
    assert [settle(node, declaration), settle(node, declaration)] == [1, 0]
    assert "timestamper" in heard.refused[0]
    assert heard.recorded == []
    node.clock.advance(PATIENCE_MS)
    assert settle(node, declaration) == 1


# -- second cosigner keys ----------------------------------------------------------------------------------


def registering(node, second):
    keys = node.chain.accounts[NODE]
    own = OwnAccount(
        name=NODE,
        signers=[
            local_signer(
                name="own", suite=keys.suite, purpose=KeyPurpose.ACCOUNT, private_key=keys.private
            )
        ],
        ledger=node.ledger,
        submission=node.services.submission,
    )
    validator = node.chain.validators[0]
    cosigner = local_signer(
        name="cosigner",
        suite=keys.suite,
        purpose=KeyPurpose.COSIGNER,
        private_key=validator.cosigner.private,
    )
    heard = Heard()
    return heard, Declaring(
        COSIGNERS,
        lambda: second_key_due(second, node.ledger, validator.name, cosigner),
        own_account=own,
        ledger=node.ledger,
        is_ready=lambda: True,
        recorded=heard.recorded.append,
        refused=heard.refused.append,
        clock=node.clock,
    )


def second_signer(label):
    suite = key_suite_named(ML_DSA_44)
    return local_signer(
        name=label,
        suite=suite,
        purpose=KeyPurpose.COSIGNER,
        private_key=random_bytes(label, suite.private_key_bytes),
    )


def test_a_second_key_is_registered_replaced_and_taken_back():
    node = attached()
    validator, genesis = node.chain.validators[0], node.chain.genesis
    cosigner = validator.cosigner.public
    for number, wanted in enumerate((second_signer("a"), second_signer("b"), None), start=1):
        heard, declaring_key = registering(node, wanted)
        assert [settle(node, declaring_key), settle(node, declaring_key)] == [1, 0]
        found = second_key_in(node.ledger.state, validator.name)
        counts = second_key_of(genesis.domain, genesis.chain_id, validator.name, cosigner, found)
        assert found.number == number
        assert (counts and counts.public_key) == (wanted and wanted.public_key)
        assert (heard.recorded, heard.refused) == ([node.ledger.tip.height], [])
        names = node.services.chain.second_keys(node.services.chain.governors(None).validators)
        assert names == ({validator.name} if wanted else set())


def test_a_validator_that_never_had_a_second_key_says_nothing():
    node = attached()
    _, nothing = registering(node, None)
    assert settle(node, nothing) == 0
