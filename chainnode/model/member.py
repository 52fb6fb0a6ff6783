"""A member's public file: what one agency tells the others before there is a chain.

Each agency makes its keys on its own machine and sends this file to the others; from the same files everybody
assembles the same genesis. The file is JSON in one form: indented by two, names in rising order, UTF-8, one
line end at the end. Byte strings are base64.

    {"accounts": [{"name", "public_keys": [...], "roles": [...]}, ...],
     "made_ms", "organisation",
     "proofs": {"<public key>": "<signature>", ...},
     "suite", "title",
     "validator": {"address", "consensus_key", "cosigner_key", "log_key", "name", "tls_certificate"} | null,
     "version": 1}

Every key of the chain's suite that the file names signs the statement, so nobody can enter another's key as his
own or under another purpose:

    statement = "chainnode/1 member" || 0x00 || canonical bytes of
                [1, suite, made_ms, organisation, title,
                 [name, consensus_key, cosigner_key, log_key, tls_certificate, address] | nil,
                 [[account, [role, ...], [public_key, ...]], ...]]

The TLS certificate is self-signed, which shows that its key was there. There is no genesis hash in the
statement, since there is no genesis yet; its context is used for nothing else.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.model import codec
from chainnode.model.errors import DecodeError, ProofInvalid, Refused
from chainnode.model.genesis import GenesisAccount, GenesisValidator, Organisation, check_address
from chainnode.model.ids import check_account_name, check_name, organisation_of
from chainnode.model.limits import MAX_TITLE_BYTES
from chainnode.model.note import decode_base64, encode_base64
from chainnode.model.suites import suite_named
from chainnode.model.tls_certificate import read_tls_certificate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chainnode.model.codec import Value
    from chainnode.model.suites import Suite

VERSION: Final = 1

MAX_MEMBER_BYTES: Final = 256 * 1024
"""A file with one validator and 100 accounts takes about 40 KiB."""

MAX_MEMBER_ACCOUNTS: Final = 100
"""Accounts in one file; more are registered once the chain runs."""

_CONTEXT: Final = b"chainnode/1 member\0"
_MAX_KEYS: Final = 16
_MAX_MADE_MS: Final = 2**53 - 1
"""JSON readers keep integers exact up to here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """What one agency brings into the alliance."""

    suite: Suite
    """Of all its keys; all members of a chain have the same."""

    made_ms: int
    """When the file was made, milliseconds UTC; genesis takes the latest as its time."""

    organisation: Organisation
    validator: GenesisValidator | None
    """Its validator, or None for a member that runs none."""

    accounts: tuple[GenesisAccount, ...]
    """Accounts of this organisation, in rising order of names; roles and keys rise too."""

    proofs: Mapping[bytes, bytes]
    """Signature of the statement by public key; one for each key of the suite."""

    def statement(self) -> bytes:
        """Return the bytes that each of its keys signs."""
        v = self.validator
        validator: Value = None
        if v is not None:
            keys = (v.consensus_key, v.cosigner_key, v.log_key)
            validator = (v.name, *keys, v.tls_certificate, v.address)
        return _CONTEXT + codec.encode(
            (
                VERSION,
                self.suite.name,
                self.made_ms,
                self.organisation.name,
                self.organisation.title,
                validator,
                tuple((a.name, a.roles, a.public_keys) for a in self.accounts),
            )
        )

    def named_keys(self) -> tuple[tuple[str, bytes], ...]:
        """Return (what it is, public key) of every key of the suite that the file names."""
        keys = [
            (f"key of account {account.name}", key)
            for account in self.accounts
            for key in account.public_keys
        ]
        if self.validator is not None:
            v = self.validator
            keys += [
                (f"consensus key of {v.name}", v.consensus_key),
                (f"cosigner key of {v.name}", v.cosigner_key),
                (f"log key of {v.name}", v.log_key),
            ]
        return tuple(keys)

    def encode(self) -> bytes:
        """Return the file's bytes."""
        return _canonical_json(_as_json(self))


def decode_member(data: bytes) -> Member:
    """Read a member's file and check that its parts belong together; proofs are not verified here.

    Raises:
        DecodeError: not the one form of any member's file; says which field.
    """
    if len(data) > MAX_MEMBER_BYTES:
        raise _bad_file(f"{len(data)} bytes; at most {MAX_MEMBER_BYTES} are read")
    try:
        value: object = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _bad_file(f"it is not JSON ({error})") from None
    member = _parse(value)
    if member.encode() != data:
        raise _bad_file(
            "it is not in its one form (order, indentation, a field twice); send it unedited"
        )
    return member


def verify_member(member: Member) -> None:
    """Check that every key named in the file was there to sign it.

    Raises:
        DecodeError: a key is not usable, or the certificate is none.
        ProofInvalid: with code `no_possession`: a proof is missing, too much or wrong; or the certificate is
            not signed by its own key.
        Refused: with code `key_reused`: one key is named twice.
    """
    statement, seen = member.statement(), set[bytes]()
    for what, key in member.named_keys():
        if key in seen:
            raise Refused(f"the {what} is named twice; one key has one purpose", code="key_reused")
        seen.add(key)
        if not member.suite.is_public_key(key):
            raise DecodeError(
                f"{what}: not a usable {member.suite.name} public key", code="bad_key"
            )
        if not member.suite.is_signature(key, statement, member.proofs.get(key, b"")):
            raise ProofInvalid(
                f"the {what} has not signed this file; it was altered, or the key is another's",
                code="no_possession",
            )
    if seen != set(member.proofs):
        raise ProofInvalid(
            "the file holds a proof of a key that it does not name", code="no_possession"
        )
    if member.validator is not None:
        _verify_self_signed(member.validator)


def _verify_self_signed(validator: GenesisValidator) -> None:
    try:
        certificate = read_tls_certificate(validator.tls_certificate)
        certificate.verify_directly_issued_by(certificate)
    except Exception as error:
        # Parser and verifier raise half a dozen kinds, and each means that this is not what it should be.
        raise ProofInvalid(
            f"the TLS certificate of {validator.name} is not signed by its own key",
            code="no_possession",
        ) from error


def _as_json(member: Member) -> dict[str, object]:
    v = member.validator
    return {
        "version": VERSION,
        "suite": member.suite.name,
        "made_ms": member.made_ms,
        "organisation": member.organisation.name,
        "title": member.organisation.title,
        "validator": None
        if v is None
        else {
            "name": v.name,
            "consensus_key": encode_base64(v.consensus_key),
            "cosigner_key": encode_base64(v.cosigner_key),
            "log_key": encode_base64(v.log_key),
            "tls_certificate": encode_base64(v.tls_certificate),
            "address": v.address,
        },
        "accounts": [
            {
                "name": account.name,
                "roles": list(account.roles),
                "public_keys": [encode_base64(key) for key in account.public_keys],
            }
            for account in member.accounts
        ],
        "proofs": {
            encode_base64(key): encode_base64(proof) for key, proof in member.proofs.items()
        },
    }


def _canonical_json(fields: dict[str, object]) -> bytes:
    text = json.dumps(fields, indent=2, sort_keys=True, ensure_ascii=False)
    # Half a surrogate pair has no UTF-8: replaced here, it differs from what was read, and is refused so.
    return text.encode("utf-8", "replace") + b"\n"


def _parse(value: object) -> Member:
    fields = _object(value, "document", _FIELDS)
    if fields["version"] != VERSION or type(fields["version"]) is not int:
        raise _bad_file(f"version {fields['version']!r}; expected {VERSION}", "version")
    organisation = Organisation(
        name=_text(fields["organisation"], "organisation"), title=_text(fields["title"], "title")
    )
    check_name(organisation.name, "organisation")
    if not 1 <= len(organisation.title.encode("utf-8", "replace")) <= MAX_TITLE_BYTES:
        raise _bad_file(f"title: expected 1 to {MAX_TITLE_BYTES} bytes of UTF-8", "title")
    try:
        suite = suite_named(_text(fields["suite"], "suite"))
    except Refused as error:
        raise DecodeError(error.message, code=error.error_code, field="suite") from error
    proofs = fields["proofs"]
    if not isinstance(proofs, dict):
        raise _bad_file("proofs is no object", "proofs")
    validator = fields["validator"]
    return Member(
        suite=suite,
        made_ms=_milliseconds(fields["made_ms"]),
        organisation=organisation,
        validator=None if validator is None else _validator(validator, organisation.name),
        accounts=_accounts(fields["accounts"], organisation.name),
        proofs={_bytes(key, "proofs"): _bytes(proof, "proofs") for key, proof in proofs.items()},
    )


_FIELDS: Final = (
    "accounts",
    "made_ms",
    "organisation",
    "proofs",
    "suite",
    "title",
    "validator",
    "version",
)
_VALIDATOR_FIELDS: Final = (
    "address",
    "consensus_key",
    "cosigner_key",
    "log_key",
    "name",
    "tls_certificate",
)


def _validator(value: object, organisation: str) -> GenesisValidator:
    fields = _object(value, "validator", _VALIDATOR_FIELDS)
    validator = GenesisValidator(
        name=_text(fields["name"], "validator name"),
        organisation=organisation,
        consensus_key=_bytes(fields["consensus_key"], "consensus_key"),
        cosigner_key=_bytes(fields["cosigner_key"], "cosigner_key"),
        log_key=_bytes(fields["log_key"], "log_key"),
        tls_certificate=_bytes(fields["tls_certificate"], "tls_certificate"),
        address=_text(fields["address"], "address"),
    )
    check_name(validator.name, "validator name")
    check_address(validator.address)
    return validator


def _accounts(value: object, organisation: str) -> tuple[GenesisAccount, ...]:
    accounts = tuple(_account(item) for item in _list(value, "accounts", MAX_MEMBER_ACCOUNTS))
    _check_rising("accounts", [account.name for account in accounts])
    for account in accounts:
        check_account_name(account.name)
        if organisation_of(account.name) != organisation:
            raise _bad_file(
                f"account {account.name}: not of {organisation}, whose file this is", "accounts"
            )
    return accounts


def _account(value: object) -> GenesisAccount:
    fields = _object(value, "account", ("name", "public_keys", "roles"))
    account = GenesisAccount(
        name=_text(fields["name"], "account"),
        roles=tuple(_text(role, "role") for role in _list(fields["roles"], "roles", _MAX_KEYS)),
        public_keys=tuple(
            _bytes(key, "public_key")
            for key in _list(fields["public_keys"], "public_keys", _MAX_KEYS)
        ),
    )
    if not account.public_keys:
        raise _bad_file(f"account {account.name} has no key", "public_keys")
    _check_rising("roles", account.roles)
    _check_rising("public_keys", account.public_keys)
    for role in account.roles:
        check_name(role, "role")
    return account


def _check_rising(what: str, items: Sequence[str] | Sequence[bytes]) -> None:
    if list(items) != sorted(set(items)):  # type: ignore[type-var]  # items are of one kind
        raise _bad_file(f"{what}: expected rising order, each once", what)


def _object(value: object, what: str, expected: tuple[str, ...]) -> dict[str, object]:
    if not isinstance(value, dict):
        raise _bad_file(f"{what} is no object", what)
    for name in sorted(set(value) ^ set(expected)):
        found = "is not known" if name in value else "is missing"
        raise _bad_file(f"{what}: the field {name!r} {found}", what)
    return value


def _list(value: object, what: str, most: int) -> list[object]:
    if not isinstance(value, list) or len(value) > most:
        raise _bad_file(f"{what}: expected a list of at most {most}", what)
    return value


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise _bad_file(f"{what} is no string", what)
    return value


def _bytes(value: object, what: str) -> bytes:
    return decode_base64(_text(value, what), what)


def _milliseconds(value: object) -> int:
    if type(value) is not int or not 0 <= value <= _MAX_MADE_MS:
        raise _bad_file("made_ms: expected milliseconds since 1970", "made_ms")
    return value


def _bad_file(found: str, field: str | None = None) -> DecodeError:
    return DecodeError(f"member file: {found}", field=field, code="bad_member")
