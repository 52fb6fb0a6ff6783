"""A process that asks one node for timestamps over HTTP (`http_load.py`)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from chainnode.tsp.request import make_request
from devnet.bench.http_load import be_client
from devnet.bench.keep_alive import post
from devnet.bench.workload import Number, digests_of

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from chainnode.model.commitment import Digest
    from devnet.bench.http_load import Heard, HttpJob

_NONCE_BYTES: Final = 8
_OK: Final = 200
_GRANTED: Final = b"\x30\x03\x02\x01\x00"
"""PKIStatusInfo of a response with a token."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A token, as it came."""

    number: Number
    response: bytes = field(repr=False)
    begun_ns: int
    """When the request was sent or, at a fixed rate, should have been. Monotonic clock."""

    answered_ns: int


@dataclass(slots=True)
class TimestampOutcome:
    """What came back."""

    granted: list[Answer] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    """Answers without a token, by HTTP status or `rejected`; `no_answer`, `disconnected`."""

    ran_out: bool = False
    """Whether there were too few requests to keep the load up."""


def imprint_of(number: Number) -> Digest:
    """Return what a request of the measurement is about."""
    return digests_of(number, 0)[0]


def nonce_of(number: Number) -> int:
    """Return its nonce."""
    return int.from_bytes(digests_of(number, 0, 2)[1].value[:_NONCE_BYTES], "big")


def request_of(number: Number) -> bytes:
    """Return the request (TimeStampReq in DER)."""
    return make_request(imprint_of(number), nonce=nonce_of(number))


def http_request(url: str, number: Number) -> bytes:
    """Return the request as it is posted."""
    return post(url, request_of(number), "Content-Type: application/timestamp-query")


def main(job: HttpJob, parent: Connection) -> None:
    """Be a client."""
    requests = [
        http_request(job.url, Number(job.number, sequence)) for sequence in range(job.count)
    ]
    be_client(job, parent, requests, lambda heard: outcome_of(job.number, heard))


def outcome_of(client: int, heard: Heard) -> TimestampOutcome:
    """Read what a client has heard."""
    outcome = TimestampOutcome(refused=Counter(heard.missing), ran_out=heard.ran_out)
    for one in heard.answers:
        if one.status != _OK:
            outcome.refused[str(one.status)] += 1
        elif _GRANTED not in one.body[:16]:
            outcome.refused["rejected"] += 1
        else:
            number = Number(client, one.sequence)
            outcome.granted.append(Answer(number, one.body, one.begun_ns, one.answered_ns))
    return outcome
