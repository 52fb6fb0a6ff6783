"""A node that decides at once, a home whose accounts it knows, and none of the user's; the passphrase is in the environment."""

import pytest

from tests.support.chain import ADMIN, CLERK, GUEST
from tests.support.cli import PASSPHRASE, chainnode, make_client_home, running_node


@pytest.fixture(autouse=True)
def _environment(monkeypatch, tmp_path):
    monkeypatch.setenv("CHAINNODE_PASSPHRASE", PASSPHRASE)
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))


@pytest.fixture(scope="module")
def running():
    with running_node() as node:
        yield node


@pytest.fixture
def home(tmp_path, running):
    return make_client_home(
        tmp_path / "home", running.node.chain, accounts=(CLERK, ADMIN, GUEST), rpc=running.url
    )


@pytest.fixture
def policy(home, tmp_path):
    path = tmp_path / "policy"
    assert chainnode("--home", home, "policy", "--out", path).status == 0
    return path


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "notice.txt"
    path.write_text("关于公布许可目录的通知\n")
    return path
