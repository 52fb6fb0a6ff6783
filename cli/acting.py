"""Commands that sign: who acts, and a transaction signed, submitted, awaited and reported."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from cli.command import as_option, pass_session, passphrase_option
from cli.output import print_fields, print_json, time_text
from cli.senders import find_sender, shown_tip, submit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from chainnode.model.transaction import Call
    from chainnode.rpc.client import RpcClient
    from chainnode.rpc.results import TransactionResult
    from cli.output import Json
    from cli.senders import Sender
    from cli.session import Session


@dataclass(frozen=True, slots=True)
class Acting:
    """The session of a command that signs, and who signs, as its options say."""

    session: Session
    as_account: str | None
    passphrase_file: Path | None

    def sender(self) -> Sender:
        """Return the account and key that sign."""
        return find_sender(self.session, self.as_account, self.passphrase_file)


def acting(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say who signs, and hand the command an `Acting` for them."""

    @as_option
    @passphrase_option
    @pass_session
    @functools.wraps(command)
    def act(
        session: Session,
        /,
        as_account: str | None,
        passphrase_file: Path | None,
        **options: Any,  # noqa: ANN401  the command's own, whatever they are
    ) -> None:
        command(Acting(session, as_account, passphrase_file), **options)

    return act


def act(by: Acting, sender: Sender, wanted: Sequence[Call]) -> None:
    """Sign, submit, wait, report."""
    transaction = sender.sign(wanted, tip_height=shown_tip(by.session))

    async def ask(node: RpcClient) -> TransactionResult:
        return await submit(node, transaction)

    result = by.session.ask(ask)
    if by.session.json:
        print_json(cast("Json", result))
    else:
        print_fields(
            [
                ("transaction", result["tx_id"]),
                ("status", result["status"]),
                ("block", result["height"]),
                ("time", time_text(result["time_ms"])),
            ]
        )
