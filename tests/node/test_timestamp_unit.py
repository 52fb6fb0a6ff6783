"""A home's timestamp unit: a certificate file that changes, is damaged, or is not this key's."""

from __future__ import annotations

import os

import pytest

from chainnode.keystore.key_file import MIN_SCRYPT_N
from chainnode.keystore.keystore import KeyStore
from chainnode.model.errors import Refused, Unavailable
from chainnode.model.keys import KeyPurpose
from chainnode.model.suites import P256_SHA256, SM2_SM3, key_suite_named, suite_named
from chainnode.node.timestamp_unit import (
    LOOK_MS,
    P256_UNIT,
    SM2_UNIT,
    HomeUnit,
    certificate_file,
    former_file,
)
from chainnode.pki.pem import MAX_PEM_BYTES, write_bundle
from chainnode.pki.profiles import SEAL
from tests.support.certificates import authority, key_of
from tests.support.rpc import ManualClock
from tests.support.timestamps import POLICY

PASSPHRASE = b"correct horse"
CHAIN_SUITE = suite_named("ed25519-sha256")


class Home:
    """A home with a unit's key."""

    def __init__(self, directory, name=P256_UNIT, suite_name=P256_SHA256, key_name=None):
        key_name = key_name or ("timestamp" if name == P256_UNIT else "timestamp-sm2")
        keys = KeyStore(directory / "keys", scrypt_n=MIN_SCRYPT_N)
        keys.new(key_name, key_suite_named(suite_name), KeyPurpose.TIMESTAMP, PASSPHRASE)
        self.key = key_of(keys.open(key_name, PASSPHRASE))
        self.made = authority(suite_name)
        self.file = certificate_file(directory, key_name)
        self.clock = ManualClock()
        self._times = iter(range(1, 1_000))
        self._unit = HomeUnit(
            home=directory,
            name=name,
            key_name=key_name,
            suite=CHAIN_SUITE,
            policy=POLICY,
            passphrase=PASSPHRASE,
            clock=self.clock,
        )

    def certificate(self, **changes):
        return self.made.issue(**{"key": self.key} | changes)

    def write(self, content):
        self.file.write_bytes(content)
        # The file's time differs whatever the system's clock counts in.
        moment = next(self._times)
        os.utime(self.file, (moment, moment))

    def install(self, certificate):
        self.write(write_bundle((certificate, self.made.issuing, self.made.root)))

    def unit(self):
        self.clock.advance(LOOK_MS)
        return self._unit.unit()

    def problem(self):
        with pytest.raises(Unavailable) as caught:
            self.unit()
        assert caught.value.error_code == "no_timestamp_unit"
        return caught.value.message


@pytest.mark.parametrize(("name", "suite_name"), [(P256_UNIT, P256_SHA256), (SM2_UNIT, SM2_SM3)])
def test_a_renewed_certificate_is_used_from_the_next_look_on(tmp_path, name, suite_name):
    home = Home(tmp_path, name, suite_name)
    first, second = home.certificate(), home.certificate()
    home.install(first)
    found = home.unit()
    assert found.certificate == first
    assert found.chain == (home.made.issuing, home.made.root)
    assert found.fingerprint == CHAIN_SUITE.hash(first.encoded)
    home.install(second)
    assert home._unit.unit().certificate == first
    assert home.unit().certificate == second
    assert home.unit() is home.unit()


def test_former_certificates_are_found_by_serial_number(tmp_path):
    home = Home(tmp_path)
    first, second = home.certificate(), home.certificate()
    home.install(second)
    kept = former_file(tmp_path, first.serial_number)
    kept.parent.mkdir()
    kept.write_bytes(write_bundle((first, home.made.issuing)))
    assert home._unit.former(first.serial_number) == (first, home.made.issuing)
    assert home._unit.former(second.serial_number)[0] == second
    assert home._unit.former(7) is None
    # A file under another's number is not what was asked for.
    kept.rename(former_file(tmp_path, 7))
    assert home._unit.former(7) is None
    former_file(tmp_path, 7).write_bytes(b"hello")
    assert home._unit.former(7) is None


def test_a_key_that_the_settings_name_is_used_and_must_be_there_and_fit(tmp_path):
    home = Home(tmp_path, key_name="timestamp-2028")
    certificate = home.certificate()
    home.install(certificate)
    assert home.file.name == "timestamp-2028.pem"
    assert home.unit().certificate == certificate

    def opened(name, key_name):
        with pytest.raises(Refused) as caught:
            HomeUnit(
                home=tmp_path,
                name=name,
                key_name=key_name,
                suite=CHAIN_SUITE,
                policy=POLICY,
                passphrase=PASSPHRASE,
                clock=home.clock,
            )
        assert f"chainnode keys new {key_name} --purpose timestamp" in caught.value.message
        return caught.value.error_code, caught.value.field

    assert opened(P256_UNIT, "timestamp-2082") == ("no_key", "timestamp.key")
    assert opened(SM2_UNIT, "timestamp-2028") == ("wrong_purpose", "timestamp.key_sm2")


def test_what_is_wrong_with_the_file_is_said_until_it_is_mended(tmp_path):
    home = Home(tmp_path)
    good = home.certificate()
    whole = write_bundle((good, home.made.issuing))
    cases = {
        b"": "timestamp.pem",
        b"hello": "timestamp.pem",
        whole[:300]: "timestamp.pem",
        b"\x30" + bytes(MAX_PEM_BYTES): "bytes",
        write_bundle((home.made.leaf,)): "not about the key",
        write_bundle((home.certificate(profile=SEAL),)): "timestamp.pem",
    }
    assert "chainnode ca request" in home.problem()
    for content, expected in cases.items():
        home.write(content)
        first = home.problem()
        assert expected in first
        # Not only when it is looked at.
        with pytest.raises(Unavailable, match="timestamp unit") as caught:
            home._unit.unit()
        assert (caught.value.message, home.problem()) == (first, first)
    home.write(whole)
    assert home.unit().certificate == good
    home.file.unlink()
    assert "timestamp.pem" in home.problem()
    home.file.mkdir()
    assert "directory" in home.problem()
