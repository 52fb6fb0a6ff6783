"""What one dead validator costs: the latency at one fixed load, alive, dead and skipped, dead and not skipped.

Three fresh networks after one another get the same load, half of what a network with all alive could take unless a rate is
asked for. Where one is to be dead, it is killed before the load begins. Each turn of its own that it misses costs a
timeout, and what was due meanwhile waits; skipped as leader, it misses one turn, which the warm-up holds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from chainnode.model.errors import Refused
from chainnode.model.quorum import faulty_of
from devnet.bench.ceiling import ceiling_tps
from devnet.bench.run import measure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from devnet.bench.plan import Plan
    from devnet.bench.report import Figure, Figures

SATURATION_S: Final = 5
"""How long the network is saturated to find half of it: a rough measure is enough, since all cases get the same load."""

_ALIVE, _UNSKIPPED, _SKIPPED = "all_alive", "one_dead_unskipped", "one_dead_skipped"

TITLES: Final = {
    _ALIVE: "all alive",
    _UNSKIPPED: "one dead, not skipped",
    _SKIPPED: "one dead, skipped",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OneDead:
    """What three networks did at one rate."""

    plan: Plan
    """With the rate that all three got."""

    saturation_tps: float | None
    """Of a network with all alive, of which the rate is half; None if a rate was asked for."""

    cases: dict[str, Figures]
    """By what is in `TITLES`, and in that order."""

    def ratio(self, case: str) -> dict[str, float]:
        """Return by how much a case's latency is above that with all alive."""
        alive = self.cases[_ALIVE].latency_ms()
        return {name: ms / alive[name] for name, ms in self.cases[case].latency_ms().items()}


def run(plan: Plan, *, say: Callable[[str], None]) -> OneDead:
    """Measure.

    Args:
        plan: the network and the load; without a rate, half of what it takes is measured first.
        say: tells a person how far it is.

    Raises:
        Refused: the network would not decide anything with one validator dead.
        ChainError: as `measure`.
    """
    if faulty_of(plan.validators) < 1:
        raise Refused(
            f"found {plan.validators} validators; one of them may die where there are 4 or more",
            code="too_few_validators",
            field="validators",
        )
    ceiling = ceiling_tps(plan.suite, plan.validators)
    saturation = None
    if plan.rate is None:
        say(f"saturating a network for {SATURATION_S} s, to find half of its load")
        saturation = measure(replace(plan, duration_s=SATURATION_S), ceiling, say=say).tps
        plan = replace(plan, rate=max(1, round(saturation / 2)))
    settings = {
        _ALIVE: plan,
        _UNSKIPPED: replace(plan, dead=1, parameters={"skip_heights": 0}),
        _SKIPPED: replace(plan, dead=1),
    }
    cases: dict[str, Figures] = {}
    for name, case in settings.items():
        say(f"{TITLES[name]}, {plan.rate} transactions/s")
        cases[name] = measure(case, ceiling, say=say)
    return OneDead(plan=plan, saturation_tps=saturation, cases=cases)


def as_json(found: OneDead) -> dict[str, Figure | Mapping[str, Mapping[str, Figure]]]:
    """Return the document of `--json`."""
    plan = found.plan
    return {
        "workload": plan.workload,
        "validators": plan.validators,
        "suite": plan.suite,
        "clients": plan.clients,
        "rate": plan.rate,
        "saturation_tps": None if found.saturation_tps is None else round(found.saturation_tps, 1),
        "duration_s": plan.duration_s,
        "cores": found.cases[_ALIVE].cores,
        "cases": {name: _case(figures) for name, figures in found.cases.items()},
        "ratio_to_all_alive": {
            name: {key: round(value, 3) for key, value in found.ratio(name).items()}
            for name in (_UNSKIPPED, _SKIPPED)
        },
    }


def _case(figures: Figures) -> Mapping[str, Figure]:
    return {
        "tps": round(figures.tps, 1),
        "latency_ms": figures.latency_ms(),
        "refused": dict(figures.refused),
        "blocks_per_s": round(figures.blocks_per_s, 1),
        "view_changes": figures.view_changes,
        "checked_records": figures.checked_records,
        "checked_proofs": figures.checked_proofs,
    }


def rows(found: OneDead) -> list[tuple[str, object]]:
    """Return what was measured and how it was checked, for people."""
    plan, alive = found.plan, found.cases[_ALIVE]
    half = (
        "as asked for"
        if found.saturation_tps is None
        else f"half of {found.saturation_tps:,.0f}/s at saturation"
    )
    checked = sum(figures.checked_records for figures in found.cases.values())
    proofs = sum(figures.checked_proofs for figures in found.cases.values())
    return [
        ("network", f"{plan.validators} validators on {alive.cores} cores, {plan.suite}"),
        (
            "load",
            (
                f"{plan.rate} transactions/s, open loop, {half}; one document a transaction, "
                f"{plan.clients} clients, {plan.duration_s} s each"
            ),
        ),
        ("checked", f"{checked:,} acknowledged records on every validator, all there"),
        ("", f"{proofs} proofs of random samples, all valid"),
    ]


HEADS: Final = (
    "latency, ms",
    "p50",
    "p95",
    "p99",
    "max",
    "committed/s",
    "not committed",
    "blocks/s",
    "view changes",
)


def table(found: OneDead) -> list[tuple[str, ...]]:
    """Return one line for each case, and one for each ratio, under `HEADS`."""
    lines = [
        (
            TITLES[name],
            *(f"{ms:,.0f}" for ms in figures.latency_ms().values()),
            f"{figures.tps:,.0f}",
            figures.refused_text(),
            f"{figures.blocks_per_s:.1f}",
            str(figures.view_changes),
        )
        for name, figures in found.cases.items()
    ]
    empty = ("",) * (len(HEADS) - 5)
    lines += [
        (
            f"{TITLES[name]} / all alive",
            *(f"{ratio:.2f}" for ratio in found.ratio(name).values()),
            *empty,
        )
        for name in (_UNSKIPPED, _SKIPPED)
    ]
    return lines
