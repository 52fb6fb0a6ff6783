"""Looking a suite up by the name that genesis gives."""

from __future__ import annotations

import pytest

from chainnode.model.errors import Refused
from chainnode.model.keys import KeyPurpose, check_suite_of_purpose, suites_for
from chainnode.model.suites import (
    ED25519_SHA256,
    KEY_SUITE_NAMES,
    ML_DSA_44,
    P256_SHA256,
    SM2_SM3,
    SUITE_NAMES,
    key_suite_named,
    suite_named,
)


@pytest.mark.parametrize("name", SUITE_NAMES)
def test_a_suite_is_found_by_its_name(name: str) -> None:
    assert suite_named(name).name == name


def test_the_names_are_those_of_the_protocol() -> None:
    assert SUITE_NAMES == (ED25519_SHA256, SM2_SM3) == ("ed25519-sha256", "sm2-sm3")


def test_one_suite_is_one_object() -> None:
    assert suite_named(ED25519_SHA256) is suite_named(ED25519_SHA256)


@pytest.mark.parametrize("name", ["", "ED25519-SHA256", "rsa", P256_SHA256])
def test_an_unknown_suite_is_refused_with_the_known_names(name: str) -> None:
    with pytest.raises(Refused, match=r"ed25519-sha256, sm2-sm3") as caught:
        suite_named(name)
    assert caught.value.error_code == "unknown_suite"
    assert caught.value.field == "suite"


def test_a_key_has_two_suites_more_than_a_chain() -> None:
    assert (*SUITE_NAMES, P256_SHA256, ML_DSA_44) == KEY_SUITE_NAMES
    assert [key_suite_named(name).name for name in KEY_SUITE_NAMES] == list(KEY_SUITE_NAMES)
    with pytest.raises(Refused, match="ed25519-sha256, sm2-sm3, p256-sha256, ml-dsa-44"):
        key_suite_named("rsa")


@pytest.mark.parametrize("purpose", KeyPurpose)
def test_a_purpose_says_whether_a_chain_or_the_world_checks_its_signatures(
    purpose: KeyPurpose,
) -> None:
    outside = purpose in {"timestamp", "authority", "seal-maker", "seal-user"}
    of_chains = (*SUITE_NAMES, ML_DSA_44) if purpose == "cosigner" else SUITE_NAMES
    assert suites_for(purpose) == ((P256_SHA256, SM2_SM3) if outside else of_chains)
    for name in KEY_SUITE_NAMES:
        if name in suites_for(purpose):
            check_suite_of_purpose(name, purpose)
            continue
        with pytest.raises(Refused, match=f"expected .*{SM2_SM3}") as caught:
            check_suite_of_purpose(name, purpose)
        assert caught.value.error_code == "wrong_suite"
