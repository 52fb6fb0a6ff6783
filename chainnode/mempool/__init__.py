"""Transactions that wait for a block: what may enter, how many, and in which order they leave."""
