"""Opening the chain's store: begin a chain from genesis, or find the tip and see that everything agrees with it.

What is compared was written in one batch, so a difference means damage, never a crash. The cost does not grow with
the chain: a header, a certificate, some tiles and the newest state root are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.ledger.execution import validators_in
from chainnode.ledger.stored import damaged, present, stored
from chainnode.ledger.tip import Tip, TipRecord, decode_tip_record
from chainnode.ledger.validator_history import put_validators
from chainnode.model import codec
from chainnode.model.errors import InvariantViolation, Refused
from chainnode.model.ids import BlockHash, Height
from chainnode.model.merkle import EMPTY
from chainnode.model.suites import HASH_BYTES
from chainnode.storage import keys
from chainnode.storage.kv import WriteBatch
from contracts.runtime import genesis_state

if TYPE_CHECKING:
    from chainnode.ledger.block_store import BlockStore
    from chainnode.ledger.log_store import LogStore
    from chainnode.ledger.state_store import StateStore
    from chainnode.model.genesis import Genesis
    from chainnode.model.merkle import Frontier
    from chainnode.storage.kv import KeyValueStore

FORMAT_VERSION: Final = 3
"""Version of the whole layout of `chainnode/storage/keys.py`."""

_MAX_FORMAT_BYTES: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What the ledger holds in memory."""

    tip: Tip
    frontier: Frontier
    """Of the log at the tip."""

    state_from: Height
    """Lowest height of which state proofs are served."""


def open_chain(
    store: KeyValueStore, genesis: Genesis, *, blocks: BlockStore, log: LogStore, state: StateStore
) -> Opened:
    """Begin the chain if the store is empty, and return its tip.

    Raises:
        Refused: with code `other_genesis` if the store holds another chain, `older_format` if earlier software wrote it.
        StorageFault: the store is damaged, or written by newer software.
    """
    if not store.scan(keys.FIRST, keys.BEYOND, limit=1):
        _begin(store, genesis, state)
    _check_format(store.get(keys.FORMAT), genesis)
    with stored("the tip record"):
        record = decode_tip_record(present(store.get(keys.TIP), "the tip record"))
    tip = _genesis_tip(record, genesis) if record.height == 0 else _block_tip(record, blocks)
    _agree("block hash", record.block_hash, tip.block_hash)
    _agree("log size", record.log_size, tip.log_size)
    _agree("state root", record.state_root, tip.state_root)
    _agree("state root of the tree", state.root(), tip.state_root)
    frontier = log.frontier(tip.log_size)
    _agree("log root", record.log_root, tip.log_root)
    _agree("log root of the tree", frontier.root(genesis.suite), tip.log_root)
    return Opened(tip=tip, frontier=frontier, state_from=record.state_from)


def _begin(store: KeyValueStore, genesis: Genesis, state: StateStore) -> None:
    values = genesis_state(genesis)
    governing = validators_in(genesis, values)
    if governing != genesis.validator_set:
        raise InvariantViolation("the state at genesis does not begin with genesis' validators")
    staged = state.stage(values, 0)
    batch = WriteBatch()
    batch.put(keys.FORMAT, codec.encode((FORMAT_VERSION, genesis.domain.genesis_hash)))
    batch.put(keys.GENESIS, genesis.encoded)
    put_validators(batch, 1, genesis.validator_set)
    staged.write(batch)
    record = TipRecord(
        height=Height(0),
        block_hash=BlockHash(genesis.domain.genesis_hash),
        log_size=0,
        log_root=EMPTY.root(genesis.suite),
        state_root=staged.root,
        state_from=Height(0),
    )
    batch.put(keys.TIP, record.encode())
    store.write(batch, sync=True)
    state.committed(staged)
    # A crash before this line leaves an empty store, and the next start begins again; after it, a chain at height 0.


def _check_format(value: bytes | None, genesis: Genesis) -> None:
    with stored("the format record"):
        version, genesis_hash = codec.decode_array(
            present(value, "the format record"),
            max_bytes=_MAX_FORMAT_BYTES,
            arity=2,
            what="format",
        )
        made_by = codec.integer(version, "version", least=1, most=FORMAT_VERSION)
        found = codec.binary(genesis_hash, "genesis_hash", size=HASH_BYTES)
    if made_by != FORMAT_VERSION:
        raise Refused(
            f"the store has format {made_by}, of earlier software; this software keeps its indices in format "
            f"{FORMAT_VERSION}. Run `chainnode rebuild`, which makes the store anew from its blocks",
            code="older_format",
        )
    if found != genesis.domain.genesis_hash:
        raise Refused(
            f"the store holds the chain of genesis {found.hex()}; this node is configured for "
            f"{genesis.domain.genesis_hash.hex()} ({genesis.chain_id}); use another home",
            code="other_genesis",
            field="genesis",
        )


def _genesis_tip(record: TipRecord, genesis: Genesis) -> Tip:
    return Tip(
        height=Height(0),
        block_hash=BlockHash(genesis.domain.genesis_hash),
        header=None,
        header_bytes=b"",
        certificate=None,
        time_ms=genesis.time_ms,
        log_size=0,
        log_root=EMPTY.root(genesis.suite),
        state_root=record.state_root,
    )


def _block_tip(record: TipRecord, blocks: BlockStore) -> Tip:
    with stored(f"block {record.height}"):
        header_bytes, header, block_hash = blocks.header(record.height)
    certificate = blocks.certificate(record.height)
    _agree("certified block", certificate.block_hash, block_hash)
    return Tip(
        height=header.height,
        block_hash=block_hash,
        header=header,
        header_bytes=header_bytes,
        certificate=certificate,
        time_ms=header.time_ms,
        log_size=header.log_size,
        log_root=header.log_root,
        state_root=header.state_root,
    )


def _agree(what: str, found: bytes | int, expected: bytes | int) -> None:
    if found != expected:
        raise damaged(f"the tip's {what} is {_text(found)}; its block says {_text(expected)}")


def _text(value: bytes | int) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
