"""Certificate authorities: who may admit, enter, revoke, and what the log and the state say of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chainnode.model import calls, codec
from chainnode.model.keys import KeyPurpose
from chainnode.model.limits import MAX_CRL_NUMBER
from chainnode.model.record import decode_record
from chainnode.model.state_tree import MAX_STATE_VALUE_BYTES
from contracts.authorities import lists
from contracts.authorities.records import (
    MAX_AUTHORITIES,
    MAX_CRL_BYTES,
    MAX_FORMER,
    PublishedList,
)
from contracts.query import (
    authority_view,
    certificate_view,
    certificate_views,
    crl_of,
    root_crl_of,
)
from tests.support.contracts import ED25519, GENESIS_TIME_MS, SM2, Chain, example_genesis

if TYPE_CHECKING:
    from chainnode.model.transaction import Call

ADMIN, OPERATOR, OWNER = "justice/admin", "justice/ca", "justice/node"
YEAR_MS = 365 * 86_400_000
CERTIFICATE = b"a certificate"


def admit(
    name: str = "city",
    *,
    operator: str = OPERATOR,
    standing: str = "internal",
    chain: tuple[bytes, ...] = (b"issuing", b"root"),
) -> Call:
    return calls.admit_authority(
        name, title="市电子认证", standing=standing, operator=operator, chain=chain
    )


def enter(certificate: bytes = CERTIFICATE, **changes) -> Call:
    values = {
        "authority": "city",
        "purpose": KeyPurpose.TIMESTAMP,
        "owner": OWNER,
        "not_before_ms": GENESIS_TIME_MS,
        "not_after_ms": GENESIS_TIME_MS + YEAR_MS,
        "certificate": certificate,
    }
    values.update(changes)
    return calls.enter_certificate(values.pop("authority"), **values)


def events(chain: Chain) -> list[tuple]:
    records = [decode_record(leaf) for leaf in chain.log]
    return [r.body for r in records if r.kind == "authority"]


@pytest.mark.parametrize("suite", [ED25519, SM2])
def test_the_life_of_a_certificate_stands_on_the_log_and_in_the_state(suite):
    chain = Chain(example_genesis(suite))
    fingerprint = chain.genesis.suite.hash(CERTIFICATE)
    assert chain.send(ADMIN, admit()) == ""
    assert chain.send(OPERATOR, enter()) == ""
    view = certificate_view(chain.state, "city", fingerprint)
    assert (view.authority, view.owner, view.purpose) == ("city", OWNER, "timestamp")
    assert view.is_valid(chain.time_ms)
    assert not view.is_valid(GENESIS_TIME_MS - 1)
    assert not view.is_valid(GENESIS_TIME_MS + YEAR_MS + 1)
    assert chain.send(OPERATOR, calls.revoke_certificate("city", fingerprint, "compromised")) == ""
    view = certificate_view(chain.state, "city", fingerprint)
    assert (view.revoked_ms, view.reason) == (chain.time_ms, "compromised")
    assert chain.send(OPERATOR, calls.publish_crl("city", 1, b"a list")) == ""
    assert crl_of(chain.state, chain.genesis.suite, "city") == PublishedList(1, b"a list")
    assert chain.send(ADMIN, calls.dismiss_authority("city")) == ""
    authority = authority_view(chain.state, "city")
    assert (authority.record.operator, authority.record.dismissed_ms) == (OPERATOR, chain.time_ms)
    assert authority.chain == (b"issuing", b"root")
    admitted, issued, revoked, crl, dismissed = events(chain)
    assert admitted == (
        "admitted",
        "city",
        "市电子认证",
        "internal",
        OPERATOR,
        (b"issuing", b"root"),
    )
    assert issued == ("issued", "city", "timestamp", OWNER, CERTIFICATE)
    assert revoked[:4] == ("revoked", "city", fingerprint, "compromised")
    assert crl == ("crl", "city", 1, chain.genesis.suite.hash(b"a list"))
    assert dismissed == ("dismissed", "city")


def test_a_new_admission_replaces_chain_and_operator_and_keeps_what_was_issued():
    chain = Chain()
    chain.send(ADMIN, admit())
    chain.send(OPERATOR, enter())
    assert chain.send(ADMIN, admit(operator="justice/clerk")) == ""
    assert chain.send(OPERATOR, enter(b"another")) == "not_the_operator"
    assert chain.send("justice/clerk", enter(b"another")) == ""
    fingerprint = chain.genesis.suite.hash(CERTIFICATE)
    assert certificate_view(chain.state, "city", fingerprint) is not None


@pytest.mark.parametrize(
    ("sender", "call", "code"),
    [
        (OPERATOR, admit("other"), "missing_role"),
        (ADMIN, admit("other", standing="best"), "bad_standing"),
        (ADMIN, admit("other", operator="justice/nobody"), "unknown_account"),
        (ADMIN, admit("Other"), "bad_name"),
        (ADMIN, enter(b"new"), "not_the_operator"),
        (OPERATOR, enter(b"new", authority="other"), "unknown_authority"),
        (OPERATOR, enter(b"new", owner="justice/nobody"), "unknown_account"),
        (OPERATOR, enter(b"new", purpose=KeyPurpose.ACCOUNT), "bad_purpose"),
        (OPERATOR, enter(b"new", not_after_ms=GENESIS_TIME_MS), "bad_validity"),
        (OPERATOR, enter(b"new", not_before_ms=GENESIS_TIME_MS + YEAR_MS), "bad_validity"),
        (OPERATOR, enter(), "already_entered"),
        (OPERATOR, enter(b"x" * 4_097), "malformed"),
        (OWNER, calls.revoke_certificate("city", bytes(32), "ceased"), "unknown_certificate"),
        (OPERATOR, calls.revoke_certificate("city", bytes(32), "dislike"), "bad_reason"),
        (OWNER, calls.publish_crl("city", 1, b""), "not_the_operator"),
        (OPERATOR, calls.publish_crl("city", 1, b"x" * (MAX_CRL_BYTES + 1)), "malformed"),
        (OPERATOR, calls.publish_crl("city", -1, b""), "malformed"),
        (OPERATOR, calls.publish_root_crl("city", 1, b""), "missing_role"),
        (ADMIN, calls.publish_root_crl("other", 1, b""), "unknown_authority"),
        (ADMIN, calls.publish_root_crl("city", 1, b"x" * 65_537), "malformed"),
        (OPERATOR, calls.dismiss_authority("city"), "missing_role"),
        (ADMIN, calls.dismiss_authority("other"), "unknown_authority"),
    ],
)
def test_refusals(sender, call, code):
    chain = Chain()
    chain.send(ADMIN, admit())
    chain.send(OPERATOR, enter())
    assert chain.send(sender, call) == code


def test_an_administrator_revokes_what_the_operator_would_not_and_once_is_enough():
    chain = Chain()
    fingerprint = chain.genesis.suite.hash(CERTIFICATE)
    chain.send(ADMIN, admit())
    chain.send(OPERATOR, enter())
    assert (
        chain.send(OWNER, calls.revoke_certificate("city", fingerprint, "ceased"))
        == "not_the_operator"
    )
    assert chain.send(ADMIN, calls.revoke_certificate("city", fingerprint, "ceased")) == ""
    again = calls.revoke_certificate("city", fingerprint, "superseded")
    assert chain.send(OPERATOR, again) == "certificate_revoked"


def test_no_authority_can_take_or_spoil_what_another_has_issued():
    chain = Chain()
    fingerprint = chain.genesis.suite.hash(CERTIFICATE)
    chain.send(ADMIN, admit())
    chain.send(ADMIN, admit("thief", operator="justice/clerk"))
    # It is first, and enters what it has not issued, as its own, and revokes it.
    seized = enter(authority="thief", owner="justice/clerk")
    assert chain.send("justice/clerk", seized) == ""
    revoke = calls.revoke_certificate("thief", fingerprint, "compromised")
    assert chain.send("justice/clerk", revoke) == ""
    assert chain.send(OPERATOR, enter()) == ""
    assert chain.send(ADMIN, calls.dismiss_authority("thief")) == ""
    view = certificate_view(chain.state, "city", fingerprint)
    assert (view.owner, view.revoked_ms) == (OWNER, 0)
    assert [v.authority for v in certificate_views(chain.state, fingerprint)] == ["city", "thief"]
    revoke = calls.revoke_certificate("city", fingerprint, "compromised")
    assert chain.send("justice/clerk", revoke) == "not_the_operator"


@pytest.mark.parametrize("publish", [calls.publish_crl, calls.publish_root_crl])
def test_the_longest_list_fits_into_the_state(publish):
    chain = Chain()
    chain.send(ADMIN, admit())
    sender = OPERATOR if publish is calls.publish_crl else ADMIN
    assert chain.send(sender, publish("city", MAX_CRL_NUMBER, b"x" * MAX_CRL_BYTES)) == ""
    assert max(map(len, chain.state.values())) <= MAX_STATE_VALUE_BYTES


def test_a_contract_that_would_keep_too_much_fails_its_call_and_not_the_node(monkeypatch):
    monkeypatch.setattr(lists, "MAX_CRL_BYTES", MAX_STATE_VALUE_BYTES)
    chain = Chain()
    chain.send(ADMIN, admit())
    too_long = calls.publish_crl("city", 1, b"x" * MAX_STATE_VALUE_BYTES)
    assert chain.send(OPERATOR, too_long) == "value_too_large"


def test_the_list_of_the_root_is_published_by_an_admin_and_after_a_dismissal_too():
    chain = Chain()
    chain.send(ADMIN, admit())
    suite = chain.genesis.suite
    assert root_crl_of(chain.state, suite, "city") is None
    chain.send(ADMIN, calls.dismiss_authority("city"))
    assert chain.send(ADMIN, calls.publish_root_crl("city", 0, b"a list")) == ""
    assert root_crl_of(chain.state, suite, "city") == PublishedList(0, b"a list")
    assert crl_of(chain.state, suite, "city") is None
    assert root_crl_of(chain.state, suite, "other") is None
    assert events(chain)[-1] == ("root-crl", "city", 0, suite.hash(b"a list"))


@pytest.mark.parametrize(
    ("sender", "publish", "published"),
    [
        (OPERATOR, calls.publish_crl, crl_of),
        (ADMIN, calls.publish_root_crl, root_crl_of),
    ],
)
def test_no_list_goes_back_behind_a_later_one_whatever_is_admitted_meanwhile(
    sender, publish, published
):
    chain = Chain()

    def now():
        return published(chain.state, chain.genesis.suite, "city")

    chain.send(ADMIN, admit())
    assert chain.send(sender, publish("city", 7, b"seventh")) == ""
    for number in (7, 6, 0):
        assert chain.send(sender, publish("city", number, b"earlier")) == "not_newer"
    assert now() == PublishedList(7, b"seventh")
    # Another key counts its lists anew, and a way back to the earlier key is none to its earlier lists.
    chain.send(ADMIN, admit(chain=(b"issuing 2", b"root 2")))
    assert now() is None
    assert chain.send(sender, publish("city", 1, b"first")) == ""
    chain.send(ADMIN, admit())
    assert now() == PublishedList(7, b"seventh")
    assert chain.send(sender, publish("city", 7, b"earlier")) == "not_newer"
    assert chain.send(sender, publish("city", 2**63 - 1, b"last")) == ""


def test_an_authority_is_known_by_the_certificates_that_it_had_before():
    chain = Chain()

    def former():
        return authority_view(chain.state, "city").former

    for issuing in (b"0", b"0", b"1", b"0", b"2"):
        assert chain.send(ADMIN, admit(chain=(issuing, b"root"))) == ""
    assert former() == (b"1", b"0")
    for number in range(3, MAX_FORMER + 1):
        assert chain.send(ADMIN, admit(chain=(b"%d" % number * 4_096, b"root"))) == ""
    assert len(former()) == MAX_FORMER
    assert chain.send(ADMIN, admit(chain=(b"one more", b"root"))) == "too_many_keys"
    assert chain.send(ADMIN, admit(chain=(b"1", b"another root"))) == ""
    assert b"1" not in former()


def test_an_alliance_admits_so_many_authorities_and_can_still_change_one_of_them():
    chain = Chain()
    names = [f"ca-{number}" for number in range(MAX_AUTHORITIES)]
    chain.execute(*(chain.transaction(ADMIN, admit(name)) for name in names))
    assert chain.send(ADMIN, admit("one-more")) == "too_many_authorities"
    assert chain.send(ADMIN, admit(names[0], operator="justice/clerk")) == ""


def test_a_dismissed_authority_enters_nothing_and_its_certificates_can_still_be_revoked():
    chain = Chain()
    chain.send(ADMIN, admit())
    chain.send(OPERATOR, enter())
    chain.send(ADMIN, calls.dismiss_authority("city"))
    assert chain.send(OPERATOR, enter(b"new")) == "dismissed"
    assert chain.send(ADMIN, admit()) == "dismissed"
    assert chain.send(OPERATOR, calls.publish_crl("city", 1, b"list")) == "dismissed"
    fingerprint = chain.genesis.suite.hash(CERTIFICATE)
    assert chain.send(OPERATOR, calls.revoke_certificate("city", fingerprint, "ceased")) == ""


def test_the_longest_chain_fits_one_leaf():
    chain = Chain()
    longest = calls.admit_authority(
        "city", title="x" * 256, standing="licensed", operator=OPERATOR, chain=[bytes(4_096)] * 5
    )
    assert chain.send(ADMIN, longest) == ""
    assert len(chain.log[-1]) <= 32_768
    assert codec.decode(chain.log[-1], max_bytes=32_768)
