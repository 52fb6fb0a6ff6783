"""Evidence to test with: what a validator of a test's chain would have signed if it had broken the protocol."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from chainnode.model.evidence import Evidence, Statement, pair
from chainnode.model.ids import Height, View
from chainnode.model.transaction import Transaction, make_report
from chainnode.model.votes import COMMIT

if TYPE_CHECKING:
    from tests.support.chain import Chain


def statement(
    chain: Chain, signer: int, digest: bytes, *, kind: int = COMMIT, height: int = 1, view: int = 0
) -> Statement:
    """Return a vote of the validator with that index."""
    unsigned = Statement(
        kind=kind,
        height=Height(height),
        signer=signer,
        view=View(view),
        digest=digest,
        signature=b"",
    )
    key = chain.validators[signer].consensus
    return dataclasses.replace(unsigned, signature=key.sign(unsigned.message(chain.genesis.domain)))


def double_vote(
    chain: Chain, signer: int, *, height: int = 1, view: int = 0, first: int = 1
) -> Evidence:
    """Return the evidence of two COMMITs."""
    one, other = (
        statement(chain, signer, bytes([d]) * 32, height=height, view=view) for d in (first, 9)
    )
    return pair(one, other)


def report_of(chain: Chain, evidence: Evidence) -> Transaction:
    """Return its report."""
    return make_report(chain.genesis.domain, chain.genesis.chain_id, evidence)
