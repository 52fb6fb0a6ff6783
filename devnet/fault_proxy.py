"""The wires between validators, which can be cut: one TCP relay per pair, all in one process.

    python -m devnet.fault_proxy WIRES CONTROL_PORT      WIRES is a JSON file: [[end, end, listen_port, to_port], ...]

A cut wire swallows: nothing arrives, nothing is refused, nobody is told, as when a cable is pulled; not even that the
other side has hung up. What was under way arrives after healing, as TCP would send it again. The control port on
loopback takes one line per connection and answers `ok`, after which it is so:

    cut NAME        nothing passes between it and anybody
    mute NAME       nobody hears it; it hears everybody, until links that carry nothing one way are given up
    deafen NAME     it hears nobody
    part NAME NAME  nothing passes between these two
    slow NAME MS    whatever it says or hears arrives so much later, in its order; two that are slow add up
    heal NAME       undoes all of these for NAME, `part` with others too
    delay MS        all that anybody says arrives so much later, once per wire and beside `slow`; `delay 0` undoes it

What is late is under way, not waiting for its turn: a wire with delay carries as much as one without.
"""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from chainnode.model.errors import Unavailable
from devnet.ports import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Sequence

_CHUNK_BYTES: Final = 256 * 1024
"""What is read at once; large, so that a busy wire costs little."""

_BYTES_PER_S: Final = 256 * 1024 * 1024
"""What one direction of a connection carries at least, whatever its delay, up to `_MOST_UNDER_WAY`."""

_MOST_UNDER_WAY: Final = 64 * 1024 * 1024
"""Bytes in one direction of a connection; then the sender has to wait."""

_MAX_LINE_BYTES: Final = 256
_CONTROL_TIMEOUT_S: Final = 5

MAX_SLOW_MS: Final = 60_000
"""Longer than that a link is not slow but cut."""

_VERBS: Final = (
    "cut NAME, mute NAME, deafen NAME, part NAME NAME, slow NAME MS, heal NAME or delay MS"
)


@dataclass(slots=True)
class Way:
    """One direction of a wire."""

    is_open: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while anything passes."""

    delay_s: float = 0
    """How much later everything arrives."""


class _UnderWay:
    """What one direction of a connection has taken and not yet given, in its order; `b""` is its end."""

    def __init__(self) -> None:
        self._pieces: deque[tuple[float, bytes]] = deque()
        """Each with when it is due, by the loop's clock."""

        self._bytes = 0
        self._changed = asyncio.Event()

    async def put(self, due_s: float, data: bytes, most_bytes: int) -> None:
        """Take a piece; return when there is room for another one within `most_bytes`."""
        self._pieces.append((due_s, data))
        self._bytes += len(data)
        self._changed.set()
        while self._bytes >= most_bytes:
            self._changed.clear()
            await self._changed.wait()

    async def wait_due(self) -> None:
        """Return when there is something to give. It stays here, counted, until `take`."""
        while not self._pieces:
            self._changed.clear()
            await self._changed.wait()
        late_s = self._pieces[0][0] - asyncio.get_running_loop().time()
        if late_s > 0:
            await asyncio.sleep(late_s)

    def take(self) -> list[bytes]:
        """Return the first piece, which is due, and those behind it that are due as well."""
        now_s = asyncio.get_running_loop().time()
        found = [self._pieces.popleft()[1]]
        while self._pieces and self._pieces[0][0] <= now_s:
            found.append(self._pieces.popleft()[1])
        return found

    def gave(self, count: int) -> None:
        """Make room for as many bytes as were given."""
        self._bytes -= count
        self._changed.set()


@dataclass(slots=True)
class Wire:
    """What joins two validators; the first dials, the second listens on `to_port`."""

    ends: tuple[str, str]
    listen_port: int
    to_port: int
    forth: Way = field(default_factory=Way)
    """From the first end to the second."""

    back: Way = field(default_factory=Way)

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Relay one connection until either side ends it."""
        try:
            # A connection begins, and ends, by words in both directions.
            await self._whole()
            onward_reader, onward_writer = await asyncio.open_connection(
                LOOPBACK, self.to_port, limit=_CHUNK_BYTES
            )
        except OSError:
            writer.close()
            return
        ways = ((reader, onward_writer, self.forth), (onward_reader, writer, self.back))
        pumps = [asyncio.ensure_future(self._pump(*way)) for way in ways]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            await self._whole()
        finally:
            for pump in pumps:
                pump.cancel()
            onward_writer.close()
            writer.close()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way
    ) -> None:
        under_way = _UnderWay()
        taking = asyncio.ensure_future(self._take(reader, under_way, way))
        try:
            await self._give(under_way, writer, way)
        except OSError:
            # That the hearer has hung up is known to the speaker so much later too, and what it said before comes first.
            await asyncio.sleep(way.delay_s)
        finally:
            taking.cancel()

    async def _take(self, reader: asyncio.StreamReader, under_way: _UnderWay, way: Way) -> None:
        loop = asyncio.get_running_loop()
        data = None
        while data != b"":
            try:
                data = await reader.read(_CHUNK_BYTES)
            except OSError:
                data = b""
            # One piece where there is no delay: a receiver that does not read is felt by the sender.
            most_bytes = min(1 + int(way.delay_s * _BYTES_PER_S), _MOST_UNDER_WAY)
            await under_way.put(loop.time() + way.delay_s, data, most_bytes)
            # A wire that is cut takes nothing more, so that the sender feels it too.
            await way.is_open.wait()

    async def _give(self, under_way: _UnderWay, writer: asyncio.StreamWriter, way: Way) -> None:
        while True:
            await under_way.wait_due()
            await way.is_open.wait()
            pieces = under_way.take()
            data = b"".join(pieces)
            if data:
                writer.write(data)
                await writer.drain()
            if pieces[-1] == b"":
                return
            under_way.gave(len(data))

    async def _whole(self) -> None:
        while not (self.forth.is_open.is_set() and self.back.is_open.is_set()):
            await self.forth.is_open.wait()
            await self.back.is_open.wait()


class FaultProxy:
    """All wires of a network, and what was done to them."""

    def __init__(self, wires: Sequence[Wire]) -> None:
        self._wires = wires
        self._mute: set[str] = set()
        self._deaf: set[str] = set()
        self._parted: set[frozenset[str]] = set()
        self._slow_ms: dict[str, int] = {}
        self._delay_ms = 0
        self._apply()

    async def serve(self, control_port: int) -> None:
        """Relay until cancelled."""
        servers = [
            await asyncio.start_server(wire.carry, LOOPBACK, wire.listen_port, limit=_CHUNK_BYTES)
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
                self._mute.add(name)
                self._deaf.add(name)
            case ["mute", name]:
                self._mute.add(name)
            case ["deafen", name]:
                self._deaf.add(name)
            case ["part", name, other]:
                self._parted.add(frozenset((name, other)))
            case ["slow", name, text] if _is_number(text):
                self._slow_ms[name] = min(int(text), MAX_SLOW_MS)
            case ["delay", text] if _is_number(text):
                self._delay_ms = min(int(text), MAX_SLOW_MS)
            case ["heal", name]:
                self._mute.discard(name)
                self._deaf.discard(name)
                self._parted = {pair for pair in self._parted if name not in pair}
                self._slow_ms.pop(name, None)
            case _:
                return f"expected: {_VERBS}"
        self._apply()
        return "ok"

    def _apply(self) -> None:
        for wire in self._wires:
            first, second = wire.ends
            for speaker, hearer, way in ((first, second, wire.forth), (second, first, wire.back)):
                slow_ms = sum(self._slow_ms.get(name, 0) for name in wire.ends)
                way.delay_s = (self._delay_ms + slow_ms) / 1000
                is_parted = frozenset(wire.ends) in self._parted
                if is_parted or speaker in self._mute or hearer in self._deaf:
                    way.is_open.clear()
                else:
                    way.is_open.set()

    async def _obey(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, ValueError, EOFError):
            line = await reader.readuntil(b"\n")
            writer.write(self.obey(line.decode()).encode() + b"\n")
            await writer.drain()
        writer.close()


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def tell(control_port: int, line: str) -> None:
    """Have the running proxy carry out a line.

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
