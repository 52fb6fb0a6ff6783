"""`chainnode certificate pdf`: sealed, timestamped, and checked by software that is not ours."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from chainnode.logs import utc
from chainnode.model.notarization import parse_notarization
from chainnode.model.tlog_proof import parse_proof
from cli.papers.command import DEFAULT_FONT
from devnet import homes
from tests.support.certificates import run_openssl
from tests.support.missing import missing
from tests.support.network import chainnode

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("stamps")]

TOOLS = {
    "pdfsig": "poppler-utils",
    "pdfdetach": "poppler-utils",
    "pdftotext": "poppler-utils",
    "pdftoppm": "poppler-utils",
    "certutil": "libnss3-tools",
    "zbarimg": "zbar-tools",
}
BASE = "https://chain.example"


def tool(*command):
    ran = subprocess.run(
        [str(part) for part in command], check=False, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def ours(home, *arguments):
    ran = chainnode(home, *(str(a) for a in arguments))
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.fixture(scope="module")
def network(stamping_network):
    for name, package in TOOLS.items():
        if shutil.which(name) is None:
            missing(
                f"{name} (apt: {package})", so="not known whether others can read the certificate"
            )
    if not Path(DEFAULT_FONT).exists():
        missing(
            "a Chinese font (apt: fonts-wqy-zenhei)", so="not known whether certificates show it"
        )
    return stamping_network


@pytest.fixture(scope="module")
def sealed(network, tmp_path_factory):
    """The options of an issuer that can seal, the document, and its certificate."""
    folder = tmp_path_factory.mktemp("issued")
    client, issuing, root = (
        network.client_home,
        network.directory / "ca",
        network.directory / "ca-root",
    )
    document, out = folder / "合同.txt", folder / "certificate.pdf"
    document.write_text("a contract")
    ours(client, "keys", "new", "seal", "--purpose", "seal-user", "--suite", "p256-sha256")
    ours(client, "ca", "request", "--key", "seal", "--subject", "O=市政务服务局, CN=存证章")
    given = folder / "given"
    ours(
        issuing,
        *("ca", "issue", client / "seal.csr", "--authority", "alliance", "--profile", "seal"),
        *("--owner", "agency-1/notary", "--out", given),
    )
    ours(client, "ca", "install", "--key", "seal", given / "seal.pem")
    ours(root, "ca", "crl", "--passphrase-file", network.directory / homes.PASSPHRASE)
    ours(client, "notarize", document)
    ours(client, "timestamp", document)
    options = (
        *("certificate", "pdf", document, f"{document}.tlog-proof", "--policy", network.policy),
        *("--seal-key", "seal", "--base-url", BASE, "--tsr", f"{document}.tsr"),
        *("--crl", issuing / "crl.pem"),
    )
    ran = chainnode(client, *map(str, options), "--crl", str(root / "crl.pem"), "--out", str(out))
    # What libraries think of fonts and lists is nothing to whoever wants a certificate.
    assert (ran.returncode, ran.stderr) == (0, "")
    return options, document, out


def test_poppler_trusts_the_seal_under_the_root(network, sealed, tmp_path):
    _, _, out = sealed
    tool("certutil", "-N", "-d", f"sql:{tmp_path}", "--empty-password")
    tool(
        "certutil",
        "-A",
        "-d",
        f"sql:{tmp_path}",
        "-n",
        "root",
        "-t",
        "CT,C,C",
        "-i",
        network.ca,
        "-a",
    )
    said = tool("pdfsig", "-nssdir", tmp_path, out)
    assert "Signature is Valid." in said
    assert "Certificate is Trusted." in said
    altered = tmp_path / "altered.pdf"
    data = bytearray(out.read_bytes())
    at = data.index(b"stream\n") + 40
    data[at] ^= 1
    altered.write_bytes(data)
    assert "Signature is Valid." not in tool("pdfsig", "-nssdir", tmp_path, altered)


def test_text_code_and_attachments_are_what_others_read(network, sealed, tmp_path):
    _, document, out = sealed
    text = tool("pdftotext", out, "-")
    for said in ("存证证书", "合同.txt", "存证章", "认证时间区间", "Certificate of notarization"):
        assert said in text
    # Long values are broken to fit the page.
    packed = "".join(text.split())
    proof = parse_proof(Path(f"{document}.tlog-proof").read_bytes())
    record = parse_notarization(proof.extra).record
    header = network.ask("v1", lambda client: client.chain_header(record.height))
    for said in (
        f"区块哈希blockhash{header['block_hash']}",
        f"提交时间submitted不晚于{''.join(utc(record.not_after_ms).split())}",
        "nolaterthanthat",
        "存证主体account(脱敏masked)agency-1/n***",
    ):
        assert said in packed
    assert record.account not in text
    tool("pdftoppm", "-r", "100", "-f", "1", "-l", "1", "-png", out, tmp_path / "page")
    (image,) = tmp_path.glob("page*.png")
    assert re.fullmatch(rf"QR-Code:{BASE}/v/\d+\n", tool("zbarimg", "-q", image))
    tool("pdfdetach", "-saveall", "-o", tmp_path, out)
    for name in (f"{document.name}.tlog-proof", "policy", "README-verify.txt", "verify.html"):
        assert (tmp_path / name).exists()
    ours(
        tmp_path,
        "verify",
        document,
        tmp_path / f"{document.name}.tlog-proof",
        "--policy",
        tmp_path / "policy",
    )
    token = tmp_path / f"{document.name}.tsr"
    said = run_openssl("ts", "-verify", "-in", token, "-data", document, "-CAfile", network.ca)
    assert "Verification: OK" in said.stdout + said.stderr


def test_nothing_is_sealed_of_another_document_or_without_all_lists(network, sealed, tmp_path):
    options, _, _ = sealed
    never = tmp_path / "never.pdf"
    ran = chainnode(network.client_home, *map(str, options), "--out", str(never))
    assert ran.returncode != 0
    assert "--crl" in ran.stderr
    other = tmp_path / "other.txt"
    other.write_text("another")
    changed = [other, *options[3:]]
    ran = chainnode(
        network.client_home, "certificate", "pdf", *map(str, changed), "--out", str(never)
    )
    assert ran.returncode == 1, ran.stderr
    assert not never.exists()
