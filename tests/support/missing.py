"""A tool that a test needs and this machine lacks: loudly skipped; under CI=true a failure."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def missing(tool: str, *, so: str) -> NoReturn:
    """Skip the test that asked, or fail it.

    Args:
        tool: what is missing, and where it comes from.
        so: what is therefore not known.
    """
    if os.environ.get("CI") == "true":
        pytest.fail(f"tool missing: {tool}")
    pytest.skip(f"TOOL MISSING, {so}: {tool}")
