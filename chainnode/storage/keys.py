"""Every key of the chain's key-value store, in one table. The first byte says what an entry is.

    key                                        value
    B height                                   header
    B height chunk                             [envelope, ...], 64 transactions of the block
    B height chunk R                           [receipt, ...] of the same 64
    B height C                                 certificate: of a height below the tip the one that the next block
                                               names, of the tip the one that this node decided by
    E height                                   the state root since `height`: 32 bytes
    F height                                   who led a view of `height` in vain; no entry if nobody did
    G height                                   why this node prepared what it did above view 0 [testimony]; 1,000 heights
    K block_hash                               a block above the tip for which this node voted: [outline, [envelope, ...]]
    M format                                   [3, genesis_hash]
    M genesis                                  the genesis document
    M tip                                      the tip record (chainnode/ledger/tip.py)
    M checkpoint                               newest checkpoint with its cosignatures, as the engine keeps it
    M voted                                    [height]: this validator has voted, and at that height if it is not 0
    M reinstated                               [height, times, has_voted]: the alliance lets this validator vote again
    N height depth bits                        a node of the state tree, as `height` wrote it
    O height                                   [key of a record that `height` made obsolete, ...]
    P path height                              the value that the key of that path had until `height`
    Q height                                   size of the log before `height`, with which a partition of `X` begins
    S state key                                its value at the tip
    T level index                              hash tile of level 1 or above, up to 256 hashes; the widest version
    V height                                   the validator set that governs from `height` on
    X first_height tx_id                       height, position; in the partition that begins with `first_height`
    Z age I length key index                   empty; `key` (of `length` bytes) finds the record `index`
    Z age L index                              [leaf, ...], up to 256 leaves of one block from `index` on
    Z age T index                              hash tile of level 0, up to 256 hashes; the widest version

`height` and `index` are 8 bytes, `age` and `chunk` 4, `level` and `length` 1, `depth` 2, `bits` (the first `depth` bits of
a path) as many as it takes; all big-endian, so that the store's order is theirs. One batch per block writes all of it
(docs/formats/storage.md).

The order is chosen for LevelDB, which merges what is new with whatever older entries lie between the least and the greatest
key of it. Blocks, which are most of the store, come first, the newest last of them; records come last, the newest first of
them, for `age` counts down, by one each 16,384 records. So what is written now lies together in the middle, with
little between but what changes anyway, and what is old is never touched again, however long the chain.

Keys of hashes come in no order, and are merged within their partition alone. One of `X` begins as
chainnode/ledger/transaction_index.py says; one of `I` has 1,048,576 records, and the age of its last, so that it lies before
all leaves of these records and the newest of them beside it.
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
_AGE_BITS: Final = 14
_YOUNGEST: Final = 2**32 - 1
_AGE: Final = struct.Struct(">cIc")
_NUMBER: Final = struct.Struct(">Q")
_CHUNK: Final = struct.Struct(">cQI")
_TILE: Final = struct.Struct(">cBQ")
_PLACE: Final = struct.Struct(">QI")
_NODE: Final = struct.Struct(">cQH")


def header(height: int) -> bytes:
    """Return the key of a block's header, below all others of the block."""
    return b"B" + _NUMBER.pack(height)


def certificate(height: int) -> bytes:
    """Return the key of a block's certificate."""
    return header(height) + b"C"


def parse_height(key: bytes) -> int:
    """Return the height of a block from the key of anything of it."""
    height: int = _NUMBER.unpack(key[1:9])[0]
    return height


def candidate(block_hash: bytes) -> bytes:
    """Return the key of a block that was voted for and is not decided yet."""
    return CANDIDATES + block_hash


def envelopes(height: int, chunk: int) -> bytes:
    """Return the key of a chunk of a block's transactions."""
    return _CHUNK.pack(b"B", height, chunk)


def receipts(height: int, chunk: int) -> bytes:
    """Return the key of a chunk of a block's receipts."""
    return envelopes(height, chunk) + b"R"


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


def _of_age(index: int, kind: bytes) -> bytes:
    return _AGE.pack(b"Z", _YOUNGEST - (index >> _AGE_BITS), kind)


def age_of(index: int) -> tuple[int, int]:
    """Return the first record of the same age, and the first of the next."""
    first = index >> _AGE_BITS << _AGE_BITS
    return first, first + (1 << _AGE_BITS)


def leaves(index: int) -> bytes:
    """Return the key of the chunk of leaves that begins at `index`; among those of one age they rise."""
    return _of_age(index, b"L") + _NUMBER.pack(index)


def tile(level: int, index: int) -> bytes:
    """Return the key of a hash tile."""
    if level:
        # A tile of level 2 grows while 16 million records come, and would lie among the oldest all the time.
        return _TILE.pack(b"T", level, index)
    return _of_age(index * 256, b"T") + _NUMBER.pack(index)


def lookup(key: bytes, index: int) -> bytes:
    """Return the entry by which `key`, at most 255 bytes, finds the record `index`."""
    last = index | ((1 << _PARTITION_BITS) - 1)
    return b"%b%c%b%b" % (_of_age(last, b"I"), len(key), key, _NUMBER.pack(index))


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
STATE_ROOTS: Final = b"E"
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
