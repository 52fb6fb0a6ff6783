"""The wires between validators, which can be cut: one TCP relay per pair, all in one process.

    python -m devnet.fault_proxy WIRES CONTROL_PORT      WIRES is a JSON file: [[end, end, listen_port, to_port], ...]

A cut wire swallows: nothing arrives, nothing is refused, nobody is told, as when a cable is pulled. What was under way
arrives after healing, as TCP would send it again. The control port on loopback takes a line `cut NAME` or `heal NAME`
per connection and answers `ok`, after which it is so.
"""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from chainnode.model.errors import Unavailable
from devnet.ports import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Sequence

_CHUNK_BYTES: Final = 256 * 1024
_MAX_LINE_BYTES: Final = 256
_CONTROL_TIMEOUT_S: Final = 5


@dataclass(slots=True)
class Wire:
    """What joins two validators; the first dials, the second listens on `to_port`."""

    ends: tuple[str, str]
    listen_port: int
    to_port: int
    whole: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while neither end is cut off."""

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Relay one connection until either side ends it."""
        try:
            await self.whole.wait()
            onward_reader, onward_writer = await asyncio.open_connection(LOOPBACK, self.to_port)
        except OSError:
            writer.close()
            return
        ways = ((reader, onward_writer), (onward_reader, writer))
        pumps = [asyncio.ensure_future(self._pump(*way)) for way in ways]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            onward_writer.close()
            writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(_CHUNK_BYTES):
                await self.whole.wait()
                writer.write(data)
                await writer.drain()


class FaultProxy:
    """All wires of a network, and who is cut off."""

    def __init__(self, wires: Sequence[Wire]) -> None:
        self._wires = wires
        self._cut: set[str] = set()
        self._apply()

    async def serve(self, control_port: int) -> None:
        """Relay until cancelled."""
        servers = [
            await asyncio.start_server(wire.carry, LOOPBACK, wire.listen_port)
            for wire in self._wires
        ]
        servers.append(await asyncio.start_server(self._obey, LOOPBACK, control_port))
        try:
            await asyncio.Event().wait()
        finally:
            for server in servers:
                server.close()

    def obey(self, line: str) -> str:
        """Carry out one line of the control port; return the answer."""
        match line.split():
            case ["cut", name]:
                self._cut.add(name)
            case ["heal", name]:
                self._cut.discard(name)
            case _:
                return "expected: cut NAME or heal NAME"
        self._apply()
        return "ok"

    def _apply(self) -> None:
        for wire in self._wires:
            if self._cut.isdisjoint(wire.ends):
                wire.whole.set()
            else:
                wire.whole.clear()

    async def _obey(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, ValueError, EOFError):
            line = await reader.readuntil(b"\n")
            writer.write(self.obey(line.decode()).encode() + b"\n")
            await writer.drain()
        writer.close()


def tell(control_port: int, line: str) -> None:
    """Have the running proxy carry out `cut NAME` or `heal NAME`.

    Raises:
        Unavailable: it does not answer, or does not obey.
    """
    try:
        with socket.create_connection((LOOPBACK, control_port), _CONTROL_TIMEOUT_S) as connection:
            connection.sendall(line.encode() + b"\n")
            answer = connection.makefile("rb").readline(_MAX_LINE_BYTES).decode().strip()
    except (OSError, ValueError) as error:
        raise Unavailable(f"the fault proxy does not answer: {error}", code="no_proxy") from error
    if answer != "ok":
        raise Unavailable(f"the fault proxy answered {answer!r} to {line!r}", code="no_proxy")


async def _main(wires_file: Path, control_port: int) -> None:
    wires = [
        Wire(ends=(first, second), listen_port=listen_port, to_port=to_port)
        for first, second, listen_port, to_port in json.loads(wires_file.read_bytes())  # noqa: ASYNC240  before serving
    ]
    serving = asyncio.current_task()
    if serving is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, serving.cancel)
    await FaultProxy(wires).serve(control_port)


if __name__ == "__main__":
    with suppress(asyncio.CancelledError):
        asyncio.run(_main(Path(sys.argv[1]), int(sys.argv[2])))
