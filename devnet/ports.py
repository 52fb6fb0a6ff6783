"""Free TCP ports on loopback."""

from __future__ import annotations

import random
import socket
from collections import deque
from contextlib import ExitStack
from typing import Final

from chainnode.model.errors import Unavailable

LOOPBACK: Final = "127.0.0.1"

_FIRST: Final = 20_000
_LAST: Final = 32_000
"""Below the ports that systems give to outgoing connections (Linux: from 32768), so that a validator that is down
for a while finds its port free when it starts again."""

_TRIES: Final = 1_000

_KEPT: Final = 32

_reserved: Final[deque[ExitStack]] = deque()
"""UDP sockets on the numbers of the TCP ports last handed out. Another devnet that looks for ports passes these by
while this process lives, even when the validator that was promised one is down; the oldest are let go."""


def free_ports(count: int) -> tuple[int, ...]:
    """Return that many ports that nobody listens on now, and that this function gives to nobody else for a while.

    Raises:
        Unavailable: too few are to be had.
    """
    ports: list[int] = []
    with ExitStack() as held, ExitStack() as reserved:
        for port in random.sample(range(_FIRST, _LAST), _TRIES):
            if len(ports) == count:
                _reserved.append(reserved.pop_all())
                if len(_reserved) > _KEPT:
                    _reserved.popleft().close()
                return tuple(ports)
            reservation = reserved.enter_context(socket.socket(type=socket.SOCK_DGRAM))
            listener = held.enter_context(socket.socket())
            try:
                reservation.bind((LOOPBACK, port))
                listener.bind((LOOPBACK, port))
            except OSError:
                continue
            ports.append(port)
    raise Unavailable(f"found {len(ports)} free ports; {count} are needed", code="no_ports")
