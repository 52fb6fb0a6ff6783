"""Every bound that validators must agree on, or that more than one part relies on: name, unit, reason.

Bounds that belong to one part alone stand in that part.
"""

from __future__ import annotations

from typing import Final

MAX_VALIDATORS: Final = 100
"""Validators in a set. All-to-all votes cost n^2 messages; comparable platforms advise at most 100."""

MAX_NAME_BYTES: Final = 64
"""A validator's, organisation's, role's, contract's or method's name."""

MAX_ACCOUNT_NAME_BYTES: Final = 129
"""`organisation/account`: two names and the slash."""

MAX_CHAIN_ID_BYTES: Final = 128
"""The chain id is the origin of the log; a C2SP signed-note name is a short URL-like line."""

MAX_TRANSACTION_BYTES: Final = 256 * 1024
"""The whole envelope. 1,000 documents with three digests each take about 150 KiB."""

MAX_CALLS: Final = 100
"""Calls in one transaction; they succeed or fail together, so their number bounds the work at risk."""

MAX_RECORDS_PER_TRANSACTION: Final = 10_000
"""Log leaves that one transaction may emit; a block holds a few such transactions."""

MAX_VALID_HEIGHTS: Final = 5_000
"""How far ahead `last_valid_height` may lie. Replay protection keeps the ids of that many blocks."""

MAX_RECORD_BYTES: Final = 32_768
"""One leaf of the log. Entry bundles of tlog-tiles carry lengths of 16 bits."""

MAX_CRL_NUMBER: Final = 2**63 - 1
"""A revocation list's number, as far as the chain publishes it: what its integers hold, and times in nanoseconds do not reach."""

MAX_HEADER_BYTES: Final = 2_048
"""An encoded header is under 700 bytes with the longest names."""

MAX_CERTIFICATE_BYTES: Final = 16 * 1024
"""A certificate of 100 validators is about 7 KiB."""

MAX_BLOCK_TRANSACTIONS: Final = 10_000
"""Ceiling for the genesis parameter of that name; a proposal then lists 320 KiB of hashes."""

MAX_BLOCK_BYTES: Final = 16 * 1024 * 1024
"""Ceiling for the genesis parameter; also bounds what a peer can make us hold for one block."""

MAX_GENESIS_BYTES: Final = 4 * 1024 * 1024
"""Genesis holds at most 100 validators with certificates and the first accounts."""

MAX_MESSAGE_BYTES: Final = 24 * 1024 * 1024
"""A message between validators: a largest block with its certificate fits."""

MAX_DIGESTS_PER_DOCUMENT: Final = 3
"""Digests of one document by different algorithms."""

MAX_DOCUMENTS_PER_CALL: Final = 1_000
"""Documents in one `notary` list."""

MAX_TITLE_BYTES: Final = 256
"""A title is for people; it stays in the transaction and never enters the log."""

MAX_NOTE_BYTES: Final = 256
"""A note in an annotation, or the name of an order; both stay in the transaction."""

MAX_OWNERS: Final = 16
"""Owners of one record, with those who are offered to become one; bounds what the state keeps of it."""

MAX_ANNOTATIONS: Final = 1_000
"""Annotations of one record by its owners, and as many by administrators."""

MAX_RECEIPT_MESSAGE_BYTES: Final = 512
"""The sentence in a failed receipt."""

STATE_PROOF_HEIGHTS: Final = 1_000
"""State proofs are served for at least this many newest heights ..."""

STATE_PROOF_MS: Final = 3_600_000
"""... and for at least this long, in milliseconds of block time."""
