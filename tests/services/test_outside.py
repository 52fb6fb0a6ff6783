"""Cosignatures of outside witnesses: when they are served beside the validators', and when nobody waits for them."""

from dataclasses import replace

import pytest

from chainnode.model.cosignature import cosign
from chainnode.model.errors import DecodeError, ProofInvalid, Refused, Unavailable
from chainnode.model.note import cosigner_key
from chainnode.model.signatories import verify_checkpoint
from chainnode.model.suites import ML_DSA_44, key_suite_named, suite_named
from chainnode.model.tlog_policy import (
    Policy,
    Witness,
    parse_policy,
    validators_policy,
    with_outside,
)
from chainnode.services.outside import MAX_OUTSIDE_WITNESSES, PATIENCE_MS, OutsideCosignatures
from tests.support.alliance import Key
from tests.support.rpc import NOW_MS, ManualClock, make_node

SUITE = suite_named("ed25519-sha256")
KEYS = {name: Key.of(SUITE, f"outside {name}") for name in ("x", "y", "z")}


def witness_named(name, *, suite=SUITE, url="https://outside.example"):
    public = Key.of(suite, f"outside {name}").public
    key = cosigner_key(suite, f"outside.example/{name}", public)
    return Witness(name=name, key=key, url=url)


def outside_policy(*names, quorum="all"):
    lines = "".join(
        f"witness {n} {witness_named(n).key.vkey()} https://outside.example/{n}\n" for n in names
    )
    return parse_policy(
        f"{lines}group outside {quorum} {' '.join(names)}\nquorum outside\n".encode()
    )


def chain_policy(node):
    return validators_policy(
        node.chain.genesis.suite,
        node.chain.genesis.chain_id,
        [(v.name, v.log.public, v.cosigner.public) for v in node.chain.validators],
    )


def grow(node, label):
    node.engine.commit([node.chain.notarization(label)])
    node.engine.cosign()


def witnessed(node, *names):
    """Let these outside witnesses cosign the newest checkpoint."""
    signed = node.services.log.for_witnesses()
    for name in names:
        witness = witness_named(name)
        line = cosign(signed.note.text, NOW_MS // 1000, witness.key, KEYS[name].sign)
        node.services.log.outside.take(signed.cosigned, witness, line, node.clock.monotonic_ms())


@pytest.fixture
def node():
    node = make_node(outside=outside_policy("x", "y"))
    grow(node, "first")
    return node


def test_what_is_served_satisfies_both_policies_once_all_have_cosigned(node):
    own = chain_policy(node)
    both = with_outside(own, outside_policy("x", "y"))
    log = node.services.log
    verify_checkpoint(log.checkpoint().note, own)
    witnessed(node, "x")
    with pytest.raises(
        ProofInvalid,
        match=r"needs 2 more: 2 by outside witnesses; `chainnode refresh PROOF --witnessed`",
    ):
        verify_checkpoint(log.checkpoint().note, both)
    witnessed(node, "y")
    trusted = verify_checkpoint(log.checkpoint().note, both)
    assert [c.witness for c in trusted.cosigners][-2:] == ["x", "y"]
    verify_checkpoint(log.prove(0).proof.note, both)
    verify_checkpoint(log.checkpoint().note, own)


def test_a_witnessed_checkpoint_is_served_until_it_is_left_behind(node):
    log = node.services.log
    witnessed(node, "x", "y")
    grow(node, "second")
    assert log.checkpoint().cosigned.height == 1
    # What it does not cover is proven without them.
    old, new = 0, log.checkpoint().cosigned.checkpoint.size
    assert log.prove(new).proof.checkpoint.size > new
    assert log.prove(old).proof.checkpoint.size == new
    node.clock.advance(PATIENCE_MS)
    assert log.checkpoint().cosigned.height == 1
    node.clock.advance(1)
    assert log.checkpoint().cosigned.height == 2
    assert log.checkpoint().outside == ()
    witnessed(node, "x", "y")
    assert len(log.checkpoint().outside) == 2


def test_validators_that_cosign_the_same_tree_later_are_served_beside_them(node):
    witnessed(node, "x", "y")
    node.clock.advance(10 * PATIENCE_MS)
    node.engine.cosign()
    served = node.services.log.checkpoint()
    assert served.cosigned is node.engine.checkpoint
    assert len(served.outside) == 2


def test_a_proof_with_them_is_given_or_refused_at_once(node):
    log = node.services.log
    with pytest.raises(Unavailable) as caught:
        log.prove(0, witnessed=True)
    assert caught.value.error_code == "not_yet_witnessed"
    witnessed(node, "x", "y")
    assert len(log.prove(0, witnessed=True).proof.note.signatures) == 1 + 3 + 2
    size = log.checkpoint().cosigned.checkpoint.size
    grow(node, "second")
    with pytest.raises(Unavailable):
        log.prove(size, witnessed=True)
    # However long ago it was: who asks for them wants them.
    node.clock.advance(10 * PATIENCE_MS)
    assert log.prove(0, witnessed=True).proof.checkpoint.size == size
    alone = make_node()
    grow(alone, "first")
    with pytest.raises(Refused, match="no outside witnesses"):
        alone.services.log.prove(0, witnessed=True)


def test_cosignatures_of_different_trees_do_not_add_up(node):
    witnessed(node, "x")
    grow(node, "second")
    witnessed(node, "y")
    assert node.services.log.outside.newest is None
    witnessed(node, "x")
    assert node.services.log.outside.newest.cosigned.height == 2


def test_monitoring_sees_when_each_cosigned_last(node):
    witnessed(node, "x")
    text = node.services.metrics.render().decode()
    assert 'chainnode_outside_cosigned_seconds{witness="x"} 1.76e+09' in text
    assert 'chainnode_outside_cosigned_seconds{witness="y"} 0.0' in text


def test_validators_leave_room_for_them_in_the_longest_note(node):
    cosigned = node.engine.checkpoint
    many = tuple(replace(cosigned.signatures[0], name=f"v/{n}") for n in range(99))
    node.engine.checkpoint = replace(cosigned, signatures=many)
    witnessed(node, "x", "y")
    signatures = node.services.log.checkpoint().note.signatures
    assert len(signatures) == 100
    assert [s.name for s in signatures[-2:]] == ["outside.example/x", "outside.example/y"]


@pytest.mark.parametrize(
    "witnesses",
    [
        (),
        tuple(witness_named(f"w{n}") for n in range(MAX_OUTSIDE_WITNESSES + 1)),
        (witness_named("x", url=None),),
        (witness_named("x", url="ftp://outside.example"),),
        (witness_named("x", suite=suite_named("sm2-sm3")),),
    ],
)
def test_witnesses_that_cannot_be_asked_are_refused(witnesses):
    policy = Policy(logs=(), witnesses=witnesses, groups=(), quorum="none")
    with pytest.raises(Refused):
        OutsideCosignatures(policy, SUITE, ManualClock())


def test_an_outside_witness_may_cosign_with_ml_dsa_44():
    witness = witness_named("x", suite=key_suite_named(ML_DSA_44))
    policy = Policy(logs=(), witnesses=(witness,), groups=(), quorum="x")
    assert OutsideCosignatures(policy, SUITE, ManualClock()).witnesses == (witness,)


def test_outside_witnesses_are_shown_first_cosignatures_only(node):
    cosigned = node.engine.checkpoint
    second = tuple(replace(s, value=bytes(2_428)) for s in cosigned.signatures)
    node.engine.checkpoint = replace(cosigned, signatures=(*cosigned.signatures, *second))
    log = node.services.log
    assert len(log.checkpoint().note.signatures) == 1 + 2 * len(second)
    assert log.for_witnesses().note.signatures[1:] == cosigned.signatures


@pytest.mark.parametrize(
    "text",
    [
        "witness x {x} https://outside.example\nquorum none\n",
        "witness validators {x} https://outside.example\nquorum validators\n",
        "witness both {x}\nquorum both\n",
        "witness x {own}\nquorum x\n",
        "witness x {sm2}\nquorum x\n",
    ],
)
def test_policies_that_do_not_go_together_are_refused(node, text):
    own = chain_policy(node)
    filled = text.format(
        x=witness_named("x").key.vkey(),
        own=own.witnesses[0].key.vkey(),
        sm2=witness_named("x", suite=suite_named("sm2-sm3")).key.vkey(),
    )
    with pytest.raises(DecodeError):
        with_outside(own, parse_policy(filled.encode()))


def test_a_quorum_of_outside_witnesses_is_one_of_the_combined_policy(node):
    both = with_outside(chain_policy(node), outside_policy("x", "y", "z", quorum="2"))
    assert parse_policy(both.encode()) == both
    validators = {w.name for w in both.witnesses if w.name.startswith("test")}
    everybody = {w.name for w in both.witnesses}
    assert both.missing(everybody) == 0
    assert both.missing(everybody - {"x"}) == 0
    assert both.missing(everybody - {"x", "y"}) == 1
    assert both.missing(everybody - {"x", "y", "z"}) == 2
    assert both.missing({"x", "y", "z"}) == node.chain.genesis.validator_set.quorum
    assert validators <= everybody
