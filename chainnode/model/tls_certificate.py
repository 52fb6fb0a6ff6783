"""Reading an X.509 certificate of a peer, strictly: genesis pins its key, so today's answer must be tomorrow's."""

from __future__ import annotations

import warnings

from cryptography import x509

from chainnode.model.errors import DecodeError


def read_tls_certificate(data: bytes) -> x509.Certificate:
    """Return the certificate (DER) with a public key that can be read.

    What the parser takes with a warning (a serial number of 0, say) is refused: its next release will not take
    it, and a node that was upgraded could not read its own genesis any more.

    Raises:
        DecodeError: not a certificate.
    """
    try:
        with warnings.catch_warnings(action="error"):
            certificate = x509.load_der_x509_certificate(data)
            certificate.public_key()
    except Exception as error:
        # The parser's exceptions are many (ValueError, UnsupportedAlgorithm, InvalidVersion, TypeError ...), and
        # all of them say the same about bytes from outside.
        raise DecodeError(
            f"tls_certificate: not an X.509 certificate in DER ({error})", field="tls_certificate"
        ) from error
    return certificate
