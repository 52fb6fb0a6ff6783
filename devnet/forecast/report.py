"""The tables of a forecast: what it says of networks that were measured, and of those that were not."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Final

from chainnode.model.errors import Unavailable
from devnet.bench.ceiling import ceiling_tps
from devnet.bench.plan import IN_FLIGHT_TRANSACTIONS, NOTARIZE, Plan
from devnet.bench.report import percentile
from devnet.bench.run import measure
from devnet.forecast.calibration import CLIENTS, SATURATED_S, calibrate
from devnet.forecast.network import Forecast, Setting, forecast
from devnet.forecast.sizes import envelope_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chainnode.rpc.results import Json
    from devnet.bench.report import Figures
    from devnet.forecast.calibration import Calibration

HERE: Final = (4, 7, 10, 16)
APART: Final = (4, 7, 10, 16, 31, 100)
APART_IN_FLIGHT: Final = 8_000
"""Of all clients together, of which there are as many as validators. Nodes refuse what comes while 4,000 wait and the first of them
for more than a second, which is about as many at the rates that come out."""

LIGHT_SHARE: Final = 0.5
"""Of what a network takes at most, the rate at which its latencies are told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One network."""

    saturated: Forecast
    light: Forecast | None
    """At half of that rate; None of networks on one machine."""

    measured: Figures | None
    """What the benchmark said of it, if it was asked and could tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A calibration and what follows from it."""

    calibration: Calibration
    here: tuple[Line, ...]
    apart: tuple[Line, ...]


def study(
    suite: str,
    *,
    validators: Sequence[int],
    cores: int,
    delay_ms: float,
    mbit_per_s: float,
    is_checked: bool,
    say: Callable[[str], None],
) -> Study:
    """Calibrate, and forecast.

    Args:
        suite: of the networks.
        validators: of the networks on machines of their own, how many.
        cores: of each of those machines.
        delay_ms: between any two of them, one way.
        mbit_per_s: that each of them can send.
        is_checked: whether networks of 7, 10 and 16 on this machine are measured too.
        say: tells a person how far it is.

    Raises:
        ChainError: as `devnet.bench.run.measure`.
    """
    calibration = calibrate(suite, say=say)
    say("forecasting")
    size = envelope_bytes(suite)
    here = []
    for n in HERE:
        setting = Setting(
            validators=n,
            cores=calibration.cores,
            is_shared=True,
            delay_ms=0,
            mbit_per_s=None,
            clients=CLIENTS,
            in_flight=IN_FLIGHT_TRANSACTIONS,
            envelope_bytes=size,
        )
        measured = None
        if n == calibration.saturated.plan.validators:
            measured = calibration.saturated
        elif is_checked:
            measured = _measure(suite, n, say)
        saturated = forecast(setting, calibration.costs)
        here.append(Line(saturated=saturated, light=None, measured=measured))
    apart = []
    for n in validators:
        setting = Setting(
            validators=n,
            cores=cores,
            is_shared=False,
            delay_ms=delay_ms,
            mbit_per_s=mbit_per_s,
            clients=n,
            in_flight=APART_IN_FLIGHT,
            envelope_bytes=size,
        )
        saturated = forecast(setting, calibration.costs)
        rate = max(1, round(LIGHT_SHARE * saturated.tps))
        light = forecast(replace(setting, rate=rate), calibration.costs)
        apart.append(Line(saturated=saturated, light=light, measured=None))
    return Study(calibration=calibration, here=tuple(here), apart=tuple(apart))


def _measure(suite: str, validators: int, say: Callable[[str], None]) -> Figures | None:
    """Measure a network on this machine; None, and say why, if it is too much for it."""
    plan = Plan(
        validators=validators,
        suite=suite,
        workload=NOTARIZE,
        batch_size=1,
        duration_s=SATURATED_S,
        rate=None,
        clients=CLIENTS,
    )
    try:
        return measure(plan, ceiling_tps(suite, validators), say=say)
    except Unavailable as error:
        say(f"{validators} validators were not measured: {error.message}")
        return None


HERE_HEADS: Final = (
    "validators",
    "forecast /s",
    "measured /s",
    "p50 ms: forecast, measured",
    "bytes of wire: forecast, measured",
    "blocks /s: forecast, measured",
    "view changes",
)
APART_HEADS: Final = (
    "validators",
    "saturated /s",
    "p50, p99 ms at half of it",
    "blocks /s at half of it",
    "bytes of wire",
    "busiest machine",
)


def here_table(found: Study) -> list[tuple[str, ...]]:
    """Return the rows of the networks on this machine."""
    rows: list[tuple[str, ...]] = []
    for line in found.here:
        said, measured = line.saturated, line.measured
        latency = f"{said.latency_ms(50):,.0f}"
        wire, blocks = f"{said.wire_bytes_per_tx:,.0f}", f"{said.blocks_per_s:.1f}"
        if measured is not None:
            latency += f", {percentile(measured.latencies_us, 50) / 1_000:,.0f}"
            wire += f", {measured.wire_bytes_per_tx or 0:,.0f}"
            blocks += f", {measured.blocks_per_s:.1f}"
        rows.append(
            (
                str(said.setting.validators),
                f"{said.tps:,.0f}",
                "" if measured is None else f"{measured.tps:,.0f}",
                latency,
                wire,
                blocks,
                "" if measured is None else str(measured.view_changes),
            )
        )
    return rows


def apart_table(found: Study) -> list[tuple[str, ...]]:
    """Return the rows of the networks on machines of their own."""
    rows: list[tuple[str, ...]] = []
    for line in found.apart:
        said, light = line.saturated, line.light
        rows.append(
            (
                str(said.setting.validators),
                f"{said.tps:,.0f}",
                ""
                if light is None
                else f"{light.latency_ms(50):,.0f}, {light.latency_ms(99):,.0f}",
                "" if light is None else f"{light.blocks_per_s:.1f}",
                f"{said.wire_bytes_per_tx:,.0f}",
                f"{100 * said.busy:.0f} %",
            )
        )
    return rows


def costs_rows(found: Study) -> list[tuple[str, object]]:
    """Return what was measured, in microseconds."""
    return [(name, f"{us:,.1f} us") for name, us in asdict(found.calibration.costs).items()]


def as_json(found: Study) -> dict[str, Json]:
    """Return the document of `--json`."""
    return {
        "suite": found.calibration.suite,
        "cores_here": found.calibration.cores,
        "costs_us": {name: round(us, 2) for name, us in asdict(found.calibration.costs).items()},
        "here": [_line(line) for line in found.here],
        "apart": [_line(line) for line in found.apart],
    }


def _line(line: Line) -> dict[str, Json]:
    setting = line.saturated.setting
    found: dict[str, Json] = {
        "validators": setting.validators,
        "cores": setting.cores,
        "delay_ms": setting.delay_ms,
        "mbit_per_s": setting.mbit_per_s,
        "saturated": _forecast(line.saturated),
    }
    if line.light is not None:
        found["rate"] = line.light.setting.rate
        found["at_rate"] = _forecast(line.light)
    if line.measured is not None:
        measured = line.measured
        found["measured"] = {
            "tps": round(measured.tps, 1),
            "latency_ms": dict(measured.latency_ms()),
            "blocks_per_s": round(measured.blocks_per_s, 2),
            "view_changes": measured.view_changes,
            "wire_bytes_per_tx": None
            if measured.wire_bytes_per_tx is None
            else round(measured.wire_bytes_per_tx),
        }
    return found


def _forecast(said: Forecast) -> dict[str, Json]:
    return {
        "tps": round(said.tps, 1),
        "latency_ms": {f"p{p}": round(said.latency_ms(p), 1) for p in (50, 95, 99)},
        "blocks_per_s": round(said.blocks_per_s, 2),
        "wire_bytes_per_tx": round(said.wire_bytes_per_tx),
        "busy": round(said.busy, 3),
    }
