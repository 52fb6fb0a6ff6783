"""What a simulation need not do twice: n validators decode the same bytes and check the same cosignatures.

The real decoder and the real check run once for each message, and their answers, which are values that nobody can
change, are given to whoever asks again in this process. Nothing else is skipped.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from chainnode.engine import inbox
from chainnode.model.suites.ed25519_sha256 import Ed25519Sha256

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_REMEMBERED = 5_000


def _remembered(function: Callable[..., Any]) -> Callable[..., Any]:
    answers: dict[tuple[Any, ...], Any] = {}

    def ask(*args: Any) -> Any:
        if args not in answers:
            if len(answers) > MAX_REMEMBERED:
                answers.clear()
            answers[args] = function(*args)
        return answers[args]

    return ask


@contextlib.contextmanager
def remembering(enabled: bool = True) -> Iterator[None]:
    """Remember answers while a simulation runs."""
    if not enabled:
        yield
        return
    decode, check = inbox.decode_message, Ed25519Sha256.is_signature
    inbox.decode_message = _remembered(decode)
    remembered = _remembered(lambda key, message, signature: check(_SUITE, key, message, signature))
    Ed25519Sha256.is_signature = lambda _self, key, message, signature: remembered(
        bytes(key), bytes(message), bytes(signature)
    )
    try:
        yield
    finally:
        inbox.decode_message, Ed25519Sha256.is_signature = decode, check


_SUITE = Ed25519Sha256()
