"""Records of the standard library's logging become lines of the node's log."""

from __future__ import annotations

import logging

import pytest
from aiohttp.http_exceptions import BadHttpMessage

from chainnode.logs import Log, level_named
from chainnode.node.library_logs import LOGGERS, gather_library_logs


@pytest.fixture
def lines():
    kept = {name: logging.getLogger(name) for name in LOGGERS}
    before = {
        name: (logger.handlers[:], logger.propagate, logger.level) for name, logger in kept.items()
    }
    written = []
    log = Log(written.append, now_ms=lambda: 0, level=level_named("info"))
    gather_library_logs(log)
    gather_library_logs(log)
    yield written
    for name, logger in kept.items():
        logger.handlers[:], logger.propagate, logger.level = before[name]


def test_an_event_of_p2p_is_one_line_with_its_level(lines):
    logger = logging.getLogger("chainnode.p2p")
    logger.info("peer_linked peer=%s dialled=%s", "v2", True)
    logger.warning("stranger_refused count=3")
    logger.debug("nothing")
    assert [line.split(" ", 1)[1] for line in lines] == [
        'info peer_linked about="peer=v2 dialled=True"\n',
        'warning stranger_refused about="count=3"\n',
    ]


def test_a_traceback_stays_in_its_line(lines):
    for name, event in (
        ("chainnode.rpc.dispatch", "rpc_failed"),
        ("aiohttp.server", "aiohttp_says"),
    ):
        try:
            {}["a bug"]
        except KeyError:
            logging.getLogger(name).exception("rpc_failed method=chain_status")
        (line,) = lines
        assert line.split(" ")[2] == event
        assert "a bug" in line
        assert "Traceback" in line
        assert line.count("\n") == 1
        lines.clear()


def test_a_request_that_is_no_http_is_no_line(lines):
    logger = logging.getLogger("aiohttp.server")
    wrong = BadHttpMessage("too many headers")
    logger.error("Error handling request from %s", "127.0.0.1", exc_info=wrong)
    assert lines == []
    logger.error("Unhandled exception", exc_info=KeyError("a bug"))
    assert len(lines) == 1
