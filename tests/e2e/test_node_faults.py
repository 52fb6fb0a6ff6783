"""A validator whose disk, files or own results are not to be trusted stops and says so; the others do without it."""

import shutil
import subprocess

import pytest

from chainnode.engine.vote_records import VOTED
from chainnode.model import codec, votes
from chainnode.storage.append_file import DiskFile
from chainnode.storage.leveldb import LevelStore
from chainnode.storage.vote_log import VoteLog, VoteRecord
from devnet import homes, processes
from devnet.bench.workload import Number, transaction
from tests.support.network import LEVEL_MS, PATIENCE_S, chainnode, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("network")]

FAULT_STATUS = 70
REFUSED_STATUS = 2


class Started:
    """A validator's process under circumstances of ours; what it says goes to a file of its own."""

    def __init__(self, home, place, *, program=None):
        argv = homes.command(home, "start")
        if program is not None:
            # Interpreter and -P stay; the module to run is replaced.
            argv = (*argv[:2], "-c", program, *argv[4:])
        self._said = place / "stderr"
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                env=homes.environment(),
                start_new_session=True,
            )
        self._family = ()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()

    @property
    def has_ended(self):
        return self._process.poll() is not None

    def has_said(self, word):
        return word in self._said.read_text()

    def wait_started(self):
        wait_until(lambda: self.has_ended or self.has_said("node_started"), "v4 starts")
        assert not self.has_ended, self._said.read_text()
        self._family = processes.descendants(processes.find(self._process.pid))

    def end(self):
        """Wait until it has ended by itself, with all that it started; return exit status and why."""
        wait_until(lambda: self.has_ended, "v4 ends by itself")
        for worker in self._family:
            wait_until(lambda w=worker: not processes.is_running(w), "its workers end")
        said = self._said.read_text()
        assert "Traceback" not in said
        causes = [line for line in said.splitlines() if "node_stopped" in line or "error" in line]
        assert len(causes) == 1, said
        assert said.splitlines()[-1] == causes[0], said
        return self._process.returncode, causes[0]


@pytest.fixture
def home(network, notary):
    """v4's home, in order after some blocks, while v4 does not run.

    Afterwards it is what it was, unless v4 runs again by then: what it has said since must not be forgotten.
    """
    notary.commit("v4")
    network.wait_level(timeout_ms=LEVEL_MS)
    network.terminate("v4")
    home = network.node("v4").home
    kept = network.directory / "v4.kept"
    shutil.copytree(home, kept)
    yield home
    if network.is_running("v4"):
        shutil.rmtree(kept)
    else:
        shutil.rmtree(home)
        kept.rename(home)


@pytest.fixture(scope="module")
def whole(module_network, module_notary):
    """A copy of v4's home after some blocks, in order; v4 itself does not run."""
    network = module_network
    for name in ("v1", "v4"):
        module_notary.commit(name)
    network.wait_level(timeout_ms=LEVEL_MS)
    network.terminate("v4")
    kept = network.directory / "v4.whole"
    shutil.copytree(network.node("v4").home, kept)
    return kept


@pytest.fixture
def broken(module_network, whole):
    """A copy of that, to be damaged and started."""
    copy = module_network.directory / "v4.broken"
    shutil.copytree(whole, copy)
    yield copy
    shutil.rmtree(copy)


def check_others_go_on(network, notary):
    """The rest commits without v4."""
    result, _ = notary.commit("v1")
    assert result["status"] == "committed"
    heights = {network.status(name)["tip_height"] for name in ("v2", "v3")}
    assert max(heights) >= result["height"]
    assert not network.is_running("v4")


def flip(path, *places):
    data = bytearray(path.read_bytes())
    for place in places:
        data[place] ^= 0x55
    path.write_bytes(data)


# -- refused at the start -----------------------------------------------------------------------------------


def damage_manifest(home):
    (manifest,) = (home / "data").glob("MANIFEST-*")
    # Behind the first record's checksum, length and kind.
    flip(manifest, 10)


def damage_newest_log(home):
    (log,) = (home / "data").glob("*.log")
    flip(log, 10)


def damage_tables(home):
    # Opening makes a table of what the log holds.
    LevelStore(home / "data").close()
    tables = sorted((home / "data").glob("*.ldb"))
    assert tables
    for table in tables:
        flip(table, *range(0, table.stat().st_size, 64))


def lose_current(home):
    (home / "data" / "CURRENT").unlink()


def damage_votes_in_the_middle(home):
    path = home / "votes.log"
    flip(path, path.stat().st_size // 2)


def cut_votes_in_the_middle(home):
    path = home / "votes.log"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + data[len(data) // 2 + 10 :])


def damage_header_of_votes(home):
    flip(home / "votes.log", 20)


def take_votes_of_another_chain(home):
    path = home / "votes.log"
    path.unlink()
    log, _ = VoteLog.open(DiskFile(path), bytes(32))
    log.append([VoteRecord(kind=VOTED, height=1, payload=b"")])
    log.close()


def lose_genesis(home):
    (home / "genesis").unlink()


def cut_genesis(home):
    path = home / "genesis"
    path.write_bytes(path.read_bytes()[:-1])


def take_genesis_of_another_chain(home):
    """The same members under another name: the same keys fit, so only the files tell."""
    members = sorted(home.parent.glob("v?/*.member.json"))
    assert len(members) == 4
    (home / "genesis").unlink()
    done = chainnode(
        home, "genesis", "assemble", "--chain-id", "other.example/x", *map(str, members)
    )
    assert done.returncode == 0, done.stderr


def take_genesis_of_another_chain_without_votes(home):
    take_genesis_of_another_chain(home)
    (home / "votes.log").unlink()


def lose_key(home):
    (key,) = (home / "keys").glob("consensus*")
    key.unlink()


DAMAGED = {
    damage_manifest: (FAULT_STATUS, ("the store", "cannot be opened", "restore it from a backup")),
    damage_newest_log: (
        FAULT_STATUS,
        ("the store", "cannot be opened", "restore it from a backup"),
    ),
    damage_tables: (FAULT_STATUS, ("the store", "restore it from a backup")),
    lose_current: (FAULT_STATUS, ("CURRENT file is missing", "restore it from a backup")),
    damage_votes_in_the_middle: (
        FAULT_STATUS,
        ("the vote log is damaged at offset", "do not delete it and do not vote"),
    ),
    cut_votes_in_the_middle: (
        FAULT_STATUS,
        ("the vote log is damaged at offset", "do not delete it and do not vote"),
    ),
    damage_header_of_votes: (
        FAULT_STATUS,
        ("the vote log is damaged at offset 0", "do not delete it and do not vote"),
    ),
    take_votes_of_another_chain: (
        FAULT_STATUS,
        ("the vote log is of another chain", "expected", "the home of its own chain"),
    ),
    take_genesis_of_another_chain: (
        FAULT_STATUS,
        ("the vote log is of another chain", "expected", "the home of its own chain"),
    ),
    take_genesis_of_another_chain_without_votes: (
        REFUSED_STATUS,
        ("the store holds the chain of genesis", "other.example/x", "use another home"),
    ),
    lose_genesis: (REFUSED_STATUS, ("genesis does not exist", "put the alliance's genesis there")),
    cut_genesis: (REFUSED_STATUS, ("genesis: not canonical", "put the alliance's genesis there")),
    lose_key: (REFUSED_STATUS, ("there is no key consensus", "from its backup")),
}


def votes_of(home):
    path = home / "votes.log"
    return path.read_bytes() if path.exists() else b""


@pytest.mark.parametrize("damage", DAMAGED, ids=lambda damage: damage.__name__)
def test_home_that_is_not_in_order_stops_the_start_before_any_vote(
    module_network, module_notary, broken, tmp_path, damage
):
    expected, words = DAMAGED[damage]
    damage(broken)
    before = votes_of(broken)
    with Started(broken, tmp_path) as node:
        status, why = node.end()
    assert status == expected, why
    for word in words:
        assert word in why
    assert votes_of(broken) == before
    check_others_go_on(module_network, module_notary)


def test_wrong_passphrase_stops_the_start(broken, tmp_path):
    wrong = tmp_path / "wrong"
    wrong.write_text("not the one")
    wrong.chmod(0o600)
    before = votes_of(broken)
    refused = chainnode(broken, "start", "--passphrase-file", str(wrong))
    assert refused.returncode == REFUSED_STATUS
    assert refused.stderr.startswith("error: ")
    assert refused.stderr.count("\n") == 1
    assert "passphrase" in refused.stderr
    assert votes_of(broken) == before


def test_vote_log_that_a_crash_cut_short_is_no_reason_to_stop(network, notary, home):
    path = home / "votes.log"
    path.write_bytes(path.read_bytes()[:-3])
    network.start("v4")
    network.wait_ready("v4")
    network.wait_level(timeout_ms=LEVEL_MS)


# -- stopped on the way -------------------------------------------------------------------------------------

SPACE_BYTES = 256 * 1024
"""What v4's largest file may still grow by: a few lists of 1,000 documents."""


LITTLE_SPACE = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, ({bytes}, {bytes}))
from cli.main import main
main()
"""


def largest_file_bytes(home):
    return max(path.stat().st_size for path in home.rglob("*") if path.is_file())


def test_validator_whose_disk_is_full_stops_and_comes_back_when_there_is_space(
    network, notary, home, tmp_path
):
    program = LITTLE_SPACE.format(bytes=largest_file_bytes(home) + SPACE_BYTES)
    with Started(home, tmp_path, program=program) as node:
        node.wait_started()
        for sequence in range(200):
            if node.has_ended:
                break
            large = transaction(
                notary.genesis, homes.NOTARY_ACCOUNT, notary._signer, Number(80, sequence), 1_000
            )

            async def submit(client, envelope=large.envelope):
                return await client.tx_submit_and_wait(envelope, timeout_ms=PATIENCE_S * 1000)

            assert network.ask("v1", submit)["status"] == "committed"
        status, why = node.end()
    assert status == FAULT_STATUS
    assert "StorageFault" in why
    assert str(home) in why
    assert "free space" in why
    check_others_go_on(network, notary)
    network.start("v4")
    network.wait_ready("v4")
    network.wait_level(timeout_ms=LEVEL_MS)


OTHER_RESULT = """
import contracts.notary
right = contracts.notary.registration_body
contracts.notary.registration_body = lambda *of: tuple(part[::-1] for part in right(*of))
from cli.main import main
main()
"""

NO_RESULT = """
import contracts.notary
def registration_body(*of):
    raise ZeroDivisionError("a bug of this version alone")
contracts.notary.registration_body = registration_body
from cli.main import main
main()
"""


def commits_at(home, genesis, height):
    """Return the views in which v4 has said COMMIT at a height, by its vote log."""
    log, records = VoteLog.open(DiskFile(home / "votes.log"), genesis.domain.genesis_hash)
    log.close()
    said = [
        codec.decode(record.payload, max_bytes=1_000_000)
        for record in records
        if record.kind == VOTED and record.height == height
    ]
    return [view for kind, view, *_ in said if kind == votes.COMMIT]


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (OTHER_RESULT, ("a quorum", "gives something else", "software or data is wrong")),
        (NO_RESULT, ("ZeroDivisionError", "a bug of this version alone", "at height")),
    ],
    ids=["another-result", "no-result"],
)
def test_validator_whose_own_execution_differs_stops_and_never_votes_for_it(
    network, notary, home, tmp_path, program, words
):
    with Started(home, tmp_path, program=program) as node:
        node.wait_started()
        wait_until(lambda: network.why_not_ready("v4") is None or node.has_ended, "v4 is ready")
        result, _ = notary.commit("v1")
        status, why = node.end()
    assert (status, result["status"]) == (FAULT_STATUS, "committed")
    for word in words:
        assert word in why
    assert commits_at(home, notary.genesis, result["height"]) == []
    check_others_go_on(network, notary)

    # Started again, it meets the same block on its way to the tip, or its own that nobody else found valid.
    with Started(home, tmp_path, program=program) as node:
        status, again = node.end()
    assert status == FAULT_STATUS
    for word in words:
        assert word in again
    assert commits_at(home, notary.genesis, result["height"]) == []

    # What a person does about it, once the software is right.
    rebuilt = chainnode(home, "rebuild")
    assert rebuilt.returncode == 0, rebuilt.stderr
    shutil.rmtree(home / "data.replaced")
    network.start("v4")
    network.wait_ready("v4")
    network.wait_level(timeout_ms=LEVEL_MS)
