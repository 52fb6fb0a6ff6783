"""What a node's listener offers beside JSON-RPC and pages, by path or folder."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.keystore.webhook_targets import read_targets
from chainnode.model.errors import Refused
from chainnode.node.timestamp_unit import P256_UNIT, SM2_UNIT, HomeUnit, unit_names
from chainnode.rpc import (
    calendar_endpoint,
    gateway_endpoint,
    gateway_openapi,
    tsa_endpoint,
    witness_endpoint,
)
from chainnode.rpc.calendar_endpoint import CalendarEndpoint
from chainnode.rpc.gateway_access import GatewayAccess
from chainnode.rpc.gateway_endpoint import GatewayEndpoint
from chainnode.rpc.gateway_openapi import OpenApiPage
from chainnode.rpc.tsa_endpoint import TsaEndpoint
from chainnode.rpc.webhooks import WebhookCollector, Webhooks
from chainnode.services.calendar import Calendar
from chainnode.services.declaring import Declaring, clock_due, second_key_due
from chainnode.services.gateway import Gateway
from chainnode.services.gateway_journal import GatewayJournal
from chainnode.services.gateway_metrics import CalendarCollector, GatewayCollector
from chainnode.services.health import reason_not_ready, reason_not_vouching
from chainnode.services.timestamping import TimestampCollector, Timestamping
from chainnode.storage.append_file import DiskFile
from contracts.clocks import NAME as CLOCKS
from contracts.clocks import Declaration
from contracts.cosigners import NAME as COSIGNERS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import ExitStack

    from chainnode.config import NodeConfig
    from chainnode.keystore.signer import Signer
    from chainnode.logs import Log
    from chainnode.model.suites import Suite
    from chainnode.model.transaction import Call
    from chainnode.rpc.endpoint import Endpoint
    from chainnode.services.node_services import NodeServices
    from chainnode.services.own_account import OwnAccount
    from chainnode.services.witness import WitnessService

GATHER_S: Final = 0.01
"""How long the gateway waits for more documents before it signs a list: little beside a block, and long enough for what
comes together to share a signature and a sync."""


CALENDAR_GATHER_S: Final = 0.5
"""How long the calendar waits for more digests: two records a second at most, whatever comes; clients wait 5 s."""

CALENDAR_KEPT: Final = 1_000
"""Roots that the calendar's journal remembers after they were decided; the log has them anyway."""


def witness_endpoints(witness: WitnessService | None) -> Mapping[str, Endpoint]:
    """Return what submits other logs' checkpoints to this node, and shows what it cosigned; nothing if it is no witness."""
    if witness is None:
        return {}
    return {
        witness_endpoint.SUBMISSION_PATH: witness_endpoint.SubmissionEndpoint(witness),
        witness_endpoint.MONITORING_FOLDER: witness_endpoint.WitnessedEndpoint(witness),
    }


def timestamp_units(
    config: NodeConfig, services: NodeServices, own_account: OwnAccount | None, passphrase: bytes
) -> Mapping[str, Timestamping]:
    """Return the node's timestamp units by name; none if there is no account that could enter imprints."""
    if own_account is None:
        return {}
    suite, clock = services.ledger.genesis.suite, services.clock
    keys = {P256_UNIT: config.timestamp_key, SM2_UNIT: config.timestamp_key_sm2}
    units = {
        name: Timestamping(
            units=HomeUnit(
                home=config.home,
                name=name,
                key_name=keys[name],
                suite=suite,
                policy=config.timestamp_policy,
                passphrase=passphrase,
                clock=clock,
            ),
            own_account=own_account,
            ledger=services.ledger,
            reason_not_vouching=lambda: reason_not_vouching(
                services.engine.status(), clock.now_ms()
            ),
            clock=clock,
        )
        for name in unit_names(suite)
    }
    services.timestamp_units.update(units)
    services.metrics.registry.register(TimestampCollector(units))
    return units


def timestamp_endpoints(units: Mapping[str, Timestamping], suite: Suite) -> Mapping[str, Endpoint]:
    """Return where timestamps are asked for."""
    if not units:
        return {}
    tsa = TsaEndpoint(units, default=unit_names(suite)[0])
    return {tsa_endpoint.PATH: tsa, tsa_endpoint.FOLDER: tsa}


def declarations(
    config: NodeConfig,
    services: NodeServices,
    own_account: OwnAccount | None,
    log: Log,
    *,
    cosigner: Signer,
    second: Signer | None,
) -> tuple[Declaring, ...]:
    """Return what keeps the chain told of this node; nothing if there is no account that could tell.

    Args:
        config: the node's.
        services: the node's.
        own_account: tells.
        log: hears what the chain refuses.
        cosigner: the validator's cosigner key.
        second: its ML-DSA-44 key, or None if it cosigns once only.

    Raises:
        Refused: with code `unknown_contract`: the chain cannot register a second key.
    """
    if own_account is None:
        return ()
    wanted = Declaration(
        validator=config.validator, sources=config.time_sources, check=config.time_check
    )
    ledger = services.ledger

    def declaring(
        contract: str, due: Callable[[], Call | None], success: str, refusal: str
    ) -> Declaring:
        return Declaring(
            contract,
            due,
            own_account=own_account,
            ledger=ledger,
            is_ready=lambda: (
                reason_not_ready(services.engine.status(), services.clock.now_ms()) is None
            ),
            recorded=lambda height: log.event(success, height=height),
            refused=lambda reason: log.warning(refusal, reason=reason),
            clock=services.clock,
        )

    if second is not None and all(c.name != COSIGNERS for c in ledger.genesis.contracts):
        raise Refused(
            f"node.second_key: the genesis of this chain does not activate the contract {COSIGNERS}, which registers "
            "such keys; leave the setting empty",
            code="unknown_contract",
            field="node.second_key",
        )
    return (
        declaring(
            CLOCKS,
            lambda: clock_due(wanted, ledger, own_account.name),
            "time_sources_declared",
            "time_sources_not_declared",
        ),
        declaring(
            COSIGNERS,
            lambda: second_key_due(second, ledger, config.validator, cosigner),
            "second_key_registered" if second is not None else "second_key_taken_back",
            "second_key_not_registered",
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenGateway:
    """The gateway of a node, and who tells of what it has done."""

    endpoints: Mapping[str, Endpoint]
    tick: Callable[[], None]
    """To be called some times a second: lists have deadlines."""

    webhooks: Webhooks
    """To be run for as long as the node is."""


def open_gateway(
    config: NodeConfig,
    services: NodeServices,
    own_account: OwnAccount | None,
    opened: ExitStack,
) -> OpenGateway | None:
    """Return the gateway, or None if none is configured; `opened` closes its journal. Raises ChainError: its files are malformed."""
    if config.gateway_tokens is None or own_account is None:
        return None
    clock, loop = services.clock, asyncio.get_running_loop()
    access = GatewayAccess(config.gateway_tokens, clock)
    targets = () if config.gateway_webhooks is None else read_targets(config.gateway_webhooks)
    journal = GatewayJournal(
        DiskFile(config.home / "gateway.journal"), services.ledger.genesis.domain
    )
    opened.callback(journal.close)
    gateway = Gateway(
        services=services,
        own_account=own_account,
        journal=journal,
        clock=clock,
        defer=lambda work: loop.call_later(GATHER_S, work),
    )
    webhooks = Webhooks(gateway, targets, clock)
    services.metrics.registry.register(GatewayCollector(gateway))
    services.metrics.registry.register(WebhookCollector(webhooks))
    names = frozenset(target.name for target in targets)
    endpoint = GatewayEndpoint(gateway, access, services.commits, names)
    return OpenGateway(
        endpoints={
            gateway_endpoint.FOLDER: endpoint,
            gateway_openapi.PATH: OpenApiPage(services.software_version),
        },
        tick=gateway.tick,
        webhooks=webhooks,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCalendar:
    """The OpenTimestamps calendar of a node."""

    endpoints: Mapping[str, Endpoint]
    tick: Callable[[], None]
    """To be called some times a second: roots have deadlines."""


def open_calendar(
    config: NodeConfig,
    services: NodeServices,
    own_account: OwnAccount | None,
    opened: ExitStack,
) -> OpenCalendar | None:
    """Return the calendar, or None if none is configured; `opened` closes its journal. Raises StorageFault: it is damaged."""
    if config.ots_calendar is None or own_account is None:
        return None
    loop = asyncio.get_running_loop()
    journal = GatewayJournal(
        DiskFile(config.home / "ots.journal"),
        services.ledger.genesis.domain,
        most_kept=CALENDAR_KEPT,
    )
    opened.callback(journal.close)
    gateway = Gateway(
        services=services,
        own_account=own_account,
        journal=journal,
        clock=services.clock,
        # What there is to gather is gathered when it comes here.
        defer=loop.call_soon,
    )
    calendar = Calendar(
        uri=config.ots_calendar,
        account=own_account.name,
        gateway=gateway,
        services=services,
        defer=lambda work: loop.call_later(CALENDAR_GATHER_S, work),
    )
    services.metrics.registry.register(CalendarCollector(calendar))
    return OpenCalendar(
        endpoints={calendar_endpoint.FOLDER: CalendarEndpoint(calendar)}, tick=gateway.tick
    )
