"""A process that hands digests to one node's gateway, one by one, and waits for each to be committed (`http_load.py`)."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from devnet.bench.http_load import be_client
from devnet.bench.keep_alive import post
from devnet.bench.workload import Number, digests_of

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from devnet.bench.http_load import Heard, HttpJob

_OK: Final = 200
_COMMITTED: Final = "committed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """A document that is committed, as the client heard it."""

    number: Number
    id: str
    tx_id: str
    index: int
    """Of its record in the log."""

    height: int
    begun_ns: int
    """When it was sent or, at a fixed rate, should have been. Monotonic clock."""

    answered_ns: int


@dataclass(slots=True)
class GatewayOutcome:
    """What came back."""

    committed: list[Committed] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    """Other answers, by the code of the error, by status if they are none; `no_answer`, `disconnected`."""

    ran_out: bool = False
    """Whether there were too few requests to keep the load up."""


def http_request(job: HttpJob, number: Number) -> bytes:
    """Return the request as it is posted: with a key, as a system that asks again would."""
    digests = {
        digest.algorithm: digest.value.hex() for digest in digests_of(number, 0, job.plan.digests)
    }
    return post(
        job.url,
        json.dumps({"digests": digests, "wait": "committed"}).encode(),
        "Content-Type: application/json",
        f"Authorization: Bearer {job.token}",
        f"Idempotency-Key: {number.client}-{number.sequence}",
    )


def main(job: HttpJob, parent: Connection) -> None:
    """Be a client."""
    requests = [http_request(job, Number(job.number, sequence)) for sequence in range(job.count)]
    be_client(job, parent, requests, lambda heard: outcome_of(job.number, heard))


def outcome_of(client: int, heard: Heard) -> GatewayOutcome:
    """Read what a client has heard."""
    outcome = GatewayOutcome(refused=Counter(heard.missing), ran_out=heard.ran_out)
    for one in heard.answers:
        answer = json.loads(one.body)
        if one.status != _OK or answer["status"] != _COMMITTED:
            error = answer.get("error")
            outcome.refused[answer["status"] if error is None else error["code"]] += 1
            continue
        outcome.committed.append(
            Committed(
                number=Number(client, one.sequence),
                id=answer["id"],
                tx_id=answer["tx_id"],
                index=answer["index"],
                height=answer["height"],
                begun_ns=one.begun_ns,
                answered_ns=one.answered_ns,
            )
        )
    return outcome
