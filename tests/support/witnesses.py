"""A witness of our own and logs to submit to it, without a network."""

from __future__ import annotations

from chainnode.keystore.signer import local_signer
from chainnode.logs import Log
from chainnode.model.checkpoint import Checkpoint
from chainnode.model.keys import KeyPurpose
from chainnode.model.merkle import consistency_proof_from, leaf_hashes, root_of
from chainnode.model.suites import suite_named
from chainnode.model.tlog_witness import Submission
from chainnode.services.witness import MIN_GROWTH_MS, WitnessService
from tests.support.rpc import ManualClock

NAME = "witness.example/w1"


def witness_signer(suite="ed25519-sha256", purpose=KeyPurpose.WITNESS, seed=9):
    return local_signer(
        name="witness", suite=suite_named(suite), purpose=purpose, private_key=bytes([seed] * 32)
    )


def make_witness(directory, *policies, signer=None, name=NAME, clock=None, lines=None):
    """A witness that keeps its records in `directory`; its log lines go to the list `lines`."""
    clock = PatientClock() if clock is None else clock
    return WitnessService(
        name=name,
        signer=witness_signer() if signer is None else signer,
        policies=policies,
        directory=directory,
        clock=clock,
        log=Log([].append if lines is None else lines.append, now_ms=clock.now_ms),
    )


class PatientClock(ManualClock):
    """Its steady hand moves on each time that it is asked, so that nothing is ever too fast."""

    def monotonic_ms(self):
        self.steady_ms += MIN_GROWTH_MS
        return self.steady_ms


def submission(alliance, leaves, old, *, old_size=None, proof=None, log="a1", cosigners=None):
    """The submission of `leaves`, whose first `old` were cosigned last; the rest replaces what is computed."""
    suite = alliance.suite
    hashes = leaf_hashes(suite, leaves)

    def read_hash(level, number):
        return root_of(suite, hashes[number << level : (number + 1) << level])

    checkpoint = Checkpoint(origin=alliance.origin, size=len(leaves), root=root_of(suite, hashes))
    if proof is None:
        proof = consistency_proof_from(suite, read_hash, min(old, len(leaves)), len(leaves))
    return Submission(
        old_size=old if old_size is None else old_size,
        proof=tuple(proof),
        note=alliance.signed(checkpoint, log=log, cosigners=cosigners),
        checkpoint=checkpoint,
    )
