"""Whether evidence records hold, by what a verifier brings along; nothing that comes with a record is believed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chainnode.ers.verifying import verify_evidence
from cli.archive.tokens import proof_of, verify_kept
from cli.proofs import policy_at_hand, read_policy
from cli.trust import crl_option, read_bundle_if_any, read_crls, weak_option

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from chainnode.ers.record import EvidenceRecord
    from chainnode.ers.verifying import EvidenceVerdict
    from chainnode.model.commitment import Digest
    from chainnode.model.tlog_policy import Policy
    from chainnode.pki.certificate import X509Certificate
    from chainnode.pki.revocation import RevocationList
    from chainnode.tsp.recorded import Recorded
    from cli.command import Decorated
    from cli.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """What the verifier brings along."""

    policy: Policy | None
    """Of the chain that must have issued the tokens; None: nothing is asked of chains."""

    roots: tuple[X509Certificate, ...]
    """None of them: certificates are not looked at."""

    crls: tuple[RevocationList, ...]
    weak_from_ms: Mapping[str, int]
    """Since when digest algorithms, by name, are no longer believed."""

    by_root: bool
    """Whether a token without a proof counts by its certificate alone, though there is a policy."""

    @property
    def is_empty(self) -> bool:
        """Whether it can vouch for nothing."""
        return self.policy is None and not self.roots


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A record that holds."""

    verdict: EvidenceVerdict
    recorded: tuple[Recorded | None, ...]
    """Of each token its record on the log; None where its certificate alone vouches for it."""

    @property
    def by_root_count(self) -> int:
        """Tokens of which nothing shows that the chain has issued them."""
        return sum(found is None for found in self.recorded)


def trust_options(command: Decorated) -> Decorated:
    """Add `--policy`, `--root`, `--crl`, `--weak` and `--by-root`, which `trust_of` reads."""
    options = (
        click.option(
            "--policy",
            "policy_file",
            type=click.Path(path_type=Path),
            metavar="POLICY",
            help="Checks that the chain issued the tokens.  [default: the home's policy, if it has one]",
        ),
        click.option(
            "--root",
            "root_file",
            type=click.Path(path_type=Path),
            metavar="PEM",
            help="Checks each certificate's path to these roots, until the next token's time.",
        ),
        crl_option,
        weak_option,
        click.option(
            "--by-root",
            is_flag=True,
            help="A token without a proof counts by its path to --root, as one of another authority must.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def trust_of(
    session: Session,
    *,
    policy_file: Path | None,
    root_file: Path | None,
    list_files: tuple[Path, ...],
    weak_from_ms: Mapping[str, int],
    by_root: bool,
) -> Trust:
    """Return what the options say.

    Raises:
        click.UsageError: an option says nothing without --root.
        DecodeError: a file cannot be read.
    """
    if root_file is None and (list_files or by_root):
        raise click.UsageError("--crl and --by-root say nothing without --root")
    return Trust(
        policy=policy_at_hand(session) if policy_file is None else read_policy(policy_file),
        roots=read_bundle_if_any(root_file),
        crls=read_crls(list_files),
        weak_from_ms=weak_from_ms,
        by_root=by_root,
    )


def judge(
    record: EvidenceRecord,
    digests: Iterable[Digest],
    tokens: Path | None,
    trust: Trust,
    now_ms: int,
) -> Judged:
    """Check a record of a document.

    Args:
        record: as read.
        digests: of the document.
        tokens: Folder of the tokens' proofs, if there is one.
        trust: not empty.
        now_ms: the moment of checking, milliseconds UTC.

    Raises:
        ChainError: as `verify_evidence` and `verify_kept`.
    """
    verdict = verify_evidence(
        record,
        digests,
        at_ms=now_ms,
        roots=trust.roots,
        crls=trust.crls,
        weak_from_ms=trust.weak_from_ms,
    )
    recorded: list[Recorded | None] = []
    for judged in verdict.timestamps:
        token, policy = judged.stamp.token, trust.policy
        if policy is None or (trust.by_root and proof_of(tokens, token) is None):
            recorded.append(None)
        else:
            recorded.append(verify_kept(tokens, token, judged.certificate, policy))
    return Judged(verdict=verdict, recorded=tuple(recorded))
