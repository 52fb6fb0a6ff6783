"""The order of leaders while no turn has failed."""

from __future__ import annotations

from consensus.messages import Leaders, ValidatorIndex


def rotation(height: int, n: int) -> Leaders:
    """Return the n validators from number `height` mod n on."""
    return tuple(ValidatorIndex((height + i) % n) for i in range(n))
