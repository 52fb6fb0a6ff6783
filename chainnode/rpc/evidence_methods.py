"""Methods that show recorded evidence; it is public, as all of the log is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainnode.model.suites import HASH_BYTES
from chainnode.rpc import render, results
from chainnode.rpc.shapes import Hex, Name, Parameter, page_parameters
from chainnode.rpc.table import Method, at_once
from chainnode.services.evidence import MAX_LISTED

if TYPE_CHECKING:
    from chainnode.rpc.table import Request
    from chainnode.services.node_services import NodeServices


def evidence_methods(services: NodeServices) -> tuple[Method, ...]:
    """Return the methods."""

    def listed(request: Request) -> results.EvidenceListResult:
        values = request.values
        page = services.evidence.list(
            values["validator"], limit=values["limit"], after=values["after"]
        )
        return {
            "evidence": [render.evidence(found) for found in page.found],
            "next_after": page.next_after,
        }

    def get(request: Request) -> results.EvidenceResult:
        return render.evidence(services.evidence.get(request.values["id"]))

    return (
        Method(
            name="evidence_list",
            summary="Recorded evidence that validators broke the protocol, in log order",
            parameters=(
                Parameter(
                    name="validator",
                    shape=Name(),
                    about="only evidence against this one",
                    required=False,
                ),
                *page_parameters("evidences", most=MAX_LISTED),
            ),
            result=results.EvidenceListResult,
            errors=(),
            handler=at_once(listed),
        ),
        Method(
            name="evidence_get",
            summary="One recorded evidence",
            parameters=(
                Parameter(
                    name="id",
                    shape=Hex(least_bytes=HASH_BYTES, most_bytes=HASH_BYTES),
                    about="id of its report, which is a transaction",
                ),
            ),
            result=results.EvidenceResult,
            errors=("unknown_evidence",),
            handler=at_once(get),
        ),
    )
