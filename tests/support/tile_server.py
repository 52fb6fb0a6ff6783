"""A C2SP tlog-tiles server that is not ours, and that a test can make lie.

with served_log(alliance, leaves) as log:
    ...ask log.url...
    log.show(other_leaves)      # another history, signed with the very same keys
"""

from __future__ import annotations

import contextlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from chainnode.model.checkpoint import Checkpoint
from chainnode.model.errors import ChainError
from chainnode.model.merkle import leaf_hashes, root_of
from chainnode.model.tlog_tiles import TILE_WIDTH, encode_entries, parse_tile_path, tile_width


class ServedLog:
    """What is served; everything may be changed while it runs."""

    def __init__(self, alliance, leaves):
        self.alliance = alliance
        self.url = ""
        self.replaced = {}
        """Bodies by path that are served instead; None is not found."""
        self.show(leaves)

    def show(self, leaves, *, cosigners=None, time_s=None):
        """Serve these leaves, under a checkpoint that the log and the cosigners sign now."""
        self.leaves = leaves
        suite = self.alliance.suite
        self._hashes = leaf_hashes(suite, leaves)
        self.checkpoint = Checkpoint(
            origin=self.alliance.origin, size=len(leaves), root=root_of(suite, self._hashes)
        )
        now_s = int(time.time()) if time_s is None else time_s
        self.note = self.alliance.signed(self.checkpoint, cosigners=cosigners, time_s=now_s)

    def answer(self, path):
        """Return the body at a path, or None."""
        if path in self.replaced:
            return self.replaced[path]
        if path == "/checkpoint":
            return self.note.encode()
        try:
            tile = parse_tile_path(path.removeprefix("/"))
        except ChainError:
            return None
        level, first = tile.level or 0, tile.index * TILE_WIDTH
        available = tile_width(level, tile.index, len(self.leaves))
        # What has become full is not served in part any more, as the specification allows.
        if available == 0 or tile.width > available or (available == TILE_WIDTH != tile.width):
            return None
        if tile.level is None:
            return encode_entries(self.leaves[first : first + tile.width])
        span = TILE_WIDTH**level
        return b"".join(
            root_of(self.alliance.suite, self._hashes[number * span : (number + 1) * span])
            for number in range(first, first + tile.width)
        )


@contextlib.contextmanager
def served_log(alliance, leaves):
    """Serve a log on a port of its own until the end."""
    log = ServedLog(alliance, leaves)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = log.answer(self.path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    log.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield log
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
