"""Why a block is refused, told so that a program and a person can act on it.

ChainError
  InvalidBlock       a proposed or received block that breaks a rule, or whose results are not ours
"""

from __future__ import annotations

from chainnode.model.errors import ChainError

RESULT_MISMATCH = "result_mismatch"
"""The header's results differ from those of executing its transactions here."""


class InvalidBlock(ChainError):
    """A block that no correct validator votes for. Against a certified block it means that this node is wrong."""

    code = "invalid_block"

    def __init__(self, code: str, field: str, *, found: object, expected: object) -> None:
        self.found = _text(found)
        self.expected = _text(expected)
        super().__init__(
            f"{field}: found {self.found}; expected {self.expected}", code=code, field=field
        )

    @property
    def first_difference(self) -> str:
        """Which field differs first, and how: for the one line with which a node stops."""
        return self.message


def _text(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
