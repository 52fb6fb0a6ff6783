"""Policies: whose signatures make a checkpoint trustworthy (C2SP tlog-policy).

    log <vkey> [<url>]
    witness <name> <vkey> [<url>]
    group <name> all|any|<k> <member> ...
    quorum <name>|none

A policy is the trust anchor of every offline check. Reading accepts any policy of the specification; keys of several
suites in one policy are refused, since a chain has one: only ML-DSA-44 may stand beside it. What a chain itself publishes is `validators_policy`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from chainnode.model.errors import DecodeError, Refused
from chainnode.model.note import cosigner_key, log_key, parse_decimal, parse_verifier_key
from chainnode.model.quorum import quorum_of
from chainnode.model.suites import ML_DSA_44

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from chainnode.model.note import VerifierKey
    from chainnode.model.suites import Suite

MAX_POLICY_BYTES: Final = 384 * 1024
"""100 validators take 45 KiB, and 200 KiB more with their ML-DSA-44 keys."""

MAX_POLICY_LINES: Final = 1_000
"""Lines of any kind; 100 logs, 100 witnesses, groups and comments. The specification asks for 96 at least."""

NONE: Final = "none"
"""The quorum that needs nobody; not a name."""

VALIDATORS_GROUP: Final = "validators"
"""The group of a chain's own policy. Its members' names hold a slash, so none of them can be this."""

SECOND_GROUP: Final = "validators-ml-dsa-44"
"""The group of the validators' second keys."""

TWICE_GROUP: Final = "validators-twice"
"""The group that asks for a quorum of cosignatures of both kinds."""

BOTH_GROUP: Final = "both"
"""The group that asks for the validators and for the outside witnesses."""

_FORBIDDEN: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """A key that may sign checkpoints as the log; its key name is the log's origin."""

    key: VerifierKey
    url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """A cosigner under the name that groups know it by."""

    name: str
    """Octets as they stand; has no meaning outside the policy."""

    key: VerifierKey
    url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """At least `threshold` of `members`."""

    name: str
    threshold: int
    """1 to the number of members."""

    members: tuple[str, ...]
    """Names of witnesses and of earlier groups, each a member of one group at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Logs, witnesses and the quorum. Made by `parse_policy` and `validators_policy`, which check it."""

    logs: tuple[Log, ...]
    witnesses: tuple[Witness, ...]
    groups: tuple[Group, ...]
    """Each after the groups that it names."""

    quorum: str
    """A witness, a group, or `none`."""

    def origins(self) -> frozenset[str]:
        """Return the origins of all logs."""
        return frozenset(log.key.name for log in self.logs)

    def missing(self, cosigned: AbstractSet[str]) -> int:
        """Return how many further witnesses the quorum needs at least; 0 means that it is met.

        Args:
            cosigned: policy names of the witnesses that have cosigned.
        """
        cost = {NONE: 0} | {w.name: int(w.name not in cosigned) for w in self.witnesses}
        for group in self.groups:
            cheapest = sorted(cost[member] for member in group.members)
            cost[group.name] = sum(cheapest[: group.threshold])
        return cost[self.quorum]

    def encode(self) -> bytes:
        """Return the policy's text: logs, witnesses, groups, quorum."""
        lines = [_line("log", log.key.vkey(), log.url) for log in self.logs]
        lines += [_line("witness", w.name, w.key.vkey(), w.url) for w in self.witnesses]
        lines += [_line("group", g.name, str(g.threshold), *g.members) for g in self.groups]
        lines.append(_line("quorum", self.quorum))
        return "".join(lines).encode("utf-8", "surrogateescape")


def validators_policy(
    suite: Suite, origin: str, validators: Sequence[tuple[str, bytes, bytes]]
) -> Policy:
    """Return the policy of a chain: any validator's log key, and a quorum of the validators' cosigner keys.

    A witness is named like its key, `<origin>/<validator>`. Its URL is that name behind `https://`: the URL is
    optional, but github.com/transparency-dev/formats refuses a witness line without one. Nothing is fetched there.

    Args:
        suite: the chain's.
        origin: the chain id.
        validators: name, log public key and cosigner public key of each.
    """
    names = tuple(f"{origin}/{name}" for name, _, _ in validators)
    return Policy(
        logs=tuple(Log(key=log_key(suite, origin, key)) for _, key, _ in validators),
        witnesses=tuple(
            Witness(name=name, key=cosigner_key(suite, name, key), url=f"https://{name}")
            for name, (_, _, key) in zip(names, validators, strict=True)
        ),
        groups=(Group(name=VALIDATORS_GROUP, threshold=quorum_of(len(validators)), members=names),),
        quorum=VALIDATORS_GROUP,
    )


def with_second_keys(policy: Policy, keys: Mapping[str, VerifierKey]) -> Policy:
    """Return the policy that asks for a quorum of each kind of cosignature.

    A second key's witness is named like its validator's, with `/ml-dsa-44` behind it; its key name is the validator's.

    Args:
        policy: a chain's, of `validators_policy`.
        keys: second keys by key name, which is a witness of the policy; of at least a quorum.

    Raises:
        Refused: with code `too_few_second_keys`.
    """
    group = policy.groups[0]
    if len(keys) < group.threshold:
        raise Refused(
            f"{len(keys)} of {len(group.members)} validators have registered an ML-DSA-44 key; a quorum is "
            f"{group.threshold}; take a policy without, or have the others switch it on",
            code="too_few_second_keys",
        )
    second = tuple(
        Witness(
            name=f"{name}/{ML_DSA_44}",
            key=keys[name],
            url=f"https://{name}/{ML_DSA_44}",
        )
        for name in group.members
        if name in keys
    )
    return Policy(
        logs=policy.logs,
        witnesses=(*policy.witnesses, *second),
        groups=(
            group,
            Group(
                name=SECOND_GROUP,
                threshold=group.threshold,
                members=tuple(witness.name for witness in second),
            ),
            Group(name=TWICE_GROUP, threshold=2, members=(group.name, SECOND_GROUP)),
        ),
        quorum=TWICE_GROUP,
    )


def with_outside(policy: Policy, outside: Policy) -> Policy:
    """Return the policy that asks for what both ask for: a chain's own quorum, and that of its outside witnesses.

    Args:
        policy: the chain's, of `validators_policy`.
        outside: witnesses and the quorum of them; its logs are left out.

    Raises:
        DecodeError: a name or key is in both, the suites differ, or `outside` asks for nobody.
    """
    if outside.quorum == NONE:
        raise _bad_policy("the outside witnesses' quorum is none; name who must have cosigned")
    both = Policy(
        logs=policy.logs,
        witnesses=(
            *policy.witnesses,
            # As in `validators_policy`: readers outside want a URL on each line.
            *(replace(w, url=w.url or f"https://{w.key.name}") for w in outside.witnesses),
        ),
        groups=(
            *policy.groups,
            *outside.groups,
            Group(name=BOTH_GROUP, threshold=2, members=(policy.quorum, outside.quorum)),
        ),
        quorum=BOTH_GROUP,
    )
    return parse_policy(both.encode())


def parse_policy(data: bytes) -> Policy:
    """Read a policy.

    Raises:
        DecodeError: against the specification, over a limit, or with a key that is unusable here; names the line.
    """
    if len(data) > MAX_POLICY_BYTES:
        raise _bad_policy(f"{len(data)} bytes; at most {MAX_POLICY_BYTES} are read")
    text = data.decode("utf-8", "surrogateescape")
    if _FORBIDDEN.search(text) is not None:
        raise _bad_policy("it holds a control character other than tab and newline")
    if not text.endswith("\n"):
        raise _bad_policy("its last line does not end in a newline")
    lines = text[:-1].split("\n")
    if len(lines) > MAX_POLICY_LINES:
        raise _bad_policy(f"{len(lines)} lines; at most {MAX_POLICY_LINES} are read")
    reader = _Reader()
    for number, line in enumerate(lines, start=1):
        words = line.replace("\t", " ").split(" ")
        items = [word for word in words if word]
        if not items or items[0].startswith("#"):
            continue
        try:
            reader.read(items[0], items[1:])
        except DecodeError as error:
            raise DecodeError(
                f"policy line {number}: {error.message}", code=error.error_code, field="policy"
            ) from error
    return reader.finish()


class _Reader:
    """Collects lines; every rule of the specification is checked where its line is read."""

    def __init__(self) -> None:
        self._logs: list[Log] = []
        self._witnesses: list[Witness] = []
        self._groups: list[Group] = []
        self._quorum: str | None = None
        self._names: set[str] = set()
        self._free: set[str] = set()
        """Names that are no group's member yet."""
        self._ids: set[tuple[str, bytes]] = set()
        """Names and key ids of the witnesses' keys."""
        self._suite: str | None = None

    def read(self, keyword: str, items: list[str]) -> None:
        """Take one line that is neither empty nor a comment."""
        match keyword, items:
            case "log", [vkey, *url] if len(url) <= 1:
                self._logs.append(Log(key=self._key(vkey, self._log_keys()), url=_url(url)))
            case "witness", [name, vkey, *url] if len(url) <= 1:
                key = self._key(vkey, self._witness_keys(), is_cosignature=True)
                self._check_id(key)
                self._define(name)
                self._witnesses.append(Witness(name=name, key=key, url=_url(url)))
            case "group", [name, threshold, *members] if members:
                self._read_group(name, threshold, tuple(members))
            case "quorum", [name]:
                if self._quorum is not None:
                    raise _bad_policy("a second quorum line")
                if name != NONE and name not in self._names:
                    raise _bad_policy(f"quorum {name!r} is not defined above")
                self._quorum = name
            case _:
                raise _bad_policy(
                    f"found {keyword[:40]!r} with {len(items)} items; expected "
                    "log, witness, group or quorum with theirs"
                )

    def finish(self) -> Policy:
        """Return the policy, which must have named its quorum."""
        if self._quorum is None:
            raise _bad_policy("no quorum line")
        return Policy(
            logs=tuple(self._logs),
            witnesses=tuple(self._witnesses),
            groups=tuple(self._groups),
            quorum=self._quorum,
        )

    def _read_group(self, name: str, threshold: str, members: tuple[str, ...]) -> None:
        for member in members:
            if member not in self._free:
                raise _bad_policy(f"member {member!r} is not defined above, or is a member already")
            self._free.remove(member)
        most = len(members)
        least = {"all": most, "any": 1}.get(threshold)
        if least is None:
            least = parse_decimal(threshold, "threshold", most)
        if least == 0:
            raise _bad_policy("a threshold of 0; expected 1 at least")
        self._define(name)
        self._groups.append(Group(name=name, threshold=least, members=members))

    def _define(self, name: str) -> None:
        if name == NONE or name in self._names:
            raise _bad_policy(f"name {name!r} is taken")
        self._names.add(name)
        self._free.add(name)

    def _key(self, vkey: str, taken: set[bytes], *, is_cosignature: bool = False) -> VerifierKey:
        key = parse_verifier_key(vkey)
        if key.type.is_cosignature != is_cosignature:
            raise _bad_policy(f"the key of {key.name!r} signs in another role")
        if key.public_key in taken:
            raise _bad_policy(f"the key of {key.name!r} stands on an earlier line too")
        name = key.type.suite.name
        if name != ML_DSA_44:
            if self._suite not in {None, name}:
                raise _bad_policy(f"keys of {self._suite} and {name}; one is expected")
            self._suite = name
        return key

    def _check_id(self, key: VerifierKey) -> None:
        """Refuse a key that cannot be told from an earlier one in a note."""
        found = (key.name, key.key_id)
        if found in self._ids:
            raise _bad_policy(f"another key of {key.name!r} has the key id {key.key_id.hex()} too")
        self._ids.add(found)

    def _log_keys(self) -> set[bytes]:
        return {log.key.public_key for log in self._logs}

    def _witness_keys(self) -> set[bytes]:
        return {witness.key.public_key for witness in self._witnesses}


def _url(items: list[str]) -> str | None:
    return items[0] if items else None


def _line(*items: str | None) -> str:
    return " ".join(item for item in items if item is not None) + "\n"


def _bad_policy(found: str) -> DecodeError:
    return DecodeError(f"policy: {found}", field="policy", code="bad_policy")
