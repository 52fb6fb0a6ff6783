"""Which digest algorithms the alliance takes for new records: its registry, as the state holds it.

    key    algorithms/registry
    value  [1, [[algorithm, is_deprecated, closed_from], ...]]

Algorithms are in rising order; `closed_from` is the first height that takes no new record of it, 0 if none is set. An
algorithm that is not listed is accepted, and as long as there is no such key all of them are. What a record of the
past says of its document is not touched by any of this.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from chainnode.model import codec
from chainnode.model.commitment import DIGEST_BYTES
from chainnode.model.errors import DecodeError
from chainnode.model.limits import MAX_NAME_BYTES

if TYPE_CHECKING:
    from chainnode.model.codec import Value

STATE_KEY: Final = b"algorithms/registry"
"""Full state key of the registry, for proofs."""

VERSION: Final = 1
_MAX_REGISTRY_BYTES: Final = 1_024


class AlgorithmStatus(StrEnum):
    """What the alliance thinks of an algorithm."""

    ACCEPTED = "accepted"
    DEPRECATED = "deprecated"
    """Still taken; whoever registers should move on. So is one whose closure is announced."""

    CLOSED = "closed"
    """No new record is taken; old ones stay what they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Algorithm:
    """One entry of the registry."""

    name: str
    is_deprecated: bool
    closed_from: int
    """First height that takes no new record of it; 0 if none is set."""

    def status_at(self, height: int) -> AlgorithmStatus:
        """Return what holds for records of a block of that height."""
        if 0 < self.closed_from <= height:
            return AlgorithmStatus.CLOSED
        return AlgorithmStatus.DEPRECATED if self.is_deprecated else AlgorithmStatus.ACCEPTED


@dataclass(frozen=True, slots=True, kw_only=True)
class AlgorithmRegistry:
    """What is known of every algorithm."""

    algorithms: tuple[Algorithm, ...]
    """Those that were ever changed, in rising order of names."""

    def get(self, name: str) -> Algorithm:
        """Return the entry of an algorithm; an accepted one if it was never changed."""
        for algorithm in self.algorithms:
            if algorithm.name == name:
                return algorithm
        return Algorithm(name=name, is_deprecated=False, closed_from=0)

    def all(self) -> tuple[Algorithm, ...]:
        """Return an entry for each algorithm that this software knows, in rising order of names."""
        return tuple(self.get(name) for name in sorted(DIGEST_BYTES))

    def closed_at(self, height: int) -> frozenset[str]:
        """Return the algorithms that a block of that height takes no records of."""
        return frozenset(a.name for a in self.algorithms if 0 < a.closed_from <= height)

    def with_closure(self) -> frozenset[str]:
        """Return the algorithms whose closure is announced or in force."""
        return frozenset(a.name for a in self.algorithms if a.closed_from)

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        return codec.encode(
            (VERSION, tuple((a.name, a.is_deprecated, a.closed_from) for a in self.algorithms))
        )


ALL_ACCEPTED: Final = AlgorithmRegistry(algorithms=())
"""What holds while the state has no registry."""


@lru_cache(maxsize=16)
def decode_registry(data: bytes) -> AlgorithmRegistry:
    """Decode the registry; memorised, since each block reads the same one.

    Raises:
        DecodeError: not the canonical bytes of any registry.
    """
    version, entries = codec.decode_array(
        data, max_bytes=_MAX_REGISTRY_BYTES, arity=2, what="algorithm registry"
    )
    codec.integer(version, "version", least=VERSION, most=VERSION)
    algorithms = tuple(
        _algorithm(entry)
        for entry in codec.array_up_to(entries, "algorithms", least=1, most=len(DIGEST_BYTES))
    )
    names = [algorithm.name for algorithm in algorithms]
    if names != sorted(set(names)):
        raise DecodeError("algorithms: expected in rising order, each once", field="algorithms")
    return AlgorithmRegistry(algorithms=algorithms)


def check_known_algorithm(name: str) -> None:
    """Raise DecodeError with code `unknown_algorithm` unless this software knows the algorithm."""
    if name not in DIGEST_BYTES:
        raise DecodeError(
            f"algorithm: found {name!r}; known are {', '.join(DIGEST_BYTES)}",
            field="algorithm",
            code="unknown_algorithm",
        )


def _algorithm(value: Value) -> Algorithm:
    name_value, is_deprecated, closed_from = codec.array(value, "algorithm", arity=3)
    name = codec.text(name_value, "algorithm", most_bytes=MAX_NAME_BYTES)
    check_known_algorithm(name)
    return Algorithm(
        name=name,
        is_deprecated=codec.boolean(is_deprecated, "is_deprecated"),
        closed_from=codec.integer(closed_from, "closed_from"),
    )
