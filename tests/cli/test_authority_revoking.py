"""`chainnode ca revoke-authority`: a root takes back its authorities, and nobody else takes back anything that way."""

from __future__ import annotations

import pytest

from chainnode.pki.issuing import issue_certificate
from chainnode.pki.pem import write_bundle
from tests.support.certificates import authority, terms
from tests.support.cli import chainnode

MADE = authority()
SEALED_BY_ROOT = issue_certificate(terms(MADE.leaf_signer), MADE.root, MADE.root_signer)


@pytest.fixture
def revoke(tmp_path):
    def run(chain, certificate):
        (tmp_path / "authority.pem").write_bytes(write_bundle(chain))
        file = tmp_path / "given.pem"
        file.write_bytes(write_bundle((certificate,)))
        ran = chainnode(
            "--json", "--home", tmp_path, "ca", "revoke-authority", file, "--reason", "compromised"
        )
        noted = list(tmp_path.glob("revoked/*.json"))
        if ran.status == 0:
            (note,) = noted
            assert note.stem == ran.document["serial_number"]
            return ""
        assert not noted
        return ran.document["error"]["code"]

    return run


def test_a_root_takes_back_an_authority_that_it_has_signed(revoke):
    assert revoke((MADE.root,), MADE.issuing) == ""


@pytest.mark.parametrize(
    ("chain", "certificate", "code"),
    [
        ((MADE.root,), MADE.root, "other_issuer"),
        ((MADE.root,), MADE.leaf, "other_issuer"),
        # Only what the chain says ends it at once, so `ca revoke` takes it back, and not its issuer's list alone.
        ((MADE.root,), SEALED_BY_ROOT, "not_an_authority"),
        ((MADE.issuing, MADE.root), MADE.leaf, "not_a_root"),
        ((MADE.issuing, MADE.root), MADE.issuing, "not_a_root"),
    ],
)
def test_everything_else_is_refused_and_nothing_noted(revoke, chain, certificate, code):
    assert revoke(chain, certificate) == code
