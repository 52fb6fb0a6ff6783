"""Reading the home's TLS certificate, which is PEM on disk and DER in genesis."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from chainnode.model.errors import DecodeError
from cli.session import read_input

if TYPE_CHECKING:
    from pathlib import Path

_MAX_PEM_BYTES = 16 * 1024


def pem_certificate(path: Path) -> bytes:
    """Return the certificate (DER) in a PEM file.

    Raises:
        DecodeError: it cannot be read, or holds something else.
    """
    text = read_input(path, max_bytes=_MAX_PEM_BYTES).decode("ascii", "replace")
    try:
        return ssl.PEM_cert_to_DER_cert(text)
    except ValueError as error:
        raise DecodeError(f"{path} is no certificate in PEM ({error})") from error
