"""`chainnode algorithms`: which digest algorithms the alliance takes, and how that is changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import click

from chainnode.client.algorithms import choose, warnings
from chainnode.model import calls
from chainnode.model.commitment import DIGEST_BYTES
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
    found = _ask(session)
    chosen = choose(found)
    for sentence in warnings(found, chosen):
        note(f"note: {sentence}")
    return chosen


def _ask(session: Session) -> AlgorithmListResult:
    async def ask(node: RpcClient) -> AlgorithmListResult:
        return await node.algorithm_list()

    return session.ask(ask)
