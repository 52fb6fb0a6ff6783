"""What commands that run local networks share."""

from __future__ import annotations

import signal
from typing import Final

import click

from chainnode.model.suites import ED25519_SHA256, SUITE_NAMES
from devnet.network import MAX_LOCAL_VALIDATORS

VALIDATORS: Final = click.option(
    "--validators",
    type=click.IntRange(1, MAX_LOCAL_VALIDATORS),
    default=4,
    show_default=True,
    help="How many.",
)
SUITE: Final = click.option(
    "--suite", type=click.Choice(SUITE_NAMES), default=ED25519_SHA256, show_default=True
)


def end_as_by_ctrl_c() -> None:
    """Let SIGTERM end the network too, not only this command."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
