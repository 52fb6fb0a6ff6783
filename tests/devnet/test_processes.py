import os
import signal
import sys
from dataclasses import replace

import pytest

from chainnode.model.errors import Unavailable
from devnet import processes

SLEEP = (sys.executable, "-c", "import time; time.sleep(600)")
DEAF = (
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)",
)
BUSY_CHILD = (
    sys.executable,
    "-c",
    """import subprocess, sys; subprocess.run([sys.executable, '-c', '''
import time
while time.process_time() < 0.4: pass
print(1, flush=True)
time.sleep(600)'''])""",
)


@pytest.fixture
def started(tmp_path):
    """Start programs; whatever still runs in the end is killed."""
    running = []

    def start(argv):
        process = processes.spawn(argv, log=tmp_path / "log", environment=os.environ)
        running.append(process)
        return process

    yield start
    for process in running:
        processes.send(process, signal.SIGKILL)
        processes.wait_until_gone(process, 5_000)


def wait_for_output(path):
    while not (path.exists() and path.read_bytes()):
        os.sched_yield()


def test_process_is_found_again_by_its_pid(started):
    process = started(SLEEP)
    assert processes.find(process.pid) == process
    assert processes.is_running(process)


def test_process_of_the_same_pid_that_started_at_another_time_is_not_signalled(started):
    process = started(SLEEP)
    other = replace(process, started=process.started + "1")
    assert not processes.is_running(other)
    assert not processes.send(other, signal.SIGKILL)
    processes.stop(other, 1)
    assert processes.is_running(process)


def test_process_runs_in_a_session_of_its_own(started):
    process = started(SLEEP)
    assert os.getsid(process.pid) == process.pid


def test_process_that_ended_but_was_not_waited_for_is_not_running(started):
    process = started(SLEEP)
    os.kill(process.pid, signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert processes.find(process.pid) is not None
    assert not processes.is_running(process)


def test_stopped_process_is_ended_too(started):
    process = started(SLEEP)
    processes.send(process, signal.SIGSTOP)
    processes.stop(process, 5_000)
    assert not processes.is_running(process)


def test_process_that_ignores_the_request_is_killed(started, tmp_path):
    process = started(DEAF)
    wait_for_output(tmp_path / "log")
    processes.stop(process, 50)
    assert not processes.is_running(process)


def test_waiting_for_a_process_that_goes_on_returns_false(started):
    assert not processes.wait_until_gone(started(SLEEP), 30)


def test_ending_of_a_child_frees_its_pid(started):
    process = started(SLEEP)
    processes.stop(process, 5_000)
    with pytest.raises(ChildProcessError):
        os.waitpid(process.pid, os.WNOHANG)


def test_output_and_errors_are_appended_to_the_log(started, tmp_path):
    (tmp_path / "log").write_text("before\n")
    program = "import sys; print('out', flush=True); print('err', file=sys.stderr)"
    processes.wait_until_gone(started((sys.executable, "-c", program)), 5_000)
    assert (tmp_path / "log").read_text() == "before\nout\nerr\n"


def test_cpu_time_of_children_counts(started, tmp_path):
    process = started(BUSY_CHILD)
    wait_for_output(tmp_path / "log")
    # The kernel counts in ticks, and may miss some of them on a busy machine.
    assert processes.cpu_ms(process) >= 200


def test_cpu_time_is_split_between_threads_and_children(started, tmp_path):
    process = started(BUSY_CHILD)
    wait_for_output(tmp_path / "log")
    split = processes.cpu_split_ms(process)
    assert split.descendants >= 200
    assert split.main_thread < split.descendants
    assert split.other_threads == 0
    assert (split - split).total == 0


def test_descendants_are_children_and_not_the_process_itself(started, tmp_path):
    process = started(BUSY_CHILD)
    wait_for_output(tmp_path / "log")
    (child,) = processes.descendants(process)
    assert child.pid != process.pid
    assert processes.is_running(child)
    processes.stop(process, 5_000)
    assert processes.descendants(process) == ()
    processes.stop(child, 5_000)


def test_cpu_time_of_what_is_gone_is_nothing(started):
    process = started(SLEEP)
    processes.stop(process, 5_000)
    assert processes.cpu_ms(process) == 0


def test_program_that_does_not_exist_is_an_error_and_leaves_no_open_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        processes.spawn(("/no/such/program",), log=tmp_path / "log", environment={})


def test_process_that_is_gone_before_it_is_seen_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "find", lambda pid: None)
    with pytest.raises(Unavailable, match="ended at once"):
        processes.spawn(("/bin/true",), log=tmp_path / "log", environment={})
