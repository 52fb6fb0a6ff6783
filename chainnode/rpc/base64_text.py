"""Byte strings as they travel in JSON: standard base64 with padding."""

from __future__ import annotations

import base64

from chainnode.model.errors import DecodeError


def to_base64(data: bytes) -> str:
    """Return standard base64 with padding."""
    return base64.b64encode(data).decode("ascii")


def from_base64(text: str) -> bytes:
    """Return the bytes of a base64 field of a result.

    Raises:
        DecodeError: the node sent something else.
    """
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise DecodeError(
            f"the node's answer holds bad base64: {error}", code="bad_answer"
        ) from error
