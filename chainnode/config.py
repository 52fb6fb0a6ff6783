"""A home's `config.toml`: every setting with its default, unit and reason, strictly read.

What all nodes must agree on is in genesis; what may differ from node to node is here. A file that names a setting
which does not exist is refused, since a mistyped limit would otherwise be the default without anybody knowing.

    home = a node's    [node] [p2p] [p2p.peers] [rpc] [timestamp] [gateway] [ots] [verify] [pool] [time] [log]
                       [witness] [outside] and, for its operator, [client]
    home = a client's  [client] only

`SETTINGS` is the only list of them: reading, `chainnode check-config` and the file that `chainnode init` writes all
follow it.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import urlsplit

from chainnode.logs import FORMATS, Level
from chainnode.model import note
from chainnode.model.errors import ChainError, DecodeError, NotFound, Refused
from chainnode.model.genesis import MAX_ADDRESS_BYTES, check_address
from chainnode.model.ids import check_account_name, check_name
from chainnode.model.ots import is_calendar_uri

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

FILE_NAME: Final = "config.toml"

MAX_CONFIG_BYTES: Final = 64 * 1024
"""A file with every setting, comments and 100 peers takes about 12 KiB."""

MAX_LINE_CHARACTERS: Final = 1_024
"""Of one line. A longer one could be a name of thousands of dotted parts, for which the TOML reader takes gigabytes, or a
number of thousands of digits, which Python refuses in another way than bad TOML."""

MAX_TIME_SOURCES: Final = 8
"""A clock steered by more than a few sources is steered by nobody in particular."""

DEFAULT_RPC_PORT: Final = 8545
DEFAULT_RPC_URL: Final = f"http://127.0.0.1:{DEFAULT_RPC_PORT}"

EXAMPLE_POLICY: Final = "2.999.3161.1"
"""Timestamp policy of the arc that X.660 sets aside for examples."""

TIMESTAMP_KEY: Final = "timestamp"
TIMESTAMP_KEY_SM2: Final = "timestamp-sm2"
"""Keys of a node's timestamp units, as `chainnode init` makes them."""

MAX_OID_CHARACTERS: Final = 64
_OID: Final = re.compile(
    r"([01]\.([0-9]|[1-3][0-9])|2\.(0|[1-9][0-9]{0,8}))(\.(0|[1-9][0-9]{0,8}))*"
)
"""Arcs of at most nine digits: software that keeps them in 31 bits reads no others."""

_MIB: Final = 1024 * 1024
Value: TypeAlias = str | int


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessConfig:
    """How this node witnesses other logs."""

    key: str
    """Name of a key of the home."""

    name: str
    """Key name of the cosignatures."""

    logs: Path
    """Folder with a policy for each log or group of logs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutsideConfig:
    """How outside witnesses are asked to cosign this chain's log."""

    policy: Path
    """Policy with their keys and URLs, and how many of them must have cosigned."""

    interval_ms: int
    """Between two rounds of asking."""

    certificate: Path | None
    """PEM; what to trust for https URLs. None for the system's roots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig:
    """The settings of one node; paths are absolute."""

    home: Path
    validator: str
    """This node's name in genesis."""

    account: str | None
    """Account that the node itself signs for, or None."""

    second_key: str | None
    """Name of the ML-DSA-44 key that cosigns beside the validator's; None: there is none."""

    listen: str
    """`host:port` where peers are accepted."""

    peers: Mapping[str, str]
    """Addresses (`host:port`) by validator name that replace those in genesis."""

    rpc_host: str
    rpc_port: int
    """1 to 65535."""

    rpc_tls_certificate: Path | None
    """PEM; both or neither of these two."""

    rpc_tls_key: Path | None
    timestamp_policy: str
    """Object identifier, dotted."""

    timestamp_key: str
    """Name of the key of the P-256 timestamp unit; its certificate lies in `NAME.pem`."""

    timestamp_key_sm2: str
    """Likewise of the SM2 unit, which only chains of the suite sm2-sm3 have."""

    gateway_tokens: Path | None
    """Tokens of the systems that the gateway serves; None: there is no gateway."""

    gateway_webhooks: Path | None
    """Targets that the gateway may tell of decisions; None: it tells nobody."""

    ots_calendar: str | None
    """Public URL of this node's OpenTimestamps calendar; None: there is none."""

    verify_workers: int
    """Processes that verify transactions' signatures; 0 verifies in the node's own."""

    pool_max_count: int
    pool_max_bytes: int
    time_sources: tuple[str, ...]
    """Where this machine's clock has its time from, as the operator declares."""

    time_check: str | None
    """`host:port` of an SNTP server to measure the clock against, or None."""

    time_check_every_s: int
    log_level: str
    """Lower-case name of a `chainnode.logs.Level`."""

    log_format: str
    """One of `chainnode.logs.FORMATS`."""

    log_file: Path | None
    """None for standard error."""

    witness: WitnessConfig | None
    """None if no other logs are witnessed."""

    outside: OutsideConfig | None
    """None if nobody outside is asked to witness this node's log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConfig:
    """Whom commands speak for, and to which node."""

    home: Path
    account: str | None
    """Account that signs when `--as` names none."""

    passphrase_file: Path | None
    """Passphrase of the home's keys, for commands that run unattended. None: the environment, or a person."""

    rpc: str
    """URL of the node's RPC listener."""

    rpc_certificate: Path | None
    """PEM; the certificate or authority to trust for an https URL. None for the system's roots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One line of the file."""

    section: str
    key: str
    default: Value
    """Also fixes the type; an empty string stands for none."""

    comment: str
    """What it is, in which unit, why one would change it."""

    least: int = 0
    most: int = 2**63 - 1
    check: Callable[[str, str], None] | None = None
    """For strings: raises DecodeError; takes the value and the setting's name."""

    is_required: bool = False

    @property
    def name(self) -> str:
        """`section.key`."""
        return f"{self.section}.{self.key}"


def _check_choice(*choices: str) -> Callable[[str, str], None]:
    def check(value: str, what: str) -> None:
        if value not in choices:
            raise DecodeError(
                f"{what}: found {value!r}; expected one of {', '.join(choices)}", field=what
            )

    return check


def _check_host(value: str, what: str) -> None:
    check_address(f"[{value}]:1" if ":" in value else f"{value}:1", what)


def _check_key_name(value: str, what: str) -> None:
    try:
        note.check_key_name(value)
    except DecodeError as error:
        raise DecodeError(f"{what}: {error.message}", field=what) from error


def _check_url(value: str, what: str) -> None:
    try:
        parts = urlsplit(value)
        is_url = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url:
        raise DecodeError(
            f"{what}: found {value[:80]!r}; expected a URL like {DEFAULT_RPC_URL}", field=what
        )


def _check_calendar(value: str, what: str) -> None:
    _check_url(value, what)
    if not is_calendar_uri(value):
        raise DecodeError(
            f"{what}: found {value[:80]!r}; expected a URL of letters, digits and -._/: that ends in /, as "
            "OpenTimestamps clients take no other",
            field=what,
        )


def _check_oid(value: str, what: str) -> None:
    if len(value) > MAX_OID_CHARACTERS or _OID.fullmatch(value) is None:
        raise DecodeError(
            f"{what}: found {value[:80]!r}; expected an object identifier like {EXAMPLE_POLICY}",
            field=what,
        )


def _check_sources(value: str, what: str) -> None:
    names = _split(value)
    if len(names) > MAX_TIME_SOURCES or not all(
        name.isprintable() and len(name.encode()) <= MAX_ADDRESS_BYTES for name in names
    ):
        raise DecodeError(
            f"{what}: found {value[:80]!r}; expected at most {MAX_TIME_SOURCES} names of up to {MAX_ADDRESS_BYTES} bytes, separated by commas",
            field=what,
        )


def _split(value: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in value.split(",") if name.strip())


SETTINGS: Final = (
    Setting(
        section="node",
        key="validator",
        default="",
        is_required=True,
        check=check_name,
        comment="This node's name in genesis.",
    ),
    Setting(
        section="node",
        key="account",
        default="",
        check=check_account_name,
        comment=(
            "organisation/account that the node itself signs for, with a key of this home: for timestamps it takes\n"
            "the role timestamper, for the gateway and the calendar notary. Empty: the node offers none of them."
        ),
    ),
    Setting(
        section="node",
        key="second_key",
        default="",
        comment=(
            "Key of this home (`chainnode keys new NAME --purpose cosigner --suite ml-dsa-44`) with which checkpoints are\n"
            "cosigned a second time, against quantum computers to come; empty: once only. Needs node.account, which\n"
            "registers it on the chain."
        ),
    ),
    Setting(
        section="p2p",
        key="listen",
        default="0.0.0.0:7545",
        check=check_address,
        comment="host:port where the other validators connect to.",
    ),
    Setting(
        section="rpc",
        key="host",
        default="127.0.0.1",
        check=_check_host,
        comment="Address of the RPC listener. Anything but loopback needs the two TLS files below.",
    ),
    Setting(
        section="rpc",
        key="port",
        default=DEFAULT_RPC_PORT,
        least=1,
        most=65_535,
        comment="TCP port of the RPC listener.",
    ),
    Setting(
        section="rpc",
        key="tls_certificate",
        default="",
        comment="PEM file with the certificate chain that RPC clients see; relative to this folder.",
    ),
    Setting(
        section="rpc",
        key="tls_key",
        default="",
        comment="PEM file with its private key, not encrypted, mode 0600.",
    ),
    Setting(
        section="timestamp",
        key="policy",
        default=EXAMPLE_POLICY,
        check=_check_oid,
        comment=(
            "Object identifier of the policy under which this node's timestamp tokens are issued. The default is of\n"
            "the arc for examples: an alliance whose tokens leave it names its own, under which it publishes the policy."
        ),
    ),
    Setting(
        section="timestamp",
        key="key",
        default=TIMESTAMP_KEY,
        comment=(
            "Key of this home (`chainnode keys new NAME --purpose timestamp --suite p256-sha256`) that signs timestamp\n"
            "tokens; NAME.pem has its certificate, which `chainnode ca install --key NAME` puts there."
        ),
    ),
    Setting(
        section="timestamp",
        key="key_sm2",
        default=TIMESTAMP_KEY_SM2,
        comment="The same for SM2 tokens (--suite sm2-sm3), which only chains of the suite sm2-sm3 have.",
    ),
    Setting(
        section="gateway",
        key="tokens",
        default="",
        comment=(
            "File with the tokens of systems that may submit digests over /v1/ for node.account to sign, as\n"
            "`chainnode gateway token new` makes it; relative to this folder. Empty: there is no gateway."
        ),
    ),
    Setting(
        section="gateway",
        key="webhooks",
        default="",
        comment=(
            "File (mode 0600) with the targets that may be told of decisions, by name, and the secrets that sign for them;\n"
            "read when the node starts; relative to this folder. Empty: nobody is told."
        ),
    ),
    Setting(
        section="ots",
        key="calendar",
        default="",
        check=_check_calendar,
        comment=(
            "Public URL of this node's OpenTimestamps calendar, as in https://node.example/ots/; written into every proof,\n"
            "so it should last for years. Roots are notarized by node.account. Empty: there is no calendar."
        ),
    ),
    Setting(
        section="verify",
        key="workers",
        default=1,
        most=64,
        comment=(
            "Processes that verify transactions' signatures; about 20,000 a second each.\n"
            "0 verifies in the node's own process: enough for a few hundred a second."
        ),
    ),
    Setting(
        section="pool",
        key="max_count",
        default=20_000,
        least=100,
        most=1_000_000,
        comment="Transactions that may wait; then clients are told to come back later.",
    ),
    Setting(
        section="pool",
        key="max_bytes",
        default=64 * _MIB,
        least=_MIB,
        most=4_096 * _MIB,
        comment="Bytes of all waiting transactions together.",
    ),
    Setting(
        section="time",
        key="sources",
        default="",
        check=_check_sources,
        comment=(
            "Where this machine's clock has its time from, separated by commas: ntp.example, GNSS receiver.\n"
            "Declared, not used: the operating system sets the clock."
        ),
    ),
    Setting(
        section="time",
        key="check",
        default="",
        check=check_address,
        comment=(
            "host:port of an SNTP server that the clock is measured against; best one that no other agency has its\n"
            "time from. If it is farther off than the chain allows, this node proposes no block. Empty for none."
        ),
    ),
    Setting(
        section="time",
        key="check_every_s",
        default=64,
        least=16,
        most=300,
        comment="Seconds between two questions to it.",
    ),
    Setting(
        section="log",
        key="level",
        default="info",
        check=_check_choice(*(level.name.lower() for level in Level)),
        comment="debug, info, warning or error.",
    ),
    Setting(
        section="log",
        key="format",
        default="logfmt",
        check=_check_choice(*FORMATS),
        comment="logfmt for people and grep, json for collectors.",
    ),
    Setting(
        section="log",
        key="file",
        default="",
        comment="File to append to; empty for standard error. Rotate it with copytruncate.",
    ),
    Setting(
        section="witness",
        key="key",
        default="",
        comment=(
            "Key of this home (`chainnode keys new NAME --purpose witness`) with which other logs are witnessed;\n"
            "empty: none are."
        ),
    ),
    Setting(
        section="witness",
        key="name",
        default="",
        check=_check_key_name,
        comment="Name of the cosignatures: a URL without scheme, as in witness.justice.example/w1.",
    ),
    Setting(
        section="witness",
        key="logs",
        default="witnessed",
        comment=(
            "Folder with a tlog-policy for each log that is witnessed, NAME.policy, read at start; relative to\n"
            "this folder. Of another chain: the policy that `chainnode policy` writes there."
        ),
    ),
    Setting(
        section="outside",
        key="policy",
        default="",
        comment=(
            "tlog-policy with the outside witnesses that are asked to cosign this chain's log, a line\n"
            "`witness NAME VKEY URL` each, and their quorum; relative to this folder. Empty: nobody is asked."
        ),
    ),
    Setting(
        section="outside",
        key="interval_ms",
        default=1_000,
        least=200,
        most=86_400_000,
        comment="Milliseconds between two rounds of asking them.",
    ),
    Setting(
        section="outside",
        key="certificate",
        default="",
        comment="PEM file to trust for their https URLs instead of the system's roots.",
    ),
    Setting(
        section="client",
        key="account",
        default="",
        check=check_account_name,
        comment="organisation/account that commands act for when --as names none.",
    ),
    Setting(
        section="client",
        key="passphrase_file",
        default="",
        comment=(
            "File (mode 0600) with the keys' passphrase, so that commands run unattended; relative to this\n"
            "folder. --passphrase-file and CHAINNODE_PASSPHRASE come first."
        ),
    ),
    Setting(
        section="client",
        key="rpc",
        default=DEFAULT_RPC_URL,
        check=_check_url,
        comment="URL of the node that commands talk to when --rpc names none.",
    ),
    Setting(
        section="client",
        key="rpc_certificate",
        default="",
        comment="PEM file to trust for an https URL instead of the system's roots.",
    ),
)
"""Every setting but the table [p2p.peers], in the order of the file."""

PEERS_COMMENT: Final = 'Addresses that replace those in genesis, one line each: name = "host:port".'

_SECTIONS: Final = (
    "node", "p2p", "rpc", "timestamp", "gateway", "ots", "verify", "pool", "time", "log", "witness",
    "outside", "client",
)  # fmt: skip
_PEERS: Final = "peers"


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a home as read: what the file says, else the defaults."""

    values: Mapping[str, Value]
    """By `section.key`."""

    peers: Mapping[str, str]

    def text(self, name: str) -> str:
        """Return the string of that name."""
        return str(self.values[name])

    def number(self, name: str) -> int:
        """Return the integer of that name."""
        return int(self.values[name])

    def path(self, home: Path, name: str) -> Path | None:
        """Return the path of that name, relative ones within `home`; None if it is empty."""
        text = self.text(name)
        return home / text if text else None


def load_config(home: Path) -> NodeConfig:
    """Return the settings of the node in `home`.

    Raises:
        NotFound: there is no `config.toml`.
        DecodeError: it is no TOML, or names an unknown setting, or a value is out of range.
        Refused: with code `rpc_without_tls` if RPC would leave this machine in the clear.
        ChainError: with code `file_error` if it cannot be read.
    """
    home = home.absolute()
    settings = _read(home)
    for setting in SETTINGS:
        if setting.is_required and not settings.values[setting.name]:
            raise DecodeError(
                f"{home / FILE_NAME}: {setting.name} is missing: {setting.comment}",
                field=setting.name,
            )
    config = NodeConfig(
        home=home,
        validator=settings.text("node.validator"),
        account=settings.text("node.account") or None,
        second_key=settings.text("node.second_key") or None,
        listen=settings.text("p2p.listen"),
        peers=settings.peers,
        rpc_host=settings.text("rpc.host"),
        rpc_port=settings.number("rpc.port"),
        rpc_tls_certificate=settings.path(home, "rpc.tls_certificate"),
        rpc_tls_key=settings.path(home, "rpc.tls_key"),
        timestamp_policy=settings.text("timestamp.policy"),
        timestamp_key=settings.text("timestamp.key") or TIMESTAMP_KEY,
        timestamp_key_sm2=settings.text("timestamp.key_sm2") or TIMESTAMP_KEY_SM2,
        gateway_tokens=settings.path(home, "gateway.tokens"),
        gateway_webhooks=settings.path(home, "gateway.webhooks"),
        ots_calendar=settings.text("ots.calendar") or None,
        verify_workers=settings.number("verify.workers"),
        pool_max_count=settings.number("pool.max_count"),
        pool_max_bytes=settings.number("pool.max_bytes"),
        time_sources=_split(settings.text("time.sources")),
        time_check=settings.text("time.check") or None,
        time_check_every_s=settings.number("time.check_every_s"),
        log_level=settings.text("log.level"),
        log_format=settings.text("log.format"),
        log_file=settings.path(home, "log.file"),
        witness=_witness(settings, home),
        outside=_outside(settings, home),
    )
    _check_rpc(config)
    if config.gateway_tokens is not None and config.account is None:
        raise DecodeError(
            "gateway.tokens: found a file, and no node.account; expected the account that signs for the gateway",
            field="node.account",
        )
    if config.second_key is not None and config.account is None:
        raise DecodeError(
            "node.second_key: found a key, and no node.account; expected the account that registers it on the chain",
            field="node.account",
        )
    if config.ots_calendar is not None and config.account is None:
        raise DecodeError(
            "ots.calendar: found a URL, and no node.account; expected the account that notarizes for the calendar",
            field="node.account",
        )
    return config


def load_witness_config(home: Path) -> WitnessConfig | None:
    """Return how the node in `home` witnesses other logs, or None. Raises as `load_config`."""
    home = home.absolute()
    return _witness(_read(home), home)


def load_client_config(home: Path) -> ClientConfig:
    """Return whom commands in `home` act for; the defaults if there is no file. Raises as `load_config`."""
    home = home.absolute()
    try:
        settings = _read(home)
    except NotFound:
        settings = parse_settings("")
    return ClientConfig(
        home=home,
        account=settings.text("client.account") or None,
        passphrase_file=settings.path(home, "client.passphrase_file"),
        rpc=settings.text("client.rpc"),
        rpc_certificate=settings.path(home, "client.rpc_certificate"),
    )


def load_settings(home: Path) -> Settings:
    """Return every setting of `home` by name, for people to look at. Raises as `load_config`."""
    return _read(home)


def parse_settings(text: str) -> Settings:
    """Read the text of a `config.toml`.

    Raises:
        DecodeError: not TOML, an unknown section or setting (with the nearest known one), or a value of
            another type or out of range.
    """
    longest = max(map(len, text.splitlines()), default=0)
    if longest > MAX_LINE_CHARACTERS:
        raise DecodeError(
            f"a line of {longest} characters; expected at most {MAX_LINE_CHARACTERS}",
            code="bad_config",
        )
    try:
        tables = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise DecodeError(f"not TOML: {error}", code="bad_config") from error
    known = {setting.name: setting for setting in SETTINGS}
    values: dict[str, Value] = {name: setting.default for name, setting in known.items()}
    peers: dict[str, str] = {}
    for section, table in tables.items():
        _check_known(section, _SECTIONS)
        if not isinstance(table, dict):
            raise DecodeError(f"{section}: expected a section [{section}]", field=section)
        keys = [s.key for s in SETTINGS if s.section == section]
        for key, value in table.items():
            if (section, key) == ("p2p", _PEERS):
                peers = _parse_peers(value)
                continue
            choices = [*keys, _PEERS] if section == "p2p" else keys
            _check_known(f"{section}.{key}", [f"{section}.{c}" for c in choices])
            values[f"{section}.{key}"] = _parse_value(known[f"{section}.{key}"], value)
    return Settings(values, peers)


def render(changes: Mapping[str, Value], *, sections: tuple[str, ...] = _SECTIONS) -> str:
    """Return the text of a `config.toml` with every setting of `sections`, its default and its reason.

    Args:
        changes: Values that differ from the defaults, by `section.key`; written as they are, the others as
            comments, so that a later version's better default takes effect.
        sections: Which sections to write.
    """
    lines = ["# Settings of this home. `chainnode check-config` shows what is in force."]
    for section in sections:
        lines += ["", f"[{section}]"]
        for setting in SETTINGS:
            if setting.section == section:
                lines += ["", *(f"# {line}" for line in setting.comment.splitlines())]
                given = changes.get(setting.name)
                value = setting.default if given is None else given
                lines.append(f"{'# ' if given is None else ''}{setting.key} = {_toml(value)}")
        if section == "p2p":
            lines += ["", "[p2p.peers]", f"# {PEERS_COMMENT}"]
    return "\n".join(lines) + "\n"


def is_loopback(host: str) -> bool:
    """Whether nothing outside this machine can reach a listener on `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _read(home: Path) -> Settings:
    path = home / FILE_NAME
    try:
        with path.open("rb") as file:
            data = file.read(MAX_CONFIG_BYTES + 1)
    except FileNotFoundError as error:
        raise NotFound(
            f"there is no {path}; name the home with --home, or make one with `chainnode init`",
            code="no_config",
        ) from error
    except OSError as error:
        raise ChainError(f"cannot read {path}: {error.strerror}", code="file_error") from error
    if len(data) > MAX_CONFIG_BYTES:
        raise DecodeError(f"{path}: larger than {MAX_CONFIG_BYTES} bytes", code="too_large")
    try:
        return parse_settings(data.decode())
    except UnicodeDecodeError as error:
        raise DecodeError(f"{path}: not UTF-8", code="bad_config") from error
    except DecodeError as error:
        raise DecodeError(
            f"{path}: {error.message}", code=error.error_code, field=error.field
        ) from error


def _check_known(name: str, known: list[str] | tuple[str, ...]) -> None:
    if name in known:
        return
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
    raise DecodeError(
        f"{name} is not a setting; the nearest known one is {nearest[0]}",
        code="unknown_setting",
        field=name,
    )


def _parse_value(setting: Setting, value: object) -> Value:
    if isinstance(setting.default, str):
        if not isinstance(value, str):
            raise DecodeError(
                f"{setting.name}: found {value!r}; expected a string", field=setting.name
            )
        if value and setting.check is not None:
            setting.check(value, setting.name)
        return value
    # A boolean is an int to Python, but `port = true` is a mistake.
    if type(value) is not int or not setting.least <= value <= setting.most:
        raise DecodeError(
            f"{setting.name}: found {value!r}; expected an integer from {setting.least} to {setting.most}",
            field=setting.name,
        )
    return value


def _parse_peers(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise DecodeError("p2p.peers: expected a section [p2p.peers]", field="p2p.peers")
    peers: dict[str, str] = {}
    for name, address in value.items():
        check_name(name, "p2p.peers")
        if not isinstance(address, str):
            raise DecodeError(
                f"p2p.peers.{name}: found {address!r}; expected host:port", field="p2p.peers"
            )
        check_address(address, f"p2p.peers.{name}")
        peers[name] = address
    return peers


def _witness(settings: Settings, home: Path) -> WitnessConfig | None:
    key, name = settings.text("witness.key"), settings.text("witness.name")
    if not key:
        return None
    if not name:
        raise DecodeError(
            "witness.name is missing: a node that witnesses needs a name for its cosignatures",
            field="witness.name",
        )
    return WitnessConfig(key=key, name=name, logs=home / settings.text("witness.logs"))


def _outside(settings: Settings, home: Path) -> OutsideConfig | None:
    policy = settings.path(home, "outside.policy")
    if policy is None:
        return None
    return OutsideConfig(
        policy=policy,
        interval_ms=settings.number("outside.interval_ms"),
        certificate=settings.path(home, "outside.certificate"),
    )


def _check_rpc(config: NodeConfig) -> None:
    has_certificate, has_key = (
        config.rpc_tls_certificate is not None,
        config.rpc_tls_key is not None,
    )
    if has_certificate != has_key:
        raise DecodeError(
            "rpc.tls_certificate and rpc.tls_key: found one; expected both or neither",
            field="rpc.tls_key",
        )
    if not has_certificate and not is_loopback(config.rpc_host):
        raise Refused(
            f"rpc.host: found {config.rpc_host} without TLS; expected a loopback address, "
            "or rpc.tls_certificate and rpc.tls_key",
            code="rpc_without_tls",
            field="rpc.host",
        )


def _toml(value: Value) -> str:
    if isinstance(value, int):
        return str(value)
    # Of TOML's basic strings only these need care; names, addresses and paths hold no control characters.
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
