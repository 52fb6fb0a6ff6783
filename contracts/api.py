"""What a contract sees of the world, and all that it may do to it.

A method is a function `(context, args) -> None`. It reads its own state and other contracts', writes its own, emits
records, and refuses by raising `ContractError`. Nothing else reaches it: no clock but the block's time, no
randomness, no input beyond state, block and call. So every validator computes the same result.

    ContractError      this call is refused: the transaction fails with this code, and none of its calls had effect
    DecodeError        the arguments have another shape: the same, with the code `malformed` or a closer one
    NodeFault          ours, for example a disk that fails: passes through and stops the node
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from chainnode.model.errors import InvariantViolation, Refused
from chainnode.model.limits import MAX_RECORD_BYTES, MAX_RECORDS_PER_TRANSACTION
from chainnode.model.state_tree import MAX_STATE_VALUE_BYTES
from contracts.identity.records import account_key, decode_account
from contracts.leaves import LeafEncoder

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainnode.model.codec import Value
    from chainnode.model.domain import Domain
    from chainnode.model.ids import BlockHash, Height, TransactionId
    from chainnode.model.roles import Role
    from chainnode.model.validators import ValidatorSet
    from contracts.overlay import Overlay

IDENTITY: Final = "identity"
"""Name of the contract that knows every account's roles."""


class ContractError(Refused):
    """A contract refuses a call; the receipt carries this code and message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockContext:
    """The block in which transactions are executed."""

    domain: Domain
    """Hashing and signing contexts of the chain."""

    chain_id: str
    """The chain's name."""

    height: Height
    """1 or more."""

    time_ms: int
    """The block's time, milliseconds UTC: the only clock that contracts know."""

    interval_ms: tuple[int, int]
    """Certified interval (not_before_ms, not_after_ms) of that time."""

    parent_hash: BlockHash
    """Hash of the header before; of block 1: the genesis hash."""

    validators_at: Callable[[int], ValidatorSet]
    """The set that governs a height, of those from 1 up to this block's: decided by the blocks before it, so the same
    everywhere."""


class Emitted(NamedTuple):
    """A record on its way into the log."""

    leaf: bytes
    """The bytes that the log hashes."""

    lookup_keys: tuple[bytes, ...]
    """Keys of the local, rebuildable index under which the record shall be found; not consensus data."""

    block_keys: tuple[bytes, ...] = ()
    """Keys under which the first record of the block that has them shall be found; whoever looks reads on from there."""


class StateView:
    """Another contract's state, to read."""

    __slots__ = ("_overlay", "_prefix")

    def __init__(self, overlay: Overlay, contract: str) -> None:
        self._overlay = overlay
        self._prefix = contract.encode("ascii") + b"/"

    def get(self, key: bytes) -> bytes | None:
        """Return the value under `key`, relative to that contract, or None."""
        return self._overlay.get(self._prefix + key)


class ContractState(StateView):
    """A contract's own state, to read and write; no key can leave its prefix."""

    __slots__ = ()

    def put(self, key: bytes, value: bytes) -> None:
        """Set the value under `key`, relative to this contract.

        Raises:
            ContractError: `value_too_large`: the state holds no such value. Contracts bound their arguments so that this
                cannot be; one that does not must fail its call, and not the node.
        """
        if len(value) > MAX_STATE_VALUE_BYTES:
            raise ContractError(
                f"a value of {len(value)} bytes; the state holds at most {MAX_STATE_VALUE_BYTES}",
                code="value_too_large",
            )
        self._overlay.put(self._prefix + key, value)

    def delete(self, key: bytes) -> None:
        """Remove `key` if it is there."""
        self._overlay.delete(self._prefix + key)


class Context:
    """One call in progress. Made by the runtime; lives as long as the call."""

    __slots__ = (
        "_emitted",
        "_items",
        "_leaves",
        "_overlay",
        "block",
        "call",
        "sender",
        "state",
        "tx_id",
    )

    block: BlockContext
    """The block in which it is executed."""

    tx_id: TransactionId
    """The transaction to which the call belongs."""

    sender: str
    """Account that signed the transaction; known, active and authenticated. Empty in a report."""

    call: int
    """Position of the call in the transaction, from 0."""

    state: ContractState
    """This contract's state."""

    def __init__(
        self,
        *,
        block: BlockContext,
        tx_id: TransactionId,
        sender: str,
        call: int,
        contract: str,
        overlay: Overlay,
        emitted: list[Emitted],
    ) -> None:
        self.block = block
        self.tx_id = tx_id
        self.sender = sender
        self.call = call
        self.state = ContractState(overlay, contract)
        self._overlay = overlay
        self._emitted = emitted
        self._items = 0
        self._leaves = LeafEncoder(
            height=block.height,
            time_ms=block.time_ms,
            interval_ms=block.interval_ms,
            tx_id=tx_id,
            call=call,
            contract=contract,
            account=sender,
        )

    def read(self, contract: str) -> StateView:
        """Return another contract's state as it is at this point of the transaction."""
        return StateView(self._overlay, contract)

    def emit(
        self,
        kind: str,
        body: tuple[Value, ...],
        lookup_keys: tuple[bytes, ...] = (),
        block_keys: tuple[bytes, ...] = (),
    ) -> None:
        """Add a record to the log, to be found again under `lookup_keys`.

        Args:
            kind: What the body means; a name.
            body: Public for ever; holds nothing secret and nothing that can be guessed.
            lookup_keys: Keys of the local index, for example `b"digest/sha256/" + digest`.
            block_keys: Keys that only the block's first record with them is to be found by.

        Raises:
            ContractError: the transaction emits more than it may.
        """
        if len(self._emitted) >= MAX_RECORDS_PER_TRANSACTION:
            raise ContractError(
                f"a transaction emits at most {MAX_RECORDS_PER_TRANSACTION} records",
                code="too_many_records",
            )
        leaf = self._leaves.encode(kind, self._items, body)
        if len(leaf) > MAX_RECORD_BYTES:
            # Contracts bound their arguments so that this cannot be.
            raise InvariantViolation(
                f"a record of kind {kind} has {len(leaf)} bytes; at most {MAX_RECORD_BYTES} fit"
            )
        self._emitted.append(Emitted(leaf, lookup_keys, block_keys))
        self._items += 1

    def require(self, condition: object, code: str, message: str) -> None:
        """Refuse the call with `code` and `message` unless `condition` holds."""
        if not condition:
            raise ContractError(message, code=code)

    def has_role(self, role: Role) -> bool:
        """Whether the sender holds `role` at this point of the transaction."""
        account = self.read(IDENTITY).get(account_key(self.sender))
        return account is not None and role in decode_account(account).roles

    def require_role(self, role: Role) -> None:
        """Refuse the call with `missing_role` unless the sender holds `role`."""
        if not self.has_role(role):
            raise ContractError(
                f"{self.sender} does not hold the role {role}", code="missing_role", field="sender"
            )


Method: TypeAlias = "Callable[[Context, tuple[Value, ...]], None]"
"""A method of a contract."""
