"""What a client is answered: TimeStampResp (RFC 3161 section 2.4.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chainnode.tsp.encoding import integer, named_bit, sequence, utf8

if TYPE_CHECKING:
    from chainnode.tsp.request import Failure

MAX_STATUS_CHARACTERS: Final = 500
"""Of the sentence for people."""

_GRANTED: Final = sequence(integer(0))
_REJECTION: Final = integer(2)


def granted(token: bytes) -> bytes:
    """Return the response with a token (ContentInfo in DER)."""
    return sequence(_GRANTED, token)


def rejected(failure: Failure, message: str) -> bytes:
    """Return the response without a token, with a sentence that says why."""
    text = sequence(utf8(message[:MAX_STATUS_CHARACTERS].encode("utf-8", "replace").decode()))
    return sequence(sequence(_REJECTION, text, named_bit(failure.value)))
