"""A local network of real validator processes: brought up, faulted, watched, ended.

    with Devnet.create(directory) as network:     # ended on leaving, whatever happens
        network.up()
        network.kill("v2")

Every change is written to the folder at once, so another command (or a next one, after a crash of this) sees it. Only
`down` may be missed by a crash of the machine's user session; it can be called later.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Self, TypeVar

from chainnode.clock import SystemClock
from chainnode.model.errors import ChainError, Refused, Unavailable
from chainnode.rpc.client import RpcClient
from devnet import authority, fault_proxy, homes, processes
from devnet.ports import free_ports
from devnet.record import FILE_NAME, Node, Proxy, Record, load, locked

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from chainnode.rpc.results import StatusResult
    from devnet.processes import Process

Result = TypeVar("Result")

READY_TIMEOUT_MS: Final = 60_000
"""From start to ready; a validator takes about a second alone, and the machine may be small and busy."""

STOP_TIMEOUT_MS: Final = 10_000
"""For a graceful stop; then SIGKILL."""

MAX_LOCAL_VALIDATORS: Final = 31
"""On one machine; pairs of them need a wire each."""

_POLL_MS: Final = 50
_ASK_TIMEOUT_MS: Final = 3_000
"""A validator that is stopped answers nothing at all."""


class Devnet:
    """One network and its folder."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._clock = SystemClock()

    @classmethod
    def create(
        cls,
        directory: Path,
        *,
        validators: int = 4,
        suite: str = "ed25519-sha256",
        can_cut: bool = True,
        parameters: Mapping[str, int] | None = None,
        chain_id: str = homes.CHAIN_ID,
    ) -> Self:
        """Make the homes and genesis of a new network in `directory`; nothing is started.

        Args:
            directory: does not exist or is empty.
            validators: 1 to 31.
            suite: of the chain.
            can_cut: whether validators reach each other through wires that can be cut. They cost CPU time.
            parameters: chain parameters, by name, that are to be other than their defaults.
            chain_id: of the chain; another one for a network that shall know of this one.

        Raises:
            Refused: the folder is not empty, or the number is out of range.
            ChainError: the homes could not be made; the folder is empty again.
        """
        if not 1 <= validators <= MAX_LOCAL_VALIDATORS:
            raise Refused(
                f"found {validators} validators; expected 1 to {MAX_LOCAL_VALIDATORS}",
                field="validators",
            )
        directory = directory.absolute()
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise Refused(f"{directory} is not empty; name another folder", field="dir")
        try:
            return cls(
                _make(
                    directory,
                    validators=validators,
                    suite=suite,
                    can_cut=can_cut,
                    parameters=parameters or {},
                    chain_id=chain_id,
                )
            )
        except BaseException:
            for path in directory.iterdir():
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
            raise

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Return the network of a folder, running or not. Raises NotFound."""
        return cls(load(directory.absolute()))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.down()

    def establish_authority(self) -> None:
        """Give the running network a certificate authority and timestamp units, unless it has them. Raises ChainError."""
        with locked(self.directory):
            authority.establish(self._record)

    # -- what there is -------------------------------------------------------------------------------------

    @property
    def directory(self) -> Path:
        """The network's folder."""
        return self._record.directory

    @property
    def ca(self) -> Path | None:
        """The root certificate of its certificate authority (PEM), or None if there is none yet."""
        found = authority.root_certificate(self.directory)
        return found if found.exists() else None

    @property
    def timestamp_root(self) -> Path:
        """The root certificate (PEM) above the timestamps of `/tsa`: SM2 on sm2-sm3 chains."""
        return authority.root_of_default_unit(self._record)

    @property
    def record(self) -> Record:
        """The folder's content as of the last change made here."""
        return self._record

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All validators."""
        return self._record.nodes

    @property
    def client_home(self) -> Path:
        """Home whose default account may notarize."""
        return self.directory / homes.CLIENT

    @property
    def admin_home(self) -> Path:
        """Home whose default account may administer."""
        return self.directory / homes.ADMIN

    @property
    def policy(self) -> Path:
        """File with the policy of the chain's first validators."""
        return self.directory / homes.POLICY

    @property
    def genesis(self) -> Path:
        """File with the chain's genesis."""
        return self.directory / homes.GENESIS

    def node(self, name: str) -> Node:
        """Return a validator. Raises NotFound."""
        return self._record.node(name)

    def log(self, name: str) -> Path:
        """Return the file with a validator's log."""
        return self.directory / f"{name}.log"

    def profile(self, name: str) -> Path:
        """Return the file with what a validator's processor time went into, once it has stopped."""
        return self.directory / f"{name}.profile"

    def is_running(self, name: str) -> bool:
        """Whether a validator's process runs; a stopped one does."""
        process = self.node(name).process
        return process is not None and processes.is_running(process)

    def process_state(self, name: str) -> str:
        """Return `running`, `stopped` (by SIGSTOP) or `ended`."""
        process = self.node(name).process
        if process is None or not processes.is_running(process):
            return "ended"
        return "stopped" if processes.is_stopped(process) else "running"

    # -- up and down ---------------------------------------------------------------------------------------

    def up(self, *, timeout_ms: int = READY_TIMEOUT_MS, is_profiled: bool = False) -> None:
        """Start whatever does not run, and wait until every validator is ready.

        Args:
            timeout_ms: for all of them together.
            is_profiled: whether each writes, when it stops, what its processor time went into (`profile`).

        Raises:
            Unavailable: one ended or is not ready in time; says which, and where its log is.
        """
        with locked(self.directory):
            self._reload()
            self._start_proxy()
            for node in self.nodes:
                profile = ("--profile", str(self.profile(node.name))) if is_profiled else ()
                self._start(node, arguments=profile)
        self.wait_ready(timeout_ms=timeout_ms)

    def down(self) -> tuple[str, ...]:
        """End every process of the network, and no other; return the names of the validators among them."""
        with locked(self.directory):
            self._reload()
            running = {node.name: node.process for node in self.nodes if node.process is not None}
            for process in running.values():
                # All at once first, so that nobody waits long for the others in vain.
                processes.send(process, signal.SIGTERM)
                processes.send(process, signal.SIGCONT)
            for process in running.values():
                processes.stop(process, STOP_TIMEOUT_MS)
            proxy = self._record.proxy
            if proxy is not None and proxy.process is not None:
                processes.stop(proxy.process, STOP_TIMEOUT_MS)
                proxy = replace(proxy, process=None)
            nodes = tuple(replace(node, process=None) for node in self.nodes)
            self._change(replace(self._record, nodes=nodes, proxy=proxy))
        return tuple(running)

    def wait_ready(self, *names: str, timeout_ms: int = READY_TIMEOUT_MS) -> None:
        """Wait until validators (all of them by default) say that they are ready. Raises as `up`."""
        deadline_ms = self._clock.monotonic_ms() + timeout_ms
        for name in names or [node.name for node in self.nodes]:
            while (why := self.why_not_ready(name)) is not None:
                if not self.is_running(name):
                    raise Unavailable(f"{name} has ended: {self.last_words(name)}", code="ended")
                if self._clock.monotonic_ms() > deadline_ms:
                    raise Unavailable(
                        f"{name} is not ready after {timeout_ms} ms: {why}; see {self.log(name)}",
                        code="not_ready",
                    )
                time.sleep(_POLL_MS / 1000)

    def why_not_ready(self, name: str) -> str | None:
        """Return what `/readyz` of a validator complains of; None if it is ready."""

        async def ask(client: RpcClient) -> str | None:
            status, body = await client.get("/readyz")
            return None if status == 200 else body.decode(errors="replace").strip()

        try:
            return self.ask(name, ask)
        except Unavailable as error:
            return error.message

    def last_words(self, name: str) -> str:
        """Return the last line of a validator's log."""
        lines = self.log(name).read_text(encoding="utf-8", errors="replace").splitlines()
        return lines[-1] if lines else f"it left no word in {self.log(name)}"

    # -- faults --------------------------------------------------------------------------------------------

    def kill(self, *names: str) -> None:
        """SIGKILL validators at the same moment; return when they are gone."""
        for name in names:
            self._signal(name, signal.SIGKILL)
        for name in names:
            process = self.node(name).process
            if process is not None:
                processes.wait_until_gone(process, STOP_TIMEOUT_MS)

    def stop(self, name: str) -> None:
        """SIGSTOP: it keeps its connections and does nothing."""
        self._signal(name, signal.SIGSTOP)

    def cont(self, name: str) -> None:
        """SIGCONT."""
        self._signal(name, signal.SIGCONT)

    def terminate(self, name: str) -> None:
        """End a validator as an operator would; return when it is gone."""
        process = self._running(name)
        processes.stop(process, STOP_TIMEOUT_MS)

    def start(
        self,
        name: str,
        *,
        environment: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
    ) -> None:
        """Start a validator that does not run; returns before it is ready.

        Args:
            name: of the validator.
            environment: variables that this one process gets beside ours.
            prefix: a command that becomes the validator by `exec`, with its own arguments, such as `ip netns exec`.

        Raises:
            Refused: it runs.
        """
        with locked(self.directory):
            self._reload()
            if self.is_running(name):
                raise Refused(f"{name} is running", code="running", field="name")
            self._start_proxy()
            self._start(self.node(name), environment=environment, prefix=prefix)

    def cut(self, name: str) -> None:
        """Cut a validator off from all others, silently; its RPC listener stays within reach."""
        self._tell_proxy("cut", name)

    def mute(self, name: str) -> None:
        """Let nobody hear a validator; it hears everybody, until links that carry nothing one way are given up."""
        self._tell_proxy("mute", name)

    def deafen(self, name: str) -> None:
        """Let a validator hear nobody."""
        self._tell_proxy("deafen", name)

    def part(self, name: str, other: str) -> None:
        """Let nothing pass between two validators."""
        self._tell_proxy("part", name, self.node(other).name)

    def slow(self, name: str, delay_ms: int) -> None:
        """Hold back whatever a validator says or hears; where both ends of a wire are slow, both count."""
        self._tell_proxy("slow", name, str(delay_ms))

    def delay(self, delay_ms: int) -> None:
        """Let all that validators say to each other arrive so much later; 0 undoes it, `heal` does not."""
        self._tell("delay", str(delay_ms))

    def heal(self, name: str) -> None:
        """Undo all that was done to a validator's wires."""
        self._tell_proxy("heal", name)

    # -- questions -----------------------------------------------------------------------------------------

    def ask(self, name: str, question: Callable[[RpcClient], Awaitable[Result]]) -> Result:
        """Put a question to a validator and wait for the answer."""
        url = self.node(name).rpc

        async def run() -> Result:
            async with RpcClient(url, timeout_ms=_ASK_TIMEOUT_MS) as client:
                return await question(client)

        return asyncio.run(run())

    def status(self, name: str) -> StatusResult:
        """Return what a validator says of itself. Raises Unavailable."""
        return self.ask(name, RpcClient.chain_status)

    def differences(self) -> str | None:
        """Return how validators differ in height, block, log or state; None if they are level."""
        seen: dict[tuple[int, str, str, str], list[str]] = {}
        for node in self.nodes:
            try:
                found = self.status(node.name)
            except ChainError as error:
                return f"{node.name}: {error.message}"
            position = (
                found["tip_height"],
                found["tip_hash"],
                found["log_root"],
                found["state_root"],
            )
            seen.setdefault(position, []).append(node.name)
        if len(seen) == 1:
            return None
        return "; ".join(
            f"{', '.join(names)} at height {height}, block {block[:8]}, log {log[:8]}, state {state[:8]}"
            for (height, block, log, state), names in sorted(seen.items())
        )

    def wait_level(self, *, timeout_ms: int) -> None:
        """Wait until all validators have the same height, block, log and state. Raises Unavailable."""
        deadline_ms = self._clock.monotonic_ms() + timeout_ms
        while (found := self.differences()) is not None:
            if self._clock.monotonic_ms() > deadline_ms:
                raise Unavailable(f"not level after {timeout_ms} ms: {found}", code="not_level")
            time.sleep(_POLL_MS / 1000)

    # -- inside --------------------------------------------------------------------------------------------

    def _start(
        self,
        node: Node,
        *,
        environment: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        arguments: Sequence[str] = (),
    ) -> None:
        if self.is_running(node.name):
            return
        process = processes.spawn(
            (*prefix, *homes.command(node.home, "start", *arguments)),
            log=self.log(node.name),
            environment={**homes.environment(), **(environment or {})},
        )
        nodes = tuple(
            replace(other, process=process) if other.name == node.name else other
            for other in self.nodes
        )
        # A crash before the next line leaves a validator that `down` does not know; its home's lock tells of it.
        self._change(replace(self._record, nodes=nodes))

    def _start_proxy(self) -> None:
        proxy = self._record.proxy
        if proxy is None or (proxy.process is not None and processes.is_running(proxy.process)):
            return
        wires = str(self.directory / homes.WIRES)
        program = (sys.executable, "-P", "-m", "devnet.fault_proxy")
        process = processes.spawn(
            (*program, wires, str(proxy.control_port)),
            log=self.directory / "fault_proxy.log",
            environment=homes.environment(),
        )
        self._change(replace(self._record, proxy=replace(proxy, process=process)))

    def _tell_proxy(self, verb: str, name: str, *details: str) -> None:
        self._tell(verb, self.node(name).name, *details)

    def _tell(self, *words: str) -> None:
        proxy = self._record.proxy
        if proxy is None:
            raise Refused("this network was made without wires that can be cut", code="no_proxy")
        fault_proxy.tell(proxy.control_port, " ".join(words))

    def _signal(self, name: str, number: signal.Signals) -> None:
        processes.send(self._running(name), number)

    def _running(self, name: str) -> Process:
        process = self.node(name).process
        if process is None or not processes.is_running(process):
            raise Refused(f"{name} is not running", code="not_running", field="name")
        return process

    def _reload(self) -> None:
        self._record = load(self.directory)

    def _change(self, record: Record) -> None:
        record.save()
        self._record = record


def _make(
    directory: Path,
    *,
    validators: int,
    suite: str,
    can_cut: bool,
    parameters: Mapping[str, int],
    chain_id: str,
) -> Record:
    names = [f"v{number}" for number in range(1, validators + 1)]
    pairs = [(low, high) for low in sorted(names) for high in sorted(names) if low < high]
    wires_needed = len(pairs) + 1 if can_cut else 0
    ports = iter(free_ports(2 * validators + wires_needed))
    nodes = tuple(
        Node(
            name=name,
            home=directory / name,
            rpc_port=next(ports),
            peer_port=next(ports),
            process=None,
        )
        for name in names
    )
    proxy = Proxy(control_port=next(ports), process=None) if can_cut else None
    record = Record(
        directory=directory,
        chain_id=chain_id,
        suite=suite,
        nodes=nodes,
        proxy=proxy,
    )
    wires = [
        (low, high, next(ports), record.node(high).peer_port) for low, high in pairs if can_cut
    ]
    (directory / homes.WIRES).write_text(json.dumps(wires) + "\n", encoding="utf-8")
    homes.make(record, wires, parameters)
    record.save()
    return record


def has_network(directory: Path) -> bool:
    """Whether a folder holds a network."""
    return (directory / FILE_NAME).exists()
