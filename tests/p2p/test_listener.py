from __future__ import annotations

import asyncio
import socket

import pytest

from chainnode.clock import SystemClock
from chainnode.model.errors import Unavailable
from chainnode.p2p.limits import LinkLimits
from chainnode.p2p.listener import accept_calls, listen_on
from tests.support.peers import contexts, until


def test_port_zero_takes_a_free_port():
    with listen_on("127.0.0.1:0") as listener:
        assert listener.getsockname()[1] > 0


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 here")
def test_an_ipv6_literal_comes_in_brackets():
    with listen_on("[::1]:0") as listener:
        assert listener.getsockname()[0] == "::1"


def test_a_taken_address_is_named_in_the_error():
    with listen_on("127.0.0.1:0") as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(Unavailable, match=f"cannot listen for peers on {address}: ") as caught:
            listen_on(address)
    assert caught.value.error_code == "cannot_listen"


@pytest.mark.asyncio
async def test_a_failing_accept_is_reported_and_tried_again():
    refusals = []
    server, _ = contexts("ash")
    broken = socket.socket()
    broken.setblocking(False)
    run = asyncio.ensure_future(
        accept_calls(
            broken,
            factory=asyncio.Protocol,
            context=server,
            limits=LinkLimits(),
            on_member=lambda _: pytest.fail("nobody called"),
            on_refused=lambda address, why: refusals.append((address, why)),
        )
    )
    await until(lambda: bool(refusals))
    assert refusals[0][0] == "anyone"
    assert refusals[0][1].startswith("cannot accept: ")
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    broken.close()


def test_the_system_clock_runs_in_milliseconds():
    clock = SystemClock()
    first, began = clock.now_ms(), clock.monotonic_ms()
    assert 1_700_000_000_000 < first <= clock.now_ms() + 1_000
    assert isinstance(began, int)
    assert clock.monotonic_ms() >= began
