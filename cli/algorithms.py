"""`chainnode algorithms`: which digest algorithms the alliance takes, and how that is changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import click

from chainnode.client.digesting import DEFAULT_ALGORITHMS
from chainnode.model import calls
from chainnode.model.algorithms import AlgorithmStatus
from chainnode.model.commitment import DIGEST_BYTES
from chainnode.model.errors import Refused
from cli.acting import Acting, act, acting
from cli.command import pass_session
from cli.output import note, print_json, print_table

if TYPE_CHECKING:
    from chainnode.rpc.client import RpcClient
    from chainnode.rpc.results import AlgorithmListResult
    from cli.output import Json
    from cli.session import Session


@click.group()
def algorithms() -> None:
    """Digest algorithms, and which of them the alliance takes."""


def _name_argument(command: click.decorators.FC) -> click.decorators.FC:
    return click.argument("name", metavar="ALGORITHM", type=click.Choice(sorted(DIGEST_BYTES)))(
        command
    )


@algorithms.command("list")
@pass_session
def algorithms_list(session: Session) -> None:
    """List all algorithms with their status in the next block."""
    found = _ask(session)
    if session.json:
        print_json(cast("Json", found))
        return
    print_table(
        ("algorithm", "bytes", "status", "closed from block"),
        [
            (a["name"], a["digest_bytes"], a["status"], a["closed_from"] or "-")
            for a in found["algorithms"]
        ],
    )


@algorithms.command()
@_name_argument
@acting
def deprecate(by: Acting, *, name: str) -> None:
    """Warn all who still register with ALGORITHM; takes the role admin."""
    act(by, by.sender(), [calls.deprecate_algorithm(name)])


@algorithms.command()
@_name_argument
@click.option(
    "--from-height",
    required=True,
    type=click.IntRange(min=1),
    help="The first block that takes no new record of it; ahead, so that everybody hears of it.",
)
@acting
def close(by: Acting, *, name: str, from_height: int) -> None:
    """Close ALGORITHM to new records from a height on; takes the role admin.

    Old records stay valid. Until that height `accept` takes it back; from then on nothing does.
    """
    act(by, by.sender(), [calls.close_algorithm(name, from_height=from_height)])


@algorithms.command()
@_name_argument
@acting
def accept(by: Acting, *, name: str) -> None:
    """Accept ALGORITHM again that is deprecated or about to be closed; takes the role admin."""
    act(by, by.sender(), [calls.accept_algorithm(name)])


def choose_algorithms(session: Session) -> tuple[str, ...]:
    """Return the algorithms to register a document with: the default ones that the chain takes, else another.

    A deprecated one is used, and said to be deprecated.

    Raises:
        Refused: with code `algorithm_closed`: the chain takes none that this software knows.
    """
    status: dict[str, str] = {a["name"]: a["status"] for a in _ask(session)["algorithms"]}
    taken = [name for name in sorted(DIGEST_BYTES) if status.get(name) != AlgorithmStatus.CLOSED]
    chosen = tuple(name for name in taken if name in DEFAULT_ALGORITHMS) or tuple(taken[:1])
    if not chosen:
        raise Refused(
            "the chain takes none of the digest algorithms that this software knows; install a newer one",
            code="algorithm_closed",
        )
    for name in chosen:
        if status.get(name) == AlgorithmStatus.DEPRECATED:
            note(
                f"note: the alliance is leaving {name} behind; `chainnode algorithms list` says when"
            )
    return chosen


def _ask(session: Session) -> AlgorithmListResult:
    async def ask(node: RpcClient) -> AlgorithmListResult:
        return await node.algorithm_list()

    return session.ask(ask)
