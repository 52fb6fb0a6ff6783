"""Verification of transactions' signatures in worker processes, away from the event loop."""
