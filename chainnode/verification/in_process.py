"""Verification on the spot: for the simulator, for tests, and for nodes configured without workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainnode.model.transaction import signed_message

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chainnode.model.domain import Domain
    from chainnode.model.transaction import Transaction


class InProcessVerifier:
    """Checks each signature while the caller waits; holds nothing."""

    def __init__(self, domain: Domain) -> None:
        self._domain = domain

    def verify(
        self, transactions: Sequence[Transaction], done: Callable[[Sequence[bool]], None]
    ) -> None:
        """Check each signature and call `done` with the verdicts, in order, before returning."""
        done(
            tuple(
                self._domain.suite.is_signature(
                    t.public_key, signed_message(self._domain, t.id), t.signature
                )
                for t in transactions
            )
        )
