"""Whoever watches the engine, as one witness: waiting clients, metrics, the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chainnode.ledger.execution import Executed
    from chainnode.logs import Log
    from chainnode.model.certificate import Certificate
    from chainnode.services.ports import Witness


class Observers:
    """Tells every witness, then writes one log line per block or event."""

    def __init__(self, witnesses: tuple[Witness, ...], log: Log) -> None:
        self._witnesses = witnesses
        self._log = log

    def block_committed(self, executed: Executed, certificate: Certificate) -> None:
        """A block is decided and synced to disk."""
        for witness in self._witnesses:
            witness.block_committed(executed, certificate)
        header = executed.outline.header
        self._log.event(
            "block_committed",
            height=header.height,
            txs=header.tx_count,
            view=certificate.view,
            log_size=header.log_size,
            proposer=header.proposer,
        )

    def checkpoint_cosigned(self, height: int) -> None:
        """A quorum has cosigned the log as of `height`."""
        for witness in self._witnesses:
            witness.checkpoint_cosigned(height)

    def event(self, name: str, **fields: int | str) -> None:
        """Something worth a log line happened."""
        for witness in self._witnesses:
            witness.event(name, **fields)
        self._log.event(name, **fields)
