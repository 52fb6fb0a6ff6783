"""A real RPC server over loopback, on a real ledger, with an engine that does what the test says."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from chainnode.keystore.signer import local_signer
from chainnode.ledger.ledger import Ledger
from chainnode.mempool.admission import check_admissible
from chainnode.model.checkpoint import Checkpoint
from chainnode.model.cosignature import cosign
from chainnode.model.cosigned import CosignedCheckpoint
from chainnode.model.keys import KeyPurpose
from chainnode.model.note import cosigner_key
from chainnode.model.quorum import quorum_of
from chainnode.model.suites import ED25519_SHA256
from chainnode.model.transaction import Transaction, decode_transaction
from chainnode.rpc.client import Member, RpcClient
from chainnode.rpc.server import RpcServer
from chainnode.services.commits import Commits
from chainnode.services.node_services import NodeServices, make_services
from chainnode.services.outside import OutsideCosignatures
from chainnode.services.ports import (
    ClockStatus,
    ClockVerdict,
    EngineStatus,
    LinkStatus,
    PeerStatus,
    Standing,
    TimeSourceStatus,
)
from chainnode.storage.memory import MemoryStore
from tests.support.chain import CLERK, Chain, make_chain

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from chainnode.model.errors import ChainError, NodeFault
    from chainnode.model.tlog_policy import Policy
    from chainnode.rpc.endpoint import Endpoint

NOW_MS = 1_760_000_000_000


class ManualClock:
    """Both clocks, moved by hand."""

    def __init__(self) -> None:
        self.wall_ms = NOW_MS
        self.steady_ms = 1_000

    def now_ms(self) -> int:
        return self.wall_ms

    def monotonic_ms(self) -> int:
        return self.steady_ms

    def advance(self, milliseconds: int) -> None:
        self.wall_ms += milliseconds
        self.steady_ms += milliseconds


def engine_status(names: Sequence[str]) -> EngineStatus:
    """An idle engine of the first of the validators, connected to all others."""
    return EngineStatus(
        validator=names[0],
        tip_height=0,
        tip_time_ms=0,
        open_height=1,
        view=0,
        step="idle",
        awaited=(),
        skipped=(),
        waiting_since_ms=NOW_MS,
        view_changes=0,
        cosigned_height=0,
        is_syncing=False,
        is_voting=True,
        quarantine=None,
        pool_count=0,
        pool_bytes=0,
        unverified=0,
        unknown_messages=0,
        peers=tuple(
            PeerStatus(
                name=name,
                connected=True,
                last_heard_ms=NOW_MS,
                tip_height=0,
                view=0,
                clock_offset_ms=3,
                round_trip_ms=1,
                clock_is_off=False,
            )
            for name in names[1:]
        ),
        clock=ClockStatus(
            verdict=ClockVerdict.RIGHT,
            sentence="the validators' clocks agree on -2 to +4 ms from this one; 250 ms are allowed",
            vouches=True,
            since_ms=NOW_MS,
            bound_ms=250,
            agreed_ms=(-2, 4),
            judges=len(names),
            jumps=0,
            last_jump_ms=0,
            last_jump_at_ms=0,
            declined=0,
            declared=("ntp.example", "GNSS receiver"),
            source=TimeSourceStatus(
                server="ntp.example:123",
                offset_ms=1,
                error_ms=5,
                measured_ms=NOW_MS,
                problem=None,
            ),
        ),
        undecided_since_ms=None,
        quorum=quorum_of(len(names)),
        digest=None,
        standings=tuple(
            Standing(
                name=name,
                is_linked=True,
                last_heard_ms=NOW_MS,
                tip_height=0,
                stated_view=0,
                asked_view=None,
                locked_view=None,
                locked_digest=None,
                votes=(),
                awaited_for=None,
            )
            for name in names
        ),
    )


class FakeLinks:
    """One link over which something has passed."""

    def link_statuses(self) -> tuple[LinkStatus, ...]:
        return (
            LinkStatus(
                name="v2", bytes_in=1_000, bytes_out=2_000, messages_in=30, faults=1, dropped=4
            ),
        )


class FakeEngine:
    """An engine that accepts what is admissible at once and commits when told."""

    def __init__(self, chain: Chain, ledger: Ledger, commits: Commits) -> None:
        self._chain = chain
        self._ledger = ledger
        self._commits = commits
        self.current = engine_status([v.name for v in chain.validators])
        self.pool: dict[bytes, Transaction] = {}
        self.checkpoint: CosignedCheckpoint | None = None
        self.refusal: ChainError | NodeFault | None = None
        self.verdict: ChainError | None = None
        """What `done` hears instead of acceptance."""

    def submit(self, envelope: bytes, done: Callable[[Transaction | ChainError], None]) -> None:
        if self.refusal is not None:
            raise self.refusal
        transaction = decode_transaction(self._chain.genesis.domain, envelope)
        check_admissible(self._ledger, transaction)
        if self.verdict is not None:
            done(self.verdict)
            return
        self.pool[transaction.id] = transaction
        done(transaction)

    def status(self) -> EngineStatus:
        return self.current

    def newest_checkpoint(self) -> CosignedCheckpoint | None:
        return self.checkpoint

    def is_pending(self, tx_id: bytes) -> bool:
        return tx_id in self.pool

    def set(self, **changes: object) -> None:
        """Change fields of the status."""
        self.current = replace(self.current, **changes)

    def commit(self, transactions: Sequence[Transaction] | None = None) -> None:
        """Decide a block of these transactions, or of the pool."""
        chosen = tuple(self.pool.values()) if transactions is None else transactions
        executed = self._chain.build(self._ledger, chosen)
        certificate = self._chain.certify(executed)
        self._ledger.commit(executed, certificate)
        for transaction in executed.transactions:
            self.pool.pop(transaction.id, None)
        self._commits.block_committed(executed, certificate)

    def cosign(self) -> None:
        """Let a quorum cosign the log as it is."""
        genesis, tip = self._chain.genesis, self._ledger.tip
        checkpoint = Checkpoint(origin=genesis.chain_id, size=tip.log_size, root=tip.log_root)
        quorum = self._chain.validators[: genesis.validator_set.quorum]
        keys = [
            (cosigner_key(genesis.suite, f"{genesis.chain_id}/{v.name}", v.cosigner.public), v)
            for v in quorum
        ]
        self.checkpoint = CosignedCheckpoint(
            height=tip.height,
            checkpoint=checkpoint,
            signatures=tuple(
                cosign(checkpoint.text(), NOW_MS // 1_000, key, v.cosigner.sign) for key, v in keys
            ),
        )
        self._commits.checkpoint_cosigned(tip.height)


@dataclass(frozen=True)
class Node:
    """What a test of services gets."""

    chain: Chain
    clock: ManualClock
    ledger: Ledger
    commits: Commits
    engine: FakeEngine
    services: NodeServices


def make_node(*, suite: str = ED25519_SHA256, outside: Policy | None = None) -> Node:
    """A node at height 0, without a server; with outside witnesses if there is a policy of them."""
    contracts = ("algorithms", "authorities", "clocks", "cosigners", "history")
    chain = make_chain(suite=suite, contracts=contracts)
    clock = ManualClock()
    ledger = Ledger.open(MemoryStore(), chain.genesis)
    commits = Commits(clock=clock, log_size=ledger.tip.log_size)
    engine = FakeEngine(chain, ledger, commits)
    log = chain.validators[0].log
    services = make_services(
        engine=engine,
        links=FakeLinks(),
        ledger=ledger,
        commits=commits,
        log_signer=local_signer(
            name="log", suite=log.suite, purpose=KeyPurpose.LOG, private_key=log.private
        ),
        clock=clock,
        software_version="0.0.1",
        outside=None
        if outside is None
        else OutsideCosignatures(outside, chain.genesis.suite, clock),
    )
    return Node(chain, clock, ledger, commits, engine, services)


def member_of(node: Node, account: str = CLERK) -> Member:
    """The account of that name, as a client."""
    keys = node.chain.accounts[account]
    signer = local_signer(
        name=account, suite=keys.suite, purpose=KeyPurpose.ACCOUNT, private_key=keys.private
    )
    return Member(
        account=account, signer=signer, domain=node.chain.genesis.domain, clock=node.clock
    )


@dataclass(frozen=True)
class Served:
    """A node with a server on loopback and a client of it."""

    node: Node
    server: RpcServer
    client: RpcClient
    url: str
    faults: list[NodeFault] = field(default_factory=list)


@contextlib.asynccontextmanager
async def serve(
    *, member: str | None = None, endpoints: Mapping[str, Endpoint] | None = None
) -> AsyncIterator[Served]:
    """Serve a node on a free port; its client signs as `member` if that is given."""
    node = make_node()
    faults: list[NodeFault] = []
    server = RpcServer(
        node.services,
        host="127.0.0.1",
        port=0,
        on_fault=faults.append,
        endpoints=endpoints or {},
    )
    await server.start()
    url = f"http://127.0.0.1:{server.port}"
    try:
        signer = None if member is None else member_of(node, member)
        async with RpcClient(url, member=signer) as client:
            yield Served(node, server, client, url, faults)
    finally:
        await server.stop()
