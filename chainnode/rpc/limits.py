"""Bounds of the RPC listener and its client: name, unit, reason, and what happens when one is hit."""

from __future__ import annotations

from typing import Final

MAX_BODY_BYTES: Final = 2 * 1024 * 1024
"""A request's body or WebSocket message: seven largest transactions in base64. More is refused unread."""

MAX_BATCH: Final = 100
"""Requests in one batch. More is refused as a whole."""

MAX_BATCH_MS: Final = 200
"""How long the requests of one batch may keep the event loop, on which the validator itself runs. Those that are not begun
by then are refused as overloaded: a hundred large blocks would take ten seconds."""

MAX_JSON_DEPTH: Final = 16
"""Arrays and objects within one another; the deepest request nests 6. Deeper text is no request."""

MAX_ID_BYTES: Final = 256
"""Length of a request's `id` if it is a string; it is echoed."""

MAX_CONCURRENT_REQUESTS: Final = 2_000
"""HTTP requests that are being answered at once; each may hold a body. Beyond it: HTTP 429."""

MAX_STREAMS: Final = 500
"""WebSocket connections at once. Beyond it: HTTP 429."""

MAX_CONNECTIONS: Final = MAX_CONCURRENT_REQUESTS + MAX_STREAMS
"""TCP connections at once, idle ones too. Beyond it callers wait to be accepted."""

RESERVED_DESCRIPTORS: Final = 400
"""File descriptors that clients leave to the node: a link to each of 100 validators, handshakes with 32 callers, the files that
the store writes, log files, and as many again. Where the system allows a process 1,024, 624 clients are let in."""

IDLE_PATIENCE_S: Final = 75
"""How long a connection may say nothing, or not finish the head of a request; then it is closed."""

MAX_PENDING_PER_STREAM: Final = 10_000
"""Requests of one WebSocket that wait for their answer. Beyond it they are refused as overloaded."""

MAX_OUTBOX_BYTES: Final = 16 * 1024 * 1024
"""What one WebSocket client may leave unread. Beyond it the connection is closed with `TOO_SLOW`."""

MAX_SUBSCRIPTIONS: Final = 16
"""Subscriptions of one WebSocket."""

TOO_SLOW: Final = 4008
"""WebSocket close code: you were too slow. What was not delivered is lost; connect again and read on."""

STOPPING: Final = 1001
"""WebSocket close code: the node is stopping ("going away", RFC 6455 section 7.4.1)."""

RETRY_AFTER_MS: Final = 500
"""What an overloaded listener asks a client to wait."""

MAX_RESPONSE_BYTES: Final = 64 * 1024 * 1024
"""What the client reads of one answer: a largest block in base64 with its receipts."""
