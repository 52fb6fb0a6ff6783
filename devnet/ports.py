"""Free TCP ports on loopback."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack
from typing import Final

from chainnode.model.errors import Unavailable

LOOPBACK: Final = "127.0.0.1"

_FIRST: Final = 20_000
_LAST: Final = 32_000
"""Below the ports that systems give to outgoing connections (Linux: from 32768), so that a validator that is down
for a while finds its port free when it starts again."""

_TRIES: Final = 1_000


def free_ports(count: int) -> tuple[int, ...]:
    """Return that many ports that nobody listens on now.

    Raises:
        Unavailable: too few are to be had.
    """
    ports: list[int] = []
    with ExitStack() as held:
        for port in random.sample(range(_FIRST, _LAST), _TRIES):
            if len(ports) == count:
                return tuple(ports)
            listener = held.enter_context(socket.socket())
            try:
                listener.bind((LOOPBACK, port))
            except OSError:
                continue
            ports.append(port)
    raise Unavailable(f"found {len(ports)} free ports; {count} are needed", code="no_ports")
