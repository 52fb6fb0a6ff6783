"""What subscribers hear of a block. Each notification's text is made once, however many hear it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from chainnode.model.errors import Refused
from chainnode.model.record import decode_record
from chainnode.rpc import render
from chainnode.rpc.base64_text import to_base64
from chainnode.rpc.json_text import encode_json
from chainnode.services.outcome import outcome_in_block

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from chainnode.ledger.ledger import Ledger
    from chainnode.services.outcome import CommittedBlock

RECORDS_PER_NOTIFICATION: Final = 256
"""Records in one notification; a block may add 50,000."""

_Item = TypeVar("_Item")
_Groups: TypeAlias = "dict[tuple[object, object], list[_Item]]"

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
        self._records: _Groups[dict[str, object]] | None = None
        """Rendered records by (account, kind)."""
        self._positions: _Groups[int] | None = None
        """Positions of transactions by (account, tx_id)."""
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
        if self._records is None:
            self._records = _grouped(self._read_records())
        wanted = self._records.get((filters.get("account"), filters.get("kind")), [])
        for at in range(0, len(wanted), RECORDS_PER_NOTIFICATION):
            records = wanted[at : at + RECORDS_PER_NOTIFICATION]
            yield encode_json({"height": self._block.header.height, "records": records})

    def _read_records(self) -> Iterator[tuple[object, object, dict[str, object]]]:
        end = self._block.header.log_size
        for first in range(self._block.first_record, end, RECORDS_PER_NOTIFICATION):
            leaves = self._ledger.leaves(first, min(RECORDS_PER_NOTIFICATION, end - first))
            for index, leaf in enumerate(leaves, first):
                record = decode_record(leaf)
                yield record.account, record.kind, {"index": index, "leaf": to_base64(leaf)}

    def _transaction_texts(self, filters: Mapping[str, object]) -> Iterator[str]:
        if self._positions is None:
            self._positions = _grouped(
                (transaction.body.sender, transaction.id, position)
                for position, transaction in enumerate(self._block.transactions)
            )
        header = self._block.header
        for position in self._positions.get((filters.get("account"), filters.get("tx_id")), []):
            outcome = outcome_in_block(
                self._block.receipts[position],
                height=header.height,
                position=position,
                time_ms=header.time_ms,
            )
            yield encode_json(render.outcome(outcome))


def _grouped(items: Iterable[tuple[object, object, _Item]]) -> _Groups[_Item]:
    """Return items under every pair of filters that lets them pass; None in a pair lets everything pass.

    A block is gone through once for all of its subscribers, who may be thousands and each want something else.
    """
    groups: _Groups[_Item] = {}
    for first, second, item in items:
        for wanted in ((None, None), (first, None), (None, second), (first, second)):
            groups.setdefault(wanted, []).append(item)
    return groups
