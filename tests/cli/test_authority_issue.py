"""An authority's commands beside a node: what fails leaves nothing that looks like a certificate on the log."""

from __future__ import annotations

import datetime as dt

import pytest

from tests.support.chain import ADMIN, CLERK
from tests.support.cli import chainnode, make_client_home, running_node


@pytest.fixture(scope="module")
def running():
    with running_node() as node:
        yield node


@pytest.fixture
def homes(tmp_path, running):
    """Homes of a root, and of its issuing authority, which both CLERK and ADMIN could operate."""
    root = tmp_path / "root"
    issuing = make_client_home(
        tmp_path / "issuing", running.node.chain, accounts=(CLERK, ADMIN), rpc=running.url
    )
    done(root, "root", "--subject", "CN=root")
    done(issuing, "request", "--key", "authority", "--subject", "CN=issuing")
    done(root, "sign", issuing / "authority.csr", "--out", tmp_path / "issuing.pem")
    done(issuing, "install", "--key", "authority", tmp_path / "issuing.pem")
    keys = ("--purpose", "timestamp", "--suite", "p256-sha256")
    assert chainnode("--home", issuing, "keys", "new", "timestamp", *keys).status == 0
    done(issuing, "request", "--subject", "CN=unit", "--out", tmp_path / "unit.csr")
    return root, issuing


def done(home, *arguments):
    ran = chainnode("--home", home, "--json", "ca", *arguments)
    assert ran.status == 0, ran.out + ran.err
    return ran.document


def admit(issuing, chain, operator):
    admitted = ("admit", "--title", "市", "--operator", operator, "--chain", chain, "--as", ADMIN)
    ran = chainnode("--home", issuing, "ca", *admitted)
    assert ran.status == 0, ran.err
    return ran.out


def listed(home):
    return [(c["serial_number"], c["is_waiting"]) for c in done(home, "list")["certificates"]]


def test_what_the_chain_refused_waits_and_is_used_by_the_next_issue(homes, tmp_path):
    _, issuing = homes
    request, chain = tmp_path / "unit.csr", issuing / "authority.pem"
    admit(issuing, chain, ADMIN)
    # No account at all: nothing is signed.
    nobody = ("--owner", CLERK, "--as", "justice/nobody")
    ran = chainnode("--home", issuing, "--json", "ca", "issue", request, *nobody)
    assert (ran.status, listed(issuing)) == (4, [])
    issue = ("issue", request, "--owner", CLERK)
    ran = chainnode("--home", issuing, "--json", "ca", *issue, "--as", CLERK)
    assert (ran.status, ran.document["error"]["code"]) == (4, "not_the_operator")
    assert "wait in this home" in ran.err
    ((serial, is_waiting),) = listed(issuing)
    assert is_waiting
    assert "not known to be on the log" in chainnode("--home", issuing, "ca", "list").out
    assert not (tmp_path / "unit.pem").exists()
    # Other terms are another certificate; the same terms are the one that waits.
    years = done(issuing, *issue, "--years", "1", "--as", ADMIN, "--out", tmp_path / "other")
    assert years["certificates"][0]["serial_number"] != serial
    assert (serial, True) in listed(issuing)
    again = done(issuing, *issue, "--as", ADMIN)
    assert [c["serial_number"] for c in again["certificates"]] == [serial]
    assert all(not waits for _, waits in listed(issuing))


def power_cut(issuing):
    """Leave what a power cut leaves between the chain's record of certificates and the home's note of it."""
    for file in (issuing / "issued").glob("*.pem"):
        file.rename(issuing / "waiting" / file.name)


def test_what_was_entered_before_a_crash_is_not_entered_again(homes, tmp_path):
    _, issuing = homes
    admit(issuing, issuing / "authority.pem", CLERK)
    issue = ("issue", tmp_path / "unit.csr", "--owner", CLERK)
    first = done(issuing, *issue)
    power_cut(issuing)
    (tmp_path / "unit.pem").unlink()
    again = done(issuing, *issue)
    assert (again["tx_id"], again["certificates"]) == (None, first["certificates"])
    assert listed(issuing) == [(first["certificates"][0]["serial_number"], False)]
    # For another owner it is another certificate.
    (tmp_path / "unit.pem").unlink()
    power_cut(issuing)
    other = done(issuing, "issue", tmp_path / "unit.csr", "--owner", ADMIN)
    assert other["certificates"][0]["serial_number"] != first["certificates"][0]["serial_number"]
    assert len(listed(issuing)) == 2
    ran = chainnode("--home", issuing, "ca", "issue", tmp_path / "unit.csr", "--owner", ADMIN)
    assert ran.status == 2
    (tmp_path / "unit.pem").unlink()
    ran = chainnode("--home", issuing, "ca", "issue", tmp_path / "unit.csr", "--owner", ADMIN)
    assert ran.out.endswith("unit.pem\n")


def test_replacing_an_authority_is_said(homes, tmp_path):
    root, issuing = homes
    name = ("--authority", "city")
    chain = issuing / "authority.pem"
    admitted = ("admit", *name, "--title", "市", "--operator", CLERK, "--chain", chain)
    for said in ("the chain knows the authority city", "replaced the authority city"):
        ran = chainnode("--home", issuing, "ca", *admitted, "--as", ADMIN)
        assert (ran.status, said in ran.out) == (0, True), ran.out + ran.err
    assert "no authorities below it" in chainnode("ca", "show", chain).out
    assert (
        "one level of authorities below it" in chainnode("ca", "show", root / "authority.pem").out
    )


def test_years_are_those_of_the_calendar(homes):
    root, _ = homes
    (made,) = [done(root, "show", root / "authority.pem")]
    begun, ended = (dt.datetime.fromisoformat(made[f"valid_{which}"]) for which in ("from", "to"))
    assert ended.year - begun.year == 20
    assert (ended.month, ended.time()) == (begun.month, begun.time())
    assert ended.day == begun.day or (begun.month, begun.day) == (2, 29)


def test_a_waiting_certificate_that_was_revoked_is_not_handed_out(homes, tmp_path):
    _, issuing = homes
    admit(issuing, issuing / "authority.pem", CLERK)
    issue = ("issue", tmp_path / "unit.csr", "--owner", CLERK)
    (first,) = done(issuing, *issue)["certificates"]
    power_cut(issuing)
    (waiting,) = (issuing / "waiting").glob("*.pem")
    done(issuing, "revoke", waiting, "--reason", "compromised")
    (tmp_path / "unit.pem").unlink()
    (again,) = done(issuing, *issue)["certificates"]
    assert again["serial_number"] != first["serial_number"]


def test_the_home_of_a_former_key_issues_and_publishes_nothing(homes, tmp_path):
    root, issuing = homes
    admit(issuing, issuing / "authority.pem", CLERK)
    done(issuing, "crl")
    done(root, "sign", issuing / "authority.csr", "--out", tmp_path / "renewed.pem")
    admit(issuing, tmp_path / "renewed.pem", CLERK)
    ran = chainnode(
        *("--home", issuing, "--json", "ca", "issue", tmp_path / "unit.csr", "--owner", CLERK)
    )
    assert (ran.status, ran.document["error"]["code"]) == (2, "former_key"), ran.err
    assert not (tmp_path / "unit.pem").exists()


def test_a_root_that_has_published_a_list_is_not_replaced(homes, tmp_path):
    root, issuing = homes
    other, named = tmp_path / "other", ("--authority", "guarded")

    def run(*arguments):
        return chainnode("--home", issuing, "--json", "ca", *arguments, "--as", ADMIN)

    def admitted(chain):
        return run("admit", *named, "--title", "市", "--operator", CLERK, "--chain", chain)

    done(other, "root", "--subject", "CN=other")
    done(other, "sign", issuing / "authority.csr", "--out", tmp_path / "elsewhere.pem")
    assert admitted(issuing / "authority.pem").status == 0
    done(root, "crl")
    published = run("publish-crl", *named, "--root", root / "crl.pem")
    assert published.status == 0, published.err
    refused = admitted(tmp_path / "elsewhere.pem")
    assert (refused.status, refused.document["error"]["code"]) == (2, "other_root"), refused.err
    assert admitted(issuing / "authority.pem").status == 0
