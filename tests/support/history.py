"""What concurrent clients did and saw, and whether one chain can explain it. Pure: no node, no clock.

A history is a list of operations, each by one client at one node, with the moments in which it began and ended (one
clock for all, as processes of one machine share it). When all is over, the chain is read from every node, and judged:

1. all nodes hold the same blocks; no transaction is in two of them
2. an acknowledged write (`committed` or `failed`) is where the client was told, with the receipt that it was told, on
   every node; what its receipt says follows from the writes before it
3. a write of which clients only ever heard that it was refused or has expired is in no block. One without an answer
   may be in one or in none
4. a header or checkpoint that was read is that of the one chain, and so is a value that was read with a height: hence
   one value per key and height
5. each node answers from its tip, and its tip only advances: for each node there are moments, one within each
   operation, and tips that never fall from moment to moment, which explain every answer. So whoever heard an
   acknowledgement from a node, directly or not, sees the write in all that this node is asked afterwards

Rule 5 makes each node linearizable by itself. Another node may be at an earlier tip: it answers from a prefix.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a transaction, as its block says."""

    tx_id: str
    succeeded: bool
    code: str
    first_record: int
    record_count: int


@dataclass(frozen=True, slots=True)
class Block:
    """A decided block, as one node shows it after the end."""

    height: int
    block_hash: str
    state_root: str
    log_size: int
    log_root: str
    receipts: tuple[Receipt, ...]


# -- what clients want ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Change:
    """A write to a key that holds a value: it fails if the value is there already."""

    key: str
    value: bool
    refusal: str
    """Code of the receipt if the key has that value already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """What a transaction does, if it is ever in a block."""

    tx_id: str
    last_valid_height: int
    change: Change | None = None
    """None for a document."""

    digest: str | None = None
    """Of the document."""


# -- what clients heard ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class InBlock:
    """A transaction is in this block (`committed` or `failed`)."""

    height: int
    position: int
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class NotInBlock:
    """A transaction is not in a block that this node has: `pending` or `unknown`."""


@dataclass(frozen=True, slots=True)
class Expired:
    """A transaction is in no block and can be in none."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A write was refused; nothing of it was taken."""

    code: str


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """The connection died, or it took too long: it may have happened or not, now or later."""


@dataclass(frozen=True, slots=True)
class Value:
    """What a key holds. Without a height, as of whatever tip the node had."""

    key: str
    value: bool
    height: int | None = None
    is_tip: bool = True
    """False if the client named the height."""


@dataclass(frozen=True, slots=True)
class Header:
    """A header by its height, or, if `is_tip`, that of the tip."""

    height: int
    block_hash: str
    state_root: str
    log_size: int
    log_root: str
    is_tip: bool = False


@dataclass(frozen=True, slots=True)
class NoHeader:
    """The node has no block of this height."""

    height: int


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The newest cosigned checkpoint."""

    height: int
    size: int
    root: str


@dataclass(frozen=True, slots=True)
class Registrations:
    """Transactions that registered a document."""

    digest: str
    tx_ids: tuple[str, ...]


Answer = (
    InBlock
    | NotInBlock
    | Expired
    | Refused
    | NoAnswer
    | Value
    | Header
    | NoHeader
    | Checkpoint
    | Registrations
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One request and its answer."""

    client: str
    node: str
    began_ns: int
    ended_ns: int
    answer: Answer
    tx_id: str | None = None
    """Of the transaction that was handed in or asked about."""

    is_write: bool = False


@dataclass(slots=True)
class History:
    """Everything that clients did, in any order."""

    transactions: dict[str, Transaction] = field(default_factory=dict)
    operations: list[Operation] = field(default_factory=list)


class Inconsistent(AssertionError):
    """No chain explains the history."""


def check(
    history: History, chains: Mapping[str, Sequence[Block]], initial: Mapping[str, bool]
) -> None:
    """Judge a history.

    Args:
        history: of clients.
        chains: of every node after all came level: its blocks from height 1.
        initial: values of keys in genesis.

    Raises:
        Inconsistent: says what breaks a rule, and what the chain says instead.
    """
    problems = list(_check_agreement(chains))
    truth = _Truth(history, next(iter(chains.values())), initial)
    problems += truth.problems
    problems += _check_writes(history, truth)
    for operation in history.operations:
        problems += _check_content(operation, truth)
    by_node: dict[str, list[Operation]] = defaultdict(list)
    for operation in history.operations:
        by_node[operation.node].append(operation)
    for node, operations in sorted(by_node.items()):
        problems += _check_tip(node, operations, truth)
    if problems:
        raise Inconsistent(f"{len(problems)} problems:\n" + "\n".join(problems[:_MOST_SHOWN]))


_MOST_SHOWN = 20


def _check_agreement(chains: Mapping[str, Sequence[Block]]) -> Iterable[str]:
    (first, blocks), *others = chains.items()
    for number, block in enumerate(blocks, start=1):
        if block.height != number:
            yield f"{first} shows block {block.height} as block {number}"
    for name, other in others:
        if len(other) != len(blocks):
            yield f"{first} has {len(blocks)} blocks, {name} has {len(other)}"
        for mine, theirs in zip(blocks, other, strict=False):
            if mine != theirs:
                yield f"{first} and {name} differ in block {mine.height}: {mine} and {theirs}"
                break


class _Truth:
    """The one chain, and what its writes make of every key at every height."""

    def __init__(
        self, history: History, blocks: Sequence[Block], initial: Mapping[str, bool]
    ) -> None:
        self.tip = len(blocks)
        self.blocks = {block.height: block for block in blocks}
        self.places: dict[str, InBlock] = {}
        self.problems: list[str] = []
        self._transactions = history.transactions
        self.registered: dict[str, dict[str, int]] = defaultdict(dict)
        """By digest: the transactions that registered it, and where."""

        self._values = {key: [value] for key, value in initial.items()}
        for block in blocks:
            now = {key: values[-1] for key, values in self._values.items()}
            for position, receipt in enumerate(block.receipts):
                known = self.places.get(receipt.tx_id)
                if known is not None:
                    self.problems.append(
                        f"{receipt.tx_id} is in block {known.height} and in block {block.height}"
                    )
                self.places[receipt.tx_id] = InBlock(block.height, position, receipt)
                self._apply(receipt, now, block.height)
            for key, value in now.items():
                self._values[key].append(value)

    def _apply(self, receipt: Receipt, now: dict[str, bool], height: int) -> None:
        transaction = self._transactions.get(receipt.tx_id)
        if transaction is None:
            return
        if height > transaction.last_valid_height:
            self.problems.append(
                f"{receipt.tx_id} is in block {height}, after its last valid height"
            )
        change = transaction.change
        if change is None:
            if not receipt.succeeded:
                self.problems.append(f"{receipt.tx_id} failed with {receipt.code}")
            elif transaction.digest is not None:
                self.registered[transaction.digest][receipt.tx_id] = height
            return
        expected = "" if now[change.key] != change.value else change.refusal
        if receipt.succeeded != (not expected) or (expected and receipt.code != expected):
            self.problems.append(
                f"{receipt.tx_id} sets {change.key} from {now[change.key]} to {change.value} in "
                f"block {height}, and its receipt is {receipt}"
            )
        if receipt.succeeded:
            now[change.key] = change.value

    def value(self, key: str, height: int) -> bool:
        """Return what a key holds after a height, 0 to `tip`."""
        return self._values[key][height]

    def last_valid_height(self, tx_id: str) -> int:
        """Return the last height at which a transaction of the history may be in a block."""
        return self._transactions[tx_id].last_valid_height


# -- what was written ------------------------------------------------------------------------------------------


def _check_writes(history: History, truth: _Truth) -> Iterable[str]:
    heard: dict[str, list[Operation]] = defaultdict(list)
    for operation in history.operations:
        if operation.tx_id is not None:
            heard[operation.tx_id].append(operation)
    for tx_id, operations in heard.items():
        place = truth.places.get(tx_id)
        for operation in operations:
            if isinstance(operation.answer, InBlock) and operation.answer != place:
                yield f"{operation}: after all, the transaction is at {place}"
            if isinstance(operation.answer, Expired) and place is not None:
                yield f"{operation}: after all, the transaction is at {place}"
        writes = [operation for operation in operations if operation.is_write]
        # A replay is refused because a block holds the transaction; whoever refuses for another reason took nothing.
        if (
            writes
            and place is not None
            and all(
                isinstance(write.answer, Refused) and write.answer.code != "replayed"
                for write in writes
            )
        ):
            yield f"{writes[0]}: refused by everybody who was asked, and in block {place.height}"


# -- what was read ---------------------------------------------------------------------------------------------


def _check_content(operation: Operation, truth: _Truth) -> Iterable[str]:
    answer = operation.answer
    height = answer.height if isinstance(answer, Value | Header | Checkpoint) else None
    if height is not None and not 0 <= height <= truth.tip:
        yield f"{operation}: there is no block {height}"
        return
    match answer:
        case Refused("replayed"):
            if operation.tx_id not in truth.places:
                yield f"{operation}: no block holds it"
        case Value() if answer.height is not None:
            if truth.value(answer.key, answer.height) != answer.value:
                yield f"{operation}: the chain says {truth.value(answer.key, answer.height)}"
        case Header():
            block = truth.blocks[answer.height]
            found = (answer.block_hash, answer.state_root, answer.log_size, answer.log_root)
            if found != (block.block_hash, block.state_root, block.log_size, block.log_root):
                yield f"{operation}: the chain has {block}"
        case Checkpoint():
            block = truth.blocks[answer.height]
            if (answer.size, answer.root) != (block.log_size, block.log_root):
                yield f"{operation}: the chain has {block}"
        case Registrations():
            unknown = set(answer.tx_ids) - truth.registered[answer.digest].keys()
            if unknown or len(set(answer.tx_ids)) != len(answer.tx_ids):
                yield f"{operation}: the chain has {truth.registered[answer.digest]}"
        case _:
            return


def _check_tip(node: str, operations: Sequence[Operation], truth: _Truth) -> Iterable[str]:
    """Assign each operation the least tip that explains it; a later operation has at least an earlier one's.

    The least is always right: it binds what follows least.
    """
    ended: list[tuple[int, int, int]] = []
    """A heap of (end, tip, number) of the operations that may still become a floor."""

    floor, reason = 0, "the beginning"
    in_order = sorted(operations, key=lambda operation: operation.began_ns)
    for number, operation in enumerate(in_order):
        while ended and ended[0][0] < operation.began_ns:
            _, tip, earlier = heappop(ended)
            if tip > floor:
                floor, reason = tip, str(in_order[earlier])
        explains = _explains(operation, truth)
        least = next((tip for tip in range(floor, truth.tip + 1) if explains(tip)), None)
        if least is None:
            yield f"{node} fell back: {operation}; its tip was at least {floor} since {reason}"
        else:
            heappush(ended, (operation.ended_ns, least, number))


def _explains(operation: Operation, truth: _Truth) -> Callable[[int], bool]:
    """Return which tips of a node explain its answer."""
    answer = operation.answer
    match answer:
        case Header() | Value() if answer.height is not None and answer.is_tip:
            return lambda tip: tip == answer.height
        case Value(height=None):
            return lambda tip: truth.value(answer.key, tip) == answer.value
        case InBlock() | Checkpoint() | Header() | Value():
            return lambda tip: answer.height is not None and tip >= answer.height
        case NoHeader():
            return lambda tip: tip < answer.height
        case Refused("replayed"):
            place = truth.places.get(operation.tx_id or "")
            return lambda tip: place is not None and tip >= place.height
        case NotInBlock():
            place = truth.places.get(operation.tx_id or "")
            return lambda tip: place is None or tip < place.height
        case Expired():
            last = truth.last_valid_height(operation.tx_id or "")
            return lambda tip: tip >= last
        case Registrations():
            registered = truth.registered[answer.digest]
            return lambda tip: (
                {tx_id for tx_id, height in registered.items() if height <= tip}
                == set(answer.tx_ids)
            )
        case _:
            return lambda _: True
