"""A home's settings: defaults, strictness, and the file that `init` writes."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainnode.config import (
    FILE_NAME,
    MAX_CONFIG_BYTES,
    SETTINGS,
    is_loopback,
    load_client_config,
    load_config,
    parse_settings,
    render,
)
from chainnode.model.errors import ChainError, DecodeError, NotFound, Refused


def write(home, text):
    (home / FILE_NAME).write_text(text)
    return home


def test_a_node_needs_only_its_name(tmp_path):
    config = load_config(write(tmp_path, '[node]\nvalidator = "justice-1"\n'))
    assert (config.validator, config.listen) == ("justice-1", "0.0.0.0:7545")
    assert (config.rpc_host, config.rpc_port) == ("127.0.0.1", 8545)
    assert (config.rpc_tls_certificate, config.rpc_tls_key, config.log_file) == (None, None, None)
    assert (config.verify_workers, config.pool_max_count) == (1, 20_000)
    assert (config.log_level, config.log_format, dict(config.peers)) == ("info", "logfmt", {})


def test_the_file_that_is_rendered_reads_as_the_defaults_with_the_changes():
    changes = {"node.validator": "a-1", "rpc.port": 9_000, "log.file": 'a "b"\\c.log'}
    settings = parse_settings(render(changes))
    for setting in SETTINGS:
        assert settings.values[setting.name] == changes.get(setting.name, setting.default)


def test_every_default_is_acceptable_when_it_is_written_out():
    given = {s.name: s.default for s in SETTINGS}
    assert dict(parse_settings(render(given)).values) == given


def test_paths_are_relative_to_the_home_and_peers_override_genesis(tmp_path):
    config = load_config(
        write(
            tmp_path,
            '[node]\nvalidator = "a-1"\n[rpc]\nhost = "10.0.0.1"\n'
            'tls_certificate = "rpc.pem"\ntls_key = "/etc/rpc.key"\n'
            '[p2p.peers]\nb-1 = "b.example:7545"\n',
        )
    )
    assert config.rpc_tls_certificate == tmp_path / "rpc.pem"
    assert config.rpc_tls_key == Path("/etc/rpc.key")
    assert dict(config.peers) == {"b-1": "b.example:7545"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[rpc]\nprot = 1\n", "rpc.prot is not a setting; the nearest known one is rpc.port"),
        ("[poool]\n", "poool is not a setting; the nearest known one is pool"),
        ("[p2p]\npeer = {}\n", "p2p.peer is not a setting; the nearest known one is p2p.peers"),
        ("rpc = 1\n", "rpc: expected a section [rpc]"),
        ("[rpc]\nport = 0\n", "rpc.port: found 0; expected an integer from 1 to 65535"),
        ("[rpc]\nport = true\n", "rpc.port: found True; expected an integer"),
        ('[rpc]\nport = "1"\n', "rpc.port: found '1'; expected an integer"),
        ("[log]\nlevel = 3\n", "log.level: found 3; expected a string"),
        (
            '[log]\nlevel = "loud"\n',
            "log.level: found 'loud'; expected one of debug, info, warning, error",
        ),
        ('[p2p]\nlisten = "nowhere"\n', "p2p.listen: found 'nowhere'; expected host:port"),
        ("[p2p]\npeers = 1\n", "expected a section [p2p.peers]"),
        ("[p2p.peers]\na = 1\n", "p2p.peers.a: found 1; expected host:port"),
        ('[p2p.peers]\na = "x"\n', "p2p.peers.a: found 'x'; expected host:port"),
        ('[p2p.peers]\nA = "x:1"\n', "p2p.peers: found 'A'"),
        ('[client]\nrpc = "localhost:1"\n', "client.rpc: found 'localhost:1'; expected a URL"),
        ('[client]\nrpc = "http://[x"\n', "client.rpc"),
        ('[client]\naccount = "me"\n', "client.account: found 'me'; expected organisation/account"),
        ('[rpc]\nhost = "a b"\n', "rpc.host: found 'a b:1'"),
        ("[rpc\n", "not TOML"),
        ("a" + ".a" * 30_000 + " = 1", "a line of 60005 characters; expected at most 1024"),
        ("[rpc]\nport = " + "9" * 5_000, "a line of 5007 characters; expected at most 1024"),
    ],
)
def test_a_mistake_in_the_file_is_named(text, message):
    with pytest.raises(DecodeError) as caught:
        parse_settings(text)
    assert message in str(caught.value)


def test_a_mistake_names_the_file_too(tmp_path):
    with pytest.raises(DecodeError, match=r"config\.toml: rpc\.prot is not a setting"):
        load_config(write(tmp_path, "[rpc]\nprot = 1\n"))


def test_a_home_without_the_file_is_no_nodes_home_but_may_be_a_clients(tmp_path):
    with pytest.raises(NotFound, match="name the home with --home"):
        load_config(tmp_path)
    config = load_client_config(tmp_path)
    assert (config.account, config.rpc) == (None, "http://127.0.0.1:8545")


def test_a_clients_home_names_its_account_and_node(tmp_path):
    write(tmp_path, '[client]\naccount = "court/clerk"\nrpc_certificate = "ca.pem"\n')
    config = load_client_config(tmp_path)
    assert (config.account, config.rpc_certificate) == ("court/clerk", tmp_path / "ca.pem")
    with pytest.raises(DecodeError, match=r"node\.validator is missing"):
        load_config(tmp_path)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "node.example"])
def test_rpc_beyond_this_machine_needs_tls(tmp_path, host):
    write(tmp_path, f'[node]\nvalidator = "a"\n[rpc]\nhost = "{host}"\n')
    with pytest.raises(Refused, match="without TLS") as caught:
        load_config(tmp_path)
    assert caught.value.error_code == "rpc_without_tls"


def test_half_a_tls_identity_is_refused(tmp_path):
    write(tmp_path, '[node]\nvalidator = "a"\n[rpc]\ntls_key = "x"\n')
    with pytest.raises(DecodeError, match="found one; expected both or neither"):
        load_config(tmp_path)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_is_recognised(host):
    assert is_loopback(host)


def test_files_that_cannot_be_settings_are_refused(tmp_path):
    (tmp_path / FILE_NAME).write_bytes(b"\xff")
    with pytest.raises(DecodeError, match="not UTF-8"):
        load_config(tmp_path)
    write(tmp_path, "#" * (MAX_CONFIG_BYTES + 1))
    with pytest.raises(DecodeError, match="larger than"):
        load_config(tmp_path)
    (tmp_path / FILE_NAME).unlink()
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(ChainError, match="cannot read"):
        load_config(tmp_path)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text):
    try:
        settings = parse_settings(text)
    except DecodeError:
        return
    assert set(settings.values) == {s.name for s in SETTINGS}


def test_a_witness_needs_a_name_and_a_node_need_not_be_one(tmp_path):
    node = '[node]\nvalidator = "a-1"\n'
    assert load_config(write(tmp_path, node)).witness is None
    with pytest.raises(DecodeError, match=r"witness\.name is missing"):
        load_config(write(tmp_path, node + '[witness]\nkey = "w"\n'))
    with pytest.raises(DecodeError, match=r"witness\.name: key name: found"):
        load_config(write(tmp_path, node + '[witness]\nkey = "w"\nname = "a b"\n'))
    config = load_config(write(tmp_path, node + '[witness]\nkey = "w"\nname = "w.example/1"\n'))
    assert config.witness is not None
    assert (config.witness.key, config.witness.name) == ("w", "w.example/1")
    assert config.witness.logs == tmp_path / "witnessed"
