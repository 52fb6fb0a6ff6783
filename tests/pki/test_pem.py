"""PEM: bundles as people carry them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainnode.model.errors import DecodeError
from chainnode.pki.pem import (
    CERTIFICATE,
    MAX_BUNDLE,
    MAX_PEM_BYTES,
    REVOCATION_LIST,
    parse_bundle,
    parse_pem,
    write_bundle,
    write_pem,
)
from tests.support.certificates import KEY_SUITES, authority, put, run_openssl

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("suite_name", KEY_SUITES)
def test_a_bundle_comes_back_and_says_whose_each_is(suite_name: str) -> None:
    made = authority(suite_name)
    bundle = write_bundle((made.leaf, made.issuing, made.root))
    assert parse_bundle(bundle) == (made.leaf, made.issuing, made.root)
    assert "# C=CN, O=某市政务服务数据管理局, CN=root 一\n-----BEGIN".encode() in bundle
    assert parse_bundle(made.root.encoded) == (made.root,)


def test_openssl_writes_what_we_read_and_the_same_lines(tmp_path: Path) -> None:
    made = authority()
    der = put(tmp_path / "leaf.der", made.leaf.encoded)
    pem = run_openssl("x509", "-inform", "DER", "-in", der, "-text").stdout.encode()
    assert parse_bundle(pem) == (made.leaf,)
    assert pem.endswith(write_pem(CERTIFICATE, made.leaf.encoded))


def test_windows_line_ends_and_text_between_do_not_matter() -> None:
    made = authority()
    text = b"hello\n" + write_bundle((made.leaf,)) + b"\nmore\n" + write_bundle((made.root,))
    assert parse_bundle(text.replace(b"\n", b"\r\n")) == (made.leaf, made.root)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "found no CERTIFICATE"),
        (b"hello", "found no CERTIFICATE"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n", "without its last line"),
        (b"-----BEGIN CERTIFICATE-----\n-----END X509 CRL-----\n", "without its last line"),
        (b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", "found X509 CRL"),
        (b"-----BEGIN CERTIFICATE-----\nA*AA\n-----END CERTIFICATE-----\n", "base64"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "certificate"),
        (b" " * (MAX_PEM_BYTES + 1), "at most"),
    ],
)
def test_what_is_no_bundle_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(DecodeError, match=why):
        parse_bundle(data)


def test_a_bundle_is_bounded_and_a_request_for_one_gets_one() -> None:
    leaf = write_bundle((authority().leaf,))
    assert len(parse_bundle(leaf * MAX_BUNDLE)) == MAX_BUNDLE
    with pytest.raises(DecodeError, match=f"as block {MAX_BUNDLE + 1}"):
        parse_bundle(leaf * (MAX_BUNDLE + 1))
    two = write_pem(REVOCATION_LIST, b"\0") * 2
    with pytest.raises(DecodeError, match="as block 2"):
        parse_pem(two, REVOCATION_LIST)


@given(st.binary(max_size=300))
def test_any_der_survives_pem(encoded: bytes) -> None:
    assert parse_pem(write_pem(REVOCATION_LIST, encoded), REVOCATION_LIST) == (encoded,)
