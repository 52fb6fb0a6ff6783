"""The hash of a block on a certificate: only as the log proves it, whatever a node says."""

from __future__ import annotations

import pytest

from chainnode.model import calls
from chainnode.model.errors import ChainError
from chainnode.model.record import decode_record
from chainnode.model.tlog_policy import validators_policy
from cli.papers.block import proven_block_hash
from cli.papers.document import masked
from tests.support.chain import digest
from tests.support.rpc import serve


class Liar:
    """A node that names another place of the log."""

    def __init__(self, client, place):
        self._client, self._place = client, place

    async def chain_header(self, height):
        return await self._client.chain_header(height) | {"log_size": self._place}

    async def log_proof(self, index, *, wait_ms):
        return await self._client.log_proof(index, wait_ms=0)


@pytest.mark.asyncio
async def test_the_next_block_shows_the_hash_and_no_other_place_of_the_log_does():
    async with serve() as served:
        node = served.node
        registered = calls.register_documents([calls.Document(digests=(digest("a"),))], seed=None)
        node.engine.commit([node.chain.transaction([registered])])
        node.engine.commit([])
        node.engine.commit([])
        node.engine.cosign()
        validators = node.chain.validators
        genesis = node.chain.genesis
        keys = [(v.name, v.log.public, v.cosigner.public) for v in validators]
        policy = validators_policy(genesis.suite, genesis.chain_id, keys)
        header = node.services.chain.header(1)
        record = decode_record(node.ledger.leaf(1))
        assert await proven_block_hash(served.client, record, policy) == header.block_hash
        # Another block's hash, a record that is no block's, and a place that the log does not have.
        for place in (header.header.log_size + 1, 1, 99):
            with pytest.raises(ChainError):
                await proven_block_hash(Liar(served.client, place), record, policy)
        other = validators_policy(genesis.suite, genesis.chain_id, [(n, c, c) for n, _, c in keys])
        with pytest.raises(ChainError):
            await proven_block_hash(served.client, record, other)


def test_paper_shows_the_organisation_and_how_a_name_begins():
    assert masked("justice/notary-1") == "justice/n***"
