"""Who may do what to whom.

An `admin` manages every account. An `org-admin` manages the accounts of its own organisation that hold no
administrative role, and grants no such role: otherwise it could add its own key to an administrator of its
organisation, and become one. An account manages its own keys, and nothing else about itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainnode.model.ids import organisation_of
from chainnode.model.roles import ADMINISTRATIVE, Role
from contracts.api import ContractError

if TYPE_CHECKING:
    from contracts.api import Context


def check_manages(context: Context, account: str, roles: tuple[str, ...]) -> None:
    """Refuse with `missing_role` unless the sender may manage `account`.

    Args:
        context: The call.
        account: Name of the account that is to be made or changed.
        roles: All roles that it holds before or would hold after.
    """
    if context.has_role(Role.ADMIN):
        return
    if any(role in ADMINISTRATIVE for role in roles):
        raise ContractError(
            f"{context.sender} may not do this to {account}: accounts with the role "
            f"{' or '.join(ADMINISTRATIVE)} are for an {Role.ADMIN} to manage",
            code="missing_role",
            field="sender",
        )
    if context.has_role(Role.ORG_ADMIN) and organisation_of(context.sender) == organisation_of(
        account
    ):
        return
    raise ContractError(
        f"{context.sender} may not do this to {account}: it takes the role {Role.ADMIN}, "
        f"or {Role.ORG_ADMIN} of the same organisation",
        code="missing_role",
        field="sender",
    )


def check_manages_keys(context: Context, account: str, roles: tuple[str, ...]) -> None:
    """Refuse with `missing_role` unless the sender is `account` itself or may manage it."""
    if context.sender != account:
        check_manages(context, account, roles)
