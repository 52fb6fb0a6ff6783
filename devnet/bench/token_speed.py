"""What timestamp tokens cost without network and chain: requests read, tokens encoded, tokens signed, each alone on one core."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chainnode.keystore.randomness import fresh_private_key
from chainnode.keystore.signer import local_signer
from chainnode.model.errors import Unavailable
from chainnode.model.keys import KeyPurpose
from chainnode.tsp.request import decode_request
from chainnode.tsp.response import granted
from chainnode.tsp.token import TokenFacts, TokenTemplate
from devnet.bench.timestamp_client import request_of
from devnet.bench.workload import Number

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainnode.model.suites import Suite
    from chainnode.pki.certificate import X509Certificate

MEASURE_NS: Final = 500_000_000
_ROUND: Final = 50
"""Calls between two looks at the clock."""

_SIGNATURE_BYTES: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSpeed:
    """Of one core, a second."""

    requests_per_s: float
    """Requests read."""

    der_per_s: float
    """Responses encoded, certificates included, with a signature that was there before."""

    signatures_per_s: float


@dataclass(frozen=True, slots=True)
class _Unsigned:
    """A signer whose signatures cost nothing."""

    suite: Suite
    public_key: bytes

    def sign(self, _message: bytes) -> bytes:
        return b"\x7f" * _SIGNATURE_BYTES


def token_speed(certificates: tuple[X509Certificate, ...], policy: str) -> TokenSpeed:
    """Measure on this core, for half a second each.

    Args:
        certificates: of a timestamp unit, its own first; tokens bear them.
        policy: dotted identifier that tokens bear.
    """
    own, *above = certificates
    suite = own.key.suite
    if suite is None:
        raise Unavailable(f"{own.subject.text()}: its key signs no tokens", code="unsupported_key")
    private_key = fresh_private_key(suite)
    signer = local_signer(
        name="bench", suite=suite, purpose=KeyPurpose.TIMESTAMP, private_key=private_key
    )
    template = TokenTemplate(
        signer=_Unsigned(suite, signer.public_key),
        certificate=own,
        chain=tuple(above),
        policy=policy,
    )
    encoded = request_of(Number(0, 0))
    request = decode_request(encoded)
    facts = TokenFacts(serial_number=1 << 152, time_ms=1_790_000_000_123, accuracy_ms=2_500)
    message = bytes(range(256))
    return TokenSpeed(
        requests_per_s=_per_s(lambda: decode_request(encoded)),
        der_per_s=_per_s(lambda: granted(template.token(request, facts))),
        signatures_per_s=_per_s(lambda: signer.sign(message)),
    )


def _per_s(call: Callable[[], object]) -> float:
    began, done = time.perf_counter_ns(), 0
    while (passed := time.perf_counter_ns() - began) < MEASURE_NS:
        for _ in range(_ROUND):
            call()
        done += _ROUND
    return done * 1_000_000_000 / passed
