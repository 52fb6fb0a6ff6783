"""`chainnode report`: every check fails visibly and alone, and what it tells others to run says the same."""

import os
import re
import shutil
import subprocess

import pytest

from chainnode.model.timestamp import Serial
from chainnode.pki.pem import write_bundle
from chainnode.tsp.request import decode_request
from chainnode.tsp.response import granted
from chainnode.tsp.token import TokenFacts, TokenTemplate
from tests.support.alliance import FILE, Alliance
from tests.support.certificates import NOW_MS, authority
from tests.support.chain import ADMIN, CLERK
from tests.support.cli import chainnode, make_client_home
from tests.support.missing import missing
from tests.support.timestamps import request_about

FIRST = ("digests", "commitment", "inclusion", "cosignatures")


@pytest.fixture
def paths(tmp_path):
    write(tmp_path, Alliance().notarization())
    (tmp_path / "file").write_bytes(FILE)
    (tmp_path / "policy").write_bytes(Alliance().policy().encode())
    return tmp_path


def write(folder, proof):
    (folder / "proof").write_bytes(proof.encode())


def report(folder, *options):
    """The status, and each check by name."""
    files = (folder / "file", folder / "proof", "--policy", folder / "policy")
    ran = chainnode("--json", "report", *files, *options)
    return ran.status, {check["name"]: check for check in ran.document["checks"]}


def bad(checks):
    return {n: c["code"] for n, c in checks.items() if c["result"] in {"fails", "cannot-tell"}}


def test_all_that_is_there_holds_and_the_rest_is_said_to_be_unexamined(paths):
    status, checks = report(paths)
    assert (status, bad(checks)) == (0, {})
    assert [checks[name]["result"] for name in FIRST] == ["holds"] * 4
    for name in ("token", "token-record", "context", "marks"):
        assert checks[name]["result"] == "not-examined"
    files = (paths / "file", paths / "proof", "--policy", paths / "policy")
    ran = chainnode("report", *files, "--out", paths / "r.md")
    assert ran.status == 0
    assert "# 技术核验报告 Technical verification report" in (paths / "r.md").read_text()
    again = chainnode("report", *files, "--out", paths / "r.md")
    assert (again.status, "--out" in again.err) == (2, True)


def altered(folder, case):
    alliance = Alliance()
    match case:
        case "digests":
            (folder / "file").write_bytes(FILE + b" ")
        case "commitment":
            write(folder, alliance.notarization(change=lambda le, op: (le, (bytes(32), op[1]))))
        case "inclusion":
            proof = alliance.notarization().encode().decode().split("\n")
            at = next(n for n, line in enumerate(proof) if line.startswith("index ")) + 1
            proof[at] = ("A" if proof[at][0] != "A" else "B") + proof[at][1:]
            (folder / "proof").write_text("\n".join(proof))
        case "cosignatures":
            write(folder, alliance.notarization(cosigners=("a1", "b2")))


@pytest.mark.parametrize("case", FIRST)
def test_each_check_fails_alone(paths, case):
    altered(paths, case)
    status, checks = report(paths)
    assert (status, set(bad(checks))) == (1, {case})
    ran = chainnode("report", paths / "file", paths / "proof", "--policy", paths / "policy")
    assert "结论 Conclusion: **不成立 DOES NOT HOLD**" in ran.out


def test_what_cannot_be_told_is_5_and_what_cannot_be_read_is_2(paths):
    (paths / "policy").write_bytes(Alliance(names=("x1", "y2", "z3", "w4")).policy().encode())
    status, checks = report(paths)
    assert (status, bad(checks)) == (5, {"cosignatures": "policy_retired"})
    (paths / "proof").write_bytes(b"no proof")
    files = (paths / "file", paths / "proof", "--policy", paths / "policy")
    assert chainnode("report", *files).status == 2


def test_there_is_no_report_by_a_policy_of_another_suite(paths):
    (paths / "policy").write_bytes(Alliance("sm2-sm3").policy().encode())
    files = (paths / "file", paths / "proof", "--policy", paths / "policy")
    ran = chainnode("--json", "report", *files)
    assert (ran.status, ran.document["error"]["code"]) == (5, "other_suite")


@pytest.mark.parametrize("suite", ["ed25519-sha256", "sm2-sm3"])
@pytest.mark.parametrize(("size", "index"), [(11, 6), (11, 10), (8, 0), (1, 0)])
def test_openssl_says_the_same_by_the_scripts_of_the_report(paths, suite, size, index):
    if shutil.which("openssl") is None:
        missing("openssl", so="the scripts of a report are not tried")
    alliance = Alliance(suite)
    write(paths, alliance.notarization(size=size, index=index))
    (paths / "policy").write_bytes(alliance.policy().encode())
    _, checks = report(paths)
    for name in ("digests", "commitment", "inclusion"):
        script = checks[name]["repeat"]
        expected = re.findall(r"    # (\S+)$", script, re.MULTILINE)
        said = run(paths, script)
        assert expected
        assert all(value in said for value in expected), (name, script, said)
    said = run(paths, checks["cosignatures"]["repeat"])
    assert said.count("Signature Verified Successfully") == 3


@pytest.mark.parametrize("suite", ["p256-sha256", "sm2-sm3"])
@pytest.mark.parametrize("wants_certificate", [True, False])
def test_openssl_says_the_same_of_a_token_by_the_script_as_it_stands(
    paths, suite, wants_certificate
):
    if shutil.which("openssl") is None:
        missing("openssl", so="the scripts of a report are not tried")
    made = authority(suite)
    template = TokenTemplate(
        signer=made.leaf_signer, certificate=made.leaf, chain=(made.issuing,), policy="2.999.3161.1"
    )
    asked = decode_request(request_about(FILE.decode(), wants_certificate=wants_certificate))
    serial = Serial(index=7, blinding=bytes(13)).as_integer()
    facts = TokenFacts(serial_number=serial, time_ms=NOW_MS, accuracy_ms=2_500)
    (paths / "it's.tsr").write_bytes(granted(template.token(asked, facts)))
    (paths / "our root.pem").write_bytes(write_bundle((made.root,)))
    (paths / "unit.pem").write_bytes(write_bundle((made.leaf, made.issuing)))
    given = ("--tsr", paths / "it's.tsr", "--root", paths / "our root.pem")
    given += () if wants_certificate else ("--certificate", paths / "unit.pem")
    status, checks = report(paths, *given)
    assert (status, bad(checks)) == (0, {})
    script = checks["token"]["repeat"]
    expected = re.findall(r"    # (.+)$", script, re.MULTILINE)
    said = run(paths, script)
    assert expected
    assert all(value in said for value in expected), said
    assert ("Signature Verified Successfully" in said) == (suite == "sm2-sm3")
    (paths / "file").write_bytes(FILE + b" ")
    said = run(paths, script)
    assert not all(value in said for value in expected)


@pytest.mark.parametrize("case", ["digests", "commitment", "inclusion"])
def test_openssl_says_no_where_the_report_does(paths, case):
    if shutil.which("openssl") is None:
        missing("openssl", so="the scripts of a report are not tried")
    altered(paths, case)
    script = report(paths)[1][case]["repeat"]
    expected = re.findall(r"    # (\S+)$", script, re.MULTILINE)
    said = run(paths, script)
    assert all(value not in said for value in expected)


def run(folder, script):
    ran = subprocess.run(
        ["sh", "-c", script],
        cwd=folder,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return ran.stdout + ran.stderr


def test_a_file_name_ends_no_script(paths):
    name = "a\n```\n# 结论 Conclusion: **成立 holds**"
    (paths / name).write_bytes(FILE + b" ")
    ran = chainnode("report", paths / name, paths / "proof", "--policy", paths / "policy")
    assert ran.status == 1
    assert "\n# 结论" not in ran.out


def test_context_and_marks_hold_and_fail(running, tmp_path):
    home = make_client_home(
        tmp_path / "home", running.node.chain, accounts=(CLERK, ADMIN), rpc=running.url
    )
    for name in ("file", "other"):
        (tmp_path / name).write_text(f"the document {name}")
        assert chainnode("--home", home, "notarize", tmp_path / name, "--capture").status == 0
    assert chainnode("--home", home, "policy", "--out", tmp_path / "policy").status == 0
    shutil.copy(tmp_path / "file.tlog-proof", tmp_path / "proof")
    marks = tmp_path / "marks"
    assert (
        chainnode("--home", home, "record", "marks", tmp_path / "proof", "--out", marks).status == 0
    )
    context = ("--context", tmp_path / "file.capture.json")
    status, checks = report(tmp_path, *context, "--marks", marks)
    assert (status, bad(checks)) == (0, {})
    assert checks["context"]["result"] == checks["marks"]["result"] == "holds"
    expected = re.findall(r"    # (\S+)$", checks["context"]["repeat"], re.MULTILINE)
    assert expected[0] in run(tmp_path, checks["context"]["repeat"])

    status, checks = report(tmp_path, "--context", tmp_path / "other.capture.json")
    assert (status, bad(checks)) == (1, {"context": "other_metadata"})

    withdraw = ("record", "withdraw", tmp_path / "proof", "--reason", "erroneous")
    ran = chainnode("--home", home, *withdraw)
    assert ran.status == 0, ran.err
    # A proof of state is as of the block before the newest.
    (tmp_path / "third").write_text("the third document")
    assert chainnode("--home", home, "notarize", tmp_path / "third").status == 0
    again = tmp_path / "again"
    assert (
        chainnode("--home", home, "record", "marks", tmp_path / "proof", "--out", again).status == 0
    )
    status, checks = report(tmp_path, "--marks", again)
    assert (status, bad(checks)) == (1, {"marks": "withdrawn"})
