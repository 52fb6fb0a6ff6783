"""What the chain holds: headers, blocks, validators, accounts, state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chainnode.model.errors import NotFound
from chainnode.model.header import Header, block_hash_of, decode_header
from contracts.query import (
    AccountView,
    AuthorityView,
    CertificateRecord,
    KeyRecord,
    account_view,
    algorithm_registry,
    authority_view,
    certificate_view,
    certificate_views,
    clock_declaration,
    crl_of,
    key_view,
    organisation_view,
    root_crl_of,
    second_key_in,
)

if TYPE_CHECKING:
    from chainnode.ledger.ledger import Ledger
    from chainnode.model.algorithms import AlgorithmRegistry
    from chainnode.model.certificate import Certificate
    from chainnode.model.receipt import Receipt
    from chainnode.model.state_tree import StateProof
    from chainnode.model.validators import ValidatorSet
    from contracts.clocks import Declaration
    from contracts.query import PublishedList


@dataclass(frozen=True, slots=True, kw_only=True)
class CertifiedHeader:
    """A decided header with a certificate of it."""

    header: Header
    header_bytes: bytes
    block_hash: bytes
    certificate: Certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class Governors:
    """The validator set of a height and how it came to govern."""

    height: int
    validators: ValidatorSet
    change_heights: tuple[int, ...]
    """First heights of the sets on a way from genesis's set to this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateValue:
    """A value of the state, or None, after a height."""

    value: bytes | None
    height: int
    state_root: bytes
    proof: StateProof | None


class ChainService:
    """Answers from the ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def header(self, height: int | None) -> CertifiedHeader:
        """Return a decided header; of the tip if `height` is None. Raises NotFound `unknown_height`."""
        header_bytes, certificate = self._ledger.header(self._height(height))
        return CertifiedHeader(
            header=decode_header(header_bytes),
            header_bytes=header_bytes,
            block_hash=block_hash_of(self._ledger.genesis.domain, header_bytes),
            certificate=certificate,
        )

    def receipts(self, height: int | None) -> tuple[Receipt, ...]:
        """Return a block's receipts. Raises NotFound `unknown_height`."""
        return self._ledger.receipts(self._height(height))

    def transactions(self, height: int | None) -> tuple[bytes, ...]:
        """Return a block's envelopes; for members. Raises NotFound `unknown_height`."""
        return self._ledger.transactions(self._height(height))

    def governors(self, height: int | None) -> Governors:
        """Return the set that governs `height`, or the next block. Raises NotFound `unknown_height`."""
        height = self._ledger.tip.height + 1 if height is None else height
        validators = self._ledger.validators(height)
        return Governors(
            height=height, validators=validators, change_heights=self._change_heights(height)
        )

    def second_keys(self, validators: ValidatorSet) -> frozenset[str]:
        """Return the names of those who have registered a second key beside their cosigner key, as of the tip."""
        state = self._ledger.state
        return frozenset(
            v.name
            for v in validators.members
            if (said := second_key_in(state, v.name)) is not None
            and said.public_key_beside(v.cosigner_key) is not None
        )

    def _change_heights(self, height: int) -> tuple[int, ...]:
        """Return heights at which the set was replaced, enough of them to get from genesis's set to that of `height`.

        Each is found by bisection: between a height of one set and a later height of another lies a first height
        of a successor. Sets that came and went in between without being needed for that way may be left out.
        """
        changes: list[int] = []
        low, target = 1, self._ledger.validators(height)
        while (current := self._ledger.validators(low)) != target:
            below, above = low, height
            while above - below > 1:
                middle = (below + above) // 2
                if self._ledger.validators(middle) == current:
                    below = middle
                else:
                    above = middle
            changes.append(above)
            low = above
        return tuple(changes)

    def account(self, name: str) -> AccountView:
        """Return an account as of the tip. Raises NotFound `unknown_account`."""
        account = account_view(self._ledger.state, name)
        if account is None:
            raise NotFound(f"there is no account {name}", code="unknown_account", field="name")
        return account

    def organisation_title(self, name: str) -> str:
        """Return an organisation's full name. Raises NotFound `unknown_organisation`."""
        organisation = organisation_view(self._ledger.state, name)
        if organisation is None:
            raise NotFound(
                f"there is no organisation {name}", code="unknown_organisation", field="name"
            )
        return organisation.title

    def key(self, public_key: bytes) -> KeyRecord:
        """Return what is known of a public key, revoked ones too. Raises NotFound `unknown_key`."""
        key = key_view(self._ledger.state, public_key)
        if key is None:
            raise NotFound(
                "the public key was never registered", code="unknown_key", field="public_key"
            )
        return key

    def algorithms(self) -> AlgorithmRegistry:
        """Return what the alliance thinks of digest algorithms, as of the tip."""
        return algorithm_registry(self._ledger.state)

    def authority(self, name: str) -> AuthorityView:
        """Return a certificate authority, dismissed ones too. Raises NotFound `unknown_authority`."""
        found = authority_view(self._ledger.state, name)
        if found is None:
            raise NotFound(
                f"there is no certificate authority {name}", code="unknown_authority", field="name"
            )
        return found

    def certificate(self, authority: str, fingerprint: bytes) -> CertificateRecord | None:
        """Return what an authority has entered of an X.509 certificate, or None if that is nothing."""
        return certificate_view(self._ledger.state, authority, fingerprint)

    def certificates(self, fingerprint: bytes) -> tuple[CertificateRecord, ...]:
        """Return what each authority that has entered an X.509 certificate says of it."""
        return certificate_views(self._ledger.state, fingerprint)

    def clock_declaration(self, account: str) -> Declaration | None:
        """Return what an account has declared of its node's clock, or None."""
        return clock_declaration(self._ledger.state, account)

    def crl(self, name: str) -> PublishedList:
        """Return an authority's newest revocation list. Raises NotFound `no_crl`."""
        found = crl_of(self._ledger.state, self._ledger.genesis.suite, name)
        if found is None:
            raise NotFound(f"{name} has published no revocation list", code="no_crl", field="name")
        return found

    def root_crl(self, name: str) -> PublishedList:
        """Return the newest revocation list of an authority's root. Raises NotFound `no_crl`."""
        found = root_crl_of(self._ledger.state, self._ledger.genesis.suite, name)
        if found is None:
            raise NotFound(
                f"no revocation list of the root of {name} was published",
                code="no_crl",
                field="name",
            )
        return found

    def state(self, key: bytes, *, prove: bool, height: int | None) -> StateValue:
        """Return the value of a state key, after a height or at the tip.

        Raises:
            NotFound: with code `unknown_height`.
            Unavailable: with code `pruned` if that state is no longer kept.
        """
        tip = self._ledger.tip
        if height is None and not prove:
            return StateValue(
                value=self._ledger.state.get(key),
                height=tip.height,
                state_root=tip.state_root,
                proof=None,
            )
        height = tip.height if height is None else height
        value, proof = self._ledger.prove_state(key, height)
        root = tip.state_root
        if height != tip.height:
            root = self._ledger.state.root_at(height)
        return StateValue(
            value=value, height=height, state_root=root, proof=proof if prove else None
        )

    def _height(self, height: int | None) -> int:
        return self._ledger.tip.height if height is None else height
