"""The methods of `identity`, version 1."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from contracts.identity.organisations import register_organisation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from contracts.api import Method

METHODS: Final[Mapping[str, Method]] = MappingProxyType(
    {"register_organisation": register_organisation}
)
