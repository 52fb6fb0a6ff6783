"""`chainnode record`: what owners and administrators say of a record afterwards; the record itself never changes.

A record is named by its proof, which holds what finds its marks: nothing but the mark itself is asked of a node.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from chainnode.model import mark_calls
from chainnode.model.errors import DecodeError, Refused
from chainnode.model.limits import MAX_NOTE_BYTES
from chainnode.model.mark_calls import WITHDRAWAL_CODES, SaltedRecord
from chainnode.model.marks import reference_of
from chainnode.model.proven_state import parse_proven_state, verify_proven_state
from cli.acting import Acting, act, acting
from cli.command import parse_account, pass_session
from cli.hashing import digests_of_file
from cli.marks import marks_json, marks_rows
from cli.output import note, print_fields, print_json
from cli.proofs import (
    NOT_CHECKED,
    SUFFIX,
    check_proof,
    fetch_policy,
    policy_at_hand,
    read_notarization,
    write_result,
)
from cli.proven_state import MARKS_SUFFIX, fetch_marks, marks_in
from cli.senders import chain_domain

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainnode.model.tlog_policy import Policy
    from chainnode.rpc.client import RpcClient
    from chainnode.rpc.results import StatusResult
    from cli.proven_state import MarksAnswer
    from cli.senders import Sender
    from cli.session import Session

_HASH_OF_NOTE: Final = {"ed25519-sha256": "sha256", "sm2-sm3": "sm3"}
"""By suite, what the hash of a note's file is of: the chain's own hash."""


@click.group()
def record() -> None:
    """Versions, owners, annotations and withdrawal of notarized documents."""


def _proof_argument(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.argument("proof", metavar="PROOF", type=click.Path(path_type=Path))(command)


def _annotation_options(command: click.decorators.FC) -> click.decorators.FC:
    code = click.option("--code", metavar="WORD", help="A short word; public for ever.")
    note_text = click.option("--note", help="For who can open the record; never enters the log.")
    file = click.option(
        "--note-file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="A file whose hash is recorded; it never leaves the machine.",
    )
    return code(note_text(file(command)))


@record.command()
@click.argument("older", metavar="OLDER_PROOF", type=click.Path(path_type=Path))
@click.argument("newer", metavar="NEWER_PROOF", type=click.Path(path_type=Path))
@acting
def supersede(by: Acting, *, older: Path, newer: Path) -> None:
    """Say that the document of NEWER_PROOF is the version after that of OLDER_PROOF."""
    sender = by.sender()
    old, new = named_record(older, sender), named_record(newer, sender)
    act(by, sender, [mark_calls.supersede(old, new)])


@record.command()
@_proof_argument
@click.option(
    "--reason",
    required=True,
    type=click.Choice(WITHDRAWAL_CODES),
    help="Public for ever, though not which record it is about.",
)
@acting
def withdraw(by: Acting, *, proof: Path, reason: str) -> None:
    """Withdraw the record of PROOF: it stays, and says so."""
    sender = by.sender()
    act(by, sender, [mark_calls.withdraw(named_record(proof, sender), reason)])


@record.command()
@_proof_argument
@_annotation_options
@acting
def annotate(
    by: Acting, *, proof: Path, code: str | None, note: str | None, note_file: Path | None
) -> None:
    """Annotate the record of PROOF, as one of its owners."""
    sender = by.sender()
    call = mark_calls.annotate(
        named_record(proof, sender),
        code=code,
        note=_checked_text(note, "--note"),
        note_hash=_note_hash(note_file, sender),
    )
    act(by, sender, [call])


@record.command("annotate-by-order")
@_proof_argument
@click.option("--order", required=True, help="Which order of which authority.")
@_annotation_options
@acting
def annotate_by_order(
    by: Acting,
    *,
    proof: Path,
    order: str,
    code: str | None,
    note: str | None,
    note_file: Path | None,
) -> None:
    """Annotate the record of PROOF by order of an authority; takes the role admin."""
    sender = by.sender()
    call = mark_calls.annotate_by_order(
        named_record(proof, sender),
        _checked_text(order, "--order") or "",
        code=code,
        note=_checked_text(note, "--note"),
        note_hash=_note_hash(note_file, sender),
    )
    act(by, sender, [call])


@record.command()
@_proof_argument
@click.argument("account", type=parse_account)
@acting
def offer(by: Acting, *, proof: Path, account: str) -> None:
    """Offer ACCOUNT to own the record of PROOF too; it does once it accepts."""
    sender = by.sender()
    act(by, sender, [mark_calls.offer(named_record(proof, sender), account)])


@record.command()
@_proof_argument
@click.argument("account", type=parse_account)
@acting
def retract(by: Acting, *, proof: Path, account: str) -> None:
    """Take the offer to ACCOUNT back."""
    sender = by.sender()
    act(by, sender, [mark_calls.retract(named_record(proof, sender), account)])


@record.command()
@_proof_argument
@acting
def accept(by: Acting, *, proof: Path) -> None:
    """Accept to own the record of PROOF, as was offered."""
    sender = by.sender()
    act(by, sender, [mark_calls.accept(named_record(proof, sender))])


@record.command()
@_proof_argument
@acting
def decline(by: Acting, *, proof: Path) -> None:
    """Decline to own the record of PROOF."""
    sender = by.sender()
    act(by, sender, [mark_calls.decline(named_record(proof, sender))])


@record.command()
@_proof_argument
@acting
def renounce(by: Acting, *, proof: Path) -> None:
    """Cease to own the record of PROOF; another owner must remain."""
    sender = by.sender()
    act(by, sender, [mark_calls.renounce(named_record(proof, sender))])


@record.command()
@_proof_argument
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help=f"Where to; an existing file is replaced.  [default: FILE{MARKS_SUFFIX}, beside PROOF]",
)
@pass_session
def marks(session: Session, proof: Path, out: Path | None) -> None:
    """Prove what the marks of the record of PROOF come to now, for `verify --marks`.

    The answer shows that the record is withdrawn or superseded, or that it is not, as of a block.
    """
    _, notarization = read_notarization(proof)
    genesis, kept = session.genesis_if_any(), policy_at_hand(session)

    async def ask(node: RpcClient) -> tuple[StatusResult, MarksAnswer, Policy | None]:
        status = await node.chain_status()
        answer = await fetch_marks(node, notarization, chain_domain(status, genesis).suite)
        return status, answer, await fetch_policy(node, genesis, kept)

    status, answer, policy = session.ask(ask)
    state = answer.proof
    suite = chain_domain(status, genesis).suite
    if policy is None:
        note(NOT_CHECKED)
    else:
        verify_proven_state(state, policy, parse_proven_state(state.extra))
    known = marks_in(state, notarization, suite)
    target = _marks_file(proof) if out is None else out
    write_result(target, state.encode())
    if session.json:
        print_json({"marks": marks_json(known), "file": str(target)})
    else:
        print_fields([*marks_rows(known), ("file", target)])
    answer.note_what_is_not_proven(known)


def named_record(path: Path, sender: Sender) -> SaltedRecord:
    """Return what names the record of a proof, which must be of the sender's chain.

    Raises:
        DecodeError, ProofInvalid: the file is no proof, or what it holds does not fit together.
        Refused: with code `other_chain`.
    """
    proof, notarization = read_notarization(path)
    if proof.checkpoint.origin != sender.chain_id:
        raise Refused(
            f"{path} is of the chain {proof.checkpoint.origin}; the node is of {sender.chain_id}",
            code="other_chain",
        )
    check_proof(proof, notarization, None, sender.domain.suite)
    return SaltedRecord(reference=reference_of(notarization.record), salt=notarization.opening.salt)


def _marks_file(proof: Path) -> Path:
    return proof.with_name(proof.name.removesuffix(SUFFIX) + MARKS_SUFFIX)


def _checked_text(text: str | None, option: str) -> str | None:
    if text is not None and not 1 <= len(text.encode("utf-8", "replace")) <= MAX_NOTE_BYTES:
        raise DecodeError(f"{option}: expected 1 to {MAX_NOTE_BYTES} bytes of UTF-8", field=option)
    return text


def _note_hash(path: Path | None, sender: Sender) -> bytes | None:
    if path is None:
        return None
    (digest,) = digests_of_file(path, [_HASH_OF_NOTE[sender.domain.suite.name]])
    return digest.value
