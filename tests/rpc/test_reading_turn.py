"""Turns of the event loop that requests have: bounded for all together, and fair."""

from __future__ import annotations

import asyncio

import pytest

from chainnode.rpc import reading_turn
from chainnode.rpc.reading_turn import LEAST_READ_MS, MOST_READ_MS, ReadingTurn, Share

pytestmark = pytest.mark.asyncio

REQUEST_MS = 1


class Loop:
    """Connections that always have one more request, and a clock that only requests and consensus move."""

    def __init__(self, consensus_ms=0):
        self.now_ms = 0
        self.turn = ReadingTurn(lambda: self.now_ms)
        self.consensus_ms = consensus_ms
        self.rounds = []
        """For each time that the loop went round, who was read, in order."""

    async def greedy(self, name, until_round):
        share = Share()
        while len(self.rounds) < until_round:
            if self.turn.is_over(share):
                await self.turn.next(share)
            self.rounds[-1].append(name)
            self.now_ms += REQUEST_MS

    async def consensus(self, until_round):
        while len(self.rounds) < until_round:
            self.now_ms += self.consensus_ms
            self.rounds.append([])
            await asyncio.sleep(0)

    async def run(self, names, rounds):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.consensus(rounds))
            for name in names:
                tasks.create_task(self.greedy(name, rounds))
        # Whoever was woken reads when the loop goes round the next time.
        return [read for read in self.rounds[1:-1] if read]


@pytest.mark.parametrize("connections", [1, 10, 300])
async def test_what_all_read_in_a_turn_is_bounded_however_many_they_are(connections):
    for read in await Loop().run(range(connections), 60):
        assert len(read) * REQUEST_MS <= LEAST_READ_MS


@pytest.mark.parametrize(
    ("consensus_ms", "expected"), [(5, 20), (15, 2 * 15 + REQUEST_MS), (400, 100)]
)
async def test_a_turn_lasts_as_long_as_consensus_had_within_bounds(consensus_ms, expected):
    assert LEAST_READ_MS <= expected <= MOST_READ_MS
    # Twice that consensus had it before somebody is read again.
    rounds = await Loop(consensus_ms).run(["one"], 30)
    assert {len(read) * REQUEST_MS for read in rounds[1:]} == {expected}


async def test_the_longest_unserved_is_read_first_and_nobody_is_left_out():
    rounds = await Loop().run(range(100), 60)
    # Ten of two milliseconds each have a turn.
    assert all(len(set(read)) == LEAST_READ_MS // reading_turn.LEAST_SHARE_MS for read in rounds)
    for ten in range(0, 20, 10):
        assert len({name for read in rounds[ten : ten + 10] for name in read}) == 100


async def test_one_that_asks_little_is_read_within_a_turn_or_two_of_those_that_ask_much():
    loop = Loop()
    heard = []

    async def modest():
        share = Share()
        while len(loop.rounds) < 50:
            asked = len(loop.rounds)
            if loop.turn.is_over(share):
                await loop.turn.next(share)
            heard.append(len(loop.rounds) - asked)
            loop.now_ms += REQUEST_MS
            for _ in range(4):
                await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(loop.consensus(60))
        for name in range(5):
            tasks.create_task(loop.greedy(name, 60))
        tasks.create_task(modest())
    assert len(heard) >= 5
    assert max(heard) <= 2


async def test_a_client_that_went_while_it_waited_keeps_nobody():
    loop = Loop()
    loop.rounds.append([])
    first, second, third = Share(), Share(), Share()
    assert not loop.turn.is_over(first)
    loop.now_ms += LEAST_READ_MS
    assert loop.turn.is_over(second)
    gone = asyncio.ensure_future(loop.turn.next(second))
    await_third = asyncio.ensure_future(loop.turn.next(third))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait_for(await_third, 1)
