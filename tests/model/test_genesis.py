"""Genesis: one document for the same members, and every way in which its parts do not fit together."""

from __future__ import annotations

from typing import Any

import pytest

from chainnode.model import codec
from chainnode.model.errors import DecodeError
from chainnode.model.genesis import check_address, decode_genesis, make_genesis, tls_key_of
from chainnode.model.limits import MAX_GENESIS_BYTES
from tests.support.chain import make_chain
from tests.support.formats import SUITES, samples
from tests.support.golden import load_golden
from tests.support.refusals import refuses

GENESIS = samples(SUITES[0]).chain.genesis
CHAIN_ID, SUITE, TIME, RULES, PARAMETERS, ORGANISATIONS, VALIDATORS, ACCOUNTS, CONTRACTS = range(
    1, 10
)
FIELDS = codec.decode_array(GENESIS.encoded, max_bytes=MAX_GENESIS_BYTES, arity=10, what="genesis")
KEY_OF_NOBODY = make_chain(validators=5).validators[0].consensus.public


def with_part(value: Any, at: int, *path: int, to: Any) -> Any:
    """Return nested arrays with one place changed."""
    inner = with_part(value[at], *path, to=to) if path else to
    return (*value[:at], inner, *value[at + 1 :])


def changed(*path: int, to: Any) -> bytes:
    return codec.encode(with_part(FIELDS, *path, to=to))


@pytest.mark.parametrize("suite", SUITES)
def test_the_recorded_document_still_names_the_same_chain(suite: str) -> None:
    recorded = load_golden(f"formats-{suite}")
    genesis = decode_genesis(bytes.fromhex(recorded["genesis"]["bytes"]))
    assert genesis.domain.genesis_hash.hex() == recorded["genesis hash"]
    assert genesis == samples(suite).chain.genesis


def test_the_order_in_which_members_are_given_does_not_matter() -> None:
    again = make_genesis(
        chain_id=GENESIS.chain_id,
        suite=GENESIS.suite.name,
        time_ms=GENESIS.time_ms,
        parameters=GENESIS.parameters,
        organisations=GENESIS.organisations[::-1],
        validators=GENESIS.validators[::-1],
        accounts=GENESIS.accounts[::-1],
        contracts=GENESIS.contracts[::-1],
    )
    assert again == GENESIS


def test_the_first_set_has_the_keys_of_the_certificates_that_peers_pin() -> None:
    for declared, member in zip(GENESIS.validators, GENESIS.validator_set.members, strict=True):
        assert declared.validator() == member
        assert member.tls_key == tls_key_of(declared.tls_certificate)


@pytest.mark.parametrize("data", [b"", b"\x30\x00", bytes(100)])
def test_what_is_no_certificate_has_no_key(data: bytes) -> None:
    with pytest.raises(DecodeError, match="not an X"):
        tls_key_of(data)


@pytest.mark.parametrize(
    "address",
    ["a:1", "node-1.court.example:9000", "10.0.0.1:65535", "[::1]:9000", "[2001:db8::10.0.0.1]:80"],
)
def test_addresses_are_host_and_port(address: str) -> None:
    check_address(address)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "a",
        "a:",
        ":1",
        "a:0",
        "a:65536",
        "a:123456",
        "a b:1",
        "::1:9",
        "[]:1",
        "http://a:1",
        "a:1\n",
    ],
)
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(DecodeError):
        check_address(address)


_VALIDATOR, _OTHER = FIELDS[VALIDATORS][0], FIELDS[VALIDATORS][1]
_ACCOUNT = FIELDS[ACCOUNTS][0]


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (changed(0, to=2), "malformed"),
        (changed(CHAIN_ID, to="A"), "bad_name"),
        (changed(SUITE, to="rsa"), "unknown_suite"),
        (changed(SUITE, to="sm2-sm3"), "bad_key"),
        (changed(TIME, to=-1), "malformed"),
        (changed(RULES, to=0), "malformed"),
        (changed(RULES, to=2), "malformed"),
        (changed(PARAMETERS, 1, to=0), "malformed"),
        (changed(ORGANISATIONS, to=()), "malformed"),
        (changed(ORGANISATIONS, to=FIELDS[ORGANISATIONS][::-1]), "malformed"),
        (changed(ORGANISATIONS, 0, to=FIELDS[ORGANISATIONS][1]), "malformed"),
        (changed(ORGANISATIONS, 0, 0, to="A"), "bad_name"),
        (changed(ORGANISATIONS, 0, 0, to="aaa"), "malformed"),
        (changed(ORGANISATIONS, 0, 1, to="a" * 257), "malformed"),
        (changed(VALIDATORS, to=()), "malformed"),
        (changed(VALIDATORS, to=FIELDS[VALIDATORS][::-1]), "malformed"),
        (changed(VALIDATORS, 0, to=_OTHER), "malformed"),
        (changed(VALIDATORS, 0, 0, to="A"), "bad_name"),
        (changed(VALIDATORS, 0, 0, to=_OTHER[0]), "malformed"),
        (changed(VALIDATORS, 0, 1, to="health"), "malformed"),
        (changed(VALIDATORS, 0, 2, to=bytes(32)), "bad_key"),
        (changed(VALIDATORS, 0, 3, to=_VALIDATOR[2]), "key_reused"),
        (changed(VALIDATORS, 0, 4, to=_OTHER[4]), "key_reused"),
        (changed(VALIDATORS, 0, 5, to=b""), "malformed"),
        (changed(VALIDATORS, 0, 5, to=bytes(4_097)), "malformed"),
        (changed(VALIDATORS, 0, 5, to=_OTHER[5]), "key_reused"),
        (changed(VALIDATORS, 0, 6, to="nowhere"), "malformed"),
        (changed(ACCOUNTS, to=FIELDS[ACCOUNTS][::-1]), "malformed"),
        (changed(ACCOUNTS, 0, to=FIELDS[ACCOUNTS][1]), "malformed"),
        (changed(ACCOUNTS, 0, 0, to="archive"), "bad_name"),
        (changed(ACCOUNTS, 0, 0, to="aaa/keeper"), "malformed"),
        (changed(ACCOUNTS, 0, 1, to=("Notary",)), "bad_name"),
        (changed(ACCOUNTS, 0, 1, to=("notary", "admin")), "malformed"),
        (changed(ACCOUNTS, 0, 1, to=("notary", "notary")), "malformed"),
        (changed(ACCOUNTS, 0, 1, to=tuple(f"r{i:02}" for i in range(17))), "malformed"),
        (changed(ACCOUNTS, 0, 2, to=()), "malformed"),
        (changed(ACCOUNTS, 0, 2, to=(bytes(32),)), "bad_key"),
        (changed(ACCOUNTS, 0, 2, to=tuple(sorted((_ACCOUNT[2][0], KEY_OF_NOBODY), reverse=True))), "malformed"),
        (changed(ACCOUNTS, 0, 2, to=FIELDS[ACCOUNTS][1][2]), "key_reused"),
        (changed(ACCOUNTS, 0, 2, to=(_VALIDATOR[2],)), "key_reused"),
        (changed(ACCOUNTS, 0, 2, to=(_VALIDATOR[4],)), "key_reused"),
        (changed(CONTRACTS, to=()), "malformed"),
        (changed(CONTRACTS, to=FIELDS[CONTRACTS][::-1]), "malformed"),
        (changed(CONTRACTS, 0, 0, to="A"), "bad_name"),
        (changed(CONTRACTS, 0, 1, to=0), "malformed"),
        (changed(CONTRACTS, 0, 1, to=2**16), "malformed"),
        (changed(CONTRACTS, 0, 2, to=0), "malformed"),
    ],
)  # fmt: skip
def test_documents_whose_parts_do_not_fit_together_are_refused(document: bytes, code: str) -> None:
    with refuses(code, DecodeError):
        decode_genesis(document)


def test_every_byte_of_the_document_names_another_chain() -> None:
    for path, value in (((TIME,), 1), ((CHAIN_ID,), "other"), ((ORGANISATIONS, 0, 1), "档案局")):
        other = decode_genesis(changed(*path, to=value))
        assert other.domain.genesis_hash != GENESIS.domain.genesis_hash
