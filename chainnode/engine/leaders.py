"""The ledger's order of leaders, as the core names validators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consensus.messages import ValidatorIndex

if TYPE_CHECKING:
    from chainnode.ledger.ledger import Ledger
    from consensus.messages import Leaders


def leaders_at(ledger: Ledger, height: int) -> Leaders:
    """Return who leads which view of `height`, one or two above the tip. Raises NotFound as `Ledger.leaders`."""
    return tuple(ValidatorIndex(index) for index in ledger.leaders(height))
