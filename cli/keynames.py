"""How keys are called in a home. The node opens the first three by these names."""

from __future__ import annotations

from typing import Final

from chainnode.keystore.key_file import check_key_name

CONSENSUS_KEY: Final = "consensus"
COSIGNER_KEY: Final = "cosigner"
LOG_KEY: Final = "log"


def account_key_name(account: str) -> str:
    """Return what `init` and `account register` call an account's first key: `justice.notary-1`.

    Only a convention: which key signs for an account is found by asking the chain for the account's keys.

    Raises:
        Refused: with code `bad_name` if it is too long for a key's name.
    """
    name = account.replace("/", ".")
    check_key_name(name)
    return name
