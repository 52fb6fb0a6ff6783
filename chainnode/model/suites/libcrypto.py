"""SM2 by the system's libcrypto (OpenSSL 3 or later) through ctypes: no package needed, any processor.

Calls release the GIL. Key objects are read-only once made, which OpenSSL allows threads to share; contexts are
made per call. OpenSSL's error queue belongs to the thread and is shared with Python's own `ssl`, which would take
what we leave there for an error of its connection: each refusal clears it.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
from typing import TYPE_CHECKING, Final

from chainnode.model.errors import InvariantViolation
from chainnode.model.suites.sm2_curve import POINT_BYTES, SCALAR_BYTES, is_point

if TYPE_CHECKING:
    from collections.abc import Iterator

LIBRARY_NAMES: Final = (
    "libcrypto.so.3",
    "libcrypto.so.4",
    "libcrypto.3.dylib",
    "libcrypto.4.dylib",
)
"""Tried in this order: exact sonames, never an unversioned name, which may be another ABI (or abort, on macOS)."""

CACHED_PUBLIC_KEYS: Final = 4096
"""Parsed public keys kept, about 2 KiB each: parsing costs a third of a verification. Accounts come and go."""

CACHED_PRIVATE_KEYS: Final = 16
"""Parsed private keys kept: parsing costs two signatures, and a process signs with a handful."""

_SPKI_PREFIX = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d034200")
"""SubjectPublicKeyInfo {id-ecPublicKey, curve 1.2.156.10197.1.301} up to the 65 bytes of the point."""

_PKCS8_PREFIX = bytes.fromhex(
    "3041020100301306072a8648ce3d020106082a811ccf5501822d042730250201010420"
)
"""PrivateKeyInfo {id-ecPublicKey, the same curve, ECPrivateKey} up to the 32 bytes of the scalar."""

_MAX_DER_SIGNATURE_BYTES = 72
"""SEQUENCE of two INTEGERs of 33 bytes."""

_ONE = (1).to_bytes(SCALAR_BYTES, "big")
"""The private key of the self-test, whose public key is the base point."""


class Libcrypto:
    """`Sm2Backend` over a loaded libcrypto."""

    def __init__(self, library: ctypes.CDLL) -> None:
        """Declare the functions that are used.

        Raises:
            AttributeError: if the library lacks one of them.
        """
        pointer, size, number = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
        for name, result, arguments in (
            ("ERR_clear_error", None, ()),
            ("OpenSSL_version_num", ctypes.c_ulong, ()),
            ("d2i_PUBKEY", pointer, (pointer, pointer, ctypes.c_long)),
            ("d2i_AutoPrivateKey", pointer, (pointer, pointer, ctypes.c_long)),
            ("i2d_PUBKEY", number, (pointer, pointer)),
            ("EVP_PKEY_free", None, (pointer,)),
            ("EVP_PKEY_CTX_new", pointer, (pointer, pointer)),
            ("EVP_PKEY_CTX_free", None, (pointer,)),
            ("EVP_PKEY_sign_init", number, (pointer,)),
            ("EVP_PKEY_sign", number, (pointer, pointer, pointer, ctypes.c_char_p, size)),
            ("EVP_PKEY_verify_init", number, (pointer,)),
            ("EVP_PKEY_verify", number, (pointer, ctypes.c_char_p, size, ctypes.c_char_p, size)),
        ):
            function = getattr(library, name)
            function.restype = result
            function.argtypes = arguments
        self._lib = library
        self._public = functools.lru_cache(CACHED_PUBLIC_KEYS)(self._parse_public)
        self._private = functools.lru_cache(CACHED_PRIVATE_KEYS)(self._parse_private)

    @property
    def description(self) -> str:
        """Name and version, as `libcrypto 3.0.19`."""
        version = int(self._lib.OpenSSL_version_num())
        return f"libcrypto {version >> 28}.{version >> 20 & 0xFF}.{version >> 4 & 0xFF}"

    def public_key_of(self, private_key: bytes) -> bytes:
        """Return 04 || x || y of a private key."""
        key = self._private(private_key)
        der = ctypes.create_string_buffer(len(_SPKI_PREFIX) + POINT_BYTES)
        end = ctypes.c_void_p(ctypes.addressof(der))
        if self._lib.i2d_PUBKEY(key.pointer, None) != len(der):
            raise self._fault("wrote a public key of another length")
        self._lib.i2d_PUBKEY(key.pointer, ctypes.byref(end))
        return der.raw[-POINT_BYTES:]

    def sign_digest(self, private_key: bytes, digest: bytes) -> bytes:
        """Return a DER signature of a 32-byte digest."""
        out = ctypes.create_string_buffer(_MAX_DER_SIGNATURE_BYTES)
        length = ctypes.c_size_t(len(out))
        with self._context(self._private(private_key)) as context:
            if (
                self._lib.EVP_PKEY_sign_init(context) != 1
                or self._lib.EVP_PKEY_sign(context, out, ctypes.byref(length), digest, len(digest))
                != 1
            ):
                raise self._fault("did not sign")
        return out.raw[: length.value]

    def is_signature_of_digest(self, public_key: bytes, digest: bytes, signature: bytes) -> bool:
        """Whether a DER signature with r and s in range holds for a 32-byte digest."""
        with self._context(self._public(public_key)) as context:
            if self._lib.EVP_PKEY_verify_init(context) != 1:
                raise self._fault("did not begin to verify")
            verified = self._lib.EVP_PKEY_verify(
                context, signature, len(signature), digest, len(digest)
            )
        if verified != 1:
            self._lib.ERR_clear_error()
        return bool(verified == 1)

    @contextlib.contextmanager
    def _context(self, key: _Key) -> Iterator[int]:
        context = self._lib.EVP_PKEY_CTX_new(key.pointer, None)
        if not context:
            raise self._fault("made no context")
        try:
            yield context
        finally:
            self._lib.EVP_PKEY_CTX_free(context)

    def _parse_public(self, public_key: bytes) -> _Key:
        return self._parse("d2i_PUBKEY", _SPKI_PREFIX + public_key)

    def _parse_private(self, private_key: bytes) -> _Key:
        return self._parse("d2i_AutoPrivateKey", _PKCS8_PREFIX + private_key)

    def _parse(self, parser: str, der: bytes) -> _Key:
        start = ctypes.c_char_p(der)
        pointer = getattr(self._lib, parser)(None, ctypes.byref(start), len(der))
        if not pointer:
            raise self._fault("refused a key that is in range and on the curve")
        return _Key(self._lib, pointer)

    def _fault(self, what: str) -> InvariantViolation:
        self._lib.ERR_clear_error()
        return InvariantViolation(f"{self.description} {what}: out of memory, or built without SM2")


class _Key:
    """Owner of one EVP_PKEY; a thread that still uses it keeps it alive after its eviction from a cache."""

    __slots__ = ("_lib", "pointer")

    def __init__(self, library: ctypes.CDLL, pointer: int) -> None:
        self._lib = library
        self.pointer = pointer

    def __del__(self) -> None:
        self._lib.EVP_PKEY_free(self.pointer)


def load(names: tuple[str, ...] = LIBRARY_NAMES) -> Libcrypto | None:
    """Return the backend over the first library that can really sign and verify, or None.

    Some systems ship a libcrypto with the SM2 curve taken out, which shows only on use.
    """
    for name in names:
        try:
            found = Libcrypto(ctypes.CDLL(name))
            signature = found.sign_digest(_ONE, _ONE)
            if is_point(found.public_key_of(_ONE)) and found.is_signature_of_digest(
                found.public_key_of(_ONE), _ONE, signature
            ):
                return found
        except (OSError, AttributeError, InvariantViolation):
            continue
    return None
