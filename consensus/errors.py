"""What can go wrong inside the core.

Exception
├── Refused             a peer's message breaks a rule; becomes a `Refusal` in the effects
└── InvariantViolation  the core or its host broke a rule of its own; the node must stop
"""


class Refused(Exception):
    """A peer's message breaks a rule; nothing changed.

    Attributes:
        code: Stable, lower-case, for programs; the sentence is for people.
    """

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class InvariantViolation(Exception):
    """Carrying on could break agreement: our own state or our host's contract is broken."""

    code = "consensus_invariant"
