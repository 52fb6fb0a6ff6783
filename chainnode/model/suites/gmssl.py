"""SM2 by gmssl-pyx (GmSSL 3): the second choice, for machines whose libcrypto has no SM2.

GmSSL prints a few lines to standard error for each signature that does not verify; that is noise, not an event.
"""

from __future__ import annotations

import functools
from typing import Final, cast

from chainnode.model.suites.sm2_curve import times_base

try:
    import gmssl_pyx
except ImportError:  # an optional extra, and there is no wheel but for x86-64
    gmssl_pyx = None

CACHED_PUBLIC_KEYS: Final = 16
"""Public keys remembered per private key: an owner signs with a handful, and deriving one takes milliseconds."""


class Gmssl:
    """`Sm2Backend` over gmssl-pyx."""

    __slots__ = ()

    @property
    def description(self) -> str:
        """Name and version of the package."""
        return f"gmssl-pyx {gmssl_pyx.__version__}"

    def public_key_of(self, private_key: bytes) -> bytes:
        """Return 04 || x || y; in Python, since the package has no function for it."""
        return _public_key_of(private_key)

    def sign_digest(self, private_key: bytes, digest: bytes) -> bytes:
        """Return a DER signature of a 32-byte digest."""
        return cast("bytes", gmssl_pyx.sm2_sign_sm3_digest(private_key, digest))

    def is_signature_of_digest(self, public_key: bytes, digest: bytes, signature: bytes) -> bool:
        """Whether a DER signature with r and s in range holds for a 32-byte digest."""
        return cast("bool", gmssl_pyx.sm2_verify_sm3_digest(public_key[1:], digest, signature))


@functools.lru_cache(maxsize=CACHED_PUBLIC_KEYS)
def _public_key_of(private_key: bytes) -> bytes:
    return times_base(int.from_bytes(private_key, "big"))


def load() -> Gmssl | None:
    """Return the backend, or None if gmssl-pyx is not installed."""
    return None if gmssl_pyx is None else Gmssl()
