"""Encrypted key files: made, listed, opened, moved, and refused."""

from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainnode.keystore.key_file import (
    MAX_KEY_FILE_BYTES,
    MAX_SCRYPT_N,
    MIN_SCRYPT_N,
    KeyFile,
    KeyInfo,
    decode_key_file,
    encode_key_file,
    seal,
    unseal,
)
from chainnode.keystore.keystore import KeyStore
from chainnode.keystore.randomness import fresh_nonce, fresh_private_key, fresh_seed
from chainnode.keystore.signer import Signer, local_signer
from chainnode.model.errors import DecodeError, NotFound, Refused
from chainnode.model.keys import KeyPurpose
from chainnode.model.suites import (
    ED25519_SHA256,
    P256_SHA256,
    SUITE_NAMES,
    key_suite_named,
    suite_named,
)

if TYPE_CHECKING:
    from collections.abc import Callable

ED25519 = suite_named(ED25519_SHA256)
PASSPHRASE = b"correct horse"
PRIVATE_KEY = bytes(range(32))
INFO = KeyInfo(
    name="alice",
    suite=ED25519_SHA256,
    purpose=KeyPurpose.ACCOUNT,
    public_key=ED25519.public_key_of(PRIVATE_KEY),
)
SEALED = seal(INFO, PRIVATE_KEY, PASSPHRASE, scrypt_n=MIN_SCRYPT_N, salt=bytes(16), nonce=bytes(12))


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    return KeyStore(tmp_path / "keys", scrypt_n=MIN_SCRYPT_N)


@pytest.mark.parametrize("suite_name", SUITE_NAMES)
def test_a_new_key_signs_once_opened(store: KeyStore, suite_name: str) -> None:
    suite = suite_named(suite_name)
    info = store.new("node-1", suite, KeyPurpose.CONSENSUS, PASSPHRASE)
    signer: Signer = store.open("node-1", PASSPHRASE)
    assert (signer.name, signer.suite, signer.purpose) == ("node-1", suite, KeyPurpose.CONSENSUS)
    assert signer.public_key == info.public_key
    assert suite.is_signature(info.public_key, b"vote", signer.sign(b"vote"))


@pytest.mark.parametrize("suite_name", [P256_SHA256, "sm2-sm3"])
def test_a_key_for_the_world_signs_once_opened_and_moves(
    store: KeyStore, tmp_path: Path, suite_name: str
) -> None:
    suite = key_suite_named(suite_name)
    info = store.new("tsa-1", suite, KeyPurpose.TIMESTAMP, PASSPHRASE)
    other = KeyStore(tmp_path / "other")
    assert other.import_(store.export("tsa-1")) == info == store.show("tsa-1")
    signer = other.open("tsa-1", PASSPHRASE)
    assert (signer.suite, signer.purpose) == (suite, KeyPurpose.TIMESTAMP)
    assert suite.is_signature(info.public_key, b"token", signer.sign(b"token"))


@pytest.mark.parametrize(
    ("suite_name", "purpose"),
    [
        (P256_SHA256, KeyPurpose.ACCOUNT),
        (P256_SHA256, KeyPurpose.CONSENSUS),
        (P256_SHA256, KeyPurpose.LOG),
        (P256_SHA256, KeyPurpose.COSIGNER),
        (ED25519_SHA256, KeyPurpose.TIMESTAMP),
    ],
)
def test_a_key_whose_purpose_has_other_suites_is_neither_made_nor_read(
    store: KeyStore, suite_name: str, purpose: KeyPurpose
) -> None:
    suite = key_suite_named(suite_name)
    with pytest.raises(Refused) as caught:
        store.new("a", suite, purpose, PASSPHRASE)
    assert caught.value.error_code == "wrong_suite"
    assert store.list() == ()
    public_key = suite.public_key_of(PRIVATE_KEY)
    info = KeyInfo(name="a", suite=suite_name, purpose=purpose, public_key=public_key)
    forged = seal(
        info, PRIVATE_KEY, PASSPHRASE, scrypt_n=MIN_SCRYPT_N, salt=bytes(16), nonce=bytes(12)
    )
    with pytest.raises(DecodeError, match=f"found suite {suite_name} for a key of purpose"):
        decode_key_file(encode_key_file(forged))


def test_a_key_file_is_open_to_its_owner_only(store: KeyStore, tmp_path: Path) -> None:
    store.new("a", ED25519, KeyPurpose.ACCOUNT, PASSPHRASE)
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "keys" / "a.key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "keys").iterdir()] == ["a.key"]


def test_a_key_file_does_not_contain_the_private_key() -> None:
    encoded = encode_key_file(SEALED)
    assert PRIVATE_KEY.hex().encode() not in encoded
    assert INFO.public_key.hex().encode() in encoded


def test_keys_are_listed_by_name_without_a_passphrase(store: KeyStore) -> None:
    assert store.list() == ()
    second = store.new("b", ED25519, KeyPurpose.LOG, PASSPHRASE)
    first = store.new("a", suite_named("sm2-sm3"), KeyPurpose.COSIGNER, PASSPHRASE)
    assert store.list() == (first, second)
    assert store.show("b") == second


def test_a_key_is_never_overwritten(store: KeyStore) -> None:
    info = store.new("a", ED25519, KeyPurpose.ACCOUNT, PASSPHRASE)
    exported = store.export("a")
    for attempt in (
        lambda: store.new("a", ED25519, KeyPurpose.LOG, PASSPHRASE),
        lambda: store.import_(exported),
    ):
        with pytest.raises(Refused, match=r"a\.key exists") as caught:
            attempt()
        assert caught.value.error_code == "exists"
    assert store.list() == (info,)


def test_an_exported_key_opens_in_another_store(store: KeyStore, tmp_path: Path) -> None:
    info = store.new("a", ED25519, KeyPurpose.ACCOUNT, PASSPHRASE)
    other = KeyStore(tmp_path / "other")
    assert other.import_(store.export("a")) == info
    assert other.open("a", PASSPHRASE).public_key == info.public_key
    assert other.export("a") == store.export("a")


def test_a_wrong_passphrase_is_told_from_a_damaged_file(store: KeyStore, tmp_path: Path) -> None:
    store.new("a", ED25519, KeyPurpose.ACCOUNT, PASSPHRASE)
    with pytest.raises(Refused) as caught:
        store.open("a", b"wrong")
    assert caught.value.error_code == "wrong_passphrase"
    path = tmp_path / "keys" / "a.key"
    text = path.read_text()
    position = text.index('"ciphertext": "') + 20
    flipped = "0" if text[position] != "0" else "1"
    path.write_text(text[:position] + flipped + text[position + 1 :])
    with pytest.raises(DecodeError, match=r"a\.key: damaged"):
        store.open("a", PASSPHRASE)


def test_a_key_that_others_can_read_is_refused(store: KeyStore, tmp_path: Path) -> None:
    store.new("a", ED25519, KeyPurpose.ACCOUNT, PASSPHRASE)
    (tmp_path / "keys" / "a.key").chmod(0o640)
    with pytest.raises(Refused, match="chmod 600") as caught:
        store.open("a", PASSPHRASE)
    assert caught.value.error_code == "exposed"


def test_a_key_that_is_not_there_is_not_found(store: KeyStore) -> None:
    with pytest.raises(NotFound, match="there is no key a "):
        store.open("a", PASSPHRASE)


def test_a_renamed_key_file_is_refused(store: KeyStore, tmp_path: Path) -> None:
    store.new("a", ED25519, KeyPurpose.ACCOUNT, PASSPHRASE)
    (tmp_path / "keys" / "a.key").rename(tmp_path / "keys" / "b.key")
    with pytest.raises(DecodeError, match="another name, a"):
        store.show("b")


@pytest.mark.parametrize("name", ["", "A", ".a", "-a", "a/b", "../a", "a b", "a\n", "ä", "a" * 65])
def test_names_that_could_leave_the_directory_or_confuse_are_refused(
    store: KeyStore, name: str
) -> None:
    for attempt in (
        lambda: store.new(name, ED25519, KeyPurpose.ACCOUNT, PASSPHRASE),
        lambda: store.open(name, PASSPHRASE),
        lambda: store.export(name),
    ):
        with pytest.raises(Refused) as caught:
            attempt()
        assert caught.value.error_code == "bad_name"


def test_an_empty_passphrase_makes_no_key(store: KeyStore) -> None:
    with pytest.raises(Refused, match="empty"):
        store.new("a", ED25519, KeyPurpose.ACCOUNT, b"")
    assert store.list() == ()


def test_a_tls_key_is_not_made_here(store: KeyStore) -> None:
    with pytest.raises(Refused, match="certificate") as caught:
        store.new("a", ED25519, KeyPurpose.TLS, PASSPHRASE)
    assert caught.value.error_code == "not_here"


def test_a_signer_shows_no_secret_and_cannot_be_copied_out() -> None:
    signer = local_signer(
        name="alice", suite=ED25519, purpose=KeyPurpose.ACCOUNT, private_key=PRIVATE_KEY
    )
    for shown in (repr(signer), str(signer), f"{signer}"):
        assert "alice" in shown
        assert PRIVATE_KEY.hex() not in shown
        assert repr(PRIVATE_KEY) not in shown
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(signer)


def test_sealing_and_opening_are_inverse() -> None:
    assert unseal(SEALED, PASSPHRASE) == PRIVATE_KEY
    assert decode_key_file(encode_key_file(SEALED)) == SEALED


def test_the_format_is_fixed() -> None:
    """Key files outlive versions of this program. The passphrase of the golden one is `correct horse`."""
    golden = Path(__file__).with_name("golden") / "alice.key"
    assert encode_key_file(SEALED) == golden.read_bytes()


def with_checksum(fields: dict[str, object]) -> bytes:
    """The file that someone who knows the format would forge from `fields`."""
    compact = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
    return json.dumps({**fields, "checksum": hashlib.sha256(compact).hexdigest()}).encode()


def fields_of(key_file: KeyFile) -> dict[str, object]:
    fields: dict[str, object] = json.loads(encode_key_file(key_file))
    del fields["checksum"]
    return fields


def test_the_checksum_of_the_format_is_as_documented() -> None:
    assert decode_key_file(with_checksum(fields_of(SEALED))) == SEALED


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"name": "bob"}, id="name"),
        pytest.param({"purpose": "consensus"}, id="purpose"),
        pytest.param({"public_key": ED25519.public_key_of(bytes(32)).hex()}, id="public key"),
    ],
)
def test_a_key_cannot_be_passed_off_as_another(change: dict[str, object]) -> None:
    forged = decode_key_file(with_checksum({**fields_of(SEALED), **change}))
    with pytest.raises(Refused) as caught:
        unseal(forged, PASSPHRASE)
    assert caught.value.error_code == "wrong_passphrase"


def kdf(**change: object) -> dict[str, object]:
    return {
        "kdf": {"name": "scrypt", "n": MIN_SCRYPT_N, "r": 8, "p": 1, "salt": "00" * 16} | change
    }


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"version": 2}, id="version"),
        pytest.param({"version": True}, id="version of another type"),
        pytest.param({"name": "../bob"}, id="name"),
        pytest.param({"name": 1}, id="name of another type"),
        pytest.param({"suite": "rsa"}, id="suite"),
        pytest.param({"suite": "sm2-sm3"}, id="suite of another key length"),
        pytest.param({"purpose": "fun"}, id="purpose"),
        pytest.param({"purpose": []}, id="purpose of another type"),
        pytest.param({"public_key": "00" * 32}, id="unusable public key"),
        pytest.param({"public_key": INFO.public_key.hex().upper()}, id="upper-case hex"),
        pytest.param({"public_key": 5}, id="public key of another type"),
        pytest.param({"ciphertext": "zz"}, id="not hex"),
        pytest.param({"ciphertext": "00" * 47}, id="short ciphertext"),
        pytest.param({"kdf": []}, id="kdf of another type"),
        pytest.param({"cipher": {"name": "aes-256-gcm", "nonce": "00" * 11}}, id="short nonce"),
        pytest.param({"cipher": {"name": "none", "nonce": "00" * 12}}, id="another cipher"),
        pytest.param(kdf(n=MAX_SCRYPT_N * 2), id="memory bomb"),
        pytest.param(kdf(n=MIN_SCRYPT_N // 2), id="too cheap"),
        pytest.param(kdf(n=MIN_SCRYPT_N + 1), id="no power of two"),
        pytest.param(kdf(n=float(MIN_SCRYPT_N)), id="float"),
        pytest.param(kdf(r=1 << 20), id="memory bomb by r"),
        pytest.param(kdf(p=1 << 20), id="time bomb by p"),
        pytest.param(kdf(name="none"), id="another kdf"),
        pytest.param({"more": 1}, id="unknown field"),
    ],
)
def test_forged_fields_are_refused_before_any_work(change: dict[str, object]) -> None:
    with pytest.raises(DecodeError):
        decode_key_file(with_checksum({**fields_of(SEALED), **change}))


@pytest.mark.parametrize("field", sorted(fields_of(SEALED)))
def test_a_missing_field_is_refused(field: str) -> None:
    fields = fields_of(SEALED)
    del fields[field]
    with pytest.raises(DecodeError):
        decode_key_file(with_checksum(fields))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"null",
        b'{"version":1}',
        b'{"version":1,"version":1}',
        b"[" * MAX_KEY_FILE_BYTES,
        b'{"version":1,"a":' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"version":1,"a":"\\ud800"}',
        b" " * (MAX_KEY_FILE_BYTES + 1),
        b"\xff\xfe\x00",
        b"9" * 4096,
    ],
)
def test_bytes_that_are_no_key_file_are_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_key_file(data)


@given(st.binary(max_size=200))
def test_the_decoder_raises_its_one_error_on_arbitrary_bytes(data: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_key_file(data)


@given(st.data())
def test_any_changed_byte_is_noticed_or_means_nothing(data: st.DataObject) -> None:
    encoded = bytearray(encode_key_file(SEALED))
    position = data.draw(st.integers(0, len(encoded) - 1))
    encoded[position] = data.draw(st.integers(0, 255))
    try:
        decoded = decode_key_file(bytes(encoded))
    except DecodeError:
        return
    assert decoded == SEALED


def test_a_sealed_key_that_does_not_fit_its_public_key_is_refused() -> None:
    def sealed(private_key: bytes) -> KeyFile:
        return seal(
            INFO, private_key, PASSPHRASE, scrypt_n=MIN_SCRYPT_N, salt=bytes(16), nonce=bytes(12)
        )

    for private_key in (bytes(32), bytes(31)):
        with pytest.raises(DecodeError, match="does not fit"):
            unseal(sealed(private_key), PASSPHRASE)


@pytest.mark.parametrize(("draw", "size"), [(fresh_nonce, 16), (fresh_seed, 32)])
def test_random_numbers_have_their_length_and_differ(draw: Callable[[], bytes], size: int) -> None:
    numbers = {draw() for _ in range(8)}
    assert len(numbers) == 8
    assert {len(number) for number in numbers} == {size}


def test_a_private_key_is_drawn_until_it_is_in_range(monkeypatch: pytest.MonkeyPatch) -> None:
    draws = iter((bytes(32), b"\xff" * 32, PRIVATE_KEY))
    monkeypatch.setattr("chainnode.keystore.randomness.secrets.token_bytes", lambda _: next(draws))
    assert fresh_private_key(suite_named("sm2-sm3")) == PRIVATE_KEY
