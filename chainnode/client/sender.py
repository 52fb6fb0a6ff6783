"""Who signs: an account with one of its keys, ready for one chain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.keystore.randomness import fresh_nonce
from chainnode.model.domain import Domain
from chainnode.model.errors import DecodeError, Refused
from chainnode.model.ids import Height
from chainnode.model.keys import KeyPurpose
from chainnode.model.suites import suite_named
from chainnode.model.transaction import Body, sign_transaction
from chainnode.rpc.base64_text import from_base64
from chainnode.rpc.member import Member

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainnode.keystore.key_file import KeyInfo
    from chainnode.keystore.keystore import KeyStore
    from chainnode.keystore.signer import Signer
    from chainnode.model.genesis import Genesis
    from chainnode.model.transaction import Call, Transaction
    from chainnode.rpc.results import AccountResult, StatusResult

VALID_HEIGHTS: Final = 500
"""How many blocks a transaction stays valid: some 20 s at full speed, hours on an idle chain. Then it is either in
a block or never will be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """An account with one of its keys, ready to sign for one chain."""

    account: str
    signer: Signer
    chain_id: str
    domain: Domain

    def sign(self, calls: Sequence[Call], *, tip_height: int) -> Transaction:
        """Return a new transaction of these calls, valid for a while from `tip_height` on.

        That is to be a tip that a node has shown (`chainnode.client.trust`): what is valid from a height on that a node
        made up stays open until the chain is there.
        """
        body = Body(
            chain_id=self.chain_id,
            sender=self.account,
            nonce=fresh_nonce(),
            last_valid_height=Height(tip_height + VALID_HEIGHTS),
            calls=tuple(calls),
        )
        return sign_transaction(
            self.domain, body, public_key=self.signer.public_key, sign=self.signer.sign
        )

    def member(self) -> Member:
        """Return what signs this account's requests for what only members may see."""
        return Member(account=self.account, signer=self.signer, domain=self.domain)


def chain_domain(status: StatusResult, genesis: Genesis | None) -> Domain:
    """Return the domain of the node's chain, which must be that of the home's genesis if there is one.

    Raises:
        Refused: with code `other_chain`.
        DecodeError: the node names no hash.
    """
    if genesis is not None:
        if status["genesis_hash"] != genesis.domain.genesis_hash.hex():
            raise Refused(
                f"the node is of chain {status['chain_id']} with genesis {status['genesis_hash']}; this "
                f"home's genesis is {genesis.domain.genesis_hash.hex()}; use --rpc or --home of one chain",
                code="other_chain",
            )
        return genesis.domain
    try:
        return Domain(suite_named(status["suite"]), bytes.fromhex(status["genesis_hash"]))
    except (ValueError, Refused) as error:
        raise DecodeError(f"the node's answer: {error}", code="bad_answer") from error


def valid_keys(known: AccountResult, now_ms: int) -> frozenset[bytes]:
    """Return the public keys that may sign for an account at a block time of `now_ms`."""
    return frozenset(
        from_base64(key["public_key"])
        for key in known["keys"]
        if key["purpose"] == KeyPurpose.ACCOUNT
        and key["not_before_ms"] <= now_ms
        and not key["revoked_ms"]
        and (not key["not_after_ms"] or now_ms < key["not_after_ms"])
    )


def own_key(keys: KeyStore, account: str, known: AccountResult, now_ms: int) -> KeyInfo:
    """Return the first of these keys that may sign for an account at a block time of `now_ms`.

    Raises:
        DecodeError: with code `no_key`.
    """
    valid = valid_keys(known, now_ms)
    mine = next((info for info in keys.list() if info.public_key in valid), None)
    if mine is None:
        raise DecodeError(
            f"{keys.directory} holds none of the {len(valid)} keys that are valid for {account}; "
            "import one with `chainnode keys import`, or name another account with --as",
            code="no_key",
            field="account",
        )
    return mine
