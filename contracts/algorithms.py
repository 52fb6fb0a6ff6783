"""The built-in contract `algorithms`, version 1: administrators say which digest algorithms new records may name.

    deprecate(algorithm)             still taken, but to be left behind
    close(algorithm, from_height)    not taken from that height on, which is announced by this very call
    accept(algorithm)                takes back either, unless the closure is in force: that is for ever

Each leaves one record of kind `algorithms` with body = [event, algorithm, closed_from]. The state is that of
`chainnode.model.algorithms`; `notary` asks it once in each call. One algorithm always stays without a closure.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from chainnode.model import codec
from chainnode.model.algorithms import (
    ALL_ACCEPTED,
    STATE_KEY,
    Algorithm,
    AlgorithmRegistry,
    AlgorithmStatus,
    check_known_algorithm,
    decode_registry,
)
from chainnode.model.errors import DecodeError, InvariantViolation
from chainnode.model.limits import MAX_NAME_BYTES
from chainnode.model.roles import Role
from contracts.api import ContractError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chainnode.model.codec import Value
    from contracts.api import Context, Method

NAME: Final = "algorithms"
KIND: Final = "algorithms"
"""Kind of the records."""

LOOKUP_ALL: Final = b"algorithms"
"""Key of the local index under which all records of this kind are found."""

_KEY: Final = STATE_KEY.removeprefix(b"algorithms/")
_NONE: Final[frozenset[str]] = frozenset()


def closed_algorithms(context: Context) -> frozenset[str]:
    """Return the algorithms that this block takes no new records of; one read of the state."""
    data = context.read(NAME).get(_KEY)
    return _NONE if data is None else registry_in(data).closed_at(context.block.height)


def check_open(closed: frozenset[str], digests: tuple[tuple[str, bytes], ...]) -> None:
    """Refuse with `algorithm_closed` if a digest is by one of the `closed` algorithms."""
    for algorithm, _ in digests:
        if algorithm in closed:
            raise ContractError(
                f"algorithm: {algorithm} is closed to new records; use another one",
                code="algorithm_closed",
                field="algorithm",
            )


def registry_in(data: bytes | None) -> AlgorithmRegistry:
    """Return the registry that the state holds. Raises InvariantViolation: the state is of our own making."""
    if data is None:
        return ALL_ACCEPTED
    try:
        return decode_registry(data)
    except DecodeError as error:
        raise InvariantViolation(
            f"the algorithm registry in the state cannot be read: {error}"
        ) from error


def deprecate(context: Context, args: tuple[Value, ...]) -> None:
    """Have people leave an algorithm behind: `[algorithm]`.

    Raises:
        ContractError: `missing_role`, `already_deprecated`, `algorithm_closed`.
        DecodeError: an argument has another shape, `unknown_algorithm`.
    """
    context.require_role(Role.ADMIN)
    (name,) = codec.array(args, "args", arity=1)
    found = _changeable(context, name)
    context.require(
        not found.is_deprecated, "already_deprecated", f"{found.name} is deprecated already"
    )
    _put(context, "algorithm-deprecated", replace(found, is_deprecated=True))


def close(context: Context, args: tuple[Value, ...]) -> None:
    """Announce the height from which an algorithm is closed to new records: `[algorithm, from_height]`.

    Raises:
        ContractError: `missing_role`, `algorithm_closed`, `not_ahead`, `last_algorithm`.
        DecodeError: an argument has another shape, `unknown_algorithm`.
    """
    context.require_role(Role.ADMIN)
    name, height_value = codec.array(args, "args", arity=2)
    from_height = codec.integer(height_value, "from_height")
    found = _changeable(context, name)
    context.require(
        from_height > context.block.height,
        "not_ahead",
        f"from_height: found {from_height}; expected a height above this block's, {context.block.height}",
    )
    others = [a for a in _registry(context).all() if a.name != found.name]
    context.require(
        any(not other.closed_from for other in others),
        "last_algorithm",
        f"{found.name} is the last algorithm without a closure; accept another one first",
    )
    changed = replace(found, is_deprecated=True, closed_from=from_height)
    _put(context, "algorithm-closing", changed)


def accept(context: Context, args: tuple[Value, ...]) -> None:
    """Take back a deprecation, and a closure that is not in force yet: `[algorithm]`.

    Raises:
        ContractError: `missing_role`, `already_accepted`, `algorithm_closed`.
        DecodeError: an argument has another shape, `unknown_algorithm`.
    """
    context.require_role(Role.ADMIN)
    (name,) = codec.array(args, "args", arity=1)
    found = _changeable(context, name)
    context.require(found.is_deprecated, "already_accepted", f"{found.name} is accepted already")
    _put(context, "algorithm-accepted", replace(found, is_deprecated=False, closed_from=0))


def _registry(context: Context) -> AlgorithmRegistry:
    return registry_in(context.state.get(_KEY))


def _changeable(context: Context, value: Value) -> Algorithm:
    """Return the entry of the algorithm named, unless it is closed: nothing opens one again."""
    name = codec.text(value, "algorithm", most_bytes=MAX_NAME_BYTES)
    check_known_algorithm(name)
    found = _registry(context).get(name)
    context.require(
        found.status_at(context.block.height) is not AlgorithmStatus.CLOSED,
        "algorithm_closed",
        f"{name} is closed since height {found.closed_from}, for ever",
    )
    return found


def _put(context: Context, event: str, changed: Algorithm) -> None:
    others = (a for a in _registry(context).algorithms if a.name != changed.name)
    entries = tuple(sorted((*others, changed), key=lambda a: a.name))
    context.state.put(_KEY, AlgorithmRegistry(algorithms=entries).encode())
    context.emit(KIND, (event, changed.name, changed.closed_from), (LOOKUP_ALL,))


METHODS: Final[Mapping[str, Method]] = MappingProxyType(
    {"deprecate": deprecate, "close": close, "accept": accept}
)
