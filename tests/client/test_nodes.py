"""Several nodes as one: who is passed over, who is given time, when it ends."""

import pytest

from chainnode.client.nodes import FIRST_PAUSE_MS, Nodes
from chainnode.model.errors import DecodeError, Refused, Unavailable
from chainnode.rpc.client import RpcClient
from tests.support.rpc import ManualClock

GONE = Unavailable("no answer", code="node_unreachable")


class Story:
    """What the nodes answer, one after the other, and what was done between."""

    def __init__(self, monkeypatch, clients=2, patience_ms=60_000):
        self.clock = ManualClock()
        self.pauses = []
        self.asked = []
        urls = [f"http://127.0.0.1:{9 + n}" for n in range(clients)]
        self.nodes = Nodes(
            [RpcClient(url) for url in urls], patience_ms=patience_ms, clock=self.clock
        )

        async def sleep(seconds):
            self.pauses.append(round(seconds * 1_000))
            self.clock.advance(round(seconds * 1_000))

        monkeypatch.setattr("asyncio.sleep", sleep)

    async def tell(self, *answers):
        told = iter(answers)

        async def work(client):
            self.asked.append(int(client.url[-1:]) if client.url[-2] == ":" else 10)
            answer = next(told)
            if isinstance(answer, Exception):
                raise answer
            return answer

        return await self.nodes.ask(work)


@pytest.mark.asyncio
async def test_a_node_that_is_gone_is_passed_over_at_once_and_the_next_is_kept(monkeypatch):
    story = Story(monkeypatch)
    assert await story.tell(GONE, "a") == "a"
    assert await story.tell("b") == "b"
    assert (story.asked, story.pauses) == ([9, 10, 10], [])


@pytest.mark.asyncio
async def test_when_all_are_gone_pauses_grow(monkeypatch):
    story = Story(monkeypatch)
    assert await story.tell(GONE, GONE, GONE, GONE, GONE, GONE, "a") == "a"
    assert len(story.pauses) == 3
    for pause, least in zip(story.pauses, (100, 200, 400), strict=True):
        assert least <= pause <= least * 5 // 4


@pytest.mark.asyncio
async def test_an_overloaded_node_is_given_the_time_it_asks_for(monkeypatch):
    story = Story(monkeypatch)
    busy = Unavailable("busy", code="overloaded", retry_after_ms=700)
    assert await story.tell(busy, "a") == "a"
    assert story.pauses[0] >= 700 > FIRST_PAUSE_MS


@pytest.mark.asyncio
async def test_patience_ends_and_every_node_has_been_asked(monkeypatch):
    story = Story(monkeypatch, patience_ms=0)
    with pytest.raises(Unavailable):
        await story.tell(GONE, GONE, "never")
    assert story.asked == [9, 10]
    with pytest.raises(DecodeError):
        Nodes([])


@pytest.mark.asyncio
async def test_what_another_try_would_not_change_is_not_tried_again(monkeypatch):
    story = Story(monkeypatch)
    with pytest.raises(Refused):
        await story.tell(Refused("no"), "never")
    assert story.asked == [9]
