"""Two processes of one validator push each other from its links. That is their trouble: other links do not notice, and
nothing is left behind of the connections that are gone."""

from __future__ import annotations

import asyncio
import contextlib
import gc

import aiohttp
import pytest
from aiohttp import web

from chainnode.p2p.limits import LinkLimits
from chainnode.p2p.link import Link
from chainnode.p2p.outbox import Priority
from chainnode.p2p.wire import Wire
from tests.support.peers import TestNode, dialled_by_hand, hello, ports_of, running, until

pytestmark = pytest.mark.asyncio

EAGER = LinkLimits(redial_least_ms=5, redial_most_ms=20)
"""A hundred times as often as by default."""

REPLACED = 150
SETTLED_LINKS = 12
"""Links, or wires, that there may be at once: of three nodes, both ends, and some on their way out."""


def alive(*kinds: type) -> int:
    """Return how many objects of these kinds there are."""
    gc.collect()
    return sum(isinstance(found, kinds) for found in gc.get_objects())


async def exchange(one: TestNode, other: TestNode, count: int) -> None:
    """See that messages pass both ways, in order."""
    for number in range(count):
        for sender, receiver in ((one, other), (other, one)):
            sender.peers.send(receiver.name, b"%d" % number, priority=Priority.VOTE)
            while (found := (await receiver.receive(1))[0]) != (sender.name, b"%d" % number):
                assert found[0] != sender.name, found


@contextlib.asynccontextmanager
async def two_that_hear_each_other():
    """Birch and cedar are linked with each other; ash, whom both expect to be called by, is not there yet."""
    listeners, ports = ports_of(("ash", "birch", "cedar"))
    listeners["ash"].close()
    birch, cedar = (TestNode(n, listeners[n], ports, limits=EAGER) for n in ("birch", "cedar"))
    async with running(birch, cedar):
        await birch.linked("cedar")
        await cedar.linked("birch")
        yield birch, cedar, ports


async def test_s27_two_processes_that_push_each_other_starve_nobody_and_leave_nothing_behind():
    async with two_that_hear_each_other() as (birch, cedar, ports):
        before = len(asyncio.all_tasks())
        own, others = ports_of(("one", "another"))
        async with running(
            *(TestNode("ash", own[n], ports | {"ash": others[n]}, limits=EAGER) for n in own)
        ):
            while birch.stats_of("ash").links < REPLACED:
                await exchange(birch, cedar, 5)
            assert alive(Link, Wire) <= 2 * SETTLED_LINKS
            assert len(asyncio.all_tasks()) < before + 60
        for node, peer in ((birch, cedar), (cedar, birch)):
            stats = node.stats_of(peer.name)
            assert (stats.links, stats.faults, stats.why_down) == (1, 0, "")
            assert node.stats_of("ash").faults == 0
        await until(lambda: len(asyncio.all_tasks()) <= before)
        assert [q.messages for q in birch.stats_of("ash").queues] == [0, 0, 0]


async def test_s27_a_member_that_calls_again_and_again_holds_one_link_only():
    """It need not wait until it is pushed from its link: it leaves each connection lying about and makes another."""
    async with (
        two_that_hear_each_other() as (birch, cedar, ports),
        contextlib.AsyncExitStack() as held,
    ):
        for _ in range(40):
            dialled = await held.enter_async_context(dialled_by_hand("ash", ports["birch"]))
            with contextlib.suppress(ConnectionError, aiohttp.ClientConnectionError):
                await dialled.send_bytes(hello("ash", "birch"))
            await exchange(birch, cedar, 2)
        await until(lambda: birch.stats_of("ash").connected_since_ms is not None)
        await until(lambda: alive(web.WebSocketResponse) <= 2)
        assert alive(Link) <= 4
        assert birch.stats_of("cedar").links == 1
