"""Whether the tokens of a measurement hold: all serial numbers differ, and a random sample is verified in every respect.

Of each token of the sample: it answers its request, its signature holds, its certificate leads to the network's root at the time
that it says, and the log has the leaf that its serial number names, about that imprint and by that certificate, with a proof
by the policy, from a validator that did not issue it.
"""

from __future__ import annotations

import random
from itertools import islice
from typing import TYPE_CHECKING, Final

from chainnode.model.errors import ProofInvalid
from chainnode.model.timestamp import parse_serial
from chainnode.model.tlog_policy import parse_policy
from chainnode.model.tlog_proof import parse_proof
from chainnode.pki.der import elements
from chainnode.pki.path import check_path
from chainnode.pki.pem import parse_bundle
from chainnode.pki.profiles import TIMESTAMP
from chainnode.rpc.base64_text import from_base64
from chainnode.tsp.checking import check_imprint
from chainnode.tsp.reading import decode_response
from chainnode.tsp.recorded import verify_recorded
from devnet.bench.timestamp_client import imprint_of, nonce_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainnode.tsp.reading import Token
    from devnet.bench.timestamp_client import Answer
    from devnet.network import Devnet

SAMPLE: Final = 50
"""Tokens that are verified; about 20 ms each."""

_PROOF_WAIT_MS: Final = 20_000


def check_tokens(network: Devnet, answers: Sequence[Answer], *, issuer: str) -> int:
    """Verify a random sample of the tokens that one validator issued, and that no two of all share a serial number.

    Args:
        network: where; it runs, and has an authority.
        answers: all tokens, as they came.
        issuer: the validator's name.

    Returns:
        How many were verified.

    Raises:
        ChainError: one does not hold, or its proof is not to be had.
    """
    if len({_serial_of(answer.response) for answer in answers}) != len(answers):
        raise ProofInvalid("two tokens have the same serial number", code="serial_given_twice")
    sample = random.sample(answers, min(SAMPLE, len(answers)))
    others = [node.name for node in network.nodes if node.name != issuer] or [issuer]
    for position, answer in enumerate(sample):
        token = decode_response(answer.response)
        check_imprint(token, imprint_of(answer.number))
        if token.nonce != nonce_of(answer.number):
            raise ProofInvalid("a token bears another nonce than asked", code="other_nonce")
        check_issued(network, token, by=others[position % len(others)])
    return len(sample)


def check_issued(network: Devnet, token: Token, *, by: str) -> None:
    """Check that a network issued a token, with the proof that the validator `by` gives.

    Raises:
        ChainError: it did not, or the proof is not to be had.
    """
    certificate = token.signer
    if certificate is None:
        raise ProofInvalid("a token has no certificate", code="no_path")
    roots = [
        parse_bundle(file.read_bytes())[0] for file in sorted(network.directory.glob("ca*.pem"))
    ]
    check_path(
        certificate, token.certificates, tuple(roots), at_ms=token.time_ms, profile=TIMESTAMP
    )
    serial = parse_serial(token.serial_number)
    answer = network.ask(by, lambda node: node.log_proof(serial.index, wait_ms=_PROOF_WAIT_MS))
    verify_recorded(
        token,
        certificate,
        parse_proof(answer["proof"].encode()),
        from_base64(answer["leaf"]),
        parse_policy(network.policy.read_bytes()),
    )


def _serial_of(response: bytes) -> bytes:
    """Return the serial number in a response; reading all of a token takes a hundred times as long."""
    at, end = 0, len(response)
    # TimeStampResp, its token, SignedData, encapContentInfo, TSTInfo, serialNumber (RFC 3161).
    for which in (0, 1, 1, 0, 2, 1, 0, 0, 3):
        found = next(islice(elements(response, at, end), which, None))
        at, end = found.content, found.end
    return response[at:end]
