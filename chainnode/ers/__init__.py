"""Evidence records (RFC 4998): timestamps that are renewed before what they rest on grows weak.

Pure: no IO, no clock, no random numbers. A record holds nothing but hashes and RFC 3161 tokens, so it outlives this chain,
its keys and its software: who holds document and record needs roots of timestamp authorities, and nothing of ours.

    tree        one hash over many, and what leads from each to it
    record      evidence records as values, as bytes
    renewal     what a new token must be over, so that it takes over from the last one
    verifying   whether a record shows that a document existed at a time
"""
