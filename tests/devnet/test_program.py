"""What people are told to type is what they can type."""

import sys

from devnet.homes import program


def test_the_command_is_named_as_it_was_started_unless_it_is_in_the_path(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", [".venv/bin/chainnode", "devnet", "up"])
    assert program() == ".venv/bin/chainnode"
    monkeypatch.setattr(sys, "argv", ["/opt/cli/main.py"])
    assert program() == "chainnode"
    (tmp_path / "chainnode").write_text("#!/bin/sh\n")
    (tmp_path / "chainnode").chmod(0o755)
    monkeypatch.setattr(sys, "argv", [".venv/bin/chainnode"])
    assert program() == "chainnode"
