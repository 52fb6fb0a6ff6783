"""`chainnode evidence`: from a node, and offline with genesis alone."""

import dataclasses

import pytest

from chainnode.model.forensics import encode_testimony, statements_of
from tests.support.chain import make_chain
from tests.support.cli import chainnode, running_node
from tests.support.misconduct import double_vote, report_of


def record(node):
    chain = node.chain
    node.engine.commit([report_of(chain, double_vote(chain, 2))])


@pytest.fixture(scope="module")
def running():
    with running_node(record) as node:
        yield node


def test_evidence_is_listed_shown_and_verified_offline(home, running, tmp_path):
    chain = running.node.chain
    name = chain.validators[2].name
    (listed,) = chainnode("--home", home, "--json", "evidence", "list").document["evidence"]
    assert (listed["validator"], listed["offence"]) == (name, "double-vote")
    assert name in chainnode("--home", home, "evidence", "list").out
    file = tmp_path / "proof"
    shown = chainnode("--home", home, "evidence", "show", listed["id"], "--out", file)
    assert shown.status == 0
    assert f"double-vote at height {listed['offence_height']}" in shown.out
    ran = chainnode("--home", home, "--json", "evidence", "verify", file)
    assert ran.status == 0
    assert (ran.document["validator"], ran.document["id"]) == (name, listed["id"])
    assert "the evidence holds" in chainnode("--home", home, "evidence", "verify", file).out


def test_exit_statuses_tell_forged_malformed_and_unknown_evidence_apart(home, running, tmp_path):
    chain = running.node.chain
    file = tmp_path / "proof"
    file.write_bytes(double_vote(make_chain(chain_id="other.example/chain"), 2).encode())
    assert chainnode("--home", home, "evidence", "verify", file).status == 1
    evidence = double_vote(chain, 2)
    altered = dataclasses.replace(
        evidence, first=dataclasses.replace(evidence.first, signature=bytes(64))
    )
    file.write_bytes(altered.encode())
    assert chainnode("--home", home, "evidence", "verify", file).status == 1
    for wrong in (b"none", bytes(10_000)):
        file.write_bytes(wrong)
        for command, expected in (("verify", "evidence show"), ("accuse", "fork-HEIGHT.testimony")):
            ran = chainnode("--home", home, "evidence", command, file)
            assert (ran.status, f"{file} is no " in ran.err, expected in ran.err) == (2, True, True)
    gone = tmp_path / "gone"
    assert (
        f"cannot read {gone}: No such" in chainnode("--home", home, "evidence", "verify", gone).err
    )
    assert chainnode("--home", home, "evidence", "show", "00" * 32).status == 6
    assert chainnode("--home", home, "evidence", "list", "--validator", "nobody").status == 0


def test_testimonies_of_a_fork_name_the_guilty(home, running, tmp_path):
    chain = running.node.chain
    files = []
    for number in (1, 2):
        certificate = chain.certificate(7, bytes([number]) * 32, signers=(number - 1, 2, 3))
        files.append(tmp_path / f"{number}")
        files[-1].write_bytes(encode_testimony(7, statements_of(certificate)))
    ran = chainnode("--home", home, "--json", "evidence", "accuse", *files)
    assert ran.status == 0
    assert ran.document["guilty"] == sorted(chain.validators[i].name for i in (2, 3))
    assert ran.document["needed"] == 2
    assert "COMMIT view 0" in chainnode("--home", home, "evidence", "accuse", *files).out
    assert chainnode("--home", home, "evidence", "accuse", files[0]).status == 5
    files[0].write_bytes(b"none")
    assert chainnode("--home", home, "evidence", "accuse", *files).status == 2
