"""All services of one node, made once and handed to the RPC server."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chainnode.services.chain import ChainService
from chainnode.services.evidence import EvidenceService
from chainnode.services.history import HistoryService
from chainnode.services.listing import Listing
from chainnode.services.log import LogService
from chainnode.services.membership import Membership
from chainnode.services.metrics import Metrics
from chainnode.services.notary import NotaryService
from chainnode.services.outside import OutsideCollector
from chainnode.services.public_records import PublicRecords
from chainnode.services.submission import Submission

if TYPE_CHECKING:
    from chainnode.clock import Clock
    from chainnode.keystore.signer import Signer
    from chainnode.ledger.ledger import Ledger
    from chainnode.services.commits import Commits
    from chainnode.services.outside import OutsideCosignatures
    from chainnode.services.ports import EnginePort, Links
    from chainnode.services.timestamping import Timestamping


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeServices:
    """What RPC offers. `commits` and `metrics` are witnesses: the engine tells them what it did."""

    software_version: str
    started_ms: int
    """On the monotonic clock."""

    clock: Clock
    engine: EnginePort
    ledger: Ledger
    commits: Commits
    submission: Submission
    chain: ChainService
    log: LogService
    notary: NotaryService
    history: HistoryService
    listing: Listing
    evidence: EvidenceService
    public_records: PublicRecords
    membership: Membership
    metrics: Metrics
    timestamp_units: dict[str, Timestamping] = field(default_factory=dict)
    """By name; they join when the account that the node signs for is open, which needs the others."""


def make_services(
    *,
    engine: EnginePort,
    links: Links,
    ledger: Ledger,
    commits: Commits,
    log_signer: Signer,
    clock: Clock,
    software_version: str,
    outside: OutsideCosignatures | None = None,
) -> NodeServices:
    """Wire the services of a node.

    Args:
        engine: The running engine, or what will be it; it is not asked before the first request.
        links: For the metrics.
        ledger: The node's.
        commits: Made before the engine, whose witness it is.
        log_signer: This validator's log key.
        clock: The node's.
        software_version: For status and metrics.
        outside: Gathers the cosignatures of outside witnesses, if there are any.
    """
    metrics = Metrics(
        engine=engine,
        links=links,
        ledger=ledger,
        commits=commits,
        clock=clock,
        software_version=software_version,
    )
    if outside is not None:
        metrics.registry.register(OutsideCollector(outside))
    chain = ChainService(ledger)
    log = LogService(ledger=ledger, engine=engine, log_signer=log_signer, outside=outside)
    return NodeServices(
        software_version=software_version,
        started_ms=clock.monotonic_ms(),
        clock=clock,
        engine=engine,
        ledger=ledger,
        commits=commits,
        submission=Submission(engine=engine, ledger=ledger, commits=commits),
        chain=chain,
        log=log,
        notary=NotaryService(ledger),
        history=HistoryService(ledger, log),
        listing=Listing(ledger, log),
        evidence=EvidenceService(ledger),
        public_records=PublicRecords(ledger=ledger, chain=chain, log=log),
        membership=Membership(ledger=ledger, clock=clock),
        metrics=metrics,
    )
