"""The book of signatures: what turns claims of the pure core into messages, and messages into claims.

The core reasons about claims that were verified and never sees a signature. The book keeps, for the open height
and the one after it, the signature behind every claim that was verified here, own ones included. A claim is
verified once; the same claim with another signature (SM2 is randomised) changes nothing.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from chainnode.engine.messages import (
    PreparedProof,
    ProposeMessage,
    SignedChange,
    ViewChangeMessage,
    Vote,
)
from chainnode.model import votes
from chainnode.model.certificate import Certificate
from chainnode.model.errors import InvariantViolation, PeerFault
from chainnode.model.evidence import Statement
from chainnode.model.ids import BlockHash
from chainnode.model.ids import Height as ChainHeight
from chainnode.model.ids import View as ChainView
from consensus.messages import (
    Claim,
    Commit,
    CommitCertificate,
    Digest,
    Height,
    Justification,
    Leaders,
    Prepare,
    PreparedCertificate,
    Proposal,
    Propose,
    ProvenViewChange,
    ValidatorIndex,
    View,
    ViewChange,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Set as AbstractSet

    from chainnode.keystore.signer import Signer
    from chainnode.model.block import Outline
    from chainnode.model.domain import Domain
    from chainnode.model.validators import ValidatorSet

MAX_CLAIMS_PER_SENDER: Final = 2_000
"""Claims of one validator and height from which on those that the core does not hold are forgotten. It holds a few
hundred at most; a correct validator makes four in a view."""

_KINDS: Final = MappingProxyType(
    {Propose: votes.PROPOSE, Prepare: votes.PREPARE, Commit: votes.COMMIT}
)


def claim_message(domain: Domain, claim: Claim) -> bytes:
    """Return the bytes that are signed for a claim."""
    if isinstance(claim, ViewChange):
        prepared = None
        if claim.prepared_view is not None and claim.prepared_digest is not None:
            prepared = (int(claim.prepared_view), bytes(claim.prepared_digest))
        return votes.view_change_message(domain, claim.height, claim.view, prepared)
    kind = _KINDS[type(claim)]
    return votes.vote_message(domain, kind, claim.height, claim.view, claim.digest)


class SignatureBook:
    """Signatures of verified claims, by claim."""

    def __init__(self, domain: Domain, signer: Signer) -> None:
        """`signer` holds this validator's consensus key."""
        self._domain = domain
        self._signer = signer
        self._signatures: dict[tuple[Height, ValidatorIndex], dict[Claim, bytes]] = {}
        self._own: set[Claim] = set()
        self._is_crowded = False
        self.exposed: Callable[[Claim], None] = lambda _claim: None
        """Hears of a claim that bears our signature, and that neither this life nor the vote log knows of."""

    @property
    def is_crowded(self) -> bool:
        """Whether a validator has signed so much that `keep_only` should be called soon."""
        return self._is_crowded

    def keep_only(self, held: AbstractSet[Claim]) -> None:
        """Forget every claim that is not among `held`.

        What the core holds must never be forgotten: it would stop this node when the core sends it. So a
        validator that signs without end pushes out only what nobody will ask for. What we said ourselves stays:
        it must be known as ours when it comes back.
        """
        self._is_crowded = False
        for key, claims in self._signatures.items():
            self._signatures[key] = {c: s for c, s in claims.items() if c in held or c in self._own}

    def forget_below(self, height: int) -> None:
        """Drop the claims of decided heights."""
        for key in [k for k in self._signatures if k[0] < height]:
            del self._signatures[key]
        self._own = {claim for claim in self._own if claim.height >= height}

    # -- own claims and recovered ones ---------------------------------------------------------------------

    def sign(self, claim: Claim) -> bytes:
        """Return this validator's signature of its own claim; the same bytes each time."""
        known = self.find(claim)
        if known is not None:
            self._own.add(claim)
            return known
        signature = self._signer.sign(claim_message(self._domain, claim))
        self.remember_own(claim, signature)
        return signature

    def remember_own(self, claim: Claim, signature: bytes) -> None:
        """Keep a claim that this validator has made, in this life or, by its vote log, in an earlier one."""
        self._own.add(claim)
        self.remember(claim, signature)

    def is_own(self, claim: Claim) -> bool:
        """Whether this validator knows that it made a claim; of heights that are not decided."""
        return claim in self._own

    def in_name_of(self, height: Height, sender: ValidatorIndex) -> tuple[Claim, ...]:
        """Return every claim of one validator at one height whose signature is held."""
        return tuple(self._signatures.get((height, sender), ()))

    def remember(self, claim: Claim, signature: bytes) -> None:
        """Keep the signature of a claim that was verified, or that was read back from the own vote log."""
        claims = self._signatures.setdefault((claim.height, claim.sender), {})
        claims.setdefault(claim, signature)
        if len(claims) > MAX_CLAIMS_PER_SENDER:
            self._is_crowded = True

    def find(self, claim: Claim) -> bytes | None:
        """Return the signature of a verified claim, or None."""
        return self._signatures.get((claim.height, claim.sender), {}).get(claim)

    def _signature_of(self, claim: Claim) -> bytes:
        signature = self.find(claim)
        if signature is None:
            raise InvariantViolation(f"the core uses a claim that was never verified: {claim}")
        return signature

    # -- verification --------------------------------------------------------------------------------------

    def verify(self, claim: Claim, signature: bytes, validators: ValidatorSet) -> None:
        """Take a claim if its sender signed it.

        Raises:
            PeerFault: there is no such sender, or the signature does not hold.
        """
        if self.find(claim) is not None:
            return
        if claim.sender >= validators.size:
            raise PeerFault(
                f"sender {claim.sender}: there are {validators.size} validators", code="bad_sender"
            )
        validator = validators.members[claim.sender]
        message = claim_message(self._domain, claim)
        if not self._domain.suite.is_signature(validator.consensus_key, message, signature):
            raise PeerFault(
                f"a {type(claim).__name__} of {validator.name} at height {claim.height}, view "
                f"{claim.view}: its signature does not hold",
                code="bad_signature",
            )
        self.remember(claim, signature)
        self._check_known(claim, validators)

    def _check_known(self, claim: Claim, validators: ValidatorSet) -> None:
        key = validators.members[claim.sender].consensus_key
        if key == self._signer.public_key and claim not in self._own:
            self.exposed(claim)

    # -- messages to claims, every signature verified --------------------------------------------------------

    def open_vote(self, vote: Vote, validators: ValidatorSet) -> Prepare | Commit:
        """Return the verified claim of a PREPARE or COMMIT. Raises PeerFault as `verify`."""
        kind = Prepare if vote.kind == votes.PREPARE else Commit
        claim = kind(
            height=Height(vote.height),
            view=View(vote.view),
            digest=Digest(vote.digest),
            sender=ValidatorIndex(vote.sender),
        )
        self.verify(claim, vote.signature, validators)
        return claim

    def open_change(self, change: SignedChange, validators: ValidatorSet) -> ViewChange:
        """Return the verified claim of the signed part of a VIEW-CHANGE. Raises PeerFault."""
        view, digest = change.prepared if change.prepared is not None else (None, None)
        claim = ViewChange(
            height=Height(change.height),
            view=View(change.view),
            prepared_view=None if view is None else View(view),
            prepared_digest=None if digest is None else Digest(digest),
            sender=ValidatorIndex(change.sender),
        )
        self.verify(claim, change.signature, validators)
        return claim

    def open_proof(
        self,
        proof: PreparedProof | None,
        height: int,
        validators: ValidatorSet,
        leaders: Leaders,
    ) -> PreparedCertificate | None:
        """Return a prepared certificate whose every signature was verified. Raises PeerFault.

        Whether its signers are a quorum, and of the right view and digest, is for the core to judge.
        """
        if proof is None:
            return None
        certificate = PreparedCertificate(
            height=Height(height),
            view=View(proof.view),
            digest=Digest(proof.digest),
            signers=tuple(ValidatorIndex(sender) for sender, _ in proof.signatures),
        )
        for claim, (_, signature) in zip(
            certificate.claims(leaders), proof.signatures, strict=True
        ):
            self.verify(claim, signature, validators)
        return certificate

    def open_view_change(
        self, message: ViewChangeMessage, validators: ValidatorSet, leaders: Leaders
    ) -> ProvenViewChange:
        """Return a verified VIEW-CHANGE with its proof. Raises PeerFault."""
        return ProvenViewChange(
            claim=self.open_change(message.change, validators),
            prepared=self.open_proof(message.proof, message.change.height, validators, leaders),
        )

    def open_proposal(
        self,
        message: ProposeMessage,
        outline: Outline,
        validators: ValidatorSet,
        leaders: Leaders,
    ) -> Proposal:
        """Return a verified proposal for the block of `outline`. Raises PeerFault."""
        proposer = validators.index_of(outline.header.proposer)
        if proposer is None:
            raise PeerFault(
                f"proposer {outline.header.proposer!r} is not a validator", code="bad_proposer"
            )
        claim = Propose(
            height=Height(message.height),
            view=View(message.view),
            digest=Digest(outline.block_hash),
            sender=ValidatorIndex(message.sender),
        )
        for change in message.changes:
            # Before any is remembered: what is kept of other heights would never be forgotten.
            if change.height != message.height:
                raise PeerFault(
                    f"a proposal for height {message.height} shows a view change of {change.height}",
                    code="bad_justification",
                )
        self.verify(claim, message.signature, validators)
        justification = None
        if message.changes or message.proof is not None:
            justification = Justification(
                view_changes=tuple(self.open_change(c, validators) for c in message.changes),
                prepared=self.open_proof(message.proof, message.height, validators, leaders),
            )
        return Proposal(
            height=claim.height,
            view=claim.view,
            digest=claim.digest,
            sender=claim.sender,
            first_view=View(outline.header.first_view),
            proposer=ValidatorIndex(proposer),
            justification=justification,
        )

    def open_certificate(
        self, certificate: Certificate, validators: ValidatorSet
    ) -> CommitCertificate:
        """Return the claims of a commit certificate that `verify_certificate` has passed."""
        opened = CommitCertificate(
            height=Height(certificate.height),
            view=View(certificate.view),
            digest=Digest(certificate.block_hash),
            signers=tuple(ValidatorIndex(index) for index, _ in certificate.signatures),
        )
        for claim, (_, signature) in zip(opened.claims(), certificate.signatures, strict=True):
            self.remember(claim, signature)
            self._check_known(claim, validators)
        return opened

    # -- claims to evidence ----------------------------------------------------------------------------------

    def statement(self, claim: Claim) -> Statement:
        """Return a verified claim as evidence names it."""
        signature = self._signature_of(claim)
        height, signer, view = ChainHeight(claim.height), int(claim.sender), ChainView(claim.view)
        if isinstance(claim, ViewChange):
            prepared = claim.prepared_view
            return Statement(
                kind=votes.VIEW_CHANGE,
                height=height,
                signer=signer,
                view=view,
                digest=None if claim.prepared_digest is None else bytes(claim.prepared_digest),
                prepared_view=None if prepared is None else ChainView(prepared),
                signature=signature,
            )
        return Statement(
            kind=_KINDS[type(claim)],
            height=height,
            signer=signer,
            view=view,
            digest=bytes(claim.digest),
            signature=signature,
        )

    def proof_statements(self, certificate: PreparedCertificate) -> tuple[Statement, ...]:
        """Return the votes behind a prepared certificate whose every signature was verified."""
        found: list[Statement] = []
        for signer in certificate.signers:
            for kind in (Propose, Prepare):
                claim = kind(
                    height=certificate.height,
                    view=certificate.view,
                    digest=certificate.digest,
                    sender=signer,
                )
                if self.find(claim) is not None:
                    found.append(self.statement(claim))
        return tuple(found)

    def statements(self, height: int) -> tuple[Statement, ...]:
        """Return all that was verified of a height and is still held."""
        return tuple(
            self.statement(claim)
            for (of, _), claims in self._signatures.items()
            if of == height
            for claim in claims
        )

    # -- claims to messages ----------------------------------------------------------------------------------

    def seal_vote(self, claim: Prepare | Commit) -> Vote:
        """Return the signed message of a verified vote, own or of another."""
        return Vote(
            kind=votes.PREPARE if isinstance(claim, Prepare) else votes.COMMIT,
            height=claim.height,
            view=claim.view,
            sender=claim.sender,
            digest=claim.digest,
            signature=self._signature_of(claim),
        )

    def seal_change(self, claim: ViewChange) -> SignedChange:
        """Return the signed part of a verified VIEW-CHANGE."""
        prepared = None
        if claim.prepared_view is not None and claim.prepared_digest is not None:
            prepared = (int(claim.prepared_view), bytes(claim.prepared_digest))
        return SignedChange(
            height=claim.height,
            view=claim.view,
            sender=claim.sender,
            prepared=prepared,
            signature=self._signature_of(claim),
        )

    def seal_proof(
        self, certificate: PreparedCertificate | None, leaders: Leaders
    ) -> PreparedProof | None:
        """Return a prepared certificate with the signatures behind it."""
        if certificate is None:
            return None
        return PreparedProof(
            view=certificate.view,
            digest=certificate.digest,
            signatures=tuple(
                (int(claim.sender), self._signature_of(claim))
                for claim in certificate.claims(leaders)
            ),
        )

    def seal_view_change(self, message: ProvenViewChange, leaders: Leaders) -> ViewChangeMessage:
        """Return a VIEW-CHANGE message."""
        return ViewChangeMessage(
            change=self.seal_change(message.claim), proof=self.seal_proof(message.prepared, leaders)
        )

    def seal_proposal(
        self, proposal: Proposal, outline: Outline, leaders: Leaders
    ) -> ProposeMessage:
        """Return a PROPOSE message for the block of `outline`."""
        justification = proposal.justification
        return ProposeMessage(
            height=proposal.height,
            view=proposal.view,
            sender=proposal.sender,
            signature=self._signature_of(proposal.claim),
            outline=outline.encode(),
            changes=()
            if justification is None
            else tuple(self.seal_change(c) for c in justification.view_changes),
            proof=None
            if justification is None
            else self.seal_proof(justification.prepared, leaders),
        )

    def seal_certificate(self, certificate: CommitCertificate) -> Certificate:
        """Return a commit certificate with the signatures behind it."""
        return Certificate(
            height=ChainHeight(certificate.height),
            view=ChainView(certificate.view),
            block_hash=BlockHash(certificate.digest),
            signatures=tuple(
                (int(claim.sender), self._signature_of(claim)) for claim in certificate.claims()
            ),
        )
