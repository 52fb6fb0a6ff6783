"""Whether blocks are dated rightly: the certified interval of each, as its records state it, against true time.

Assumed: at most f validators of the block's height lie, or have a clock that is off by more than `clock_bound_ms` while
its proposal is under way. Then at least f + 1 validators with right clocks voted for the block in the view in which it was
proposed first, and had got that proposal, or made it, at a time within the interval. Where more are wrong nothing is
promised, and nothing is judged; `judged` says how many blocks were.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from chainnode.engine.message_codec import decode_message
from chainnode.engine.messages import ProposeMessage, Vote
from chainnode.model.block import decode_outline
from chainnode.model.errors import ChainError
from chainnode.model.record import decode_record
from tests.support.message_kinds import Kind, kind_of
from tests.support.simulated_checks import Violation

if TYPE_CHECKING:
    from chainnode.ledger.execution import Executed
    from chainnode.model.header import Header
    from tests.support.simulated_chain import SimulatedChain


class Dating:
    """Notes by true time who gets which proposal, and judges each block when it is first committed."""

    def __init__(self, world: SimulatedChain) -> None:
        self._world = world
        self.judged = 0
        """Blocks of which the assumption held."""

        self.height = 0
        self._read: dict[bytes, tuple[Header, bytes] | None] = {}
        self._times: dict[bytes, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
        self._wrong: dict[bytes, set[str]] = defaultdict(set)
        self._headers: dict[bytes, Header] = {}
        self._voted: dict[bytes, dict[str, frozenset[int]]] = defaultdict(dict)
        """By block and validator, when it had got the proposal when it voted for that."""

    def heard(self, host: str, data: bytes) -> None:
        """The host's engine takes this message."""
        if kind_of(data) == Kind.PROPOSE:
            self._note(host, data)

    def said(self, host: str, data: bytes) -> None:
        """The host says this; what others have signed it may only pass on."""
        if kind_of(data) not in {Kind.PROPOSE, Kind.PREPARE}:
            return
        message = decode_message(data)
        assert isinstance(message, ProposeMessage | Vote)
        name = self._world.nodes[host].name
        members = self._world.observer.validators(message.height).members
        if members[message.sender].name != name:
            return
        if isinstance(message, ProposeMessage):
            self._note(host, data)
            found = self._read[data]
            digest = None if found is None else found[1]
        else:
            header = self._headers.get(message.digest)
            is_first = header is not None and header.first_view == message.view
            digest = message.digest if is_first else None
        if digest is not None:
            self._voted[digest].setdefault(name, frozenset(self._times[digest][name]))

    def _note(self, host: str, data: bytes) -> None:
        if data not in self._read:
            self._read[data] = self._first_proposal(data)
        found = self._read[data]
        if found is None or found[0].height <= self.height:
            return
        node, digest = self._world.nodes[host], found[1]
        self._headers[digest] = found[0]
        if self._is_right(host):
            self._times[digest][node.name].add(self._world.time.utc_ms)
        else:
            self._wrong[digest].add(node.name)

    def _first_proposal(self, data: bytes) -> tuple[Header, bytes] | None:
        """Return the header and hash of a block that is proposed in the view that its header names as first."""
        try:
            message = decode_message(data)
            assert isinstance(message, ProposeMessage)
            outline = decode_outline(self._world.chain.genesis.domain, message.outline)
        except ChainError:
            return None
        is_first = outline.header.first_view == message.view
        return (outline.header, outline.block_hash) if is_first else None

    def _is_right(self, host: str) -> bool:
        node = self._world.nodes[host]
        error_ms = node.clock.error_ms()
        bound_ms = self._world.parameters.clock_bound_ms
        return node.name not in self._world.faulty and abs(error_ms) <= bound_ms

    def committed(self, executed: Executed) -> None:
        """A correct node says that a block is committed."""
        header, digest = executed.outline.header, executed.outline.block_hash
        if header.height <= self.height:
            return
        self.height = header.height
        validators = self._world.observer.validators(header.height)
        names = {member.name for member in validators.members}
        wrong = self._wrong[digest] | {
            node.name for node in self._world.nodes.values() if not self._is_right(node.host)
        }
        times = self._voted[digest]
        self._forget()
        if len(wrong & names) > validators.faulty:
            return
        if len(names) == 1 and not times:
            # Killed between its vote's record and its message, a lone validator decides at its start what it told nobody.
            return
        record = decode_record(executed.results.log.emitted[0].leaf)
        right = {
            name
            for name, moments in times.items()
            if any(record.not_before_ms <= moment <= record.not_after_ms for moment in moments)
        }
        if len(right & names) <= validators.faulty:
            raise Violation(
                f"the certified interval of block {header.height}, "
                f"{record.not_before_ms} to {record.not_after_ms}, is wrong: it was proposed first in view "
                f"{header.first_view} and had come to its voters { {n: sorted(m) for n, m in times.items()} } at true times"
            )
        self.judged += 1

    def _forget(self) -> None:
        """Drop what is of decided heights."""
        self._read.clear()
        for digest in [d for d, h in self._headers.items() if h.height <= self.height]:
            for known in (self._headers, self._times, self._wrong, self._voted):
                known.pop(digest, None)
