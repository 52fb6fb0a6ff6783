"""Encrypted key files, the Signer that everything signs through, TLS identities, and fresh random numbers.

No other package touches a private key or makes a random number.
"""
