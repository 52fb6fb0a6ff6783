"""Exit statuses: the one table from errors to what scripts test for.

0  done, or the check holds
1  the check is proven not to hold            ProofInvalid
2  wrong usage, unreadable or malformed input DecodeError, a local Refused, files
3  no node reached, or it is not ready        Unavailable, `bad_answer`, a node's own fault
4  the chain refused, or the tx failed        ChainRefused
5  cannot tell                                CannotTell, a mistake of this program
6  nothing found                              NotFound
"""

from __future__ import annotations

from enum import IntEnum

from chainnode.model.errors import (
    CannotTell,
    ChainError,
    NodeFault,
    NotFound,
    ProofInvalid,
    Refused,
    Unavailable,
)


class ExitStatus(IntEnum):
    """What a command ends with; fixed, because scripts match on it."""

    DONE = 0
    NOT_SO = 1
    USAGE = 2
    NO_NODE = 3
    REFUSED = 4
    CANNOT_TELL = 5
    NOT_FOUND = 6
    INTERRUPTED = 130
    """128 + SIGINT, as shells expect."""


class ChainRefused(Refused):
    """A node refused what was asked, or a transaction failed: told from what this machine refuses."""


_BY_CODE = {
    # No node of this version answers so: there is no usable one at that address.
    "bad_answer": ExitStatus.NO_NODE,
    # A home that is none was named; nothing was looked for in it.
    "no_config": ExitStatus.USAGE,
}

_BY_CLASS = (
    (ChainRefused, ExitStatus.REFUSED),
    (ProofInvalid, ExitStatus.NOT_SO),
    (CannotTell, ExitStatus.CANNOT_TELL),
    (NotFound, ExitStatus.NOT_FOUND),
    (Unavailable, ExitStatus.NO_NODE),
    (NodeFault, ExitStatus.NO_NODE),
    (ChainError, ExitStatus.USAGE),
)
"""The first match counts."""


def exit_status_of(error: BaseException) -> ExitStatus:
    """Return what a command that ends in `error` exits with; total."""
    if isinstance(error, ChainError) and error.error_code in _BY_CODE:
        return _BY_CODE[error.error_code]
    if isinstance(error, KeyboardInterrupt):
        return ExitStatus.INTERRUPTED
    for kind, status in _BY_CLASS:
        if isinstance(error, kind):
            return status
    # A mistake of this program proves nothing about what was asked.
    return ExitStatus.CANNOT_TELL
