"""Timestamps as clients of all kinds ask for them, and what they are told; and tokens of a thief."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import http.client
import select
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp
from asn1crypto import tsp

from chainnode.keystore.keystore import KeyStore
from chainnode.model.commitment import Digest
from chainnode.pki.der import elements
from chainnode.pki.pem import parse_bundle
from chainnode.tsp.encoding import integer, sequence
from chainnode.tsp.request import decode_request, imprint_element, make_request
from chainnode.tsp.response import granted
from chainnode.tsp.token import TokenFacts, TokenTemplate
from devnet import homes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from devnet.network import Devnet

QUERY = "application/timestamp-query"
REPLY = "application/timestamp-reply"
POLICY = "2.999.3161.1"
PATIENCE_S = 60
"""For an answer; a node gives up after 10 s that no block takes an imprint."""


@dataclass(frozen=True)
class Reply:
    """An answer over HTTP."""

    status: int
    content_type: str
    body: bytes

    @property
    def failure(self) -> str | None:
        """The name of its PKIFailureInfo (RFC 3161), or None if there is a token."""
        (outer,) = elements(self.body, 0, len(self.body))
        status, *token = elements(self.body, outer.content, outer.end)
        info = tsp.PKIStatusInfo.load(self.body[status.start : status.end], strict=True)
        if token:
            assert info["status"].native == "granted"
            return None
        assert info["status"].native == "rejection"
        assert info["status_string"].native
        (name,) = info["fail_info"].native
        return name


def post(
    url: str, body: bytes = b"", *, content_type: str | None = QUERY, method: str = "POST"
) -> Reply:
    """Ask over a connection of its own."""
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=PATIENCE_S)
    try:
        headers = {} if content_type is None else {"Content-Type": content_type}
        connection.request(method, where.path, body, headers)
        answer = connection.getresponse()
        return Reply(answer.status, answer.getheader("Content-Type", ""), answer.read())
    finally:
        connection.close()


def post_all(bodies: Sequence[tuple[str, bytes]]) -> list[Reply | None]:
    """Ask for all of them at once, (url, body) each; None where the connection ended without an answer."""
    replies: list[Reply | None] = [None] * len(bodies)

    async def one(session: aiohttp.ClientSession, number: int) -> None:
        url, body = bodies[number]
        try:
            async with session.post(url, data=body, headers={"Content-Type": QUERY}) as answer:
                content_type = answer.headers.get("Content-Type", "")
                replies[number] = Reply(answer.status, content_type, await answer.read())
        except aiohttp.ClientError:
            return

    async def run() -> None:
        timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
        connector = aiohttp.TCPConnector(limit=0)
        async with (
            aiohttp.ClientSession(timeout=timeout, connector=connector) as session,
            asyncio.TaskGroup() as tasks,
        ):
            for number in range(len(bodies)):
                tasks.create_task(one(session, number))

    asyncio.run(run())
    return replies


class Asked:
    """A request whose answer is not waited for yet."""

    def __init__(self, url: str, body: bytes, *, announced: int | None = None) -> None:
        """Send it; `announced` is the Content-Length if that is to be a lie."""
        where = urlsplit(url)
        self._socket = socket.create_connection((where.hostname, where.port), timeout=PATIENCE_S)
        size = len(body) if announced is None else announced
        head = f"POST {where.path} HTTP/1.1\r\nHost: tsa\r\nConnection: close\r\n"
        head += f"Content-Type: {QUERY}\r\nContent-Length: {size}\r\n\r\n"
        self._socket.sendall(head.encode() + body)

    def has_answer(self) -> bool:
        """Whether something has come, be it the end."""
        return bool(select.select([self._socket], [], [], 0)[0])

    def wait(self) -> bytes | None:
        """Return the answer, or None if the connection ends without one."""
        received = b""
        with contextlib.suppress(ConnectionError):
            while chunk := self._socket.recv(65_536):
                received += chunk
        self._socket.close()
        return received or None

    def leave(self) -> None:
        """Hang up."""
        self._socket.close()


def request_about(text: str, *, nonce: int = 1, wants_certificate: bool = True) -> bytes:
    """Return a request about the SHA-256 of a text."""
    if wants_certificate:
        return make_request(imprint_of(text), nonce=nonce)
    return sequence(integer(1), imprint_element(imprint_of(text)), integer(nonce))


def imprint_of(text: str) -> Digest:
    """Return the imprint of such a request."""
    return Digest(algorithm="sha256", value=hashlib.sha256(text.encode()).digest())


def forged_response(
    network: Devnet, name: str, request: bytes, *, serial_number: int, time_ms: int
) -> bytes:
    """Return what a thief makes of a validator's stolen unit: a response by its key and certificate, without any block.

    Args:
        network: whose.
        name: the validator's.
        request: that is answered.
        serial_number: of the token, as the thief likes.
        time_ms: likewise.
    """
    home = network.node(name).home
    passphrase = (network.directory / homes.PASSPHRASE).read_bytes().strip()
    certificate, *chain = parse_bundle((home / "timestamp.pem").read_bytes())
    template = TokenTemplate(
        signer=KeyStore(home / homes.KEYS).open("timestamp", passphrase),
        certificate=certificate,
        chain=tuple(chain),
        policy=POLICY,
    )
    facts = TokenFacts(serial_number=serial_number, time_ms=time_ms, accuracy_ms=2_500)
    return granted(template.token(decode_request(request), facts))
