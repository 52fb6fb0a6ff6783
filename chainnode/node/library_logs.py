"""Brings what is said through the standard library's `logging` into the node's log, one line per record.

p2p and rpc speak `event key=value ...` there, and so do asyncio and aiohttp, in their own words, when something goes wrong in
them. A traceback stays in its record's line.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from chainnode.logs import Log

LOGGERS: Final = {"chainnode": logging.INFO, "aiohttp": logging.WARNING, "asyncio": logging.WARNING}
"""Whose records are gathered, and from which level on."""


class LineToLog:
    """A stream for a logging handler, whose records are `level event about ...`."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def write(self, text: str) -> None:
        """Take one record."""
        level, _, rest = text.strip().partition(" ")
        name, _, about = rest.partition(" ")
        say = self._log.event if level == "INFO" else self._log.warning
        say(name, about=about)

    def flush(self) -> None:
        """Do nothing: `Log` does not buffer."""


def gather_library_logs(log: Log) -> None:
    """Send the records of `LOGGERS` to `log` from now on, and nowhere else."""
    for name, level in LOGGERS.items():
        logger = logging.getLogger(name)
        logger.propagate = False
        logger.setLevel(level)
        words = "%(message)s" if name == "chainnode" else f"{name}_says %(message)s"
        handler: logging.StreamHandler[LineToLog] = logging.StreamHandler(LineToLog(log))
        handler.setFormatter(logging.Formatter(f"%(levelname)s {words}"))
        logger.handlers[:] = [handler]
