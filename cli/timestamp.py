"""`chainnode timestamp`: RFC 3161 tokens of the alliance, and what makes them more than a signature.

A token is checked before it is written, and so is the proof of its record on the log, which lies beside it. Of the two
files the token comes first: without the proof it is whole, and `timestamp proof` fetches that later.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from chainnode.keystore.files import PUBLIC, write_new_file
from chainnode.model.errors import (
    CannotTell,
    DecodeError,
    Refused,
    Unavailable,
)
from chainnode.model.timestamp import parse_serial
from chainnode.pki.path import check_path
from chainnode.pki.profiles import TIMESTAMP
from chainnode.tsp.algorithms import IMPRINT_OIDS
from chainnode.tsp.checking import check_imprint, check_token
from chainnode.tsp.reading import MAX_TOKEN_BYTES, Token, decode_response, decode_token
from chainnode.tsp.recorded import (
    Recorded,
    decode_leaf,
    verify_recorded,
)
from chainnode.tsp.response import granted
from cli.command import pass_session
from cli.hashing import digests_of_file
from cli.output import note, print_fields, print_json, time_text
from cli.proofs import SUFFIX, check_free, not_checked, policy_at_hand, read_policy, read_proof
from cli.senders import chain_domain
from cli.session import read_input
from cli.timestamp_query import fetch_token
from cli.timestamp_record import Fetch, ask_and_verify, check_fetched
from cli.trust import crl_option, read_bundle, read_bundle_if_any, read_crls

if TYPE_CHECKING:
    from chainnode.pki.certificate import X509Certificate
    from cli.output import Json
    from cli.session import Session

TOKEN_SUFFIX: Final = ".tsr"  # noqa: S105  a file's ending
_PATH: Final = click.Path(path_type=Path)
_GLOBAL_WITH_VALUE: Final = ("--home", "--rpc")


class _DefaultGroup(click.Group):
    """A group whose first argument may be left out: `timestamp FILE` is `timestamp create FILE`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:  # type: ignore[explicit-override]  # Python 3.12 has @override
        """Put `create` where the name of a command is missing."""
        at = 0
        while at < len(args) and args[at] in (*_GLOBAL_WITH_VALUE, "--json"):
            at += 2 if args[at] in _GLOBAL_WITH_VALUE else 1
        first = args[at] if at < len(args) else "--help"
        if first not in self.commands and first not in ctx.help_option_names:
            args = [*args[:at], "create", *args[at:]]
        return super().parse_args(ctx, args)


@click.group(cls=_DefaultGroup, invoke_without_command=False)
def timestamp() -> None:
    """RFC 3161 timestamps: `timestamp FILE`, `timestamp verify FILE FILE.tsr`, `timestamp proof FILE.tsr`."""


@timestamp.command()
@click.argument("file", type=_PATH)
@click.option("--out", type=_PATH, metavar="FILE.tsr", help="[default: FILE.tsr]")
@click.option(
    "--algorithm",
    type=click.Choice(tuple(IMPRINT_OIDS)),
    help="Digest that the token is about.  [default: the chain's: sha256, or sm3]",
)
@click.option(
    "--unit",
    type=click.Choice(("p256", "sm2")),
    help="Which of the node's units signs.  [default: the chain's own]",
)
@pass_session
def create(
    session: Session, file: Path, out: Path | None, algorithm: str | None, unit: str | None
) -> None:
    """Get a timestamp token for FILE, which stays here; only its digest is sent.

    FILE.tsr is what any RFC 3161 software reads. FILE.tsr.tlog-proof shows that the chain issued it.
    """
    target = file.with_name(file.name + TOKEN_SUFFIX) if out is None else out
    for path in (target, proof_beside(target)):
        check_free(path)
    genesis, kept = session.genesis_if_any(), policy_at_hand(session)
    if genesis is None and kept is None:
        note(not_checked("timestamp verify"))
    suite = chain_domain(session.ask(lambda node: node.chain_status()), genesis).suite
    (digest,) = digests_of_file(file, [suite.hash_name if algorithm is None else algorithm])
    token, certificate = fetch_token(session, digest, unit)
    write_new_file(target, granted(token.encoded), mode=PUBLIC)
    try:
        fetched = session.ask(Fetch(token, genesis, kept).run)
        recorded = check_fetched(token, certificate, fetched, suite)
        write_new_file(proof_beside(target), fetched.proof.encode(), mode=PUBLIC)
    except Unavailable as error:
        raise Unavailable(
            f"{error.message}; the token is in {target}: get the proof of its record later with "
            f"`chainnode timestamp proof {target}`",
            code=error.error_code,
            retry_after_ms=error.retry_after_ms,
        ) from error
    _report(
        session,
        token,
        certificate,
        recorded,
        files={"token": target, "proof": proof_beside(target)},
    )


@timestamp.command()
@click.argument("token_file", type=_PATH, metavar="FILE.tsr")
@pass_session
def proof(session: Session, token_file: Path) -> None:
    """Fetch the proof that FILE.tsr has a record on the log, to FILE.tsr.tlog-proof; an older one is kept."""
    target = proof_beside(token_file)
    if target.exists():
        raise Refused(
            f"{target} exists and is not overwritten; move it away to have it fetched again",
            code="exists",
        )
    token = token_in(token_file)
    certificate = signer_of(token, None)
    genesis, kept = session.genesis_if_any(), policy_at_hand(session)
    suite = chain_domain(session.ask(lambda node: node.chain_status()), genesis).suite
    fetched = session.ask(Fetch(token, genesis, kept).run)
    recorded = check_fetched(token, certificate, fetched, suite)
    write_new_file(target, fetched.proof.encode(), mode=PUBLIC)
    _report(session, token, certificate, recorded, files={"proof": target})


@timestamp.command()
@click.argument("file", type=_PATH)
@click.argument("token_file", type=_PATH, metavar="FILE.tsr")
@click.option(
    "--policy",
    "policy_file",
    type=_PATH,
    metavar="POLICY",
    help="Whose signatures count.  [default: today's from the home's genesis, else the home's policy]",
)
@click.option(
    "--proof",
    "proof_path",
    type=_PATH,
    metavar="PROOF",
    help="Proof of the token's record.  [default: FILE.tsr.tlog-proof, else the node is asked]",
)
@click.option(
    "--certificate",
    "certificate_file",
    type=_PATH,
    metavar="PEM",
    help="The unit's certificate, for tokens that do not bring it along.",
)
@click.option(
    "--root",
    "root_file",
    type=_PATH,
    metavar="PEM",
    help="Check the certificate's path to this root too, as software that knows no chain does.",
)
@crl_option
@pass_session
def verify(
    session: Session,
    *,
    file: Path,
    token_file: Path,
    policy_file: Path | None,
    proof_path: Path | None,
    certificate_file: Path | None,
    root_file: Path | None,
    list_files: tuple[Path, ...],
) -> None:
    """Check that FILE.tsr is about FILE, and that the chain issued it: its signature, and its record on the log.

    Other software checks the signature alone. A token that was made with a stolen key passes there, and fails here.
    """
    if list_files and root_file is None:
        raise click.UsageError("--crl says nothing without --root")
    token = token_in(token_file)
    check_imprint(token, digests_of_file(file, [token.imprint.algorithm])[0])
    certificate = signer_of(token, certificate_file)
    check_token(token, certificate)
    parse_serial(token.serial_number)
    between = (*token.certificates, *read_bundle_if_any(certificate_file))
    untold = (
        None
        if root_file is None
        else _path_untold(token, certificate, between, root_file, list_files)
    )
    kept = policy_at_hand(session) if policy_file is None else read_policy(policy_file)
    beside = proof_beside(token_file)
    if proof_path is None and beside.exists():
        proof_path = beside
    if proof_path is not None and kept is not None:
        found = read_proof(proof_path)
        recorded = verify_recorded(token, certificate, found, decode_leaf(found.extra), kept)
    else:
        try:
            recorded = ask_and_verify(session, token, certificate, proof_path, policy_file, kept)
        except Unavailable as error:
            if proof_path is not None:
                raise
            raise Unavailable(
                f"found no {beside}, so a node was asked for the proof of the token's record: {error.message}",
                code=error.error_code,
                retry_after_ms=error.retry_after_ms,
            ) from error
    if untold is not None:
        raise untold
    _report(session, token, certificate, recorded, files={})


def _path_untold(
    token: Token,
    certificate: X509Certificate,
    between: tuple[X509Certificate, ...],
    root_file: Path,
    list_files: tuple[Path, ...],
) -> CannotTell | None:
    """Check a certificate's path, and return why it cannot be told; the record may still show that the token is forged.

    Raises:
        ProofInvalid: the path does not hold.
    """
    try:
        check_path(
            certificate,
            between,
            read_bundle(root_file),
            at_ms=token.time_ms,
            profile=TIMESTAMP,
            crls=read_crls(list_files),
        )
    except CannotTell as error:
        return error
    return None


# -- files ------------------------------------------------------------------------------------


def proof_beside(token_file: Path) -> Path:
    """Return where the proof of a token's record lies."""
    return token_file.with_name(token_file.name + SUFFIX)


def token_in(path: Path) -> Token:
    """Return the token in a file: a response (.tsr), or a bare token (.tst)."""
    data = read_input(path, max_bytes=MAX_TOKEN_BYTES)
    try:
        return decode_response(data)
    except DecodeError as error:
        try:
            return decode_token(data)
        except DecodeError:
            # What the authority said instead of a token is its own word.
            why = (
                error.message
                if error.error_code == "rejected"
                else f"it is no timestamp response (.tsr) and no token (.tst): {error.message}; name the file "
                "that `chainnode timestamp` or another RFC 3161 client wrote"
            )
            raise DecodeError(f"{path}: {why}", code=error.error_code, field=error.field) from error


def signer_of(token: Token, file: Path | None) -> X509Certificate:
    """Return the certificate of a token's unit: the token's own, else the one in `file`. Raises DecodeError: there is none."""
    if token.signer is not None:
        return token.signer
    if file is not None:
        found = next((c for c in read_bundle(file) if token.is_signed_as(c)), None)
        if found is not None:
            return found
    raise DecodeError(
        "the token does not bring its certificate along; name it with --certificate (a node gives it at "
        "/tsa/p256.pem, and earlier ones at /tsa/SERIAL.pem)",
        code="no_certificate",
    )


def _report(
    session: Session,
    token: Token,
    certificate: X509Certificate,
    recorded: Recorded | None,
    *,
    files: dict[str, Path],
) -> None:
    serial = parse_serial(token.serial_number)
    accuracy_ms = token.accuracy_ms or 0
    if session.json:
        document: dict[str, Any] = {
            "holds": True,
            "algorithm": token.imprint.algorithm,
            "digest": token.imprint.value.hex(),
            "time_ms": token.time_ms,
            "accuracy_ms": accuracy_ms,
            "serial_number": token.serial_text,
            "policy": token.policy,
            "unit": certificate.subject.text(),
            "index": serial.index,
            "is_checked": recorded is not None,
            "record": None if recorded is None else _record_json(recorded),
        }
        print_json(document | {name: str(path) for name, path in files.items()})
        return
    rows: list[tuple[str, object]] = [
        ("result", "the token holds, and the chain issued it" if recorded else "the token holds"),
        (token.imprint.algorithm, token.imprint.value.hex()),
        ("time", f"{time_text(token.time_ms)}, give or take {accuracy_ms / 1_000:g} s"),
        ("unit", certificate.subject.text()),
        ("serial number", token.serial_text),
        ("policy", token.policy),
        ("log index", serial.index),
    ]
    if recorded is not None:
        record, verdict = recorded.record, recorded.verdict
        rows += [
            ("block", record.height),
            (
                "certified",
                f"{time_text(record.not_before_ms)} .. {time_text(record.not_after_ms)}",
            ),
            ("entered by", record.account),
            ("log", f"{verdict.checkpoint.origin} size {verdict.checkpoint.size}"),
            ("cosigned by", "\n".join(c.label for c in verdict.cosigners)),
        ]
    print_fields([*rows, *files.items()])


def _record_json(recorded: Recorded) -> dict[str, Json]:
    record, verdict = recorded.record, recorded.verdict
    return {
        "height": record.height,
        "time_ms": record.time_ms,
        "not_before_ms": record.not_before_ms,
        "not_after_ms": record.not_after_ms,
        "account": record.account,
        "tx_id": record.tx_id.hex(),
        "checkpoint": {
            "origin": verdict.checkpoint.origin,
            "size": verdict.checkpoint.size,
            "root": verdict.checkpoint.root.hex(),
        },
        "cosigners": [
            {"name": c.name, "suite": c.suite, "time_s": c.time_s} for c in verdict.cosigners
        ],
    }
