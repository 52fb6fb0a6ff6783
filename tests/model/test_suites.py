"""Looking a suite up by the name that genesis gives."""

from __future__ import annotations

import pytest

from chainnode.model.errors import Refused
from chainnode.model.suites import ED25519_SHA256, SM2_SM3, SUITE_NAMES, suite_named


@pytest.mark.parametrize("name", SUITE_NAMES)
def test_a_suite_is_found_by_its_name(name: str) -> None:
    assert suite_named(name).name == name


def test_the_names_are_those_of_the_protocol() -> None:
    assert SUITE_NAMES == (ED25519_SHA256, SM2_SM3) == ("ed25519-sha256", "sm2-sm3")


def test_one_suite_is_one_object() -> None:
    assert suite_named(ED25519_SHA256) is suite_named(ED25519_SHA256)


@pytest.mark.parametrize("name", ["", "ED25519-SHA256", "rsa"])
def test_an_unknown_suite_is_refused_with_the_known_names(name: str) -> None:
    with pytest.raises(Refused, match=r"ed25519-sha256, sm2-sm3") as caught:
        suite_named(name)
    assert caught.value.error_code == "unknown_suite"
    assert caught.value.field == "suite"
