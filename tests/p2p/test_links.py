"""Links over real loopback sockets and real TLS."""

from __future__ import annotations

import asyncio
import logging

import aiohttp
import pytest

from chainnode.model.errors import InvariantViolation, PeerFault
from chainnode.model.limits import MAX_MESSAGE_BYTES
from chainnode.p2p.budget import Rate
from chainnode.p2p.frame import join_frame
from chainnode.p2p.limits import LinkLimits
from chainnode.p2p.member import Arrival, Member, PeerAddress
from chainnode.p2p.outbox import Priority, QueueBound
from tests.support.peers import (
    NAMES,
    PATIENCE_S,
    TestNode,
    contexts,
    dialled_by_hand,
    hello,
    identity,
    ports_of,
    running,
    until,
)

pytestmark = pytest.mark.asyncio

VOTE, NORMAL, BULK = Priority.VOTE, Priority.NORMAL, Priority.BULK
FAST_BEATS = LinkLimits(redial_least_ms=20, beat_ms=20, silent_beats=10)


def nodes_named(*names, **options):
    listeners, ports = ports_of(names)
    return [TestNode(name, listeners[name], ports, **options) for name in names]


async def test_two_peers_exchange_messages_in_both_directions():
    ash, birch = nodes_named("ash", "birch")
    async with running(ash, birch):
        await ash.linked("birch")
        await birch.linked("ash")
        ash.peers.send("birch", b"from ash", priority=NORMAL)
        birch.peers.send("ash", b"from birch", priority=VOTE)
        assert await birch.receive(1) == [("ash", b"from ash")]
        assert await ash.receive(1) == [("birch", b"from birch")]


async def test_four_peers_all_hear_a_broadcast():
    nodes = nodes_named(*NAMES)
    async with running(*nodes):
        for node in nodes:
            await node.linked(*(n for n in NAMES if n != node.name))
        for node in nodes:
            node.peers.broadcast(node.name.encode(), priority=VOTE)
        for node in nodes:
            heard = await node.receive(3)
            assert sorted(heard) == [(n, n.encode()) for n in NAMES if n != node.name]


async def test_a_largest_message_arrives_whole():
    ash, birch = nodes_named("ash", "birch")
    async with running(ash, birch):
        await ash.linked("birch")
        await birch.linked("ash")
        for sender, receiver in ((ash, birch), (birch, ash)):
            message = sender.name.encode() * (MAX_MESSAGE_BYTES // len(sender.name))
            message += b"." * (MAX_MESSAGE_BYTES - len(message))
            sender.peers.send(receiver.name, message, priority=NORMAL)
            assert await receiver.receive(1) == [(sender.name, message)]


async def test_messages_of_one_turn_share_frames():
    ash, birch = nodes_named("ash", "birch")
    async with running(ash, birch):
        await ash.linked("birch")
        await birch.linked("ash")
        for number in range(1_000):
            ash.peers.send("birch", b"%d" % number, priority=VOTE)
        heard = await birch.receive(1_000)
        assert heard == [("ash", b"%d" % number) for number in range(1_000)]
        assert ash.stats_of("birch").frames_out == 1
        stats = birch.stats_of("ash")
        assert (stats.frames_in, stats.messages_in) == (1, 1_000)
        assert stats.bytes_in == ash.stats_of("birch").bytes_out


async def test_a_vote_overtakes_a_backlog_of_bulk():
    ash, birch = nodes_named("ash", "birch")
    async with running(ash, birch):
        await ash.linked("birch")
        await birch.linked("ash")
        backlog = 400
        for _ in range(backlog):
            ash.peers.send("birch", bytes(60_000), priority=BULK)
        await birch.receive(1)
        # The first bulk message has arrived, so the writer is in the middle of its backlog.
        ash.peers.send("birch", b"proposal", priority=NORMAL)
        ash.peers.send("birch", b"vote", priority=VOTE)
        kinds = [message for _, message in await birch.receive(backlog + 1)]
        vote = kinds.index(b"vote")
        assert kinds[vote + 1] == b"proposal"
        # What had been handed to TLS and the kernel stays ahead; most of the backlog does not.
        assert vote < backlog // 2


async def test_a_stranger_cannot_complete_a_handshake(caplog):
    ash, birch = nodes_named("ash", "birch")
    async with running(ash, birch):
        await birch.linked("ash")
        port = birch.peers._listener.getsockname()[1]
        with pytest.raises((aiohttp.ClientError, OSError)):
            async with dialled_by_hand("mallory", port, pinned=(*NAMES, "mallory")):
                pytest.fail("a stranger got through")
        await until(lambda: birch.peers.strangers >= 1)
        assert "stranger_refused" in caplog.text
        assert birch.links.empty()


async def test_who_does_not_speak_tls_is_refused():
    (birch,) = nodes_named("birch")
    async with running(birch):
        port = birch.peers._listener.getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /p2p HTTP/1.1\r\n\r\n")
        await reader.read()
        await until(lambda: birch.peers.strangers >= 1)
        writer.close()


async def test_a_caller_who_says_nothing_is_refused_in_time():
    limits = LinkLimits(handshake_ms=50, pending_handshakes=1)
    (birch,) = nodes_named("birch", limits=limits)
    async with running(birch):
        port = birch.peers._listener.getsockname()[1]
        callers = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        await until(lambda: birch.peers.strangers == 3)
        for _, writer in callers:
            writer.close()


async def test_a_peer_with_another_genesis_is_refused_with_a_clear_line(caplog):
    listeners, ports = ports_of(("ash", "birch"))
    ash = TestNode("ash", listeners["ash"], ports)
    birch = TestNode("birch", listeners["birch"], ports, genesis_hash=bytes(32))
    async with running(ash, birch):
        await until(lambda: ash.stats_of("birch").faults > 0 or birch.stats_of("ash").faults > 0)
        assert ash.links.empty()
        assert birch.links.empty()
    assert "hello: genesis_hash is" in caplog.text
    assert bytes(range(32)).hex() in caplog.text


async def test_a_member_who_answers_at_anothers_address_is_left_alone(caplog):
    listeners, ports = ports_of(("ash", "birch", "cedar"))
    wrong = {"ash": ports["ash"], "birch": ports["cedar"]}
    ash = TestNode("ash", listeners["ash"], wrong)
    cedar = TestNode("cedar", listeners["cedar"], ports)
    listeners["birch"].close()
    async with running(ash, cedar):
        await until(lambda: "another validator answers" in ash.stats_of("birch").why_down)
    assert "another validator answers" in caplog.text
    assert ash.links.empty()


async def test_a_member_that_is_no_peer_of_ours_is_refused():
    # Its certificate is pinned in TLS, and yet it is not among the peers.
    listeners, ports = ports_of(("birch", "cedar"))
    birch = TestNode("birch", listeners["birch"], ports)
    listeners["cedar"].close()
    async with running(birch):
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            async with dialled_by_hand("ash", ports["birch"]):
                pytest.fail("got through")


async def test_who_dials_out_of_turn_is_refused_and_the_link_stays():
    ash, birch = nodes_named("ash", "birch")
    async with running(ash, birch):
        await ash.linked("birch")
        await birch.linked("ash")
        port = ash.peers._listener.getsockname()[1]
        async with dialled_by_hand("birch", port) as second:
            farewell = await second.receive()
        assert farewell.type is aiohttp.WSMsgType.CLOSE
        assert farewell.extra == "ash dials birch, not the other way round"
        ash.peers.send("birch", b"still here", priority=VOTE)
        assert await birch.receive(1) == [("ash", b"still here")]
        assert ash.links.empty()


async def test_a_newer_connection_replaces_the_older():
    listeners, ports = ports_of(("ash", "birch"))
    listeners["ash"].close()
    birch = TestNode("birch", listeners["birch"], ports)
    async with running(birch), dialled_by_hand("ash", ports["birch"]) as older:
        await older.send_bytes(hello("ash", "birch"))
        assert await birch.next_link() == ("ash", True)
        async with dialled_by_hand("ash", ports["birch"]) as newer:
            await newer.send_bytes(hello("ash", "birch"))
            assert await birch.next_link() == ("ash", False)
            assert await birch.next_link() == ("ash", True)
            assert birch.stats_of("ash").why_down == "replaced by a newer connection"
            await newer.send_bytes(join_frame([b"new"]))
            assert await birch.receive(1) == [("ash", b"new")]


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda s: s.send_bytes(b"\0\0\0\5abc"), "frame: a message of 5 bytes"),
        (lambda s: s.send_bytes(b""), "frame: 0 bytes"),
        (lambda s: s.send_bytes(bytes(24 * 2**20 + 5)), "WebSocket: "),
        (lambda s: s.send_str("text"), "WebSocket: a text message"),
    ],
    ids=["bad length", "empty", "too large", "text"],
)
async def test_malformed_frames_end_the_link_and_are_counted(spoil, why):
    listeners, ports = ports_of(("ash", "birch"))
    listeners["ash"].close()
    birch = TestNode("birch", listeners["birch"], ports, limits=LinkLimits(fault_ms=60_000))
    async with running(birch):
        async with dialled_by_hand("ash", ports["birch"]) as by_hand:
            await by_hand.send_bytes(hello("ash", "birch"))
            assert await birch.next_link() == ("ash", True)
            await by_hand.receive()
            await spoil(by_hand)
            assert await birch.next_link() == ("ash", False)
            while (end := await by_hand.receive()).type is aiohttp.WSMsgType.PING:
                pass
            assert end.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
        assert birch.stats_of("ash").faults == 1
        assert birch.stats_of("ash").why_down.startswith(why)
        async with dialled_by_hand("ash", ports["birch"]) as too_soon:
            assert (await too_soon.receive()).extra.startswith("not yet: ")


@pytest.mark.parametrize(
    "first", [b"nonsense", hello("ash", "cedar"), hello("ash", "birch", dialled=False)]
)
async def test_a_wrong_hello_is_a_fault(first):
    listeners, ports = ports_of(("ash", "birch"))
    listeners["ash"].close()
    birch = TestNode("birch", listeners["birch"], ports)
    async with running(birch), dialled_by_hand("ash", ports["birch"]) as by_hand:
        await by_hand.send_bytes(first)
        await until(lambda: birch.stats_of("ash").faults == 1)
        assert birch.stats_of("ash").why_down.startswith("hello: ")


async def test_a_ping_is_no_hello():
    listeners, ports = ports_of(("ash", "birch"))
    listeners["ash"].close()
    birch = TestNode("birch", listeners["birch"], ports)
    async with running(birch), dialled_by_hand("ash", ports["birch"]) as by_hand:
        await by_hand.ping()
        await until(lambda: birch.stats_of("ash").faults == 1)


async def test_a_missing_hello_ends_the_connection():
    listeners, ports = ports_of(("ash", "birch"))
    listeners["ash"].close()
    birch = TestNode("birch", listeners["birch"], ports, limits=LinkLimits(handshake_ms=50))
    async with running(birch), dialled_by_hand("ash", ports["birch"]):
        await until(lambda: "nothing within 50 ms" in birch.stats_of("ash").why_down)
        assert birch.stats_of("ash").faults == 0


async def test_a_member_who_asks_for_nothing_is_not_waited_for():
    listeners, ports = ports_of(("ash", "birch"))
    listeners["ash"].close()
    birch = TestNode("birch", listeners["birch"], ports, limits=LinkLimits(handshake_ms=100))
    async with running(birch):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", ports["birch"], ssl=contexts("ash")[1], server_hostname=""
        )
        async with asyncio.timeout(PATIENCE_S):
            assert await reader.read() == b""
        writer.close()
        assert birch.peers.strangers == 0


async def test_of_connections_that_arrive_at_once_the_newest_is_served():
    class FakeWire:
        def cut(self, why):
            cuts.append((self, why))

    cuts = []
    old, newer, newest = FakeWire(), FakeWire(), FakeWire()
    address = PeerAddress(name="ash", address="127.0.0.1:1", certificate=b"")
    member = Member(address, LinkLimits(), we_dial=False)
    member.wire = old
    arrivals = [
        Arrival(wire, asyncio.get_running_loop().create_future()) for wire in (newer, newest)
    ]
    for arrival in arrivals:
        member.offer(arrival)
    assert {wire for wire, _ in cuts} == {old, newer}
    assert [arrival.done.done() for arrival in arrivals] == [True, False]
    assert member.arrivals.get_nowait().wire is newest


async def test_a_peer_that_stops_reading_costs_only_itself():
    limits = LinkLimits(
        redial_least_ms=20,
        beat_ms=100,
        silent_beats=10,
        queues={p: QueueBound(messages=100, size_bytes=1_000_000) for p in Priority},
    )
    listeners, ports = ports_of(("ash", "birch", "cedar"))
    listeners["ash"].close()
    birch = TestNode("birch", listeners["birch"], ports, limits=limits)
    cedar = TestNode("cedar", listeners["cedar"], ports, limits=limits)
    async with running(birch, cedar), dialled_by_hand("ash", ports["birch"]) as stuck:
        await stuck.send_bytes(hello("ash", "birch"))
        await birch.linked("ash", "cedar")
        while not birch.stats_of("ash").queues[BULK].dropped:
            birch.peers.broadcast(bytes(50_000), priority=BULK)
            await cedar.receive(1)
        for _ in range(200):
            birch.peers.send("ash", bytes(50_000), priority=BULK)
        backlog = birch.stats_of("ash").queues[BULK]
        assert (backlog.messages, backlog.size_bytes) == (20, 1_000_000)
        birch.peers.send("ash", b"vote", priority=VOTE)
        assert birch.stats_of("ash").queues[VOTE].messages == 1
        # It answers no ping either, so after ten beats it is gone, and what waited for it as well.
        assert await birch.next_link() == ("ash", False)
        assert birch.stats_of("ash").why_down == "silent for 10 beats of 100 ms"
        assert [q.messages for q in birch.stats_of("ash").queues] == [0, 0, 0]
        # The kernel may have taken a little more meanwhile, the vote first; not most of what waited.
        assert birch.stats_of("ash").queues[BULK].dropped >= backlog.dropped + backlog.messages // 2


async def test_silent_links_stay_up_by_their_beats_and_measure_the_round_trip():
    ash, birch = nodes_named("ash", "birch", limits=FAST_BEATS)
    async with running(ash, birch):
        await ash.linked("birch")
        await birch.linked("ash")
        await until(lambda: ash.stats_of("birch").rtt_ms is not None)
        await until(lambda: birch.stats_of("ash").rtt_ms is not None)
        first = ash.stats_of("birch").last_heard_ms
        await until(lambda: ash.stats_of("birch").last_heard_ms > first + 20 * 10)
        assert ash.links.empty()
        assert birch.links.empty()


async def test_who_sends_too_much_is_read_more_slowly_and_not_cut_off():
    slow = LinkLimits(
        redial_least_ms=20, inbound=Rate(messages_per_s=1_000, bytes_per_s=10_000_000)
    )
    ash, birch = nodes_named("ash", "birch", limits=slow)
    async with running(ash, birch):
        await ash.linked("birch")
        await birch.linked("ash")
        for number in range(1_100):
            ash.peers.send("birch", b"%d" % number, priority=VOTE)
        await birch.receive(1_100)
        ash.peers.send("birch", b"after the pause", priority=VOTE)
        assert await birch.receive(1) == [("ash", b"after the pause")]
        assert birch.stats_of("ash").paused_ms > 0
        assert birch.links.empty()


async def test_links_come_back_when_a_node_restarts():
    listeners, ports = ports_of(("ash", "birch"))
    ash = TestNode("ash", listeners["ash"], ports)
    first = TestNode("birch", listeners["birch"], ports)
    again = listeners["birch"].dup()
    again.setblocking(False)
    async with running(ash):
        async with running(first):
            await ash.linked("birch")
        assert await ash.next_link() == ("birch", False)
        assert "the node stops" in ash.stats_of("birch").why_down
        second = TestNode("birch", again, ports)
        async with running(second):
            await second.linked("ash")
            assert await ash.next_link() == ("birch", True)
            assert ash.stats_of("birch").links == 2
            second.peers.send("ash", b"back", priority=VOTE)
            assert await ash.receive(1) == [("birch", b"back")]


async def test_a_lost_connection_is_noticed_and_an_unasked_pong_is_not():
    listeners, ports = ports_of(("ash", "birch"))
    listeners["ash"].close()
    birch = TestNode("birch", listeners["birch"], ports)
    async with running(birch), dialled_by_hand("ash", ports["birch"]) as by_hand:
        await by_hand.send_bytes(hello("ash", "birch"))
        assert await birch.next_link() == ("ash", True)
        await by_hand.pong(bytes(8))
        await by_hand.ping(b"1")
        await by_hand.ping(b"2")
        await by_hand.send_bytes(join_frame([b"still here"]))
        assert await birch.receive(1) == [("ash", b"still here")]
        answers = [await by_hand.receive() for _ in range(3)]
        assert (aiohttp.WSMsgType.PONG, b"2") in [(a.type, a.data) for a in answers]
        assert birch.stats_of("ash").rtt_ms is None
        by_hand._response.connection.transport.abort()
        assert await birch.next_link() == ("ash", False)
        assert birch.stats_of("ash").why_down == "the connection was lost"
        assert birch.stats_of("ash").faults == 0


async def test_a_peer_that_is_down_is_one_log_line(caplog):
    listeners, ports = ports_of(("ash", "birch"))
    listeners["birch"].close()
    ash = TestNode(
        "ash", listeners["ash"], ports, limits=LinkLimits(redial_least_ms=1, redial_most_ms=1)
    )
    attempts = 0
    dial = ash.peers._dial

    async def counted(*arguments):
        nonlocal attempts
        attempts += 1
        return await dial(*arguments)

    ash.peers._dial = counted
    async with running(ash):
        await until(lambda: attempts > 5)
    assert caplog.text.count("peer_unlinked peer=birch") == 1


async def test_messages_without_a_link_are_dropped_and_counted():
    ash, _ = nodes = nodes_named("ash", "birch")
    ash.peers.broadcast(b"early", priority=BULK)
    assert ash.stats_of("birch").queues[BULK].dropped == 1
    assert ash.stats_of("birch").queues[BULK].messages == 0
    for node in nodes:
        node.peers._listener.close()


@pytest.mark.parametrize("size_bytes", [0, 24 * 2**20 + 1])
async def test_messages_of_impossible_size_are_the_callers_bug(size_bytes):
    (ash,) = nodes_named("ash")
    with pytest.raises(ValueError, match=f"a message of {size_bytes} bytes"):
        ash.peers.broadcast(bytes(size_bytes), priority=BULK)
    ash.peers._listener.close()


async def test_a_fault_found_by_the_callback_ends_only_that_link():
    def judge(_peer: str, _message: bytes, _received_ms: int) -> None:
        raise PeerFault("vote: no such view")

    listeners, ports = ports_of(("ash", "birch"))
    ash = TestNode("ash", listeners["ash"], ports)
    birch = TestNode("birch", listeners["birch"], ports, on_frame=judge)
    async with running(ash, birch):
        await ash.linked("birch")
        await birch.linked("ash")
        ash.peers.send("birch", b"bad vote", priority=VOTE)
        assert await birch.next_link() == ("ash", False)
        assert await ash.next_link() == ("birch", False)
        assert birch.stats_of("ash").faults == 1
        assert ash.stats_of("birch").why_down == "the peer closed it: 'vote: no such view'"
        # The peer is forgiven after a while.
        assert await birch.next_link() == ("ash", True)


@pytest.mark.parametrize("stops", ["ash", "birch"], ids=["who dialled", "who accepted"])
@pytest.mark.parametrize("error", [InvariantViolation("two blocks"), ZeroDivisionError("a bug")])
async def test_any_other_error_of_the_callback_stops_the_node(error, stops):
    def judge(_peer: str, _message: bytes, _received_ms: int) -> None:
        raise error

    listeners, ports = ports_of(("ash", "birch"))
    nodes = {
        name: TestNode(name, listeners[name], ports, on_frame=judge if name == stops else None)
        for name in ports
    }
    (other,) = (n for n in nodes.values() if n.name != stops)
    async with running(other):
        run = asyncio.ensure_future(nodes[stops].peers.run())
        await other.linked(stops)
        other.peers.send(stops, b"anything", priority=VOTE)
        with pytest.raises(ExceptionGroup) as caught:
            async with asyncio.timeout(PATIENCE_S):
                await run
        assert caught.value.split(type(error))[1] is None
        assert await other.next_link() == (stops, False)


async def test_stopping_says_goodbye_and_leaves_no_task_behind(caplog):
    caplog.set_level(logging.INFO)
    nodes = nodes_named(*NAMES)
    before = asyncio.all_tasks()
    async with running(*nodes):
        for node in nodes:
            await node.linked(*(n for n in NAMES if n != node.name))
    assert asyncio.all_tasks() == before
    for node in nodes:
        assert node.peers._listener.fileno() == -1
        downs = [node.links.get_nowait() for _ in range(3)]
        assert sorted(downs) == [(n, False) for n in NAMES if n != node.name]
    assert {r.levelname for r in caplog.records if r.name.startswith("asyncio")} <= {"DEBUG"}
    assert identity("ash").certificate != identity("birch").certificate
