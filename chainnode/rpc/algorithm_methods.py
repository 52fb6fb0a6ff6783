"""The method that tells which digest algorithms the alliance takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainnode.model.algorithms import STATE_KEY
from chainnode.model.commitment import DIGEST_BYTES
from chainnode.rpc import results
from chainnode.rpc.base64_text import to_base64
from chainnode.rpc.table import Method, at_once

if TYPE_CHECKING:
    from chainnode.rpc.table import Request
    from chainnode.services.node_services import NodeServices


def algorithm_methods(services: NodeServices) -> tuple[Method, ...]:
    """Return the methods."""
    chain = services.chain

    def listed(_: Request) -> results.AlgorithmListResult:
        following = services.ledger.tip.height + 1
        return {
            "height": following,
            "state_key": to_base64(STATE_KEY),
            "algorithms": [
                {
                    "name": algorithm.name,
                    "digest_bytes": DIGEST_BYTES[algorithm.name],
                    "status": algorithm.status_at(following).value,
                    "closed_from": algorithm.closed_from or None,
                }
                for algorithm in chain.algorithms().all()
            ],
        }

    return (
        Method(
            name="algorithm_list",
            summary="The digest algorithms that records may name, and what the alliance thinks of each",
            parameters=(),
            result=results.AlgorithmListResult,
            errors=(),
            handler=at_once(listed),
        ),
    )
