"""Timestamp tokens (RFC 3161, RFC 5816): requests, tokens, responses, and checking them.

Pure: no IO, no clock, no random numbers; who signs and what time it is are arguments.

    algorithms   digests that may be timestamped, and what signs tokens
    encoding     DER, written
    request      what a client asks
    token        making tokens from a template that is encoded once
    response     what a client is answered
    reading      a token as a value
    checking     whether a token holds
"""
