"""The engine's turns on the event loop: one timer, no busy loop, and none at all after a fault."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import pytest

from chainnode.clock import SystemClock
from chainnode.model.errors import (
    ChainError,
    InvariantViolation,
    PeerFault,
    Refused,
    StorageFault,
    Unavailable,
)
from chainnode.node.driver import EngineDriver

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainnode.engine.engine import Engine


pytestmark = pytest.mark.asyncio


class FakeEngine:
    """Raises what it is told to, and counts its turns."""

    def __init__(self, clock: SystemClock) -> None:
        self.clock = clock
        self.calls: list[str] = []
        self.raises: dict[str, Exception] = {}
        self.wait_ms = 3_600_000
        self.ticked = asyncio.Event()

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if name in self.raises:
            raise self.raises[name]

    def start(self) -> None:
        self._call("start")

    def tick(self) -> None:
        self.wait_ms = 3_600_000
        self.ticked.set()
        self._call("tick")

    def flush(self) -> None:
        self._call("flush")

    @property
    def deadline_ms(self) -> int:
        return self.clock.monotonic_ms() + self.wait_ms

    def receive(self, peer: str, message: bytes, received_ms: int) -> None:
        self._call("receive")

    def link(self, peer: str, *, is_up: bool) -> None:
        self._call("link")

    def submit(self, envelope: bytes, done: Callable[[object], None]) -> None:
        self._call("submit")

    def status(self) -> str:
        return "status"

    def newest_checkpoint(self) -> str:
        return "checkpoint"

    def is_pending(self, tx_id: bytes) -> bool:
        return tx_id == b"pending"


class Driven:
    """A driver with a fake engine, and the faults that it reported."""

    def __init__(self) -> None:
        clock = SystemClock()
        self.faults: list[BaseException] = []
        self.engine = FakeEngine(clock)
        self.driver = EngineDriver(clock, self.faults.append)

    def drive(self) -> None:
        self.driver.drive(cast("Engine", self.engine))


async def turns() -> None:
    """Let the loop run what is ready."""
    for _ in range(3):
        await asyncio.sleep(0)


async def test_inputs_of_one_turn_are_flushed_once() -> None:
    driven = Driven()
    driven.drive()
    assert driven.engine.calls == ["start", "flush"]
    for _ in range(3):
        driven.driver.receive("ash", b"", 0)
    driven.driver.link("ash", True)
    driven.driver.submit(b"", lambda _: None)
    await turns()
    assert driven.engine.calls[2:] == ["receive"] * 3 + ["link", "submit", "flush"]
    driven.driver.stop()


async def test_the_engine_ticks_when_it_is_due_and_an_earlier_deadline_replaces_a_later_one() -> (
    None
):
    driven = Driven()
    driven.drive()
    driven.engine.wait_ms = 0
    driven.driver.receive("ash", b"", 0)
    await driven.engine.ticked.wait()
    await turns()
    assert driven.engine.calls == ["start", "flush", "receive", "flush", "tick", "flush"]
    # A later deadline does not move the timer: it wakes once in vain at the most.
    driven.driver.receive("ash", b"", 0)
    await turns()
    assert driven.engine.calls.count("tick") == 1
    driven.driver.stop()


@pytest.mark.parametrize("call", ["receive", "link", "tick", "flush"])
@pytest.mark.parametrize("error", [StorageFault("disk"), KeyError("bug"), Refused("stray")])
async def test_after_a_fault_the_engine_gets_no_further_turn(call: str, error: Exception) -> None:
    driven = Driven()
    driven.drive()
    driven.engine.raises[call] = error
    driven.engine.wait_ms = 0
    if call == "receive":
        driven.driver.receive("ash", b"", 0)
    elif call == "link":
        driven.driver.link("ash", True)
    else:
        driven.driver.settle()
        if call == "tick":
            await driven.engine.ticked.wait()
    assert driven.faults == [error]
    before = list(driven.engine.calls)
    driven.driver.receive("ash", b"", 0)
    driven.driver.link("ash", False)
    driven.driver.settle()
    await turns()
    assert driven.engine.calls == before
    with pytest.raises(Unavailable):
        driven.driver.submit(b"", lambda _: None)
    assert driven.faults == [error]


async def test_a_peers_fault_is_the_peers_and_the_node_goes_on() -> None:
    driven = Driven()
    driven.drive()
    driven.engine.raises["receive"] = PeerFault("nonsense")
    with pytest.raises(PeerFault):
        driven.driver.receive("ash", b"", 0)
    assert driven.faults == []
    assert driven.driver.engine is cast("Engine", driven.engine)
    driven.driver.stop()


async def test_a_refusal_is_the_clients_and_a_fault_is_both_told_and_raised() -> None:
    driven = Driven()
    driven.drive()
    refusal = ChainError("no")
    driven.engine.raises["submit"] = refusal
    with pytest.raises(ChainError):
        driven.driver.submit(b"", lambda _: None)
    assert driven.faults == []
    fault = InvariantViolation("broken")
    driven.engine.raises["submit"] = fault
    with pytest.raises(InvariantViolation):
        driven.driver.submit(b"", lambda _: None)
    assert driven.faults == [fault]


async def test_services_hear_that_the_node_is_starting_or_stopping() -> None:
    driven = Driven()
    with pytest.raises(Unavailable) as refused:
        driven.driver.status()
    assert refused.value.error_code == "not_running"
    driven.driver.receive("ash", b"", 0)
    driven.driver.link("ash", True)
    assert driven.engine.calls == []
    driven.drive()
    assert driven.driver.status() == cast("object", "status")
    assert driven.driver.newest_checkpoint() == cast("object", "checkpoint")
    assert driven.driver.is_pending(b"pending")
    driven.engine.wait_ms = 0
    driven.driver.settle()
    driven.driver.stop()
    await turns()
    assert "tick" not in driven.engine.calls
    driven.driver._tick()
    assert "tick" not in driven.engine.calls
