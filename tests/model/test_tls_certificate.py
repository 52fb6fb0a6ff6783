"""Certificates are read strictly: what a later release of the parser would refuse is refused today."""

from __future__ import annotations

import pytest

from chainnode.keystore.tls import public_key_of_certificate
from chainnode.model.errors import DecodeError
from chainnode.model.genesis import tls_key_of
from chainnode.model.tls_certificate import read_tls_certificate
from tests.support.chain import tls_certificate

GOOD = tls_certificate("ash")
VERSION_3, SERIAL_1 = b"\xa0\x03\x02\x01\x02", b"\x02\x01\x01"


def changed(old: bytes, new: bytes) -> bytes:
    assert GOOD.count(old) >= 1
    return GOOD.replace(old, new, 1)


BAD = {
    "nothing": b"",
    "junk": bytes(100),
    "a byte behind it": GOOD + b"\0",
    "a serial number of 0": changed(SERIAL_1, b"\x02\x01\x00"),
    "a negative serial number": changed(SERIAL_1, b"\x02\x01\xff"),
    "version 6": changed(VERSION_3, b"\xa0\x03\x02\x01\x05"),
    "a key of no known kind": changed(b"\x2b\x65\x70\x03\x21", b"\x2b\x65\x01\x03\x21"),
}


def test_a_certificate_is_read() -> None:
    assert read_tls_certificate(GOOD).serial_number == 1


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("read", [read_tls_certificate, tls_key_of, public_key_of_certificate])
def test_what_is_none_or_will_not_be_one_is_one_named_error(name, read) -> None:
    with pytest.raises(DecodeError):
        read(BAD[name])
