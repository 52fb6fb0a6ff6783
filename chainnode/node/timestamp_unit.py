"""The timestamp units of a home: keys, and the certificates that the authority has issued for them.

    keys/timestamp.key, timestamp.pem             P-256; other names by the setting timestamp.key
    keys/timestamp-sm2.key, timestamp-sm2.pem     SM2, on sm2-sm3 chains; by timestamp.key_sm2

    former/SERIAL.pem                             those that later ones have replaced

The certificate file has the unit's own certificate first and those above it behind. It is read again when it changes, so
that a renewed certificate needs no restart; a new key does. Earlier certificates are kept for whoever has a token that does
not bring its certificate along.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chainnode.config import TIMESTAMP_KEY, TIMESTAMP_KEY_SM2
from chainnode.keystore.keystore import KeyStore
from chainnode.model.errors import ChainError, NotFound, Refused, Unavailable
from chainnode.model.keys import KeyPurpose
from chainnode.model.suites import P256_SHA256, SM2_SM3
from chainnode.pki.keys import subject_key
from chainnode.pki.pem import MAX_PEM_BYTES, parse_bundle
from chainnode.pki.profiles import TIMESTAMP, check_use
from chainnode.services.timestamping import TimestampUnit
from chainnode.tsp.token import TokenTemplate

if TYPE_CHECKING:
    from pathlib import Path

    from chainnode.clock import Clock
    from chainnode.keystore.signer import Signer
    from chainnode.model.suites import Suite
    from chainnode.pki.certificate import X509Certificate

P256_UNIT: Final = "p256"
SM2_UNIT: Final = "sm2"
_SUITES: Final = {P256_UNIT: P256_SHA256, SM2_UNIT: SM2_SM3}
"""By unit: of its key."""

_SETTINGS: Final = {P256_UNIT: "timestamp.key", SM2_UNIT: "timestamp.key_sm2"}
"""By unit: what names its key."""

_DEFAULT_KEYS: Final = frozenset({TIMESTAMP_KEY, TIMESTAMP_KEY_SM2})
"""A home may lack these, and have no unit then; whoever names another key means one that is there."""

_REMEDY: Final = (
    "ask the certificate authority for a certificate with `chainnode ca request`, and keep it with "
    "`chainnode ca install`"
)

FORMER: Final = "former"
"""Folder of certificates that were replaced; `chainnode ca install` puts them there."""

LOOK_MS: Final = 1_000
"""How often the file's time is looked at."""


def unit_names(suite: Suite) -> tuple[str, ...]:
    """Return the units of a chain's nodes, the one that `/tsa` answers with first."""
    return (SM2_UNIT, P256_UNIT) if suite.name == SM2_SM3 else (P256_UNIT,)


def certificate_file(home: Path, key_name: str) -> Path:
    """Return where the certificate of a unit's key is kept."""
    return home / f"{key_name}.pem"


def former_file(home: Path, serial_number: int) -> Path:
    """Return where a certificate is kept that a later one has replaced."""
    return home / FORMER / f"{serial_number:x}.pem"


class HomeUnit:
    """A unit whose key and certificate lie in a home."""

    def __init__(
        self,
        *,
        home: Path,
        name: str,
        key_name: str,
        suite: Suite,
        policy: str,
        passphrase: bytes,
        clock: Clock,
    ) -> None:
        """Open the unit's key, if there is one.

        Args:
            home: The node's.
            name: `p256` or `sm2`.
            key_name: Of the unit's key in that home.
            suite: The chain's; its hash gives fingerprints.
            policy: Dotted identifier that tokens bear.
            passphrase: Of the home's keys.
            clock: The node's.

        Raises:
            ChainError: the key is damaged, of another purpose or suite, or the passphrase is wrong; or the settings name
                one that is not there.
        """
        self._home = home
        self._path = certificate_file(home, key_name)
        self._key_name = key_name
        self._suite = suite
        self._policy = policy
        self._clock = clock
        self._signer = _open(home, key_name, name, passphrase)
        self._unit: TimestampUnit | None = None
        self._problem = ""
        """Why there is no unit."""

        self._seen: tuple[int, int, int] | None = None
        self._looked_ms = -LOOK_MS

    def unit(self) -> TimestampUnit:
        """Return the unit as it is now.

        Raises:
            Unavailable: `no_timestamp_unit`: there is no key or no certificate, or they do not fit together.
        """
        now_ms = self._clock.monotonic_ms()
        if now_ms - self._looked_ms >= LOOK_MS:
            self._looked_ms = now_ms
            self._look()
        if self._unit is None:
            raise Unavailable(
                f"this node has no timestamp unit: {self._problem}", code="no_timestamp_unit"
            )
        return self._unit

    def former(self, serial_number: int) -> tuple[X509Certificate, ...] | None:
        """Return a certificate of that number that this home keeps, with those above it, or None."""
        for path in (self._path, former_file(self._home, serial_number)):
            try:
                with path.open("rb") as file:
                    found = parse_bundle(file.read(MAX_PEM_BYTES + 1))
            except (OSError, ChainError):
                continue
            if found[0].serial_number == serial_number:
                return found
        return None

    def _look(self) -> None:
        try:
            found = self._path.stat()
            seen = (found.st_mtime_ns, found.st_ino, found.st_size)
            if seen == self._seen:
                return
            with self._path.open("rb") as file:
                data = file.read(MAX_PEM_BYTES + 1)
        except OSError as error:
            self._unit, self._seen = None, None
            self._problem = f"{self._path.name} cannot be read ({error.strerror}); {_REMEDY}"
            return
        self._seen = seen
        try:
            self._unit = self._made_of(data)
        except ChainError as error:
            self._unit = None
            self._problem = f"{self._path.name}: {error.message}; {_REMEDY}"

    def _made_of(self, data: bytes) -> TimestampUnit:
        certificate, *chain = parse_bundle(data)
        signer = self._signer
        if signer is None:
            raise Unavailable(f"this home has no key {self._key_name}", code="no_key")
        if certificate.key != subject_key(signer.suite, signer.public_key):
            raise Unavailable(
                f"it is not about the key {self._key_name} of this home", code="other_key"
            )
        check_use(certificate.extensions, TIMESTAMP, certificate.subject.text())
        return TimestampUnit(
            certificate=certificate,
            fingerprint=self._suite.hash(certificate.encoded),
            chain=tuple(chain),
            template=TokenTemplate(
                signer=signer, certificate=certificate, chain=tuple(chain), policy=self._policy
            ),
        )


def _open(home: Path, key_name: str, unit: str, passphrase: bytes) -> Signer | None:
    suite, setting = _SUITES[unit], _SETTINGS[unit]
    advice = f"`chainnode keys new {key_name} --purpose {KeyPurpose.TIMESTAMP} --suite {suite}`"
    try:
        signer = KeyStore(home / "keys").open(key_name, passphrase)
    except NotFound as error:
        if key_name in _DEFAULT_KEYS:
            return None
        raise Refused(
            f"{setting}: {error.message}; make it with {advice}", code="no_key", field=setting
        ) from error
    if signer.purpose is not KeyPurpose.TIMESTAMP or signer.suite.name != suite:
        raise Refused(
            f"{setting}: {key_name} is a {signer.suite.name} key of purpose {signer.purpose}; expected one made with "
            f"{advice}",
            code="wrong_purpose",
            field=setting,
        )
    return signer
