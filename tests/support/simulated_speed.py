"""What a simulation need not do twice: n validators decode the same bytes and check the same cosignatures.

The real decoders and the real check run once for each message, and their answers, which are values that nobody can
change, are given to whoever asks again in this process. Nothing else is skipped.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from chainnode.engine import inbox, relay
from chainnode.model.suites.ed25519_sha256 import Ed25519Sha256

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_REMEMBERED = 5_000


def _remembered(function: Callable[..., Any]) -> Callable[..., Any]:
    answers: dict[tuple[Any, ...], Any] = {}

    def ask(*args: Any) -> Any:
        answer = answers.get(args, answers)
        if answer is answers:
            if len(answers) > MAX_REMEMBERED:
                answers.clear()
            answer = answers[args] = function(*args)
        return answer

    return ask


@contextlib.contextmanager
def remembering(enabled: bool = True) -> Iterator[None]:
    """Remember answers while a simulation runs."""
    if not enabled:
        yield
        return
    check = Ed25519Sha256.is_signature
    decoders = [
        (inbox, "decode_message"),
        (inbox, "decode_outline"),
        (inbox, "decode_certificate"),
        (relay, "decode_transaction"),
    ]
    before = [getattr(module, name) for module, name in decoders]
    for (module, name), decode in zip(decoders, before, strict=True):
        setattr(module, name, _remembered(decode))
    remembered = _remembered(lambda key, message, signature: check(_SUITE, key, message, signature))
    Ed25519Sha256.is_signature = lambda _self, key, message, signature: remembered(
        bytes(key), bytes(message), bytes(signature)
    )
    try:
        yield
    finally:
        Ed25519Sha256.is_signature = check
        for (module, name), decode in zip(decoders, before, strict=True):
            setattr(module, name, decode)


_SUITE = Ed25519Sha256()
