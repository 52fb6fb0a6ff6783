"""FILE + PROOF + POLICY under every alteration: our verdict and an outsider's agree, and both refuse.

The only alterations that both accept are those that change nothing that is checked; `is_harmless` lists them.
"""

from __future__ import annotations

import pytest

from chainnode.model import codec
from chainnode.model.commitment import parse_opening, verify_opening
from chainnode.model.errors import CannotTell, ChainError, DecodeError, ProofInvalid
from chainnode.model.record import decode_record
from chainnode.model.tlog_policy import parse_policy
from chainnode.model.tlog_proof import MAX_EXTRA_BYTES, parse_proof, verify
from tests.support.alliance import FILE, Alliance, digests_of
from tests.support.outside import go_verifier, java_verifier
from tests.support.tampering import altered_lines, altered_value

LOG_LINES = range(4)
WITNESS_LINES = range(4, 8)
SIGNATURE_LINES = range(12, 16)


def own_status(file, proof_bytes, policy_bytes):
    """Our verdict, as the exit status that `chainnode verify` promises."""
    try:
        check(file, proof_bytes, policy_bytes)
    except DecodeError:
        return 2
    except ProofInvalid:
        return 1
    except CannotTell:
        return 5
    return 0


def check(file, proof_bytes, policy_bytes):
    """Check a notarized file with the parts of the model, as the command does."""
    policy = parse_policy(policy_bytes)
    proof = parse_proof(proof_bytes)
    leaf_value, opening_value = codec.decode_array(
        proof.extra or b"", max_bytes=MAX_EXTRA_BYTES, arity=2, what="extra"
    )
    leaf = codec.binary(leaf_value, "leaf")
    record = decode_record(leaf)
    opening = parse_opening(opening_value)
    if record.kind != "notary" or not record.body:
        raise ProofInvalid("the record is not a notarization")
    of_file = {d.algorithm: d for d in digests_of(file)}
    if any(of_file.get(d.algorithm, d) != d for d in opening.digests):
        raise ProofInvalid("another file")
    suite = policy.logs[0].key.type.suite
    verify_opening(suite, codec.binary(record.body[0], "commitment"), opening)
    verify(proof, leaf, policy)


def is_harmless(name, policy_text):
    """Whether an alteration leaves what is checked as it was.

    proof:  the order of signature lines means nothing in a signed note
    policy: the order of log and witness lines means nothing; a log that did not sign may be absent; empty lines,
            spaces at the end of a line and URLs of witnesses are not looked at
    """
    part, _, rest = name.partition("-")
    how, *where = rest.split("-")
    line = int(where[0]) if where and where[0].isdigit() else -1
    if part == "proof":
        return how == "swapped" and line in SIGNATURE_LINES[:-1]
    if part == "policy":
        if how == "swapped":
            return line in range(7)
        if how in {"removed", "emptied"}:
            return line in LOG_LINES[1:]
        if how == "flip" and line in WITNESS_LINES:
            text = policy_text.split("\n")[line]
            at = len(text) - 1 if where[1] == "last" else int(where[1])
            return at >= text.rindex(" ") + 1
        return how == "space" or name in {"policy-trailing-newline", "policy-leading-newline"}
    return False


def cases_of(alliance, every):
    """Yield (name, file, proof, policy)."""
    policy = alliance.policy().encode()
    good = alliance.notarization()
    proof = good.encode()
    yield "good", FILE, proof, policy
    yield "file-bit", bytes([FILE[0] ^ 1]) + FILE[1:], proof, policy
    yield "file-longer", FILE + b"\n", proof, policy
    yield "file-empty", b"", proof, policy
    for name, text in altered_lines(proof.decode(), every=every):
        yield f"proof-{name}", FILE, text.encode(), policy
    for name, text in altered_lines(policy.decode(), every=every):
        yield f"policy-{name}", FILE, proof, text.encode()
    extra = codec.decode(good.extra, max_bytes=MAX_EXTRA_BYTES)
    leaf = codec.decode(extra[0], max_bytes=MAX_EXTRA_BYTES)
    for name, changed in altered_value(leaf):
        yield f"leaf-{name}", FILE, with_extra(good, (codec.encode(changed), extra[1])), policy
    for name, changed in altered_value(extra):
        yield f"extra-{name}", FILE, with_extra(good, changed), policy
    for tail in (b"\0", b"\xc0"):
        yield f"bytes-{tail.hex()}", FILE, raw_extra(good, good.extra + tail), policy
    other = Alliance(alliance.suite.name, origin="other.gov.example/chain")
    yield "chain-policy", FILE, proof, other.policy().encode()
    yield "chain-proof", FILE, other.notarization().encode(), policy
    for few in ((), ("a1",), ("a1", "b2")):
        fewer = alliance.notarization(cosigners=few)
        yield f"few-{len(few)}", FILE, fewer.encode(), policy


def raw_extra(good, extra):
    return type(good)(
        extra=extra,
        index=good.index,
        hashes=good.hashes,
        note=good.note,
        checkpoint=good.checkpoint,
    ).encode()


def with_extra(good, value):
    return raw_extra(good, codec.encode(value))


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("suite_name", "outsider", "every"),
    [("ed25519-sha256", go_verifier, 2), ("sm2-sm3", java_verifier, 7)],
)
def test_ours_and_an_outsider_refuse_every_alteration(suite_name, outsider, every, tmp_path):
    alliance = Alliance(suite_name)
    cases = list(cases_of(alliance, every))
    for name, file, proof, policy in cases:
        at = tmp_path / name
        at.mkdir()
        (at / "file").write_bytes(file)
        (at / "proof").write_bytes(proof)
        (at / "policy").write_bytes(policy)
    theirs = outsider().batch(tmp_path)
    ours = {name: own_status(*rest) for name, *rest in cases}
    assert ours.keys() == theirs.keys()
    assert ours["good"] == theirs["good"] == 0

    disagree = [n for n in ours if (ours[n] == 0) != (theirs[n] == 0)]
    assert not disagree, disagree
    policy_text = alliance.policy().encode().decode()
    accepted = {n for n in ours if ours[n] == 0} - {"good"}
    harmless = {n for n in ours if is_harmless(n, policy_text)}
    assert accepted - harmless == set()
    assert harmless - accepted == set()
    assert len(ours) > 700


def test_every_error_of_an_alteration_is_one_of_ours():
    alliance = Alliance()
    for _, file, proof, policy in cases_of(alliance, 11):
        try:
            own_status(file, proof, policy)
        except ChainError as error:  # a kind without an exit status
            pytest.fail(f"{error!r}")


@pytest.mark.parametrize(
    ("suite_name", "outsider"), [("ed25519-sha256", go_verifier), ("sm2-sm3", java_verifier)]
)
def test_a_surplus_cosignature_may_be_absent_but_not_false(suite_name, outsider, tmp_path):
    alliance = Alliance(suite_name)
    policy = alliance.policy().encode()
    proof = alliance.notarization(cosigners=alliance.names).encode().decode()
    surplus = proof.splitlines(keepends=True)[-1]
    stranger = surplus.replace("alliance/d4", "witness")
    cases = {
        "whole": (proof, policy, 0),
        "absent": (proof.removesuffix(surplus), policy, 0),
        "of-a-stranger": (proof.removesuffix(surplus) + stranger, policy, 0),
        "false": (proof.removesuffix(surplus) + surplus[:-20] + "A" * 17 + "==\n", policy, 1),
        "commented-policy": (proof, b"# ours\n\n" + policy, 0),
        "all-are-needed": (proof, policy.replace(b"validators 3 ", b"validators all "), 0),
        "threshold-missed": (
            proof.removesuffix(surplus),
            policy.replace(b"validators 3 ", b"validators 4 "),
            1,
        ),
    }
    for name, (altered, altered_policy, _) in cases.items():
        at = tmp_path / name
        at.mkdir()
        (at / "file").write_bytes(FILE)
        (at / "proof").write_text(altered, newline="")
        (at / "policy").write_bytes(altered_policy)
    wanted = {name: status for name, (_, _, status) in cases.items()}
    assert {n: own_status(FILE, p.encode(), q) for n, (p, q, _) in cases.items()} == wanted
    assert outsider().batch(tmp_path) == wanted
