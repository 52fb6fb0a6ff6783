"""`chainnode lookup`: every record of a document, a digest, an owner or a time that the caller may see."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from chainnode.keystore.files import PUBLIC, write_new_file
from chainnode.model.commitment import DIGEST_BYTES, Digest
from chainnode.model.errors import DecodeError, NotFound
from chainnode.model.ids import check_account_name, check_name
from cli.command import as_option, pass_session, passphrase_option
from cli.hashing import digests_of_file
from cli.output import note, print_fields, print_json, time_text
from cli.proofs import (
    NOT_CHECKED,
    SUFFIX,
    check_proof,
    complete_proof,
    fetch_policy,
    policy_at_hand,
)
from cli.registrations import (
    check_is_about,
    checked_registration,
    find_by_digest,
    find_by_owner,
)
from cli.senders import WAIT_MS, chain_domain, find_sender
from cli.times import parse_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainnode.model.notarization import Notarization
    from chainnode.model.suites import Suite
    from chainnode.model.tlog_policy import Policy
    from chainnode.rpc.client import RpcClient
    from chainnode.rpc.results import NotaryRecordResult, ProofResult, StatusResult
    from cli.output import Json
    from cli.registrations import Registrations
    from cli.session import Session

_BY_LENGTH: Final = {DIGEST_BYTES[name]: name for name in ("sha256", "sha384", "sha512")}
"""What a digest is of that comes without the name of its algorithm."""


@click.command()
@click.argument("what", metavar="[FILE|DIGEST]", required=False)
@click.option(
    "--owner",
    metavar="NAME",
    help="Instead: what organisation/account owns, or all accounts of an organisation.",
)
@click.option(
    "--since",
    type=parse_time,
    metavar="TIME",
    help="Instead, or of an owner: from that block time on.",
)
@click.option(
    "--until",
    type=parse_time,
    metavar="TIME",
    help="Instead, or of an owner: before that block time.",
)
@click.option(
    "--after",
    type=click.IntRange(min=0),
    metavar="INDEX",
    help="Go on after that log index, as the answer before says.",
)
@click.option(
    "--anonymous", is_flag=True, help="Ask without an account: public registrations only."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write each record's proof there, as INDEX.tlog-proof: for proofs that were lost.",
)
@as_option
@passphrase_option
@pass_session
def lookup(
    session: Session,
    *,
    what: str | None,
    owner: str | None,
    since: int | None,
    until: int | None,
    after: int | None,
    anonymous: bool,
    out: Path | None,
    as_account: str | None,
    passphrase_file: Path | None,
) -> None:
    """List every record of FILE, or of DIGEST in hex (sm3:HEX if it is not of the SHA-2 family), or by owner and time.

    Members see blinded registrations too; without an account only public ones are found.
    """
    selects = (owner, since, until) != (None, None, None)
    if (what is not None) == selects or (after is not None and not selects):
        raise click.UsageError(
            "expected either FILE or DIGEST, or --owner, --since, --until with --after"
        )
    digests = () if what is None else parse_what(what)
    if owner is not None:
        check_owner(owner)
    member = None
    if not anonymous and (as_account is not None or session.config().account is not None):
        member = find_sender(session, as_account, passphrase_file).member()

    async def ask(node: RpcClient) -> tuple[StatusResult, Registrations]:
        status = await node.chain_status()
        if what is not None:
            return status, await find_by_digest(node, digests)
        return status, await find_by_owner(
            node, owner=owner, from_ms=since, until_ms=until, after=after
        )

    status, found = session.ask(ask, member=member)
    suite = chain_domain(status, session.genesis_if_any()).suite
    records = list(found.records.values())
    checked = [checked_registration(record, suite) for record in records]
    if digests:
        for record, notarization in zip(records, checked, strict=True):
            check_is_about(record, notarization, digests)
    if not records:
        seen = "" if found.as_member else "public "
        raise NotFound(
            f"no {seen}registration of {what or 'that owner and time'} is known to this node"
            + ("" if found.as_member else "; a member's account (--as) would see blinded ones too"),
            code="not_found",
        )
    if out is not None:
        _write_proofs(session, records, checked, suite, out)
    _report(session, records, found)


def check_owner(name: str) -> None:
    """Raise DecodeError unless `name` can be that of an account or an organisation."""
    if "/" in name:
        check_account_name(name, "--owner")
    else:
        check_name(name, "--owner")


def _write_proofs(
    session: Session,
    records: Sequence[NotaryRecordResult],
    checked: Sequence[Notarization],
    suite: Suite,
    out: Path,
) -> None:
    genesis, kept = session.genesis_if_any(), policy_at_hand(session)

    async def ask(node: RpcClient) -> tuple[list[ProofResult], Policy | None]:
        answers = [await node.log_proof(record["index"], wait_ms=WAIT_MS) for record in records]
        return answers, await fetch_policy(node, genesis, kept)

    answers, policy = session.ask(ask)
    if policy is None:
        note(NOT_CHECKED)
    for answer, notarization in zip(answers, checked, strict=True):
        proof = complete_proof(answer, notarization)
        check_proof(proof, notarization, policy, suite)
        target = out / f"{proof.index}{SUFFIX}"
        write_new_file(target, proof.encode(), mode=PUBLIC)
        note(f"proof of record {proof.index}: {target}")


def parse_what(what: str) -> tuple[Digest, ...]:
    """Return the digests of a file, or the digest that the argument is.

    Raises:
        DecodeError: neither a readable file nor a digest.
    """
    path = Path(what)
    try:
        is_file = path.exists()
    except OSError:
        # Longer than the name of any file, perhaps; it may still be a digest, with too many digits.
        is_file = False
    if is_file:
        return digests_of_file(path)
    algorithm, colon, text = what.rpartition(":")
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if not colon:
        algorithm = _BY_LENGTH.get(len(value), "sha256")
    if len(value) != DIGEST_BYTES.get(algorithm):
        raise DecodeError(
            f"found {what[:160]!r}, which is no file and no digest; expected a file, or 64, 96 or 128 "
            "hex digits, with sm3: before them if they are of SM3",
            code="bad_digest",
            field="digest",
        )
    return (Digest(algorithm=algorithm, value=value),)


def _report(session: Session, records: Sequence[NotaryRecordResult], found: Registrations) -> None:
    if session.json:
        documents: list[Json] = [_as_json(record) for record in records]
        print_json(
            {
                "records": documents,
                "next_after": found.next_after,
                "as_member": found.as_member,
            }
        )
        return
    for number, record in enumerate(records):
        if number:
            click.echo()
        rows: list[tuple[str, object]] = [
            ("log index", record["index"]),
            ("block", record["height"]),
            ("time", time_text(record["time_ms"])),
            ("account", record["account"]),
            ("public", "yes" if record["is_public"] else "no"),
            ("transaction", f"{record['tx_id']} call {record['call']} item {record['item']}"),
        ]
        if record["withdrawn"] is not None:
            rows.append(("withdrawn", record["withdrawn"]))
        if record["is_superseded"]:
            rows.append(("superseded", "yes; `chainnode history` shows the newer version"))
        if record["title"] is not None:
            rows.append(("title", record["title"]))
        print_fields(rows)
    if found.next_after is not None:
        note(f"note: there may be more; go on with --after {found.next_after}")
    if not found.as_member:
        note(
            "note: public registrations only; a member's account (--as) would see blinded ones too"
        )


def _as_json(record: NotaryRecordResult) -> Json:
    return {
        "index": record["index"],
        "height": record["height"],
        "time_ms": record["time_ms"],
        "account": record["account"],
        "tx_id": record["tx_id"],
        "call": record["call"],
        "item": record["item"],
        "title": record["title"],
        "metadata_hash": record["metadata_hash"],
        "is_public": record["is_public"],
        "withdrawn": record["withdrawn"],
        "is_superseded": record["is_superseded"],
        "leaf": record["leaf"],
        "opening": record["opening"],
    }
