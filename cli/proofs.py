"""Proofs of records as commands handle them: fetched, completed, checked, written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from chainnode.client.trusted_chain import follow
from chainnode.keystore.files import OWNER_ONLY, PUBLIC, replace_file
from chainnode.model.errors import CannotTell, ChainError, DecodeError, Refused
from chainnode.model.merkle import leaf_hash, verify_inclusion
from chainnode.model.notarization import (
    Notarization,
    digest_map,
    parse_notarization,
    verify_commitment,
    verify_notarization,
)
from chainnode.model.tlog_policy import MAX_POLICY_BYTES, Policy, parse_policy
from chainnode.model.tlog_proof import MAX_PROOF_BYTES, Proof, parse_proof
from chainnode.rpc.base64_text import from_base64
from cli.session import Session, read_input

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from chainnode.model.genesis import Genesis
    from chainnode.model.suites import Suite
    from chainnode.rpc.client import RpcClient
    from chainnode.rpc.results import ProofResult

Parsed = TypeVar("Parsed")

POLICY_FILE = "policy"
SUFFIX = ".tlog-proof"


def not_checked(command: str) -> str:
    """Return what a person is told where a proof is written without a trust anchor: which command checks it."""
    return (
        "note: the home has neither genesis nor policy, so the signatures are not checked here; "
        f"`chainnode {command}` does that"
    )


NOT_CHECKED = not_checked("verify")
"""Of a document's proof."""


def read_proof(path: Path) -> Proof:
    """Return the proof in a file. Raises DecodeError that names the file, and what to name instead."""
    return interpret_input(path, parse_proof, max_bytes=MAX_PROOF_BYTES, instead=_INSTEAD_OF_PROOF)


def read_notarization(path: Path) -> tuple[Proof, Notarization]:
    """Return the proof of a document's record in a file, and what it says. Raises DecodeError as `read_proof`."""

    def parse(data: bytes) -> tuple[Proof, Notarization]:
        proof = parse_proof(data)
        return proof, parse_notarization(proof.extra)

    return interpret_input(path, parse, max_bytes=MAX_PROOF_BYTES, instead=_INSTEAD_OF_PROOF)


def read_policy(path: Path) -> Policy:
    """Return the policy in a file. Raises DecodeError that names the file, and what to name instead."""
    return interpret_input(
        path,
        parse_policy,
        max_bytes=MAX_POLICY_BYTES,
        instead="a policy is what `chainnode policy` writes; get the chain's from a source that you trust",
    )


_INSTEAD_OF_PROOF: Final = (
    "name the .tlog-proof that `chainnode notarize` wrote beside the document"
)


def interpret_input(
    path: Path, parse: Callable[[bytes], Parsed], *, max_bytes: int, instead: str
) -> Parsed:
    """Return what `parse` makes of a file that the user named.

    Args:
        path: the file.
        parse: raises DecodeError of what is something else.
        max_bytes: as of `read_input`.
        instead: what the user may have meant, for that error.

    Raises:
        DecodeError: it cannot be read, or is something else; names the file.
    """
    data = read_input(path, max_bytes=max_bytes)
    try:
        return parse(data)
    except DecodeError as error:
        raise DecodeError(
            f"{path}: {error.message}; {instead}", code=error.error_code, field=error.field
        ) from error


def policy_at_hand(session: Session) -> Policy | None:
    """Return the policy in the home, or None if it has none."""
    path = session.home / POLICY_FILE
    return read_policy(path) if path.exists() else None


async def fetch_policy(
    node: RpcClient, genesis: Genesis | None, kept: Policy | None
) -> Policy | None:
    """Return the policy to check new proofs by: today's, from genesis, else the one that the home keeps."""
    return kept if genesis is None else (await follow(node, genesis, None)).policy(genesis)


def complete_proof(answer: ProofResult, notarization: Notarization) -> Proof:
    """Return the node's proof with `extra`, so that it says what it is about.

    Raises:
        DecodeError: the node's answer is malformed, or about another leaf.
    """
    if from_base64(answer["leaf"]) != notarization.leaf:
        raise DecodeError(
            "the node's proof is about another record than the one asked for", code="bad_answer"
        )
    bare = parse_proof(answer["proof"].encode("utf-8", "replace"))
    return Proof(
        extra=notarization.extra(),
        index=bare.index,
        hashes=bare.hashes,
        note=bare.note,
        checkpoint=bare.checkpoint,
    )


def check_proof(
    proof: Proof, notarization: Notarization, policy: Policy | None, suite: Suite
) -> None:
    """Check a proof that a node just gave: against the policy if there is one, else its arithmetic only.

    Raises:
        ProofInvalid, CannotTell, DecodeError: as `verify_notarization`.
    """
    if policy is not None:
        # The opening's digests are our own here, so the check goes against themselves.
        found = digest_map(notarization.opening.digests)
        verify_notarization(proof, policy, notarization, found)
        return
    verify_commitment(suite, notarization)
    leaf, checkpoint = leaf_hash(suite, notarization.leaf), proof.checkpoint
    verify_inclusion(suite, leaf, proof.index, checkpoint.size, proof.hashes, checkpoint.root)


def check_no_loss(old: Proof, new: Proof, notarization: Notarization, kept: Policy | None) -> None:
    """Check that a proof which the home's policy accepts is not replaced by one with too few cosignatures for it.

    Raises:
        CannotTell: with code `would_lose_cosignatures`.
    """
    if kept is None or _objection(old, kept, notarization) is not None:
        return
    error = _objection(new, kept, notarization)
    if error is not None and error.error_code == "too_few_cosignatures":
        raise CannotTell(
            f"the node's proof lacks cosignatures that the home's policy asks for and the old one has: {error.message}; "
            "nothing was changed: try again later or at another node, or write it elsewhere with --out",
            code="would_lose_cosignatures",
        )


def _objection(proof: Proof, policy: Policy, notarization: Notarization) -> ChainError | None:
    """Return why a policy does not accept a proof, or None if it does."""
    try:
        verify_notarization(proof, policy, notarization, digest_map(notarization.opening.digests))
    except ChainError as error:
        return error
    return None


def check_free(target: Path) -> None:
    """Refuse before anything is done if a file that `--out` names, or its default, is there."""
    if target.exists():
        raise Refused(
            f"{target} exists and is not overwritten; nothing was done; name another place with --out",
            code="exists",
        )


def write_result(path: Path, content: bytes) -> None:
    """Write what a command made, in place of an older file if there is one; a crash leaves the old one or the new one.

    Raises:
        DecodeError: it cannot be written.
    """
    _replace(path, content, PUBLIC)


def replace_secret_file(path: Path, content: bytes) -> None:
    """Replace a file that nobody but its owner can open; else as `write_result`."""
    _replace(path, content, OWNER_ONLY)


def _replace(path: Path, content: bytes, mode: int) -> None:
    try:
        replace_file(path, content, mode=mode)
    except ChainError as error:
        raise DecodeError(error.message, code="unwritable") from error
