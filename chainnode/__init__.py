"""Permissioned ledger node for alliances of government agencies."""
