"""PEM (RFC 7468): certificates, requests and revocation lists as text, one or many behind each other."""

from __future__ import annotations

import re
from typing import Final

from chainnode.model.errors import DecodeError
from chainnode.model.note import decode_base64, encode_base64
from chainnode.pki.certificate import X509Certificate, decode_x509_certificate

CERTIFICATE: Final = "CERTIFICATE"
CERTIFICATE_REQUEST: Final = "CERTIFICATE REQUEST"
REVOCATION_LIST: Final = "X509 CRL"
"""Labels."""

MAX_PEM_BYTES: Final = 2 * 1024 * 1024
"""A file; holds the largest revocation list."""

MAX_BUNDLE: Final = 64
"""Certificates in one file."""

_LINE_CHARS = 64
_BEGIN = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,32})-----")


def write_pem(label: str, encoded: bytes) -> bytes:
    """Return DER as PEM under a label."""
    text = encode_base64(encoded)
    lines = [text[at : at + _LINE_CHARS] for at in range(0, len(text), _LINE_CHARS)]
    return "\n".join((f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", "")).encode()


def parse_pem(data: bytes, label: str, *, most: int = 1) -> tuple[bytes, ...]:
    """Return the DER of what a file holds: DER itself, or blocks of PEM under one label with any text between them.

    Args:
        data: the file.
        label: what the blocks must be called.
        most: how many there may be; there is at least one.

    Raises:
        DecodeError: too large, other labels, no block or too many, a block without end or not in base64.
    """
    if len(data) > MAX_PEM_BYTES:
        raise DecodeError(f"PEM: found {len(data)} bytes; expected at most {MAX_PEM_BYTES}")
    if data[:1] == b"\x30":
        return (data,)
    lines = iter(data.decode("utf-8", "replace").splitlines())
    blocks: list[bytes] = []
    for line in lines:
        begin = _BEGIN.fullmatch(line.strip())
        if begin is None:
            continue
        if begin[1] != label or len(blocks) == most:
            raise DecodeError(
                f"PEM: found {begin[1]} as block {len(blocks) + 1}; expected at most {most} of {label}"
            )
        body: list[str] = []
        for inner in lines:
            if inner.strip() == f"-----END {label}-----":
                break
            body.append(inner.strip())
        else:
            raise DecodeError(f"PEM: found a {label} without its last line")
        blocks.append(decode_base64("".join(body), label))
    if not blocks:
        raise DecodeError(f"PEM: found no {label}; expected -----BEGIN {label}----- or DER")
    return tuple(blocks)


def write_bundle(certificates: tuple[X509Certificate, ...]) -> bytes:
    """Return certificates as PEM, each under a line that says whose it is."""
    return b"".join(
        f"# {certificate.subject.text()}\n".encode() + write_pem(CERTIFICATE, certificate.encoded)
        for certificate in certificates
    )


def parse_bundle(data: bytes) -> tuple[X509Certificate, ...]:
    """Return the certificates in a file: one in DER, or 1 to 64 in PEM.

    Raises:
        DecodeError: as `parse_pem` and `decode_x509_certificate`.
    """
    return tuple(
        decode_x509_certificate(der) for der in parse_pem(data, CERTIFICATE, most=MAX_BUNDLE)
    )
