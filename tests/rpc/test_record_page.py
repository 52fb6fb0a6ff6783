"""`GET /v/{id}`: what anybody may see of a record, and nothing that is blinded."""

from __future__ import annotations

import hashlib
import random
import re

import aiohttp
import pytest

from chainnode.model import calls, mark_calls
from chainnode.model.commitment import PUBLIC_SALT, Digest
from chainnode.model.mark_calls import SaltedRecord
from chainnode.model.marks import RecordReference
from chainnode.model.tlog_policy import validators_policy
from chainnode.model.tlog_proof import parse_proof, verify
from tests.support.browser import browser
from tests.support.chain import ADMIN, CLERK, digest
from tests.support.cli import chainnode
from tests.support.misconduct import double_vote, report_of
from tests.support.rpc import serve

pytestmark = pytest.mark.asyncio

CONTENT = b"an announcement"
TITLE = "Notice <b>\u202e公告"
PUBLIC, BLINDED = 2, 4


def sha256(content):
    return hashlib.sha256(content).digest()


SECRETS = ("a secret title", sha256(b"secret").hex())


def populated(node):
    """A public registration (record 2, in block 1) and a blinded one (4, in block 2)."""
    chain = node.chain
    shown = calls.Document(
        digests=(Digest(algorithm="sha256", value=sha256(CONTENT)),), title=TITLE
    )
    hidden = calls.Document(
        digests=(Digest(algorithm="sha256", value=sha256(b"secret")),), title=SECRETS[0]
    )
    other = calls.Document(digests=(digest("other"),))
    public = chain.transaction([calls.register_documents([other, shown], seed=None)])
    blinded = chain.transaction([calls.register_documents([hidden], seed=bytes(range(32)))])
    node.engine.commit([public])
    node.engine.commit([blinded])
    return public, blinded


async def get(url, path, verb="GET"):
    async with aiohttp.ClientSession() as session, session.request(verb, url + path) as response:
        return response.status, response.headers, await response.text()


def policy_of(chain):
    genesis = chain.genesis
    keys = [(v.name, v.log.public, v.cosigner.public) for v in chain.validators]
    return validators_policy(genesis.suite, genesis.chain_id, keys)


async def test_a_public_registration_is_shown_with_a_proof_that_verifies_offline(tmp_path):
    async with serve() as served:
        public, _ = populated(served.node)
        status, headers, text = await get(served.url, f"/v/{PUBLIC}")
        assert (status, headers["Cache-Control"]) == (200, "no-store")
        assert "no quorum has cosigned it yet" in text
        assert (await get(served.url, f"/v/{PUBLIC}.tlog-proof"))[0] == 503
        served.node.engine.cosign()
        status, headers, text = await get(served.url, f"/v/{PUBLIC}")
        assert (status, headers["Cache-Control"]) == (200, "public, max-age=60")
        for shown in (
            "a notarized document",
            CLERK,
            CLERK.partition("/")[0].title(),
            sha256(CONTENT).hex(),
            "<bdi>Notice &lt;b&gt;\u202e公告</bdi>",
            "neither withdrawn nor superseded",
            f"{public.id.hex()}-0-1",
            served.node.services.chain.header(1).block_hash.hex(),
            "提交时间",
            "nobody attests the exact time",
            *(
                f"{served.node.chain.genesis.chain_id}/{v.name}"
                for v in served.node.chain.validators[:3]
            ),
        ):
            assert shown in text
        # Cosigners name whole seconds.
        assert len(re.findall(r"</code> <time datetime=\"[0-9T:-]+Z\">", text)) == 3
        for path in (f"/v/{public.id.hex()}-0-1", f"/v/{PUBLIC}?from=print"):
            assert (await get(served.url, path))[2] == text
        status, headers, proof = await get(served.url, f"/v/{PUBLIC}.tlog-proof")
        assert headers["Content-Disposition"] == 'attachment; filename="2.tlog-proof"'
        (tmp_path / "file").write_bytes(CONTENT)
        (tmp_path / "proof").write_text(proof)
        (tmp_path / "policy").write_bytes(policy_of(served.node.chain).encode())
    arguments = (tmp_path / "proof", "--policy", tmp_path / "policy")
    assert chainnode("verify", tmp_path / "file", *arguments).status == 0
    (tmp_path / "file").write_bytes(CONTENT + b".")
    assert chainnode("verify", tmp_path / "file", *arguments).status == 1


async def test_nothing_of_a_blinded_registration_is_shown_and_its_bare_proof_holds():
    async with serve() as served:
        _, blinded = populated(served.node)
        reference = RecordReference(account=CLERK, tx_id=blinded.id, call=0, item=0)
        salt = served.node.services.history.history(
            BLINDED, as_member=True, limit=1, after=None
        ).found.registration.opening.salt
        gone = mark_calls.withdraw(SaltedRecord(reference=reference, salt=salt), "erroneous")
        served.node.engine.commit([served.node.chain.transaction([gone])])
        served.node.engine.cosign()
        _, _, text = await get(served.url, f"/v/{BLINDED}")
        _, _, proof = await get(served.url, f"/v/{blinded.id.hex()}.tlog-proof")
        assert "Blinded" in text
        for secret in (*SECRETS, salt.hex(), "withdrawn (", "superseded"):
            assert secret not in text
        parsed = parse_proof(proof.encode())
        leaf = served.node.ledger.leaf(BLINDED)
        assert parsed.extra is not None
        assert parsed.extra.endswith(leaf + b"\xc0")
        assert verify(parsed, leaf, policy_of(served.node.chain)).index == BLINDED
        # The mark says what the log says, and not of which record.
        _, _, text = await get(served.url, f"/v/{BLINDED + 2}")
        assert "withdrawn erroneous" in text
        assert blinded.id.hex() not in text


async def test_a_withdrawal_of_a_public_registration_is_shown():
    async with serve() as served:
        public, _ = populated(served.node)
        reference = RecordReference(account=CLERK, tx_id=public.id, call=0, item=1)
        gone = mark_calls.withdraw(SaltedRecord(reference=reference, salt=PUBLIC_SALT), "erroneous")
        served.node.engine.commit([served.node.chain.transaction([gone])])
        _, _, text = await get(served.url, f"/v/{PUBLIC}")
        assert "withdrawn (erroneous) in block 3 by court/clerk" in text


async def test_every_kind_of_record_has_a_page():
    async with serve() as served:
        chain = served.node.chain
        populated(served.node)
        served.node.engine.commit(
            [
                chain.transaction([calls.deprecate_algorithm("sha384")], sender=ADMIN),
                chain.transaction([calls.register_organisation("tax", "Tax Office")], sender=ADMIN),
                report_of(chain, double_vote(chain, 3)),
            ]
        )
        served.node.engine.cosign()
        pages = [
            (await get(served.url, f"/v/{index}"))[2]
            for index in range(served.node.ledger.tip.log_size)
        ]
    for shown in (
        "algorithm-deprecated sha384",
        "organisation-registered tax Tax Office",
        "double-vote",
        "the block before",
    ):
        assert sum(shown in text for text in pages) >= 1, shown


async def test_what_is_not_there_is_404_and_kept_by_nobody():
    rng = random.Random(7)
    async with serve() as served:
        public, _ = populated(served.node)
        tx = public.id.hex()
        junk = [
            "".join(rng.choices("0123456789abcdef-./%<Z", k=rng.randrange(90))) for _ in range(60)
        ]
        for name in (
            *(
                "",
                "-1",
                "01",
                "9" * 19,
                "9" * 40,
                "00" * 32,
                tx.upper(),
                tx + "-0",
                tx + "-0-2",
                tx + "-999-99999",
            ),
            *(f"{PUBLIC}/", f"{PUBLIC}.pdf", "6.tlog-proof", "%00", "<script>"),
            *(name for name in junk if not re.fullmatch(r"[0-5](\.tlog-proof)?", name)),
        ):
            status, headers, text = await get(served.url, f"/v/{name}".replace("%", "%25"))
            assert (status, headers["Cache-Control"]) == (404, "no-store"), name
            assert "No such record" in text
        assert (await get(served.url, f"/v/{PUBLIC}", "HEAD"))[0] == 200
        assert (await get(served.url, f"/v/{PUBLIC}", "POST"))[0] == 405
        assert served.faults == []


async def test_a_browser_shows_the_page_and_asks_nobody_else(tmp_path):
    async with serve() as served:
        populated(served.node)
        served.node.engine.cosign()
        _, headers, text = await get(served.url, f"/v/{PUBLIC}")
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert "script" not in policy
        assert "<script" not in text
        assert policy.endswith("frame-ancestors 'none'")
        async with browser(tmp_path) as tab:
            await tab.open(f"{served.url}/v/{PUBLIC}")
            # Its own style passes its own policy.
            assert (
                await tab.value("getComputedStyle(document.querySelector('dl')).display") == "grid"
            )
            assert await tab.value("document.title") == f"日志记录 {PUBLIC} · Record {PUBLIC}"
            assert await tab.value("document.querySelectorAll('main > h1').length") == 1
            asked = {url for url in tab.requested if not url.endswith("/favicon.ico")}
            assert asked == {f"{served.url}/v/{PUBLIC}"}
