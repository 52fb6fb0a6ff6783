"""Families of what is fuzzed, each a function of bytes that returns or raises: what `make fuzz` drives and regressions re-run.

A family of decoders gives each input to all of them, so that an input means the same whatever is added to the family. The
engine and the RPC dispatcher take the input as the choices of their hostile peer or client.
"""

from __future__ import annotations

import functools
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chainnode.rpc.dispatch import Dispatcher
from chainnode.rpc.methods import method_table
from tests.support.decoders import check, decoders
from tests.support.hostile import Besieged
from tests.support.mutations import changed_bytes, mutated
from tests.support.rpc import make_node
from tests.support.rpc_requests import Requests, check_answers, populated

if TYPE_CHECKING:
    from collections.abc import Callable

_PREFIXES = {
    "chain": ("chainnode.model.", "contracts.notary."),
    "messages": ("chainnode.engine.message_codec.", "chainnode.p2p."),
    "log": (
        "chainnode.model.note.",
        "chainnode.model.checkpoint.",
        "chainnode.model.tlog_",
        "chainnode.model.notarization.",
    ),
    "members": ("chainnode.model.member.", "chainnode.keystore.", "chainnode.model.tls_"),
    "certificates": ("chainnode.pki.", "chainnode.tsp.", "chainnode.ers."),
    "store": (
        "chainnode.client.",
        "chainnode.services.",
        "chainnode.storage.",
        "chainnode.engine.vote_records.",
        "chainnode.ledger.",
        "contracts.",
    ),
    "json": ("chainnode.rpc.", "chainnode.model.rpc_auth."),
    "files": ("chainnode.config.", "cli."),
}
"""Whose functions belong to which family; the longest prefix counts."""

MAX_STEPS = 200


@dataclass(frozen=True, kw_only=True)
class Family:
    """What is fuzzed together."""

    run: Callable[[bytes], None]
    """Raises whatever should not have happened."""

    seeds: tuple[bytes, ...]
    """To begin with."""

    change: Callable[[bytes, random.Random], bytes]
    """Changes an input by its structure."""


class ByteRandom(random.Random):
    """Chance that is read from bytes; when they are used up, every choice is the first one."""

    def __init__(self, data: bytes) -> None:
        super().__init__(0)
        self._data = data
        self._at = 0

    @property
    def is_used_up(self) -> bool:
        """Whether nothing is left to choose by."""
        return self._at >= len(self._data)

    def getrandbits(self, k: int) -> int:
        """Return the next `k` bits."""
        size = (k + 7) // 8
        taken = self._data[self._at : self._at + size].ljust(size, b"\0")
        self._at += size
        # No more bits than a byte has for small choices: `randrange` asks again if they are out of range.
        return int.from_bytes(taken, "big") >> (8 * size - k)

    def random(self) -> float:
        """Return the next two bytes as a fraction."""
        return self.getrandbits(16) / 65_536


@functools.cache
def families() -> dict[str, Family]:
    """Return every family by its name."""
    return {name: _of_decoders(name) for name in _PREFIXES} | {
        "engine": Family(run=_besiege, seeds=_choices(), change=changed_bytes),
        "dispatcher": Family(run=_ask, seeds=_choices(), change=changed_bytes),
    }


def family_of(function: str) -> str:
    """Return the family of a decoder by its function's name."""
    fitting = [
        (len(prefix), name)
        for name, prefixes in _PREFIXES.items()
        for prefix in prefixes
        if function.startswith(prefix)
    ]
    return max(fitting)[1]


def _of_decoders(name: str) -> Family:
    members = [d for d in decoders().values() if family_of(d.function) == name]
    # Messages of all kinds have one decoder: it need not read an input once for each of its seeds.
    distinct = list({d.decode: d for d in members}.values())
    shapes = sorted({d.shape for d in members})

    def run(data: bytes) -> None:
        for decoder in distinct:
            check(decoder, data)

    def change(data: bytes, rng: random.Random) -> bytes:
        return mutated(rng.choice(shapes), data, rng)

    seeds = tuple(dict.fromkeys(seed for d in members for seed in d.seeds))
    return Family(run=run, seeds=seeds, change=change)


def _choices() -> tuple[bytes, ...]:
    return tuple(random.Random(seed).randbytes(2_000) for seed in range(8))


def _besiege(data: bytes) -> None:
    chance = ByteRandom(data)
    world = Besieged(chance)
    for _ in range(MAX_STEPS):
        if chance.is_used_up:
            break
        world.step()
        world.check_bounds()
    world.rng = random.Random(0)
    world.recover()


def _ask(data: bytes) -> None:
    chance, node = ByteRandom(data), populated(make_node())
    dispatcher = Dispatcher(
        method_table(node.services), metrics=node.services.metrics, clock=node.clock
    )
    requests = Requests(node, chance)
    for _ in range(MAX_STEPS):
        if chance.is_used_up:
            break
        dispatcher.answer(requests.text(), lambda text, _: check_answers(text) and None)
        node.clock.advance(130_000)
        node.commits.tick()
        node.commits.publish()
