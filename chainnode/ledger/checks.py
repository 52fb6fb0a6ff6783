"""The rules by which a proposed block is judged, in reading order; each raises InvalidBlock.

They are split by what they cost: the header alone, then its transactions, then (in `execution`) its results. None of
them judges whether the proposer was the leader of `first_view`, nor whether its time is near our clock: those depend
on the view and on the moment of arrival, which only the engine knows. Signatures of transactions were verified when
they arrived.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from chainnode.ledger.errors import RESULT_MISMATCH, InvalidBlock
from chainnode.model.certificate import decode_certificate, verify_certificate
from chainnode.model.errors import DecodeError, ProofInvalid
from chainnode.model.header import NO_CERTIFICATE
from chainnode.model.limits import MAX_VALID_HEIGHTS
from chainnode.model.merkle import leaf_hashes, root_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chainnode.ledger.tip import Tip
    from chainnode.model.block import Outline
    from chainnode.model.domain import Domain
    from chainnode.model.genesis import Genesis
    from chainnode.model.header import Header
    from chainnode.model.parameters import Parameters
    from chainnode.model.receipt import Receipt
    from chainnode.model.suites import Suite
    from chainnode.model.transaction import Transaction
    from chainnode.model.validators import ValidatorSet

_RESULTS: Final = ("receipts_root", "log_size", "log_root", "state_root")
"""The fields of a header that only execution can tell."""


def check_rules_version(header: Header, genesis: Genesis) -> None:
    """The block is judged by the rules that are in force at its height."""
    _equal("wrong_rules", "rules_version", header.rules_version, genesis.rules_version)


def check_chain(header: Header, genesis: Genesis) -> None:
    """The block is of this chain."""
    _equal("wrong_chain", "chain_id", header.chain_id, genesis.chain_id)


def check_height(header: Header, tip: Tip) -> None:
    """The block follows the tip."""
    _equal("wrong_height", "height", header.height, tip.height + 1)


def check_parent(header: Header, tip: Tip) -> None:
    """The block's parent is the tip."""
    _equal("wrong_parent", "parent_hash", header.parent_hash, tip.block_hash)


def check_time(time_ms: int, tip: Tip) -> None:
    """Time rises from block to block."""
    if time_ms <= tip.time_ms:
        raise InvalidBlock(
            "time_not_rising", "time_ms", found=time_ms, expected=f"above {tip.time_ms}"
        )


def check_parameters(header: Header, genesis: Genesis) -> None:
    """The block names the parameters in force."""
    expected = genesis.parameters.hash(genesis.domain)
    _equal("wrong_parameters", "params_hash", header.params_hash, expected)


def check_validators(
    header: Header, domain: Domain, current: ValidatorSet, following: ValidatorSet
) -> None:
    """The block names the set that decides it and the one that decides the next."""
    _equal("wrong_validators", "validators_hash", header.validators_hash, current.hash(domain))
    _equal(
        "wrong_validators",
        "next_validators_hash",
        header.next_validators_hash,
        following.hash(domain),
    )


def check_proposer(proposer: str, current: ValidatorSet) -> None:
    """The proposer is one of the validators."""
    if current.index_of(proposer) is None:
        raise InvalidBlock("unknown_proposer", "proposer", found=proposer, expected="a validator")


def check_parent_certificate(
    outline: Outline, domain: Domain, tip: Tip, parents: ValidatorSet | None
) -> None:
    """The block carries a certificate of the tip; block 1 carries none.

    Args:
        outline: the block.
        domain: the chain's.
        tip: the newest block.
        parents: the set that decided the tip; None if the tip is genesis.
    """
    header, certificate_bytes = outline.header, outline.parent_certificate
    if parents is None:
        _equal("bad_certificate", "parent_certificate", certificate_bytes, b"")
        _equal(
            "bad_certificate",
            "parent_certificate_hash",
            header.parent_certificate_hash,
            NO_CERTIFICATE,
        )
        return
    _equal(
        "bad_certificate",
        "parent_certificate_hash",
        header.parent_certificate_hash,
        domain.hash("certificate", certificate_bytes),
    )
    if certificate_bytes == tip.certificate_bytes:
        return  # the one by which the tip was decided here; verified before
    try:
        certificate = decode_certificate(certificate_bytes)
        verify_certificate(certificate, domain, parents)
    except (DecodeError, ProofInvalid) as error:
        raise InvalidBlock(
            "bad_certificate", "parent_certificate", found=error, expected="a quorum's signatures"
        ) from error
    _equal("bad_certificate", "parent_certificate", certificate.height, tip.height)
    _equal("bad_certificate", "parent_certificate", certificate.block_hash, tip.block_hash)


def check_transaction_names(outline: Outline, transactions: Sequence[Transaction]) -> None:
    """The transactions at hand are those that the outline names, in its order."""
    _equal("wrong_transactions", "tx_count", len(transactions), outline.header.tx_count)
    _equal("wrong_transactions", "tx_hashes", len(outline.tx_hashes), outline.header.tx_count)
    for named, transaction in zip(outline.tx_hashes, transactions, strict=True):
        if named != transaction.hash:
            raise InvalidBlock(
                "wrong_transactions", "tx_hashes", found=transaction.hash, expected=named
            )


def check_transaction_root(outline: Outline, suite: Suite) -> None:
    """The header commits to the transactions that the outline names."""
    root = transaction_root(suite, outline.tx_hashes)
    _equal("wrong_transactions", "tx_root", outline.header.tx_root, root)


def check_size(transactions: Sequence[Transaction], parameters: Parameters) -> None:
    """The block is within the limits on transactions and bytes."""
    if len(transactions) > parameters.max_block_transactions:
        raise InvalidBlock(
            "block_too_large",
            "tx_count",
            found=len(transactions),
            expected=f"at most {parameters.max_block_transactions}",
        )
    size = sum(len(transaction.envelope) for transaction in transactions)
    if size > parameters.max_block_bytes:
        raise InvalidBlock(
            "block_too_large",
            "envelopes",
            found=f"{size} bytes",
            expected=f"at most {parameters.max_block_bytes}",
        )


def check_transactions(
    transactions: Sequence[Transaction],
    *,
    chain_id: str,
    height: int,
    is_replayed: Callable[[bytes], bool],
) -> None:
    """Every transaction may be in a block of this height, and none is there twice or was before."""
    seen: set[bytes] = set()
    for transaction in transactions:
        fault = fault_of(transaction, chain_id=chain_id, height=height)
        if fault is not None:
            raise fault
        if transaction.id in seen:
            raise InvalidBlock(
                "duplicate_transaction", "tx_hashes", found=transaction.id, expected="each id once"
            )
        seen.add(transaction.id)
        if is_replayed(transaction.id):
            raise InvalidBlock(
                "replayed", "tx_hashes", found=transaction.id, expected="no id of an older block"
            )


def fault_of(transaction: Transaction, *, chain_id: str, height: int) -> InvalidBlock | None:
    """Return why the transaction may not be in a block of `height`, by itself; None if it may."""
    body = transaction.body
    if body.chain_id != chain_id:
        return InvalidBlock("wrong_chain", "chain_id", found=body.chain_id, expected=chain_id)
    last = body.last_valid_height
    if last < height:
        return InvalidBlock(
            "expired", "last_valid_height", found=last, expected=f"at least {height}"
        )
    if last > height + MAX_VALID_HEIGHTS:
        return InvalidBlock(
            "too_far_ahead",
            "last_valid_height",
            found=last,
            expected=f"at most {height + MAX_VALID_HEIGHTS}",
        )
    return None


def eligible(
    transactions: Sequence[Transaction],
    *,
    chain_id: str,
    height: int,
    parameters: Parameters,
    is_replayed: Callable[[bytes], bool],
) -> tuple[Transaction, ...]:
    """Return the transactions that a proposer takes: what `check_size` and `check_transactions` let pass.

    Transactions that no block of this height may hold are left out; at the first that does not fit any more, the
    block is full.
    """
    taken: dict[bytes, Transaction] = {}
    size = 0
    for transaction in transactions:
        if (
            transaction.id in taken
            or fault_of(transaction, chain_id=chain_id, height=height) is not None
            or is_replayed(transaction.id)
        ):
            continue
        size += len(transaction.envelope)
        if len(taken) == parameters.max_block_transactions or size > parameters.max_block_bytes:
            break
        taken[transaction.id] = transaction
    return tuple(taken.values())


def check_all_included(included: int, header: Header) -> None:
    """The block's records are within their limit, so that all of its transactions were executed."""
    if included != header.tx_count:
        raise InvalidBlock(
            "too_many_records",
            "tx_count",
            found=header.tx_count,
            expected=f"{included}, whose records fill the block",
        )


def useless_reports(
    transactions: Sequence[Transaction], receipts: Sequence[Receipt]
) -> frozenset[bytes]:
    """Return the ids of the reports that recorded nothing; only asked for membership."""
    return frozenset(
        transaction.id
        for transaction, receipt in zip(transactions, receipts, strict=False)
        if transaction.is_report and not receipt.succeeded
    )


def check_reports(transactions: Sequence[Transaction], receipts: Sequence[Receipt]) -> None:
    """Every report in the block is recorded: nobody signs and nobody answers for one, so failed ones have no place."""
    useless = useless_reports(transactions, receipts)
    for transaction, receipt in zip(transactions, receipts, strict=True):
        if transaction.id in useless:
            raise InvalidBlock(
                "useless_report",
                "transactions",
                found=f"report {transaction.id.hex()} ({receipt.code}: {receipt.message})",
                expected="evidence that holds and is new",
            )


def check_results(header: Header, ours: Header) -> None:
    """What the header says came of its transactions is what came of them here."""
    for field in _RESULTS:
        _equal(RESULT_MISMATCH, field, getattr(header, field), getattr(ours, field))


@lru_cache(maxsize=2)
def transaction_root(suite: Suite, tx_hashes: tuple[bytes, ...]) -> bytes:
    """Return the RFC 9162 root over transaction hashes.

    It is asked for when a proposal arrives, when it is judged, and for the header that is compared with its own: of the
    same tuple each time.
    """
    return root_of(suite, leaf_hashes(suite, tx_hashes))


def _equal(code: str, field: str, found: object, expected: object) -> None:
    if found != expected:
        raise InvalidBlock(code, field, found=found, expected=expected)
