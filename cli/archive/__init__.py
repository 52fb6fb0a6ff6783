"""`chainnode archive`: evidence records of documents, sealed, checked and renewed.

group     the commands
files     which documents there are, and where their records lie
tokens    tokens that records rest on, with the proofs that the chain issued them
judging   whether records hold, by what the verifier brings along
seal, check, renew    what each command does
"""
