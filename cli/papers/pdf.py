"""A sealed certificate, from its parts; what needs the extra `papers` begins here."""

from __future__ import annotations

import logging
import mimetypes
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.clock import SystemClock
from chainnode.model.errors import CannotTell, Refused
from chainnode.model.keys import KeyPurpose
from chainnode.model.suites import P256_SHA256
from chainnode.pki.path import check_path
from chainnode.pki.profiles import SEAL
from cli.output import note
from cli.papers.block import proven_block_hash
from cli.papers.document import Certificate, compose, readme
from cli.papers.page import Attachment, verification_page
from cli.papers.seal import seal
from cli.trust import read_bundle, read_crl

if TYPE_CHECKING:
    from pathlib import Path

    from chainnode.model.tlog_policy import Policy
    from chainnode.rpc.client import RpcClient
    from chainnode.tsp.reading import Token
    from cli.papers.page import Papers
    from cli.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be certified, and how."""

    file: Path
    papers: Papers
    token: Token | None
    seal_key: str
    list_files: tuple[Path, ...]
    base_url: str
    font: Path
    policy: Policy
    """Under which the papers' proof holds."""


_TALKATIVE: Final = ("fontTools", "pyhanko", "pyhanko_certvalidator")
"""Libraries that warn of what is meant here: a font's table that is dropped, and lists that are brought and not fetched."""


def make(session: Session, order: Order, passphrase: bytes) -> bytes:
    """Return the sealed PDF.

    Raises:
        Refused: `wrong_key`, `no_font`, `cannot_seal`.
        ChainError: as `check_path`, and as the node answers.
    """
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.ERROR)
    if not order.font.is_file():
        raise Refused(
            f"found no font at {order.font}; expected one with Chinese; install fonts-wqy-zenhei, or name one with --font",
            code="no_font",
        )
    key = session.keystore().open(order.seal_key, passphrase)
    if key.purpose is not KeyPurpose.SEAL_USER or key.suite.name != P256_SHA256:
        raise Refused(
            f"the key {order.seal_key} is of purpose {key.purpose} on {key.suite.name}; expected seal-user on "
            f"{P256_SHA256}, which PDF readers can check",
            code="wrong_key",
        )
    chain = read_bundle(session.home / f"{order.seal_key}.pem")
    now_ms = SystemClock().now_ms()
    check_path(chain[0], chain[1:-1], chain[-1:], at_ms=now_ms, profile=SEAL)
    lists = tuple(read_crl(file).encoded for file in order.list_files)
    papers = order.papers
    certificate = Certificate(
        papers=papers,
        size_bytes=order.file.stat().st_size,
        media_type=mimetypes.guess_type(papers.document)[0] or "application/octet-stream",
        token=order.token,
        needed=order.policy.missing(frozenset()),
        block_hash=_block_hash(session, order),
        issuer=chain[0].subject.text(),
        base_url=order.base_url,
        now_ms=now_ms,
    )
    attachments = (
        papers.proof,
        papers.policy,
        *(() if papers.token is None else (papers.token,)),
        Attachment(name="README-verify.txt", content=readme(certificate).encode()),
        Attachment(name="verify.html", content=verification_page(papers).encode()),
    )
    try:
        composed = compose(certificate, attachments, order.font)
    except (OSError, ValueError) as error:
        raise Refused(f"{order.font}: cannot be used as a font: {error}", code="no_font") from error

    async def sealed(node: RpcClient) -> bytes:
        return await seal(composed, key=key, chain=chain, lists=lists, node=node)

    return session.ask(sealed)


def _block_hash(session: Session, order: Order) -> bytes | None:
    """Return the hash of the record's block, or None if the policy cannot vouch for what the node says today."""
    record, policy = order.papers.notarization.record, order.policy
    try:
        return session.ask(lambda node: proven_block_hash(node, record, policy))
    except CannotTell as error:
        note(f"the certificate leaves out the block's hash: {error.message}")
        return None
