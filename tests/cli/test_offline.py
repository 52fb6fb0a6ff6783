"""Commands that need no node: keys, homes, genesis, configuration."""

import json
import stat

import pytest

from chainnode.config import load_config
from chainnode.cpu_profile import INTERVAL_MS
from chainnode.model.genesis import decode_genesis
from chainnode.model.member import decode_member
from tests.support.cli import PASSPHRASE, chainnode

AGENCIES = ("justice", "court", "archive", "transport")
CHAIN = ("--chain-id", "sz.gov.example/alliance")


def init(home, organisation, *options, port=7545):
    return chainnode(
        "--home", home, "init", "--organisation", organisation, "--title", f"{organisation} 局",
        "--validator", f"{organisation}-1", "--address", f"{organisation}.example:{port}", *options,
    )  # fmt: skip


@pytest.fixture(scope="module")
def homes(tmp_path_factory):
    """Four homes, made once: key derivation is slow on purpose."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHAINNODE_PASSPHRASE", PASSPHRASE)
        root = tmp_path_factory.mktemp("homes")
        for agency in AGENCIES:
            role = "admin" if agency == "justice" else "notary"
            ran = init(root / agency, agency, "--account", f"{agency}/desk:{role}")
            assert ran.status == 0, ran.err
    return root


def member_files(homes):
    return [homes / agency / f"{agency}.member.json" for agency in AGENCIES]


# -- init ---------------------------------------------------------------------------------------------------


def test_a_home_holds_keys_certificate_settings_and_the_public_file(homes):
    home = homes / "justice"
    names = {str(p.relative_to(home)) for p in home.rglob("*") if p.is_file()}
    assert names == {
        "config.toml",
        "justice.member.json",
        "keys/consensus.key",
        "keys/cosigner.key",
        "keys/log.key",
        "keys/justice.desk.key",
        "keys/justice.justice-1.key",
        "keys/timestamp.key",
        "tls.key",
        "tls.pem",
    }
    for secret in (*home.glob("keys/*.key"), home / "tls.key"):
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    config = load_config(home)
    assert (config.validator, config.listen) == ("justice-1", "0.0.0.0:7545")
    assert config.log_level == "info"


def test_no_private_key_and_no_passphrase_is_in_the_public_file(homes):
    text = (homes / "justice" / "justice.member.json").read_text()
    assert PASSPHRASE not in text
    assert "PRIVATE" not in text
    assert set(json.loads(text)) == {
        "accounts", "made_ms", "organisation", "proofs", "suite", "title", "validator", "version",
    }  # fmt: skip


def test_a_home_is_made_once(homes):
    before = (homes / "justice" / "justice.member.json").read_bytes()
    ran = init(homes / "justice", "justice")
    assert ran.status == 2
    assert "is a home already; name another one with --home" in ran.err
    assert (homes / "justice" / "justice.member.json").read_bytes() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--account", "court/x:notary"), "expected an account of justice, as justice/name"),
        (("--account", "justice/x:king"), "found role 'king'; known are admin, notary, org-admin"),
        (("--account", "x"), "expected organisation/account"),
        (("--account", "justice/x", "--account", "justice/x:admin"), "named twice"),
        (("--listen", "here"), "listen: found 'here'; expected host:port"),
        (("--rpc-port", "0"), "0 is not in the range 1<=x<=65535"),
        (("--suite", "rot13"), "'rot13' is not one of"),
        (("--account", "justice/" + "x" * 60), "cannot name a key"),
    ],
)
def test_what_cannot_be_a_home_is_refused_and_says_why(tmp_path, options, message):
    ran = init(tmp_path / "home", "justice", *options)
    assert ran.status == 2
    assert message in ran.err
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("--organisation", "Justice", "organisation: found 'Justice'"),
        ("--validator", "a b", "validator: found 'a b'"),
        ("--title", "司" * 86, "--title: expected 1 to 256 bytes of UTF-8"),
        ("--address", "justice.example", "address: found 'justice.example'; expected host:port"),
    ],
)
def test_names_and_addresses_are_checked_before_keys_are_made(tmp_path, name, value, message):
    given = {
        "--organisation": "justice",
        "--title": "x",
        "--validator": "j-1",
        "--address": "a:1",
        name: value,
    }
    options = [part for pair in given.items() for part in pair]
    ran = chainnode("--home", tmp_path / "home", "init", *options)
    assert (ran.status, message in ran.err) == (2, True), ran.err
    assert not (tmp_path / "home").exists()


def test_without_a_passphrase_nothing_is_made(tmp_path, monkeypatch):
    monkeypatch.delenv("CHAINNODE_PASSPHRASE")
    ran = init(tmp_path / "home", "justice")
    assert ran.status == 2
    assert "no passphrase: name a file with --passphrase-file" in ran.err
    assert not (tmp_path / "home").exists()
    ran = init(tmp_path / "home", "justice", "--passphrase-file", tmp_path / "absent")
    assert ran.status == 2
    assert f"there is no {tmp_path / 'absent'}" in ran.err


# -- genesis ------------------------------------------------------------------------------------------------


def test_every_member_assembles_the_same_genesis_whatever_the_order(homes, tmp_path):
    files = member_files(homes)
    first = chainnode("--json", "genesis", "assemble", *CHAIN, *files, "--out", tmp_path / "1")
    second = chainnode("genesis", "assemble", *CHAIN, *files[::-1], "--out", tmp_path / "2")
    assert (first.status, second.status) == (0, 0)
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()
    digest = first.document["genesis_hash"]
    assert digest in second.out
    assert " ".join(digest[i : i + 4] for i in range(0, 64, 4)) in second.out
    genesis = decode_genesis((tmp_path / "1").read_bytes())
    assert genesis.time_ms == max(decode_member(f.read_bytes()).made_ms for f in files)
    assert [(c.name, c.version) for c in genesis.contracts] == [
        ("algorithms", 1),
        ("authorities", 1),
        ("clocks", 1),
        ("cosigners", 1),
        ("evidence", 1),
        ("history", 1),
        ("identity", 1),
        ("notary", 1),
        ("timestamps", 1),
    ]
    assert chainnode("genesis", "hash", tmp_path / "1").out == digest + "\n"
    ran = chainnode("--json", "genesis", "hash", tmp_path / "1")
    assert ran.document == {"genesis_hash": digest}
    shown = chainnode("genesis", "show", tmp_path / "1")
    assert "justice/desk" in shown.out


def test_a_parameter_changes_the_genesis(homes, tmp_path):
    files = member_files(homes)
    ran = chainnode(
        "--json", "genesis", "assemble", *CHAIN, *files, "--out", tmp_path / "g",
        "--parameter", "heartbeat_ms=5000",
    )  # fmt: skip
    assert ran.document["parameters"]["heartbeat_ms"] == 5_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--parameter", "speed=1"), "found 'speed'; known are precision_ms"),
        (
            ("--parameter", "heartbeat_ms=fast"),
            "heartbeat_ms: found 'fast'; expected a whole number",
        ),
        (("--parameter", "heartbeat_ms=1"), "heartbeat_ms: found 1, expected 100"),
        (("--parameter", "timeout_ms=50", "--parameter", "timeout_ms=60"), "is given twice"),
    ],
)
def test_a_parameter_that_cannot_be_is_refused(homes, tmp_path, options, message):
    ran = chainnode(
        "genesis", "assemble", *CHAIN, *member_files(homes), "--out", tmp_path / "g", *options
    )
    assert ran.status == 2
    assert message in ran.err
    assert not (tmp_path / "g").exists()


def test_a_genesis_is_never_replaced_by_another_but_may_be_made_again(homes, tmp_path):
    out = ("--out", tmp_path / "g")
    files = member_files(homes)
    assert chainnode("genesis", "assemble", *CHAIN, *files, *out).status == 0
    before = (tmp_path / "g").read_bytes()
    assert chainnode("genesis", "assemble", *CHAIN, *files, *out).status == 0
    ran = chainnode("genesis", "assemble", "--chain-id", "other.example/x", *files, *out)
    assert ran.status == 2
    assert "holds another genesis; a chain that has begun cannot change it" in ran.err
    assert (tmp_path / "g").read_bytes() == before


def test_an_altered_member_file_is_found_by_its_proofs(homes, tmp_path):
    files = member_files(homes)
    altered = tmp_path / "court.json"
    altered.write_text(files[1].read_text().replace("court.example", "thief.example"))
    ran = chainnode("genesis", "assemble", *CHAIN, files[0], altered, "--out", tmp_path / "g")
    assert ran.status == 1
    assert "member court: the key of account court/court-1 has not signed this file" in ran.err
    assert not (tmp_path / "g").exists()


def test_a_file_that_is_no_member_file_is_named(homes, tmp_path):
    (tmp_path / "x").write_text("{}")
    ran = chainnode("genesis", "assemble", *CHAIN, tmp_path / "x", "--out", tmp_path / "g")
    assert ran.status == 2
    assert f"{tmp_path / 'x'}: member file: document: the field 'accounts' is missing" in ran.err


def test_a_chain_that_nobody_could_administer_is_refused(homes, tmp_path):
    ran = chainnode(
        "genesis", "assemble", *CHAIN, *member_files(homes)[1:], "--out", tmp_path / "g"
    )
    assert ran.status == 2
    assert "no account has the role admin" in ran.err


def test_the_same_member_twice_does_not_fit_together(homes, tmp_path):
    files = member_files(homes)
    ran = chainnode("genesis", "assemble", *CHAIN, files[0], files[0], "--out", tmp_path / "g")
    assert ran.status == 2
    assert "is there twice" in ran.err


def test_members_of_two_suites_do_not_fit_together(homes, tmp_path):
    assert init(tmp_path / "sm2", "police", "--suite", "sm2-sm3").status == 0
    other = tmp_path / "sm2" / "police.member.json"
    ran = chainnode("genesis", "assemble", *CHAIN, *member_files(homes), other)
    assert ran.status == 2
    assert "files are for ed25519-sha256 and sm2-sm3" in ran.err


def test_one_organisation_has_one_title(homes, tmp_path):
    ran = chainnode(
        "--home", tmp_path / "h", "init", "--organisation", "justice", "--title", "Other",
        "--validator", "justice-2", "--address", "a:1",
    )  # fmt: skip
    assert ran.status == 0
    other = tmp_path / "h" / "justice.member.json"
    ran = chainnode("genesis", "assemble", *CHAIN, *member_files(homes), other)
    assert ran.status == 2
    assert "justice has two titles" in ran.err


def test_a_home_is_compared_with_its_genesis(homes, tmp_path):
    home = homes / "justice"
    ran = chainnode("--home", home, "genesis", "check")
    assert (ran.status, "genesis: cannot read" in ran.err) == (2, True)
    genesis = tmp_path / "g"
    assert (
        chainnode("genesis", "assemble", *CHAIN, *member_files(homes), "--out", genesis).status == 0
    )
    (home / "genesis").write_bytes(genesis.read_bytes())
    try:
        ran = chainnode("--home", home, "genesis", "check")
        assert ran.out == "this home is validator justice-1 of sz.gov.example/alliance\n"
        ran = chainnode("--home", home, "--json", "genesis", "check")
        assert ran.document["validator"] == "justice-1"
        _check_other_homes(home, genesis, tmp_path)
    finally:
        (home / "genesis").unlink()


def _check_other_homes(home, genesis, tmp_path):
    other = tmp_path / "other"
    assert init(other, "justice").status == 0
    (other / "genesis").write_bytes(genesis.read_bytes())
    ran = chainnode("--home", other, "genesis", "check")
    assert ran.status == 1
    assert "the consensus key of this home is not the one that genesis names" in ran.err
    for key in ("consensus", "cosigner", "log"):
        (other / "keys" / f"{key}.key").unlink()
        ran = chainnode("--home", other, "keys", "import", home / "keys" / f"{key}.key")
        assert ran.status == 0
    ran = chainnode("--home", other, "genesis", "check")
    assert ran.status == 1
    assert "the TLS certificate of this home is not the one" in ran.err
    (other / "tls.pem").write_text("x")
    ran = chainnode("--home", other, "genesis", "check")
    assert (ran.status, "is no certificate in PEM" in ran.err) == (2, True)
    config = other / "config.toml"
    config.write_text(config.read_text().replace('"justice-1"', '"justice-9"'))
    ran = chainnode("--home", other, "genesis", "check")
    assert ran.status == 1
    assert "genesis has no validator justice-9; it has " in ran.err


# -- keys ---------------------------------------------------------------------------------------------------


def test_a_key_is_made_listed_shown_exported_and_imported(tmp_path):
    home, other = tmp_path / "a", tmp_path / "b"
    ran = chainnode("--home", home, "--json", "keys", "new", "clerk")
    assert (ran.status, ran.document["purpose"]) == (0, "account")
    assert chainnode("--home", home, "--json", "keys", "show", "clerk").document == ran.document
    listed = chainnode("--home", home, "--json", "keys", "list").document
    assert listed == {"keys": [ran.document]}
    assert "clerk" in chainnode("--home", home, "keys", "list").out
    out = tmp_path / "clerk.key"
    assert chainnode("--home", home, "keys", "export", "clerk", "--out", out).status == 0
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert chainnode("--home", other, "--json", "keys", "import", out).document == ran.document
    again = chainnode("--home", home, "keys", "export", "clerk", "--out", out)
    assert (again.status, "exists and is not overwritten" in again.err) == (2, True)
    again = chainnode("--home", home, "keys", "new", "clerk")
    assert (again.status, "exists and is not overwritten" in again.err) == (2, True)


def test_keys_refuse_what_they_must(tmp_path):
    ran = chainnode("--home", tmp_path, "keys", "show", "nobody")
    assert (ran.status, "there is no key nobody" in ran.err) == (6, True)
    ran = chainnode("--home", tmp_path, "keys", "new", "A B")
    assert (ran.status, "cannot name a key" in ran.err) == (2, True)
    ran = chainnode("--home", tmp_path, "keys", "new", "x", "--purpose", "tls")
    assert ran.status == 2
    (tmp_path / "junk").write_text("junk")
    ran = chainnode("--home", tmp_path, "keys", "import", tmp_path / "junk")
    assert (ran.status, "not a key file" in ran.err) == (2, True)
    ran = chainnode("--home", tmp_path, "keys", "import", tmp_path / "absent")
    assert (ran.status, "cannot read" in ran.err) == (2, True)


def test_a_new_key_is_of_the_suite_of_the_homes_genesis(tmp_path):
    home = tmp_path / "h"
    assert init(home, "police", "--suite", "sm2-sm3", "--account", "police/a:admin").status == 0
    file = home / "police.member.json"
    assert chainnode("--home", home, "genesis", "assemble", *CHAIN, file).status == 0
    ran = chainnode("--home", home, "--json", "keys", "new", "second")
    assert ran.document["suite"] == "sm2-sm3"
    ran = chainnode("--home", home, "--json", "keys", "new", "tsa", "--purpose", "timestamp")
    assert ran.document["suite"] == "sm2-sm3"


def test_a_key_for_timestamps_is_p256_unless_the_home_says_sm2(tmp_path):
    new = ("--home", tmp_path, "--json", "keys", "new")
    ran = chainnode(*new, "tsa", "--suite", "p256-sha256", "--purpose", "timestamp")
    assert (ran.status, ran.document["suite"]) == (0, "p256-sha256")
    ran = chainnode(*new, "root", "--purpose", "authority")
    assert (ran.status, ran.document["suite"]) == (0, "p256-sha256")
    ran = chainnode("--home", tmp_path, "keys", "new", "a", "--suite", "p256-sha256")
    assert ran.status == 2
    assert (
        "found suite p256-sha256 for a key of purpose account; expected ed25519-sha256 or"
        in ran.err
    )
    ran = chainnode("--home", tmp_path, "init", "--suite", "p256-sha256")
    assert (ran.status, "'p256-sha256' is not one of" in ran.err) == (2, True)


# -- check-config, start, rebuild ---------------------------------------------------------------------------


def test_the_effective_configuration_is_shown(homes, tmp_path):
    ran = chainnode("--home", homes / "court", "check-config")
    assert ran.status == 0
    assert "node.validator" in ran.out
    assert "rpc.tls_certificate" in ran.out
    shown = chainnode("--home", homes / "court", "--json", "check-config").document
    assert shown["settings"]["rpc.port"] == 8545
    (tmp_path / "config.toml").write_text("[rpc]\nprot = 1\n")
    ran = chainnode("--home", tmp_path, "check-config")
    assert ran.status == 2
    assert "rpc.prot is not a setting; the nearest known one is rpc.port" in ran.err


def test_a_home_that_is_not_ready_does_not_start(homes, tmp_path):
    ran = chainnode("--home", tmp_path, "start")
    assert ran.status == 2
    assert "make one with `chainnode init`" in ran.err
    ran = chainnode("--home", homes / "court", "start")
    assert ran.status == 2
    assert "put the alliance's genesis there" in ran.err


def test_start_hands_the_nodes_exit_status_on(homes, monkeypatch):
    heard = []

    def run(home, passphrase, profile):
        heard.append((home, passphrase, profile))
        return 70

    monkeypatch.setattr("chainnode.main.run", run)
    assert chainnode("--home", homes / "court", "start").status == 70
    assert heard == [(homes / "court", PASSPHRASE.encode(), None)]


def test_a_profile_that_cannot_be_written_is_refused_before_the_node_starts(homes, tmp_path):
    file = tmp_path / "no" / "folder"
    ran = chainnode("--home", homes / "court", "start", "--profile", file)
    assert ran.status == 2
    assert f"--profile: {file} cannot be written" in ran.err
    assert not file.parent.exists()


def test_a_profile_is_written_when_the_node_ends_and_a_full_disk_then_changes_nothing(
    homes, tmp_path, monkeypatch
):
    async def run_node(*_arguments):
        pass

    monkeypatch.setattr("chainnode.main.run_node", run_node)
    start = ("--home", homes / "court", "start", "--profile")
    assert chainnode(*start, tmp_path / "profile").status == 0
    interval_ms, _parts, _functions, samples = json.loads((tmp_path / "profile").read_text())
    assert (interval_ms, type(samples)) == (INTERVAL_MS, list)
    (tmp_path / "full").symlink_to("/dev/full")
    ran = chainnode(*start, tmp_path / "full")
    assert ran.status == 0
    assert "profile_not_written" in ran.err
    assert not (tmp_path / "full").is_symlink()


def test_rebuild_says_how_far_it_came(homes, monkeypatch):
    def rebuild(home, progress):
        assert home == homes / "court"
        progress(1, 2)
        progress(2, 2)
        return 2

    monkeypatch.setattr("chainnode.main.rebuild", rebuild)
    ran = chainnode("--home", homes / "court", "rebuild")
    assert (ran.status, "rebuilt up to block 2" in ran.out) == (0, True)
    assert chainnode("--home", homes / "court", "--json", "rebuild").document == {"height": 2}
