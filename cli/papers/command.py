"""`chainnode certificate`: what people are handed of a proof."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from chainnode.keystore.files import PUBLIC, write_new_file
from chainnode.model.errors import ProofInvalid, Refused
from chainnode.model.notarization import digest_map, parse_notarization, verify_notarization
from chainnode.model.tlog_policy import MAX_POLICY_BYTES
from chainnode.pki.keys import KeyKind
from chainnode.tsp.checking import check_imprint, check_token
from chainnode.tsp.reading import MAX_TOKEN_BYTES
from cli.command import pass_session, passphrase_option, policy_option
from cli.hashing import digests_of_file
from cli.output import print_fields, print_json
from cli.papers.page import Attachment, Papers, verification_page
from cli.proofs import SUFFIX, check_free, read_policy, read_proof
from cli.session import Session, read_input
from cli.timestamp import signer_of, token_in

if TYPE_CHECKING:
    from chainnode.model.commitment import Digest
    from chainnode.pki.certificate import X509Certificate

_PATH = click.Path(path_type=Path)

DEFAULT_FONT: Final = "/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc"
"""Where Debian's fonts-wqy-zenhei is."""


_TOKEN: Final = click.option(
    "--tsr",
    "token_file",
    type=_PATH,
    metavar="FILE.tsr",
    help="A timestamp token of the same document, to go along.",
)


@click.group()
def certificate() -> None:
    """Certificates of notarization (存证证书): what people are handed of a proof."""


@certificate.command()
@click.argument("proof", type=_PATH)
@policy_option
@_TOKEN
@click.option(
    "--out", required=True, type=_PATH, metavar="FILE.html", help="Where to; never overwritten."
)
@pass_session
def page(session: Session, proof: Path, policy: Path, token_file: Path | None, out: Path) -> None:
    """Write one web page with which anybody checks a file against PROOF in a browser, offline.

    The page holds the proof, so whoever has it knows the document's digests. It is written only if the proof holds.
    """
    check_free(out)
    papers = _papers(proof, policy, token_file, None)
    write_new_file(out, verification_page(papers).encode(), mode=PUBLIC)
    index = papers.verdict.index
    if session.json:
        print_json({"page": str(out), "index": index})
    else:
        print_fields([("page", out), ("log index", index)])


@certificate.command()
@click.argument("file", type=_PATH)
@click.argument("proof", type=_PATH)
@policy_option
@_TOKEN
@click.option(
    "--seal-key",
    required=True,
    metavar="NAME",
    help="Key of this home, of purpose seal-user on P-256; HOME/NAME.pem has its certificates.",
)
@click.option(
    "--crl",
    "list_files",
    required=True,
    multiple=True,
    type=_PATH,
    metavar="FILE",
    help="Newest revocation list of each authority above: issuing and root.",
)
@click.option(
    "--base-url",
    required=True,
    metavar="URL",
    help="Where people reach a node's pages; the QR code leads there.",
)
@click.option(
    "--font",
    type=_PATH,
    metavar="FILE",
    help=f"TrueType font with Chinese.  [default: {DEFAULT_FONT}]",
)
@click.option(
    "--out", required=True, type=_PATH, metavar="FILE.pdf", help="Where to; never overwritten."
)
@passphrase_option
@pass_session
def pdf(
    session: Session,
    file: Path,
    proof: Path,
    policy: Path,
    token_file: Path | None,
    seal_key: str,
    list_files: tuple[Path, ...],
    base_url: str,
    font: Path | None,
    out: Path,
    passphrase_file: Path | None,
) -> None:
    """Write a sealed certificate of FILE, which PROOF is about: PDF for people, with everything that checks it attached.

    Needs the extra `papers`, which `make install` brings along, and a node that timestamps the seal.
    """
    if any(find_spec(name) is None for name in ("fpdf", "pyhanko", "segno")):
        raise Refused(
            "found no PDF libraries; expected the extra `papers`; install it in the checkout with `make install`, or "
            "`pip install '.[papers]'`",
            code="no_extra",
        )
    check_free(out)
    module = import_module("cli.papers.pdf")
    papers = _papers(proof, policy, token_file, file)
    chosen = Path(DEFAULT_FONT) if font is None else font
    order = module.Order(
        file=file,
        papers=papers,
        token=None if token_file is None else token_in(token_file),
        seal_key=seal_key,
        list_files=list_files,
        base_url=base_url.rstrip("/"),
        font=chosen,
        policy=read_policy(policy),
    )
    write_new_file(
        out, module.make(session, order, session.passphrase(passphrase_file)), mode=PUBLIC
    )
    index = papers.verdict.index
    if session.json:
        print_json({"pdf": str(out), "index": index})
    else:
        print_fields([("pdf", out), ("log index", index)])


def _papers(proof: Path, policy: Path, token_file: Path | None, file: Path | None) -> Papers:
    """Return the papers of a proof that holds, and is about `file` if that is given. Raises as `verify_notarization`."""
    parsed, trusted = read_proof(proof), read_policy(policy)
    notarization = parse_notarization(parsed.extra)
    digests = notarization.opening.digests
    found = digests if file is None else digests_of_file(file, [d.algorithm for d in digests])
    verdict = verify_notarization(parsed, trusted, notarization, digest_map(tuple(found)))
    token, is_by_sm2 = None, False
    if token_file is not None:
        unit = _unit_of_same_document(token_file, digests)
        is_by_sm2 = unit.key.kind is KeyKind.SM2
        content = read_input(token_file, max_bytes=MAX_TOKEN_BYTES)
        token = Attachment(name=token_file.name, content=content)
    policy_bytes = read_input(policy, max_bytes=MAX_POLICY_BYTES)
    return Papers(
        document=proof.name.removesuffix(SUFFIX) if file is None else file.name,
        notarization=notarization,
        verdict=verdict,
        proof=Attachment(name=proof.name, content=parsed.encode()),
        policy=Attachment(name=policy.name, content=policy_bytes),
        suite=trusted.logs[0].key.type.suite,
        token=token,
        is_token_by_sm2=is_by_sm2,
    )


def _unit_of_same_document(token_file: Path, digests: tuple[Digest, ...]) -> X509Certificate:
    """Check a token's signature, and that it is about a document with one of these digests; return its unit's certificate.

    Raises:
        DecodeError: it cannot be read, or brings no certificate along.
        ProofInvalid: it is forged, or about another document.
    """
    token = token_in(token_file)
    unit = signer_of(token, None)
    check_token(token, unit)
    same = next((d for d in digests if d.algorithm == token.imprint.algorithm), None)
    if same is None:
        raise ProofInvalid(
            f"the token is about a {token.imprint.algorithm} digest, which the record does not have; "
            "ask for one by sha256 or sm3",
            code="other_document",
        )
    check_imprint(token, same)
    return unit
