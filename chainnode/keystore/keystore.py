"""A directory of encrypted key files, one `NAME.key` per key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chainnode.keystore.files import read_secret_file, write_new_file
from chainnode.keystore.key_file import (
    MAX_KEY_FILE_BYTES,
    NONCE_BYTES,
    SALT_BYTES,
    SCRYPT_N,
    KeyFile,
    KeyInfo,
    check_key_name,
    decode_key_file,
    encode_key_file,
    seal,
    unseal,
)
from chainnode.keystore.randomness import fresh_bytes, fresh_private_key
from chainnode.keystore.signer import local_signer
from chainnode.model.errors import DecodeError, NotFound, Refused
from chainnode.model.keys import KeyPurpose, check_suite_of_purpose
from chainnode.model.suites import key_suite_named

if TYPE_CHECKING:
    from pathlib import Path

    from chainnode.keystore.signer import Signer
    from chainnode.model.suites import Suite

SUFFIX: Final = ".key"


class KeyStore:
    """The keys in one directory. Holds no key itself; several processes may share the directory."""

    __slots__ = ("_directory", "_scrypt_n")

    def __init__(self, directory: Path, *, scrypt_n: int = SCRYPT_N) -> None:
        """Name the directory; it is made when the first key is.

        Args:
            directory: where the key files are.
            scrypt_n: cost of guessing the passphrase of a new key; lower it for throw-away networks only.
        """
        self._directory = directory
        self._scrypt_n = scrypt_n

    @property
    def directory(self) -> Path:
        """Where the key files are."""
        return self._directory

    def new(self, name: str, suite: Suite, purpose: KeyPurpose, passphrase: bytes) -> KeyInfo:
        """Make a key; its file is durable on return.

        Raises:
            Refused: `bad_name`, `no_passphrase`, `exists` (a key is never overwritten), `not_here` for a TLS key,
                or `wrong_suite` if a key of that purpose cannot have that suite.
        """
        check_key_name(name)
        if purpose is KeyPurpose.TLS:
            raise Refused(
                "a TLS key is made together with its certificate, not as a key file",
                code="not_here",
                field="purpose",
            )
        check_suite_of_purpose(suite.name, purpose)
        private_key = fresh_private_key(suite)
        info = KeyInfo(
            name=name,
            suite=suite.name,
            purpose=purpose,
            public_key=suite.public_key_of(private_key),
        )
        key_file = seal(
            info,
            private_key,
            passphrase,
            scrypt_n=self._scrypt_n,
            salt=fresh_bytes(SALT_BYTES),
            nonce=fresh_bytes(NONCE_BYTES),
        )
        write_new_file(self._path(name), encode_key_file(key_file))
        return info

    def list(self) -> tuple[KeyInfo, ...]:
        """Return what is known of every key, by name.

        Raises:
            DecodeError: if a file is damaged; the message names it.
        """
        paths = sorted(self._directory.glob(f"[!.]*{SUFFIX}"))
        return tuple(self.show(path.name.removesuffix(SUFFIX)) for path in paths)

    def show(self, name: str) -> KeyInfo:
        """Return what is known of a key without its passphrase; unauthenticated until it is opened.

        Raises:
            NotFound: if there is no such key.
            Refused: `bad_name`, or `exposed` if others can open its file.
            DecodeError: if its file is damaged.
        """
        return self._load(name).info

    def export(self, name: str) -> bytes:
        """Return the encrypted file of a key, for a backup or another machine; raises as `show` does."""
        return encode_key_file(self._load(name))

    def import_(self, data: bytes) -> KeyInfo:
        """Keep a key that was exported elsewhere, under its own name; durable on return.

        Raises:
            DecodeError: if the bytes are not a key file.
            Refused: with code `exists` if there is a key of that name.
        """
        key_file = decode_key_file(data)
        write_new_file(self._path(key_file.info.name), encode_key_file(key_file))
        return key_file.info

    def open(self, name: str, passphrase: bytes) -> Signer:
        """Return the signer of a key.

        Raises:
            Refused: with code `wrong_passphrase`; else as `show`.
        """
        key_file = self._load(name)
        return local_signer(
            name=name,
            suite=key_suite_named(key_file.info.suite),
            purpose=key_file.info.purpose,
            private_key=unseal(key_file, passphrase),
        )

    def _path(self, name: str) -> Path:
        check_key_name(name)
        return self._directory / f"{name}{SUFFIX}"

    def _load(self, name: str) -> KeyFile:
        path = self._path(name)
        try:
            data = read_secret_file(path, max_bytes=MAX_KEY_FILE_BYTES)
        except NotFound as error:
            raise NotFound(f"there is no key {name} in {self._directory}", field="name") from error
        try:
            key_file = decode_key_file(data)
        except DecodeError as error:
            raise DecodeError(f"{path}: {error.message}", field=error.field) from error
        if key_file.info.name != name:
            raise DecodeError(
                f"{path} holds a key of another name, {key_file.info.name}", field="name"
            )
        return key_file
