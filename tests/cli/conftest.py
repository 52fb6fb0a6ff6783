"""Every command of these tests has its passphrase from the environment, and no home of the user's."""

import pytest

from tests.support.cli import PASSPHRASE


@pytest.fixture(autouse=True)
def _environment(monkeypatch, tmp_path):
    monkeypatch.setenv("CHAINNODE_PASSPHRASE", PASSPHRASE)
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
