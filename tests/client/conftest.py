"""No home of the user's, and a node that decides at once."""

import pytest

from tests.support.cli import PASSPHRASE, make_client_home, running_node


@pytest.fixture(autouse=True)
def _environment(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))


@pytest.fixture(scope="module")
def running():
    with running_node() as node:
        yield node


@pytest.fixture
def home(tmp_path, running):
    made = make_client_home(tmp_path / "net" / "client", running.node.chain, rpc=running.url)
    secret = made / "passphrase"
    secret.write_text(PASSPHRASE)
    secret.chmod(0o600)
    with (made / "config.toml").open("a") as config:
        config.write('passphrase_file = "passphrase"\n')
    return made
