"""All that was ever said at the newest heights, as an attacker that taps every wire knows it."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from chainnode.engine.message_codec import decode_message
from chainnode.engine.messages import ProposeMessage, ViewChangeMessage, Vote
from chainnode.model.block import decode_outline
from chainnode.model.votes import COMMIT, PREPARE, PROPOSE
from tests.support.message_kinds import Kind, kind_of

if TYPE_CHECKING:
    from chainnode.engine.messages import PreparedProof, SignedChange
    from chainnode.model.domain import Domain

KEPT_HEIGHTS = 3
_AGREEMENT = {Kind.PROPOSE, Kind.PREPARE, Kind.COMMIT, Kind.VIEW_CHANGE}


class Knowledge:
    """Signatures and blocks, by what they are about."""

    def __init__(self, domain: Domain) -> None:
        self._domain = domain
        self.height = 0
        self.view: dict[int, int] = defaultdict(int)
        """The highest view of each height that anybody has spoken of."""

        self.votes: dict[tuple[int, int, int, bytes], dict[int, bytes]] = defaultdict(dict)
        """(kind, height, view, digest) to signatures by sender; a proposal under PROPOSE."""

        self.changes: dict[tuple[int, int], dict[int, ViewChangeMessage]] = defaultdict(dict)
        """(height, view) to requests by sender."""

        self.proofs: dict[int, list[PreparedProof]] = defaultdict(list)
        self.outlines: dict[tuple[int, bytes], bytes] = {}
        self.messages: list[bytes] = []
        """Messages of agreement in the order in which they were heard; the newest few hundred."""

        self._seen: set[bytes] = set()

    def hear(self, data: bytes) -> bool:
        """Remember a message; return whether it is news about agreement."""
        if kind_of(data) not in _AGREEMENT or data in self._seen:
            return False
        self._seen.add(data)
        self.messages.append(data)
        if len(self.messages) > 400:
            del self.messages[:200]
        message = decode_message(data)
        match message:
            case Vote():
                self._note(message.height, message.view)
                key = (message.kind, message.height, message.view, message.digest)
                self.votes[key][message.sender] = message.signature
            case ProposeMessage():
                self._note(message.height, message.view)
                outline = decode_outline(self._domain, message.outline)
                self.outlines[message.height, outline.block_hash] = message.outline
                key = (PROPOSE, message.height, message.view, outline.block_hash)
                self.votes[key][message.sender] = message.signature
                for change in message.changes:
                    self._change(change, None)
                if message.proof is not None:
                    self.proofs[message.height].append(message.proof)
            case ViewChangeMessage():
                self._change(message.change, message.proof)
        return True

    def _change(self, change: SignedChange, proof: PreparedProof | None) -> None:
        self._note(change.height, change.view)
        self.changes[change.height, change.view].setdefault(
            change.sender, ViewChangeMessage(change=change, proof=proof)
        )
        if proof is not None:
            self.proofs[change.height].append(proof)

    def prepares(self, height: int, view: int, digest: bytes) -> dict[int, bytes]:
        """Return the signatures that stand for a PREPARE, the leader's proposal among them."""
        return {
            **self.votes.get((PREPARE, height, view, digest), {}),
            **self.votes.get((PROPOSE, height, view, digest), {}),
        }

    def commits(self, height: int, view: int, digest: bytes) -> dict[int, bytes]:
        """Return the signatures of COMMITs."""
        return self.votes.get((COMMIT, height, view, digest), {})

    def _note(self, height: int, view: int) -> None:
        self.view[height] = max(self.view[height], view)
        if height <= self.height:
            return
        self.height = height
        oldest = height - KEPT_HEIGHTS
        for table in (self.votes, self.changes, self.outlines):
            for key in [k for k in table if _height_in(k) < oldest]:
                del table[key]
        for by_height in (self.view, self.proofs):
            for old in [h for h in by_height if h < oldest]:
                del by_height[old]
        self._seen.clear()


def _height_in(key: tuple[int | bytes, ...]) -> int:
    """Keys are (height, ...) or (kind, height, ...)."""
    position = 1 if len(key) == 4 else 0
    height = key[position]
    assert isinstance(height, int)
    return height
