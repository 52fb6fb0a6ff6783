"""What a real validator does not do: share its home, speak in the clear to others, talk to strangers."""

import signal
import socket
import ssl

import pytest

from chainnode.keystore.tls import TlsFiles, create_tls_identity
from devnet import homes, processes
from devnet.ports import LOOPBACK
from tests.support.network import PATIENCE_S, chainnode, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("network")]


def set_rpc_host(home, host):
    config = home / "config.toml"
    text = config.read_text()
    assert '# host = "127.0.0.1"' in text
    config.write_text(text.replace('# host = "127.0.0.1"', f'host = "{host}"'))


def call_peers(network, name, identity=None, passphrase=b"stranger"):
    """Call a validator's listener for peers; return the first byte of its answer, b"" if it hangs up."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if identity is not None:
        context.load_cert_chain(identity.certificate, identity.key, password=passphrase)
    address = (LOOPBACK, network.node(name).peer_port)
    try:
        with (
            socket.create_connection(address, PATIENCE_S) as plain,
            context.wrap_socket(plain) as secured,
        ):
            # In TLS 1.3 the verdict on our certificate comes after the handshake is done for us.
            secured.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            return secured.recv(1)
    except (ssl.SSLError, ConnectionError):
        return b""


def test_second_process_on_one_home_refuses_to_start(network):
    home = network.node("v1").home
    second = chainnode(home, "start", has_keys=True)
    assert second.returncode != 0
    assert str(home) in second.stderr
    assert "Traceback" not in second.stderr
    assert network.why_not_ready("v1") is None


def test_rpc_beyond_loopback_without_tls_refuses_to_start(network):
    network.terminate("v4")
    home = network.node("v4").home
    before = (home / "config.toml").read_text()
    set_rpc_host(home, "0.0.0.0")
    try:
        refused = chainnode(home, "start", has_keys=True)
    finally:
        (home / "config.toml").write_text(before)
    assert refused.returncode == 2
    assert "TLS" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_member_is_answered_where_strangers_are_not(network, tmp_path):
    home = network.node("v1").home
    member = TlsFiles(certificate=home / "tls.pem", key=home / "tls.key")
    passphrase = (network.directory / homes.PASSPHRASE).read_bytes()
    assert call_peers(network, "v2", member, passphrase) == b"H"

    assert call_peers(network, "v2") == b""

    foreign = TlsFiles(certificate=tmp_path / "tls.pem", key=tmp_path / "tls.key")
    # The same name as a member's does not help.
    create_tls_identity(foreign, "v1", b"stranger", now_ms=1_790_000_000_000)
    assert call_peers(network, "v2", foreign) == b""
    assert network.why_not_ready("v2") is None


def test_workers_do_not_outlive_a_killed_validator(network):
    workers = processes.descendants(network.node("v3").process)
    assert workers
    network.kill("v3")
    for worker in workers:
        wait_until(lambda w=worker: not processes.is_running(w), "the worker ends")


def test_broken_home_is_refused_in_one_line(network, tmp_path):
    home = network.node("v4").home
    network.terminate("v4")
    genesis = home / "genesis"
    whole = genesis.read_bytes()
    genesis.write_bytes(whole[:-1])
    try:
        refused = chainnode(home, "start", has_keys=True)
    finally:
        genesis.write_bytes(whole)
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: ")
    assert refused.stderr.count("\n") == 1


def test_validator_asked_to_stop_by_sigint_ends_with_status_0(network):
    process = network.node("v2").process
    processes.send(process, signal.SIGINT)
    wait_until(lambda: not processes.is_running(process), "v2 ends")
    assert "asked to stop" in network.last_words("v2")
