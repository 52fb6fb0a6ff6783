"""Tokens that evidence records rest on: asked for, kept once, with the proof that the chain issued them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chainnode.keystore.files import PUBLIC, write_new_file
from chainnode.model.errors import CannotTell, Unavailable
from chainnode.tsp.recorded import Recorded, decode_leaf, verify_recorded
from chainnode.tsp.response import granted
from cli.output import note
from cli.proofs import SUFFIX, not_checked, policy_at_hand, read_proof
from cli.senders import chain_domain
from cli.timestamp_query import fetch_token
from cli.timestamp_record import Fetch, check_fetched

if TYPE_CHECKING:
    from pathlib import Path

    from chainnode.model.commitment import Digest
    from chainnode.model.suites import Suite
    from chainnode.model.tlog_policy import Policy
    from chainnode.pki.certificate import X509Certificate
    from chainnode.tsp.reading import Token
    from cli.session import Session

TOKEN_SUFFIX: Final = ".tsr"  # noqa: S105  a file's ending


class TokenSource:
    """A node's timestamp authority, and the folder where its tokens are kept."""

    def __init__(self, session: Session, folder: Path) -> None:
        """Ask the node what chain it has. Raises ChainError: it cannot be reached, or has another than the home."""
        self._session, self._folder = session, folder
        self._genesis, self._policy = session.genesis_if_any(), policy_at_hand(session)
        if self._genesis is None and self._policy is None:
            note(not_checked("archive verify"))
        status = session.ask(lambda node: node.chain_status())
        self.suite: Suite = chain_domain(status, self._genesis).suite

    def token_over(self, digest: Digest) -> tuple[Token, X509Certificate]:
        """Return a fresh token, which is on disk. Raises ChainError."""
        token, certificate = fetch_token(self._session, digest)
        write_new_file(token_file(self._folder, token), granted(token.encoded), mode=PUBLIC)
        return token, certificate

    def keep_proof(self, token: Token, certificate: X509Certificate) -> None:
        """Fetch and check the proof of a token's record, and put it beside the token. Raises ChainError."""
        path = token_file(self._folder, token)
        try:
            fetched = self._session.ask(Fetch(token, self._genesis, self._policy).run)
        except Unavailable as error:
            raise Unavailable(
                f"{error.message}; token and records are whole: get the proof later with `chainnode "
                f"timestamp proof {path}`",
                code=error.error_code,
                retry_after_ms=error.retry_after_ms,
            ) from error
        check_fetched(token, certificate, fetched, self.suite)
        write_new_file(path.with_name(path.name + SUFFIX), fetched.proof.encode(), mode=PUBLIC)


def token_file(folder: Path, token: Token) -> Path:
    """Return where a token is kept."""
    return folder / f"{token.serial_text}{TOKEN_SUFFIX}"


def proof_of(folder: Path | None, token: Token) -> Path | None:
    """Return where the proof of a token's record is, or None if it is not there."""
    if folder is None:
        return None
    kept = token_file(folder, token)
    # Earlier archives have names without the leading zero of the number.
    names = (kept.name, kept.name.lstrip("0"))
    paths = (kept.with_name(name + SUFFIX) for name in names)
    return next((path for path in paths if path.exists()), None)


def verify_kept(
    folder: Path | None, token: Token, certificate: X509Certificate, policy: Policy
) -> Recorded:
    """Check by the proof that is kept that the chain issued a token.

    Raises:
        CannotTell: `no_proof`: there is none.
        DecodeError, ProofInvalid, CannotTell: as `verify_recorded`.
    """
    path = proof_of(folder, token)
    if path is None:
        raise CannotTell(
            f"found no proof that the chain issued token {token.serial_text}; expected it in the folder "
            "of tokens beside the record (`archive verify --tokens` names another); --by-root, with --root, has the token count by "
            "its certificate alone",
            code="no_proof",
        )
    proof = read_proof(path)
    return verify_recorded(token, certificate, proof, decode_leaf(proof.extra), policy)
