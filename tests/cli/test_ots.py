"""`chainnode ots verify` of files in which others have written too: what holds is found, whatever stands beside it."""

import hashlib

import pytest

from chainnode.model import ots
from chainnode.model.commitment import Digest, Opening, commitment_to, digests_value
from tests.support.alliance import FILE, SALT, Alliance
from tests.support.cli import chainnode

ALLIANCE = Alliance()
DIGEST = hashlib.sha256(FILE).digest()
PENDING = ots.pending("https://a.example/ots/")
ODD_PENDING = PENDING.replace(b"a.example/ots/", b"a.example/?ots")
MALFORMED = ots.on_chain(b"no proof")


def stamped_only(leaf, _opening):
    """The record of a calendar: about the SHA-256 alone."""
    opening = Opening(salt=SALT, digests=(Digest(algorithm="sha256", value=DIGEST),))
    commitment = commitment_to(ALLIANCE.suite, SALT, digests_value(opening.digests))
    return (*leaf[:-1], (commitment,)), opening.as_value()


GOOD = ots.on_chain(ALLIANCE.notarization(change=stamped_only).encode())
OTHERS = ots.on_chain(Alliance(origin="other.example").notarization(change=stamped_only).encode())


@pytest.fixture
def verify(tmp_path):
    (tmp_path / "file").write_bytes(FILE)
    (tmp_path / "policy").write_bytes(ALLIANCE.policy().encode())

    def run(*branches, json=True):
        timestamp = b"".join(b"\xff" + branch for branch in branches[:-1]) + branches[-1]
        (tmp_path / "file.ots").write_bytes(ots.MAGIC + b"\x01\x08" + DIGEST + timestamp)
        files = (tmp_path / "file", tmp_path / "file.ots", "--policy", tmp_path / "policy")
        return chainnode(*(["--json"] if json else []), "ots", "verify", *files)

    return run


@pytest.mark.parametrize("others", [(MALFORMED,), (OTHERS,), (MALFORMED, OTHERS, PENDING)])
def test_an_attestation_that_holds_is_found_behind_others_and_those_are_mentioned(verify, others):
    ran = verify(*others, GOOD)
    assert (ran.status, ran.err) == (0, "")
    assert ran.document["holds"] is True
    assert len(ran.document["not_holding"]) == sum(other != PENDING for other in others)
    assert "another attestation of this chain: " in verify(*others, GOOD, json=False).out


def test_where_none_holds_the_reason_is_that_of_one_that_can_be_read(verify):
    ran = verify(OTHERS, MALFORMED)
    assert (ran.status, ran.document["error"]["code"]) == (1, "other_chain")
    ran = verify(MALFORMED)
    assert (ran.status, ran.document["error"]["code"]) == (2, "bad_proof")


def test_an_address_that_is_none_spoils_nothing_and_is_told_plainly(verify):
    ran = verify(ODD_PENDING, GOOD)
    assert ran.status == 0
    assert ran.document["not_judged"] == ["pending at an address that is none"]
    ran = verify(ODD_PENDING)
    assert (ran.status, ran.document["error"]["code"]) == (5, "pending")
    assert "stamp the document again" in ran.document["error"]["message"]
    ran = verify(ODD_PENDING, PENDING)
    assert "`ots -l https://a.example/ots/ upgrade FILE.ots`" in ran.document["error"]["message"]
