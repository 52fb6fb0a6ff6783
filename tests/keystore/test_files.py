"""Secret files and passphrases: whole or absent, private, bounded."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from chainnode.keystore.files import read_secret_file, replace_file, write_new_file
from chainnode.keystore.passphrase import (
    MAX_PASSPHRASE_BYTES,
    PASSPHRASE_VARIABLE,
    read_passphrase,
)
from chainnode.model.errors import ChainError, NotFound, Refused

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("failing", ["open", "fsync", "link"])
def test_a_write_that_fails_leaves_nothing(
    failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(f"chainnode.keystore.files.os.{failing}", fail)
        with pytest.raises(ChainError, match="No space left") as caught:
            write_new_file(tmp_path / "secret", b"x")
    assert caught.value.error_code == "file_error"
    assert list(tmp_path.iterdir()) == []


def test_content_is_synced_before_it_gets_its_name_and_the_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "secret"
    named_at_sync = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        named_at_sync.append(path.exists())
        real(descriptor)

    monkeypatch.setattr("chainnode.keystore.files.os.fsync", fsync)
    write_new_file(path, b"x")
    assert named_at_sync == [False, True]
    assert read_secret_file(path, max_bytes=1) == b"x"


@pytest.mark.parametrize("before", [None, b"old"])
@pytest.mark.parametrize("failing", ["open", "fsync", "replace"])
def test_a_replacement_that_fails_leaves_what_there_was(
    failing: str, before: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state"
    if before is not None:
        path.write_bytes(before)

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(f"chainnode.keystore.files.os.{failing}", fail)
        with pytest.raises(ChainError, match="No space left"):
            replace_file(path, b"new")
    assert (path.read_bytes() if path.exists() else None) == before
    # What the attempt left behind is in nobody's way.
    replace_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_replacement_is_synced_before_it_gets_the_name_and_its_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state"
    path.write_bytes(b"old")
    content_at_sync = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        content_at_sync.append(path.read_bytes())
        real(descriptor)

    monkeypatch.setattr("chainnode.keystore.files.os.fsync", fsync)
    replace_file(path, b"new")
    assert content_at_sync == [b"old", b"new"]


def test_a_directory_is_no_secret_file(tmp_path: Path) -> None:
    with pytest.raises(ChainError, match="cannot read") as caught:
        read_secret_file(tmp_path, max_bytes=1)
    assert caught.value.error_code == "file_error"


def test_a_file_above_its_bound_is_refused(tmp_path: Path) -> None:
    write_new_file(tmp_path / "secret", b"xy")
    with pytest.raises(Refused, match="larger than 1 bytes"):
        read_secret_file(tmp_path / "secret", max_bytes=1)


@pytest.mark.parametrize(
    ("content", "passphrase"),
    [
        (b"pass", b"pass"),
        (b"pass\n", b"pass"),
        (b"pass\r\n", b"pass"),
        (b"pass\n\n", b"pass\n"),
        (b" pass ", b" pass "),
        (b"pass\r", b"pass\r"),
        ("密码\n".encode(), "密码".encode()),
    ],
)
def test_one_trailing_line_end_is_not_part_of_a_passphrase(
    content: bytes, passphrase: bytes, tmp_path: Path
) -> None:
    write_new_file(tmp_path / "file", content)
    assert read_passphrase(path=tmp_path / "file", environment={}, prompt=None) == passphrase


def test_the_file_goes_before_the_environment_and_that_before_the_prompt(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_new_file(path, b"of file")
    environment = {PASSPHRASE_VARIABLE: "of environment"}

    def prompt() -> str:
        return "of person"

    assert read_passphrase(path=path, environment=environment, prompt=prompt) == b"of file"
    assert read_passphrase(path=None, environment=environment, prompt=prompt) == b"of environment"
    assert read_passphrase(path=None, environment={}, prompt=prompt) == b"of person"


def test_without_a_source_the_error_names_all_of_them() -> None:
    with pytest.raises(Refused, match=r"--passphrase-file.*CHAINNODE_PASSPHRASE") as caught:
        read_passphrase(path=None, environment={}, prompt=None)
    assert caught.value.error_code == "no_passphrase"


@pytest.mark.parametrize("text", ["", "\n", "\r\n"])
def test_an_empty_passphrase_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="empty"):
        read_passphrase(path=None, environment={PASSPHRASE_VARIABLE: text}, prompt=None)


def test_a_passphrase_is_bounded() -> None:
    longest = "x" * MAX_PASSPHRASE_BYTES
    assert read_passphrase(path=None, environment={}, prompt=lambda: longest) == longest.encode()
    with pytest.raises(Refused) as caught:
        read_passphrase(path=None, environment={}, prompt=lambda: longest + "x")
    assert caught.value.error_code == "too_large"


def test_a_missing_and_an_exposed_passphrase_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_passphrase(path=tmp_path / "none", environment={}, prompt=None)
    write_new_file(tmp_path / "open", b"pass", mode=0o644)
    (tmp_path / "open").chmod(0o644)
    with pytest.raises(Refused) as caught:
        read_passphrase(path=tmp_path / "open", environment={}, prompt=None)
    assert caught.value.error_code == "exposed"
