"""Expecting an error by its stable code, the part of it that programs match on."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from chainnode.model.errors import ChainError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def refuses(code: str, kind: type[ChainError] = ChainError) -> Iterator[None]:
    """Pass if the block raises a `kind` with this code; fail otherwise."""
    with pytest.raises(kind) as caught:
        yield
    assert caught.value.error_code == code, caught.value
