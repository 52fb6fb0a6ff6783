"""Recorded evidence over RPC: listed in pages, of one validator or all, and each by its id."""

from __future__ import annotations

import pytest

from chainnode.model.errors import NotFound
from chainnode.model.evidence import decode_evidence, verify_evidence
from chainnode.rpc.client import from_base64
from tests.support.misconduct import double_vote, report_of
from tests.support.rpc import serve


@pytest.mark.asyncio
async def test_evidence_is_listed_in_pages_and_shown_with_its_proof():
    async with serve() as served:
        chain, rpc = served.node.chain, served.client
        reports = [report_of(chain, double_vote(chain, signer)) for signer in (3, 1, 2)]
        served.node.engine.commit([reports[0], chain.notarization("a")])
        served.node.engine.commit(reports[1:])
        first = await rpc.evidence_list(limit=2)
        rest = await rpc.evidence_list(limit=2, after=first["next_after"])
        assert rest["next_after"] is None
        listed = first["evidence"] + rest["evidence"]
        assert [e["id"] for e in listed] == [r.id.hex() for r in reports]
        assert [e["height"] for e in listed] == [1, 2, 2]
        names = [v.name for v in chain.validators]
        (one,) = (await rpc.evidence_list(names[1]))["evidence"]
        assert one == await rpc.evidence_get(reports[1].id.hex())
        assert (one["validator"], one["offence"], one["offence_height"]) == (
            names[1],
            "double-vote",
            1,
        )
        evidence = decode_evidence(from_base64(one["evidence"]))
        verify_evidence(evidence, chain.genesis.domain, chain.genesis.validator_set)
        assert (await rpc.evidence_list(names[0]))["evidence"] == []
        with pytest.raises(NotFound) as caught:
            await rpc.evidence_get("00" * 32)
        assert caught.value.error_code == "unknown_evidence"
