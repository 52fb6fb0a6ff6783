"""Roles: what an account may do. The `identity` contract grants and revokes them."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """A right that accounts hold."""

    ADMIN = "admin"
    """Administers the alliance: organisations, accounts, keys and all roles."""

    NOTARY = "notary"
    """Writes into the notary's register."""

    ORG_ADMIN = "org-admin"
    """Administers the ordinary accounts of its own organisation."""

    TIMESTAMPER = "timestamper"
    """Enters imprints into the log before their timestamp tokens are issued."""


ADMINISTRATIVE = (Role.ADMIN, Role.ORG_ADMIN)
"""Roles that only an `admin` grants, and whose holders only an `admin` manages."""
