"""Wires, starts and stops one validator.

Opened in this order, closed in the reverse: the home's lock, keys, store, vote log, verification workers, RPC
listener, peers, engine. Whatever fails on the way leaves nothing running.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from contextlib import AsyncExitStack, ExitStack
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

from chainnode.clock import SystemClock
from chainnode.engine.engine import Engine
from chainnode.keystore.randomness import fresh_challenge
from chainnode.keystore.tls import (
    TlsFiles,
    client_context,
    listener_context,
    server_context,
    trusting_context,
)
from chainnode.ledger.ledger import Ledger
from chainnode.mempool.pool import Pool, PoolLimits
from chainnode.model.errors import ChainError, ForkProven
from chainnode.node.driver import EngineDriver
from chainnode.node.endpoints import (
    declarations,
    open_calendar,
    open_gateway,
    timestamp_endpoints,
    timestamp_units,
    witness_endpoints,
)
from chainnode.node.home import (
    open_account_signers,
    open_second_signer,
    open_signers,
    open_witness,
    own_validator,
    read_genesis,
    read_policy_file,
)
from chainnode.node.library_logs import gather_library_logs
from chainnode.node.network import PeerNetwork
from chainnode.node.observers import Observers
from chainnode.node.outside_rounds import OutsideRounds
from chainnode.node.time_source import watch_time_source
from chainnode.p2p.listener import listen_on
from chainnode.p2p.member import PeerAddress
from chainnode.p2p.peers import Peers
from chainnode.rpc.server import RpcServer
from chainnode.services.commits import Commits
from chainnode.services.node_services import NodeServices, make_services
from chainnode.services.outside import OutsideCosignatures
from chainnode.services.own_account import OwnAccount
from chainnode.storage.append_file import DiskFile
from chainnode.storage.home_lock import HomeLock
from chainnode.storage.leveldb import LevelStore
from chainnode.storage.vote_log import VoteLog
from chainnode.verification.in_process import InProcessVerifier
from chainnode.verification.pool import WorkerPool
from contracts.query import account_view

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Coroutine, Sequence
    from pathlib import Path

    from chainnode.config import NodeConfig
    from chainnode.engine.ports import TransactionVerifier
    from chainnode.logs import Log
    from chainnode.model.genesis import Genesis, GenesisValidator
    from chainnode.services.submission import Submission

GC_OBJECTS: Final = 50_000
"""New objects between two collections; what the node makes in bulk dies by reference count anyway."""


async def run_node(config: NodeConfig, passphrase: bytes, log: Log, stop: asyncio.Event) -> None:
    """Run a validator until `stop` is set, then close everything in order.

    Raises:
        ChainError: the home, its keys or its configuration do not fit together; nothing was started.
        NodeFault: the node had to stop.
    """
    gather_library_logs(log)
    home = config.home
    genesis = read_genesis(home)
    own = own_validator(genesis, config.validator)
    others = tuple(v for v in genesis.validators if v.name != own.name)
    addresses = _addresses(config, others)
    clock = SystemClock()
    with ExitStack() as opened:
        opened.callback(HomeLock(home).release)
        signers = open_signers(home, own, passphrase)
        second = open_second_signer(config, passphrase)
        witness = open_witness(config, passphrase, clock, log)
        outside = None
        if config.outside is not None:
            policy = read_policy_file(config.outside.policy)
            outside = OutsideCosignatures(policy, genesis.suite, clock)
        tls = TlsFiles(certificate=home / "tls.pem", key=home / "tls.key")
        pinned = tuple(v.tls_certificate for v in others)
        server_tls = server_context(tls, passphrase, pinned)
        client_tls = client_context(tls, passphrase, pinned)
        store = LevelStore(home / "data")
        opened.callback(store.close)
        vote_log, vote_records = VoteLog.open(
            DiskFile(home / "votes.log"), genesis.domain.genesis_hash
        )
        opened.callback(vote_log.close)
        ledger = Ledger.open(store, genesis)

        faults: list[BaseException] = []

        def fail(error: BaseException) -> None:
            faults.append(error)
            stop.set()

        asyncio.get_running_loop().set_exception_handler(_loop_handler(fail, log))
        driver = EngineDriver(clock, fail)
        commits = Commits(clock=clock, log_size=ledger.tip.log_size)
        network = PeerNetwork()
        services = make_services(
            engine=driver,
            links=network,
            ledger=ledger,
            commits=commits,
            log_signer=signers.log,
            clock=clock,
            software_version=metadata.version("chainnode"),
            outside=outside,
        )
        async with AsyncExitStack() as running:
            verifier = await _start_verifier(config, genesis, driver, fail, running)
            engine = Engine(
                genesis=genesis,
                name=own.name,
                ledger=ledger,
                pool=Pool(
                    PoolLimits(
                        max_transactions=config.pool_max_count, max_bytes=config.pool_max_bytes
                    )
                ),
                vote_log=vote_log,
                vote_records=vote_records,
                consensus_signer=signers.consensus,
                cosigner_signer=signers.cosigner,
                network=network,
                clock=clock,
                verifier=verifier,
                witness=Observers((commits, services.metrics), log),
                challenge=fresh_challenge(),
                second_signer=second,
                time_sources=config.time_sources,
                time_check=config.time_check,
            )
            own_account = _own_account(config, ledger, services.submission, passphrase, log)
            units = timestamp_units(config, services, own_account, passphrase)
            declared = declarations(
                config, services, own_account, log, cosigner=signers.cosigner, second=second
            )
            gateway = open_gateway(config, services, own_account, opened)
            calendar = open_calendar(config, services, own_account, opened)
            server = RpcServer(
                services=services,
                host=config.rpc_host,
                port=config.rpc_port,
                ssl=_rpc_tls(config),
                on_fault=fail,
                endpoints={
                    **witness_endpoints(witness),
                    **timestamp_endpoints(units, genesis.suite),
                    **({} if gateway is None else gateway.endpoints),
                    **({} if calendar is None else calendar.endpoints),
                },
                on_tick=[
                    *(unit.tick for unit in units.values()),
                    *(() if gateway is None else (gateway.tick,)),
                    *(one.tick for one in declared),
                    *(() if calendar is None else (calendar.tick,)),
                ],
            )
            await server.start()
            running.push_async_callback(server.stop)
            listener = listen_on(config.listen)
            # `Peers` closes it at its end; what fails before its beginning must not leave it open.
            running.callback(listener.close)
            peers = Peers(
                name=own.name,
                chain_id=genesis.chain_id,
                genesis_hash=genesis.domain.genesis_hash,
                listener=listener,
                peers=addresses,
                server_context=server_tls,
                client_context=client_tls,
                on_frame=driver.receive,
                on_link=driver.link,
                clock=clock,
                logger=logging.getLogger("chainnode.p2p"),
            )
            network.use(peers)
            driver.drive(engine)
            running.callback(driver.stop)
            gc.freeze()
            gc.set_threshold(GC_OBJECTS)
            log.event(
                "node_started",
                validator=own.name,
                chain=genesis.chain_id,
                genesis=genesis.domain.genesis_hash.hex(),
                height=ledger.tip.height,
                listen=config.listen,
                rpc=f"{config.rpc_host}:{server.port}",
            )
            work: list[Callable[[], Coroutine[Any, Any, None]]] = [peers.run]
            if gateway is not None:
                work.append(gateway.webhooks.run)
            rounds = _outside_rounds(config, outside, services, log)
            if rounds is not None:
                work.append(rounds.run)
            time_check = config.time_check
            if time_check is not None:
                work.append(
                    lambda: watch_time_source(
                        time_check,
                        every_s=config.time_check_every_s,
                        clock=clock,
                        measured=driver.time_measured,
                    )
                )
            await _until_stopped(work, stop)
        if faults and isinstance(faults[0], ForkProven):
            _keep_testimony(home, faults[0])
        if faults:
            raise faults[0]


def _keep_testimony(home: Path, fork: ForkProven) -> None:
    """Write down what this node holds against those who made a fork; what cannot be written is in the log as well."""
    with contextlib.suppress(OSError):
        (home / f"fork-{fork.height}.testimony").write_bytes(fork.testimony)


def _loop_handler(
    fail: Callable[[BaseException], None], log: Log
) -> Callable[[asyncio.AbstractEventLoop, dict[str, Any]], None]:
    """Return what the event loop does with an exception that nobody awaited.

    One out of a callback is a bug or a fault of ours, and what it left half-done is not known: the node stops. What
    transports report of dying connections is worth a line.
    """

    def handle(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if "handle" in context and isinstance(error, Exception) and not isinstance(error, OSError):
            fail(error)
        else:
            log.warning("loop_exception", about=f"{context.get('message')}: {error}")

    return handle


async def _until_stopped(
    work: Sequence[Callable[[], Coroutine[Any, Any, None]]], stop: asyncio.Event
) -> None:
    """Keep the links up, and whatever else goes on beside, until asked to stop; what was raised in that comes out here."""
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(part()) for part in work]
        await stop.wait()
        for task in running:
            task.cancel()


def _outside_rounds(
    config: NodeConfig, outside: OutsideCosignatures | None, services: NodeServices, log: Log
) -> OutsideRounds | None:
    if outside is None or config.outside is None:
        return None
    certificate = config.outside.certificate
    return OutsideRounds(
        outside=outside,
        log=services.log,
        clock=services.clock,
        events=log,
        interval_ms=config.outside.interval_ms,
        context=None if certificate is None else trusting_context(certificate),
    )


async def _start_verifier(
    config: NodeConfig,
    genesis: Genesis,
    driver: EngineDriver,
    fail: Callable[[BaseException], None],
    running: AsyncExitStack,
) -> TransactionVerifier:
    if config.verify_workers == 0:
        return InProcessVerifier(genesis.domain)
    pool = WorkerPool(genesis.domain, config.verify_workers, fail, driver.settle)
    await pool.start()
    running.push_async_callback(pool.close)
    return pool


def _own_account(
    config: NodeConfig, ledger: Ledger, submission: Submission, passphrase: bytes, log: Log
) -> OwnAccount | None:
    """Return the account that this node signs for; None if it is to sign for none, or cannot."""
    if config.account is None:
        return None
    found = account_view(ledger.state, config.account)
    public_keys = () if found is None else tuple(key for key, _ in found.keys)
    signers = open_account_signers(config.home, public_keys, passphrase)
    if not signers:
        log.warning(
            "own_account_unusable",
            account=config.account,
            reason="the chain does not know it" if found is None else "this home has no key of it",
        )
    return OwnAccount(name=config.account, signers=signers, ledger=ledger, submission=submission)


def _rpc_tls(config: NodeConfig) -> ssl.SSLContext | None:
    if config.rpc_tls_certificate is None or config.rpc_tls_key is None:
        return None
    return listener_context(config.rpc_tls_certificate, config.rpc_tls_key)


def _addresses(config: NodeConfig, others: tuple[GenesisValidator, ...]) -> tuple[PeerAddress, ...]:
    unknown = sorted(set(config.peers) - {v.name for v in others})
    if unknown:
        raise ChainError(
            f"p2p.peers: {', '.join(unknown)} is no other validator of this genesis; "
            f"they are {', '.join(v.name for v in others)}",
            code="bad_config",
            field="p2p.peers",
        )
    return tuple(
        PeerAddress(
            name=v.name,
            address=config.peers.get(v.name, v.address),
            certificate=v.tls_certificate,
        )
        for v in others
    )
