"""How keys and certificates are called in a home.

The node opens the first three by these names, and the keys of its timestamp units by those in its settings.
"""

from __future__ import annotations

from typing import Final

from chainnode.config import TIMESTAMP_KEY, TIMESTAMP_KEY_SM2
from chainnode.keystore.key_file import check_key_name
from chainnode.model.suites import P256_SHA256, SM2_SM3, Suite, key_suite_named

CONSENSUS_KEY: Final = "consensus"
COSIGNER_KEY: Final = "cosigner"
LOG_KEY: Final = "log"

FORMER: Final = "former"
"""Folder of a home with certificates that later ones have replaced, by serial number; the node looks there."""


def timestamp_units(suite: Suite) -> tuple[tuple[str, Suite], ...]:
    """Return the keys of a node's timestamp units on a chain of that suite, each with its own suite."""
    p256 = (TIMESTAMP_KEY, key_suite_named(P256_SHA256))
    if suite.name != SM2_SM3:
        return (p256,)
    return (p256, (TIMESTAMP_KEY_SM2, suite))


def account_key_name(account: str) -> str:
    """Return what `init` and `account register` call an account's first key: `justice.notary-1`.

    Only a convention: which key signs for an account is found by asking the chain for the account's keys.

    Raises:
        Refused: with code `bad_name` if it is too long for a key's name.
    """
    name = account.replace("/", ".")
    check_key_name(name)
    return name
