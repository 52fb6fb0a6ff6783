"""`--workload gateway`: systems without keys hand digests to one validator's gateway and wait until they are committed.

Clients post to the first validator's `/v1/records`, one document a request, on connections that they keep; the others only
vote. `--rate` has each request leave when it is due, whatever comes back. Afterwards records and proofs are checked
(`gateway_check.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.config import FILE_NAME
from chainnode.keystore.files import write_new_file
from chainnode.keystore.gateway_tokens import (
    MAX_PER_MINUTE,
    Token,
    encode_tokens,
    fresh_token,
    hash_of,
)
from chainnode.model.errors import Unavailable
from devnet.bench.gateway_check import check_proofs, check_records
from devnet.bench.gateway_client import main
from devnet.bench.http_load import HttpJob
from devnet.bench.one_asked import FIRST, ask, requests_of_each, served
from devnet.bench.run import fresh_network

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from devnet.bench.gateway_client import GatewayOutcome
    from devnet.bench.one_asked import Asked, Served
    from devnet.bench.plan import Plan
    from devnet.bench.report import Figure

_LEVEL_TIMEOUT_MS: Final = 60_000
_TOKENS_FILE: Final = "gateway-tokens.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayFigures:
    """What was measured."""

    served: Served
    list_size: float
    """Documents that the gateway entered in one transaction, on average, warm-up included."""

    checked_records: int
    """Documents, each of which has its record on every validator."""

    checked_proofs: int
    """Of a random sample, verified."""


def measure(plan: Plan, *, say: Callable[[str], None]) -> GatewayFigures:
    """Measure a fresh network.

    Raises:
        ChainError: it did not come up, clients failed or ran out of requests, or a record is not there. There are no figures
            then.
    """
    with fresh_network(plan, say) as network:
        token = _open_gateway(network.node(FIRST).home)
        network.up(is_profiled=True)
        url = f"{network.node(FIRST).rpc}/v1/records"
        jobs = [
            HttpJob(number=number, plan=plan, url=url, count=requests_of_each(plan), token=token)
            for number in range(plan.clients)
        ]
        asked: Asked[GatewayOutcome] = ask(network, plan, main, jobs, say=say)
        network.wait_level(timeout_ms=_LEVEL_TIMEOUT_MS)
        committed = [one for outcome in asked.outcomes for one in outcome.committed]
        if not committed:
            raise Unavailable(f"nothing was committed: {dict(asked.refused)}", code="no_result")
        say(f"checking {len(committed)} records on {plan.validators} validators")
        checked_records = check_records(network, committed)
        checked_proofs = check_proofs(
            network, committed, url=url, token=token, digests=plan.digests
        )
        return GatewayFigures(
            served=served(network, asked, committed),
            list_size=len(committed) / len({one.tx_id for one in committed}),
            checked_records=checked_records,
            checked_proofs=checked_proofs,
        )


def _open_gateway(home: Path) -> str:
    """Give a validator a gateway, before it starts; return the token with which all clients ask."""
    token = fresh_token()
    kept = Token(name="bench", sha256=hash_of(token), per_minute=MAX_PER_MINUTE, created_ms=0)
    write_new_file(home / _TOKENS_FILE, encode_tokens((kept,)))
    path = home / FILE_NAME
    before, found, after = path.read_text(encoding="utf-8").partition("[gateway]\n")
    path.write_text(f'{before}{found}tokens = "{_TOKENS_FILE}"\n{after}', encoding="utf-8")
    return token


def rows(found: GatewayFigures) -> list[tuple[str, object]]:
    """Return the table for people."""
    return [
        *found.served.head_rows(),
        ("records", f"{found.served.per_s:,.0f}/s in lists of {found.list_size:,.1f} on average"),
        *found.served.rows("record"),
        ("checked", f"{found.checked_records:,} records on every validator"),
        ("", f"{found.checked_proofs} proofs of a random sample, verified"),
    ]


def as_json(found: GatewayFigures) -> dict[str, Figure]:
    """Return the document of `--json`."""
    return {
        **found.served.as_json("record"),
        "digests": found.served.plan.digests,
        "list_size": round(found.list_size, 1),
        "checked_records": found.checked_records,
        "checked_proofs": found.checked_proofs,
    }
