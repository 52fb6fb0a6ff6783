"""Cosignatures of this log by witnesses outside of the alliance: gathered here, served beside the validators'.

They come a round trip after the validators', and of some checkpoints only, so the newest checkpoint mostly lacks them. What
is served is the newest that has them all, for as long as it is not left too far behind: `PATIENCE_MS` after its time as
the newest, a checkpoint without them is served again. Whoever asks for outside witnesses (its policy says so) then
sees that they are missing; whoever does not is not held up by them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from prometheus_client.metrics_core import GaugeMetricFamily

from chainnode.model.errors import Refused
from chainnode.model.suites import ML_DSA_44

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric

    from chainnode.clock import Clock
    from chainnode.model.cosigned import CosignedCheckpoint
    from chainnode.model.note import Signature
    from chainnode.model.suites import Suite
    from chainnode.model.tlog_policy import Policy, Witness

PATIENCE_MS: Final = 10_000
"""How long a checkpoint with outside cosignatures is served after newer ones came: some rounds of asking for them."""

MAX_OUTSIDE_WITNESSES: Final = 16
"""Of one node. A note has 100 lines, and 100 validators need 67 of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessedCheckpoint:
    """A checkpoint that outside witnesses have cosigned, as many as their policy asks for."""

    cosigned: CosignedCheckpoint
    signatures: tuple[Signature, ...]
    """Theirs alone."""

    newest_ms: int
    """Monotonic clock: when it was the newest checkpoint."""


class OutsideCosignatures:
    """Knows which outside witnesses there are, and what they have cosigned last."""

    def __init__(self, policy: Policy, suite: Suite, clock: Clock) -> None:
        """Begin with none.

        Args:
            policy: the witnesses, each with its URL, and how many of them must have cosigned.
            suite: the chain's.
            clock: the node's.

        Raises:
            Refused: there is no witness, there are too many, one has no URL, or another suite.
        """
        if not 1 <= len(policy.witnesses) <= MAX_OUTSIDE_WITNESSES:
            raise Refused(
                f"{len(policy.witnesses)} outside witnesses; expected 1 to {MAX_OUTSIDE_WITNESSES}",
                code="bad_witnesses",
                field="outside.policy",
            )
        for witness in policy.witnesses:
            if not (witness.url or "").startswith(("http://", "https://")):
                raise Refused(
                    f"the outside witness {witness.name} has no URL; its line is `witness NAME VKEY URL`",
                    code="bad_witnesses",
                    field="outside.policy",
                )
            if witness.key.type.suite.name not in {suite.name, ML_DSA_44}:
                raise Refused(
                    f"the key of the outside witness {witness.name} is of "
                    f"{witness.key.type.suite.name}; the chain's suite is {suite.name}",
                    code="wrong_suite",
                    field="outside.policy",
                )
        self._policy = policy
        self._clock = clock
        self._text = ""
        self._gathered: dict[str, Signature] = {}
        self._newest: WitnessedCheckpoint | None = None
        self._cosigned_ms: dict[str, int] = {}

    @property
    def witnesses(self) -> tuple[Witness, ...]:
        """All of them, in the order of the policy."""
        return self._policy.witnesses

    @property
    def newest(self) -> WitnessedCheckpoint | None:
        """The newest checkpoint that enough of them have cosigned, or None before the first."""
        return self._newest

    @property
    def cosigned_ms(self) -> dict[str, int]:
        """When each witness cosigned last, wall clock, by its name; those that never did are not there."""
        return dict(self._cosigned_ms)

    def take(
        self, cosigned: CosignedCheckpoint, witness: Witness, signature: Signature, newest_ms: int
    ) -> None:
        """Take a cosignature, which is verified.

        Args:
            cosigned: the checkpoint that it is of; not older than the one of the last call.
            witness: whose it is.
            signature: the line.
            newest_ms: monotonic clock, when that checkpoint was the newest.
        """
        text = cosigned.checkpoint.text()
        if text != self._text:
            self._text, self._gathered = text, {}
        self._gathered[witness.name] = signature
        self._cosigned_ms[witness.name] = self._clock.now_ms()
        if self._policy.missing(self._gathered.keys()) == 0:
            self._newest = WitnessedCheckpoint(
                cosigned=cosigned,
                signatures=tuple(
                    self._gathered[w.name] for w in self.witnesses if w.name in self._gathered
                ),
                newest_ms=newest_ms,
            )

    def beside(self, newest: CosignedCheckpoint) -> WitnessedCheckpoint | None:
        """Return what is to be served instead of the newest checkpoint: with outside cosignatures, and new enough."""
        held = self._newest
        if held is None:
            return None
        if held.cosigned.checkpoint == newest.checkpoint:
            # The same tree, with the validators' cosignatures of today.
            return replace(held, cosigned=newest)
        if self._clock.monotonic_ms() - held.newest_ms > PATIENCE_MS:
            return None
        return held


class OutsideCollector:
    """A prometheus_client Collector of when each outside witness cosigned last."""

    def __init__(self, outside: OutsideCosignatures) -> None:
        self._outside = outside

    def collect(self) -> Iterator[Metric]:
        """Yield one gauge."""
        gauge = GaugeMetricFamily(
            "chainnode_outside_cosigned_seconds",
            "When the outside witness cosigned last; 0 if it never did",
            labels=("witness",),
        )
        times = self._outside.cosigned_ms
        for witness in self._outside.witnesses:
            gauge.add_metric((witness.name,), times.get(witness.name, 0) / 1_000)
        yield gauge
