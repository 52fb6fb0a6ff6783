"""The account that the node itself signs for: what it enters into the log on behalf of those who have no key.

A transaction of it is fresh every time; whoever sends one and hears nothing sends another. So a crash loses what was not
decided, and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chainnode.keystore.randomness import fresh_nonce
from chainnode.model.errors import Unavailable
from chainnode.model.ids import Height
from chainnode.model.transaction import Body, sign_transaction
from contracts.query import account_view, key_view

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainnode.keystore.signer import Signer
    from chainnode.ledger.ledger import Ledger
    from chainnode.model.transaction import Call, Transaction
    from chainnode.services.commits import Done
    from chainnode.services.submission import Submission

VALID_HEIGHTS: Final = 500
"""How many blocks a transaction of the node stays valid: some 20 s at full speed."""

NO_VALID_KEY: Final = "no_valid_key"
"""Code of the error that the account cannot sign; it takes an operator or an administrator."""


class OwnAccount:
    """One account with its keys, ready to send."""

    def __init__(
        self,
        *,
        name: str,
        signers: Sequence[Signer],
        ledger: Ledger,
        submission: Submission,
    ) -> None:
        """Send as `name`, by whichever of `signers` (purpose `account`) the chain takes at the time."""
        self.name = name
        self._signers = tuple(signers)
        self._ledger = ledger
        self._submission = submission

    def sign(self, calls: Sequence[Call]) -> Transaction:
        """Return a fresh transaction of these calls.

        Raises:
            Unavailable: `no_valid_key`: none of the keys is valid at the tip.
        """
        signer = self._signer()
        genesis, tip = self._ledger.genesis, self._ledger.tip
        body = Body(
            chain_id=genesis.chain_id,
            sender=self.name,
            nonce=fresh_nonce(),
            last_valid_height=Height(tip.height + VALID_HEIGHTS),
            calls=tuple(calls),
        )
        return sign_transaction(
            genesis.domain, body, public_key=signer.public_key, sign=signer.sign
        )

    def send(self, transaction: Transaction, *, timeout_ms: int, done: Done) -> None:
        """Submit a transaction of this account; `done` hears once what became of it, as `submit_and_wait` tells.

        Raises:
            ChainError: refused at once.
        """
        self._submission.submit_and_wait(transaction.envelope, timeout_ms=timeout_ms, done=done)

    def _signer(self) -> Signer:
        tip = self._ledger.tip
        account = account_view(self._ledger.state, self.name)
        if account is not None and account.suspended:
            # What it signed now would be refused, over and over.
            raise Unavailable(
                f"{self.name}, for which this node signs (node.account), is suspended; who manages it can "
                "resume it",
                code=NO_VALID_KEY,
            )
        for signer in self._signers:
            key = key_view(self._ledger.state, signer.public_key)
            if key is not None and key.owner == self.name and key.is_valid(tip.time_ms):
                return signer
        raise Unavailable(
            f"this node holds no valid key of {self.name}, for which it signs (node.account); "
            "register one of its keys, or restart it with the account's new key in its home",
            code=NO_VALID_KEY,
        )
