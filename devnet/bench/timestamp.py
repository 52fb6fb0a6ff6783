"""`--workload timestamp`: timestamps over HTTP from one validator of a network, each token a leaf of the log.

Clients post requests to the first validator's `/tsa`; the others only vote. `--rate` has each request leave when it is due,
whatever comes back. Afterwards tokens are checked (`timestamp_check.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.config import load_config
from chainnode.model.errors import Unavailable
from chainnode.model.suites import SM2_SM3
from chainnode.pki.pem import parse_bundle
from devnet.bench.http_load import HttpJob
from devnet.bench.one_asked import FIRST, ask, requests_of_each, served
from devnet.bench.run import fresh_network
from devnet.bench.timestamp_check import check_tokens
from devnet.bench.timestamp_client import main
from devnet.bench.token_speed import TokenSpeed, token_speed

if TYPE_CHECKING:
    from collections.abc import Callable

    from devnet.bench.one_asked import Asked, Served
    from devnet.bench.plan import Plan
    from devnet.bench.report import Figure
    from devnet.bench.timestamp_client import TimestampOutcome
    from devnet.network import Devnet

_LEVEL_TIMEOUT_MS: Final = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Timestamps:
    """What was measured."""

    served: Served
    token_bytes: int
    """Of one response, on average."""

    checked_serials: int
    """Tokens, no two of which have the same serial number."""

    checked_tokens: int
    """Of a random sample, verified with proofs."""

    speed: TokenSpeed
    """Of one core that does nothing else."""


def measure(plan: Plan, *, say: Callable[[str], None]) -> Timestamps:
    """Measure a fresh network.

    Raises:
        ChainError: it did not come up, clients failed or ran out of requests, or a token does not hold. There are no figures
            then.
    """
    with fresh_network(plan, say) as network:
        network.up(is_profiled=True)
        say("making its certificate authority")
        network.establish_authority()
        say("measuring the parts of a token alone")
        speed = _speed(network)
        jobs = [
            HttpJob(
                number=number,
                plan=plan,
                url=f"{network.node(FIRST).rpc}/tsa",
                count=requests_of_each(plan),
            )
            for number in range(plan.clients)
        ]
        asked: Asked[TimestampOutcome] = ask(network, plan, main, jobs, say=say)
        network.wait_level(timeout_ms=_LEVEL_TIMEOUT_MS)
        granted = [answer for outcome in asked.outcomes for answer in outcome.granted]
        if not granted:
            raise Unavailable("no token was issued", code="no_result")
        say(f"checking {len(granted)} tokens")
        checked = check_tokens(network, granted, issuer=FIRST)
        return Timestamps(
            served=served(network, asked, granted),
            token_bytes=sum(len(answer.response) for answer in granted) // len(granted),
            checked_serials=len(granted),
            checked_tokens=checked,
            speed=speed,
        )


def _speed(network: Devnet) -> TokenSpeed:
    home = network.node(FIRST).home
    unit = "timestamp-sm2" if network.record.suite == SM2_SM3 else "timestamp"
    certificates = parse_bundle((home / f"{unit}.pem").read_bytes())
    return token_speed(certificates, load_config(home).timestamp_policy)


def rows(found: Timestamps) -> list[tuple[str, object]]:
    """Return the table for people."""
    speed = found.speed
    return [
        *found.served.head_rows(),
        ("tokens", f"{found.served.per_s:,.0f}/s of {found.token_bytes:,} bytes"),
        *found.served.rows("token"),
        ("one core alone", f"{speed.requests_per_s:,.0f} requests read a second"),
        ("", f"{speed.der_per_s:,.0f} tokens encoded a second, unsigned"),
        ("", f"{speed.signatures_per_s:,.0f} signatures a second"),
        ("checked", f"{found.checked_serials:,} serial numbers, all different"),
        ("", f"{found.checked_tokens} tokens of a random sample, verified with their proofs"),
    ]


def as_json(found: Timestamps) -> dict[str, Figure]:
    """Return the document of `--json`."""
    return {
        **found.served.as_json("token"),
        "token_bytes": found.token_bytes,
        "requests_read_per_s": round(found.speed.requests_per_s),
        "der_per_s": round(found.speed.der_per_s),
        "signatures_per_s": round(found.speed.signatures_per_s),
        "checked_serials": found.checked_serials,
        "checked_tokens": found.checked_tokens,
    }
