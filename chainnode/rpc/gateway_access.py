"""Who may use the gateway, and how much: tokens from a file that may change while the node runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chainnode.keystore.gateway_tokens import hash_of, read_tokens
from chainnode.model.errors import ChainError, Refused, Unavailable

if TYPE_CHECKING:
    from pathlib import Path

    from chainnode.clock import Clock
    from chainnode.keystore.gateway_tokens import Token

LOOK_MS: Final = 1_000
"""How often the file is looked at; so a revoked token is refused a second later."""

MINUTE_MS: Final = 60_000

MAX_TOKEN_CHARACTERS: Final = 128
"""Longer ones are not even hashed."""


class GatewayAccess:
    """The tokens of one file. While it cannot be read, nobody has access."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """Raises ChainError: the file is there and cannot be read."""
        self._path = path
        self._clock = clock
        # The stamp first: what is revoked in between is then seen at the next look.
        self._stamp = _stamp(path)
        self._tokens = _by_hash(path)
        self._next_look_ms = clock.monotonic_ms() + LOOK_MS
        self._window_ms = clock.monotonic_ms()
        self._used: dict[str, int] = {}

    def check(self, header: str | None) -> str:
        """Return the name of the token in an `Authorization` header, and count a request of it.

        Raises:
            Refused: `unauthorized`.
            Unavailable: `overloaded`: it has made all requests of this minute.
        """
        self._look()
        scheme, _, text = (header or "").partition(" ")
        token = None
        if scheme.lower() == "bearer" and len(text) <= MAX_TOKEN_CHARACTERS:
            # Found by its hash, so that the time taken tells nothing of other tokens.
            token = self._tokens.get(hash_of(text.strip()))
        if token is None:
            raise Refused(
                "expected `Authorization: Bearer <token>` with a token of this node's gateway; its operator "
                "makes one with `chainnode gateway token new NAME`",
                code="unauthorized",
                field="Authorization",
            )
        now_ms = self._clock.monotonic_ms()
        if now_ms - self._window_ms >= MINUTE_MS:
            self._window_ms, self._used = now_ms, {}
        used = self._used.get(token.name, 0)
        if used >= token.per_minute:
            raise Unavailable(
                f"the token {token.name} has made its {token.per_minute} requests of this minute",
                code="overloaded",
                retry_after_ms=self._window_ms + MINUTE_MS - now_ms,
            )
        self._used[token.name] = used + 1
        return token.name

    def _look(self) -> None:
        now_ms = self._clock.monotonic_ms()
        if now_ms < self._next_look_ms:
            return
        self._next_look_ms = now_ms + LOOK_MS
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._tokens = _by_hash(self._path)
        except ChainError:
            self._tokens = {}


def _by_hash(path: Path) -> dict[bytes, Token]:
    return {token.sha256: token for token in read_tokens(path)}


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
