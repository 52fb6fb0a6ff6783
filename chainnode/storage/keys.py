"""Every key of the chain's key-value store, in one table. The first byte says what an entry is.

    key                                        value
    M format                                   [1, genesis_hash]
    M genesis                                  the genesis document
    M tip                                      the tip record (chainnode/ledger/tip.py)
    M checkpoint                               newest checkpoint with its cosignatures, as the engine keeps it
    M voted                                    [height]: this validator has voted, and at that height if it is not 0
    M reinstated                               [height]: the alliance lets this validator vote from that height
    H height                                   header
    C height                                   certificate: of a height below the tip the one that the next block
                                               names, of the tip the one that this node decided by
    K block_hash                               a block above the tip for which this node voted: [outline, [envelope, ...]]
    B height chunk                             [envelope, ...], 64 transactions of the block
    R height chunk                             [receipt, ...], 64 transactions of the block
    G height                                   why this node prepared what it did above view 0 [testimony]; 1,000 heights
    Q height                                   size of the log before `height`, with which a partition of `X` begins
    X partition tx_id                          height, position; the partition is named by its first height
    L index                                    [leaf, ...], up to 256 leaves of one block from `index` on
    T level index                              hash tile, up to 256 hashes; the widest version
    I partition length key index               empty; `key` (of `length` bytes) finds the record `index`
    V height                                   the validator set that governs from `height` on
    F height                                   who led a view of `height` in vain; no entry if nobody did
    S state key                                its value at the tip
    N height depth bits                        a node of the state tree, as `height` wrote it
    A height                                   the state root since `height`: 32 bytes
    P path height                              the value that the key of that path had until `height`
    O height                                   [key of a record that `height` made obsolete, ...]

`height` and `index` are 8 bytes, `chunk` and `position` 4, `level` and `length` 1, `depth` 2, `bits` (the first `depth`
bits of a path) as many as it takes; all big-endian, so that the store's order is theirs. One batch per block writes all
of it (docs/formats/storage.md).

Keys of hashes come in no order, and each new one would be merged into all that the store has; so they are kept apart by
age in partitions, and what is older than its partition is never touched again. The partition of `I` (4 bytes) counts
1,048,576 records of the log, that of `X` (8 bytes) is a height (chainnode/ledger/transaction_index.py).
"""

from __future__ import annotations

import struct
from typing import Final

FORMAT: Final = b"Mformat"
GENESIS: Final = b"Mgenesis"
TIP: Final = b"Mtip"
CHECKPOINT: Final = b"Mcheckpoint"
VOTED: Final = b"Mvoted"
REINSTATED: Final = b"Mreinstated"
CANDIDATES: Final = b"K"

FIRST: Final = b"\x00"
BEYOND: Final = b"\xff"
"""Every key lies between these two."""

MAX_LOOKUP_KEY_BYTES: Final = 255
"""Its length stands in one byte, which keeps keys of which one begins another apart."""

_PARTITION_BITS: Final = 20
_PARTITION: Final = struct.Struct(">I")
_NUMBER: Final = struct.Struct(">Q")
_CHUNK: Final = struct.Struct(">cQI")
_TILE: Final = struct.Struct(">cBQ")
_PLACE: Final = struct.Struct(">QI")
_NODE: Final = struct.Struct(">cQH")


def header(height: int) -> bytes:
    """Return the key of a block's header."""
    return b"H" + _NUMBER.pack(height)


def certificate(height: int) -> bytes:
    """Return the key of a block's certificate."""
    return b"C" + _NUMBER.pack(height)


def candidate(block_hash: bytes) -> bytes:
    """Return the key of a block that was voted for and is not decided yet."""
    return CANDIDATES + block_hash


def envelopes(height: int, chunk: int) -> bytes:
    """Return the key of a chunk of a block's transactions."""
    return _CHUNK.pack(b"B", height, chunk)


def receipts(height: int, chunk: int) -> bytes:
    """Return the key of a chunk of a block's receipts."""
    return _CHUNK.pack(b"R", height, chunk)


def testimony(height: int) -> bytes:
    """Return the key of what this node can testify of a height."""
    return b"G" + _NUMBER.pack(height)


def partition_of(index: int) -> int:
    """Return the partition of `I` to which a record, or a log of that size, belongs."""
    return index >> _PARTITION_BITS


def transactions_from(height: int) -> bytes:
    """Return the key of the entry that says that a partition of transactions begins with this height."""
    return b"Q" + _NUMBER.pack(height)


def transaction(partition: int, tx_id: bytes) -> bytes:
    """Return the key under which a transaction's place is found; the partition is named by its first height."""
    return b"X%b%b" % (_NUMBER.pack(partition), tx_id)


def place(height: int, position: int) -> bytes:
    """Return a transaction's place: block and position in it, 12 bytes."""
    return _PLACE.pack(height, position)


def parse_place(value: bytes) -> tuple[int, int]:
    """Return (height, position); raises struct.error if `value` is not 12 bytes long."""
    height, position = _PLACE.unpack(value)
    return height, position


def size(log_size: int) -> bytes:
    """Return a log's size as a value, 8 bytes."""
    return _NUMBER.pack(log_size)


def parse_size(value: bytes) -> int:
    """Return a log's size; raises struct.error if `value` is not 8 bytes long."""
    found: int = _NUMBER.unpack(value)[0]
    return found


def leaves(index: int) -> bytes:
    """Return the key of the chunk of leaves that begins at `index`."""
    return b"L" + _NUMBER.pack(index)


def tile(level: int, index: int) -> bytes:
    """Return the key of a hash tile."""
    return _TILE.pack(b"T", level, index)


def lookup(key: bytes, index: int) -> bytes:
    """Return the entry by which `key`, at most 255 bytes, finds the record `index`."""
    partition = _PARTITION.pack(index >> _PARTITION_BITS)
    return b"I%b%c%b%b" % (partition, len(key), key, _NUMBER.pack(index))


def first_of(partition: int) -> int:
    """Return the first record of a partition of `I`."""
    return partition << _PARTITION_BITS


def validators(height: int) -> bytes:
    """Return the key of the validator set that governs from `height` on."""
    return b"V" + _NUMBER.pack(height)


def failed_turns(height: int) -> bytes:
    """Return the key of the entry that says who led a view of a height in vain."""
    return b"F" + _NUMBER.pack(height)


def parse_number(key: bytes) -> int:
    """Return the height or index in the last 8 bytes of a key that ends in one."""
    number: int = _NUMBER.unpack(key[-8:])[0]
    return number


STATE_VALUES: Final = b"S"
STATE_ROOTS: Final = b"A"
OBSOLETE: Final = b"O"


def state_value(key: bytes) -> bytes:
    """Return the key of a state key's value at the tip."""
    return STATE_VALUES + key


def state_node(height: int, depth: int, bits: int) -> bytes:
    """Return the key of the node that `height` wrote below the path that begins with these `depth` bits."""
    prefix = _NODE.pack(b"N", height, depth)
    return prefix + bits.to_bytes((depth + 7) // 8, "big")


def state_root(height: int) -> bytes:
    """Return the key of the state root that `height` brought about."""
    return STATE_ROOTS + _NUMBER.pack(height)


def past_values(path: bytes) -> bytes:
    """Return what the entries of all values begin with that the key of `path` had before."""
    return b"P" + path


def past_value(path: bytes, height: int) -> bytes:
    """Return the key of the value that the key of `path` had until `height`."""
    return past_values(path) + _NUMBER.pack(height)


def obsolete(height: int) -> bytes:
    """Return the key of the list of records that `height` made obsolete."""
    return OBSOLETE + _NUMBER.pack(height)


def end_of(prefix: bytes) -> bytes:
    """Return the least key above all that begin with `prefix`, which holds a byte below 0xff."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes((stem[-1] + 1,))
