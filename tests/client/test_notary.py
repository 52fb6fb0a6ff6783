"""The client library against a real server on a real ledger, and the examples of docs/integrators.md."""

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest

from chainnode.client import blocking
from chainnode.client.digesting import document_of_bytes, document_of_file
from chainnode.client.list_store import MAX_KEY_BYTES, FileListStore, MemoryListStore
from chainnode.client.lists import ListOutcome, ListStatus
from chainnode.client.notary import Status, connect
from chainnode.model import codec
from chainnode.model.calls import Document
from chainnode.model.commitment import DIGEST_BYTES, Digest
from chainnode.model.errors import ChainError, DecodeError, ProofInvalid, Refused, Unavailable
from chainnode.model.notarization import digest_map, parse_notarization, verify_notarization
from chainnode.model.tlog_policy import validators_policy
from chainnode.model.tlog_proof import parse_proof
from chainnode.rpc.client import RpcClient
from tests.support.chain import GUEST
from tests.support.cli import PASSPHRASE, make_client_home

PAGE = Path(__file__).parents[2] / "docs" / "integrators.md"


def registrations(running, document):
    digest = document.digests[0]
    found = running.node.services.notary.lookup(
        digest.algorithm, digest.value, as_member=True, limit=100, after=None
    )
    return len(found.found)


def verify(running, document, proven):
    """Check the bytes of a proof as a stranger would."""
    genesis = running.node.chain.genesis
    policy = validators_policy(
        genesis.suite,
        genesis.chain_id,
        [(v.name, v.log_key, v.cosigner_key) for v in genesis.validator_set.members],
    )
    proof = parse_proof(proven.encode())
    notarization = parse_notarization(proof.extra)
    verify_notarization(proof, policy, notarization, digest_map(document.digests))


@pytest.mark.asyncio
async def test_documents_go_in_and_proofs_come_out(home, running, tmp_path):
    (tmp_path / "f").write_bytes(b"a file")
    documents = [document_of_bytes(b"one", title="t"), document_of_file(tmp_path / "f")]
    async with connect(home=home) as notary:
        proven = await notary.notarize(documents)
        public = await notary.notarize(documents, is_public=True)
    for document, one in zip(documents * 2, (*proven, *public), strict=True):
        verify(running, document, one)
    assert [p.index for p in proven] == [proven[0].index, proven[0].index + 1]
    assert public[0].notarization.is_public
    assert not proven[0].notarization.is_public
    assert proven[0].height < public[0].height
    assert proven[0].time_ms == proven[0].notarization.record.time_ms


@pytest.mark.asyncio
async def test_a_key_is_one_wish_also_for_another_process(home, running, tmp_path):
    document = document_of_bytes(b"once")
    first = None
    for _ in range(3):
        async with connect(home=home, store=tmp_path / "kept") as notary:
            (proven,) = await notary.notarize([document], key="k")
            assert (first or proven).index == proven.index
            first = proven
            assert (await notary.status("k")).status is Status.COMMITTED
            with pytest.raises(Refused) as caught:
                await notary.notarize([document_of_bytes(b"other")], key="k")
            assert caught.value.error_code == "key_conflict"
            with pytest.raises(Refused):
                await notary.notarize([document], key="k", is_public=True)
    assert registrations(running, document) == 1


@pytest.mark.asyncio
async def test_an_answer_that_was_lost_is_asked_for_again_with_the_same_bytes(
    home, running, tmp_path, monkeypatch
):
    genuine, sent = RpcClient.tx_submit_and_wait, []

    async def lose(client, envelope, *, timeout_ms):
        await genuine(client, envelope, timeout_ms=timeout_ms)
        sent.append(envelope)
        raise Unavailable("the line is dead", code="node_unreachable")

    document = document_of_bytes(b"lost")
    monkeypatch.setattr(RpcClient, "tx_submit_and_wait", lose)
    async with connect(home=home, store=tmp_path / "kept", patience_ms=0) as notary:
        for _ in range(2):
            with pytest.raises(Unavailable):
                await notary.notarize([document], key="k")
    assert len(set(sent)) == 1
    monkeypatch.setattr(RpcClient, "tx_submit_and_wait", genuine)
    async with connect(home=home, store=tmp_path / "kept") as notary:
        (proven,) = await notary.proofs("k")
    verify(running, document, proven)
    assert registrations(running, document) == 1


@pytest.mark.asyncio
async def test_two_calls_at_once_under_one_key_are_one(home, running):
    document = document_of_bytes(b"at once")
    async with connect(home=home) as notary, asyncio.TaskGroup() as tasks:
        calls = [tasks.create_task(notary.notarize([document], key="k")) for _ in range(5)]
    assert len({call.result()[0].index for call in calls}) == 1
    assert registrations(running, document) == 1


@pytest.mark.asyncio
async def test_a_submission_says_where_it_stands(home, running):
    documents = [document_of_bytes(b"%d of many" % n) for n in range(3)]
    async with connect(home=home) as notary:
        assert (await notary.status("s")).status is Status.UNKNOWN
        with pytest.raises(Refused) as caught:
            await notary.proofs("s")
        assert caught.value.error_code == "unknown_key"
        submission = await notary.submit(documents, key="s")
        assert submission.status in {Status.ACCEPTED, Status.COMMITTED}
        assert len(await notary.proofs("s")) == 3
        assert (await notary.status("s")).height is not None
        assert (await notary.submit(documents, key="s")).status is Status.COMMITTED


@pytest.mark.asyncio
async def test_what_expired_is_signed_anew_under_the_same_key(home, running):
    document, store = document_of_bytes(b"expired"), MemoryListStore()
    async with connect(home=home, store=store) as notary:
        await notary.submit([document], key="k")
        first = store.get("k").envelope
        store.end("k", ListOutcome(status=ListStatus.EXPIRED, is_final=True))
        assert (await notary.status("k")).status is Status.EXPIRED
        with pytest.raises(Refused) as caught:
            await notary.proofs("k")
        assert caught.value.error_code == "expired"
        await notary.notarize([document], key="k")
        assert store.get("k").envelope != first


@pytest.mark.asyncio
async def test_what_failed_stays_failed_under_its_key(home, running):
    document, store = document_of_bytes(b"failed"), MemoryListStore()
    failed = ListOutcome(
        status=ListStatus.FAILED, height=3, code="missing_role", message="no", is_final=True
    )
    async with connect(home=home, store=store) as notary:
        await notary.submit([document], key="k")
        store.end("k", failed)
        for call in (notary.notarize([document], key="k"), notary.proofs("k")):
            with pytest.raises(Refused) as caught:
                await call
            assert caught.value.error_code == "missing_role"
        submission = await notary.status("k")
    assert (submission.status, submission.code, submission.height) == ("failed", "missing_role", 3)


@pytest.mark.asyncio
async def test_a_node_that_is_gone_is_passed_over(home, running):
    async with connect(home=home, urls=["http://127.0.0.1:9", running.url]) as notary:
        await notary.notarize([document_of_bytes(b"failover")])
    with pytest.raises(Unavailable):
        async with connect(home=home, urls=["http://127.0.0.1:9"], patience_ms=0):
            pass


@pytest.mark.asyncio
async def test_arguments_that_cannot_be_are_refused_before_anything_is_sent(home, tmp_path):
    document = document_of_bytes(b"x")
    async with connect(home=home) as notary:
        for documents, key in (
            ([], "k"),
            ([document] * 1_001, "k"),
            ([document_of_bytes(b"x", title="t" * 250)] * 900, "k"),
            ([document], ""),
            ([document], "k" * (MAX_KEY_BYTES + 1)),
            ([document], "\ud800"),
        ):
            with pytest.raises(DecodeError):
                await notary.notarize(documents, key=key)
        assert (await notary.status("k")).status is Status.UNKNOWN
    (home / "genesis").unlink()
    with pytest.raises(DecodeError):
        async with connect(home=home):
            pass


def long_document(number, *, title):
    """A document with all that one may have."""
    digests = tuple(
        Digest(algorithm=name, value=number.to_bytes(DIGEST_BYTES[name]))
        for name in ("sha384", "sha512", "sm3")
    )
    return Document(digests=digests, title=title, metadata_hash=bytes(32))


@pytest.mark.asyncio
async def test_a_list_that_no_transaction_holds_is_refused_and_spoils_no_store(
    home, running, tmp_path
):
    kept = document_of_bytes(b"kept before")
    long = [long_document(number, title="t" * 150) for number in range(800)]
    async with connect(home=home, store=tmp_path / "kept") as notary:
        await notary.notarize([kept], key="before")
        with pytest.raises(DecodeError, match=r"800 documents .* at most 262144 bytes") as caught:
            await notary.notarize(long, key="long")
        assert caught.value.error_code == "too_many_documents"
    async with connect(home=home, store=tmp_path / "kept") as notary:
        assert (await notary.status("long")).status is Status.UNKNOWN
        assert (await notary.status("before")).status is Status.COMMITTED
        proven = await notary.notarize(long[:700], key="long")
    verify(running, long[699], proven[699])


def lying(monkeypatch, lie):
    """Have every node say of what became of a list what `lie` makes of the truth; return the honest way."""
    honest = RpcClient.tx_submit_and_wait

    async def ask(client, envelope, *, timeout_ms):
        return lie(await honest(client, envelope, timeout_ms=timeout_ms))

    monkeypatch.setattr(RpcClient, "tx_submit_and_wait", ask)
    return honest


def receipt(**changed):
    return lambda found: {**found, "receipt": {**found["receipt"], **changed}}


@pytest.mark.parametrize(
    "lie",
    [
        lambda found: {**found, "height": 0},
        lambda found: {**found, "height": 2**64},
        lambda found: {**found, "tx_id": "00" * 32},
        lambda found: {**found, "receipt": None},
        receipt(first_record=2**64),
        receipt(first_record=-1),
        receipt(record_count=2),
        receipt(tx_id="00" * 32),
        receipt(succeeded=False, code="c" * 1_000),
        receipt(succeeded=False, code="c", message="m" * 1_000),
        receipt(succeeded=False, code="c", message="\ud800"),
    ],
)
@pytest.mark.asyncio
async def test_what_no_node_could_say_is_not_remembered(home, running, tmp_path, monkeypatch, lie):
    document = document_of_bytes(b"bounds")
    honest = lying(monkeypatch, lie)
    async with connect(home=home, store=tmp_path / "kept") as notary:
        with pytest.raises(DecodeError) as caught:
            await notary.notarize([document], key="k")
    assert caught.value.error_code == "bad_answer"
    monkeypatch.setattr(RpcClient, "tx_submit_and_wait", honest)
    async with connect(home=home, store=tmp_path / "kept") as notary:
        (proven,) = await notary.notarize([document], key="k")
    verify(running, document, proven)


@pytest.mark.parametrize("lie", [receipt(first_record=0), lambda found: {**found, "height": 1}])
@pytest.mark.asyncio
async def test_a_place_that_does_not_prove_is_not_remembered(
    home, running, tmp_path, monkeypatch, lie
):
    document = document_of_bytes(b"elsewhere")
    honest = lying(monkeypatch, lie)
    async with connect(home=home, store=tmp_path / "kept") as notary:
        with pytest.raises(ProofInvalid):
            await notary.notarize([document], key="k")
    monkeypatch.setattr(RpcClient, "tx_submit_and_wait", honest)
    async with connect(home=home, store=tmp_path / "kept") as notary:
        (proven,) = await notary.proofs("k")
    verify(running, document, proven)


def expired(found):
    """What a node says of a list that no block has."""
    return {**found, "status": "expired", "height": None, "receipt": None}


def failed(found):
    """A failure that nobody could find fault with, but that it is none."""
    lie = {**found["receipt"], "succeeded": False, "code": "missing_role", "message": "no"}
    return {**found, "status": "failed", "receipt": {**lie, "record_count": 0}}


@pytest.mark.asyncio
async def test_nothing_is_signed_anew_before_the_chain_is_past_a_list_that_is_said_to_have_expired(
    home, running, tmp_path, monkeypatch
):
    document = document_of_bytes(b"not expired")
    async with connect(home=home, store=tmp_path / "kept", patience_ms=0) as notary:
        with monkeypatch.context() as patched:
            lying(patched, expired)
            with pytest.raises(Unavailable) as caught:
                await notary.notarize([document], key="k")
            assert caught.value.error_code == "bad_answer"
            honest = RpcClient.tx_get

            async def lie(client, tx_id, *, last_valid_height):
                return expired(await honest(client, tx_id, last_valid_height=last_valid_height))

            patched.setattr(RpcClient, "tx_get", lie)
            with pytest.raises(Unavailable):
                await notary.status("k")
        assert (await notary.status("k")).status is Status.COMMITTED
        (proven,) = await notary.notarize([document], key="k")
    verify(running, document, proven)
    assert registrations(running, document) == 1


@pytest.mark.asyncio
async def test_a_call_signs_three_times_at_most_whatever_a_node_says(
    home, running, tmp_path, monkeypatch
):
    document = document_of_bytes(b"said to expire")
    monkeypatch.setattr("chainnode.client.sender.VALID_HEIGHTS", 1)
    lying(monkeypatch, expired)
    async with connect(home=home, store=tmp_path / "kept", patience_ms=0) as notary:
        with pytest.raises(Refused) as caught:
            await notary.notarize([document], key="k")
    assert caught.value.error_code == "expired"
    assert registrations(running, document) == 3


@pytest.mark.parametrize("receipts", ["true", "forged", "of another form", "none"])
@pytest.mark.asyncio
async def test_a_failure_that_no_signed_block_has_is_not_remembered(
    home, running, tmp_path, monkeypatch, receipts
):
    document = document_of_bytes(b"failed, it is said: " + receipts.encode())
    genuine = RpcClient.chain_block

    async def forge(client, height):
        block = await genuine(client, height)
        match receipts:
            case "forged":
                block["receipts"] = [
                    failed({"receipt": receipt})["receipt"] for receipt in block["receipts"]
                ]
            case "of another form":
                block["receipts"][0]["tx_id"] = "no hex"
            case "none":
                block["receipts"] = []
        return block

    async with connect(home=home, store=tmp_path / "kept") as notary:
        with monkeypatch.context() as patched:
            lying(patched, failed)
            patched.setattr(RpcClient, "chain_block", forge)
            with pytest.raises((ProofInvalid, DecodeError)):
                await notary.notarize([document], key="k")
        (proven,) = await notary.notarize([document], key="k")
    verify(running, document, proven)
    assert registrations(running, document) == 1


@pytest.mark.asyncio
async def test_what_the_chain_refused_is_known_without_asking_again(home, running, tmp_path):
    document = document_of_bytes(b"refused")
    guest = make_client_home(
        tmp_path / "guest", running.node.chain, accounts=(GUEST,), rpc=running.url
    )
    how = {"home": guest, "passphrase": PASSPHRASE.encode(), "store": tmp_path / "kept"}
    async with connect(**how, account=GUEST) as notary:
        for _ in range(2):
            with pytest.raises(Refused) as caught:
                await notary.notarize([document], key="k")
            assert caught.value.error_code == "missing_role"
    with pytest.MonkeyPatch.context() as patched:
        patched.delattr(RpcClient, "tx_get")
        patched.delattr(RpcClient, "tx_submit_and_wait")
        async with connect(**how, account=GUEST) as notary:
            assert (await notary.status("k")).status is Status.FAILED
    assert registrations(running, document) == 0


@pytest.mark.asyncio
async def test_what_is_only_submitted_and_asked_for_is_forgotten_in_its_turn(
    home, running, tmp_path
):
    store = FileListStore(tmp_path / "kept", max_bytes=2_000)
    async with connect(home=home, store=store) as notary:
        for number in range(9):
            key = f"{number}"
            await notary.submit([document_of_bytes(b"%d of status only" % number)], key=key)
            assert (await notary.status(key)).status is Status.COMMITTED
            size = (tmp_path / "kept" / "journal").stat().st_size
            assert (await notary.status(key)).status is Status.COMMITTED
            assert (tmp_path / "kept" / "journal").stat().st_size == size
        assert (await notary.status("0")).status is Status.UNKNOWN
        assert len(await notary.proofs("8")) == 1
    store.close()
    again = FileListStore(tmp_path / "kept", max_bytes=2_000)
    assert again.get("0") is None
    assert again.get("7").outcome.status is ListStatus.COMMITTED
    assert not again.get("7").outcome.is_final
    assert again.get("8").outcome.is_final
    again.close()


@pytest.mark.asyncio
async def test_what_is_forgotten_while_it_is_proven_is_proven_all_the_same(home, running, tmp_path):
    document, store = document_of_bytes(b"forgotten"), FileListStore(tmp_path / "k", max_bytes=1)
    async with connect(home=home, store=store) as notary:
        (proven,) = await notary.notarize([document], key="k")
        assert (await notary.status("k")).status is Status.UNKNOWN
    store.close()
    FileListStore(tmp_path / "k").close()
    verify(running, document, proven)


@pytest.mark.asyncio
async def test_a_header_that_no_block_has_is_no_place(home, running, monkeypatch):
    honest = RpcClient.chain_header

    async def lie(client, height=None):
        return {**await honest(client, height), "time_ms": 2**64}

    monkeypatch.setattr(RpcClient, "chain_header", lie)
    async with connect(home=home) as notary:
        with pytest.raises(DecodeError, match="time_ms") as caught:
            await notary.notarize([document_of_bytes(b"when")])
    assert caught.value.error_code == "bad_answer"


@pytest.mark.parametrize("cut", [0, 1, 33])
@pytest.mark.asyncio
async def test_a_tile_that_is_cut_short_is_asked_for_again(home, running, monkeypatch, cut):
    honest, document = RpcClient.get, document_of_bytes(b"tile cut at %d" % cut)

    async def cut_short(client, path):
        status, body = await honest(client, path)
        return status, body[:cut] if len(body) > cut else b""

    async with connect(home=home, patience_ms=0) as notary:
        with monkeypatch.context() as patched:
            patched.setattr(RpcClient, "get", cut_short)
            with pytest.raises(Unavailable) as caught:
                await notary.notarize([document], key="k")
        assert caught.value.error_code == "bad_answer"
        (proven,) = await notary.notarize([document], key="k")
    verify(running, document, proven)


@pytest.mark.parametrize(
    ("tip", "error"), [(-1, DecodeError), (2**64, DecodeError), (10**12, Unavailable)]
)
@pytest.mark.asyncio
async def test_nothing_is_signed_for_a_tip_that_a_node_made_up(
    home, running, tmp_path, monkeypatch, tip, error
):
    document, honest = document_of_bytes(b"far ahead %d" % tip), RpcClient.chain_status

    async def lie(client):
        return {**await honest(client), "tip_height": tip}

    async with connect(home=home, store=tmp_path / "kept", patience_ms=0) as notary:
        with monkeypatch.context() as patched:
            patched.setattr(RpcClient, "chain_status", lie)
            with pytest.raises(error) as caught:
                await notary.notarize([document], key="k")
        assert caught.value.error_code == "bad_answer"
        assert (await notary.status("k")).status is Status.UNKNOWN
        (proven,) = await notary.notarize([document], key="k")
    verify(running, document, proven)


@pytest.mark.asyncio
async def test_a_long_chain_shows_its_tip(home, running, monkeypatch):
    monkeypatch.setattr("chainnode.client.trust.TRUSTED_HEIGHTS", 0)
    document = document_of_bytes(b"shown")
    async with connect(home=home) as notary:
        (proven,) = await notary.notarize([document])
    verify(running, document, proven)


# -- the store ----------------------------------------------------------------------------------------------


def test_a_store_forgets_what_ended_longest_ago_and_never_what_is_under_way(tmp_path):
    ended = ListOutcome(status=ListStatus.COMMITTED, height=1, first_record=2, is_final=True)
    store = FileListStore(tmp_path / "s", max_bytes=1_000)
    store.begin("open", bytes(400))
    for number in range(9):
        store.begin(f"{number}", bytes(200))
        store.end(f"{number}", ended)
    assert store.get("0") is None
    assert store.get("8").outcome == ended
    store.close()
    again = FileListStore(tmp_path / "s", max_bytes=1_000)
    assert again.get("open").outcome is None
    assert again.get("8").outcome == ended
    again.close()


def test_a_store_that_is_written_anew_remembers_the_same(tmp_path):
    ended = ListOutcome(status=ListStatus.FAILED, height=1, code="c", message="m")
    store = FileListStore(tmp_path / "s", max_bytes=300_000)
    for number in range(12):
        store.begin(f"{number}", bytes([number]) * 200_000)
        store.end(f"{number}", ended)
    store.begin("open", b"bytes")
    size = (tmp_path / "s" / "journal").stat().st_size
    assert size < 3_000_000
    store.close()
    again = FileListStore(tmp_path / "s", max_bytes=300_000)
    assert again.get("11").envelope == bytes([11]) * 200_000
    assert again.get("11").outcome == ended
    assert again.get("open").envelope == b"bytes"
    again.close()


def test_a_damaged_store_is_not_guessed_at(tmp_path):
    store = FileListStore(tmp_path / "s")
    store._file.append(b"\xc0")
    store.close()
    with pytest.raises(ChainError, match=r"/s/journal: record 0 .* move it away") as caught:
        FileListStore(tmp_path / "s")
    assert caught.value.error_code == "file_error"


def test_nonsense_in_a_store_is_told_with_its_file_and_what_to_do(tmp_path):
    store = FileListStore(tmp_path / "s")
    store.begin("k", b"bytes")
    store._file.append(codec.encode((1, "k", "committed", 0, 0, "", "")))
    store.close()
    with pytest.raises(ChainError, match=r"/s/journal: record 1 .*height.* move it away"):
        FileListStore(tmp_path / "s")
    (tmp_path / "s" / "journal").unlink()
    FileListStore(tmp_path / "s").close()


# -- the examples -------------------------------------------------------------------------------------------


def examples():
    section = PAGE.read_text().split("## From Python")[1].split("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)


@pytest.mark.parametrize("number", range(2))
def test_an_example_does_what_the_page_says_however_often_it_is_run(
    home, running, tmp_path, number
):
    code = examples()[number]
    (tmp_path / "contract.pdf").write_bytes(b"a contract")
    outputs = set()
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        outputs.add(done.stdout.replace("accepted\n", "committed\n", 1))
    assert len(outputs) == 1
    if number == 0:
        document = document_of_bytes(b"a contract")
        assert registrations(running, document) == 1
        proof = parse_proof((tmp_path / "contract.pdf.tlog-proof").read_bytes())
        assert f"record {proof.index} in block" in outputs.pop()


def test_the_blocking_calls_are_those_of_the_other(home, running, tmp_path):
    document = document_of_bytes(b"blocking")
    with blocking.connect(home=home, store=tmp_path / "kept") as notary:
        submission = notary.submit([document], key="k")
        assert submission.key == "k"
        (proven,) = notary.proofs("k")
        assert notary.notarize([document], key="k")[0].index == proven.index
        assert notary.status("k").status is Status.COMMITTED
    verify(running, document, proven)
    with (
        pytest.raises(Unavailable),
        blocking.connect(home=home, urls=["http://127.0.0.1:9"], patience_ms=0),
    ):
        pass
