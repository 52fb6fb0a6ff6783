"""What subscribers hear of a block. Each notification's text is made once, however many hear it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.model.errors import Refused
from chainnode.model.record import decode_record
from chainnode.rpc import render
from chainnode.rpc.base64_text import to_base64
from chainnode.rpc.json_text import encode_json
from chainnode.services.outcome import outcome_in_block

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from chainnode.ledger.ledger import Ledger
    from chainnode.services.outcome import CommittedBlock

RECORDS_PER_NOTIFICATION: Final = 256
"""Records in one notification; a block may add 50,000."""

_FILTERS: Final = {
    "blocks": frozenset[str](),
    "records": {"account", "kind"},
    "tx": {"account", "tx_id"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """What one subscriber wants to hear."""

    topic: str
    """`blocks`, `records` or `tx`."""

    filters: Mapping[str, object]
    """By name; all must hold."""


def make_subscription(topic: str, filters: Mapping[str, object]) -> Subscription:
    """Return a subscription.

    Raises:
        Refused: with code `filter_not_for_topic`.
    """
    for name in filters:
        if name not in _FILTERS[topic]:
            raise Refused(
                f"{name} does not filter {topic}", code="filter_not_for_topic", field=name
            )
    return Subscription(topic=topic, filters=filters)


def notification(number: int, topic: str, data_text: str) -> str:
    """Return the text of one notification of the subscription `number`."""
    return (
        '{"jsonrpc":"2.0","method":"subscription","params":'
        f'{{"subscription":{number},"topic":"{topic}","data":{data_text}}}}}'
    )


class BlockNews:
    """The notifications of one block, made when first wanted."""

    def __init__(self, block: CommittedBlock, ledger: Ledger) -> None:
        self._block = block
        self._ledger = ledger
        self._texts: dict[tuple[str, tuple[tuple[str, object], ...]], tuple[str, ...]] = {}

    def texts(self, subscription: Subscription) -> tuple[str, ...]:
        """Return the data, as JSON, of each notification that a subscription calls for.

        Raises:
            NodeFault: the ledger cannot be read.
        """
        key = (subscription.topic, tuple(sorted(subscription.filters.items())))
        texts = self._texts.get(key)
        if texts is None:
            texts = self._texts[key] = tuple(self._make(subscription))
        return texts

    def _make(self, subscription: Subscription) -> Iterator[str]:
        match subscription.topic:
            case "blocks":
                yield self._block_text()
            case "records":
                yield from self._record_texts(subscription.filters)
            case _:
                yield from self._transaction_texts(subscription.filters)

    def _block_text(self) -> str:
        header = self._block.header
        return encode_json(
            {
                "height": header.height,
                "block_hash": self._block.block_hash.hex(),
                "time_ms": header.time_ms,
                "proposer": header.proposer,
                "tx_count": header.tx_count,
                "log_size": header.log_size,
                "log_root": header.log_root.hex(),
                "state_root": header.state_root.hex(),
            }
        )

    def _record_texts(self, filters: Mapping[str, object]) -> Iterator[str]:
        block = self._block
        end = block.header.log_size
        for first in range(block.first_record, end, RECORDS_PER_NOTIFICATION):
            leaves = self._ledger.leaves(first, min(RECORDS_PER_NOTIFICATION, end - first))
            records = [
                {"index": first + i, "leaf": to_base64(leaf)}
                for i, leaf in enumerate(leaves)
                if _is_wanted_record(leaf, filters)
            ]
            if records:
                yield encode_json({"height": block.header.height, "records": records})

    def _transaction_texts(self, filters: Mapping[str, object]) -> Iterator[str]:
        header = self._block.header
        transactions = zip(self._block.transactions, self._block.receipts, strict=True)
        for position, (transaction, receipt) in enumerate(transactions):
            if filters.get("account", transaction.body.sender) != transaction.body.sender:
                continue
            if filters.get("tx_id", transaction.id) != transaction.id:
                continue
            outcome = outcome_in_block(
                receipt, height=header.height, position=position, time_ms=header.time_ms
            )
            yield encode_json(render.outcome(outcome))


def _is_wanted_record(leaf: bytes, filters: Mapping[str, object]) -> bool:
    if not filters:
        return True
    record = decode_record(leaf)
    return (
        filters.get("kind", record.kind) == record.kind
        and filters.get("account", record.account) == record.account
    )
