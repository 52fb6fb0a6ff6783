"""Timestamps: imprints are collected, entered into the log in lists, and answered once a block holds them.

A list is sent as soon as none is under way, so that a lone client waits for one block; under load lists grow by
themselves. A list that is slow (its block changed views, its transaction was lost) holds up only itself: after a
while the next one is sent beside it.

    nothing is granted that no decided block holds; what a crash or a timeout leaves is a record without a token

Everything happens on the event loop's thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from chainnode.keystore.randomness import fresh_seed
from chainnode.model.calls import register_imprints
from chainnode.model.errors import ChainError, InvariantViolation, Unavailable
from chainnode.model.header import decode_header
from chainnode.model.timestamp import Serial, blindings_under
from chainnode.services.outcome import Outcome, Status
from chainnode.services.unit_standing import vouching_authority
from chainnode.tsp.request import Failure, RequestRejected
from chainnode.tsp.token import TokenFacts
from contracts.query import algorithm_registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from prometheus_client import Metric

    from chainnode.clock import Clock
    from chainnode.ledger.ledger import Ledger
    from chainnode.model.commitment import Digest
    from chainnode.pki.certificate import X509Certificate
    from chainnode.services.own_account import OwnAccount
    from chainnode.tsp.request import TimestampRequest
    from chainnode.tsp.token import TokenTemplate

    Done = Callable[["Stamp | RequestRejected"], None]
    """Hears once what the chain says of an imprint, or why it gets no token."""

MAX_LIST: Final = 1_000
"""Imprints of one transaction; as many as the contract takes."""

MAX_UNDER_WAY: Final = 8
"""Lists that wait for their decision at once."""

SLOW_MS: Final = 300
"""A list under way for longer no longer holds up the next one; some blocks."""

LOOK_MS: Final = 50
"""How long it counts that this node could vouch for the time: asking the engine costs as much as signing two tokens, and no
block is decided sooner."""

TIMEOUT_MS: Final = 10_000
"""How long an imprint waits for a list that takes it, and then for its block; then its client is told that no time is
available."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimestampUnit:
    """A key and certificate by which a node issues tokens."""

    certificate: X509Certificate
    fingerprint: bytes
    """The chain's hash of the certificate, 32 bytes."""

    chain: tuple[X509Certificate, ...]
    """Those above it, the one that issued it first."""

    template: TokenTemplate


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """What a token will say, and the unit that the record on the log names."""

    unit: TimestampUnit
    facts: TokenFacts


class UnitSource(Protocol):
    """Where a node's timestamp unit comes from; its certificate may be renewed while the node runs."""

    def unit(self) -> TimestampUnit:
        """Return the unit as it is now. Raises Unavailable: there is none, with what to do."""

    def former(self, serial_number: int) -> tuple[X509Certificate, ...] | None:
        """Return an earlier certificate of the unit and those above it, or None."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A client whose imprint no list holds yet."""

    imprint: Digest
    done: Done
    is_gone: Callable[[], bool]
    since_ms: int
    """On the monotonic clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Standing:
    """What the ledger says of a unit as of a tip."""

    fingerprint: bytes
    height: int
    authority: str
    """By whose word its certificate counts; empty if it does not."""

    problem: str
    """Why it does not, with what to do."""


@dataclass(frozen=True, slots=True, eq=False)
class _List:
    """Imprints that one transaction enters."""

    parts: Sequence[_Waiting]
    unit: TimestampUnit
    seed: bytes
    sent_ms: int


class Timestamping:
    """The queue of one timestamp unit."""

    def __init__(
        self,
        *,
        units: UnitSource,
        own_account: OwnAccount,
        ledger: Ledger,
        reason_not_vouching: Callable[[], str | None],
        clock: Clock,
    ) -> None:
        """Serve one unit.

        Args:
            units: The unit.
            own_account: Enters the imprints; holds the role `timestamper`.
            ledger: The node's.
            reason_not_vouching: Why this node cannot vouch for the time now, or None.
            clock: The node's.
        """
        self._units = units
        self._own_account = own_account
        self._ledger = ledger
        self._reason_not_vouching = reason_not_vouching
        self._clock = clock
        self._reason: str | None = None
        self._known: _Standing | None = None
        self._looked_ms = clock.monotonic_ms() - LOOK_MS
        self._queue: list[_Waiting] = []
        self._under_way: list[_List] = []
        self.granted = 0
        """Imprints entered and answered since start."""

        self.rejected: dict[Failure, int] = dict.fromkeys(Failure, 0)
        """Requests that got no token since start, by reason."""

    @property
    def waiting_count(self) -> int:
        """Clients that wait for their imprint's block."""
        return len(self._queue) + sum(len(one.parts) for one in self._under_way)

    @property
    def end_ms(self) -> int:
        """When the unit's certificate or the use of its key ends, milliseconds UTC; 0 if there is no unit."""
        try:
            certificate = self._units.unit().certificate
        except ChainError:
            return 0
        used_until_ms = certificate.extensions.key_used_until_ms
        return min(certificate.not_after_ms, used_until_ms or certificate.not_after_ms)

    def unit(self) -> TimestampUnit:
        """Return the unit that signs now.

        Raises:
            RequestRejected: there is none, or its key may sign no more.
        """
        try:
            unit = self._units.unit()
        except ChainError as error:
            raise RequestRejected(Failure.SYSTEM_FAILURE, error.message) from error
        until_ms = unit.certificate.extensions.key_used_until_ms
        now_ms = self._clock.now_ms()
        if not unit.certificate.is_valid_at(now_ms) or (until_ms is not None and until_ms < now_ms):
            raise _key_ended()
        return unit

    @property
    def problem(self) -> str | None:
        """Why this unit gives no token whoever asks, as a sentence, or None if it does."""
        try:
            self._authority_of(self.unit())
        except RequestRejected as rejection:
            return rejection.message
        return None

    def certificates(self) -> tuple[X509Certificate, ...]:
        """Return the unit's certificate and those above it, also when it has ended or was revoked: tokens outlive it.

        Raises:
            Unavailable: there is none.
        """
        unit = self._units.unit()
        return (unit.certificate, *unit.chain)

    def former_certificates(self, serial_number: int) -> tuple[X509Certificate, ...] | None:
        """Return an earlier certificate of the unit and those above it, or None if the home keeps none of that number."""
        return self._units.former(serial_number)

    def _authority_of(self, unit: TimestampUnit) -> str:
        """Return the authority by whose word a unit's certificate counts.

        Raises:
            RequestRejected: none vouches for it any more, or yet; no transaction need fail for that.
        """
        height = self._ledger.tip.height
        known = self._known
        if known is None or (known.fingerprint, known.height) != (unit.fingerprint, height):
            known = self._known = self._look_up(unit, height)
        if known.problem:
            raise RequestRejected(Failure.SYSTEM_FAILURE, known.problem)
        return known.authority

    def _look_up(self, unit: TimestampUnit, height: int) -> _Standing:
        authority = problem = ""
        try:
            authority = vouching_authority(
                self._ledger.state, unit.certificate, unit.fingerprint, self._own_account.name
            )
        except Unavailable as error:
            problem = error.message
        return _Standing(
            fingerprint=unit.fingerprint, height=height, authority=authority, problem=problem
        )

    def stamp(
        self, request: TimestampRequest, done: Done, *, is_gone: Callable[[], bool] = lambda: False
    ) -> None:
        """Enter a request's imprint into the log.

        Args:
            request: that can be granted.
            done: Hears once what the chain says of it; not if its client is gone before a list takes the imprint.
            is_gone: Whether nobody waits for the answer any more.

        Raises:
            RequestRejected: at once: no unit, no authority that vouches for it, another policy, or this node cannot vouch for
                the time.
        """
        unit = self.unit()
        policy = unit.template.policy
        if request.policy is not None and request.policy != policy:
            raise RequestRejected(
                Failure.UNACCEPTED_POLICY, "reqPolicy: not the policy of this timestamp unit"
            )
        algorithm = request.imprint.algorithm
        # A closed one would fail the whole list, of whose other imprints nobody asked for it.
        if algorithm in self._closed():
            raise RequestRejected(
                Failure.BAD_ALGORITHM, f"messageImprint: {algorithm} is closed to new records"
            )
        now_ms = self._clock.monotonic_ms()
        if now_ms - self._looked_ms >= LOOK_MS:
            self._looked_ms, self._reason = now_ms, self._reason_not_vouching()
        if self._reason is not None:
            raise RequestRejected(Failure.TIME_NOT_AVAILABLE, self._reason)
        self._authority_of(unit)
        self._queue.append(_Waiting(request.imprint, done, is_gone, now_ms))
        self._flush()

    def _closed(self) -> frozenset[str]:
        """Return the algorithms that the next block takes no imprints of."""
        return algorithm_registry(self._ledger.state).closed_at(self._ledger.tip.height + 1)

    def tick(self) -> None:
        """Send what slow lists hold up, and tell those who have waited too long. Call some times a second."""
        if self._queue:
            self._prune()
            self._flush()

    def count_rejection(self, rejection: RequestRejected) -> None:
        """Note that a client was told no."""
        self.rejected[rejection.failure] += 1

    def _prune(self) -> None:
        """Drop whoever is gone or late. So the queue holds no more than the listener answers at once, and what a tick brings."""
        latest_ms = self._clock.monotonic_ms() - TIMEOUT_MS
        late = [part for part in self._queue if part.since_ms <= latest_ms]
        self._queue = [
            part for part in self._queue if part.since_ms > latest_ms and not part.is_gone()
        ]
        _tell(late, RequestRejected(Failure.TIME_NOT_AVAILABLE, "no list took the imprint in time"))

    def _flush(self) -> None:
        while self._queue and self._may_send():
            parts, self._queue = self._queue[:MAX_LIST], self._queue[MAX_LIST:]
            self._send(parts)

    def _may_send(self) -> bool:
        if not self._under_way:
            return True
        if len(self._under_way) >= MAX_UNDER_WAY:
            return False
        newest_ms = self._under_way[-1].sent_ms
        return len(self._queue) >= MAX_LIST or self._clock.monotonic_ms() - newest_ms >= SLOW_MS

    def _send(self, parts: Sequence[_Waiting]) -> None:
        try:
            unit = self.unit()
            authority = self._authority_of(unit)
        except RequestRejected as rejection:
            _tell(parts, rejection)
            return
        sent = _List(parts, unit, fresh_seed(), self._clock.monotonic_ms())
        self._under_way.append(sent)
        try:
            imprints = [part.imprint for part in parts]
            call = register_imprints(authority, unit.fingerprint, imprints, seed=sent.seed)
            transaction = self._own_account.sign([call])
            self._own_account.send(
                transaction,
                timeout_ms=TIMEOUT_MS,
                done=lambda outcome: self._decided(sent, outcome),
            )
        except ChainError as error:
            self._under_way.remove(sent)
            _tell(parts, RequestRejected(Failure.SYSTEM_FAILURE, error.message))

    def _decided(self, sent: _List, outcome: Outcome | ChainError) -> None:
        self._under_way.remove(sent)
        rejection = _rejection_of(outcome)
        if rejection is None:
            self._grant(sent, outcome)
        else:
            _tell(sent.parts, rejection)
        self._flush()

    def _grant(self, sent: _List, outcome: Outcome | ChainError) -> None:
        if isinstance(outcome, ChainError) or outcome.receipt is None or outcome.height is None:
            raise InvariantViolation("a committed transaction has no receipt")
        genesis = self._ledger.genesis
        header = decode_header(self._ledger.header(outcome.height)[0])
        time_ms = header.time_ms
        not_before_ms, not_after_ms = genesis.parameters.interval_ms(time_ms, header.first_view)
        accuracy_ms = max(time_ms - not_before_ms, not_after_ms - time_ms)
        blinding_of = blindings_under(genesis.suite, sent.seed)
        until_ms = sent.unit.certificate.extensions.key_used_until_ms
        if until_ms is not None and time_ms >= until_ms + 1_000:
            # The block came later than the end of the key's use, by which verifiers judge its tokens.
            _tell(sent.parts, _key_ended())
            return
        first = outcome.receipt.first_record
        self.granted += len(sent.parts)
        for item, part in enumerate(sent.parts):
            serial = Serial(index=first + item, blinding=blinding_of(item))
            facts = TokenFacts(
                serial_number=serial.as_integer(), time_ms=time_ms, accuracy_ms=accuracy_ms
            )
            part.done(Stamp(unit=sent.unit, facts=facts))


def _tell(parts: Sequence[_Waiting], rejection: RequestRejected) -> None:
    for part in parts:
        part.done(rejection)


def _key_ended() -> RequestRejected:
    return RequestRejected(
        Failure.SYSTEM_FAILURE,
        "the timestamp unit's certificate or the use of its key has ended; the operator renews it with "
        "`chainnode ca request`",
    )


def _rejection_of(outcome: Outcome | ChainError) -> RequestRejected | None:
    """Return why a list's clients get no tokens, or None if it is committed."""
    if isinstance(outcome, ChainError):
        is_late = outcome.error_code == "timeout"
        return RequestRejected(
            Failure.TIME_NOT_AVAILABLE if is_late else Failure.SYSTEM_FAILURE,
            "no block was decided in time" if is_late else outcome.message,
        )
    if outcome.status is Status.COMMITTED:
        return None
    if outcome.status is Status.FAILED and outcome.receipt is not None:
        return RequestRejected(
            Failure.SYSTEM_FAILURE, f"the chain refused the imprint: {outcome.receipt.message}"
        )
    return RequestRejected(Failure.TIME_NOT_AVAILABLE, "no block took the imprint in time")


class TimestampCollector:
    """A prometheus_client Collector of what a node's timestamp units did."""

    def __init__(self, units: Mapping[str, Timestamping]) -> None:
        self._units = units

    def collect(self) -> Iterator[Metric]:
        """Yield counters by unit, and what waits."""
        granted = CounterMetricFamily(
            "chainnode_timestamps_granted", "Imprints entered and answered", labels=("unit",)
        )
        rejected = CounterMetricFamily(
            "chainnode_timestamps_rejected",
            "Requests that got no token, by PKIFailureInfo",
            labels=("unit", "failure"),
        )
        waiting = GaugeMetricFamily(
            "chainnode_timestamps_waiting", "Imprints that wait for their block", labels=("unit",)
        )
        valid_until = GaugeMetricFamily(
            "chainnode_timestamp_certificate_end_seconds",
            "When the unit's certificate or the use of its key ends; 0 if there is no unit",
            labels=("unit",),
        )
        counts = GaugeMetricFamily(
            "chainnode_timestamp_certificate_counts",
            "1 while the unit has a certificate that an authority of the chain vouches for, else 0",
            labels=("unit",),
        )
        for name, unit in self._units.items():
            counts.add_metric((name,), unit.problem is None)
            granted.add_metric((name,), unit.granted)
            waiting.add_metric((name,), unit.waiting_count)
            for failure, count in unit.rejected.items():
                rejected.add_metric((name, failure.name.lower()), count)
            valid_until.add_metric((name,), unit.end_ms / 1_000)
        yield from (granted, rejected, waiting, valid_until, counts)
