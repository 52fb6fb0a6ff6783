"""`chainnode notarize`: enter documents into the log, and keep the proof of each beside it.

The files are hashed here and stay here. What a node answers is checked before anything is written: the leaf, which is made
here of our own digests under our own salt, must be in the tree of the checkpoint, and, where the home has a genesis or a
policy, that checkpoint must bear the signatures of a quorum.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chainnode.client.lists import most_documents
from chainnode.client.proving import fetch_evidence, fetch_header, registered
from chainnode.clock import SystemClock
from chainnode.keystore.files import PUBLIC, write_new_file
from chainnode.keystore.randomness import fresh_seed
from chainnode.model.calls import Document, register_documents
from chainnode.model.commitment import PUBLIC_SALT, Opening, derive_salt
from chainnode.model.errors import ChainError, DecodeError, Refused, Unavailable
from chainnode.model.limits import MAX_TITLE_BYTES
from chainnode.model.mark_calls import supersede_by_first
from cli.algorithms import choose_algorithms
from cli.capture import CAPTURE_SUFFIX, gather, read_capture
from cli.command import as_option, pass_session, passphrase_option
from cli.exit_status import ExitStatus
from cli.folder.command import check_folder_arguments, notarize_folder
from cli.folder.run import FolderOrder
from cli.hashing import digests_of_file
from cli.output import note, print_fields, print_json, time_text
from cli.proofs import (
    NOT_CHECKED,
    SUFFIX,
    check_proof,
    fetch_policy,
    policy_at_hand,
)
from cli.record import named_record
from cli.senders import WAIT_MS, Sender, find_sender, shown_tip, submit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chainnode.client.proving import ProvenDocument
    from chainnode.model.capture import Capture
    from chainnode.model.genesis import Genesis
    from chainnode.model.suites import Suite
    from chainnode.model.tlog_policy import Policy
    from chainnode.model.transaction import Transaction
    from chainnode.rpc.client import RpcClient
    from cli.output import Json
    from cli.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """A file to be notarized."""

    path: Path
    target: Path
    """Where its proof goes."""

    document: Document
    """Without the hash of the capture record, which is by the chain's own hash."""

    capture: Capture | None
    capture_file: Path | None
    """Where the capture record is written to, if it was gathered here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    """Files that go into one transaction."""

    orders: tuple[_Order, ...]
    seed: bytes | None
    documents: tuple[Document, ...]
    """In the order of the files."""

    transaction: Transaction

    def openings(self, suite: Suite) -> Iterator[tuple[Opening, bytes | None]]:
        """Yield what opens each document's commitment, and the hash of its metadata."""
        for item, document in enumerate(self.documents):
            salt = PUBLIC_SALT if self.seed is None else derive_salt(suite, self.seed, item)
            yield Opening(salt=salt, digests=document.digests), document.metadata_hash


@dataclass(frozen=True, slots=True, kw_only=True)
class _Done:
    """A file that is notarized."""

    order: _Order
    proven: ProvenDocument
    latency_ms: int
    """From submission to the cosigned proof."""


@click.command()
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE..."
)
@click.option(
    "--public", is_flag=True, help="Let anybody who has the document search the log for it."
)
@click.option("--title", help="A title for members to read; never enters the log.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder for the proofs.  [default: beside each file]",
)
@click.option(
    "--previous",
    type=click.Path(path_type=Path),
    metavar="PROOF",
    help="The version before: FILE supersedes its record, in the same transaction.",
)
@click.option(
    "--context",
    type=click.Path(path_type=Path),
    metavar="CAPTURE",
    help="A capture record (JSON) of the circumstances in which FILE was taken; its hash is registered too.",
)
@click.option(
    "--capture",
    is_flag=True,
    help="Gather into FILE.capture.json what this machine knows of the circumstances; its hash is registered too.",
)
@click.option(
    "-r",
    "--recursive",
    is_flag=True,
    help="FILE is a folder: notarize all files in it and below, and go on where an earlier run stopped.",
)
@click.option("--skip-hidden", is_flag=True, help="With -r: pass over what begins with a dot.")
@as_option
@passphrase_option
@pass_session
def notarize(
    session: Session,
    *,
    files: tuple[Path, ...],
    public: bool,
    title: str | None,
    out: Path | None,
    previous: Path | None,
    context: Path | None,
    capture: bool,
    recursive: bool,
    skip_hidden: bool,
    as_account: str | None,
    passphrase_file: Path | None,
) -> int:
    """Notarize each FILE and write its proof to FILE.tlog-proof.

    An existing proof is never overwritten: then nothing is sent. `chainnode refresh` renews a proof.

    With -r FILE is a folder. Proofs go beside the files, or with --out into a folder that mirrors it, together with
    a manifest that `chainnode verify FOLDER --manifest` and `sha256sum -c` check. Run again after whatever stopped
    it; nothing is registered twice.
    """
    if title is not None and not 1 <= len(title.encode("utf-8", "replace")) <= MAX_TITLE_BYTES:
        raise DecodeError(f"--title: expected 1 to {MAX_TITLE_BYTES} bytes of UTF-8", field="title")
    if recursive:
        if previous is not None or context is not None or capture:
            raise click.UsageError(
                "--previous, --context and --capture are about single files, not folders"
            )
        root = check_folder_arguments(files)
        order = FolderOrder(
            root=root,
            out=root if out is None else out,
            skip_hidden=skip_hidden,
            is_public=public,
            title=title,
            algorithms=choose_algorithms(session),
        )
        return notarize_folder(
            session, order, as_account=as_account, passphrase_file=passphrase_file
        )
    if previous is not None and len(files) != 1:
        raise click.UsageError("--previous: expected one FILE, which is the version after")
    targets = _targets(files, out)
    if context is not None and capture:
        raise click.UsageError("--context and --capture: found both; expected one")
    given = None if context is None else read_capture(context)
    captures = [_capture_file(target) if capture else None for target in targets]
    algorithms, account = choose_algorithms(session), as_account or session.config().account
    orders = [
        _Order(
            path=path,
            target=target,
            document=Document(digests=digests_of_file(path, algorithms), title=title),
            capture=given if capture_file is None else gather(path, account),
            capture_file=capture_file,
        )
        for path, target, capture_file in zip(files, targets, captures, strict=True)
    ]
    for folder in {target.parent for target in targets}:
        _check_writable(folder)
    sender = find_sender(session, as_account, passphrase_file)
    tip_height = shown_tip(session)
    batches = [
        _sign(sender, part, tip_height, is_public=public, previous=previous)
        for part in _parts(orders, sender.domain.suite)
    ]
    genesis, kept = session.genesis_if_any(), policy_at_hand(session)
    if genesis is None and kept is None:
        note(NOT_CHECKED)
    done: list[_Done] = []
    for batch in batches:
        # Before anything is sent: a record that commits to a capture record which is lost proves nothing of it.
        for one in batch.orders:
            if one.capture is not None and one.capture_file is not None:
                write_new_file(one.capture_file, one.capture.canonical, mode=PUBLIC)
        done += session.ask(_Work(sender, batch, genesis, kept).run)
    _report(session, done)
    return ExitStatus.DONE


def _targets(files: Sequence[Path], out: Path | None) -> list[Path]:
    """Return where each proof goes; refuse before anything is hashed or sent if one cannot go there."""
    targets = [(f.parent if out is None else out) / f"{f.name}{SUFFIX}" for f in files]
    seen: dict[Path, Path] = {}
    for file, target in zip(files, targets, strict=True):
        if target in seen:
            raise DecodeError(
                f"{seen[target]} and {file} would have their proofs in one file, {target}; name each file "
                "once, or notarize them into different folders with --out",
                code="same_target",
            )
        if target.exists():
            raise Refused(
                f"{target} exists and is not overwritten; nothing was sent; renew it with "
                "`chainnode refresh`, move it away, or choose a folder with --out",
                code="exists",
            )
        seen[target] = file
    return targets


def _capture_file(target: Path) -> Path:
    """Return where the capture record of the document of a proof goes. Raises Refused if something is there."""
    path = target.with_name(target.name.removesuffix(SUFFIX) + CAPTURE_SUFFIX)
    if path.exists():
        raise Refused(
            f"{path} exists and is not overwritten; nothing was sent; register it with --context {path}, or "
            "move it away",
            code="exists",
        )
    return path


def _check_writable(folder: Path) -> None:
    """Make the folder if need be, and a file in it that is gone at once: permission bits do not tell the whole truth.

    Raises:
        Refused: proofs could not be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise Refused(
            f"cannot write proofs to {folder}: {error.strerror}; nothing was sent; choose another folder with --out",
            code="unwritable",
        ) from error


def _parts(orders: Sequence[_Order], suite: Suite) -> list[Sequence[_Order]]:
    # The documents of one command are equally long: of the same algorithms, title and circumstances.
    most = most_documents(_registered(orders[0], suite))
    return [orders[i : i + most] for i in range(0, len(orders), most)]


def _registered(order: _Order, suite: Suite) -> Document:
    if order.capture is None:
        return order.document
    return replace(order.document, metadata_hash=order.capture.hash(suite))


def _sign(
    sender: Sender,
    orders: Sequence[_Order],
    tip_height: int,
    *,
    is_public: bool,
    previous: Path | None,
) -> _Batch:
    seed = None if is_public else fresh_seed()
    suite = sender.domain.suite
    documents = tuple(_registered(order, suite) for order in orders)
    calls = [register_documents(documents, seed=seed)]
    if previous is not None:
        salt = PUBLIC_SALT if seed is None else derive_salt(suite, seed, 0)
        calls.append(
            supersede_by_first(named_record(previous, sender), account=sender.account, salt=salt)
        )
    return _Batch(
        orders=tuple(orders),
        seed=seed,
        documents=documents,
        transaction=sender.sign(calls, tip_height=tip_height),
    )


class _Work:
    """Submits one transaction, and fetches, checks and writes the proof of each of its records."""

    def __init__(
        self,
        sender: Sender,
        batch: _Batch,
        genesis: Genesis | None,
        kept: Policy | None,
    ) -> None:
        self._sender, self._batch = sender, batch
        self._genesis, self._kept = genesis, kept

    async def run(self, node: RpcClient) -> list[_Done]:
        """Return the files that are notarized; their proofs are on disk."""
        clock, orders = SystemClock(), self._batch.orders
        begun_ms = clock.monotonic_ms()
        result = await submit(node, self._batch.transaction)
        receipt, height = result["receipt"], result["height"]
        # The first call leaves a record for each document, each other one a single record.
        expected = len(orders) + len(self._batch.transaction.body.calls) - 1
        if receipt is None or height is None or receipt["record_count"] != expected:
            raise DecodeError(
                f"the node's receipt is not about {len(orders)} documents", code="bad_answer"
            )
        try:
            return await self._collect(node, height, receipt["first_record"], begun_ms)
        except Unavailable as error:
            raise Unavailable(
                _without_proofs(error, height),
                code=error.error_code,
                retry_after_ms=error.retry_after_ms,
            ) from error
        except ChainError as error:
            # A disk that filled up meanwhile, say.
            if error.error_code not in {"file_error", "exists"}:
                raise
            raise ChainError(_without_proofs(error, height), code=error.error_code) from error

    async def _collect(
        self, node: RpcClient, height: int, first: int, begun_ms: int
    ) -> list[_Done]:
        clock, orders, suite = SystemClock(), self._batch.orders, self._sender.domain.suite
        records = registered(
            suite,
            await fetch_header(node, height),
            tx_id=self._batch.transaction.id,
            account=self._sender.account,
            documents=self._batch.openings(suite),
        )
        evidence = await fetch_evidence(node, first, len(orders), wait_ms=WAIT_MS)
        # After the decision, so that a change of validators just before it is seen.
        policy = await fetch_policy(node, self._genesis, self._kept)
        done: list[_Done] = []
        for order, proven in zip(orders, evidence.prove(suite, first, records), strict=True):
            if not done:
                # The signatures are those of the one checkpoint, so judging one proof judges all.
                check_proof(proven.proof, proven.notarization, policy, suite)
            write_new_file(order.target, proven.encode(), mode=PUBLIC)
            latency_ms = clock.monotonic_ms() - begun_ms
            done.append(_Done(order=order, proven=proven, latency_ms=latency_ms))
        return done


def _without_proofs(error: ChainError, height: int) -> str:
    return (
        f"{error.message}; the documents are in block {height}: do not send them again, "
        "get their proofs with `chainnode lookup FILE --out DIR`"
    )


def _report(session: Session, done: Sequence[_Done]) -> None:
    if session.json:
        print_json({"notarized": [_as_json(d) for d in done]})
        return
    for number, d in enumerate(done):
        if number:
            click.echo()
        record = d.proven.notarization.record
        print_fields(
            [
                ("file", d.order.path),
                *((digest.algorithm, digest.value.hex()) for digest in d.order.document.digests),
                ("block", record.height),
                ("log index", d.proven.index),
                ("time", time_text(record.time_ms)),
                (
                    "certified",
                    f"{time_text(record.not_before_ms)} .. {time_text(record.not_after_ms)}",
                ),
                ("transaction", record.tx_id.hex()),
                ("latency", f"{d.latency_ms} ms"),
                ("proof", d.order.target),
                *([] if d.order.capture_file is None else [("capture", d.order.capture_file)]),
            ]
        )


def _as_json(d: _Done) -> Json:
    record = d.proven.notarization.record
    return {
        "file": str(d.order.path),
        "proof": str(d.order.target),
        "capture": None if d.order.capture_file is None else str(d.order.capture_file),
        "digests": {x.algorithm: x.value.hex() for x in d.order.document.digests},
        "height": record.height,
        "index": d.proven.index,
        "time_ms": record.time_ms,
        "not_before_ms": record.not_before_ms,
        "not_after_ms": record.not_after_ms,
        "tx_id": record.tx_id.hex(),
        "account": record.account,
        "is_public": d.proven.notarization.is_public,
        "latency_ms": d.latency_ms,
    }
