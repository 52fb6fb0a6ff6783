"""Files that hold secrets, or must survive a crash: private to their owner unless said otherwise, whole or absent."""

from __future__ import annotations

import os
import secrets
import stat
from typing import TYPE_CHECKING, Final

from chainnode.model.errors import ChainError, NotFound, Refused

if TYPE_CHECKING:
    from pathlib import Path

OWNER_ONLY: Final = 0o600
PUBLIC: Final = 0o644
_OWNER_ONLY_DIRECTORY = 0o700
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def write_new_file(path: Path, content: bytes, *, mode: int = OWNER_ONLY) -> None:
    """Write a file that does not exist yet; durable on return.

    Args:
        path: where; missing directories are made, open to the owner only.
        content: what.
        mode: permission bits, set before the first byte is written.

    Raises:
        Refused: with code `exists` if there is such a file, which stays as it is.
        ChainError: with code `file_error` if the file system refuses.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(mode=_OWNER_ONLY_DIRECTORY, parents=True, exist_ok=True)
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            # A crash up to here leaves a hidden file that nothing reads. A link, unlike a rename, never replaces.
            os.link(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_directory(path.parent)
    except FileExistsError as error:
        raise Refused(f"{path} exists and is not overwritten", code="exists") from error
    except OSError as error:
        raise _file_error("write", path, error) from error


def replace_file(path: Path, content: bytes, *, mode: int = OWNER_ONLY) -> None:
    """Write a file in place of an older one, if there is one; durable on return. One process at a time may.

    A crash at any instant leaves the old content or the new one.

    Args:
        path: where; missing directories are made, open to the owner only.
        content: what.
        mode: permission bits, set before the first byte is written.

    Raises:
        ChainError: with code `file_error` if the file system refuses; the old content is still there.
    """
    fresh = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(mode=_OWNER_ONLY_DIRECTORY, parents=True, exist_ok=True)
        # What a crash left of an earlier attempt; nothing reads it.
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)  # noqa: PTH105  Path.replace says the same and reads like str.replace
        _sync_directory(path.parent)
    except OSError as error:
        raise _file_error("write", path, error) from error


def read_secret_file(path: Path, *, max_bytes: int) -> bytes:
    """Return the content of a file that nobody but its owner can open.

    Raises:
        NotFound: if there is none.
        Refused: with code `exposed` if others have access, `too_large` above `max_bytes`.
        ChainError: with code `file_error` if the file system refuses.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(max_bytes + 1)
    except FileNotFoundError as error:
        raise NotFound(f"there is no {path}") from error
    except OSError as error:
        raise _file_error("read", path, error) from error
    if mode & _OTHERS:
        raise Refused(
            f"{path} is open to others (mode {stat.S_IMODE(mode):04o}); if nobody has read it, "
            f"`chmod 600 {path}`, else replace the key",
            code="exposed",
        )
    if len(content) > max_bytes:
        raise Refused(f"{path} is larger than {max_bytes} bytes", code="too_large")
    return content


def _sync_directory(directory: Path) -> None:
    """Make the directory's entries durable: the file's own fsync does not cover its name."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _file_error(verb: str, path: Path, error: OSError) -> ChainError:
    return ChainError(f"cannot {verb} {path}: {error.strerror}", code="file_error")
