"""What each method answers, declared once: the server fills it, openrpc.json describes it, the client checks it.

Digests and ids are lower-case hex without prefix; other bytes are base64; times are integer milliseconds UTC
ending in `_ms`. Every field is always there; what does not apply is null.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, TypedDict, Union

Json: TypeAlias = Union[bool, int, float, str, "list[Json]", "dict[str, Json]", None]
"""Whatever JSON can say. Parameters and results hold no floats."""

TransactionStatus: TypeAlias = Literal["unknown", "pending", "committed", "failed", "expired"]


class PeerResult(TypedDict):
    """What is known of another validator."""

    name: str
    connected: bool
    last_heard_ms: int
    tip_height: int
    view: int
    clock_offset_ms: int | None
    round_trip_ms: int | None
    clock_is_off: bool | None
    """Whether its clock is outside the bound of what the clocks agree on; null if that cannot be told."""


class TimeSourceResult(TypedDict):
    """What the node has measured of the time source that it checks its clock with."""

    server: str
    offset_ms: int | None
    """That source minus the node's clock; null if no measurement is fresh."""
    error_ms: int | None
    measured_ms: int
    problem: str | None


class ClockResult(TypedDict):
    """What the node knows of its own clock."""

    verdict: Literal["unknown", "right", "disputed", "wrong"]
    sentence: str
    """Why, for people."""
    vouches: bool
    """Whether this clock can vouch for a time now."""
    since_ms: int
    bound_ms: int
    """How far a right clock may be from what it is judged by."""
    agreed_earliest_ms: int | None
    """What the clocks agree on, minus the node's own; null if too few are known."""
    agreed_latest_ms: int | None
    judges: int
    """Validators whose clocks are known, this one included."""
    jumps: int
    last_jump_ms: int
    last_jump_at_ms: int
    declined: int
    """Turns to propose that were given up since this clock was wrong."""
    declared: list[str]
    """Time sources that the node's configuration names."""
    source: TimeSourceResult | None


class VoteResult(TypedDict):
    """A signed vote of the open height that the node holds."""

    kind: Literal["propose", "prepare", "commit"]
    view: int
    digest: str


class StandingResult(TypedDict):
    """Where a validator stands at the open height, as far as the node knows; the node itself included."""

    name: str
    is_linked: bool
    last_heard_ms: int
    tip_height: int | None
    stated_view: int | None
    """What it says of itself, unsigned."""
    asked_view: int | None
    """The highest view that it asked for, signed."""
    locked_view: int | None
    """The lock that it stated then."""
    locked_digest: str | None
    votes: list[VoteResult]
    """Of the current view, else of the highest in which it voted."""
    awaited_for: str | None
    """The step that waits for it."""


class QuarantineResult(TypedDict):
    """Why the node observes, though it is a validator: it may have forgotten what it said."""

    code: str
    height: int
    """The height at which that was found."""
    sentence: str
    since_ms: int


class TimestampUnitResult(TypedDict):
    """A key and certificate by which the node issues timestamps."""

    name: str
    end_ms: int
    """When its certificate or the use of its key ends; 0 if it has none."""
    problem: str | None
    """Why it issues none, with what to do; null if it does."""


class StatusResult(TypedDict):
    """`chain_status`: the chain, where consensus stands, and for whom it waits."""

    chain_id: str
    genesis_hash: str
    suite: str
    rules_version: int
    software_version: str
    validator: str
    validators: list[str]
    quorum: int
    tip_height: int
    tip_hash: str
    tip_time_ms: int
    log_size: int
    log_root: str
    state_root: str
    open_height: int
    view: int
    step: str
    awaited: list[str]
    skipped: list[str]
    """Validators that lead only after all others for a while, since a turn of theirs failed."""
    waiting_since_ms: int
    view_changes: int
    cosigned_height: int
    is_syncing: bool
    is_voting: bool
    """False while the node only observes, because its vote log may have forgotten votes."""
    is_ready: bool
    not_ready_reason: str | None
    pool_count: int
    pool_bytes: int
    unverified: int
    disk_bytes: int
    now_ms: int
    uptime_ms: int
    peers: list[PeerResult]
    clock: ClockResult
    undecided_since_ms: int | None
    """Since when the open height has had something to decide."""
    digest: str | None
    """The block on which the current view works."""
    standings: list[StandingResult]
    explanation: str | None
    """Why the open height is not decided, in a sentence for people; null if nothing is due."""
    quarantine: QuarantineResult | None
    timestamp_units: list[TimestampUnitResult]


class HeaderResult(TypedDict):
    """`chain_header`: a decided block's header with its certificate."""

    height: int
    block_hash: str
    rules_version: int
    chain_id: str
    parent_hash: str
    time_ms: int
    not_before_ms: int
    not_after_ms: int
    first_view: int
    params_hash: str
    proposer: str
    parent_certificate_hash: str
    tx_root: str
    tx_count: int
    receipts_root: str
    log_size: int
    log_root: str
    state_root: str
    validators_hash: str
    next_validators_hash: str
    header: str
    """The header's canonical bytes, base64."""
    certificate: str
    """The certificate's canonical bytes, base64."""


class ReceiptResult(TypedDict):
    """The outcome of a transaction, as its block commits to it."""

    tx_id: str
    succeeded: bool
    code: str
    message: str
    first_record: int
    record_count: int


class BlockResult(TypedDict):
    """`chain_block`: a header and what became of each transaction, in order."""

    header: HeaderResult
    receipts: list[ReceiptResult]
    transactions: list[str] | None
    """The transactions' canonical bytes, base64; null unless a member asked for them."""


class ValidatorResult(TypedDict):
    """One member of a validator set; keys in base64."""

    name: str
    consensus_key: str
    cosigner_key: str
    log_key: str
    tls_key: str
    has_second_key: bool
    """Whether an ML-DSA-44 key is registered beside its cosigner key, as of the tip."""


class ValidatorsResult(TypedDict):
    """`chain_validators`: the set that governs a height, and where sets began."""

    height: int
    validators_hash: str
    quorum: int
    validators: list[ValidatorResult]
    encoded: str
    """The set's canonical bytes, base64."""
    change_heights: list[int]
    """Heights from which another set governed than at the height before, up to `height`, rising; 1 is not one."""


class AcceptedResult(TypedDict):
    """`tx_submit`: the node took the transaction; it may still fail or expire."""

    tx_id: str
    status: Literal["pending"]
    last_valid_height: int


class TransactionResult(TypedDict):
    """`tx_get` and `tx_submit_and_wait`: what became of a transaction. `committed` is a promise."""

    tx_id: str
    status: TransactionStatus
    height: int | None
    position: int | None
    time_ms: int | None
    """Time of its block."""
    receipt: ReceiptResult | None


class KeyResult(TypedDict):
    """A public key of an account; 0 stands for no end and for not revoked."""

    public_key: str
    purpose: str
    not_before_ms: int
    not_after_ms: int
    revoked_ms: int


class AccountResult(TypedDict):
    """`account_get`: an account as of the tip."""

    name: str
    organisation: str
    organisation_title: str
    roles: list[str]
    suspended: bool
    keys: list[KeyResult]


class NotaryRecordResult(TypedDict):
    """A registration of the digest that was looked up."""

    index: int
    leaf: str
    """The leaf's bytes, base64."""
    opening: str
    """Canonical bytes of `[salt, digests]`, base64; with the leaf they make a proof's `extra`."""
    height: int
    time_ms: int
    account: str
    tx_id: str
    call: int
    item: int
    title: str | None
    metadata_hash: str | None
    is_public: bool
    withdrawn: str | None
    """Why it was withdrawn, if it was, as of the tip."""
    is_superseded: bool
    """Whether there is a newer version, as of the tip."""


class LookupResult(TypedDict):
    """`notary_lookup`: registrations in log order."""

    records: list[NotaryRecordResult]
    next_after: int | None
    """Pass it as `after` to go on; null at the end."""
    as_member: bool
    """Whether blinded registrations were looked at too."""


class ReferenceResult(TypedDict):
    """Names a record as its leaf does."""

    account: str
    tx_id: str
    call: int
    item: int


class WithdrawalResult(TypedDict):
    """That a registration was withdrawn."""

    code: str
    height: int
    account: str


class MarkResult(TypedDict):
    """A mark of a registration; the last six fields are what the public log does not tell."""

    index: int
    height: int
    time_ms: int
    tx_id: str
    account: str
    """Who made it."""
    event: str
    code: str | None
    leaf: str
    """The leaf's bytes, base64."""
    opening: str
    """Canonical bytes of `[salt, reference, facts]`, base64; with the leaf they make a proof's `extra`."""
    about: ReferenceResult
    """The registration that it marks: this one, or the version before that this one supersedes."""
    successor: ReferenceResult | None
    to_account: str | None
    """To whom ownership is, or was, offered."""
    note_hash: str | None
    note: str | None
    order: str | None


class HistoryResult(TypedDict):
    """`notary_history`: what became of a registration, as of the tip."""

    record: NotaryRecordResult
    height: int
    """The tip's."""
    state_key: str
    """State key of what the marks come to, base64, for `state_get`; absent if there are none."""
    owners: list[str]
    offered: list[str]
    withdrawn: WithdrawalResult | None
    predecessor: ReferenceResult | None
    predecessor_index: int | None
    """Log index of the version before; null if there is none, or no such record."""
    successor: ReferenceResult | None
    successor_index: int | None
    annotations: int
    orders: int
    """Annotations by administrators."""
    marks: list[MarkResult]
    """In log order."""
    next_after: int | None
    """Pass it as `after` for further marks; null at the end."""


class ProofResult(TypedDict):
    """`log_proof`: a `.tlog-proof` that lacks only its `extra` line, which the asker adds."""

    index: int
    height: int
    leaf: str
    """The leaf's bytes, base64."""
    proof: str
    """Text of the proof."""


class CheckpointResult(TypedDict):
    """`log_checkpoint`: the newest checkpoint with a quorum of cosignatures."""

    height: int
    size: int
    root: str
    checkpoint: str
    """Text of the signed note, as `GET /checkpoint` serves it."""


class ConsistencyResult(TypedDict):
    """`log_consistency`: that the tree of `new` leaves extends the tree of `old`. RFC 9162 section 2.1.4."""

    old: int
    new: int
    hashes: list[str]


class StateResult(TypedDict):
    """`state_get`: a value of the state, or that there is none, with proof if asked."""

    key: str
    value: str | None
    height: int
    state_root: str
    proof: str | None


class QueryResult(TypedDict):
    """`contract_query`: what the contract's query found, and as of which height."""

    height: int
    result: Json


class AlgorithmResult(TypedDict):
    """A digest algorithm, and whether records of the next block may name it."""

    name: str
    digest_bytes: int
    status: Literal["accepted", "deprecated", "closed"]
    closed_from: int | None
    """First height that takes no new record of it; null if no closure is announced."""


class AlgorithmListResult(TypedDict):
    """`algorithm_list`: every digest algorithm that the node knows."""

    height: int
    """The next block's, of which the statuses speak."""
    state_key: str
    """State key of the registry, base64, for `state_get`; absent while all are accepted."""
    algorithms: list[AlgorithmResult]


class EvidenceResult(TypedDict):
    """`evidence_get`: proof that a validator broke the protocol, as the chain recorded it."""

    id: str
    """Of its report, which is a transaction."""
    index: int
    """Log index of its record."""
    height: int
    """Block that recorded it."""
    time_ms: int
    """That block's time."""
    validator: str
    offence: Literal["double-vote", "amnesia"]
    offence_height: int
    view: int
    """Of the first of the two statements."""
    evidence: str
    """Canonical bytes of the evidence, base64."""
    leaf: str
    """The leaf's bytes, base64."""


class EvidenceListResult(TypedDict):
    """`evidence_list`: recorded evidence in log order."""

    evidence: list[EvidenceResult]
    next_after: int | None
    """Pass it as `after` to go on; null at the end."""


class SubscribedResult(TypedDict):
    """`subscribe`: the number that its notifications carry."""

    subscription: int


class UnsubscribedResult(TypedDict):
    """`unsubscribe`: whether there was such a subscription."""

    removed: bool
