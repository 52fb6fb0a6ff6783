"""Who acts: an account, the key in this home that the chain knows for it, and a transaction signed by both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chainnode.client.sender import Sender, chain_domain, own_key
from chainnode.client.trust import Trust
from chainnode.model.errors import DecodeError, NotFound, Unavailable
from cli.exit_status import ChainRefused

if TYPE_CHECKING:
    from pathlib import Path

    from chainnode.model.transaction import Transaction
    from chainnode.rpc.client import RpcClient
    from chainnode.rpc.results import AccountResult, ReceiptResult, StatusResult, TransactionResult
    from cli.session import Session

__all__ = [
    "WAIT_MS",
    "Sender",
    "account_name",
    "chain_domain",
    "check_committed",
    "find_sender",
    "shown_tip",
    "submit",
]

WAIT_MS: Final = 60_000
"""How long a command waits for the decision."""


def account_name(session: Session, as_account: str | None) -> str:
    """Return the account that acts: the one named, else the home's default.

    Raises:
        DecodeError: there is neither.
    """
    account = session.config().account if as_account is None else as_account
    if account is None:
        raise DecodeError(
            "no account to act for; name one with --as organisation/account, or set client.account in "
            f"{session.home / 'config.toml'}",
            code="no_account",
            field="account",
        )
    return account


def find_sender(session: Session, as_account: str | None, passphrase_file: Path | None) -> Sender:
    """Ask the node for the chain and the account's keys, and open the one that this home has.

    Raises:
        DecodeError: no account is named, or this home has no key of it that is valid now.
        NotFound: the chain has no such account.
        Refused: the node is of another chain, or the passphrase is wrong.
        Unavailable: the node cannot be reached.
    """
    account = account_name(session, as_account)

    async def ask(node: RpcClient) -> tuple[StatusResult, AccountResult]:
        return await node.chain_status(), await node.account_get(account)

    try:
        status, known = session.ask(ask)
    except NotFound as error:
        raise ChainRefused(error.message, code=error.error_code, field="account") from error
    domain = chain_domain(status, session.genesis_if_any())
    keystore = session.keystore()
    mine = own_key(keystore, account, known, status["tip_time_ms"])
    signer = keystore.open(mine.name, session.passphrase(passphrase_file))
    return Sender(
        account=account,
        signer=signer,
        chain_id=status["chain_id"],
        domain=domain,
    )


def shown_tip(session: Session) -> int:
    """Return the node's tip, from which on a transaction is valid; where the home has a genesis, as `Trust.tip_height` checks it.

    Raises as that does.
    """
    return session.ask(Trust(session.genesis_if_any(), None).tip_height)


async def submit(node: RpcClient, transaction: Transaction) -> TransactionResult:
    """Hand in a transaction and return its committed outcome.

    Raises:
        ChainRefused: it failed or expired; nothing was changed.
        Unavailable: the outcome is not known; the message names the transaction.
    """
    try:
        result = await node.tx_submit_and_wait(transaction.envelope, timeout_ms=WAIT_MS)
    except Unavailable as error:
        raise Unavailable(
            f"{error.message}; if it was accepted, `chainnode tx show {transaction.id.hex()} "
            f"--last-valid-height {transaction.body.last_valid_height}` tells what became of it, "
            "and `chainnode status` what the chain waits for",
            code=error.error_code,
            retry_after_ms=error.retry_after_ms,
        ) from error
    check_committed(result)
    return result


def check_committed(result: TransactionResult) -> None:
    """Raise ChainRefused unless the transaction is committed."""
    receipt: ReceiptResult | None = result["receipt"]
    if result["status"] == "committed" and receipt is not None:
        return
    if receipt is not None:
        raise ChainRefused(
            f"transaction {result['tx_id']} failed in block {result['height']}: {receipt['message']}",
            code=receipt["code"],
        )
    raise ChainRefused(
        f"transaction {result['tx_id']} is {result['status']}; it changed nothing; submit it anew",
        code=result["status"],
    )
