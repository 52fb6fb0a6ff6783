"""`chainnode monitor` against servers that are not ours and lie, with the very keys of the log where that is worse."""

import json

import pytest

from chainnode.model.note import Note, parse_note
from tests.support.alliance import Alliance
from tests.support.cli import chainnode
from tests.support.tile_server import served_log

LEAVES = [b"record %d" % n for n in range(700)]
FORKED = [*LEAVES[:150], b"another record", *LEAVES[151:]]


@pytest.fixture(scope="module")
def alliance():
    return Alliance()


@pytest.fixture
def log(alliance):
    with served_log(alliance, LEAVES[:300]) as log:
        yield log


@pytest.fixture
def home(tmp_path, alliance):
    home = tmp_path / "home"
    home.mkdir()
    (home / "policy").write_bytes(alliance.policy().encode())
    return home


def look(home, log, *arguments, status=0):
    ran = chainnode("--home", home, "--rpc", log.url, "monitor", "--once", *arguments)
    assert ran.status == status, ran.out + ran.err
    return ran


def alarm(home, log, code, *arguments):
    """Look, expect an alarm, and return its evidence; what was seen before is kept as it was."""
    state = home / "monitor.json"
    kept = state.read_bytes() if state.exists() else None
    ran = look(home, log, "--json", *arguments, status=1)
    event = json.loads(ran.out.splitlines()[-1])
    assert (event["event"], event["code"]) == ("alarm", code)
    assert (state.read_bytes() if state.exists() else None) == kept
    evidence = json.loads((home / event["evidence"]).read_text())
    assert evidence["alarm"] == code
    assert evidence["now"]["url"].startswith("http://")
    parse_note(evidence["now"]["checkpoint"].encode())
    return evidence


def test_a_log_that_grows_is_followed(home, log):
    first = look(home, log)
    assert "300 records (+300)" in first.out
    log.show(LEAVES[:512])
    assert "512 records (+212)" in look(home, log).out
    log.show(LEAVES)
    ran = look(home, log, "--json", "--entries")
    (event,) = map(json.loads, ran.out.splitlines())
    assert (event["event"], event["old_size"], event["size"]) == ("checkpoint", 512, 700)
    assert len(event["cosigners"]) == 4
    kept = json.loads((home / "monitor.json").read_text())
    assert kept["entries"]["size"] == 700
    assert [seen["checkpoint"] for seen in kept["seen"]] == [log.note.encode().decode()]


@pytest.mark.parametrize("size", [300, 301, 700])
def test_a_history_that_is_rewritten_with_the_log_s_own_keys_is_an_alarm(home, log, size):
    look(home, log)
    before = log.note.encode().decode()
    log.show(FORKED[:size])
    evidence = alarm(home, log, "rewritten")
    assert evidence["before"]["checkpoint"] == before
    assert evidence["now"]["checkpoint"] == log.note.encode().decode()
    # It is one for as long as the forgery is shown, and not when the old history is back.
    alarm(home, log, "rewritten")
    assert len(list(home.glob("alarm-*.json"))) == 1
    log.show(LEAVES[:size])
    look(home, log)


def test_a_smaller_tree_is_an_alarm(home, log):
    look(home, log)
    log.show(LEAVES[:299])
    alarm(home, log, "smaller_tree")


def test_tiles_of_another_tree_than_the_signed_one_are_an_alarm(home, log):
    look(home, log)
    log.show(LEAVES)
    log.replaced["/tile/0/001"] = bytes(8192)
    alarm(home, log, "rewritten")


def test_a_person_reads_the_code_of_an_alarm(home, log):
    look(home, log)
    log.show(LEAVES[:299])
    ran = look(home, log, status=1)
    assert ran.err.startswith("alarm smaller_tree: ")
    assert "evidence: " in ran.err


def test_a_checkpoint_without_its_quorum_is_an_alarm(home, log):
    look(home, log)
    log.show(LEAVES, cosigners=("a1", "b2"))
    alarm(home, log, "too_few_cosignatures")
    log.show(LEAVES)
    spoilt = bytearray(log.note.encode())
    # Another digit of base64, whatever stood there.
    spoilt[-10] = ord("B") if spoilt[-10] == ord("A") else ord("A")
    log.replaced["/checkpoint"] = bytes(spoilt)
    alarm(home, log, "bad_signature")


def test_one_validator_s_clock_does_not_make_an_old_checkpoint_fresh(home, log, alliance):
    log.show(LEAVES, time_s=1_790_000_000)
    alarm(home, log, "stale")
    fresh = alliance.signed(log.checkpoint, cosigners=("d4",), time_s=4_000_000_000)
    old = alliance.signed(log.checkpoint, cosigners=("a1", "b2", "c3"))
    both = Note(text=old.text, signatures=(*old.signatures, fresh.signatures[-1]))
    log.replaced["/checkpoint"] = both.encode()
    alarm(home, log, "stale")
    look(home, log, "--max-age", 31_536_000)


def test_entries_that_are_not_those_of_the_tree_are_an_alarm(home, log):
    log.replaced["/tile/entries/000"] = log.answer("/tile/entries/000").replace(
        b"record 7", b"recorD 7"
    )
    look(home, log)
    alarm(home, log, "entries_differ", "--entries")
    del log.replaced["/tile/entries/000"]
    look(home, log, "--entries")


def test_two_servers_that_show_two_histories_are_found_out(home, log, alliance):
    with served_log(alliance, LEAVES[:200]) as lagging:
        look(home, log, "--also", lagging.url)
        lagging.show(FORKED[:250])
        # Each by itself could be genuine to a newcomer; together they are not.
        (home / "monitor.json").unlink()
        evidence = alarm(home, log, "split_view", "--also", lagging.url)
        assert {evidence["now"]["url"], evidence["before"]["url"]} == {log.url, lagging.url}
        lagging.show(FORKED[:300])
        alarm(home, log, "split_view", "--also", lagging.url)
        lagging.show(LEAVES[:250])
        look(home, log, "--also", lagging.url)


def test_what_one_server_showed_binds_another_one_later(home, log, alliance):
    look(home, log)
    with served_log(alliance, FORKED[:100]) as other:
        # So far it is a part of what was seen; as nobody can be asked for the rest, that is all that is known.
        look(home, other)
        other.show(FORKED)
        look(home, other, status=1)
        other.show(LEAVES)
        look(home, other)


def test_a_server_that_cannot_be_asked_is_no_alarm(home, log, alliance):
    look(home, log)
    log.show(LEAVES)
    log.replaced["/tile/0/001"] = None
    ran = look(home, log, status=3)
    assert "does not serve tile/0/001" in ran.err
    log.replaced = {"/checkpoint": b"<html>"}
    assert "serves as checkpoint is none" in look(home, log, status=3).err
    nobody = ServerThatIsNot()
    assert "no answer from" in look(home, nobody, status=3).err
    # The others are looked at all the same.
    log.replaced = {}
    ran = look(home, log, "--json", "--also", nobody.url, status=3)
    events = [json.loads(line) for line in ran.out.splitlines()]
    assert [event["event"] for event in events] == ["checkpoint", "error"]


class ServerThatIsNot:
    url = "http://127.0.0.1:1"


def test_logs_are_not_mixed_up(home, log, tmp_path):
    look(home, log)
    other = Alliance(origin="other.example/log")
    (home / "policy").write_bytes(other.policy().encode())
    with served_log(other, LEAVES[:5]) as elsewhere:
        ran = look(home, elsewhere, status=2)
        assert "what was followed so far is sz.gov.example/alliance" in ran.err
        look(home, elsewhere, "--state", tmp_path / "other.json")
    alarm(home, log, "other_chain")


def test_a_policy_whose_validators_were_replaced_cannot_tell(home, log, alliance):
    names = Alliance(origin=alliance.origin, names=("e5", "f6", "g7", "h8"))
    (home / "policy").write_bytes(names.policy().encode())
    ran = look(home, log, status=5)
    assert "chainnode policy --out" in ran.err


def test_a_log_on_sm2_is_followed_too(home):
    alliance = Alliance("sm2-sm3")
    (home / "policy").write_bytes(alliance.policy().encode())
    with served_log(alliance, LEAVES[:20]) as log:
        look(home, log, "--entries")
        log.show([b"", *LEAVES[1:30]])
        alarm(home, log, "rewritten")


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b'{"version": 1, "seen": [], "entries": 3}\n']
)
def test_a_state_that_is_none_is_refused(home, log, content):
    (home / "monitor.json").write_bytes(content)
    assert "monitor.json: not a monitor's state" in look(home, log, status=2).err
    assert (home / "monitor.json").read_bytes() == content


def test_without_a_policy_it_says_how_to_get_one(tmp_path, log):
    ran = look(tmp_path, log, status=2)
    assert f"chainnode policy --out {tmp_path / 'policy'}" in ran.err


def test_alarms_do_not_fill_the_disk(home, log, monkeypatch):
    monkeypatch.setattr("cli.monitor.MAX_ALARM_FILES", 2)
    look(home, log)
    for size in range(1, 4):
        log.show(LEAVES[:size])
        ran = look(home, log, status=1)
    assert "has 2 alarms already" in ran.err
    assert len(list(home.glob("alarm-*.json"))) == 2
