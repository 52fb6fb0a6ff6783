"""`chainnode certificate`: what people are handed of a proof."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from chainnode.keystore.files import PUBLIC, write_new_file
from chainnode.model.errors import ProofInvalid
from chainnode.model.notarization import digest_map, parse_notarization, verify_notarization
from chainnode.model.tlog_policy import MAX_POLICY_BYTES
from chainnode.tsp.checking import check_imprint, check_token
from chainnode.tsp.reading import MAX_TOKEN_BYTES
from cli.command import pass_session
from cli.output import print_fields, print_json
from cli.papers.page import Attachment, Papers, verification_page
from cli.proofs import SUFFIX, read_policy, read_proof
from cli.session import Session, read_input
from cli.timestamp import read_token, signer_of

if TYPE_CHECKING:
    from chainnode.model.commitment import Digest

_PATH = click.Path(path_type=Path)


@click.group()
def certificate() -> None:
    """Certificates of notarization (存证证书): what people are handed of a proof."""


@certificate.command()
@click.argument("proof", type=_PATH)
@click.option(
    "--policy",
    required=True,
    type=_PATH,
    metavar="POLICY",
    help="Whose signatures count: the chain's tlog-policy, from a source that you trust.",
)
@click.option(
    "--tsr",
    "token_file",
    type=_PATH,
    metavar="FILE.tsr",
    help="A timestamp token of the same document, to go along.",
)
@click.option(
    "--out", required=True, type=_PATH, metavar="FILE.html", help="Where to; never overwritten."
)
@pass_session
def page(session: Session, proof: Path, policy: Path, token_file: Path | None, out: Path) -> None:
    """Write one web page with which anybody checks a file against PROOF in a browser, offline.

    The page holds the proof, so whoever has it knows the document's digests. It is written only if the proof holds.
    """
    parsed, trusted = read_proof(proof), read_policy(policy)
    notarization = parse_notarization(parsed.extra)
    digests = digest_map(notarization.opening.digests)
    verdict = verify_notarization(parsed, trusted, notarization, digests)
    token = None
    if token_file is not None:
        _check_is_of_same_document(token_file, notarization.opening.digests)
        content = read_input(token_file, max_bytes=MAX_TOKEN_BYTES)
        token = Attachment(name=token_file.name, content=content)
    papers = Papers(
        document=proof.name.removesuffix(SUFFIX),
        notarization=notarization,
        verdict=verdict,
        proof=Attachment(name=proof.name, content=parsed.encode()),
        policy=Attachment(name=policy.name, content=read_input(policy, max_bytes=MAX_POLICY_BYTES)),
        suite=trusted.logs[0].key.type.suite,
        token=token,
    )
    write_new_file(out, verification_page(papers).encode(), mode=PUBLIC)
    if session.json:
        print_json({"page": str(out), "index": verdict.index})
    else:
        print_fields([("page", out), ("log index", verdict.index)])


def _check_is_of_same_document(token_file: Path, digests: tuple[Digest, ...]) -> None:
    """Check a token's signature, and that it is about a document with one of these digests.

    Raises:
        DecodeError: it cannot be read, or brings no certificate along.
        ProofInvalid: it is forged, or about another document.
    """
    token = read_token(token_file)
    check_token(token, signer_of(token, None))
    same = next((d for d in digests if d.algorithm == token.imprint.algorithm), None)
    if same is None:
        raise ProofInvalid(
            f"the token is about a {token.imprint.algorithm} digest, which the record does not have; "
            "ask for one by sha256 or sm3",
            code="other_document",
        )
    check_imprint(token, same)
