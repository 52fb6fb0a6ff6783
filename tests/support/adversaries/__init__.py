"""Validators that lie: what each kind does, and which of them a seed draws.

All of them own at most f validators (`excess` more in runs that are meant to break), see every message, hold the
private keys of their own validators and of nobody else, and go on after the network has healed.
"""
