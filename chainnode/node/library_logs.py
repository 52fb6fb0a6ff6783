"""Brings what is said through the standard library's `logging` into the node's log, one line per record.

p2p and rpc speak `event key=value ...` there, and so do asyncio and aiohttp, in their own words, when something goes wrong in
them. A traceback stays in its record's line. What is no HTTP at all is answered with 400 and not noted: whoever reaches a
listener could fill the disk with it, a traceback a line.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from aiohttp.http import HttpProcessingError
from aiohttp.web import RequestPayloadError

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


def is_ours(record: logging.LogRecord) -> bool:
    """Whether a record is about this node, and not about a request that a client got wrong."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError | RequestPayloadError)


def gather_library_logs(log: Log) -> None:
    """Send the records of `LOGGERS` to `log` from now on, and nowhere else."""
    for name, level in LOGGERS.items():
        logger = logging.getLogger(name)
        logger.propagate = False
        logger.setLevel(level)
        words = "%(message)s" if name == "chainnode" else f"{name}_says %(message)s"
        handler: logging.StreamHandler[LineToLog] = logging.StreamHandler(LineToLog(log))
        handler.addFilter(is_ours)
        handler.setFormatter(logging.Formatter(f"%(levelname)s {words}"))
        logger.handlers[:] = [handler]
