"""Sealing a PDF: a PAdES B-LT signature by a key of this home, with a timestamp of the node and revocation lists in the file.

What a reader needs to judge the seal in years lies in the file itself: the certificates up to the root, its list and that of
the issuing authority, and a token for the time of sealing.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

from asn1crypto import crl as asn1_crl
from asn1crypto import tsp as asn1_tsp
from asn1crypto import x509 as asn1_x509
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import MDPPerm, SigFieldSpec, SigSeedSubFilter
from pyhanko.sign.signers import PdfSignatureMetadata, PdfSigner, Signer
from pyhanko.sign.timestamps import TimeStamper
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.errors import PathError
from pyhanko_certvalidator.registry import SimpleCertificateStore

from chainnode.model.errors import Refused, Unavailable
from chainnode.pki.keys import sign_der, signature_algorithm

if TYPE_CHECKING:
    from chainnode.keystore.signer import Signer as Key
    from chainnode.pki.certificate import X509Certificate
    from chainnode.rpc.client import RpcClient

_OK: Final = 200
_FIELD: Final = "Seal"


class _HomeSigner(Signer):
    """Signs with a key of this home, which never leaves its keystore."""

    def __init__(self, key: Key, chain: tuple[X509Certificate, ...]) -> None:
        own, *above = (asn1_x509.Certificate.load(c.encoded) for c in chain)
        registry = SimpleCertificateStore()  # type: ignore[no-untyped-call]  # pyHanko leaves it untyped
        registry.register_multiple(above)
        super().__init__(
            signing_cert=own,
            cert_registry=registry,
            signature_mechanism=signature_algorithm(key.suite),
        )
        self._key = key

    async def async_sign_raw(  # type: ignore[explicit-override]  # Python 3.12 has @override
        self,
        data: bytes,
        digest_algorithm: str,
        dry_run: bool = False,  # noqa: FBT001, FBT002  pyHanko's signature
    ) -> bytes:
        """Return the signature, as a DER SEQUENCE of two numbers."""
        del digest_algorithm, dry_run
        return sign_der(self._key, data)[1]


class _NodeTimeStamper(TimeStamper):
    """Asks a node's P-256 unit, which PDF readers can check."""

    def __init__(self, node: RpcClient) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # pyHanko leaves it untyped
        self._node = node

    async def async_request_tsa_response(  # type: ignore[explicit-override]  # Python 3.12 has @override
        self, req: asn1_tsp.TimeStampReq
    ) -> asn1_tsp.TimeStampResp:
        """Return the node's answer. Raises Unavailable."""
        status, body = await self._node.post(
            "/tsa/p256", req.dump(), content_type="application/timestamp-query"
        )
        if status != _OK:
            raise Unavailable(
                f"{self._node.url}/tsa/p256 answered {status}; a seal needs a timestamp",
                code="no_timestamp",
            )
        return asn1_tsp.TimeStampResp.load(body)


async def seal(
    pdf: bytes,
    *,
    key: Key,
    chain: tuple[X509Certificate, ...],
    lists: tuple[bytes, ...],
    node: RpcClient,
) -> bytes:
    """Return the PDF with a seal; later seals and timestamps may be added, and nothing else changed.

    Args:
        pdf: As composed.
        key: On P-256.
        chain: Its certificate, and those above it up to the root.
        lists: Revocation lists (DER) of every authority in the chain.
        node: Whose unit timestamps the seal; of the same root.

    Raises:
        Refused: `cannot_seal`: a list is missing or too old, or a certificate is revoked.
        Unavailable: the node gives no timestamp.
    """
    context = ValidationContext(
        trust_roots=[asn1_x509.Certificate.load(chain[-1].encoded)],
        other_certs=[asn1_x509.Certificate.load(c.encoded) for c in chain[:-1]],
        crls=[asn1_crl.CertificateList.load(one) for one in lists],
        allow_fetching=False,
        revocation_mode="require",
    )
    signer = PdfSigner(
        PdfSignatureMetadata(
            field_name=_FIELD,
            subfilter=SigSeedSubFilter.PADES,
            md_algorithm="sha256",
            embed_validation_info=True,
            validation_context=context,
            certify=True,
            docmdp_permissions=MDPPerm.FILL_FORMS,
        ),
        signer=_HomeSigner(key, chain),
        timestamper=_NodeTimeStamper(node),
        new_field_spec=SigFieldSpec(sig_field_name=_FIELD),
    )
    try:
        sealed = await signer.async_sign_pdf(IncrementalPdfFileWriter(io.BytesIO(pdf)))
    except (PathError, ValueError) as error:
        raise Refused(
            f"the seal would not be valid for whoever checks it: {error}; name the newest lists of root and "
            "issuing authority with --crl",
            code="cannot_seal",
        ) from error
    return bytes(sealed.getvalue())
