"""Every error that crosses a module's border.

    ChainError                 expected: bad input, refused, not found; carries a stable `code`
      DecodeError              bytes that are not the one canonical encoding of a value
      PeerFault                a peer broke the protocol; costs that peer, not us
      Refused                  admission, a contract or a policy said no
      Unavailable              what is needed cannot be reached or is not ready
      CannotTell               genuine as far as it goes, but evidence is missing
      ProofInvalid             a proof, signature or certificate that is proven not to hold
    NodeFault                  ours: disk, memory, a broken invariant; stops the node
      InvariantViolation
      StorageFault
      ForkProven           two blocks of one height are decided
      CloneFound             another process runs with this validator's keys

A `ChainError` is caught and answered. A `NodeFault` is never caught except by the composition root, which
prints one line and stops: it is never recorded as a failed transaction.
"""

from __future__ import annotations

from typing import ClassVar


class ChainError(Exception):
    """An expected error: its message tells a person what was found, what was expected, what to do."""

    code: ClassVar[str] = "error"
    """Stable identifier that programs match on; sub-classes that take many causes carry it per instance."""

    field: str | None
    """Name of the offending input, or None when there is no single one."""

    def __init__(self, message: str, *, code: str | None = None, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self._code = code

    @property
    def error_code(self) -> str:
        """The code of this very error: the instance's if it was given one, else its class's."""
        return self._code if self._code is not None else type(self).code


class DecodeError(ChainError):
    """Bytes from outside that are not the canonical encoding of the expected value."""

    code = "malformed"


class PeerFault(ChainError):
    """A peer sent what no correct peer sends; the connection pays for it."""

    code = "peer_fault"


class Refused(ChainError):
    """The chain, a contract or a local policy refused; nothing was changed."""

    code = "refused"


class Unavailable(ChainError):
    """What is needed cannot be reached, is overloaded or is not ready; trying later may help."""

    code = "unavailable"

    retry_after_ms: int | None
    """When trying again makes sense, in milliseconds from now, or None if unknown."""

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        field: str | None = None,
        retry_after_ms: int | None = None,
    ) -> None:
        super().__init__(message, code=code, field=field)
        self.retry_after_ms = retry_after_ms


class NotFound(ChainError):
    """The thing asked for does not exist here."""

    code = "not_found"


class CannotTell(ChainError):
    """Neither proven to hold nor proven not to hold; the message says what would settle it."""

    code = "cannot_tell"


class ProofInvalid(ChainError):
    """A proof, signature or certificate that is proven not to hold."""

    code = "proof_invalid"


class NodeFault(Exception):
    """A fault of this node. The node stops; nothing is decided or recorded because of it."""


class InvariantViolation(NodeFault):
    """Something that the design says cannot happen has happened in this process."""


class StorageFault(NodeFault):
    """The disk refused, lost or corrupted something."""


class ForkProven(NodeFault):
    """Two blocks of one height are decided: more validators than may be faulty are, and nothing is certain any more."""

    def __init__(self, message: str, *, height: int, testimony: bytes) -> None:
        super().__init__(message)
        self.height = height
        self.testimony = testimony
        """What this node holds against them; see `chainnode.model.forensics`."""


class CloneFound(NodeFault):
    """Another process runs with this validator's keys; one of them must not be started again."""
