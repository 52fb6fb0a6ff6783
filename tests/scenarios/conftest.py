"""All scenarios: signatures and messages that n validators check alike are checked once."""

from __future__ import annotations

import pytest

from tests.support.simulated_speed import remembering


@pytest.fixture(autouse=True)
def fast_simulation():
    """Remember answers of pure functions while a scenario runs."""
    with remembering():
        yield
