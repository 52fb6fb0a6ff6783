"""The client library for programs without an event loop: the same calls, each returning when it is done.

    with connect(home=Path("home"), store=Path("kept")) as notary:
        proven = notary.notarize([document_of_file(path)], key=str(path))

Not for use within a running event loop, and by one thread at a time.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from chainnode.client import notary
from chainnode.client.nodes import PATIENCE_MS

if TYPE_CHECKING:
    import ssl as ssl_module
    from collections.abc import Coroutine, Iterator, Sequence
    from pathlib import Path

    from chainnode.client.list_store import ListStore
    from chainnode.client.notary import Submission
    from chainnode.client.proving import ProvenDocument
    from chainnode.model.calls import Document

Result = TypeVar("Result")


class BlockingNotary:
    """A `Notary` whose calls block."""

    def __init__(self, inner: notary.Notary, runner: asyncio.Runner) -> None:
        self._inner = inner
        self._runner = runner

    def algorithms(self) -> tuple[str, ...]:
        """Do what `Notary.algorithms` does, and raise as it does."""
        return self._run(self._inner.algorithms())

    def notarize(
        self, documents: Sequence[Document], *, key: str | None = None, is_public: bool = False
    ) -> tuple[ProvenDocument, ...]:
        """Do what `Notary.notarize` does, and raise as it does."""
        return self._run(self._inner.notarize(documents, key=key, is_public=is_public))

    def submit(
        self, documents: Sequence[Document], *, key: str | None = None, is_public: bool = False
    ) -> Submission:
        """Do what `Notary.submit` does, and raise as it does."""
        return self._run(self._inner.submit(documents, key=key, is_public=is_public))

    def status(self, key: str) -> Submission:
        """Do what `Notary.status` does, and raise as it does."""
        return self._run(self._inner.status(key))

    def proofs(self, key: str) -> tuple[ProvenDocument, ...]:
        """Do what `Notary.proofs` does, and raise as it does."""
        return self._run(self._inner.proofs(key))

    def _run(self, call: Coroutine[Any, Any, Result]) -> Result:
        return self._runner.run(call)


@contextmanager
def connect(
    *,
    home: Path,
    urls: Sequence[str] = (),
    account: str | None = None,
    passphrase: bytes | None = None,
    store: Path | ListStore | None = None,
    patience_ms: int = PATIENCE_MS,
    ssl: ssl_module.SSLContext | None = None,
) -> Iterator[BlockingNotary]:
    """Open a home's account; arguments and errors as `chainnode.client.notary.connect`."""
    opening = notary.connect(
        home=home,
        urls=urls,
        account=account,
        passphrase=passphrase,
        store=store,
        patience_ms=patience_ms,
        ssl=ssl,
    )
    stack = AsyncExitStack()
    with asyncio.Runner() as runner:
        inner = runner.run(stack.enter_async_context(opening))
        try:
            yield BlockingNotary(inner, runner)
        finally:
            runner.run(stack.aclose())
