"""The pool against real worker processes: the same verdicts as on the spot, whatever dies in between."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chainnode.model.errors import InvariantViolation, NodeFault
from chainnode.verification import pool as pool_module
from chainnode.verification import process as process_module
from chainnode.verification.in_process import InProcessVerifier
from chainnode.verification.pool import MAX_FRUITLESS_STARTS, WorkerPool
from chainnode.verification.process import WorkerProcess
from chainnode.verification.wire import MAX_CHUNK_ITEMS
from tests.support.chain import make_chain

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from chainnode.model.transaction import Transaction
    from tests.support.chain import Chain

CHAIN = make_chain()


class Host:
    """A pool with everything that it reports."""

    def __init__(self, chain: Chain = CHAIN, workers: int = 1) -> None:
        self.faults: list[NodeFault] = []
        self.faulted = asyncio.Event()
        self.flushes = 0
        self.pool = WorkerPool(chain.genesis.domain, workers, self._fault, self._flush)

    def _fault(self, fault: NodeFault) -> None:
        self.faults.append(fault)
        self.faulted.set()

    def _flush(self) -> None:
        self.flushes += 1

    async def verify(self, transactions: Sequence[Transaction]) -> Sequence[bool]:
        answer: asyncio.Future[Sequence[bool]] = asyncio.get_running_loop().create_future()
        self.pool.verify(transactions, answer.set_result)
        return await answer

    def pids(self) -> list[int]:
        return [worker.process.pid for worker in self.pool._workers]


@contextlib.asynccontextmanager
async def running(chain: Chain = CHAIN, workers: int = 1) -> AsyncIterator[Host]:
    host = Host(chain, workers)
    await host.pool.start()
    pids = host.pids()
    try:
        yield host
    finally:
        pids += host.pids()
        await host.pool.close()
        for pid in pids:
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)


def mixed(chain: Chain, count: int) -> list[Transaction]:
    """Signed transactions, every third of them with something that is not its signature."""
    good = chain.transaction([chain.notarization("a").body.calls[0]], nonce="mixed")
    key, signature = good.public_key, good.signature
    variants = (
        good,
        good,
        replace(good, signature=signature[:-1] + bytes([signature[-1] ^ 1])),
        good,
        good,
        replace(good, signature=signature[:-1]),
        good,
        good,
        replace(good, public_key=key + b"\0"),
        good,
        good,
        replace(good, public_key=chain.accounts["justice/admin"].public),
    )
    return [variants[i % len(variants)] for i in range(count)]


def expected(chain: Chain, transactions: Sequence[Transaction]) -> list[bool]:
    verdicts: list[bool] = []
    InProcessVerifier(chain.genesis.domain).verify(transactions, verdicts.extend)
    return verdicts


def test_on_the_spot_the_verdicts_are_there_when_the_call_returns() -> None:
    assert expected(CHAIN, mixed(CHAIN, 12)) == [True, True, False] * 4


@pytest.mark.asyncio
@pytest.mark.parametrize("suite", ["ed25519-sha256", "sm2-sm3"])
async def test_workers_judge_as_verification_on_the_spot_does(suite: str) -> None:
    chain = make_chain(suite=suite)
    async with running(chain, workers=2) as host:
        transactions = mixed(chain, 24)
        assert list(await host.verify(transactions)) == expected(chain, transactions)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "count", [1, MAX_CHUNK_ITEMS - 1, MAX_CHUNK_ITEMS, MAX_CHUNK_ITEMS + 1, 5 * MAX_CHUNK_ITEMS]
)
async def test_requests_of_any_length_come_back_in_their_own_order(count: int) -> None:
    async with running(workers=2) as host:
        transactions = mixed(CHAIN, count)
        wanted = ([True, True, False] * count)[:count]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(host.verify(transactions[i:])) for i in range(3)]
        assert [list(task.result()) for task in tasks] == [wanted[i:] for i in range(3)]


@pytest.mark.asyncio
async def test_an_empty_request_and_one_that_needs_no_worker_are_answered_later() -> None:
    async with running() as host:
        (short,) = mixed(CHAIN, 6)[5:]
        heard: list[Sequence[bool]] = []
        host.pool.verify([], heard.append)
        host.pool.verify([short], heard.append)
        assert heard == []
        await asyncio.sleep(0)
        assert heard == [(), (False,)]
        assert host.flushes == 1


@pytest.mark.asyncio
async def test_what_is_given_in_one_turn_of_the_loop_travels_in_one_chunk() -> None:
    async with running() as host:
        good = mixed(CHAIN, 1)
        heard: list[Sequence[bool]] = []
        for _ in range(10):
            host.pool.verify(good, heard.append)
        assert list(await host.verify(good)) == [True]
        assert len(heard) == 10
        assert host.flushes == 1


@pytest.mark.asyncio
async def test_chunks_go_to_the_worker_that_owes_least() -> None:
    async with running(workers=3) as host:
        heard: list[Sequence[bool]] = []
        host.pool.verify(mixed(CHAIN, 1) * 5 * MAX_CHUNK_ITEMS, heard.append)
        owed = sorted(worker.owed_items for worker in host.pool._workers)
        assert owed == [MAX_CHUNK_ITEMS, 2 * MAX_CHUNK_ITEMS, 2 * MAX_CHUNK_ITEMS]


@pytest.mark.asyncio
async def test_a_worker_that_dies_is_replaced_and_nothing_is_lost() -> None:
    async with running(workers=2) as host:
        heard: list[Sequence[bool]] = []
        before = host.pids()
        count = 20 * MAX_CHUNK_ITEMS
        answer = asyncio.get_running_loop().create_future()
        host.pool.verify(mixed(CHAIN, count), answer.set_result)
        host.pool.verify(mixed(CHAIN, 3), heard.append)
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        assert list(await answer) == ([True, True, False] * count)[:count]
        assert list(await host.verify(mixed(CHAIN, 3))) == [True, True, False]
        assert heard == [(True, True, False)]
        assert not set(before) & set(host.pids())
        assert host.faults == []


def suspend(pid: int) -> None:
    """Stop a worker, and return when it has stopped."""
    os.kill(pid, signal.SIGSTOP)
    os.waitpid(pid, os.WUNTRACED)


@pytest.mark.asyncio
async def test_a_worker_that_does_not_read_holds_nobody_up() -> None:
    async with running() as host:
        await host.verify(mixed(CHAIN, 1))
        (pid,) = host.pids()
        suspend(pid)
        count = 20 * MAX_CHUNK_ITEMS
        answer = asyncio.get_running_loop().create_future()
        host.pool.verify(mixed(CHAIN, count), answer.set_result)
        await asyncio.sleep(0)
        process = host.pool._workers[0].process
        assert process._unsent
        process._read()
        process._write()
        os.kill(pid, signal.SIGCONT)
        assert list(await answer) == ([True, True, False] * count)[:count]
        assert host.pids() == [pid]


@pytest.mark.asyncio
async def test_a_worker_that_dies_with_a_full_pipe_is_replaced() -> None:
    async with running() as host:
        await host.verify(mixed(CHAIN, 1))
        (pid,) = host.pids()
        suspend(pid)
        count = 20 * MAX_CHUNK_ITEMS
        answer = asyncio.get_running_loop().create_future()
        host.pool.verify(mixed(CHAIN, count), answer.set_result)
        await asyncio.sleep(0)
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        host.pool._workers[0].process._write()
        assert list(await answer) == ([True, True, False] * count)[:count]
        assert host.pids() != [pid]


@pytest.mark.asyncio
async def test_workers_ignore_the_signals_that_are_sent_to_a_whole_group() -> None:
    async with running() as host:
        await host.verify(mixed(CHAIN, 1))
        (pid,) = host.pids()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) * 3:
            os.kill(pid, number)
        await host.verify(mixed(CHAIN, 1))
        assert host.pids() == [pid]


@pytest.mark.asyncio
async def test_a_worker_that_never_answers_stops_the_node_after_a_few_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    starts: list[int] = []

    class Failing(WorkerProcess):
        def __init__(self, loop, suite, heard, ended):
            starts.append(1)
            super().__init__(loop, "no-such-suite", heard, ended)

    monkeypatch.setattr(pool_module, "WorkerProcess", Failing)
    async with running() as host:
        heard: list[Sequence[bool]] = []
        host.pool.verify(mixed(CHAIN, 1), heard.append)
        await host.faulted.wait()
        assert len(starts) == MAX_FRUITLESS_STARTS
        assert "without an answer" in str(host.faults[0])
        host.pool.verify(mixed(CHAIN, 1), heard.append)
        assert heard == []
    assert len(host.faults) == 1


def _no_process(*_args: object, **_options: object) -> None:
    raise OSError(11, "no more processes")


@pytest.mark.asyncio
async def test_start_says_so_when_there_is_no_process_to_be_had(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process_module.subprocess, "Popen", _no_process)
    with pytest.raises(NodeFault, match="cannot be started"):
        await Host().pool.start()


@pytest.mark.asyncio
async def test_a_worker_that_cannot_be_replaced_stops_the_node(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running() as host:
        monkeypatch.setattr(process_module.subprocess, "Popen", _no_process)
        host.pool.verify(mixed(CHAIN, 1), lambda _: None)
        os.kill(host.pids()[0], signal.SIGKILL)
        await host.faulted.wait()
        assert "no more processes" in str(host.faults[0])


@pytest.mark.asyncio
async def test_answers_that_nobody_asked_for_are_a_fault_that_is_told_once() -> None:
    async with running() as host:
        await host.verify(mixed(CHAIN, 1))
        heard: list[Sequence[bool]] = []
        host.pool.verify(mixed(CHAIN, 1), heard.append)
        host.pool._workers[0]._hear(b"\1")
        host.pool._workers[0]._hear(b"\1")
        await asyncio.sleep(0)
        (fault,) = host.faults
        assert isinstance(fault, InvariantViolation)
        assert heard == []


@pytest.mark.asyncio
async def test_a_fault_of_the_host_in_a_callback_reaches_it() -> None:
    async with running() as host:
        fault = InvariantViolation("the engine found itself wrong")

        def done(_verdicts: Sequence[bool]) -> None:
            raise fault

        host.pool.verify(mixed(CHAIN, 1), done)
        host.pool.verify(mixed(CHAIN, 1), done)
        await host.faulted.wait()
        assert host.faults == [fault]


@pytest.mark.asyncio
async def test_a_closed_pool_calls_nobody_back() -> None:
    host = Host()
    await host.pool.start()
    heard: list[Sequence[bool]] = []
    host.pool.verify(mixed(CHAIN, 3), heard.append)
    await host.pool.close()
    host.pool.verify(mixed(CHAIN, 3), heard.append)
    await asyncio.sleep(0)
    await host.pool.close()
    assert heard == []


NODE = """
import asyncio
from chainnode.verification.pool import WorkerPool
from tests.support.chain import make_chain

async def main():
    pool = WorkerPool(make_chain().genesis.domain, 2, print, print)
    await pool.start()
    print("started", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def test_workers_do_not_outlive_a_node_that_is_killed() -> None:
    node = subprocess.Popen(
        [sys.executable, "-c", NODE],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert node.stdout.readline() == b"started\n"
    node.kill()
    # The workers hold the other end of the node's standard error; it is at its end when the last one is gone.
    _, errors = node.communicate(timeout=30)
    assert errors == b""


def test_a_pool_has_at_least_one_worker() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Host(workers=0)
