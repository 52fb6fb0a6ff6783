"""`chainnode witness`: how a home's witness is made known to the operators of other logs."""

import pytest

from chainnode.config import FILE_NAME
from chainnode.model.note import parse_verifier_key
from tests.support.alliance import ORIGIN, Alliance
from tests.support.cli import chainnode

NAME = "witness.example/w1"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("CHAINNODE_PASSPHRASE", "correct horse")
    home = tmp_path / "home"
    made = chainnode("--home", home, "--json", "keys", "new", "w", "--purpose", "witness")
    assert made.status == 0, made.err
    assert made.document["purpose"] == "witness"
    (home / FILE_NAME).write_text(f'[witness]\nkey = "w"\nname = "{NAME}"\n')
    return home


def test_its_line_is_ready_for_a_policy(home):
    (home / "witnessed").mkdir()
    (home / "witnessed" / "a.policy").write_bytes(Alliance().policy().encode())
    ran = chainnode("--home", home, "witness", "--url", "https://node.example:8545/")
    assert ran.status == 0
    keyword, name, vkey, url = ran.out.split()
    assert (keyword, name, url) == ("witness", NAME, "https://node.example:8545")
    key = parse_verifier_key(vkey)
    assert (key.name, key.type.is_cosignature) == (NAME, True)
    assert ORIGIN in ran.err
    document = chainnode("--home", home, "--json", "witness").document
    assert document == {
        "name": NAME,
        "vkey": vkey,
        "url": "http://127.0.0.1:8545",
        "logs": [ORIGIN],
    }


def test_a_home_that_witnesses_nothing_says_so(home):
    (home / FILE_NAME).write_text("")
    ran = chainnode("--home", home, "witness")
    assert (ran.status, ran.out) == (2, "")
    assert "names no witness.key" in ran.err


def test_a_key_of_another_purpose_is_no_witness(home):
    assert chainnode("--home", home, "keys", "new", "other").status == 0
    (home / FILE_NAME).write_text(f'[witness]\nkey = "other"\nname = "{NAME}"\n')
    ran = chainnode("--home", home, "witness")
    assert ran.status == 2
    assert "is of purpose account; expected witness" in ran.err
