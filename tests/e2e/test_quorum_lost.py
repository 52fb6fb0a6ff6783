"""docs/operations.md, "A quorum is lost for good", rehearsed with real processes: first the machines, then the keys.

Everything that the survivor has must be there and provable afterwards.
"""

import re
import shutil

import pytest

from tests.e2e.test_operations_page import Alliance
from tests.support.network import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400), pytest.mark.xdist_group("quorum-lost")]

SECTION = "A quorum is lost for good"
NAMES = {"B": "court", "C": "archive", "D": "transport"}
VERIFY = 'chainnode verify "$WORK/notice.txt" "$WORK/notice.txt.tlog-proof" --policy "$WORK/policy"'


@pytest.fixture(scope="module")
def alliance(tmp_path_factory):
    """The network of the page's first part, with the backups that the page asks for."""
    found = Alliance(tmp_path_factory.mktemp("quorum-lost"))
    try:
        found.follow("Forming a network")
        for agency, name in NAMES.items():
            found.type(
                f'tar -C "$HOME_{agency}" -cf "$BACKUP/{name}.tar" config.toml genesis keys tls.pem tls.key'
            )
        yield found
    finally:
        found.end()


def position(alliance, beginning):
    """Return the place of the first command of the section that begins so."""
    commands = [command for command, _ in alliance._sections[SECTION]]
    return next(i for i, command in enumerate(commands) if command.startswith(beginning))


def log_of(alliance, agency):
    return (alliance._directory / f"{agency}.log").read_text()


def test_three_of_four_lose_machines_and_vote_logs_and_the_chain_goes_on_by_word_of_the_alliance(
    alliance,
):
    for _ in range(3):
        alliance.notarize()
    for agency in "BCD":
        alliance.stop(agency)
        shutil.rmtree(alliance.path(f"HOME_{agency}"))
    tip = alliance.status("A")["tip_height"]
    reinstate, start = (
        position(alliance, 'chainnode --home "$HOME_B" reinstate'),
        position(alliance, 'chainnode --home "$HOME_A" start'),
    )

    alliance.follow(SECTION, last=reinstate)
    for agency in "BCD":
        found = alliance.status(agency)
        assert found["tip_height"] == tip
        assert not found["is_voting"]
        assert found["quarantine"]["code"] in {"unknown_signature", "unknown_vote"}
    for agency in "ABCD":
        alliance.stop(agency)
    alliance.environment["HEIGHT"] = str(tip + 1)

    # Not without the block below, not where nothing was forgotten, not without a confirmation.
    wrong = f'chainnode --home "$HOME_B" reinstate --height {tip + 2} --yes'
    assert "the chain of this home ends at block" in alliance.type(wrong, status=2).stderr
    unasked = 'chainnode --home "$HOME_B" reinstate --height "$HEIGHT"'
    refused = alliance.type(unasked, status=2).stderr
    assert "nobody in the alliance" in refused
    assert "not confirmed, so nothing was changed" in refused
    typed = f'echo "vote again from $HEIGHT" | {unasked}'
    assert f"votes again from height {tip + 1}" in alliance.type(typed).stdout

    alliance.follow(SECTION, first=reinstate, last=start)
    alliance.follow(
        SECTION, first=start, last=position(alliance, 'chainnode --home "$HOME_A" policy')
    )
    for agency in "BCD":
        alliance.wait_until_level(agency, votes=True)
        assert len(re.findall("reinstated", log_of(alliance, agency))) == 1
    assert alliance.status("A")["tip_height"] > tip
    alliance.type(VERIFY)
    for agency in "ABCD":
        alliance.type(f'chainnode --home "$HOME_{agency}" block show 1')
    # Once a vote is in the new log, nothing needs the statement any more.
    alliance.stop("B")
    alliance.start_again("B")
    alliance.wait_until_level("B", votes=True)
    assert len(re.findall("reinstated", log_of(alliance, "B"))) == 1
    alliance.stop("B")
    assert (
        "votes.log holds votes of height"
        in alliance.type(
            f'chainnode --home "$HOME_B" reinstate --height {tip + 1} --yes', status=2
        ).stderr
    )


@pytest.mark.soak
def test_keys_that_are_gone_end_the_chain_and_a_successor_vouches_for_its_last_state(alliance):
    for agency in "BCD":
        if alliance.is_running(agency):
            alliance.stop(agency)
        shutil.rmtree(alliance.path(f"HOME_{agency}"))
    first = position(alliance, 'chainnode --home "$HOME_A" policy')
    successor = position(alliance, 'mkdir "$MAIL/successor"')
    alliance.follow(SECTION, first=first, last=successor)
    alliance.stop("A")
    alliance.follow(SECTION, first=successor)
    old = (alliance.path("MAIL") / "old-chain.checkpoint").read_text()
    assert old.splitlines()[0] == "sz.gov.example/alliance"
    assert len(re.findall("^— sz.gov.example/alliance/", old, re.MULTILINE)) >= 3
    # The old ledger is read as before, by whoever has it.
    for agency in "ABCD":
        alliance.stop(agency)
    alliance.start_again("A")
    wait_until(lambda: alliance.status("A") is not None, "the old node answers")
    alliance.type(
        'chainnode --home "$HOME_A" lookup "$WORK/notice.txt" --passphrase-file "$PASS_A"'
    )
    alliance.type(VERIFY)
