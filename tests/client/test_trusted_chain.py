"""Following a chain from genesis through changes of its validators, with a node that may lie."""

import asyncio
from dataclasses import replace

import pytest

from chainnode.client.trusted_chain import follow
from chainnode.model.certificate import Certificate
from chainnode.model.errors import DecodeError, ProofInvalid
from chainnode.model.header import block_hash_of
from chainnode.model.validators import ordered_set
from chainnode.model.votes import COMMIT, vote_message
from chainnode.rpc.client import to_base64
from tests.support.chain import make_chain
from tests.support.formats import SUITES, samples
from tests.support.refusals import refuses

SAMPLE = samples(SUITES[0])
GENESIS = SAMPLE.chain.genesis
DOMAIN = GENESIS.domain
OLD = GENESIS.validator_set
LARGER = make_chain(validators=5)
NEW = ordered_set(LARGER.genesis.validator_set.members[1:])
KEYS = {v.consensus.public: v.consensus for v in LARGER.validators}


class Node:
    """Heights 1 to 3 are governed by the set of genesis, 4 to 6 by a new one, 7 to 9 by the old one again."""

    tip = 9
    changes = (4, 7)

    def governing(self, height):
        return NEW if 4 <= height <= 6 else OLD

    def header(self, height):
        return replace(
            SAMPLE.headers[0],
            height=height,
            validators_hash=self.governing(height).hash(DOMAIN),
            next_validators_hash=self.governing(height + 1).hash(DOMAIN),
        )

    def signers(self, height):
        return self.governing(height)

    async def chain_status(self):
        return {"tip_height": self.tip}

    async def chain_validators(self, height):
        return {
            "encoded": to_base64(self.governing(height).encode()),
            "change_heights": [c for c in self.changes if c <= height],
        }

    async def chain_header(self, height):
        data = self.header(height).encode()
        block_hash = block_hash_of(DOMAIN, data)
        message = vote_message(DOMAIN, COMMIT, height, 0, block_hash)
        members = self.signers(height).members[:3]
        certificate = Certificate(
            height=height,
            view=0,
            block_hash=block_hash,
            signatures=tuple(
                (i, KEYS[v.consensus_key].sign(message)) for i, v in enumerate(members)
            ),
        )
        return {"header": to_base64(data), "certificate": to_base64(certificate.encode())}


def followed(node, height=None):
    return asyncio.run(follow(node, GENESIS, height))


@pytest.mark.parametrize(
    ("height", "validators", "changes"),
    [(0, OLD, 0), (1, OLD, 0), (3, OLD, 0), (4, NEW, 1), (6, NEW, 1), (7, OLD, 2), (None, OLD, 2)],
)
def test_each_height_is_governed_by_the_set_that_the_one_before_named(height, validators, changes):
    found = followed(Node(), height)
    assert (found.validators, found.changes) == (validators, changes)
    witnesses = {w.name for w in found.policy(GENESIS).witnesses}
    assert witnesses == {f"{GENESIS.chain_id}/{v.name}" for v in validators.members}


def test_a_change_that_is_kept_back_is_noticed():
    node = Node()
    node.changes = ()
    with refuses("other_validators", ProofInvalid):
        followed(node, 5)
    # With both changes kept back the set is the same again, and so is the policy.
    assert followed(node, 8).validators == OLD


def test_a_set_that_nobody_named_is_not_followed():
    node = Node()
    node.changes = (3,)
    with refuses("other_validators", ProofInvalid):
        followed(replace_sets(node, lambda height: NEW if height >= 3 else OLD), 5)


def replace_sets(node, governing):
    honest = node.header
    headers = {h: honest(h) for h in range(1, 10)}
    node.governing = governing
    node.header = headers.__getitem__
    return node


def test_a_header_that_the_set_did_not_sign_is_not_believed():
    node = Node()
    node.signers = lambda _height: NEW
    with pytest.raises(ProofInvalid):
        followed(node, 2)


def test_another_height_than_the_one_asked_for_is_not_believed():
    node = Node()
    honest = node.header
    node.header = lambda height: honest(2 if height == 3 else height)
    asked = node.chain_header

    async def shifted(height):
        return await asked(2 if height == 3 else height)

    node.chain_header = shifted
    with refuses("other_block", ProofInvalid):
        followed(node, 3)


def test_a_change_that_took_place_earlier_is_not_taken_for_a_later_one():
    node = Node()
    asked_header, asked_set = node.chain_header, node.chain_validators

    async def header(height):
        return await asked_header(3 if height == 4 else height)

    async def validators(height):
        answer = await asked_set(height)
        return answer | {"change_heights": [5]}

    node.chain_header, node.chain_validators = header, validators
    with pytest.raises(ProofInvalid, match="the set offered for height 5 governs from 4"):
        followed(node, 5)


@pytest.mark.parametrize("changes", [(4, 4), (1,), (0,), (-3,)])
def test_changes_out_of_order_are_a_bad_answer(changes):
    node = Node()
    node.changes = changes
    with refuses("bad_answer", DecodeError):
        followed(node, 9)


def test_a_change_above_the_height_asked_for_is_a_bad_answer():
    node = Node()

    async def validators(_height):
        return {"encoded": "", "change_heights": [4]}

    node.chain_validators = validators
    with refuses("bad_answer", DecodeError):
        followed(node, 3)
