"""An authority of its own in a running network: whatever is taken back, by whomever, reaches the chain and the lists."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from chainnode.clock import SystemClock
from chainnode.model.errors import ProofInvalid
from chainnode.pki.path import check_path
from chainnode.pki.pem import parse_bundle
from chainnode.pki.profiles import TIMESTAMP
from chainnode.pki.revocation import decode_crl
from devnet import homes
from tests.support.network import chainnode

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("stamps")]

PAGE = Path(__file__).parents[2] / "docs" / "timestamps.md"


@dataclass(frozen=True)
class Spare:
    """An authority beside the network's own, which other tests need."""

    network: object
    root: Path
    issuing: Path
    certificates: tuple[Path, ...]
    """That it has issued, and no node uses."""

    @property
    def admin(self):
        return self.network.directory / homes.ADMIN

    def run(self, home, *arguments):
        """What a command says as JSON, and its status."""
        passphrase = ("--passphrase-file", self.network.directory / homes.PASSPHRASE)
        opens_keys = arguments[0] not in {"install", "check", "revoke-authority", "list"}
        given = (*arguments, *(passphrase if opens_keys else ()))
        ran = chainnode(home, "--json", "ca", *map(str, given))
        return ran.returncode, json.loads(ran.stdout), ran.stderr

    def done(self, home, *arguments):
        status, said, why = self.run(home, *arguments)
        assert status == 0, (said, why)
        return said

    def refused(self, home, *arguments):
        status, said, _ = self.run(home, *arguments)
        assert status in {2, 4}, said
        return said["error"]["code"]

    def check(self, number):
        status, said, why = self.run(self.admin, "check", self.certificates[number])
        assert status in {0, 1}, (said, why)
        assert (status == 0) == said["counts"]
        return said["reason"]

    def published(self, path):
        """A revocation list as every node serves it, or None."""
        status, body = self.get(1, path)
        assert status in {200, 404}
        return decode_crl(body) if status == 200 else None

    def get(self, node, path):
        name = self.network.nodes[node].name
        return self.network.ask(name, lambda client: client.get(path))

    def serial(self, number):
        return parse_bundle(self.certificates[number].read_bytes())[0].serial_number


@pytest.fixture(scope="module")
def spare(stamping_network, tmp_path_factory):
    network = stamping_network
    folder = tmp_path_factory.mktemp("spare")
    root, issuing, given = folder / "root", folder / "issuing", folder / "given"
    # The operator's home, with an authority of its own.
    shutil.copytree(network.directory / "ca" / "keys", issuing / "keys")
    (issuing / "keys" / "authority.key").unlink()
    for name in ("genesis", "config.toml"):
        shutil.copy(network.directory / "ca" / name, issuing / name)
    shutil.copy(network.directory / homes.PASSPHRASE, folder / homes.PASSPHRASE)
    asked = [folder / f"{number}.csr" for number in range(2)]
    for path in asked:
        shutil.copy(network.nodes[0].home / "timestamp.csr", path)
    made = Spare(network, root, issuing, tuple(given / f"{path.stem}.pem" for path in asked))
    made.done(root, "root", "--subject", "CN=spare root")
    made.done(issuing, "request", "--key", "authority", "--subject", "CN=spare authority")
    made.done(root, "sign", issuing / "authority.csr", "--out", root / "issuing.pem")
    made.done(issuing, "install", "--key", "authority", root / "issuing.pem")
    chain = ("--chain", root / "issuing.pem", "--operator", homes.AUTHORITY_ACCOUNT)
    made.done(made.admin, "admit", "--authority", "spare", "--title", "备用", *chain)
    owner = ("--owner", "agency-1/v1", "--authority", "spare")
    made.done(issuing, "issue", *asked, *owner, "--out", given)
    return made


def test_what_an_administrator_revokes_reaches_the_authoritys_next_list(spare):
    assert spare.check(0) is None
    spare.done(spare.issuing, "crl")
    spare.done(spare.issuing, "publish-crl", "--authority", "spare")
    taken = ("revoke", spare.certificates[0], "--authority", "spare")
    first = spare.done(spare.admin, *taken, "--reason", "superseded")
    assert first["tx_id"] is not None
    assert spare.check(0) == "it is revoked"
    # The list that this home has made knows nothing of it, and is not published again.
    publish = ("publish-crl", "--authority", "spare")
    assert spare.refused(spare.issuing, *publish) == "crl_behind"
    spare.done(spare.issuing, "crl")
    spare.done(spare.issuing, *publish)
    entry = spare.published("/ca/spare.crl").entry_of(spare.serial(0))
    assert entry.reason.text == "superseded"


def test_a_revocation_can_be_repeated_and_mends_what_a_crash_left(spare):
    taken = ("revoke", spare.certificates[0], "--authority", "spare", "--reason", "compromised")
    # Killed between the chain's record and the note of it in the home, which is all that is missing then.
    for note in (spare.issuing / "revoked").glob("*.json"):
        note.unlink()
    assert spare.done(spare.issuing, *taken)["tx_id"] is None
    (note,) = (spare.issuing / "revoked").glob("*.json")
    assert json.loads(note.read_text())["reason"] == "superseded"
    assert spare.done(spare.issuing, *taken)["tx_id"] is None


def test_the_root_takes_an_authority_back_and_every_check_follows(spare):
    issuing = spare.root / "issuing.pem"
    back = ("revoke-authority", issuing, "--reason", "compromised")
    spare.done(spare.root, "crl")
    publish = ("publish-crl", "--authority", "spare", "--root", spare.root / "crl.pem")
    assert spare.published("/ca/spare/root.crl") is None
    spare.done(spare.admin, *publish)
    assert spare.check(1) is None
    assert spare.refused(spare.root, "revoke-authority", spare.certificates[1], *back[2:]) == (
        "other_issuer"
    )
    assert spare.done(spare.root, *back)["is_new"]
    assert not spare.done(spare.root, *back)["is_new"]
    # The thief of the authority's machine has the operator's key, and no use for it here.
    assert spare.refused(spare.issuing, *publish) == "crl_behind"
    spare.done(spare.root, "crl")
    assert spare.refused(spare.issuing, *publish) == "missing_role"
    spare.done(spare.admin, *publish)
    assert spare.check(1) == "the root has revoked its authority's certificate"
    renewed = ("--owner", "agency-1/v1", "--authority", "spare", "--out", spare.root)
    asked = spare.network.nodes[0].home / "timestamp.csr"
    assert spare.refused(spare.issuing, "issue", asked, *renewed) == "authority_revoked"
    leaf, *above = parse_bundle(spare.certificates[1].read_bytes())
    at_ms = SystemClock().now_ms()
    found = spare.published("/ca/spare/root.crl")
    assert [entry.reason.text for entry in found.revoked] == ["cACompromise"]
    check_path(leaf, tuple(above), (above[-1],), at_ms=at_ms, profile=TIMESTAMP)
    with pytest.raises(ProofInvalid) as caught:
        check_path(leaf, tuple(above), (above[-1],), at_ms=at_ms, profile=TIMESTAMP, crls=(found,))
    assert caught.value.error_code == "revoked"


def test_a_dismissed_authority_counts_no_more(spare):
    assert spare.refused(spare.issuing, "dismiss", "--authority", "spare") == "missing_role"
    spare.done(spare.admin, "dismiss", "--authority", "spare")
    assert spare.check(1) == "its authority was dismissed"


def test_the_page_sets_up_an_authority_and_replaces_a_units_key(stamping_network, tmp_path):
    network, node = stamping_network, stamping_network.nodes[1]
    shutil.copytree(network.directory / homes.ADMIN, tmp_path / "ADMIN")
    shutil.copytree(node.home / "keys", tmp_path / "NODE" / "keys")
    shutil.copy(network.directory / "genesis", tmp_path)
    passphrase = (network.directory / homes.PASSPHRASE).read_text().strip()
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "CHAINNODE_PASSPHRASE": passphrase,
    }
    blocks = re.findall(r"```console\n(.*?)```", PAGE.read_text(), re.DOTALL)
    for block in blocks[-2:]:
        # The network has neither the page's agency nor an authority to spare.
        for named, here in (
            ("justice/admin-1", homes.ADMIN_ACCOUNT),
            ("justice/justice-1", f"agency-2/{node.name}"),
            ("justice/ca", "agency-1/page-ca"),
            ("http://127.0.0.1:8545", node.rpc),
            ("ca admit", "ca admit --authority page"),
            ("ca issue", "ca issue --authority page"),
        ):
            block = block.replace(named, here)  # noqa: PLW2901  one word after another
        ran = subprocess.run(
            ["sh", "-ec", block],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ran.returncode == 0, block + ran.stdout + ran.stderr
    (root,) = parse_bundle((tmp_path / "ca.pem").read_bytes())
    for name, installed in (("justice-1", "timestamp"), ("justice-1-2028", "timestamp-2028")):
        certificate = tmp_path / f"{name}.pem"
        assert chainnode(tmp_path / "ADMIN", "ca", "check", str(certificate)).returncode == 0
        leaf, *above = parse_bundle(certificate.read_bytes())
        now_ms = SystemClock().now_ms()
        check_path(leaf, tuple(above), (root,), at_ms=now_ms, profile=TIMESTAMP)
        assert (tmp_path / "NODE" / f"{installed}.pem").read_bytes() == certificate.read_bytes()
    # Of the key before, for whoever has its tokens.
    first = parse_bundle((tmp_path / "justice-1.pem").read_bytes())[0]
    assert (tmp_path / "NODE" / "former" / f"{first.serial_number:x}.pem").exists()


def test_a_node_hands_out_a_certificate_that_a_newer_one_has_replaced(spare):
    network = spare.network
    node, issuing = network.nodes[3], network.directory / "ca"
    earlier = (node.home / "timestamp.pem").read_bytes()
    serial = parse_bundle(earlier)[0].serial_number
    asked = issuing / "renewed.csr"
    shutil.copy(node.home / "timestamp.csr", asked)
    spare.done(issuing, "issue", asked, "--owner", "agency-4/v4", "--authority", "alliance")
    spare.done(node.home, "install", issuing / "renewed.pem")
    status, body = spare.get(3, f"/tsa/{serial:x}.pem")
    assert (status, parse_bundle(body)) == (200, parse_bundle(earlier))
    assert spare.get(3, "/tsa/7.pem")[0] == 404
