"""SM3 (GB/T 32905-2016) and HMAC over it, from whichever library of this process has it.

Python's `hashlib` offers SM3 where its OpenSSL was built with it, and is the faster of the two for short input;
`cryptography` always has it. A hash has no edge cases to differ in, so that two providers are harmless here.
"""

from __future__ import annotations

import hashlib
import hmac

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.hmac import HMAC

_NAME = "sm3"


_HASHLIB_HAS_SM3 = _NAME in hashlib.algorithms_available
_EMPTY_STATE = hashlib.new(_NAME if _HASHLIB_HAS_SM3 else "sha256")


def sm3_by_hashlib(data: bytes) -> bytes:
    """Return the digest by OpenSSL as Python is linked to it; not to be called where that has no SM3.

    Copying an empty state saves looking the algorithm up, a third of the time for the input of a tree node.
    """
    state = _EMPTY_STATE.copy()
    state.update(data)
    return state.digest()


def hmac_sm3_by_hashlib(key: bytes, data: bytes) -> bytes:
    """Return the HMAC by OpenSSL as Python is linked to it; not to be called where that has no SM3."""
    return hmac.digest(key, data, _NAME)


def sm3_by_cryptography(data: bytes) -> bytes:
    """Return the digest by the OpenSSL that `cryptography` brings along."""
    state = hashes.Hash(hashes.SM3())
    state.update(data)
    return state.finalize()


def hmac_sm3_by_cryptography(key: bytes, data: bytes) -> bytes:
    """Return the HMAC by the OpenSSL that `cryptography` brings along."""
    state = HMAC(key, hashes.SM3())
    state.update(data)
    return state.finalize()


sm3 = sm3_by_hashlib if _HASHLIB_HAS_SM3 else sm3_by_cryptography
"""The SM3 digest of bytes, 32 bytes."""

hmac_sm3 = hmac_sm3_by_hashlib if _HASHLIB_HAS_SM3 else hmac_sm3_by_cryptography
"""The HMAC-SM3 of (key, data), 32 bytes."""
