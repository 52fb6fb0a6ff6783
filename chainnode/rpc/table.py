"""What a method of the table is: what openrpc.json says of it, and the function that answers it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from chainnode.rpc.results import Json
    from chainnode.rpc.shapes import Parameter

Done: TypeAlias = "Callable[[Any], None]"
"""Hears once the result (of the declared shape) or the ChainError."""


class Stream(Protocol):
    """The WebSocket that a request came by, for methods that need one."""

    @property
    def is_full(self) -> bool:
        """Whether so many of its requests wait for an answer that no more are taken."""

    def begin(self) -> None:
        """Count a request that will be answered."""

    def end(self) -> None:
        """Count that it was."""

    def subscribe(self, topic: str, filters: Mapping[str, object]) -> int:
        """Begin a subscription and return its number."""

    def unsubscribe(self, number: int) -> bool:
        """End a subscription; whether there was one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request whose parameters have been read."""

    method: str
    params: dict[str, Json]
    """As they came, by name."""

    values: dict[str, Any]
    """Every declared parameter, read; absent ones have their default."""

    stream: Stream | None
    """The WebSocket, or None if it came by HTTP."""


Handler: TypeAlias = "Callable[[Request, Done], None]"
"""Answers now or later through `Done`, once; or raises ChainError at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One line of the table."""

    name: str
    summary: str
    parameters: tuple[Parameter, ...]
    result: object
    """The declaration in `results`."""

    errors: tuple[str, ...]
    """Stable codes that it may answer, besides those that any request may meet."""

    handler: Handler
    declared: dict[str, Parameter] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "declared", {p.name: p for p in self.parameters})


def at_once(answer: Callable[[Request], Mapping[str, Any]]) -> Handler:
    """Return the handler for a function that knows the answer right away."""

    def handle(request: Request, done: Done) -> None:
        done(answer(request))

    return handle
