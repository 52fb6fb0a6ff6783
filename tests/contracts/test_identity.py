"""Members, accounts, keys and roles: who may do what, and what is refused with which code."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chainnode.model import calls
from chainnode.model.errors import InvariantViolation, Refused
from chainnode.model.genesis import GenesisAccount
from chainnode.model.keys import KeyPurpose
from chainnode.model.record import decode_record
from chainnode.model.roles import Role
from chainnode.model.transaction import Call
from contracts.identity import records
from contracts.identity.genesis import identity_state
from contracts.identity.sender import check_sender
from contracts.query import account_view, key_view, organisation_view
from tests.support.contracts import ED25519, SM2, Chain, example_genesis

ADMIN = "justice/admin"
CLERK = "justice/clerk"
BOSS = "archive/boss"
READER = "archive/reader"
NEW = "archive/new"


def last_body(chain: Chain):
    record = decode_record(chain.last.emitted[-1].leaf)
    assert (record.kind, record.contract) == ("identity", "identity")
    return record.body


def identity(method: str, *args) -> Call:
    return Call(contract="identity", method=method, args=args)


def code_of(chain: Chain, sender: str, signer: str, *, time_ms: int) -> str:
    transaction = chain.transaction(sender, calls.resume_account(sender), key=chain.key(signer))
    try:
        check_sender(chain.state, transaction, time_ms=time_ms)
    except Refused as refusal:
        return refusal.error_code
    return ""


# Genesis


def test_genesis_members_accounts_and_keys_are_in_the_state():
    chain = Chain()
    assert organisation_view(chain.state, "archive").title == "City Archive 市档案馆"
    assert organisation_view(chain.state, "absent") is None
    view = account_view(chain.state, CLERK)
    assert (view.name, view.organisation, view.roles, view.suspended) == (
        CLERK,
        "justice",
        ("notary",),
        False,
    )
    ((public_key, key),) = view.keys
    assert public_key == chain.key(CLERK).public
    assert (key.owner, key.purpose) == (CLERK, KeyPurpose.ACCOUNT)
    assert account_view(chain.state, "archive/absent") is None
    assert key_view(chain.state, bytes(32)) is None


def test_genesis_with_a_role_that_none_knows_is_refused():
    genesis = example_genesis()
    account = GenesisAccount(name="justice/x", roles=("king",), public_keys=(bytes(32),))
    with pytest.raises(Refused) as caught:
        identity_state(replace(genesis, accounts=(account,)))
    assert caught.value.error_code == "unknown_role"


def test_genesis_with_more_administrators_than_can_be_listed_is_refused():
    genesis = example_genesis()
    many = tuple(
        GenesisAccount(name=f"justice/a{i:03}", roles=("admin",), public_keys=(bytes([i] * 32),))
        for i in range(records.MAX_ADMINS + 1)
    )
    with pytest.raises(Refused) as caught:
        identity_state(replace(genesis, accounts=many))
    assert caught.value.error_code == "too_many_admins"


# Organisations


def test_an_admin_admits_a_member():
    chain = Chain()
    assert chain.send(ADMIN, calls.register_organisation("health", "卫健委")) == ""
    assert organisation_view(chain.state, "health").title == "卫健委"
    assert last_body(chain) == ("organisation-registered", "health", "卫健委")
    assert chain.last.emitted[-1].lookup_keys == (b"organisation/health",)


@pytest.mark.parametrize(
    ("sender", "args", "code"),
    [
        (BOSS, ("health", "Health"), "missing_role"),
        (ADMIN, ("archive", "Another"), "name_taken"),
        (ADMIN, ("Health", "Health"), "bad_name"),
        (ADMIN, ("health", "t" * 257), "malformed"),
        (ADMIN, ("health",), "malformed"),
    ],
)
def test_a_member_is_not_admitted(sender, args, code):
    assert Chain().send(sender, identity("register_organisation", *args)) == code


# Accounts


@pytest.mark.parametrize("suite", [ED25519, SM2])
def test_an_admin_opens_an_account_that_can_then_act(suite):
    chain = Chain(example_genesis(suite))
    offers = [
        chain.offer(NEW, "first"),
        chain.offer(NEW, "second", purpose=KeyPurpose.TIMESTAMP, not_after_ms=2**60),
    ]
    call = calls.register_account(NEW, roles=[Role.ORG_ADMIN, Role.ADMIN], keys=offers)
    assert chain.send(ADMIN, call) == ""
    view = account_view(chain.state, NEW)
    assert view.roles == ("admin", "org-admin")
    assert [key for key, _ in view.keys] == sorted(offer.public_key for offer in offers)
    facts = tuple((o.purpose, o.public_key, o.not_before_ms, o.not_after_ms) for o in offers)
    assert last_body(chain) == ("account-registered", NEW, ("admin", "org-admin"), facts)
    assert chain.last.emitted[-1].lookup_keys == (b"account/archive/new",)
    act = calls.register_organisation("health", "Health")
    assert chain.send(NEW, act, key=chain.key("second")) == "unknown_key"
    assert chain.send(NEW, act, key=chain.key("first")) == ""


@pytest.mark.parametrize(
    ("sender", "name", "roles", "code"),
    [
        (BOSS, NEW, [Role.NOTARY], ""),
        (BOSS, NEW, [], ""),
        (BOSS, NEW, [Role.ADMIN], "missing_role"),
        (BOSS, NEW, [Role.ORG_ADMIN], "missing_role"),
        (BOSS, "justice/new", [], "missing_role"),
        (CLERK, "justice/new", [], "missing_role"),
        (ADMIN, "absent/new", [], "unknown_organisation"),
        (ADMIN, READER, [], "name_taken"),
    ],
)
def test_who_may_open_which_account(sender, name, roles, code):
    chain = Chain()
    call = calls.register_account(name, roles=roles, keys=[chain.offer(name, "new")])
    assert chain.send(sender, call) == code


@pytest.mark.parametrize(
    ("name", "roles", "code"),
    [
        ("archive", (), "bad_name"),
        ("archive/New", (), "bad_name"),
        (NEW, ("king",), "unknown_role"),
        (NEW, ("notary", "admin"), "malformed"),
        (NEW, ("notary", "notary"), "malformed"),
        (NEW, ("notary",) * 4, "malformed"),
        (NEW, (7,), "malformed"),
    ],
)
def test_an_account_that_cannot_be_is_refused(name, roles, code):
    chain = Chain()
    keys = (chain.offer(NEW, "new").as_value(),)
    assert chain.send(ADMIN, identity("register_account", name, roles, keys)) == code


def test_an_account_needs_one_to_sixteen_keys():
    chain = Chain()
    offers = [chain.offer(NEW, f"key {i}") for i in range(17)]
    for count in (0, 17):
        call = calls.register_account(NEW, roles=[], keys=offers[:count])
        assert chain.send(ADMIN, call) == "malformed"
    assert chain.send(ADMIN, calls.register_account(NEW, roles=[], keys=offers[:16])) == ""


# Registering keys


def test_an_account_adds_a_key_of_its_own():
    chain = Chain()
    offer = chain.offer(CLERK, "second", not_before_ms=5, not_after_ms=2**60)
    assert chain.send(CLERK, calls.add_key(CLERK, offer)) == ""
    facts = ("account", offer.public_key, 5, 2**60)
    assert last_body(chain) == ("key-added", CLERK, *facts)
    assert (
        chain.send(
            CLERK, calls.add_key(CLERK, chain.offer(CLERK, "third")), key=chain.key("second")
        )
        == ""
    )


@pytest.mark.parametrize(
    ("sender", "account", "code"),
    [
        (BOSS, READER, ""),
        (ADMIN, READER, ""),
        (READER, CLERK, "missing_role"),
        (BOSS, CLERK, "missing_role"),
        (READER, BOSS, "missing_role"),
        (ADMIN, "archive/absent", "unknown_account"),
    ],
)
def test_who_may_add_a_key_to_whom(sender, account, code):
    chain = Chain()
    assert chain.send(sender, calls.add_key(account, chain.offer(account, "x"))) == code


def test_an_org_admin_cannot_become_admin_through_an_admin_of_its_organisation():
    chain = Chain()
    assert chain.send(ADMIN, calls.grant_role(READER, Role.ADMIN)) == ""
    for attempt in (
        calls.add_key(READER, chain.offer(READER, "mine")),
        calls.rotate_key(chain.key(READER).public, chain.offer(READER, "mine")),
        calls.revoke_key(chain.key(READER).public),
        calls.revoke_role(READER, Role.ADMIN),
        calls.grant_role(READER, Role.NOTARY),
        calls.suspend_account(READER),
        calls.grant_role(BOSS, Role.ADMIN),
        calls.grant_role(BOSS, Role.NOTARY),
    ):
        assert chain.send(BOSS, attempt) == "missing_role"


@pytest.mark.parametrize("label", ["v1 consensus", "v1 cosigner", "v1 log", READER, CLERK])
def test_one_public_key_never_serves_two_purposes_or_owners(label):
    chain = Chain()
    for purpose in (KeyPurpose.ACCOUNT, KeyPurpose.TIMESTAMP):
        offer = chain.offer(CLERK, label, purpose=purpose)
        assert chain.send(CLERK, calls.add_key(CLERK, offer)) == "key_reused"


def test_a_key_stays_taken_after_it_is_revoked():
    chain = Chain()
    offer = chain.offer(CLERK, "second")
    assert chain.send(CLERK, calls.add_key(CLERK, offer)) == ""
    assert chain.send(CLERK, calls.revoke_key(offer.public_key)) == ""
    assert chain.send(CLERK, calls.add_key(CLERK, offer)) == "key_reused"
    twice = calls.register_account(
        NEW, roles=[], keys=[chain.offer(NEW, "k"), chain.offer(NEW, "k")]
    )
    assert chain.send(ADMIN, twice) == "key_reused"


def test_nobody_registers_a_key_without_its_signature_over_exactly_what_is_registered():
    chain = Chain()
    good = chain.offer(CLERK, "second", not_after_ms=2**60)
    for changed in (
        replace(good, possession=bytes(64)),
        replace(good, possession=b""),
        replace(good, not_before_ms=1),
        replace(good, not_after_ms=0),
        replace(good, purpose="timestamp"),
        replace(good, public_key=chain.key("third").public),
        chain.offer(READER, "second", not_after_ms=2**60),
    ):
        assert chain.send(CLERK, calls.add_key(CLERK, changed)) == "bad_possession"
    assert chain.send(CLERK, calls.add_key(CLERK, good)) == ""


@pytest.mark.parametrize(
    "purpose",
    [
        KeyPurpose.CONSENSUS,
        KeyPurpose.COSIGNER,
        KeyPurpose.LOG,
        KeyPurpose.TLS,
        KeyPurpose.ENCRYPTION,
    ],
)
def test_purposes_that_are_not_an_accounts_are_refused(purpose):
    chain = Chain()
    offer = chain.offer(CLERK, "x", purpose=purpose)
    assert chain.send(CLERK, calls.add_key(CLERK, offer)) == "bad_purpose"


def test_a_key_of_no_use_is_refused():
    chain = Chain()
    block_ms = chain.block().time_ms
    for not_before, not_after in [(0, block_ms), (0, 1), (2**60, 2**60), (2**60, 2**59)]:
        offer = chain.offer(CLERK, "x", not_before_ms=not_before, not_after_ms=not_after)
        assert chain.send(CLERK, calls.add_key(CLERK, offer)) == "bad_validity"
    unusable = replace(chain.offer(CLERK, "x"), public_key=bytes(32))
    assert chain.send(CLERK, calls.add_key(CLERK, unusable)) == "bad_key"
    malformed = ("account", bytes(129), 0, 0, b"")
    assert chain.send(CLERK, identity("add_key", CLERK, malformed)) == "malformed"


def test_sixteen_keys_may_be_live_and_ended_ones_make_room():
    chain = Chain()
    for i in range(15):
        assert chain.send(CLERK, calls.add_key(CLERK, chain.offer(CLERK, f"k{i}"))) == ""
    one_more = calls.add_key(CLERK, chain.offer(CLERK, "one more"))
    assert chain.send(CLERK, one_more) == "too_many_keys"
    assert chain.send(CLERK, calls.revoke_key(chain.key("k3").public)) == ""
    assert chain.send(CLERK, one_more) == ""
    assert len(account_view(chain.state, CLERK).keys) == 16


# Validity, rotation, revocation


def test_a_key_is_valid_from_its_beginning_until_its_end():
    chain = Chain()
    begin, end = chain.time_ms + 10_000, chain.time_ms + 20_000
    offer = chain.offer(CLERK, "later", not_before_ms=begin, not_after_ms=end)
    assert chain.send(CLERK, calls.add_key(CLERK, offer)) == ""
    codes = [
        code_of(chain, CLERK, "later", time_ms=time_ms)
        for time_ms in (begin - 1, begin, end - 1, end)
    ]
    assert codes == ["key_not_yet_valid", "", "", "key_expired"]


def test_rotation_at_once_ends_the_old_key_within_the_same_block():
    chain = Chain()
    rotate = calls.rotate_key(chain.key(CLERK).public, chain.offer(CLERK, "second"))
    ping = calls.add_key(CLERK, chain.offer(CLERK, "third"))
    result = chain.execute(
        chain.transaction(CLERK, rotate),
        chain.transaction(CLERK, ping),
        chain.transaction(CLERK, ping, key=chain.key("second")),
    )
    assert [r.code for r in result.receipts] == ["", "key_expired", ""]
    listed = {key for key, _ in account_view(chain.state, CLERK).keys}
    assert listed == {chain.key("second").public, chain.key("third").public}


def test_rotation_at_a_later_time_leaves_both_keys_valid_until_then():
    chain = Chain()
    retire = chain.time_ms + 60_000
    rotate = calls.rotate_key(
        chain.key(READER).public, chain.offer(READER, "second"), retire_at_ms=retire
    )
    assert chain.send(BOSS, rotate) == ""
    assert last_body(chain) == (
        "key-rotated",
        READER,
        chain.key(READER).public,
        retire,
        "account",
        chain.key("second").public,
        0,
        0,
    )
    assert code_of(chain, READER, READER, time_ms=retire - 1) == ""
    assert code_of(chain, READER, READER, time_ms=retire) == "key_expired"
    assert code_of(chain, READER, "second", time_ms=retire) == ""


def test_rotations_that_make_no_sense_are_refused():
    chain = Chain()
    old, later = chain.key(CLERK).public, chain.time_ms + 600_000

    def rotate(retire_at_ms=0, old_public_key=old, **offer):
        new = chain.offer(CLERK, "second", **offer)
        return calls.rotate_key(old_public_key, new, retire_at_ms=retire_at_ms)

    assert chain.send(CLERK, rotate(1)) == "bad_validity"
    assert chain.send(CLERK, rotate(later, not_before_ms=later + 1)) == "key_gap"
    assert chain.send(CLERK, rotate(purpose=KeyPurpose.TIMESTAMP)) == "bad_purpose"
    assert chain.send(CLERK, rotate(old_public_key=chain.key("never").public)) == "unknown_key"
    assert chain.send(CLERK, rotate(old_public_key=chain.key("v0 log").public)) == "unknown_key"
    assert chain.send(READER, rotate()) == "missing_role"
    assert chain.send(CLERK, rotate(later)) == ""
    assert (
        chain.send(
            CLERK, calls.rotate_key(old, chain.offer(CLERK, "third"), retire_at_ms=later + 1)
        )
        == "bad_validity"
    )
    assert chain.send(CLERK, calls.revoke_key(old), key=chain.key("second")) == ""
    assert (
        chain.send(
            CLERK, calls.rotate_key(old, chain.offer(CLERK, "third")), key=chain.key("second")
        )
        == "key_ended"
    )


@pytest.mark.parametrize("sender", [READER, BOSS, ADMIN])
@pytest.mark.parametrize("reason", [None, "compromised"])
def test_a_revoked_key_signs_nothing_from_the_next_transaction_on(sender, reason):
    chain = Chain()
    public_key = chain.key(READER).public
    revoke = calls.revoke_key(public_key, reason=reason)
    ping = calls.resume_account(READER)
    result = chain.execute(chain.transaction(sender, revoke), chain.transaction(READER, ping))
    assert [r.code for r in result.receipts] == ["", "key_revoked"]
    assert last_body(chain) == ("key-revoked", READER, "account", public_key, chain.time_ms, reason)
    assert key_view(chain.state, public_key).revoked_ms == chain.time_ms
    assert account_view(chain.state, READER).keys == ()
    assert chain.send(ADMIN, calls.revoke_key(public_key)) == "key_revoked"


def test_revocations_are_refused():
    chain = Chain()
    key = chain.key(READER).public
    assert chain.send(CLERK, calls.revoke_key(key)) == "missing_role"
    assert chain.send(ADMIN, calls.revoke_key(key, reason="because")) == "bad_reason"
    assert chain.send(ADMIN, calls.revoke_key(chain.key("never").public)) == "unknown_key"
    assert chain.send(ADMIN, calls.revoke_key(chain.key("v0 consensus").public)) == "unknown_key"
    assert chain.send(ADMIN, identity("revoke_key", "text", None)) == "malformed"


# Roles and suspension


@pytest.mark.parametrize("sender", [BOSS, ADMIN])
def test_roles_are_granted_and_revoked(sender):
    chain = Chain()
    assert chain.send(sender, calls.grant_role(READER, Role.NOTARY)) == ""
    assert last_body(chain) == ("role-granted", READER, "notary")
    assert account_view(chain.state, READER).roles == ("notary",)
    assert chain.send(sender, calls.grant_role(READER, Role.NOTARY)) == "role_held"
    assert chain.send(sender, calls.revoke_role(READER, Role.NOTARY)) == ""
    assert last_body(chain) == ("role-revoked", READER, "notary")
    assert chain.send(sender, calls.revoke_role(READER, Role.NOTARY)) == "role_not_held"


def test_nobody_grants_roles_to_itself_or_roles_that_none_knows():
    chain = Chain()
    assert chain.send(READER, calls.grant_role(READER, Role.NOTARY)) == "missing_role"
    assert chain.send(BOSS, calls.grant_role(READER, Role.ORG_ADMIN)) == "missing_role"
    assert chain.send(ADMIN, identity("grant_role", READER, "king")) == "unknown_role"
    assert chain.send(ADMIN, identity("revoke_role", READER, "king")) == "unknown_role"
    assert chain.send(ADMIN, calls.grant_role("archive/absent", Role.NOTARY)) == "unknown_account"


@pytest.mark.parametrize("sender", [BOSS, ADMIN])
def test_a_suspended_account_does_nothing_until_it_is_resumed(sender):
    chain = Chain()
    ping = calls.add_key(READER, chain.offer(READER, "second"))
    assert chain.send(sender, calls.resume_account(READER)) == "not_suspended"
    assert chain.send(sender, calls.suspend_account(READER)) == ""
    assert last_body(chain) == ("account-suspended", READER)
    assert account_view(chain.state, READER).suspended
    assert chain.send(READER, ping) == "account_suspended"
    assert chain.send(sender, calls.suspend_account(READER)) == "already_suspended"
    assert chain.send(sender, calls.resume_account(READER)) == ""
    assert last_body(chain) == ("account-resumed", READER)
    assert chain.send(READER, ping) == ""


def test_nobody_suspends_or_resumes_outside_its_own():
    chain = Chain()
    for sender in (READER, BOSS):
        assert chain.send(sender, calls.suspend_account(CLERK)) == "missing_role"
        assert chain.send(sender, calls.resume_account(CLERK)) == "missing_role"


# The last administrator


def ways_out(chain: Chain):
    """Every way in which the only administrator could end its own reign."""
    key = chain.key(ADMIN).public
    ending = chain.offer(ADMIN, "ending", not_after_ms=2**60)
    return [
        calls.revoke_role(ADMIN, Role.ADMIN),
        calls.suspend_account(ADMIN),
        calls.revoke_key(key),
        calls.rotate_key(key, ending),
        calls.rotate_key(key, ending, retire_at_ms=2**59),
    ]


@pytest.mark.parametrize("way", range(5))
def test_the_last_administrator_cannot_lock_everyone_out(way):
    chain = Chain()
    assert chain.send(ADMIN, ways_out(chain)[way]) == "last_admin"
    assert chain.send(ADMIN, calls.grant_role(CLERK, Role.ADMIN)) == ""
    assert chain.send(ADMIN, ways_out(chain)[way]) == ""


@pytest.mark.parametrize("way", range(5))
def test_an_administrator_who_cannot_act_does_not_count(way):
    chain = Chain()
    assert chain.send(ADMIN, calls.grant_role(CLERK, Role.ADMIN)) == ""
    assert chain.send(ADMIN, calls.suspend_account(CLERK)) == ""
    assert chain.send(ADMIN, ways_out(chain)[way]) == "last_admin"


def test_an_administrator_with_other_keys_only_does_not_count():
    chain = Chain()
    keys = [chain.offer(NEW, "ts", purpose=KeyPurpose.TIMESTAMP)]
    assert chain.send(ADMIN, calls.register_account(NEW, roles=[Role.ADMIN], keys=keys)) == ""
    assert chain.send(ADMIN, calls.suspend_account(ADMIN)) == "last_admin"


def test_the_last_administrator_may_rotate_to_another_endless_key():
    chain = Chain()
    rotate = calls.rotate_key(chain.key(ADMIN).public, chain.offer(ADMIN, "fresh"))
    assert chain.send(ADMIN, rotate) == ""
    assert chain.send(ADMIN, calls.suspend_account(READER), key=chain.key("fresh")) == ""


def test_no_more_administrators_than_can_be_listed():
    chain = Chain()
    chain.state[records.PREFIX + records.ADMINS_KEY] = records.encode_admins(
        (ADMIN, *(f"x/{i}" for i in range(records.MAX_ADMINS - 1)))
    )
    assert chain.send(ADMIN, calls.grant_role(CLERK, Role.ADMIN)) == "too_many_admins"


def test_a_chain_without_administrators_still_lets_org_admins_work():
    chain = Chain(example_genesis(accounts=((BOSS, ("org-admin",)), (READER, ()))))
    assert chain.send(BOSS, calls.suspend_account(READER)) == ""
    assert records.decode_admins(None) == ()


# Damage


@pytest.mark.parametrize(
    "decode",
    [
        records.decode_organisation,
        records.decode_account,
        records.decode_key,
        records.decode_admins,
    ],
)
@pytest.mark.parametrize("data", [b"", b"\xa0", b"\xc1", b"\x92\x02\xa0", b"\x91\x01"])
def test_a_record_that_cannot_be_read_back_stops_the_node(decode, data):
    with pytest.raises(InvariantViolation):
        decode(data)


def test_a_key_record_of_unknown_purpose_stops_the_node():
    with pytest.raises(InvariantViolation):
        records.decode_key(b"\x96\x01\xa3a/b\xa4king\x00\x00\x00")


def test_records_are_read_back_as_they_were_written():
    account = records.AccountRecord(roles=("admin",), suspended=True, keys=(b"k",))
    key = records.KeyRecord(
        owner="a/b", purpose=KeyPurpose.SEAL_USER, not_before_ms=1, not_after_ms=2, revoked_ms=3
    )
    organisation = records.OrganisationRecord(title="书")
    assert records.decode_account(account.encode()) == account
    assert records.decode_key(key.encode()) == key
    assert records.decode_organisation(organisation.encode()) == organisation
