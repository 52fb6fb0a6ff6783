"""An OpenTimestamps calendar: digests are gathered for a moment, and the root of their tree is notarized publicly.

    digest --append nonce, sha256--> leaf --tree--> root, pending --sha256--> digest in the log --> our attestation

A client is answered once the root is in the calendar's journal, and from then on the path to the root is its own: the
calendar remembers roots only, and those only until they are in the log. There anybody finds them, as public registrations
of their SHA-256, for as long as there is a log; so every node of the chain can complete what one of them began.

Everything happens on the event loop's thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final, TypeVar

from chainnode.keystore.randomness import fresh_bytes
from chainnode.model import codec
from chainnode.model.calls import Document
from chainnode.model.commitment import PUBLIC_SALT, Digest, Opening
from chainnode.model.cosigned import is_second
from chainnode.model.errors import ChainError, NotFound, Refused, Unavailable
from chainnode.model.note import Note
from chainnode.model.ots import (
    HASH,
    MAX_PAYLOAD_BYTES,
    append_and_hash,
    on_chain,
    pending,
    prepend_and_hash,
)
from chainnode.model.quorum import quorum_of
from chainnode.model.roles import Role
from chainnode.model.tlog_proof import Proof
from chainnode.services.gateway import RETRY_AFTER_MS, Counts
from chainnode.services.gateway_lists import Wish
from chainnode.services.outcome import Status
from contracts.query import account_view, algorithm_registry

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chainnode.model.validators import Validator
    from chainnode.services.gateway import Gateway
    from chainnode.services.node_services import NodeServices

    Done = Callable[[bytes | ChainError], None]
    """Hears once the serialized timestamp of a digest, or why there is none."""

_Kept = TypeVar("_Kept")

MIN_DIGEST_BYTES: Final = 16
"""Shorter is no digest."""

MAX_DIGEST_BYTES: Final = 64

MAX_GATHERED: Final = 1_900
"""Digests of one tree; somewhat fewer than the listener answers requests at once. Beyond it: HTTP 429."""

NONCE_BYTES: Final = 16
"""Appended to each digest, so that its neighbours in the tree learn nothing of it."""

SAME_MS: Final = 3_600_000
"""How long a commitment is answered in the same words. A client that waits for what never comes (`ots upgrade --wait`) asks
again at once whenever it has heard something new, and every checkpoint would be."""

MAX_ANSWERS: Final = 1_000
"""Answers that are kept for that, 8 MiB at most; one that is dropped may be given in other words."""

MAX_SEARCHES: Final = 1_000
"""Commitments of which it is remembered how far their registrations were looked through. Each has more of them than one
answer looks at, so somebody has gone to lengths; a search that is dropped begins anew."""

ALGORITHM: Final = "sha256"
_TOKEN: Final = "ots"  # noqa: S105  whose documents the roots are, to the machinery of the gateway

_SPARE_BYTES: Final = 2_600
"""Of an attestation: a leaf, an opening, 30 hashes and a log signature take less."""

_COSIGNATURE_BYTES: Final = 110
"""A cosignature line without its name."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    digest: bytes
    done: Done


@dataclass(frozen=True, slots=True)
class _Answer:
    timestamp: bytes
    since_ms: int
    """On the monotonic clock."""


class Calendar:
    """The calendar of one node. Raises StorageFault wherever the disk fails: then the node stops."""

    def __init__(
        self,
        *,
        uri: str,
        account: str,
        gateway: Gateway,
        services: NodeServices,
        defer: Callable[[Callable[[], None]], object],
    ) -> None:
        """Serve as the calendar `uri`.

        Args:
            uri: Its public address, ending in `/`; written into every proof.
            account: Notarizes the roots; that of `gateway`.
            gateway: Has the roots notarized, with a journal of their own.
            services: The node's.
            defer: Calls a function after the moment for which digests are gathered.
        """
        self._uri = uri
        self._account = account
        self._gateway = gateway
        self._services = services
        self._defer = defer
        self._gathered: list[_Waiting] = []
        self.counts: Final = Counts()
        """Digests."""

        self._answers: dict[bytes, _Answer] = {}
        """The newest answers by commitment, the oldest first."""

        self._searches: dict[bytes, int] = {}
        """By commitment: the log index up to which its registrations are others'; the oldest first."""

    @property
    def pending_count(self) -> int:
        """Digests that came since start and are not decided."""
        counts = self.counts
        return len(self._gathered) + counts.accepted - counts.committed - counts.failed

    @property
    def pending_root_count(self) -> int:
        """Roots that are promised and not decided."""
        return self._gateway.open_count

    def stamp(self, digest: bytes, done: Done) -> None:
        """Take 16 to 64 bytes; `done` hears their timestamp once its root is on disk.

        Raises:
            Unavailable: `overloaded`; `missing_role` or `too_many_validators`: this calendar could not keep its promise.
        """
        self._check_able()
        if len(self._gathered) >= MAX_GATHERED:
            raise Unavailable(
                f"{len(self._gathered)} digests are gathered already; nothing was accepted; try again later",
                code="overloaded",
                retry_after_ms=RETRY_AFTER_MS,
            )
        self._gathered.append(_Waiting(digest, done))
        if len(self._gathered) == 1:
            self._defer(self._flush)

    def complete(self, commitment: bytes) -> bytes:
        """Return the timestamp of a root: its SHA-256 and our attestation of that, with the proof of its record.

        Raises:
            NotFound: `pending`: come back; `unknown_commitment`: no tree of this chain has that root.
            Refused: the chain did not take it; with its code.
        """
        given = self._answers.get(commitment)
        now_ms = self._services.clock.monotonic_ms()
        if given is not None and now_ms - given.since_ms < SAME_MS:
            return given.timestamp
        opening = Opening(salt=PUBLIC_SALT, digests=(_registered(commitment),))
        index = self._index(commitment, opening)
        answer = HASH + on_chain(self._proof(index, opening))
        _put(self._answers, commitment, _Answer(answer, now_ms), MAX_ANSWERS)
        return answer

    def _index(self, commitment: bytes, opening: Opening) -> int:
        """Return where the log has a root. Raises as `complete`."""
        known = self._gateway.known(_TOKEN, commitment.hex())
        remembered = None if known is None else self._gateway.find(_TOKEN, known)
        if remembered is not None and remembered.status is Status.FAILED:
            raise Refused(
                f"The chain refused it, {remembered.code}. Stamp the file again",
                code=remembered.code,
            )
        if remembered is not None and remembered.index is not None:
            return remembered.index
        found = self._search(commitment, opening)
        if found is not None:
            return found
        if remembered is not None:
            raise _pending()
        raise NotFound(
            "Commitment not found. Use the calendar that the timestamp names",
            code="unknown_commitment",
        )

    def _search(self, commitment: bytes, opening: Opening) -> int | None:
        """Return where the log has a root, whoever registered it, or None. Raises NotFound: `pending`: ask again.

        Others may have registered the same digest any number of times, blinded or together with digests of their own; those
        open nothing here, and are looked through a bounded number at a time.
        """
        after = self._searches.get(commitment)
        (digest,) = opening.digests
        page = self._services.notary.search(
            ALGORITHM,
            digest.value,
            lambda one: one.registration.opening == opening,
            limit=1,
            after=after,
        )
        if page.found:
            (found,) = page.found
            if after is not None:
                _put(self._searches, commitment, found.index - 1, MAX_SEARCHES)
            return found.index
        if page.next_after is not None:
            _put(self._searches, commitment, page.next_after, MAX_SEARCHES)
            raise NotFound(
                "Pending, others have registered it many times. Ask again", code="pending"
            )
        return None

    def _proof(self, index: int, opening: Opening) -> bytes:
        try:
            proven = self._services.log.prove(index)
        except Unavailable as error:
            raise _pending() from error
        bare = proven.proof
        # Whatever fits. Attestations are short-lived beside what second cosignatures are for, and four of these fill one.
        first = tuple(s for s in bare.note.signatures if not is_second(s))
        for lines in (bare.note.signatures, first, first[: 1 + self._quorum()]):
            encoded = Proof(
                extra=codec.encode((proven.leaf, opening.as_value())),
                index=bare.index,
                hashes=bare.hashes,
                note=Note(text=bare.note.text, signatures=lines),
                checkpoint=bare.checkpoint,
            ).encode()
            if len(encoded) <= MAX_PAYLOAD_BYTES:
                return encoded
        raise Refused(
            "Recorded, but its proof does not fit into an attestation. Use chainnode lookup",
            code="too_many_validators",
        )

    def _quorum(self) -> int:
        return quorum_of(len(self._members()))

    def _members(self) -> Sequence[Validator]:
        ledger = self._services.ledger
        return ledger.validators(ledger.tip.height + 1).members

    def _check_able(self) -> None:
        ledger = self._services.ledger
        account = account_view(ledger.state, self._account)
        if account is None or Role.NOTARY not in account.roles:
            raise Unavailable(
                f"this node signs for {self._account}, which is no notary; the operator grants the role",
                code="missing_role",
            )
        if ALGORITHM in algorithm_registry(ledger.state).closed_at(ledger.tip.height + 1):
            raise Unavailable(
                f"the alliance takes no new records by {ALGORITHM}, with which OpenTimestamps clients work",
                code="algorithm_closed",
            )
        longest = max(len(ledger.genesis.chain_id) + len(m.name) for m in self._members())
        if self._quorum() * (_COSIGNATURE_BYTES + longest) + _SPARE_BYTES > MAX_PAYLOAD_BYTES:
            raise Unavailable(
                f"a proof with {self._quorum()} cosignatures does not fit into {MAX_PAYLOAD_BYTES} bytes, "
                "which is all that an OpenTimestamps attestation holds; use /tsa",
                code="too_many_validators",
            )

    def _flush(self) -> None:
        gathered, self._gathered = self._gathered, []
        nonces = [fresh_bytes(NONCE_BYTES) for _ in gathered]
        paths = [append_and_hash(nonce) for nonce in nonces]
        leaves = [
            sha256(one.digest + nonce).digest() for one, nonce in zip(gathered, nonces, strict=True)
        ]
        root, above = tree_of(leaves)
        ending = pending(self._uri)

        def accepted(answer: bytes | ChainError) -> None:
            if isinstance(answer, bytes):
                self._count(answer, len(gathered))
            for one, path, up in zip(gathered, paths, above, strict=True):
                one.done(answer if isinstance(answer, ChainError) else path + up + ending)

        wish = Wish(
            token=_TOKEN,
            key=root.hex(),
            request_hash=root,
            document=Document(digests=(_registered(root),)),
            is_public=True,
        )
        try:
            self._gateway.submit(wish, accepted)
        except ChainError as error:
            accepted(error)

    def _count(self, id_: bytes, count: int) -> None:
        """Count so many digests, under a root with this id, as accepted, and as decided once the root is."""

        def decided() -> None:
            self.counts.end(self._gateway.find(_TOKEN, id_).status, count)

        self.counts.accepted += count
        self._gateway.watch(_TOKEN, id_, decided)


def tree_of(leaves: Sequence[bytes]) -> tuple[bytes, tuple[bytes, ...]]:
    """Return the root of 1 or more leaves, and for each the operations that lead to it.

    Neighbours are hashed as SHA-256(left || right); one without a neighbour goes up as it is.
    """
    steps: list[list[bytes]] = [[] for _ in leaves]
    level: list[tuple[bytes, tuple[int, ...]]] = [
        (leaf, (position,)) for position, leaf in enumerate(leaves)
    ]
    while len(level) > 1:
        above: list[tuple[bytes, tuple[int, ...]]] = []
        for at in range(0, len(level) - 1, 2):
            (left, below_left), (right, below_right) = level[at], level[at + 1]
            for position in below_left:
                steps[position].append(append_and_hash(right))
            for position in below_right:
                steps[position].append(prepend_and_hash(left))
            above.append((sha256(left + right).digest(), below_left + below_right))
        level = above + level[len(above) * 2 :]
    return level[0][0], tuple(b"".join(path) for path in steps)


def _put(kept: dict[bytes, _Kept], key: bytes, value: _Kept, most: int) -> None:
    """Keep a value as the newest, and the `most` newest."""
    kept.pop(key, None)
    while len(kept) >= most:
        kept.pop(next(iter(kept)))
    kept[key] = value


def _registered(commitment: bytes) -> Digest:
    """Return what the log holds of a commitment: the SHA-256 of its bytes, as of any document.

    The stock client stops with an error if an attestation is given for the very message that is pending; one hash lies
    between them.
    """
    return Digest(algorithm=ALGORITHM, value=sha256(commitment).digest())


def _pending() -> NotFound:
    return NotFound("Pending, not yet in a cosigned block. Ask again in a moment", code="pending")
