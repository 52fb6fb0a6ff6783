"""Links between validators: one WebSocket per pair, over TLS 1.3 that only members can complete.

    frame    how messages are packed into WebSocket messages
    outbox   what waits to be sent to one peer, by priority, bounded
    budget   how much one peer may send us
    hello    what two peers tell each other first
    limits   the bounds and times of all of it
    wire     one WebSocket and its transport, whoever dialled
    link     one live connection: reads, writes, notices that it is dead
    listener TLS handshakes with whoever calls, a few at a time
    member   what we know of one peer
    peers    the manager: dials, accepts, reconnects, sends

A message may be lost: when a queue overflows, and whenever a link goes down. Whoever needs it sends it again.
"""
