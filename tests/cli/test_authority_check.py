"""`chainnode ca check` when other authorities say what they like, and publish what they like."""

from __future__ import annotations

import pytest

from chainnode.model import calls
from chainnode.model.keys import KeyPurpose
from chainnode.pki.pem import write_bundle
from chainnode.pki.revocation import RevokedCertificate
from tests.support.certificates import NOW_MS, authority
from tests.support.chain import ADMIN, CLERK
from tests.support.cli import chainnode, running_node

MADE = authority()
CITY = [MADE.issuing.encoded, MADE.root.encoded]


def admit(name, chain):
    return calls.admit_authority(name, title="市", standing="internal", operator=ADMIN, chain=chain)


def enter(name, owner=CLERK):
    return calls.enter_certificate(
        name,
        purpose=KeyPurpose.TIMESTAMP,
        owner=owner,
        not_before_ms=0,
        not_after_ms=NOW_MS,
        certificate=MADE.leaf.encoded,
    )


def revoke(node, name):
    fingerprint = node.chain.genesis.suite.hash(MADE.leaf.encoded)
    return calls.revoke_certificate(name, fingerprint, "compromised")


@pytest.fixture
def check(tmp_path):
    def run(*wanted):
        def prepare(node):
            made = [call(node) if callable(call) else call for call in wanted]
            for number, call in enumerate(made):
                transaction = node.chain.transaction([call], sender=ADMIN, nonce=str(number))
                node.engine.commit([transaction])

        file = tmp_path / "unit.pem"
        file.write_bytes(write_bundle((MADE.leaf,)))
        with running_node(prepare) as running:
            asked = ("--home", tmp_path, "--rpc", running.url, "ca", "check", file)
            ran = chainnode("--json", *asked)
            assert ran.status == (0 if ran.document["counts"] else 1)
            assert chainnode(*asked).status == ran.status
        return ran.document

    return run


def test_whoever_has_not_signed_it_is_not_heard_whatever_it_publishes(check):
    said = check(
        admit("alien", [b"no certificate"]),
        enter("alien", ADMIN),
        lambda node: revoke(node, "alien"),
        admit("city", CITY),
        enter("city"),
        calls.publish_crl("alien", 1, b"no list"),
    )
    assert said["counts"]
    alien, city = said["entries"]
    assert (alien["authority"], alien["has_issued"], alien["why_not"]) == (
        "alien",
        False,
        "it is revoked",
    )
    assert (city["has_issued"], city["why_not"], city["owner"]) == (True, None, CLERK)


def test_another_word_does_not_save_what_the_issuer_has_revoked(check):
    said = check(
        admit("alien", [b"no certificate"]),
        enter("alien"),
        admit("city", CITY),
        enter("city"),
        lambda node: revoke(node, "city"),
    )
    assert (said["counts"], said["reason"]) == (False, "it is revoked")


def test_lists_count_and_one_that_does_not_hold_is_said(check):
    listed = MADE.crl(RevokedCertificate(MADE.leaf.serial_number, NOW_MS, None))
    known = (admit("city", CITY), enter("city"))
    assert check(*known)["counts"]
    said = check(*known, calls.publish_crl("city", 1, listed.encoded))
    assert said["reason"] == "it is on its authority's revocation list"
    issuing = RevokedCertificate(MADE.issuing.serial_number, NOW_MS, None)
    root = MADE.crl(issuing, by_root=True)
    said = check(*known, calls.publish_root_crl("city", 1, root.encoded))
    assert said["reason"] == "the root has revoked its authority's certificate"
    said = check(*known, calls.publish_root_crl("city", 1, listed.encoded))
    assert "does not hold" in said["reason"]
    assert check(admit("city", CITY))["reason"] == "no authority of this chain has entered it"


def test_a_list_under_a_number_that_is_not_its_own_does_not_hold(check):
    earlier = MADE.crl(by_root=True, number=3)
    known = (admit("city", CITY), enter("city"))
    assert check(*known, calls.publish_root_crl("city", 3, earlier.encoded))["counts"]
    # An administrator who calls it the fourth, so that it replaces the third.
    said = check(*known, calls.publish_root_crl("city", 4, earlier.encoded))
    assert "does not hold" in said["reason"]
    assert "list 4" in said["reason"]


def test_an_authority_that_has_changed_its_key_is_heard_of_what_it_issued_before(check):
    others = (admit("alien", [b"no certificate"]), enter("alien"))
    known = (admit("city", CITY), enter("city"))
    anew = admit("city", [MADE.rekeyed().encoded, MADE.root.encoded])
    said = check(*others, lambda node: revoke(node, "alien"), *known, anew)
    assert said["counts"]
    assert [one["has_issued"] for one in said["entries"]] == [False, True]
    said = check(*others, *known, lambda node: revoke(node, "city"), anew)
    assert (said["counts"], said["reason"]) == (False, "it is revoked")
    taken = MADE.crl(RevokedCertificate(MADE.issuing.serial_number, NOW_MS, None), by_root=True)
    said = check(*known, anew, calls.publish_root_crl("city", 1, taken.encoded))
    assert said["reason"] == "the root has revoked its authority's certificate"
