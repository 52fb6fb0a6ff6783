"""Asking a node's timestamp authority for a token, and checking what it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chainnode.keystore.randomness import fresh_bytes
from chainnode.model.errors import DecodeError, Unavailable
from chainnode.tsp.checking import check_imprint, check_token
from chainnode.tsp.reading import decode_response
from chainnode.tsp.request import make_request

if TYPE_CHECKING:
    from chainnode.model.commitment import Digest
    from chainnode.pki.certificate import X509Certificate
    from chainnode.rpc.client import RpcClient
    from chainnode.tsp.reading import Token
    from cli.session import Session

_NONCE_BYTES: Final = 8
_OK: Final = 200


def fetch_token(
    session: Session, digest: Digest, unit: str | None = None
) -> tuple[Token, X509Certificate]:
    """Return a fresh token over a digest, with its certificate; its signature holds, its record is not looked at.

    Args:
        session: Which node.
        digest: What it is to be about.
        unit: `p256` or `sm2`; None: the node's own choice.

    Raises:
        Unavailable: the node gave none.
        DecodeError: what it gave is no token, or answers something else.
        ProofInvalid: the token does not hold.
    """
    nonce = int.from_bytes(fresh_bytes(_NONCE_BYTES), "big")
    token = decode_response(session.ask(_Query(digest, nonce, unit).send))
    certificate = token.signer
    if certificate is None or token.nonce != nonce:
        raise DecodeError(
            "the token answers another request than ours, or lacks its certificate",
            code="bad_answer",
        )
    check_token(token, certificate)
    check_imprint(token, digest)
    return token, certificate


class _Query:
    """One request to a node's timestamp authority."""

    def __init__(self, digest: Digest, nonce: int, unit: str | None) -> None:
        self._body = make_request(digest, nonce=nonce)
        self._path = "/tsa" if unit is None else f"/tsa/{unit}"

    async def send(self, node: RpcClient) -> bytes:
        """Return the response. Raises Unavailable: the node gave none."""
        status, body = await node.post(
            self._path, self._body, content_type="application/timestamp-query"
        )
        if status != _OK:
            said = body.decode("utf-8", "replace").strip()
            raise Unavailable(
                f"{node.url}{self._path} answered {status}: {said[:200]}", code="no_timestamp"
            )
        return body
