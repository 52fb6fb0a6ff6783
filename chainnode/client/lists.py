"""Lists: 1 to 1,000 documents in one signed transaction, and how that may end.

Whoever keeps the bytes of a list before it is sent can send it again without fear: a chain takes a transaction once,
and once the outcome is `expired` it never will. Seed and documents can be read from the bytes, so nothing else need be kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from chainnode.keystore.randomness import fresh_seed
from chainnode.model import codec
from chainnode.model.calls import Document, parse_document, register_documents
from chainnode.model.commitment import PUBLIC_SALT, SEED_BYTES, Opening, salts_under
from chainnode.model.errors import DecodeError
from chainnode.model.limits import (
    MAX_DOCUMENTS_PER_CALL,
    MAX_NAME_BYTES,
    MAX_RECEIPT_MESSAGE_BYTES,
    MAX_TRANSACTION_BYTES,
)
from chainnode.model.merkle import MAX_TREE_SIZE
from chainnode.model.transaction import decode_transaction

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chainnode.client.sender import Sender
    from chainnode.model.domain import Domain
    from chainnode.model.transaction import Transaction

LIST_BYTES: Final = 200 * 1024
"""Up to how many bytes of documents are packed into one transaction; with the rest it stays well under 256 KiB."""

_CALL: Final = ("notary", "register")


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentList:
    """Documents with the transaction that registers them."""

    documents: tuple[Document, ...]
    seed: bytes | None
    """32 bytes, from which the salts follow; None if anybody may find the documents."""

    transaction: Transaction

    def openings(self, domain: Domain) -> Iterator[Opening]:
        """Yield what opens each document's commitment, in order."""
        salt_of = None if self.seed is None else salts_under(domain.suite, self.seed)
        for item, document in enumerate(self.documents):
            salt = PUBLIC_SALT if salt_of is None else salt_of(item)
            yield Opening(salt=salt, digests=document.digests)


class ListStatus(StrEnum):
    """How a list ended."""

    COMMITTED = "committed"
    FAILED = "failed"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOutcome:
    """What became of a list. One that no chain could have told of is no value of this type: DecodeError."""

    status: ListStatus
    height: int = 0
    """Block that holds it, if one does."""

    first_record: int = 0
    """Log index of its first document, if it is committed; the others follow."""

    code: str = ""
    """If it failed: why, stable."""

    message: str = ""
    """If it failed: why, for people."""

    is_final: bool = False
    """Whether it has been held against the chain; until then it is a node's word, and another may say otherwise."""

    def __post_init__(self) -> None:
        is_in_block = self.status is not ListStatus.EXPIRED
        codec.integer(self.height, "height", least=1 if is_in_block else 0)
        codec.integer(self.first_record, "first_record", most=MAX_TREE_SIZE)
        _check_text(self.code, "code", MAX_NAME_BYTES)
        _check_text(self.message, "message", MAX_RECEIPT_MESSAGE_BYTES)


def most_documents(like: Document) -> int:
    """Return how many documents are packed into one list if all of them are as long as this one."""
    return min(MAX_DOCUMENTS_PER_CALL, LIST_BYTES // len(codec.encode(like.as_value())))


def check_count(documents: Sequence[Document]) -> None:
    """Raise DecodeError, with code `too_many_documents`, unless there are 1 to 1,000."""
    if not 1 <= len(documents) <= MAX_DOCUMENTS_PER_CALL:
        raise _too_many(f"found {len(documents)} documents; expected 1 to {MAX_DOCUMENTS_PER_CALL}")


def make_list(
    sender: Sender, documents: Sequence[Document], *, is_public: bool, tip_height: int
) -> DocumentList:
    """Sign a list; nothing is sent.

    Args:
        sender: who signs.
        documents: 1 to 1,000.
        is_public: whether anybody who has a document may search the log for it.
        tip_height: the chain's newest height, from which it is valid for a while.

    Raises:
        DecodeError: with code `too_many_documents`: there are more, or together they are too long for a transaction.
    """
    check_count(documents)
    seed = None if is_public else fresh_seed()
    transaction = sender.sign([register_documents(documents, seed=seed)], tip_height=tip_height)
    if len(transaction.envelope) > MAX_TRANSACTION_BYTES:
        raise _too_many(
            f"found {len(documents)} documents that make a transaction of {len(transaction.envelope)} bytes; "
            f"expected at most {MAX_TRANSACTION_BYTES} bytes, which fewer documents have"
        )
    return DocumentList(documents=tuple(documents), seed=seed, transaction=transaction)


def decode_list(domain: Domain, envelope: bytes) -> DocumentList:
    """Read a list from the bytes of its transaction; nothing is verified.

    Raises:
        DecodeError: it is no transaction of this chain, or not one that registers a list.
    """
    transaction = decode_transaction(domain, envelope)
    calls = transaction.body.calls
    if len(calls) != 1 or (calls[0].contract, calls[0].method) != _CALL:
        raise DecodeError("found another transaction than one that registers a list", field="calls")
    seed, documents = codec.array(calls[0].args, "args", arity=2)
    return DocumentList(
        documents=tuple(
            parse_document(value)
            for value in codec.array_up_to(
                documents, "documents", least=1, most=MAX_DOCUMENTS_PER_CALL
            )
        ),
        seed=None if seed is None else codec.binary(seed, "seed", size=SEED_BYTES),
        transaction=transaction,
    )


def _too_many(found: str) -> DecodeError:
    return DecodeError(found, code="too_many_documents", field="documents")


def _check_text(value: str, what: str, most_bytes: int) -> None:
    try:
        size = len(value.encode())
    except UnicodeEncodeError as error:
        raise DecodeError(f"{what}: half a surrogate pair", field=what) from error
    if size > most_bytes:
        raise DecodeError(f"{what}: found {size} bytes, expected at most {most_bytes}", field=what)
