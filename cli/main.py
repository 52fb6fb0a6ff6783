"""Entry point of the `chainnode` command."""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
