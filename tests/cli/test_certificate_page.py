"""`chainnode certificate page`: one file that checks a document in a browser which reaches nothing."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import html
import re
from dataclasses import replace

from chainnode.model.suites.sm3 import sm3
from tests.support.alliance import FILE, SALT, Alliance
from tests.support.browser import browser
from tests.support.cli import chainnode

NAME = "通知 <1>.txt"

DROP = """(() => {
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File(["something else"], "dropped.txt"));
  document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
})()"""

NO_ED25519 = """(() => {
  const importKey = crypto.subtle.importKey.bind(crypto.subtle);
  crypto.subtle.importKey = (format, key, algorithm, ...others) =>
    algorithm.name === "Ed25519"
      ? Promise.reject(new DOMException("", "NotSupportedError"))
      : importKey(format, key, algorithm, ...others);
})()"""


def write_page(folder, suite="ed25519-sha256", *, is_twice=False):
    """A page, with the file that it is about and another one beside it."""
    alliance = Alliance(suite)
    proof = alliance.notarization(twice=("a1", "b2", "c3") if is_twice else ())
    policy = alliance.policy_twice() if is_twice else alliance.policy()
    folder.mkdir()
    (folder / NAME).write_bytes(FILE)
    (folder / "other.txt").write_bytes(FILE + b" ")
    (folder / f"{NAME}.tlog-proof").write_bytes(proof.encode())
    (folder / "policy").write_bytes(b"# ours\n" + policy.encode())
    ran = make(folder)
    assert ran.status == 0, ran.err
    return folder / "page.html"


def make(folder, *options, proof=f"{NAME}.tlog-proof"):
    return chainnode(
        *("certificate", "page", folder / proof, "--policy", folder / "policy"),
        *("--out", folder / "page.html", *options),
    )


def forged(page, proof):
    """The page with another proof in it, which the command would never put there."""
    text = page.read_text()
    found = re.search(r'<a id="proof"[^>]*base64,([^"]+)', text)
    assert found is not None
    encoded = base64.b64encode(proof).decode()
    target = page.with_name("forged.html")
    target.write_text(text[: found.start(1)] + encoded + text[found.end(1) :])
    return target


def with_a_forged_cosignature(proof):
    log, first, second, *others = proof.note.signatures
    swapped = replace(second, value=second.value[:8] + first.value[8:])
    return replace(proof, note=replace(proof.note, signatures=(log, first, swapped, *others)))


def without_log_signature(proof):
    return replace(proof, note=replace(proof.note, signatures=proof.note.signatures[1:]))


async def verdict(tab, file):
    await tab.choose("#file", file)
    await tab.until(
        "document.querySelector('#verdict').textContent.includes('computing') === false"
    )
    await tab.until("document.querySelectorAll('#result li').length > 0")
    found = await tab.value(
        "({state: document.querySelector('#verdict').className,"
        " words: document.querySelector('#result').textContent})"
    )
    await tab.value("document.querySelector('#result ul').replaceChildren()")
    return found["state"], found["words"]


def test_right_and_wrong_files_and_forged_pages_in_a_browser(tmp_path):
    page = write_page(tmp_path / "ed25519")
    sm2 = write_page(tmp_path / "sm2", "sm2-sm3")
    twice = write_page(tmp_path / "twice", is_twice=True)
    missing = Alliance().notarization(twice=("a1", "b2"))
    alliance = Alliance()
    right = alliance.notarization()
    forgeries = [
        ("needs 1 more", alliance.notarization(cosigners=("a1", "b2"))),
        ("is not in the log", replace(right, hashes=(bytes(32), *right.hashes[1:]))),
        ("is not in the log", replace(right, hashes=right.hashes[:-1])),
        ("is not in the log", replace(right, index=7)),
        (
            "commits to something else",
            alliance.notarization(change=lambda leaf, opening: (leaf, (bytes(32), opening[1]))),
        ),
        ("of sz.gov.example/alliance/b2 does not verify", with_a_forged_cosignature(right)),
        ("no log of the policy has signed", without_log_signature(right)),
    ]

    async def run():
        async with browser(tmp_path) as tab:
            await tab.open(page.as_uri())
            state, words = await verdict(tab, page.with_name(NAME))
            assert state == "good", words
            for shown in (
                "existed by 2026-09-21T14:13:21.123Z",
                "number 6 of the log sz.gov.example/alliance",
                "a quorum of cosignatures verifies: sz.gov.example/alliance/a1",
                sm3(FILE).hex(),
            ):
                assert shown in words
            state, words = await verdict(tab, page.with_name("other.txt"))
            assert (state, "another document" in words) == ("bad", True), words

            # SM3 and its HMAC in JavaScript agree with ours, around every edge of a block.
            messages = [bytes([n % 251]) * n for n in (0, 1, 55, 56, 63, 64, 65, 119, 120, 1_000)]
            for message in messages:
                array = f"Uint8Array.from({list(message)})"
                assert await tab.value(f"hex(sm3({array}))") == sm3(message).hex()
                ours = Alliance("sm2-sm3").suite.hmac(SALT, message).hex()
                assert (
                    await tab.value(f"hex(hmacSm3(Uint8Array.from({list(SALT)}), {array}))") == ours
                )

            # The page may load nothing, even by a script of its own.
            assert (
                await tab.value("fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'refused')")
                == "refused"
            )
            assert not [url for url in tab.requested if not url.startswith(("file:", "data:"))]

            # Dropped onto the page, a file is checked as well.
            await tab.value(DROP)
            await tab.until(
                "document.querySelector('#verdict').textContent.includes('dropped.txt')"
            )
            assert await tab.value("document.querySelector('#verdict').className") == "bad"

            # A browser without Ed25519 never says that the document holds.
            await tab.value(NO_ED25519)
            state, words = await verdict(tab, page.with_name(NAME))
            assert (state, "Ed25519 signatures were NOT checked" in words) == ("open", True)

            for said, proof in forgeries:
                await tab.open(forged(page, proof.encode()).as_uri())
                state, words = await verdict(tab, page.with_name(NAME))
                assert (state, said in words) == ("bad", True), words

            # No browser knows ML-DSA-44: the other half is checked, and what is missing is missing.
            await tab.open(twice.as_uri())
            state, words = await verdict(tab, twice.with_name(NAME))
            assert (state, "ML-DSA-44 cosignatures were NOT checked" in words) == ("open", True)
            assert "the Ed25519 cosignatures verify: sz.gov.example/alliance/a1" in words
            await tab.open(forged(twice, missing.encode()).as_uri())
            state, words = await verdict(tab, twice.with_name(NAME))
            assert (state, "needs 1 more" in words) == ("bad", True), words

            await tab.open(sm2.as_uri())
            state, words = await verdict(tab, sm2.with_name(NAME))
            assert (state, "SM2 signatures were NOT checked" in words) == ("open", True), words
            state, words = await verdict(tab, sm2.with_name("other.txt"))
            assert state == "bad"

    asyncio.run(run())


def test_the_page_says_what_the_proof_says_and_how_to_check_it_elsewhere(tmp_path):
    page = write_page(tmp_path / "page")
    text = html.unescape(page.read_text())
    policy = (tmp_path / "page" / "policy").read_bytes()
    for said in (
        f"sha256sum '{NAME}'\n# {hashlib.sha256(FILE).hexdigest()}",
        f"openssl dgst -sm3 '{NAME}'\n# {sm3(FILE).hex()}",
        f"chainnode verify '{NAME}' '{NAME}.tlog-proof' --policy policy",
        hashlib.sha256(policy).hexdigest(),
        '<time datetime="2026-09-21T14:13:21.123Z">',
        "justice/notary-1",
    ):
        assert said in text
    assert "<1>.txt" not in page.read_text()
    assert "github.com/transparency-dev" not in write_page(tmp_path / "s", "sm2-sm3").read_text()


def test_the_files_that_the_page_carries_are_those_it_was_made_of(tmp_path):
    page = write_page(tmp_path / "page")
    for identifier, name in (("proof", f"{NAME}.tlog-proof"), ("policy", "policy")):
        found = re.search(rf'<a id="{identifier}"[^>]*base64,([^"]+)', page.read_text())
        assert found is not None
        assert base64.b64decode(found[1]) == page.with_name(name).read_bytes()


def test_no_page_is_written_of_a_proof_that_does_not_hold_nor_over_another(tmp_path):
    page = write_page(tmp_path / "page")
    before = page.read_bytes()
    again = make(page.parent)
    assert (again.status, "--out" in again.err) == (2, True)
    assert page.read_bytes() == before
    page.unlink()
    few = Alliance().notarization(cosigners=("a1", "b2"))
    (page.parent / "few").write_bytes(few.encode())
    assert make(page.parent, proof="few").status == 1
    assert make(page.parent, "--tsr", page.with_name(NAME)).status == 2
    assert not page.exists()
