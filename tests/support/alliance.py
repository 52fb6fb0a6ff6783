"""A synthetic chain of keys that cosigns logs: what proofs and policies are made of in tests."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from chainnode.model import codec
from chainnode.model.checkpoint import Checkpoint
from chainnode.model.commitment import Digest, Opening, commitment_to, digests_value
from chainnode.model.cosignature import cosign
from chainnode.model.merkle import inclusion_proof_from, leaf_hashes, root_of
from chainnode.model.note import Note, cosigner_key, log_key, sign_note
from chainnode.model.record import Record
from chainnode.model.suites import ML_DSA_44, key_suite_named, suite_named
from chainnode.model.tlog_policy import validators_policy, with_second_keys
from chainnode.model.tlog_proof import Proof

ORIGIN = "sz.gov.example/alliance"
TIME_S = 1_790_000_000
FILE = "关于公布许可目录的通知\n".encode()
SALT = bytes(range(32))


@dataclass(frozen=True)
class Key:
    """A private key that tests may hold in the open."""

    suite: object
    private: bytes

    @classmethod
    def of(cls, suite, label):
        return cls(suite, hashlib.sha256(f"test key {label}".encode()).digest())

    @property
    def public(self):
        return self.suite.public_key_of(self.private)

    def sign(self, message):
        return self.suite.sign(self.private, message)


class Alliance:
    """Validators with a log key and a cosigner key each, all derived from their names."""

    def __init__(self, suite_name="ed25519-sha256", origin=ORIGIN, names=("a1", "b2", "c3", "d4")):
        self.suite = suite_named(suite_name)
        self.origin = origin
        self.names = names
        self.log_keys = {n: Key.of(self.suite, f"{origin}/{n} log") for n in names}
        self.cosigner_keys = {n: Key.of(self.suite, f"{origin}/{n} cosigner") for n in names}
        self.second_suite = key_suite_named(ML_DSA_44)
        self.second_keys = {n: Key.of(self.second_suite, f"{origin}/{n} second") for n in names}

    def policy(self):
        return validators_policy(
            self.suite,
            self.origin,
            [(n, self.log_keys[n].public, self.cosigner_keys[n].public) for n in self.names],
        )

    def policy_twice(self, names=None):
        """The policy that asks for second cosignatures too, by the validators that have registered a key."""
        registered = self.names if names is None else names
        keys = {f"{self.origin}/{n}": self.second_key(n) for n in registered}
        return with_second_keys(self.policy(), keys)

    def second_key(self, name):
        """The validator's second key as verifiers know it."""
        public = self.second_keys[name].public
        return cosigner_key(self.second_suite, f"{self.origin}/{name}", public)

    def signed(self, checkpoint, *, log="a1", cosigners=None, time_s=TIME_S, twice=()):
        """The checkpoint under one log signature and the named validators' cosignatures, of `twice` also the second."""
        text = checkpoint.text()
        lines = []
        if log is not None:
            key = self.log_keys[log]
            lines.append(sign_note(text, log_key(self.suite, self.origin, key.public), key.sign))
        for offset, name in enumerate(self.names if cosigners is None else cosigners):
            key = self.cosigner_keys[name]
            vkey = cosigner_key(self.suite, f"{self.origin}/{name}", key.public)
            lines.append(cosign(text, time_s + offset, vkey, key.sign))
        for name in twice:
            key = self.second_keys[name]
            lines.append(cosign(text, time_s, self.second_key(name), key.sign))
        return Note(text=text, signatures=tuple(lines))

    def proof(self, leaves, index, *, extra=None, log="a1", cosigners=None, twice=()):
        """A proof of leaf `index` in the log of exactly `leaves`."""
        hashes = leaf_hashes(self.suite, leaves)
        checkpoint = Checkpoint(
            origin=self.origin, size=len(leaves), root=root_of(self.suite, hashes)
        )

        def read_hash(level, number):
            return root_of(self.suite, hashes[number << level : (number + 1) << level])

        return Proof(
            extra=extra,
            index=index,
            hashes=inclusion_proof_from(self.suite, read_hash, index, len(leaves)),
            note=self.signed(checkpoint, log=log, cosigners=cosigners, twice=twice),
            checkpoint=checkpoint,
        )

    def notarization(
        self, file=FILE, *, size=11, index=6, cosigners=("a1", "b2", "c3"), twice=(), change=None
    ):
        """FILE's proof as `chainnode notarize` would write it; `change` edits (leaf, opening) first."""
        leaf, opening = self.leaf_and_opening(file)
        if change is not None:
            leaf, opening = change(leaf, opening)
        leaf_bytes = codec.encode(leaf)
        leaves = [b"leaf %d" % i for i in range(size)]
        leaves[index] = leaf_bytes
        extra = codec.encode((leaf_bytes, opening))
        return self.proof(leaves, index, extra=extra, cosigners=cosigners, twice=twice)

    def leaf_and_opening(self, file=FILE):
        """The array forms of a notary record and of its opening."""
        opening = Opening(salt=SALT, digests=tuple(digests_of(file)))
        commitment = commitment_to(self.suite, SALT, digests_value(opening.digests))
        record = Record(
            kind="notary",
            height=812,
            time_ms=1_790_000_000_123,
            not_before_ms=1_789_999_999_123,
            not_after_ms=1_790_000_001_123,
            tx_id=bytes(range(32)),
            call=0,
            item=6,
            contract="notary",
            account="justice/notary-1",
            body=(commitment,),
        )
        return codec.decode(record.encode(), max_bytes=65_536), opening.as_value()


def digests_of(file):
    """SHA-256 and SM3 of a file, as notarizing computes them."""
    yield Digest(algorithm="sha256", value=hashlib.sha256(file).digest())
    yield Digest(algorithm="sm3", value=suite_named("sm2-sm3").hash(file))
