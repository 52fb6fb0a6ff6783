"""Names: what a person may type, print and compare by eye."""

from __future__ import annotations

import pytest

from chainnode.model.errors import DecodeError
from chainnode.model.ids import check_account_name, check_chain_id, check_name, organisation_of

BAD = ["", "A", "a b", "a\n", "\na", ".a", "a.", "-a", "a-", "_", "é", "٣", "a\0b", "a/b/c"]


@pytest.mark.parametrize("name", ["a", "7", "a-b_c.d", "a--b", "a" * 64])
def test_lower_case_letters_digits_and_inner_marks_make_a_name(name: str) -> None:
    check_name(name, "name")
    check_account_name(f"{name}/{name}")
    check_chain_id(name)


@pytest.mark.parametrize("name", [*BAD, "a/b", "a" * 65])
def test_nothing_else_is_a_name(name: str) -> None:
    with pytest.raises(DecodeError) as caught:
        check_name(name, "what")
    assert (caught.value.error_code, caught.value.field) == ("bad_name", "what")


@pytest.mark.parametrize(
    "name",
    [*BAD, "court", "/clerk", "court/", "court/Clerk", "Court/clerk", f"{'a' * 65}/b", "a" * 130],
)
def test_an_account_is_two_names_and_a_slash(name: str) -> None:
    with pytest.raises(DecodeError) as caught:
        check_account_name(name)
    assert (caught.value.error_code, caught.value.field) == ("bad_name", "account")


@pytest.mark.parametrize("chain_id", ["sz.gov.example/alliance", "a/b/c", "a" * 128])
def test_a_chain_id_is_like_an_address_without_a_scheme(chain_id: str) -> None:
    check_chain_id(chain_id)


@pytest.mark.parametrize("chain_id", ["", "a//b", "/a", "a/", "A", "a b", "a+b", "a\n", "a" * 129])
def test_nothing_else_is_a_chain_id(chain_id: str) -> None:
    with pytest.raises(DecodeError) as caught:
        check_chain_id(chain_id)
    assert (caught.value.error_code, caught.value.field) == ("bad_name", "chain_id")


def test_an_account_belongs_to_the_organisation_before_the_slash() -> None:
    assert organisation_of("court/clerk") == "court"
