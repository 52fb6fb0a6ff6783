"""Which version of which built-in contract is in force at a height: what genesis activates, and nothing else.

The rules of a height never change: a new version is a new module beside the old one, and genesis (later: the
alliance's vote) says from which height it serves. So old blocks replay by old rules.
"""

from __future__ import annotations

from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from chainnode.model.errors import Refused
from contracts import algorithms, clocks, cosigners, evidence, history, notary, timestamps
from contracts.authorities import contract as authorities
from contracts.identity import contract as identity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chainnode.model.genesis import ContractActivation
    from chainnode.model.ids import Height
    from contracts.api import Method

_IMPLEMENTATIONS: Final[Mapping[tuple[str, int], Mapping[str, Method]]] = MappingProxyType(
    {
        ("algorithms", 1): algorithms.METHODS,
        ("authorities", 1): authorities.METHODS,
        ("clocks", 1): clocks.METHODS,
        ("cosigners", 1): cosigners.METHODS,
        ("evidence", 1): evidence.METHODS,
        ("history", 1): history.METHODS,
        ("identity", 1): identity.METHODS,
        ("notary", 1): notary.METHODS,
        ("timestamps", 1): timestamps.METHODS,
    }
)
"""Methods by (contract, version). The name `validators` is taken by the state of the validator set."""


class Registry:
    """The contracts of one chain."""

    __slots__ = ("_activations",)

    def __init__(self, activations: tuple[ContractActivation, ...]) -> None:
        """Read genesis' list of activations.

        Raises:
            Refused: with code `unknown_contract_version` if this software lacks one of them.
        """
        for activation in activations:
            if (activation.name, activation.version) not in _IMPLEMENTATIONS:
                raise Refused(
                    f"genesis activates version {activation.version} of the contract "
                    f"{activation.name}, which this software does not have",
                    code="unknown_contract_version",
                    field="contracts",
                )
        self._activations = activations

    def methods(self, contract: str, height: Height) -> Mapping[str, Method] | None:
        """Return the methods of a contract in force at `height`, or None if it is not active there."""
        version = _version_in_force(self._activations, contract, height)
        return None if version is None else _IMPLEMENTATIONS[contract, version]


@lru_cache(maxsize=64)
def _version_in_force(
    activations: tuple[ContractActivation, ...], contract: str, height: Height
) -> int | None:
    # Remembered because every call of a block asks for one of the few contracts at one and the same height.
    return max(
        (
            activation.version
            for activation in activations
            if activation.name == contract and activation.from_height <= height
        ),
        default=None,
    )


@lru_cache(maxsize=16)
def registry_of(activations: tuple[ContractActivation, ...]) -> Registry:
    """Return the registry of a chain with these activations; made once."""
    return Registry(activations)
