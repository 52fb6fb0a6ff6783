"""`chainnode archive`: evidence records of documents, sealed, checked and renewed.

group     the commands
files     which documents there are, and where their records lie
tokens    tokens that records rest on, with the proofs that the chain issued them
seal, check, renew    what each command does
"""
