"""A network whose validators live in network namespaces of their own, joined by a switch in another one: real TCP that loses
packets, which nothing but the kernel's packet filter stands between.

    chainnode-PID-v1  eth0 10.77.0.1 --+
    chainnode-PID-v2  eth0 10.77.0.2 --+-- chainnode-PID-switch: a bridge
    ...

Nothing is changed in the namespace that the tests run in. Root only; Debian packages iproute2 and nftables.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from chainnode import config
from devnet.network import Devnet
from tests.support.missing import missing

PREFIX = "chainnode-"
SUBNET = "10.77.0"
DEVICE = "eth0"
TABLE = "faults"
_CLONE_NEWNET = 0x4000_0000
_NAMESPACES = Path("/run/netns")


def require_namespaces():
    """Skip the test, or fail it under CI=true, unless this machine can do all that this module needs."""
    if os.geteuid() != 0:
        _missing("root, to make network namespaces")
    for tool, package in (("ip", "iproute2"), ("nft", "nftables")):
        if shutil.which(tool) is None:
            _missing(f"{tool} (Debian package {package})")
    probe = f"{PREFIX}{os.getpid()}-probe"
    try:
        _run("ip", "netns", "add", probe)
        _run("ip", "netns", "exec", probe, "nft", "add", "table", "inet", TABLE)
    except subprocess.CalledProcessError as error:
        _missing(f"a kernel with network namespaces and nftables: {error.stderr.strip()}")
    finally:
        _remove(probe)


class SeparatedNetwork(Devnet):
    """Validators that reach each other through the switch alone; their RPC listeners are on their own loopbacks."""

    def namespace(self, name):
        """The namespace of a validator."""
        return f"{PREFIX}{os.getpid()}-{name}"

    def address(self, name):
        """The validator's address on the switch."""
        return f"{SUBNET}.{name.removeprefix('v')}"

    def ask(self, name, question):
        """Put a question from within the validator's namespace: a thread enters it, and opens its sockets there."""

        def work():
            _enter(self.namespace(name))
            return super(SeparatedNetwork, self).ask(name, question)

        with ThreadPoolExecutor(max_workers=1) as thread:
            return thread.submit(work).result()

    def _start(self, node, **options):
        ip = shutil.which("ip")
        prefix = (ip, "netns", "exec", self.namespace(node.name))
        super()._start(node, **{**options, "prefix": prefix})

    # -- faults of the network ---------------------------------------------------------------------------------

    def filter(self, name, *rules):
        """Have the kernel apply exactly these rules at a validator: each `in ...` or `out ...`, in nft's words."""
        lines = [f"table inet {TABLE}", f"delete table inet {TABLE}", f"table inet {TABLE} {{"]
        for chain, hook in (("in", "input"), ("out", "output")):
            lines.append(f"chain {chain} {{ type filter hook {hook} priority 0; policy accept;")
            # Its own loopback, and RPC with it, is left alone.
            lines += [
                f'meta {chain[0]}ifname "{DEVICE}" {rule.removeprefix(chain)}'
                for rule in rules
                if rule.split()[0] == chain
            ]
            lines.append("}")
        lines.append("}")
        self._inside(name, "nft", "-f", "-", stdin="\n".join(lines) + "\n")

    def split(self, *groups):
        """Let only the members of one group reach each other."""
        for group in groups:
            others = [self.address(n.name) for n in self.nodes if n.name not in group]
            for name in group:
                self.filter(name, *(f"in ip saddr {address} drop" for address in others))

    def disturb(self, name):
        """Make a validator's line slow and lossy, both ways; return how, in words.

        With netem: 40 ms more each way and every twentieth packet lost. Kernels without it lose every twentieth that
        comes in by the packet filter, and let out no more than 1 Mbit a second, with a queue that overflows.
        """
        try:
            self._inside(
                name,
                *("tc", "qdisc", "replace", "dev", DEVICE, "root", "netem"),
                *("delay", "40ms", "10ms", "loss", "5%"),
            )
        except subprocess.CalledProcessError:
            self.filter(name, "in numgen random mod 100 < 5 counter drop")
            self._inside(
                name,
                *("tc", "qdisc", "replace", "dev", DEVICE, "root", "tbf"),
                *("rate", "1mbit", "burst", "10kb", "latency", "200ms"),
            )
            return "this kernel has no netem: 5 % loss by nftables, 1 Mbit/s by tbf"
        return "40 ms delay and 5 % loss by netem"

    def lost(self, name):
        """How many packets its disturbed line has lost."""
        netem = self._inside(name, "tc", "-s", "qdisc", "show", "dev", DEVICE)
        rules = self._inside(name, "nft", "list", "table", "inet", TABLE)
        counts = re.findall(r"dropped (\d+)", netem) + re.findall(r"counter packets (\d+)", rules)
        return sum(map(int, counts))

    def mend(self):
        """Undo every fault of the network."""
        for node in self.nodes:
            self.filter(node.name)
            # There is none if nothing was disturbed.
            remove = ("tc", "qdisc", "del", "dev", DEVICE, "root")
            self._inside(node.name, *remove, is_checked=False)

    def _inside(self, name, *command, stdin="", is_checked=True):
        inside = ("ip", "netns", "exec", self.namespace(name))
        return _run(*inside, *command, stdin=stdin, is_checked=is_checked)


@contextmanager
def separated(directory, *, validators=4):
    """Yield a network in namespaces, not started; in the end nothing of it is left but its folder."""
    require_namespaces()
    _remove_stale()
    network = SeparatedNetwork.create(directory, validators=validators, can_cut=False)
    try:
        _connect(network)
        for node in network.nodes:
            _readdress(network, node)
        with network:
            yield network
    finally:
        for name in ("switch", *(node.name for node in network.nodes)):
            _remove(network.namespace(name))


def left_over():
    """Namespaces that this process has made and not removed."""
    if not _NAMESPACES.exists():
        return []
    return [p.name for p in _NAMESPACES.iterdir() if p.name.startswith(f"{PREFIX}{os.getpid()}-")]


def _missing(what):
    missing(what, so="no packet was lost")


def _connect(network):
    switch = network.namespace("switch")
    _run("ip", "netns", "add", switch)
    _run("ip", "-n", switch, "link", "add", "switch", "type", "bridge")
    _run("ip", "-n", switch, "link", "set", "switch", "up")
    for node in network.nodes:
        own = network.namespace(node.name)
        _run("ip", "netns", "add", own)
        _run("ip", "-n", own, "link", "set", "lo", "up")
        ends = ("type", "veth", "peer", "name", DEVICE, "netns", own)
        _run("ip", "-n", switch, "link", "add", node.name, *ends)
        _run("ip", "-n", switch, "link", "set", node.name, "master", "switch", "up")
        _run("ip", "-n", own, "addr", "add", f"{network.address(node.name)}/24", "dev", DEVICE)
        _run("ip", "-n", own, "link", "set", DEVICE, "up")


def _readdress(network, node):
    """Have a validator listen on the switch and find the others there."""
    path = node.home / config.FILE_NAME
    text, found = re.subn(
        r'(?m)^listen = ".*"$',
        f'listen = "{network.address(node.name)}:{node.peer_port}"',
        path.read_text(encoding="utf-8"),
    )
    assert found == 1
    heading = "[p2p.peers]\n"
    assert heading in text
    peers = "".join(
        f'{other.name} = "{network.address(other.name)}:{other.peer_port}"\n'
        for other in network.nodes
        if other.name != node.name
    )
    path.write_text(text.replace(heading, heading + peers), encoding="utf-8")


def _enter(namespace):
    """Move the calling thread, and no other, into a namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    with (_NAMESPACES / namespace).open("rb") as file:
        if libc.setns(file.fileno(), _CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


def _remove(namespace):
    """Remove a namespace, and with it all that is in it; whether it is there or not."""
    _run("ip", "netns", "del", namespace, is_checked=False)


def _remove_stale():
    """Remove the namespaces of test runs that were killed."""
    if not _NAMESPACES.exists():
        return
    for path in _NAMESPACES.iterdir():
        found = re.fullmatch(rf"{PREFIX}(\d+)-\w+", path.name)
        if found and not Path(f"/proc/{found[1]}").exists():
            _remove(path.name)


def _run(*command, stdin="", is_checked=True):
    done = subprocess.run(
        command, input=stdin, capture_output=True, text=True, timeout=30, check=is_checked
    )
    return done.stdout
