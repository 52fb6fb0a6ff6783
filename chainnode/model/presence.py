"""What a validator's process signs when it is shown another process's challenge: "I am here, and this is not mine".

    context("presence") || challenge 32 || shown 32 (one or more, rising)

`challenge` is the signer's own, drawn at its start; `shown` are others. Whoever drew one of those knows from the
signature that the key was in use elsewhere after that moment: nobody could have signed it before it existed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainnode.model.domain import Domain

CHALLENGE_BYTES: Final = 32
"""Length of a process's challenge: nobody guesses one, and no two are alike."""


def presence_message(domain: Domain, challenge: bytes, shown: Sequence[bytes]) -> bytes:
    """Return the bytes signed by a process with `challenge` when it was shown these, each of 32 bytes."""
    return domain.context("presence") + challenge + b"".join(shown)
