"""The one way to sign. Who holds a `Signer` can have things signed; nobody can have the private key."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainnode.model.keys import KeyPurpose
    from chainnode.model.suites import Suite


class Signer(Protocol):
    """A key that signs. Safe to share between threads."""

    @property
    def name(self) -> str:
        """The key's name where it is kept."""

    @property
    def suite(self) -> Suite:
        """The suite whose signatures this makes."""

    @property
    def purpose(self) -> KeyPurpose:
        """The only thing that this key may sign; who holds the signer checks it."""

    @property
    def public_key(self) -> bytes:
        """The encoded public key."""

    def sign(self, message: bytes) -> bytes:
        """Return the signature of `message`; domain separation is the caller's."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LocalSigner:
    """A signer whose private key is in this process's memory.

    The key lives in a closure and in no field, so that printing, comparing and pickling cannot reach it.
    """

    name: str
    """The key's name where it is kept."""

    suite: Suite
    """The suite whose signatures this makes."""

    purpose: KeyPurpose
    """The only thing that this key may sign."""

    public_key: bytes
    """The encoded public key."""

    _sign: Callable[[bytes], bytes] = field(repr=False)

    def sign(self, message: bytes) -> bytes:
        """Return the signature of `message`."""
        return self._sign(message)


def local_signer(
    *, name: str, suite: Suite, purpose: KeyPurpose, private_key: bytes
) -> LocalSigner:
    """Return the signer of a private key.

    Args:
        name: the key's name.
        suite: whose key it is.
        purpose: the only thing that it may sign.
        private_key: bytes for which `suite.is_private_key` holds.
    """
    return LocalSigner(
        name=name,
        suite=suite,
        purpose=purpose,
        public_key=suite.public_key_of(private_key),
        _sign=lambda message: suite.sign(private_key, message),
    )
