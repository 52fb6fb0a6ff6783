"""The command line as a whole: exit statuses, errors, output, global options."""

import json
import subprocess
import sys
import unicodedata

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainnode.model.errors import (
    CannotTell,
    ChainError,
    DecodeError,
    InvariantViolation,
    NotFound,
    ProofInvalid,
    Refused,
    StorageFault,
    Unavailable,
)
from cli import hashing
from cli.exit_status import ChainRefused, exit_status_of
from cli.hashing import Progress, digests_of_file
from cli.main import chainnode as tree
from cli.main import main
from cli.output import print_table, size_text, visible
from cli.status import waiting
from tests.support.alliance import FILE, digests_of
from tests.support.cli import chainnode


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ProofInvalid("x"), 1),
        (DecodeError("x"), 2),
        (Refused("x"), 2),
        (ChainError("x"), 2),
        (NotFound("x", code="no_config"), 2),
        (Unavailable("x"), 3),
        (DecodeError("x", code="bad_answer"), 3),
        (StorageFault("x"), 3),
        (InvariantViolation("x"), 3),
        (ChainRefused("x"), 4),
        (CannotTell("x"), 5),
        (ZeroDivisionError("x"), 5),
        (NotFound("x"), 6),
        (KeyboardInterrupt(), 130),
    ],
)
def test_every_kind_of_error_has_one_exit_status(error, status):
    assert exit_status_of(error) == status


def test_a_mistake_of_ours_is_one_line_and_no_traceback(monkeypatch, tmp_path):
    def fail(_path):
        raise ZeroDivisionError("never\nmind")

    monkeypatch.setattr("cli.verify.read_policy", fail)
    ran = chainnode("verify", "a", "b", "--policy", "c")
    assert (ran.status, ran.out) == (5, "")
    assert ran.err == "error: ZeroDivisionError: never mind\n"
    ran = chainnode("--json", "verify", "a", "b", "--policy", "c")
    assert ran.document == {
        "error": {"code": "internal", "message": "ZeroDivisionError: never\nmind", "field": None}
    }
    assert ran.err == ""


def test_a_reader_that_has_had_enough_does_not_make_a_proof_wrong():
    # 1 is kept for checks that are proven not to hold.
    program = (sys.executable, "-m", "cli.main", "--help")
    with subprocess.Popen(program, stdout=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.wait() == 141


def test_an_interrupt_is_one_word(monkeypatch):
    def interrupt(_path):
        raise KeyboardInterrupt

    monkeypatch.setattr("cli.verify.read_policy", interrupt)
    ran = chainnode("verify", "a", "b", "--policy", "c")
    assert (ran.status, ran.err.strip()) == (130, "error: interrupted")


def test_wrong_usage_is_status_2_in_words_and_in_json():
    ran = chainnode("frobnicate")
    assert (ran.status, ran.err) == (2, "error: No such command 'frobnicate'.\n")
    ran = chainnode("block", "show", "x", "--json")
    assert ran.status == 2
    assert ran.document["error"]["code"] == "usage"
    assert ran.err == ""


def test_a_digest_with_too_many_digits_to_be_a_files_name_is_wrong_usage():
    ran = chainnode("lookup", "ab" * 300)
    assert ran.status == 2
    assert "which is no file and no digest" in ran.err


def test_a_group_alone_shows_its_help():
    for arguments in ((), ("keys",)):
        ran = chainnode(*arguments)
        assert "Commands:" in ran.out + ran.err


def test_help_names_every_command_and_the_global_options():
    ran = chainnode("--help")
    assert ran.status == 0
    for word in (*tree.commands, "--home", "--rpc", "--json"):
        assert word in ran.out
    assert "--rpc" not in chainnode("verify", "--help").out


def test_global_options_may_stand_before_or_after_the_command(tmp_path):
    before = chainnode("--home", tmp_path, "--json", "keys", "list")
    after = chainnode("keys", "list", "--json", "--home", tmp_path)
    assert before.document == after.document == {"keys": []}


def test_the_entry_point_exits_with_the_status(monkeypatch):
    monkeypatch.setattr("sys.argv", ["chainnode", "frobnicate"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2


def walk(command, path=()):
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from walk(below, (*path, name))


@pytest.mark.parametrize("path", [" ".join(p) for p, _ in walk(tree)])
def test_every_command_has_help_and_takes_json(path):
    ran = chainnode(*path.split(), "--help")
    assert ran.status == 0
    command = next(c for p, c in walk(tree) if " ".join(p) == path)
    assert command.help
    assert "--json" in {o for parameter in command.params for o in parameter.opts}
    assert isinstance(command, click.Command)


# -- output -------------------------------------------------------------------------------------------------


@given(st.text(max_size=30))
def test_nothing_printed_can_steer_a_terminal(text):
    shown = visible(text)
    found = {unicodedata.category(c) for c in shown if c != "\n"}
    assert not found & {"Cc", "Cf", "Cs", "Zl", "Zp"}


def test_a_nodes_words_cannot_steer_a_terminal():
    assert visible("\x1b[2Jhello\u202e") == "\\x1b[2Jhello\\u202e"
    assert visible("司法局\n") == "司法局\n"


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1024 * 1024 - 1, "1023.9 KiB"),
        (1024 * 1024, "1.0 MiB"),
        (5 * 1024**3 // 2, "2.5 GiB"),
        (3 * 1024**5, "3072.0 TiB"),
    ],
)
def test_sizes_are_for_people(size_bytes, text):
    assert size_text(size_bytes) == text


def test_a_table_lines_up_under_chinese_titles(capsys):
    print_table(("name", "title", "n"), [("a", "司法局", 1), ("bb", "x", 22)])
    assert capsys.readouterr().out.splitlines() == [
        "name  title   n",
        "a     司法局  1",
        "bb    x       22",
    ]


# -- status -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"is_syncing": True}, "blocks that the others have decided"),
        ({"step": "idle"}, "nothing: no transaction is pending"),
        ({"awaited": ["a-1", "b-1"]}, "prepares of a-1, b-1, since 2.5 s"),
        ({"awaited": []}, "prepares of itself, since 2.5 s"),
    ],
)
def test_status_says_whom_the_node_waits_for_and_since_when(changes, text):
    found = {"is_syncing": False, "step": "prepares", "now_ms": 12_500, "waiting_since_ms": 10_000}
    assert waiting(found | {"awaited": []} | changes) == text


# -- hashing ------------------------------------------------------------------------------------------------


def test_a_file_is_hashed_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr("chainnode.client.digesting._CHUNK_BYTES", 7)
    path = tmp_path / "f"
    path.write_bytes(FILE)
    assert digests_of_file(path) == tuple(digests_of(FILE))
    (digest,) = digests_of_file(path, ["sha512"])
    assert len(digest.value) == 64


def test_progress_is_drawn_on_a_terminal_after_a_second_and_wiped_away(monkeypatch, capsys):
    class Clock:
        now = 0

        def monotonic_ms(self):
            return Clock.now

    monkeypatch.setattr(hashing, "SystemClock", Clock)
    monkeypatch.setattr(hashing, "stderr_is_terminal", lambda: True)
    progress = Progress("hashing x", 100)
    Clock.now = 999
    progress.advance(50)
    assert capsys.readouterr().err == ""
    Clock.now = 1_000
    progress.advance(25)
    assert "hashing x [######################--------]  75%" in capsys.readouterr().err
    progress.advance(5)
    assert capsys.readouterr().err == ""
    progress.finish()
    assert set(capsys.readouterr().err) == {"\r", " "}


def test_progress_is_not_drawn_where_nobody_looks(monkeypatch, capsys):
    class Clock:
        now = 0

        def monotonic_ms(self):
            Clock.now += 10_000
            return Clock.now

    monkeypatch.setattr(hashing, "SystemClock", Clock)
    progress = Progress("hashing x", 0)
    progress.advance(1)
    progress.finish()
    assert capsys.readouterr().err == ""


def test_json_documents_are_valid_json(tmp_path):
    ran = chainnode("--json", "keys", "show", "x", "--home", tmp_path)
    assert json.loads(ran.out)["error"]["code"] == "not_found"
