"""Mutual TLS 1.3 by pinned certificates, over a real loopback connection."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from chainnode.keystore.files import write_new_file
from chainnode.keystore.tls import (
    TlsFiles,
    certificate_of_peer,
    client_context,
    create_tls_identity,
    public_key_of_certificate,
    server_context,
)
from chainnode.model.errors import DecodeError, PeerFault, Refused

if TYPE_CHECKING:
    from pathlib import Path

PASSPHRASE = b"correct horse"
NOW_MS = 1_790_000_000_000


@dataclass(frozen=True)
class Identity:
    files: TlsFiles
    certificate: bytes


def identity(directory: Path, name: str, folder: str | None = None) -> Identity:
    home = directory / (folder or name)
    files = TlsFiles(certificate=home / "tls.crt", key=home / "tls.key")
    return Identity(files, create_tls_identity(files, name, PASSPHRASE, now_ms=NOW_MS))


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Identity]:
    """Two validators that know each other, and strangers; `impostor` calls itself alice."""
    home = tmp_path_factory.mktemp("tls")
    return {
        "alice": identity(home, "alice"),
        "bob": identity(home, "bob"),
        "stranger": identity(home, "stranger"),
        "impostor": identity(home, "alice", folder="impostor"),
        "child": child_of(home, identity(home, "parent")),
    }


def child_of(home: Path, parent: Identity) -> Identity:
    """A certificate that a validator issued with its TLS key, as if that were an authority's."""
    parent_key = load_pem_private_key(parent.files.key.read_bytes(), PASSPHRASE)
    assert isinstance(parent_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    issued_by = x509.load_der_x509_certificate(parent.certificate)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "child")]))
        .issuer_name(issued_by.subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(issued_by.not_valid_before_utc)
        .not_valid_after(issued_by.not_valid_after_utc)
        .sign(parent_key, hashes.SHA256())
    )
    files = TlsFiles(certificate=home / "child.crt", key=home / "child.key")
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSPHRASE))
    write_new_file(files.key, pem)
    write_new_file(files.certificate, certificate.public_bytes(Encoding.PEM))
    return Identity(files, parent.certificate)


@dataclass
class Outcome:
    """What each end saw: the other's certificate, or the error."""

    client: bytes | Exception | None = None
    server: bytes | Exception | None = None


def handshake(client: ssl.SSLContext, server: ssl.SSLContext) -> Outcome:
    """Connect over loopback and exchange a byte, so that the client learns of a late refusal."""
    outcome = Outcome()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        raw, _ = listener.accept()
        raw.settimeout(20)
        try:
            with server.wrap_socket(raw, server_side=True) as connection:
                connection.sendall(b"!")
                outcome.server = certificate_of_peer(connection)
        except (OSError, PeerFault) as error:
            outcome.server = error
        finally:
            raw.close()

    thread = threading.Thread(target=serve)
    thread.start()
    raw = socket.create_connection(listener.getsockname(), timeout=20)
    try:
        with client.wrap_socket(raw) as connection:
            if connection.recv(1) == b"!":
                outcome.client = certificate_of_peer(connection)
                assert connection.version() == "TLSv1.3"
    except OSError as error:
        outcome.client = error
    finally:
        raw.close()
        thread.join()
        listener.close()
    return outcome


def test_pinned_peers_connect_and_see_each_other_s_certificate(people: dict[str, Identity]) -> None:
    alice, bob = people["alice"], people["bob"]
    pinned = (alice.certificate, bob.certificate)
    outcome = handshake(
        client_context(alice.files, PASSPHRASE, pinned),
        server_context(bob.files, PASSPHRASE, pinned),
    )
    assert outcome == Outcome(client=bob.certificate, server=alice.certificate)


@pytest.mark.parametrize("who", ["stranger", "impostor", "child"])
def test_an_unpinned_client_fails_at_the_server(people: dict[str, Identity], who: str) -> None:
    """The impostor bears a pinned name; the child's certificate is signed by a pinned key."""
    bob, other = people["bob"], people[who]
    trusted = [people["alice"].certificate, bob.certificate]
    if who == "child":
        trusted.append(other.certificate)
    outcome = handshake(
        client_context(other.files, PASSPHRASE, [bob.certificate]),
        server_context(bob.files, PASSPHRASE, trusted),
    )
    assert isinstance(outcome.server, ssl.SSLCertVerificationError)
    assert isinstance(outcome.client, OSError)


@pytest.mark.parametrize("who", ["stranger", "impostor", "child"])
def test_an_unpinned_server_fails_at_the_client(people: dict[str, Identity], who: str) -> None:
    alice, other = people["alice"], people[who]
    trusted = [alice.certificate, people["bob"].certificate]
    if who == "child":
        trusted.append(other.certificate)
    outcome = handshake(
        client_context(alice.files, PASSPHRASE, trusted),
        server_context(other.files, PASSPHRASE, [alice.certificate]),
    )
    assert isinstance(outcome.client, ssl.SSLCertVerificationError)
    assert isinstance(outcome.server, OSError)


def unchecked_client() -> ssl.SSLContext:
    """A client that trusts anyone and shows no certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def test_a_client_without_a_certificate_is_refused(people: dict[str, Identity]) -> None:
    bob = people["bob"]
    server = server_context(bob.files, PASSPHRASE, [people["alice"].certificate])
    outcome = handshake(unchecked_client(), server)
    assert isinstance(outcome.server, ssl.SSLError)
    assert isinstance(outcome.client, OSError)


def test_tls_1_2_is_refused_by_either_end(people: dict[str, Identity]) -> None:
    alice, bob = people["alice"], people["bob"]
    client = client_context(alice.files, PASSPHRASE, [bob.certificate])
    old_client = unchecked_client()
    old_client.maximum_version = ssl.TLSVersion.TLSv1_2
    old_client.load_cert_chain(alice.files.certificate, alice.files.key, password=PASSPHRASE)
    server = server_context(bob.files, PASSPHRASE, [alice.certificate])
    old_server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    old_server.maximum_version = ssl.TLSVersion.TLSv1_2
    old_server.load_cert_chain(bob.files.certificate, bob.files.key, password=PASSPHRASE)
    for outcome in (handshake(old_client, server), handshake(client, old_server)):
        assert isinstance(outcome.client, OSError)
        assert isinstance(outcome.server, ssl.SSLError)


def test_an_end_that_trusts_nobody_talks_to_nobody(people: dict[str, Identity]) -> None:
    alice, bob = people["alice"], people["bob"]
    outcome = handshake(
        client_context(alice.files, PASSPHRASE, []),
        server_context(bob.files, PASSPHRASE, [alice.certificate]),
    )
    assert isinstance(outcome.client, ssl.SSLCertVerificationError)


def test_a_peer_that_showed_no_certificate_is_at_fault(people: dict[str, Identity]) -> None:
    """No context of ours lets it come so far; this is the second lock."""
    files = people["bob"].files
    lax = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    lax.load_cert_chain(files.certificate, files.key, password=PASSPHRASE)
    outcome = handshake(unchecked_client(), lax)
    assert outcome.client == people["bob"].certificate
    assert isinstance(outcome.server, PeerFault)


def test_the_certificate_says_what_it_is_for(people: dict[str, Identity]) -> None:
    certificate = x509.load_der_x509_certificate(people["alice"].certificate)
    certificate.verify_directly_issued_by(certificate)
    [common_name] = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert common_name.value == "alice"
    extensions = certificate.extensions
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["alice"]
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    assert set(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == {
        ExtendedKeyUsageOID.SERVER_AUTH,
        ExtendedKeyUsageOID.CLIENT_AUTH,
    }
    made = dt.datetime.fromtimestamp(NOW_MS // 1000, dt.UTC)
    assert certificate.not_valid_before_utc == made - dt.timedelta(days=1)
    assert certificate.not_valid_after_utc.year == 9999


def test_the_key_file_is_private_and_encrypted(people: dict[str, Identity]) -> None:
    files = people["alice"].files
    assert files.key.stat().st_mode & 0o777 == 0o600
    assert files.key.read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")


def test_an_identity_is_never_overwritten(people: dict[str, Identity]) -> None:
    with pytest.raises(Refused) as caught:
        create_tls_identity(people["alice"].files, "alice", PASSPHRASE, now_ms=NOW_MS)
    assert caught.value.error_code == "exists"


@pytest.mark.parametrize("name", ["", "司法局", "a" * 65, "a\nb"])
def test_a_name_that_cannot_stand_in_a_certificate_is_refused(name: str, tmp_path: Path) -> None:
    files = TlsFiles(certificate=tmp_path / "crt", key=tmp_path / "key")
    with pytest.raises(Refused) as caught:
        create_tls_identity(files, name, PASSPHRASE, now_ms=NOW_MS)
    assert caught.value.error_code == "bad_name"
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_passphrase_opens_no_context(people: dict[str, Identity]) -> None:
    with pytest.raises(Refused) as caught:
        server_context(people["alice"].files, b"wrong", [])
    assert caught.value.error_code == "wrong_passphrase"


def test_another_s_certificate_opens_no_context(people: dict[str, Identity]) -> None:
    mixed = TlsFiles(certificate=people["bob"].files.certificate, key=people["alice"].files.key)
    with pytest.raises(Refused, match="do not belong together"):
        client_context(mixed, PASSPHRASE, [])


def test_an_exposed_key_opens_no_context(tmp_path: Path) -> None:
    alice = identity(tmp_path, "alice")
    alice.files.key.chmod(0o644)
    with pytest.raises(Refused) as caught:
        client_context(alice.files, PASSPHRASE, [])
    assert caught.value.error_code == "exposed"


def test_the_public_key_of_a_certificate_tells_keys_apart(people: dict[str, Identity]) -> None:
    alice, impostor = people["alice"].certificate, people["impostor"].certificate
    assert public_key_of_certificate(alice) == public_key_of_certificate(alice)
    assert public_key_of_certificate(alice) != public_key_of_certificate(impostor)
    assert public_key_of_certificate(alice) in alice


def ed25519_certificate() -> bytes:
    key = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([])
    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(1)
    builder = builder.not_valid_before(start).not_valid_after(start).public_key(key.public_key())
    return builder.sign(key, None).public_bytes(Encoding.DER)


def test_what_is_no_p256_certificate_is_refused(people: dict[str, Identity]) -> None:
    alice = people["alice"].certificate
    for bad in (b"", b"junk", alice[:-1], alice + b"\0", ed25519_certificate()):
        with pytest.raises(DecodeError):
            public_key_of_certificate(bad)
        with pytest.raises(DecodeError):
            client_context(people["bob"].files, PASSPHRASE, [bad])
