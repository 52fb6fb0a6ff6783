"""Transactions: an ordered list of contract calls that succeed or fail together, signed by one account.

    body      = [1, chain_id, sender, nonce, last_valid_height, [[contract, method, args], ...]]
    envelope  = [body (bin), suite, public_key, signature]
    tx_id     = hash("transaction-id", body bytes)
    tx_hash   = hash("transaction-hash", envelope bytes)
    signature = sign("transaction-signature", tx_id)

The signature covers the body through its id, so that a verifier in another process, or a hardware signer,
needs 32 bytes instead of 256 KiB. One body can carry several valid signatures; so replay is refused by
`tx_id`, and everything that must name exact bytes uses `tx_hash`.

A *report* has no sender and needs none: it carries evidence that a validator broke the protocol, which proves itself.
Sender, public key and signature are empty; the rest follows from the evidence, so that whoever finds the same evidence
makes the same bytes, and replay protection lets them into the chain once. No account can have the empty name.

    report body = [1, chain_id, "", 16 zero bytes, height of the evidence + 5000, [["evidence", "report", [evidence]]]]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.model import codec
from chainnode.model.errors import DecodeError
from chainnode.model.evidence import MAX_EVIDENCE_BYTES, decode_evidence
from chainnode.model.ids import (
    Height,
    TransactionHash,
    TransactionId,
    check_account_name,
    check_chain_id,
    check_name,
    organisation_of,
)
from chainnode.model.limits import (
    MAX_ACCOUNT_NAME_BYTES,
    MAX_CALLS,
    MAX_CHAIN_ID_BYTES,
    MAX_NAME_BYTES,
    MAX_TRANSACTION_BYTES,
    MAX_VALID_HEIGHTS,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainnode.model.codec import Value
    from chainnode.model.domain import Domain
    from chainnode.model.evidence import Evidence

VERSION: Final = 1
NONCE_BYTES: Final = 16
_MAX_KEY_BYTES: Final = 128
_MAX_SIGNATURE_BYTES: Final = 128

NOBODY: Final = ""
"""Sender of a report."""

_SENDER_AT: Final = 2
"""Where the sender stands in a body."""

REPORT: Final = ("evidence", "report")
"""Contract and method of a report's one call; nobody but a report calls it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of a contract's method."""

    contract: str
    """Name of the contract, for example `notary`."""

    method: str
    """Name of its method, for example `register`."""

    args: tuple[Value, ...]
    """The method's arguments; their shape is the method's business."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """What the sender signs."""

    chain_id: str
    """The chain for which it is meant."""

    sender: str
    """Account that acts, `organisation/account`; empty in a report."""

    nonce: bytes
    """16 random bytes, so that the same wish can be said twice."""

    last_valid_height: Height
    """Highest block that may hold it; at most 5,000 above the tip at admission."""

    calls: tuple[Call, ...]
    """1 to 100 calls, in order."""

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        calls: tuple[Value, ...] = tuple((c.contract, c.method, c.args) for c in self.calls)
        return codec.encode(
            (VERSION, self.chain_id, self.sender, self.nonce, self.last_valid_height, calls)
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Transaction:
    """A decoded envelope together with the bytes it came in and the names they hash to."""

    body: Body
    """What was signed, decoded."""

    public_key: bytes
    """Key that is said to have signed."""

    signature: bytes
    """Signature by that key; says nothing until it is verified."""

    envelope: bytes
    """The whole transaction as received; never encoded again."""

    id: TransactionId
    """Hash of the body."""

    hash: TransactionHash
    """Hash of the envelope."""

    @property
    def is_report(self) -> bool:
        """Whether it acts by the evidence that it carries, not by an account's signature."""
        return self.body.sender == NOBODY

    def evidence(self) -> Evidence:
        """Return what a report carries, decoded; nothing else may be asked this."""
        return _evidence_in(self.body)


def encode_envelope(*, body: bytes, suite: str, public_key: bytes, signature: bytes) -> bytes:
    """Return the canonical bytes of a signed transaction."""
    return codec.encode((body, suite, public_key, signature))


def transaction_id(domain: Domain, body: bytes) -> TransactionId:
    """Return the id of the transaction with these body bytes."""
    return TransactionId(domain.suite.hash(domain.transaction_id + body))


def signed_message(domain: Domain, tx_id: TransactionId) -> bytes:
    """Return the bytes that the sender's key signs."""
    return domain.transaction_signature + tx_id


def sign_transaction(
    domain: Domain, body: Body, *, public_key: bytes, sign: Callable[[bytes], bytes]
) -> Transaction:
    """Return the transaction of `body` signed through `sign`, which holds the key of `public_key`."""
    body_bytes = body.encode()
    tx_id = transaction_id(domain, body_bytes)
    signature = sign(signed_message(domain, tx_id))
    envelope = encode_envelope(
        body=body_bytes, suite=domain.suite.name, public_key=public_key, signature=signature
    )
    return Transaction(
        body=body,
        public_key=public_key,
        signature=signature,
        envelope=envelope,
        id=tx_id,
        hash=transaction_hash(domain, envelope),
    )


def report_body(chain_id: str, evidence: Evidence) -> Body:
    """Return the one body that reports this evidence."""
    contract, method = REPORT
    return Body(
        chain_id=chain_id,
        sender=NOBODY,
        nonce=bytes(NONCE_BYTES),
        last_valid_height=Height(evidence.height + MAX_VALID_HEIGHTS),
        calls=(Call(contract=contract, method=method, args=(evidence.encode(),)),),
    )


def make_report(domain: Domain, chain_id: str, evidence: Evidence) -> Transaction:
    """Return the transaction that reports an evidence; the same bytes for the same evidence."""
    body = report_body(chain_id, evidence)
    return sign_transaction(domain, body, public_key=b"", sign=lambda _: b"")


def transaction_hash(domain: Domain, envelope: bytes) -> TransactionHash:
    """Return the hash of the transaction that an envelope is, if it is one."""
    return TransactionHash(domain.suite.hash(domain.transaction_hash + envelope))


@dataclass(frozen=True, slots=True)
class Claims:
    """What an envelope says of itself, before anything of its body is checked."""

    id: TransactionId
    """Of the transaction that it holds, if it holds one."""

    body: bytes

    def organisation(self) -> str:
        """Return the sender's organisation, or anything at all if the body is none."""
        return organisation_of(codec.text_at(self.body, _SENDER_AT))


def claims_of(domain: Domain, envelope: bytes) -> Claims | None:
    """Return what an envelope says of itself; None if no key claims to have signed it.

    Its body is not read: this is for whoever only wants to know whether it has come before, at a third of the cost.

    Raises:
        DecodeError: it is no envelope at all.
    """
    body, _, public_key, _ = codec.decode_array(
        envelope, max_bytes=MAX_TRANSACTION_BYTES, arity=4, what="transaction"
    )
    body_bytes = codec.binary(body, "body")
    return Claims(transaction_id(domain, body_bytes), body_bytes) if public_key else None


def decode_transaction(
    domain: Domain, envelope: bytes, tx_hash: TransactionHash | None = None
) -> Transaction:
    """Decode an envelope, whose `transaction_hash` may be known already. The signature is not verified here.

    Raises:
        DecodeError: too large, not canonical, of another shape or suite, or with names that cannot be.
    """
    body_value, suite, public_key, signature = codec.decode_array(
        envelope, max_bytes=MAX_TRANSACTION_BYTES, arity=4, what="transaction"
    )
    body_bytes = codec.binary(body_value, "body")
    suite_name = codec.text(suite, "suite", most_bytes=MAX_NAME_BYTES)
    if suite_name != domain.suite.name:
        raise DecodeError(
            f"suite: found {suite_name!r}; this chain uses {domain.suite.name!r}",
            field="suite",
            code="wrong_suite",
        )
    body = decode_body(body_bytes)
    # What no key vouches for names none, or there would be many envelopes of one report.
    is_report = body.sender == NOBODY
    return Transaction(
        body=body,
        public_key=codec.binary(public_key, "public_key", most=0 if is_report else _MAX_KEY_BYTES),
        signature=codec.binary(
            signature, "signature", most=0 if is_report else _MAX_SIGNATURE_BYTES
        ),
        envelope=envelope,
        id=transaction_id(domain, body_bytes),
        hash=transaction_hash(domain, envelope) if tx_hash is None else tx_hash,
    )


def decode_body(data: bytes) -> Body:
    """Decode the bytes of a body.

    Raises:
        DecodeError: not the canonical bytes of any body.
    """
    version, chain_id, sender, nonce, last_valid_height, calls = codec.decode_array(
        data, max_bytes=MAX_TRANSACTION_BYTES, arity=6, what="body"
    )
    codec.integer(version, "version", least=VERSION, most=VERSION)
    body = Body(
        chain_id=codec.text(chain_id, "chain_id", most_bytes=MAX_CHAIN_ID_BYTES),
        sender=codec.text(sender, "sender", most_bytes=MAX_ACCOUNT_NAME_BYTES),
        nonce=codec.binary(nonce, "nonce", size=NONCE_BYTES),
        last_valid_height=Height(codec.integer(last_valid_height, "last_valid_height")),
        calls=tuple(
            _decode_call(call)
            for call in codec.array_up_to(calls, "calls", least=1, most=MAX_CALLS)
        ),
    )
    check_chain_id(body.chain_id)
    if body.sender == NOBODY:
        _check_report(body)
    else:
        check_account_name(body.sender, "sender")
    return body


def _check_report(body: Body) -> None:
    """Refuse a body without a sender unless it is the one that reports the evidence in it."""
    if len(body.calls) != 1 or (body.calls[0].contract, body.calls[0].method) != REPORT:
        raise DecodeError(
            "sender: found none; only a report of evidence has no sender", field="sender"
        )
    if body != report_body(body.chain_id, _evidence_in(body)):
        raise DecodeError(
            "body: a report's nonce and last_valid_height follow from its evidence, and these do not",
            field="nonce",
        )


def _evidence_in(body: Body) -> Evidence:
    (argument,) = codec.array(body.calls[0].args, "args", arity=1)
    return decode_evidence(codec.binary(argument, "evidence", most=MAX_EVIDENCE_BYTES))


def _decode_call(value: Value) -> Call:
    contract, method, args = codec.array(value, "call", arity=3)
    call = Call(
        contract=codec.text(contract, "contract", most_bytes=MAX_NAME_BYTES),
        method=codec.text(method, "method", most_bytes=MAX_NAME_BYTES),
        args=codec.array(args, "args"),
    )
    check_name(call.contract, "contract")
    check_name(call.method, "method")
    return call
