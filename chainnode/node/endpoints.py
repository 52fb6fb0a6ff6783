"""What a node's listener offers beside JSON-RPC and pages, by path or folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainnode.node.timestamp_unit import HomeUnit, unit_names
from chainnode.rpc import tsa_endpoint, witness_endpoint
from chainnode.rpc.tsa_endpoint import TsaEndpoint
from chainnode.services.health import reason_not_vouching
from chainnode.services.timestamping import Timestamping

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chainnode.config import NodeConfig
    from chainnode.model.suites import Suite
    from chainnode.rpc.endpoint import Endpoint
    from chainnode.services.node_services import NodeServices
    from chainnode.services.own_account import OwnAccount
    from chainnode.services.witness import WitnessService


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
    return {
        name: Timestamping(
            units=HomeUnit(
                home=config.home,
                name=name,
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


def timestamp_endpoints(units: Mapping[str, Timestamping], suite: Suite) -> Mapping[str, Endpoint]:
    """Return where timestamps are asked for."""
    if not units:
        return {}
    tsa = TsaEndpoint(units, default=unit_names(suite)[0])
    return {tsa_endpoint.PATH: tsa, tsa_endpoint.FOLDER: tsa}
