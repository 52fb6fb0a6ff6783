"""Imprints in the log: what a record says, what opens it, and which certificates may be named."""

from __future__ import annotations

import hashlib

import pytest

from chainnode.model import calls
from chainnode.model.commitment import Digest
from chainnode.model.errors import CannotTell, ProofInvalid
from chainnode.model.keys import KeyPurpose
from chainnode.model.record import decode_record
from chainnode.model.suites import suite_named
from chainnode.model.timestamp import (
    RecordedUnit,
    Serial,
    blindings_under,
    parse_serial,
    unit_of,
    verify_imprint,
)
from chainnode.model.transaction import Call
from tests.support.contracts import ED25519, GENESIS_TIME_MS, SM2, Chain, example_genesis

SEED = bytes(range(32))
NODE = "justice/node"
YEAR_MS = 365 * 86_400_000
IMPRINTS = [
    Digest(algorithm="sha256", value=hashlib.sha256(b"a").digest()),
    Digest(algorithm="sha384", value=hashlib.sha384(b"a").digest()),
    Digest(algorithm="sha512", value=hashlib.sha512(b"a").digest()),
    Digest(algorithm="sm3", value=bytes(32)),
]


def certified(suite: str = ED25519, **changes) -> tuple[Chain, bytes]:
    """A chain whose node has a certificate, and the certificate's fingerprint."""
    chain = Chain(example_genesis(suite))
    values = {
        "purpose": KeyPurpose.TIMESTAMP,
        "owner": NODE,
        "not_before_ms": GENESIS_TIME_MS,
        "not_after_ms": GENESIS_TIME_MS + YEAR_MS,
        "certificate": b"unit",
    }
    values.update(changes)
    admit = calls.admit_authority(
        "city", title="CA", standing="internal", operator="justice/ca", chain=[b"root"]
    )
    assert chain.send("justice/admin", admit) == ""
    assert chain.send("justice/ca", calls.enter_certificate("city", **values)) == ""
    return chain, chain.genesis.suite.hash(values["certificate"])


@pytest.mark.parametrize("suite", [ED25519, SM2])
def test_every_imprint_leaves_one_record_that_its_serial_number_opens(suite):
    chain, fingerprint = certified(suite)
    result = chain.execute(
        chain.transaction(NODE, calls.register_imprints("city", fingerprint, IMPRINTS, seed=SEED))
    )
    (receipt,) = result.receipts
    assert (receipt.succeeded, receipt.record_count) == (True, len(IMPRINTS))
    assert result.changes == {}
    blinding_of = blindings_under(chain.genesis.suite, SEED)
    for item, imprint in enumerate(IMPRINTS):
        index = receipt.first_record + item
        record = decode_record(chain.log[index])
        serial = parse_serial(Serial(index=index, blinding=blinding_of(item)).as_integer())
        assert serial.index == index
        assert verify_imprint(chain.genesis.suite, record, serial, imprint) == fingerprint
        assert unit_of(record) == RecordedUnit(authority="city", fingerprint=fingerprint)
        other = Digest(algorithm=imprint.algorithm, value=bytes([1]) * len(imprint.value))
        with pytest.raises(ProofInvalid) as caught:
            verify_imprint(chain.genesis.suite, record, serial, other)
        assert caught.value.error_code == "opening_mismatch"
        # Under the policy of a chain of the same name and another suite nothing is disproven.
        with pytest.raises(CannotTell) as untold:
            verify_imprint(
                suite_named(SM2 if suite == ED25519 else ED25519), record, serial, imprint
            )
        assert untold.value.error_code == "other_suite"
        guess = Serial(index=index, blinding=bytes(13))
        with pytest.raises(ProofInvalid):
            verify_imprint(chain.genesis.suite, record, guess, imprint)


def test_a_serial_number_has_20_bytes_and_is_positive():
    for index in (0, 2**48 - 1):
        number = Serial(index=index, blinding=bytes([255]) * 13).as_integer()
        assert len(number.to_bytes((number.bit_length() + 8) // 8, "big")) == 20


@pytest.mark.parametrize("number", [0, 1, -1, 2**160, 2**159, 2 << 152])
def test_other_serial_numbers_name_no_record(number):
    with pytest.raises(ProofInvalid) as caught:
        parse_serial(number)
    assert caught.value.error_code == "other_authority"


def register(fingerprint: bytes, *imprints: Digest) -> Call:
    return calls.register_imprints("city", fingerprint, imprints or IMPRINTS, seed=SEED)


def test_who_may_and_for_which_certificate():
    chain, fingerprint = certified()
    assert chain.send("justice/clerk", register(fingerprint)) == "missing_role"
    assert chain.send(NODE, register(bytes(32))) == "unknown_certificate"
    assert chain.send(NODE, register(fingerprint)) == ""


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"owner": "justice/clerk"}, "other_owner"),
        ({"purpose": KeyPurpose.SEAL_USER}, "bad_purpose"),
        ({"not_before_ms": GENESIS_TIME_MS + YEAR_MS // 2}, "certificate_not_valid"),
        ({"not_after_ms": GENESIS_TIME_MS + 2_500}, "certificate_not_valid"),
    ],
)
def test_certificates_that_do_not_serve(changes, code):
    chain, fingerprint = certified(**changes)
    assert chain.send(NODE, register(fingerprint)) == code


def test_a_revoked_certificate_and_one_of_a_dismissed_authority_serve_no_more():
    chain, fingerprint = certified()
    chain.send("justice/ca", calls.revoke_certificate("city", fingerprint, "compromised"))
    assert chain.send(NODE, register(fingerprint)) == "certificate_not_valid"
    chain, fingerprint = certified()
    chain.send("justice/admin", calls.dismiss_authority("city"))
    assert chain.send(NODE, register(fingerprint)) == "dismissed"


@pytest.mark.parametrize(
    ("args", "code"),
    [
        ((SEED, ()), "malformed"),
        ((SEED, (("sha256", bytes(31)),)), "bad_digest"),
        ((SEED, (("md5", bytes(16)),)), "unknown_algorithm"),
        ((SEED, (("sha256", bytes(32)),) * 1_001), "malformed"),
        ((bytes(31), (("sha256", bytes(32)),)), "malformed"),
        ((None, (("sha256", bytes(32)),)), "malformed"),
    ],
)
def test_arguments_of_another_shape(args, code):
    chain, fingerprint = certified()
    call = Call(contract="timestamps", method="register", args=("city", fingerprint, *args))
    assert chain.send(NODE, call) == code
