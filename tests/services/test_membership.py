"""Who may see what is for members."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainnode.model.calls import revoke_key, suspend_account
from chainnode.model.canonical_json import canonical_json
from chainnode.model.errors import DecodeError, Refused
from chainnode.model.rpc_auth import AUTH_WINDOW_MS, auth_message
from chainnode.model.suites import SUITE_NAMES
from chainnode.rpc.shapes import Auth
from tests.support.chain import ADMIN, ARCHIVE, CLERK, GUEST
from tests.support.rpc import make_node, member_of

METHOD, PARAMS = "notary_lookup", {"algorithm": "sha256", "digest": "00"}


def signed(node, account=GUEST, method=METHOD, params=PARAMS):
    return Auth().parse(member_of(node, account).authorize(method, params)["auth"], "auth")


def check(node, authorization, method=METHOD, params=PARAMS):
    node.services.membership.check_member(authorization, method=method, params=params)


def code_of(node, authorization, **how):
    with pytest.raises(Refused) as refused:
        check(node, authorization, **how)
    assert refused.value.field == "auth"
    return refused.value.error_code


@pytest.mark.parametrize("suite", SUITE_NAMES)
def test_any_active_account_is_a_member(suite):
    node = make_node(suite=suite)
    check(node, signed(node, GUEST))


@pytest.mark.parametrize("offset_ms", [-AUTH_WINDOW_MS, AUTH_WINDOW_MS])
def test_a_signature_holds_for_a_minute_around_our_clock(offset_ms):
    node = make_node()
    authorization = signed(node)
    node.clock.advance(offset_ms)
    check(node, authorization)
    node.clock.advance(1 if offset_ms > 0 else -1)
    assert code_of(node, authorization) == "auth_stale"


def test_a_signature_serves_no_other_request():
    node = make_node()
    authorization = signed(node)
    assert code_of(node, authorization, method="chain_block") == "auth_signature"
    assert code_of(node, authorization, params={**PARAMS, "limit": 1}) == "auth_signature"
    assert code_of(node, authorization, params={}) == "auth_signature"
    later = replace(authorization, time_ms=authorization.time_ms + 1)
    assert code_of(node, later) == "auth_signature"


def test_a_key_serves_no_other_account():
    node = make_node()
    authorization = signed(node)
    assert code_of(node, replace(authorization, account=CLERK)) == "unknown_key"
    assert code_of(node, replace(authorization, account="court/nobody")) == "unknown_account"
    stranger = node.chain.validators[0].consensus
    assert code_of(node, replace(authorization, public_key=stranger.public)) == "unknown_key"
    assert code_of(node, replace(authorization, public_key=b"")) == "unknown_key"


def test_one_members_signature_is_not_anothers():
    node = make_node()
    archive = node.chain.accounts[ARCHIVE].public
    forged = replace(signed(node), account=ARCHIVE, public_key=archive)
    assert code_of(node, forged) == "auth_signature"


def test_suspended_accounts_and_revoked_keys_are_no_members():
    node = make_node()
    chain = node.chain
    clerk = chain.accounts[CLERK].public
    authorization, clerks = signed(node), signed(node, CLERK)
    node.engine.commit(
        [
            chain.transaction([suspend_account(GUEST)], sender=ADMIN, nonce="s"),
            chain.transaction([revoke_key(clerk)], sender=CLERK, nonce="r"),
        ]
    )
    assert all(r.succeeded for r in node.ledger.receipts(1))
    assert code_of(node, authorization) == "account_suspended"
    assert code_of(node, clerks) == "key_not_valid"


def test_the_message_names_its_chain_and_every_part():
    domain = make_node().chain.genesis.domain
    good = {"account": CLERK, "method": METHOD, "params": PARAMS, "time_ms": 5}
    message = auth_message(domain, **good)
    assert message.startswith(domain.context("rpc-auth"))
    for name, other in (("account", GUEST), ("method", "x"), ("params", {}), ("time_ms", 6)):
        assert auth_message(domain, **{**good, name: other}) != message


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": [True, None, "é\n"]}, '{"a":[true,null,"é\\n"],"b":1}'),
        ({}, "{}"),
        ({"a": {"c": 2**53 - 1, "b": -1}}, '{"a":{"b":-1,"c":9007199254740991}}'),
    ],
)
def test_canonical_json_is_that_of_rfc_8785(value, text):
    assert canonical_json(value) == text.encode()


@pytest.mark.parametrize(
    "value", [{"a": 2**53}, {"a": -(2**53)}, {"é": 1}, {"a": "\ud800"}, {"a": 0.5}]
)
def test_what_has_no_canonical_json_is_refused(value):
    with pytest.raises(DecodeError):
        canonical_json(value)


@given(
    st.dictionaries(st.sampled_from("abc"), st.integers(-9, 9) | st.text(max_size=5), max_size=3)
)
@settings(max_examples=50)
def test_the_order_of_parameters_does_not_matter(params):
    try:
        text = canonical_json(params)
    except DecodeError:
        return
    assert canonical_json(dict(reversed(list(params.items())))) == text
