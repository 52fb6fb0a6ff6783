"""Golden vectors of every format, for both suites: bytes, the values in them, and their hashes."""

from __future__ import annotations

import pytest

from chainnode.model import codec
from chainnode.model.certificate import verify_certificate
from chainnode.model.commitment import PUBLIC_SALT, commitment_to, derive_salt, digests_value
from chainnode.model.light_client import trusted_genesis, verify_header
from chainnode.model.transaction import signed_message
from chainnode.model.votes import COMMIT, PREPARE, PROPOSE, view_change_message, vote_message
from tests.support.chain import random_bytes
from tests.support.formats import MAX_BYTES, SUITES, golden_name, samples
from tests.support.golden import as_json, check_golden, load_golden


@pytest.mark.parametrize("suite", SUITES)
def test_every_format_gives_the_recorded_bytes(suite: str) -> None:
    sample = samples(suite)
    genesis, transaction = sample.chain.genesis, sample.transaction
    domain = genesis.domain
    digest = random_bytes("voted digest")
    vectors: dict[str, object] = {}
    for name, known in sample.formats().items():
        vectors[name] = {
            "value": as_json(codec.decode(known.encoded, max_bytes=MAX_BYTES)),
            "bytes": known.encoded.hex(),
        }
    for name, value in {
        "genesis hash": domain.genesis_hash,
        "parameters hash": genesis.parameters.hash(domain),
        "validators hash": genesis.validator_set.hash(domain),
        "transaction id": transaction.id,
        "transaction hash": transaction.hash,
        "signed for transaction": signed_message(domain, transaction.id),
        "signature of transaction": transaction.signature,
        "block hash of first_header": sample.certificate.block_hash,
        "block hash of header": sample.outline.block_hash,
        "certificate hash": sample.certificate.hash(domain),
        **{f"signature of commit {i}": s for i, s in sample.certificate.signatures},
        "signed for PROPOSE": vote_message(domain, PROPOSE, 1, 0, digest),
        "signed for PREPARE": vote_message(domain, PREPARE, 2**40, 1, digest),
        "signed for COMMIT": vote_message(domain, COMMIT, 1, 2**31 - 1, digest),
        "signed for VIEW-CHANGE": view_change_message(domain, 1, 3, (2, digest)),
        "signed for VIEW-CHANGE, nothing prepared": view_change_message(domain, 1, 3, None),
        "seed": random_bytes("seed"),
        "salt 7": derive_salt(sample.suite, random_bytes("seed"), 7),
        "commitment to opening": sample.commitment,
        "public commitment": commitment_to(
            sample.suite, PUBLIC_SALT, digests_value(sample.opening.digests)
        ),
    }.items():
        vectors[name] = value.hex()
    check_golden(golden_name(suite), vectors)


@pytest.mark.parametrize("suite", SUITES)
def test_recorded_signatures_hold(suite: str) -> None:
    sample = samples(suite)
    genesis, transaction = sample.chain.genesis, sample.transaction
    assert genesis.suite.is_signature(
        transaction.public_key,
        signed_message(genesis.domain, transaction.id),
        transaction.signature,
    )
    verify_certificate(sample.certificate, genesis.domain, genesis.validator_set)
    header = sample.headers[0]
    trusted = trusted_genesis(genesis)
    assert verify_header(trusted, header.encode(), sample.certificate) == header


@pytest.mark.parametrize("suite", SUITES)
def test_recorded_bytes_decode_to_what_was_encoded(suite: str) -> None:
    recorded = load_golden(golden_name(suite))
    for name, known in samples(suite).formats().items():
        data = bytes.fromhex(recorded[name]["bytes"])
        assert known.encode(known.decode(data)) == data, name
