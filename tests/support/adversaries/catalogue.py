"""All kinds of adversaries, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.adversaries.attacker import Attacker
from tests.support.adversaries.mutator import Mutator
from tests.support.adversaries.quiet import SlowLeader, Spammer, SyncLiar, TimeLiar, Withholder
from tests.support.adversaries.twins import Twins

if TYPE_CHECKING:
    from tests.support.adversaries.base import Adversary

ADVERSARIES: dict[str, type[Adversary]] = {
    kind.name: kind
    for kind in (
        Twins,
        Mutator,
        Attacker,
        Withholder,
        SlowLeader,
        TimeLiar,
        SyncLiar,
        Spammer,
    )
}
NOBODY = "nobody"
"""The name of there being no adversary: the network, the machines and their disks are trouble enough."""

CHOICES: tuple[str, ...] = (NOBODY, NOBODY, *ADVERSARIES, Attacker.name, Mutator.name, Twins.name)
"""What a seed draws from."""
