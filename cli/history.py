"""`chainnode history`: a document's versions, owners, annotations and withdrawal on one timeline, each line checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import click

from chainnode.keystore.files import PUBLIC, write_new_file
from chainnode.model import codec
from chainnode.model.errors import DecodeError, NotFound
from chainnode.model.marks import parse_mark, verify_mark
from chainnode.model.merkle import leaf_hash, verify_inclusion
from chainnode.model.tlog_proof import Proof, parse_proof, verify
from chainnode.rpc.base64_text import from_base64
from cli.command import as_option, pass_session, passphrase_option
from cli.lookup import parse_what
from cli.output import note, print_fields, print_json, print_table, time_text
from cli.proofs import NOT_CHECKED, SUFFIX, fetch_policy, policy_at_hand
from cli.registrations import check_is_about, checked_registration, find_by_digest
from cli.senders import WAIT_MS, chain_domain, find_sender

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainnode.model.commitment import Digest
    from chainnode.model.suites import Suite
    from chainnode.model.tlog_policy import Policy
    from chainnode.rpc.client import RpcClient
    from chainnode.rpc.results import HistoryResult, MarkResult, StatusResult
    from cli.output import Json
    from cli.session import Session

MAX_VERSIONS: Final = 1_000
"""Versions of one document that are followed; who has more asks over RPC."""

_MAX_INDEX_DIGITS: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """What the node knows."""

    status: StatusResult
    lines: list[list[HistoryResult]]
    """Documents, each with its versions, the oldest first."""

    extras: dict[int, bytes]
    """By log index, `extra` of the proof of each registration and mark."""

    proofs: dict[int, Proof]
    policy: Policy | None


@click.command()
@click.argument("what", metavar="FILE|DIGEST|RECORD")
@click.option("--anonymous", is_flag=True, help="Ask without an account: public ones only.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write the proof of each registration and mark there, as INDEX.tlog-proof.",
)
@as_option
@passphrase_option
@pass_session
def history(
    session: Session,
    *,
    what: str,
    anonymous: bool,
    out: Path | None,
    as_account: str | None,
    passphrase_file: Path | None,
) -> None:
    """Show what became of FILE, of DIGEST in hex, or of the RECORD of that log index.

    Versions are followed in both directions. Every line is proven to be in the log before it is shown.
    """
    index, digests = _parse(what)
    member = None
    if not anonymous and (as_account is not None or session.config().account is not None):
        member = find_sender(session, as_account, passphrase_file).member()
    genesis, kept = session.genesis_if_any(), policy_at_hand(session)

    async def ask(node: RpcClient) -> _Answer:
        status = await node.chain_status()
        if index is None:
            found = await find_by_digest(node, digests)
            wanted = sorted(found.records)
        else:
            wanted = [index]
        lines: list[list[HistoryResult]] = []
        seen: set[int] = set()
        for start in wanted:
            if start not in seen:
                lines.append(await _versions(node, start))
                seen |= {version["record"]["index"] for version in lines[-1]}
        extras = _checked(lines, wanted, digests, chain_domain(status, genesis).suite)
        proofs = {i: await _fetch_proof(node, i, extra) for i, extra in sorted(extras.items())}
        policy = await fetch_policy(node, genesis, kept)
        return _Answer(status=status, lines=lines, extras=extras, proofs=proofs, policy=policy)

    answer = session.ask(ask, member=member)
    if not answer.lines:
        seen = "" if member is not None else "public "
        raise NotFound(f"no {seen}registration of {what} is known to this node")
    if answer.policy is None:
        note(NOT_CHECKED)
    suite = chain_domain(answer.status, genesis).suite
    for proof in answer.proofs.values():
        _check_in_log(proof, answer.policy, suite)
        if out is not None:
            write_new_file(out / f"{proof.index}{SUFFIX}", proof.encode(), mode=PUBLIC)
    if session.json:
        print_json({"documents": [{"versions": cast("Json", line)} for line in answer.lines]})
    else:
        _print(answer.lines)


def _parse(what: str) -> tuple[int | None, tuple[Digest, ...]]:
    is_number = what.isascii() and what.isdigit() and len(what) <= _MAX_INDEX_DIGITS
    if is_number and not Path(what).exists():
        return int(what), ()
    return None, parse_what(what)


async def _versions(node: RpcClient, start: int) -> list[HistoryResult]:
    """Return all versions of the document of a record, the oldest first."""
    versions = [await _whole(node, start)]
    seen = {start}

    def is_new(index: int | None) -> bool:
        return index is not None and index not in seen and len(seen) < MAX_VERSIONS

    while is_new(before := versions[0]["predecessor_index"]):
        versions.insert(0, await _whole(node, cast("int", before)))
        seen.add(cast("int", before))
    while is_new(after := versions[-1]["successor_index"]):
        versions.append(await _whole(node, cast("int", after)))
        seen.add(cast("int", after))
    return versions


async def _whole(node: RpcClient, index: int) -> HistoryResult:
    """Return a registration's history with all of its marks."""
    found = await node.notary_history(index)
    page = found
    while page["next_after"] is not None:
        page = await node.notary_history(index, after=page["next_after"])
        if not page["marks"]:
            break
        found["marks"] += page["marks"]
    return found


def _checked(
    lines: Sequence[Sequence[HistoryResult]],
    wanted: Sequence[int],
    digests: Sequence[Digest],
    suite: Suite,
) -> dict[int, bytes]:
    """Return `extra` of each registration and mark, all of which are what they claim to be about."""
    extras: dict[int, bytes] = {}
    for version in (version for line in lines for version in line):
        record = version["record"]
        notarization = checked_registration(record, suite)
        if digests and record["index"] in wanted:
            check_is_about(record, notarization, digests)
        extras[record["index"]] = notarization.extra()
        for result in version["marks"]:
            opening = codec.decode(from_base64(result["opening"]), max_bytes=4_096)
            extra = codec.encode((from_base64(result["leaf"]), opening))
            verify_mark(suite, parse_mark(extra))
            extras[result["index"]] = extra
    return extras


async def _fetch_proof(node: RpcClient, index: int, extra: bytes) -> Proof:
    answer = await node.log_proof(index, wait_ms=WAIT_MS)
    bare = parse_proof(answer["proof"].encode("utf-8", "replace"))
    if bare.index != index:
        raise DecodeError(
            f"the node proved record {bare.index} instead of {index}", code="bad_answer"
        )
    return Proof(
        extra=extra, index=index, hashes=bare.hashes, note=bare.note, checkpoint=bare.checkpoint
    )


def _check_in_log(proof: Proof, policy: Policy | None, suite: Suite) -> None:
    leaf_value, _ = codec.decode_array(proof.extra or b"", max_bytes=65_536, arity=2, what="extra")
    leaf = codec.binary(leaf_value, "leaf")
    if policy is not None:
        verify(proof, leaf, policy)
        return
    checkpoint = proof.checkpoint
    verify_inclusion(
        suite, leaf_hash(suite, leaf), proof.index, checkpoint.size, proof.hashes, checkpoint.root
    )


def _print(lines: Sequence[Sequence[HistoryResult]]) -> None:
    for place, line in enumerate(lines, 1):
        if len(lines) > 1:
            click.echo("" if place == 1 else "\n", nl=False)
            click.echo(
                f"registration {place} of {len(lines)}; nobody has said that it follows another"
            )
        for number, version in enumerate(line, 1):
            if number > 1 or len(lines) > 1:
                click.echo()
            _print_version(version, number, len(line))


def _print_version(version: HistoryResult, number: int, of: int) -> None:
    record, gone = version["record"], version["withdrawn"]
    rows: list[tuple[str, object]] = [
        ("version", f"{number} of {of}"),
        ("log index", record["index"]),
        ("block", record["height"]),
        ("time", time_text(record["time_ms"])),
        ("registered by", record["account"]),
        ("owners", ", ".join(version["owners"])),
        ("withdrawn", "no" if gone is None else f"{gone['code']}, by {gone['account']}"),
        ("superseded", "yes" if version["successor"] is not None else "no"),
    ]
    if record["title"] is not None:
        rows.insert(1, ("title", record["title"]))
    if version["offered"]:
        rows.append(("offered to", ", ".join(version["offered"])))
    print_fields(rows)
    if version["marks"]:
        click.echo()
        print_table(
            ("time", "block", "log index", "account", "mark", "details"),
            [
                (
                    time_text(mark["time_ms"]),
                    mark["height"],
                    mark["index"],
                    mark["account"],
                    mark["event"],
                    _details(mark, version),
                )
                for mark in version["marks"]
            ],
        )


def _details(mark: MarkResult, version: HistoryResult) -> str:
    said = [mark["code"], mark["order"], mark["note"], mark["to_account"]]
    if mark["note_hash"] is not None:
        said.append(f"note {mark['note_hash']}")
    if mark["successor"] is not None:
        own = version["record"]
        about = mark["about"]
        is_own = (about["tx_id"], about["call"], about["item"]) == (
            own["tx_id"],
            own["call"],
            own["item"],
        )
        said.append("by the next version" if is_own else "the version before, by this one")
    return "; ".join(word for word in said if word) or "-"
