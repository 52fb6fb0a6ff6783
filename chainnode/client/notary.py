"""The client library: documents in, proofs out, and no document registered twice.

    async with connect(home=Path("home"), urls=["http://127.0.0.1:8545"], store=Path("kept")) as notary:
        (proven,) = await notary.notarize([document_of_bytes(b"...")], key="licence 4711")
        Path("licence-4711.tlog-proof").write_bytes(proven.encode())

Whoever calls again under the same key, after a timeout, a crash or a day, has the same transaction sent and gets the
same proofs. How that is made sure, and its limits: docs/integrators.md
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from chainnode.client.algorithms import check_taken, choose, warnings
from chainnode.client.list_store import FileListStore, Kept, MemoryListStore, check_key
from chainnode.client.lists import (
    ListOutcome,
    ListStatus,
    check_count,
    decode_list,
    make_list,
)
from chainnode.client.nodes import PATIENCE_MS, Nodes
from chainnode.client.outcomes import hand_in, settle
from chainnode.client.proving import prove_list
from chainnode.client.sender import Sender, chain_domain, own_key
from chainnode.client.trust import Trust
from chainnode.config import load_client_config
from chainnode.keystore.keystore import KeyStore
from chainnode.keystore.passphrase import read_passphrase
from chainnode.keystore.randomness import fresh_nonce
from chainnode.model.errors import DecodeError, Refused
from chainnode.model.genesis import decode_genesis
from chainnode.rpc.client import RpcClient

if TYPE_CHECKING:
    import ssl as ssl_module
    from collections.abc import AsyncIterator, Iterable, Sequence

    from chainnode.client.list_store import ListStore
    from chainnode.client.lists import DocumentList
    from chainnode.client.proving import ProvenDocument
    from chainnode.model.calls import Document
    from chainnode.rpc.results import (
        AccountResult,
        AlgorithmListResult,
        StatusResult,
    )

__all__ = ["Notary", "Status", "Submission", "connect"]

_log: Final = logging.getLogger(__name__)

ROUNDS: Final = 3
"""How often one call signs the same documents, each time after the last transaction has expired; a chain that takes
transactions needs one."""

KEYS_FOLDER: Final = "keys"
GENESIS_FILE: Final = "genesis"


class Status(StrEnum):
    """Where a submission stands. `FAILED` and `EXPIRED` are final; `COMMITTED` is when its proofs are there."""

    ACCEPTED = "accepted"
    """A node has it; a crash there may lose it, and then it is sent again."""

    COMMITTED = "committed"
    FAILED = "failed"
    """It had no effect; `code` and `message` say why."""

    EXPIRED = "expired"
    """It is in no block and never will be; the same key may be used anew."""

    UNKNOWN = "unknown"
    """This client has submitted nothing under that key, or has forgotten it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """Documents that were submitted together under one key."""

    key: str
    status: Status
    tx_id: str | None
    """Lower-case hex; None if unknown."""

    height: int | None = None
    """Block that holds it, if one does."""

    code: str | None = None
    message: str | None = None


class Notary:
    """An account's way to notarize, on one chain. Calls may overlap."""

    def __init__(self, nodes: Nodes, sender: Sender, trust: Trust, store: ListStore) -> None:
        """Use open `nodes`; remember in `store` what was sent."""
        self.nodes = nodes
        self.sender = sender
        self._trust = trust
        self._store = store
        self._warned: set[str] = set()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def algorithms(self) -> tuple[str, ...]:
        """Return what to make digests with: the default algorithms that the chain takes, else another that it takes.

        Raises:
            Refused: with code `algorithm_closed`: it takes none that this software knows.
            Unavailable: no node answered for long.
        """
        found = await self.nodes.ask(lambda node: node.algorithm_list())
        chosen = choose(found)
        self._warn(found, chosen)
        return chosen

    async def notarize(
        self, documents: Sequence[Document], *, key: str | None = None, is_public: bool = False
    ) -> tuple[ProvenDocument, ...]:
        """Register documents and return their proofs, in order, checked against the chain's validators.

        Args:
            documents: 1 to 1,000 that fit one transaction (256 KiB); they are registered together or not at all.
            key: Any string of 1 to 256 bytes that names this wish; None for a wish that is never repeated.
            is_public: Whether anybody who has a document may search the log for it.

        Raises:
            Refused: `key_conflict`: the key stands for other documents; `algorithm_closed`: the chain takes no more
                records with a digest of theirs; `expired`: no block took them, three times; `failed` ones with the
                chain's own code; or the chain refused.
            Unavailable: no node answered for long; call again with the same key.
            DecodeError: too many documents, or a key that is none.
            ProofInvalid, CannotTell: what the nodes answer does not hold.
        """
        key = fresh_nonce().hex() if key is None else key
        async with self._lock(key):
            for _ in range(ROUNDS):
                made = await self._begun(key, documents, is_public=is_public)
                outcome = await self._settled(key, made)
                if outcome.status is not ListStatus.EXPIRED:
                    return await self._proven(key, made, outcome)
            raise Refused(
                f"it expired {ROUNDS} times: no node got it into a block while it was valid; submit it anew when the "
                "chain takes transactions again",
                code="expired",
            )

    async def submit(
        self, documents: Sequence[Document], *, key: str | None = None, is_public: bool = False
    ) -> Submission:
        """Hand documents in and return as soon as a node has accepted them; arguments and errors as `notarize`."""
        key = fresh_nonce().hex() if key is None else key
        async with self._lock(key):
            made = await self._begun(key, documents, is_public=is_public)
            return await self._sent(key, made)

    async def status(self, key: str) -> Submission:
        """Return where a submission stands; one that a node's crash has lost is sent again.

        Raises:
            Unavailable: no node answered for long.
            Refused: the chain refuses it now, and it is not known to have expired.
            ProofInvalid, DecodeError: what a node tells does not hold.
        """
        async with self._lock(key):
            kept = self._store.get(key)
            if kept is None:
                return Submission(key=key, status=Status.UNKNOWN, tx_id=None)
            return await self._sent(key, decode_list(self.sender.domain, kept.envelope))

    async def proofs(self, key: str) -> tuple[ProvenDocument, ...]:
        """Wait for a submission's decision and return its proofs; errors as `notarize`.

        Raises:
            Refused: `unknown_key`, or `expired`: submit it anew.
        """
        async with self._lock(key):
            kept = self._store.get(key)
            if kept is None:
                raise Refused(
                    f"nothing is remembered under the key {key!r}", code="unknown_key", field="key"
                )
            made = decode_list(self.sender.domain, kept.envelope)
            outcome = await self._settled(key, made)
            if outcome.status is ListStatus.EXPIRED:
                raise Refused("it expired and is in no block; submit it anew", code="expired")
            return await self._proven(key, made, outcome)

    # -- under one key -------------------------------------------------------------------------------------

    def _lock(self, key: str) -> asyncio.Lock:
        check_key(key)
        return self._locks.setdefault(key, asyncio.Lock())

    async def _begun(
        self, key: str, documents: Sequence[Document], *, is_public: bool
    ) -> DocumentList:
        """Return the list of a key: the one that is remembered, or a new one, which is remembered before it is sent."""
        kept = self._store.get(key)
        if kept is not None:
            made = decode_list(self.sender.domain, kept.envelope)
            if made.documents != tuple(documents) or (made.seed is None) is not is_public:
                raise Refused(
                    f"the key {key!r} stands for other documents; a key names one wish for ever",
                    code="key_conflict",
                    field="key",
                )
            known = self._outcome(key)
            if known is None or known.status is not ListStatus.EXPIRED:
                return made
        check_count(documents)

        async def ask(node: RpcClient) -> tuple[int, AlgorithmListResult]:
            return await self._trust.tip_height(node), await node.algorithm_list()

        tip_height, registry = await self.nodes.ask(ask)
        algorithms = {digest.algorithm for document in documents for digest in document.digests}
        # Before anything is signed: a list that fails would use its key up.
        check_taken(registry, algorithms)
        self._warn(registry, algorithms)
        made = make_list(self.sender, documents, is_public=is_public, tip_height=tip_height)
        self._store.begin(key, made.transaction.envelope)
        # From here on a crash leaves bytes that are sent again, and none but these.
        return made

    async def _settled(self, key: str, made: DocumentList) -> ListOutcome:
        known = self._outcome(key)
        if known is None:
            known = await settle(self.nodes, self._trust, made)
            self._remember(key, known)
        return known

    async def _proven(
        self, key: str, made: DocumentList, outcome: ListOutcome
    ) -> tuple[ProvenDocument, ...]:
        if outcome.status is ListStatus.FAILED:
            raise Refused(outcome.message, code=outcome.code)
        proven = await prove_list(self.nodes, self.sender, self._trust, made, outcome)
        self._remember(key, replace(outcome, is_final=True))
        return proven

    def _remember(self, key: str, outcome: ListOutcome) -> None:
        """Keep an outcome if it is news; one that is not final too, so that its list may be forgotten in its turn."""
        kept = self._store.get(key)
        # Others that ended may have had this one forgotten, while it was proven.
        if kept is not None and kept.outcome != outcome:
            self._store.end(key, outcome)

    async def _sent(self, key: str, made: DocumentList) -> Submission:
        known, tx_id = self._outcome(key), made.transaction.id.hex()
        if known is None:
            known = await hand_in(self.nodes, self._trust, made)
            if known is None:
                return Submission(key=key, status=Status.ACCEPTED, tx_id=tx_id)
            self._remember(key, known)
        return Submission(
            key=key,
            status=Status(known.status.value),
            tx_id=tx_id,
            height=known.height or None,
            code=known.code or None,
            message=known.message or None,
        )

    def _warn(self, registry: AlgorithmListResult, algorithms: Iterable[str]) -> None:
        """Log once what the alliance is leaving behind."""
        for sentence in warnings(registry, algorithms):
            if sentence not in self._warned:
                self._warned.add(sentence)
                _log.warning("%s", sentence)

    def _outcome(self, key: str) -> ListOutcome | None:
        """Return how a list ended, if that is final."""
        kept: Kept | None = self._store.get(key)
        known = None if kept is None else kept.outcome
        return known if known is not None and known.is_final else None


@asynccontextmanager
async def connect(
    *,
    home: Path,
    urls: Sequence[str] = (),
    account: str | None = None,
    passphrase: bytes | None = None,
    store: Path | ListStore | None = None,
    patience_ms: int = PATIENCE_MS,
    ssl: ssl_module.SSLContext | None = None,
) -> AsyncIterator[Notary]:
    """Open a home's account for notarizing.

    Args:
        home: Folder with the account's key (`keys/`), the chain's `genesis`, by which proofs are checked, and settings.
        urls: RPC listeners, the first one first; by default `client.rpc` of the home's settings.
        account: `organisation/account`; by default `client.account`.
        passphrase: Of the key; by default from `client.passphrase_file`.
        store: Folder that remembers what was sent, or a store of your own; None remembers it within this process only.
        patience_ms: How long a question is repeated while no node has an answer.
        ssl: How to verify the nodes' certificates; None for the system's trust roots.

    Raises:
        DecodeError: the home has no account, key, genesis or passphrase.
        Refused: `in_use`, `other_chain`, `wrong_passphrase`.
        NotFound: the chain has no such account.
        Unavailable: no node can be reached.
    """
    config = load_client_config(home)
    account = config.account if account is None else account
    if account is None:
        raise DecodeError("no account is named, neither here nor in the home", field="account")
    if passphrase is None:
        passphrase = read_passphrase(path=config.passphrase_file, environment={}, prompt=None)
    genesis = decode_genesis(_read(home / GENESIS_FILE))
    async with AsyncExitStack() as opened:
        clients = [RpcClient(url, ssl=ssl) for url in urls or (config.rpc,)]
        nodes = await opened.enter_async_context(Nodes(clients, patience_ms=patience_ms))

        async def ask(node: RpcClient) -> tuple[StatusResult, AccountResult]:
            return await node.chain_status(), await node.account_get(account)

        status, known = await nodes.ask(ask)
        domain = chain_domain(status, genesis)
        keys = KeyStore(home / KEYS_FOLDER)
        key = own_key(keys, account, known, status["tip_time_ms"])
        sender = Sender(
            account=account,
            signer=keys.open(key.name, passphrase),
            chain_id=status["chain_id"],
            domain=domain,
        )
        yield Notary(nodes, sender, Trust(genesis, None), _opened(store, opened))


def _opened(store: Path | ListStore | None, opened: AsyncExitStack) -> ListStore:
    if store is None:
        return MemoryListStore()
    if not isinstance(store, Path):
        return store
    kept = FileListStore(store)
    opened.callback(kept.close)
    return kept


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DecodeError(f"cannot read {path}: {error.strerror}", code="unreadable") from error
