"""The methods of `identity`, version 1, by name."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from contracts.identity.accounts import (
    grant_role,
    register_account,
    resume_account,
    revoke_role,
    suspend_account,
)
from contracts.identity.keys import add_key, revoke_key, rotate_key
from contracts.identity.organisations import register_organisation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from contracts.api import Method

METHODS: Final[Mapping[str, Method]] = MappingProxyType(
    {
        "register_organisation": register_organisation,
        "register_account": register_account,
        "add_key": add_key,
        "rotate_key": rotate_key,
        "revoke_key": revoke_key,
        "grant_role": grant_role,
        "revoke_role": revoke_role,
        "suspend_account": suspend_account,
        "resume_account": resume_account,
    }
)
