"""A whole validator on a real home, in this process: it starts, works, stops, and says why it cannot."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import resource
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from chainnode import main
from chainnode.config import load_config
from chainnode.engine.engine import Engine
from chainnode.logs import Log, level_named
from chainnode.main import FAULT_STATUS
from chainnode.model.errors import ChainError, InvariantViolation, Refused, StorageFault
from chainnode.node.home import read_genesis
from chainnode.node.run import run_node
from devnet.ports import free_ports

if TYPE_CHECKING:
    from pathlib import Path

    from chainnode.config import NodeConfig

PASSPHRASE = b"a passphrase for tests"


def chainnode(home: Path, *arguments: str) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CHAINNODE_")}
    subprocess.run(
        [sys.executable, "-P", "-m", "cli.main", "--home", str(home), *arguments],
        env=environment | {"CHAINNODE_PASSPHRASE": PASSPHRASE.decode()},
        check=True,
        capture_output=True,
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home of a chain of one validator."""
    home = tmp_path_factory.mktemp("made") / "home"
    peer, rpc = free_ports(2)
    chainnode(
        home,
        "init",
        *("--organisation", "agency", "--title", "Agency", "--validator", "solo"),
        *("--address", f"127.0.0.1:{peer}", "--listen", f"127.0.0.1:{peer}"),
        *("--rpc-port", str(rpc), "--account", "agency/notary:notary"),
        *("--account", "agency/admin:admin"),
    )
    member = next(home.glob("*.member.json"))
    chainnode(home, "genesis", "assemble", "--chain-id", "solo.example/chain", str(member))
    return home


@pytest.fixture
def config(made: Path, tmp_path: Path) -> NodeConfig:
    home = tmp_path / "home"
    shutil.copytree(made, home)
    return dataclasses.replace(load_config(home), verify_workers=0)


class Run:
    """One run of the node within a test, and its log."""

    def __init__(self, config: NodeConfig) -> None:
        self.lines: list[str] = []
        self.stop = asyncio.Event()
        self.log = Log(self._write, now_ms=lambda: 0, level=level_named("info"), format_="text")
        self.task = asyncio.ensure_future(run_node(config, PASSPHRASE, self.log, self.stop))
        self._started = asyncio.Event()

    def _write(self, line: str) -> None:
        self.lines.append(line)
        if "node_started" in line:
            self._started.set()

    async def started(self) -> None:
        wait = asyncio.ensure_future(self._started.wait())
        await asyncio.wait((wait, self.task), return_when=asyncio.FIRST_COMPLETED)
        wait.cancel()
        if self.task.done():
            self.task.result()

    async def stopped(self) -> None:
        self.stop.set()
        await self.task


@pytest.mark.asyncio
@pytest.mark.parametrize("workers", [0, 1])
async def test_a_validator_starts_stops_and_starts_again_on_its_home(
    config: NodeConfig, workers: int
) -> None:
    for _ in range(2):
        run = Run(dataclasses.replace(config, verify_workers=workers))
        await run.started()
        assert "validator=solo" in run.lines[-1]
        await run.stopped()


@pytest.mark.asyncio
async def test_a_home_is_run_once_at_a_time(config: NodeConfig) -> None:
    run = Run(config)
    await run.started()
    with pytest.raises(ChainError):
        await run_node(config, PASSPHRASE, run.log, asyncio.Event())
    await run.stopped()


@pytest.mark.asyncio
@pytest.mark.parametrize("fault", [StorageFault("the disk is gone"), KeyError("a bug")])
async def test_a_fault_in_a_turn_of_the_engine_ends_the_run(
    config: NodeConfig, fault: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(config)
    await run.started()

    def fail(_: Engine) -> None:
        raise fault

    monkeypatch.setattr(Engine, "tick", fail)
    with pytest.raises(type(fault)) as raised:
        await run.task
    assert raised.value is fault


@pytest.mark.asyncio
async def test_what_does_not_fit_together_is_said_before_anything_starts(
    config: NodeConfig,
) -> None:
    stop = asyncio.Event()
    lines: list[str] = []
    quiet = Log(lines.append, now_ms=lambda: 0, level=level_named("info"), format_="text")

    async def refused(bad: NodeConfig, passphrase: bytes = PASSPHRASE) -> str:
        with pytest.raises(ChainError) as error:
            await run_node(bad, passphrase, quiet, stop)
        return error.value.error_code

    assert await refused(dataclasses.replace(config, validator="other")) == "unknown_validator"
    assert await refused(dataclasses.replace(config, peers={"x": "127.0.0.1:1"})) == "bad_config"
    assert await refused(config, b"not the passphrase")
    (config.home / "genesis").unlink()
    assert await refused(config) == "no_genesis"
    assert lines == []


def test_a_genesis_that_cannot_be_read_is_the_disks_fault(tmp_path: Path) -> None:
    (tmp_path / "genesis").mkdir()
    with pytest.raises(StorageFault, match="cannot be read"):
        read_genesis(tmp_path)


def run_main(
    config: NodeConfig, monkeypatch: pytest.MonkeyPatch, outcome: BaseException | None
) -> int:
    async def until_signal(*_: object) -> None:
        if outcome is not None:
            raise outcome

    monkeypatch.setattr(main, "_until_signal", until_signal)
    return main.run(config.home, PASSPHRASE)


def test_a_fault_becomes_one_line_and_exit_status_70(
    config: NodeConfig, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    fault = ExceptionGroup("tasks", [InvariantViolation("two decisions")])
    assert run_main(config, monkeypatch, fault) == FAULT_STATUS
    (line,) = capfd.readouterr().err.splitlines()
    assert "node_stopped" in line
    assert "two decisions" in line
    assert run_main(config, monkeypatch, KeyError("a bug")) == FAULT_STATUS
    (line,) = capfd.readouterr().err.splitlines()
    assert "test_run.py" in line


def test_a_stop_is_no_fault_and_a_home_that_does_not_fit_is_the_callers_to_tell(
    config: NodeConfig, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_main(config, monkeypatch, None) == 0
    assert "asked to stop" in capfd.readouterr().err
    with pytest.raises(Refused):
        run_main(config, monkeypatch, Refused("in use"))


def test_a_validator_takes_the_descriptors_it_may_have_and_stops_in_order_at_sigterm(
    config: NodeConfig,
) -> None:
    program = (
        "import sys; from pathlib import Path; from chainnode.main import run;"
        "sys.exit(run(Path(sys.argv[1]), sys.argv[2].encode()))"
    )
    process = subprocess.Popen(
        [
            *("sh", "-c", 'ulimit -Sn 256; exec "$@"', "sh"),
            *(sys.executable, "-c", program, str(config.home), PASSPHRASE.decode()),
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stderr is not None
        for line in process.stderr:
            if "node_started" in line:
                break
        files, most = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        assert files == min(most, main.MAX_DESCRIPTORS)
        process.send_signal(signal.SIGTERM)
        last = process.stderr.read().splitlines()[-1]
    assert process.returncode == 0
    assert "asked to stop" in last
