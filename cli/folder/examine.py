"""Looking at one file: its digests, and whether a proof of them is there already. Runs in threads."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from chainnode.client.digesting import DEFAULT_ALGORITHMS, digests_of_stream
from chainnode.model.errors import CannotTell, ChainError, ProofInvalid
from chainnode.model.notarization import digest_map, parse_notarization, verify_notarization
from cli.folder.manifest import Entry
from cli.folder.names import proof_name
from cli.folder.walk import FoundFile, Problem
from cli.proofs import check_proof, read_proof

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from chainnode.model.commitment import Digest
    from chainnode.model.notarization import Notarization
    from chainnode.model.suites import Suite
    from chainnode.model.tlog_proof import Proof, Verifier


_TRIES: Final = 3
"""How often a file is read that changes while it is read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hashed:
    """A file that is to be registered."""

    file: FoundFile
    digests: tuple[Digest, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A file that is registered already."""

    entry: Entry
    is_adopted: bool
    """Whether a proof was there that the manifest did not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A file that is registered already, and whose proof is gone."""

    entry: Entry


class Examiner:
    """Looks at files below `root` whose proofs lie below `out`."""

    def __init__(
        self,
        *,
        root: Path,
        out: Path,
        algorithms: tuple[str, ...],
        suite: Suite,
        verifier: Verifier | None,
        advance: Callable[[int], None],
    ) -> None:
        """Look at files for a chain.

        Args:
            root: folder of the files.
            out: folder of the proofs.
            algorithms: with which files are registered. Those that are registered may be so with others.
            suite: the chain's.
            verifier: judges proofs that are there.
            advance: hears of bytes that are read; may raise to stop.
        """
        self._root, self._out = root, out
        self._algorithms = frozenset(algorithms)
        self._suite = suite
        self._verifier = verifier
        self._advance = advance

    def look_at(self, file: FoundFile, known: Entry | None) -> Hashed | Kept | Lost | Problem:
        """Return what is to be done about a file.

        Args:
            file: As it was found.
            known: What the manifest says of a file of this path that had another size or time.
        """
        try:
            found, digests = digest_file(
                self._root, file, self._advance, {*self._algorithms, *DEFAULT_ALGORITHMS}
            )
        except OSError as error:
            return Problem(path=file.path, sentence=f"cannot be read: {error.strerror or error}")
        except ChainError as error:
            return Problem(path=file.path, sentence=error.message)
        target = self._out / proof_name(file.path)
        if known is not None and set(known.digests) <= set(digests):
            entry = replace(known, size=found.size, mtime_ns=found.mtime_ns)
            if not os.path.lexists(target):
                return Lost(entry=entry)
            return Kept(entry=entry, is_adopted=False)
        if os.path.lexists(target):
            try:
                adopted = self._adopt(target, found, digests)
            except ChainError as error:
                return Problem(
                    path=file.path,
                    sentence=f"{target} is there and is no proof that holds: {error.message}; move it away",
                )
            if adopted is not None:
                return Kept(entry=adopted, is_adopted=True)
        folder = target.parent
        if folder.exists() and not os.access(folder, os.W_OK | os.X_OK):
            return Problem(path=file.path, sentence=f"no proof can be written to {folder}")
        chosen = tuple(d for d in digests if d.algorithm in self._algorithms)
        return Hashed(file=found, digests=chosen)

    def _adopt(self, target: Path, file: FoundFile, digests: tuple[Digest, ...]) -> Entry | None:
        """Return the entry for a proof that is there; None if it is genuine and of other content. Raises ChainError."""
        proof = read_proof(target)
        notarization = parse_notarization(proof.extra)
        self._check(proof, notarization)
        found = digest_map(digests)
        if any(found.get(d.algorithm) != d.value for d in notarization.opening.digests):
            return None
        record = notarization.record
        return Entry(
            path=file.path,
            size=file.size,
            mtime_ns=file.mtime_ns,
            digests=digests,
            account=record.account,
            tx_id=record.tx_id,
            item=record.item,
            index=proof.index,
            height=record.height,
            time_ms=record.time_ms,
            not_before_ms=record.not_before_ms,
            not_after_ms=record.not_after_ms,
        )

    def _check(self, proof: Proof, notarization: Notarization) -> None:
        check_proof(proof, notarization, None, self._suite)
        if self._verifier is None:
            return
        own = digest_map(notarization.opening.digests)
        try:
            verify_notarization(proof, self._verifier, notarization, own)
        except CannotTell:
            # By validators of another time, perhaps: `chainnode verify` will say so, and `refresh` settles it.
            return


def digest_file(
    root: Path, file: FoundFile, advance: Callable[[int], None], algorithms: Iterable[str]
) -> tuple[FoundFile, tuple[Digest, ...]]:
    """Return a file as it is now with the digests of exactly that.

    Raises:
        OSError: it cannot be read.
        ProofInvalid: with code `keeps_changing`.
    """
    for _ in range(_TRIES):
        with (root / file.path).open("rb") as stream:
            before = _stamp(stream.fileno(), file.path)
            digests = digests_of_stream(stream, algorithms, advance)
            if _stamp(stream.fileno(), file.path) == before:
                return before, digests
    raise ProofInvalid("it keeps changing while it is read", code="keeps_changing")


def _stamp(descriptor: int, path: str) -> FoundFile:
    found = os.fstat(descriptor)
    return FoundFile(path=path, size=found.st_size, mtime_ns=found.st_mtime_ns)
