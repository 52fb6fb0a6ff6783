"""A worker alone: what it answers, and that it ends with its input."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest

from chainnode.model.suites import Suite, suite_named
from chainnode.verification import worker
from chainnode.verification.wire import encode_chunk, encode_start
from tests.support.chain import key_pair, random_bytes

SUITES = [suite_named("ed25519-sha256"), suite_named("sm2-sm3")]
COMMAND = [sys.executable, "-P", "-m", "chainnode.verification.worker"]
CONTEXT = b"a context of any length"


def items(suite: Suite) -> list[bytes]:
    """Three signed ids, the second of them signed in another context."""
    key = key_pair(suite, "worker")
    ids = [random_bytes(f"id {i}") for i in range(3)]
    contexts = (CONTEXT, b"another", CONTEXT)
    return [
        key.public + tx_id + key.sign(context + tx_id)
        for tx_id, context in zip(ids, contexts, strict=True)
    ]


def answers_to(suite: Suite, said: bytes) -> bytes:
    answers = io.BytesIO()
    worker.serve(suite, io.BytesIO(said), answers)
    return answers.getvalue()


@pytest.mark.parametrize("suite", SUITES, ids=lambda s: s.name)
def test_each_item_of_a_chunk_gets_one_byte(suite: Suite) -> None:
    chunk = encode_chunk(items(suite))
    said = encode_start(CONTEXT) + chunk + encode_chunk([]) + chunk
    assert answers_to(suite, said) == bytes([1, 0, 1, 1, 0, 1])


def test_input_that_is_cut_short_anywhere_is_the_end() -> None:
    suite = SUITES[0]
    start, chunk = encode_start(CONTEXT), encode_chunk(items(suite))
    said = start + chunk
    for length in range(len(said)):
        assert answers_to(suite, said[:length]) == b""


@pytest.mark.parametrize("suite", SUITES, ids=lambda s: s.name)
def test_the_process_ends_by_itself_when_its_input_is_closed(suite: Suite) -> None:
    said = encode_start(CONTEXT) + encode_chunk(items(suite))
    run = subprocess.run(
        [*COMMAND, suite.name], input=said, capture_output=True, timeout=30, check=True
    )
    assert run.stdout == bytes([1, 0, 1])
    assert run.stderr == b""


def test_a_node_that_is_gone_before_the_answer_is_no_error_of_the_worker() -> None:
    process = subprocess.Popen(
        [*COMMAND, SUITES[0].name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        process.stdout.close()
        process.stdin.write(encode_start(CONTEXT) + encode_chunk(items(SUITES[0])))
        process.stdin.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_the_command_serves_standard_input_and_ignores_the_signals_of_a_group(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ignored: list[int] = []
    said = encode_start(CONTEXT) + encode_chunk(items(SUITES[0]))
    answers = io.BytesIO()
    monkeypatch.setattr(worker.signal, "signal", lambda number, _: ignored.append(number))
    monkeypatch.setattr(worker.sys, "argv", ["worker", SUITES[0].name])
    monkeypatch.setattr(worker.sys, "stdin", SimpleNamespace(buffer=io.BytesIO(said)))
    with monkeypatch.context() as streams:
        streams.setattr(worker.sys, "stdout", SimpleNamespace(buffer=answers))
        worker.main()
    assert answers.getvalue() == bytes([1, 0, 1])
    assert ignored == [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
