import asyncio
import contextlib
import json
import os
import random
import signal
import sys
import time

import pytest

from chainnode.model.errors import Unavailable
from devnet import fault_proxy, processes
from devnet.fault_proxy import FaultProxy, Wire
from devnet.ports import LOOPBACK, free_ports

DEADLINE_S = 10


@contextlib.asynccontextmanager
async def echo_behind_wire(ends=("a", "b"), heard=None, serve=None):
    """Yield a proxy with one wire that ends at a server which answers what it hears, or at `serve`, and the ports."""

    async def echo(reader, writer):
        while data := await reader.read(1024):
            if heard is not None:
                heard.append(data)
            writer.write(data)
            await writer.drain()
        writer.close()

    listen_port, to_port, control_port = free_ports(3)
    proxy = FaultProxy([Wire(ends=ends, listen_port=listen_port, to_port=to_port)])
    server = await asyncio.start_server(serve or echo, LOOPBACK, to_port)
    serving = asyncio.create_task(proxy.serve(control_port))
    await listening(control_port)
    try:
        yield proxy, listen_port, control_port
    finally:
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving
        server.close()
        await no_other_task()


async def connected(port):
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                return await asyncio.open_connection(LOOPBACK, port)
            except OSError:
                await asyncio.sleep(0.01)


async def listening(port):
    _, writer = await connected(port)
    writer.close()
    await writer.wait_closed()


async def no_other_task(but=1):
    """Return when every connection has ended, by whichever side."""
    async with asyncio.timeout(DEADLINE_S):
        while len(asyncio.all_tasks()) > but:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.01)


async def answer(reader, size):
    async with asyncio.timeout(DEADLINE_S):
        return await reader.readexactly(size)


@pytest.mark.asyncio
async def test_whole_wire_carries_both_ways():
    async with echo_behind_wire() as (_, port, _control):
        reader, writer = await connected(port)
        writer.write(b"hello")
        assert await answer(reader, 5) == b"hello"
        writer.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["a", "b"])
async def test_cut_at_either_end_swallows_and_healing_delivers(name):
    async with echo_behind_wire() as (proxy, port, _):
        reader, writer = await connected(port)
        writer.write(b"1")
        assert await answer(reader, 1) == b"1"
        assert proxy.obey(f"cut {name}") == "ok"
        writer.write(b"2")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await reader.readexactly(1)
        assert proxy.obey(f"heal {name}") == "ok"
        assert await answer(reader, 1) == b"2"
        writer.close()


@pytest.mark.asyncio
async def test_wire_cut_at_both_ends_needs_both_healed():
    async with echo_behind_wire() as (proxy, port, _):
        proxy.obey("cut a")
        proxy.obey("cut b")
        proxy.obey("heal a")
        reader, writer = await connected(port)
        writer.write(b"1")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await reader.readexactly(1)
        proxy.obey("heal b")
        assert await answer(reader, 1) == b"1"
        writer.close()


async def carries(reader, writer, data):
    """Whether the far end hears this and its answer comes back."""
    writer.write(data)
    try:
        async with asyncio.timeout(0.2):
            return await reader.readexactly(len(data)) == data
    except TimeoutError:
        return False


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("line", "is_heard"),
    [("mute a", False), ("deafen b", False), ("deafen a", True), ("mute b", True)],
)
async def test_cut_in_one_direction_lets_the_other_pass(line, is_heard):
    heard = []
    async with echo_behind_wire(heard=heard) as (proxy, port, _):
        reader, writer = await connected(port)
        assert await carries(reader, writer, b"1")
        assert proxy.obey(line) == "ok"
        assert not await carries(reader, writer, b"2")
        assert heard == ([b"1", b"2"] if is_heard else [b"1"])
        assert proxy.obey(f"heal {line.split()[1]}") == "ok"
        assert await answer(reader, 1) == b"2"
        writer.close()


@pytest.mark.asyncio
async def test_parted_two_hear_nothing_of_each_other_until_either_is_healed():
    async with echo_behind_wire() as (proxy, port, _):
        reader, writer = await connected(port)
        proxy.obey("part b a")
        proxy.obey("part a c")
        assert not await carries(reader, writer, b"1")
        proxy.obey("heal c")
        assert not await carries(reader, writer, b"2")
        proxy.obey("heal a")
        assert await answer(reader, 2) == b"12"
        writer.close()


@pytest.mark.asyncio
async def test_slow_wire_delivers_later():
    async with echo_behind_wire() as (proxy, port, _):
        reader, writer = await connected(port)
        proxy.obey("slow a 300")
        assert not await carries(reader, writer, b"1")
        assert await answer(reader, 1) == b"1"
        proxy.obey("slow a 0")
        assert await carries(reader, writer, b"2")
        writer.close()


def test_delay_counts_once_per_wire_and_slowness_of_either_end_beside_it():
    wire = Wire(ends=("a", "b"), listen_port=0, to_port=0)
    proxy = FaultProxy([wire])

    def both_ms(line):
        assert proxy.obey(line) == "ok"
        return round(wire.forth.delay_s * 1_000), round(wire.back.delay_s * 1_000)

    assert both_ms("delay 30") == (30, 30)
    assert both_ms("slow a 5") == (35, 35)
    assert both_ms("slow b 7") == (42, 42)
    assert both_ms("heal a") == (37, 37)
    assert both_ms("heal b") == (30, 30)
    assert both_ms("delay 0") == (0, 0)


@pytest.mark.asyncio
async def test_delay_is_the_same_in_either_direction():
    arrived = []

    async def echo(reader, writer):
        while data := await reader.read(1024):
            arrived.append(time.monotonic())
            writer.write(data)
        writer.close()

    async with echo_behind_wire(serve=echo) as (proxy, port, _):
        reader, writer = await connected(port)
        proxy.obey("delay 200")
        for byte in (b"1", b"2"):
            sent = time.monotonic()
            writer.write(byte)
            assert await answer(reader, 1) == byte
            answered = time.monotonic()
            assert 0.199 <= arrived[-1] - sent < 0.35
            assert 0.199 <= answered - arrived[-1] < 0.35
        writer.close()


@pytest.mark.asyncio
async def test_much_is_under_way_at_once_where_there_is_delay_and_keeps_its_order():
    data = random.randbytes(32 * 1024 * 1024)
    async with echo_behind_wire() as (proxy, port, _):
        reader, writer = await connected(port)
        proxy.obey("delay 200")
        began = time.monotonic()
        writer.write(data)
        # Piece after piece it would take at least 128 times the delay each way.
        assert await answer(reader, len(data)) == data
        assert time.monotonic() - began >= 0.4
        writer.close()


@pytest.mark.asyncio
async def test_each_of_many_small_messages_is_late_by_the_delay_alone():
    async with echo_behind_wire() as (proxy, port, _):
        reader, writer = await connected(port)
        proxy.obey("delay 100")
        sent = []

        async def speak():
            for _ in range(50):
                sent.append(time.monotonic())
                writer.write(b"x")
                await asyncio.sleep(0.01)

        speaking = asyncio.create_task(speak())
        late = []
        for number in range(50):
            await answer(reader, 1)
            late.append(time.monotonic() - sent[number])
        await speaking
        assert min(late) >= 0.199
        assert max(late) < 1
        writer.close()


@pytest.mark.asyncio
async def test_what_is_said_after_a_delay_has_ended_does_not_overtake():
    async with echo_behind_wire() as (proxy, port, _):
        reader, writer = await connected(port)
        proxy.obey("delay 200")
        assert not await carries(reader, writer, b"1")
        proxy.obey("delay 0")
        writer.write(b"2")
        assert await answer(reader, 2) == b"12"
        assert await carries(reader, writer, b"3")
        writer.close()


@pytest.mark.asyncio
async def test_what_was_said_before_hanging_up_arrives_late_and_whole():
    heard = []
    async with echo_behind_wire(heard=heard) as (proxy, port, _):
        _, writer = await connected(port)
        proxy.obey("delay 200")
        # Its answer comes back to nobody while the rest is still under way.
        writer.write(b"1")
        await asyncio.sleep(0.3)
        writer.write(b"2")
        writer.close()
        await no_other_task(but=2)
        assert heard == [b"1", b"2"]


@pytest.mark.asyncio
@pytest.mark.parametrize("delay_ms", [0, 10])
async def test_receiver_that_does_not_read_is_felt_by_the_sender(delay_ms):
    is_read = asyncio.Event()

    async def read_later(reader, writer):
        await is_read.wait()
        while await reader.read(1024 * 1024):
            pass
        writer.close()

    async with echo_behind_wire(serve=read_later) as (proxy, port, _):
        _, writer = await connected(port)
        proxy.obey(f"delay {delay_ms}")
        writer.write(bytes(64 * 1024 * 1024))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await writer.drain()
        is_read.set()
        async with asyncio.timeout(DEADLINE_S):
            await writer.drain()
        writer.close()


@pytest.mark.asyncio
async def test_cut_wire_does_not_even_tell_that_the_other_side_hung_up():
    async with echo_behind_wire() as (proxy, port, _):
        reader, writer = await connected(port)
        assert await carries(reader, writer, b"1")
        proxy.obey("mute b")
        writer.close()
        await writer.wait_closed()
        await asyncio.sleep(0.2)
        assert len(asyncio.all_tasks()) > 2
        proxy.obey("heal b")
        await no_other_task(but=2)


@pytest.mark.asyncio
async def test_cut_elsewhere_changes_nothing():
    async with echo_behind_wire() as (proxy, port, _):
        proxy.obey("cut c")
        reader, writer = await connected(port)
        writer.write(b"1")
        assert await answer(reader, 1) == b"1"
        writer.close()


@pytest.mark.asyncio
async def test_call_to_a_validator_that_is_down_is_hung_up():
    listen_port, to_port, control_port = free_ports(3)
    proxy = FaultProxy([Wire(ends=("a", "b"), listen_port=listen_port, to_port=to_port)])
    serving = asyncio.create_task(proxy.serve(control_port))
    reader, writer = await connected(listen_port)
    async with asyncio.timeout(DEADLINE_S):
        assert await reader.read() == b""
    writer.close()
    serving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await serving
    await no_other_task()


@pytest.mark.asyncio
async def test_control_port_obeys_and_says_so():
    async with echo_behind_wire() as (_, port, control_port):
        await asyncio.to_thread(fault_proxy.tell, control_port, "cut a")
        reader, writer = await connected(port)
        writer.write(b"1")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await reader.readexactly(1)
        await asyncio.to_thread(fault_proxy.tell, control_port, "heal a")
        assert await answer(reader, 1) == b"1"
        writer.close()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "line",
    [
        "",
        "cut",
        "cut a b",
        "burn a",
        "\xff",
        "part a",
        "slow a",
        "slow a -1",
        "slow a 1e9",
        "delay",
        "delay a",
        "delay -1",
    ],
)
async def test_control_port_refuses_what_it_does_not_know(line):
    async with echo_behind_wire() as (_, _port, control_port):
        with pytest.raises(Unavailable, match="expected: cut NAME, mute NAME"):
            await asyncio.to_thread(fault_proxy.tell, control_port, line)


def test_absence_of_the_proxy_is_an_error():
    (port,) = free_ports(1)
    with pytest.raises(Unavailable, match="does not answer"):
        fault_proxy.tell(port, "cut a")


def test_program_serves_the_wires_of_its_file_until_it_is_told_to_end(tmp_path):
    listen_port, to_port, control_port = free_ports(3)
    wires = tmp_path / "wires.json"
    wires.write_text(json.dumps([["a", "b", listen_port, to_port]]))
    log = tmp_path / "log"
    process = processes.spawn(
        (sys.executable, "-m", "devnet.fault_proxy", str(wires), str(control_port)),
        log=log,
        environment=os.environ,
    )
    try:
        asyncio.run(listening(control_port))
        fault_proxy.tell(control_port, "cut a")
        processes.send(process, signal.SIGTERM)
        assert processes.wait_until_gone(process, 5_000)
        assert log.read_text() == ""
    finally:
        processes.send(process, signal.SIGKILL)
        processes.wait_until_gone(process, 5_000)
