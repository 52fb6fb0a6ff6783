"""Members' public files: one form, whole, and signed by every key that they name."""

import contextlib
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainnode.model.errors import DecodeError, ProofInvalid, Refused
from chainnode.model.genesis import GenesisAccount, GenesisValidator, Organisation
from chainnode.model.member import MAX_MEMBER_BYTES, Member, decode_member, verify_member
from chainnode.model.note import encode_base64
from chainnode.model.suites import suite_named
from tests.support.chain import key_pair, tls_certificate
from tests.support.golden import check_golden
from tests.support.refusals import refuses

MADE_MS = 1_790_000_000_000


def make_member(suite_name="ed25519-sha256", **changes):
    suite = suite_named(suite_name)
    keys = {n: key_pair(suite, n) for n in ("consensus", "cosigner", "log", "clerk", "admin")}
    member = Member(
        suite=suite,
        made_ms=MADE_MS,
        organisation=Organisation(name="justice", title="司法局"),
        validator=GenesisValidator(
            name="justice-1",
            organisation="justice",
            consensus_key=keys["consensus"].public,
            cosigner_key=keys["cosigner"].public,
            log_key=keys["log"].public,
            tls_certificate=tls_certificate("justice-1"),
            address="node.justice.example:7545",
        ),
        accounts=(
            GenesisAccount(
                name="justice/admin", roles=("admin",), public_keys=(keys["admin"].public,)
            ),
            GenesisAccount(
                name="justice/clerk", roles=("notary",), public_keys=(keys["clerk"].public,)
            ),
        ),
        proofs={},
    )
    member = replace(member, **changes)
    if "proofs" not in changes:
        signers = {k.public: k for k in keys.values()}
        statement = member.statement()
        named = {key for _, key in member.named_keys() if key in signers}
        member = replace(member, proofs={k: signers[k].sign(statement) for k in named})
    return member


def as_json(member):
    return json.loads(member.encode())


def rewritten(value):
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n"


@pytest.mark.parametrize("suite", ["ed25519-sha256", "sm2-sm3"])
def test_a_file_says_what_was_put_into_it_and_its_proofs_hold(suite):
    member = make_member(suite)
    decoded = decode_member(member.encode())
    assert decoded == member
    verify_member(decoded)


def test_a_member_may_run_no_validator_and_bring_no_account():
    for member in (make_member(validator=None), make_member(accounts=())):
        decoded = decode_member(member.encode())
        assert decoded == member
        verify_member(decoded)


def test_the_bytes_are_those_of_the_golden_file():
    member = make_member()
    check_golden(
        "member", {"statement": member.statement().hex(), "file": member.encode().decode()}
    )


# -- proofs of possession -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("title", "Other"),
        ("made_ms", MADE_MS + 1),
    ],
)
def test_whatever_is_altered_breaks_the_proofs(name, value):
    with refuses("no_possession", ProofInvalid):
        verify_member(decode_member(rewritten(as_json(make_member()) | {name: value})))


@pytest.mark.parametrize("name", ["name", "address", "tls_certificate"])
def test_whatever_is_altered_about_the_validator_breaks_the_proofs(name):
    fields = as_json(make_member())
    fields["validator"][name] = {
        "name": "justice-2",
        "address": "thief.example:1",
        "tls_certificate": encode_base64(tls_certificate("thief")),
    }[name]
    with refuses("no_possession", ProofInvalid):
        verify_member(decode_member(rewritten(fields)))


def test_a_role_cannot_be_added_to_a_signed_file():
    fields = as_json(make_member())
    fields["accounts"][1]["roles"] = ["admin", "notary"]
    with refuses("no_possession", ProofInvalid):
        verify_member(decode_member(rewritten(fields)))


def test_keys_cannot_change_places():
    fields = as_json(make_member())
    v = fields["validator"]
    v["log_key"], v["cosigner_key"] = v["cosigner_key"], v["log_key"]
    with refuses("no_possession", ProofInvalid):
        verify_member(decode_member(rewritten(fields)))


def test_each_key_must_have_signed():
    fields = as_json(make_member())
    for key in list(fields["proofs"]):
        fewer = {k: p for k, p in fields["proofs"].items() if k != key}
        with refuses("no_possession", ProofInvalid):
            verify_member(decode_member(rewritten(fields | {"proofs": fewer})))


def test_a_proof_of_a_key_that_is_not_named_is_refused():
    member = make_member()
    with pytest.raises(ProofInvalid, match="a key that it does not name"):
        verify_member(replace(member, proofs={**member.proofs, bytes(32): bytes(64)}))


def test_another_members_key_cannot_be_entered_as_ones_own():
    member = make_member()
    stranger = key_pair(member.suite, "stranger")
    accounts = (replace(member.accounts[0], public_keys=(stranger.public,)), member.accounts[1])
    with pytest.raises(ProofInvalid, match=r"key of account justice/admin has not signed"):
        verify_member(make_member(accounts=accounts))


def test_one_key_named_twice_is_refused():
    member = make_member()
    validator = replace(member.validator, log_key=member.validator.cosigner_key)
    with pytest.raises(Refused, match="the log key of justice-1 is named twice") as caught:
        verify_member(make_member(validator=validator))
    assert caught.value.error_code == "key_reused"


def test_bytes_that_are_no_key_are_refused():
    validator = replace(make_member().validator, log_key=bytes(32))
    with refuses("bad_key", DecodeError):
        verify_member(make_member(validator=validator))


@pytest.mark.parametrize("certificate", [b"", b"junk"])
def test_what_is_no_certificate_shows_no_possession(certificate):
    validator = replace(make_member().validator, tls_certificate=certificate)
    with pytest.raises(ProofInvalid, match="is not signed by its own key"):
        verify_member(make_member(validator=validator))


# -- the decoder --------------------------------------------------------------------------------------------


def edited(edit):
    fields = as_json(make_member())
    edit(fields)
    return rewritten(fields)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda f: f.update(version=2), "version 2; expected 1"),
        (lambda f: f.update(version=True), "version True; expected 1"),
        (lambda f: f.update(extra=1), "document: the field 'extra' is not known"),
        (lambda f: f.pop("title"), "document: the field 'title' is missing"),
        (lambda f: f.update(suite="rot13"), "unknown crypto suite 'rot13'"),
        (lambda f: f.update(suite=1), "suite is no string"),
        (lambda f: f.update(title=""), "title: expected 1 to 256 bytes"),
        (lambda f: f.update(title="司" * 86), "title: expected 1 to 256 bytes"),
        (lambda f: f.update(organisation="Justice"), "organisation: found 'Justice'"),
        (lambda f: f.update(organisation="court"), "account justice/admin: not of court"),
        (lambda f: f.update(made_ms=-1), "made_ms: expected milliseconds"),
        (lambda f: f.update(made_ms=1.5), "made_ms: expected milliseconds"),
        (lambda f: f.update(proofs=[]), "proofs is no object"),
        (lambda f: f.update(proofs={"x": ""}), "proofs: found 'x'; expected canonical base64"),
        (lambda f: f.update(validator=[]), "validator is no object"),
        (lambda f: f["validator"].pop("address"), "validator: the field 'address' is missing"),
        (lambda f: f["validator"].update(name="a b"), "validator name: found 'a b'"),
        (lambda f: f["validator"].update(address="x"), "address: found 'x'"),
        (lambda f: f["validator"].update(log_key="AB"), "log_key: found 'AB'"),
        (lambda f: f.update(accounts={}), "accounts: expected a list of at most 100"),
        (lambda f: f["accounts"].reverse(), "accounts: expected rising order"),
        (lambda f: f["accounts"][0].update(roles=["b", "a"]), "roles: expected rising order"),
        (lambda f: f["accounts"][0].update(roles=["a", "a"]), "roles: expected rising order"),
        (lambda f: f["accounts"][0].update(roles=["A"]), "role: found 'A'"),
        (lambda f: f["accounts"][0].update(public_keys=[]), "justice/admin has no key"),
        (lambda f: f["accounts"][0].update(name="admin"), "account: found 'admin'"),
    ],
)
def test_a_file_that_cannot_be_says_which_field(edit, message):
    with pytest.raises(DecodeError) as caught:
        decode_member(edited(edit))
    assert message in caught.value.message


@pytest.mark.parametrize(
    "edit",
    [
        lambda data: data[:-1],
        lambda data: data + b"\n",
        lambda data: data.replace(b"\n", b"\r\n"),
        lambda data: json.dumps(json.loads(data)).encode(),
        lambda data: data.replace(b'"made_ms"', b'"made_ms": 1,\n  "made_ms"', 1),
        lambda data: data.replace("司".encode(), b"\\u53f8"),
    ],
)
def test_there_is_one_form_only(edit):
    data = make_member().encode()
    assert edit(data) != data
    with refuses("bad_member", DecodeError):
        decode_member(edit(data))


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"null", b"\xff", b"[" * 100_000, b"1" * 5_000, b" " * (MAX_MEMBER_BYTES + 1)],
)
def test_what_is_no_file_of_ours_is_refused(data):
    with refuses("bad_member", DecodeError):
        decode_member(data)


def test_half_a_surrogate_pair_is_refused():
    data = make_member().encode().replace("司法局".encode(), b"\\ud800")
    with refuses("bad_member", DecodeError):
        decode_member(data)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(st.sampled_from(["accounts", "made_ms", "proofs", "suite", "title", "validator"]), _JSON)
def test_whatever_stands_in_a_field_is_decoded_or_refused(name, value):
    fields = as_json(make_member()) | {name: value}
    data = json.dumps(fields, indent=2, sort_keys=True, ensure_ascii=False)
    data = data.encode("utf-8", "surrogatepass") + b"\n"
    with contextlib.suppress(DecodeError):
        assert decode_member(data).encode() == data


@given(st.integers(min_value=0), st.integers(min_value=0, max_value=255))
def test_a_changed_byte_is_refused_or_unproven(at, byte):
    data = bytearray(make_member().encode())
    if data[at % len(data)] == byte:
        return
    data[at % len(data)] = byte
    with pytest.raises((DecodeError, ProofInvalid, Refused)):
        verify_member(decode_member(bytes(data)))
