"""The registry of digest algorithms: who changes it, from when a closure counts, and what never changes."""

from __future__ import annotations

import pytest

from chainnode.model import calls
from chainnode.model.algorithms import STATE_KEY, AlgorithmStatus, decode_registry
from chainnode.model.commitment import DIGEST_BYTES, Digest
from chainnode.model.record import decode_record
from chainnode.model.transaction import Call
from contracts.query import algorithm_registry
from tests.support.contracts import Chain

ADMIN, CLERK = "justice/admin", "justice/clerk"


@pytest.fixture
def chain() -> Chain:
    return Chain()


def register(*algorithms: str) -> Call:
    digests = tuple(Digest(algorithm=a, value=bytes(DIGEST_BYTES[a])) for a in algorithms)
    return calls.register_documents([calls.Document(digests=digests)], seed=None)


def status(chain: Chain, name: str, height: int) -> AlgorithmStatus:
    return algorithm_registry(chain.state).get(name).status_at(height)


def test_all_algorithms_are_accepted_at_first_and_there_is_no_state(chain):
    assert STATE_KEY not in chain.state
    assert {status(chain, name, 1) for name in DIGEST_BYTES} == {AlgorithmStatus.ACCEPTED}
    assert chain.send(CLERK, register("sha256", "sha384", "sm3")) == ""
    assert chain.send(CLERK, register("sha512")) == ""


def test_a_deprecated_algorithm_is_still_taken(chain):
    assert chain.send(ADMIN, calls.deprecate_algorithm("sha256")) == ""
    assert status(chain, "sha256", chain.height + 1) is AlgorithmStatus.DEPRECATED
    assert chain.send(CLERK, register("sha256")) == ""
    assert chain.send(ADMIN, calls.deprecate_algorithm("sha256")) == "already_deprecated"
    assert chain.send(ADMIN, calls.accept_algorithm("sha256")) == ""
    assert status(chain, "sha256", chain.height + 1) is AlgorithmStatus.ACCEPTED
    assert chain.send(ADMIN, calls.accept_algorithm("sha256")) == "already_accepted"


def test_a_closure_counts_from_its_height_on_and_for_ever(chain):
    first_closed = chain.height + 3
    assert chain.send(ADMIN, calls.close_algorithm("sm3", from_height=first_closed)) == ""
    body = decode_record(chain.log[-1]).body
    assert body == ("algorithm-closing", "sm3", first_closed)
    assert status(chain, "sm3", first_closed - 1) is AlgorithmStatus.DEPRECATED
    assert status(chain, "sm3", first_closed) is AlgorithmStatus.CLOSED
    assert chain.send(CLERK, register("sha256", "sm3")) == ""
    assert chain.height == first_closed - 1
    assert chain.send(CLERK, register("sha256", "sm3")) == "algorithm_closed"
    assert chain.last.receipts[0].message == (
        "call 0 (notary.register): algorithm: sm3 is closed to new records; use another one"
    )
    assert chain.send(CLERK, register("sha256")) == ""
    for call in (
        calls.accept_algorithm("sm3"),
        calls.deprecate_algorithm("sm3"),
        calls.close_algorithm("sm3", from_height=first_closed + 100),
    ):
        assert chain.send(ADMIN, call) == "algorithm_closed"


def test_an_announced_closure_can_be_moved_and_taken_back(chain):
    assert chain.send(ADMIN, calls.close_algorithm("sm3", from_height=3)) == ""
    assert chain.send(ADMIN, calls.close_algorithm("sm3", from_height=9)) == ""
    assert chain.send(CLERK, register("sm3")) == ""
    assert chain.send(ADMIN, calls.accept_algorithm("sm3")) == ""
    assert status(chain, "sm3", 9) is AlgorithmStatus.ACCEPTED


@pytest.mark.parametrize("height", [0, 1])
def test_a_closure_is_announced_ahead(chain, height):
    assert chain.send(ADMIN, calls.close_algorithm("sm3", from_height=height)) == "not_ahead"


def test_one_algorithm_stays(chain):
    for name in ("sha256", "sha384", "sha512"):
        assert chain.send(ADMIN, calls.close_algorithm(name, from_height=50)) == ""
    assert chain.send(ADMIN, calls.close_algorithm("sm3", from_height=50)) == "last_algorithm"


@pytest.mark.parametrize(
    "call",
    [
        calls.deprecate_algorithm("sm3"),
        calls.accept_algorithm("sm3"),
        calls.close_algorithm("sm3", from_height=9),
    ],
)
def test_only_administrators_change_it(chain, call):
    for sender in (CLERK, "archive/boss"):
        assert chain.send(sender, call) == "missing_role"


@pytest.mark.parametrize(
    ("method", "args", "code"),
    [
        ("close", ("sm3",), "malformed"),
        ("close", ("sm3", "9"), "malformed"),
        ("close", ("sm3", -1), "malformed"),
        ("close", ("md5", 9), "unknown_algorithm"),
        ("deprecate", (), "malformed"),
        ("deprecate", (7,), "malformed"),
        ("accept", ("md5",), "unknown_algorithm"),
    ],
)
def test_other_arguments_are_refused(chain, method, args, code):
    assert chain.send(ADMIN, Call(contract="algorithms", method=method, args=args)) == code


def test_the_state_lists_what_was_changed(chain):
    chain.send(ADMIN, calls.close_algorithm("sm3", from_height=9))
    chain.send(ADMIN, calls.deprecate_algorithm("sha256"))
    registry = decode_registry(chain.state[STATE_KEY])
    assert [(a.name, a.is_deprecated, a.closed_from) for a in registry.algorithms] == [
        ("sha256", True, 0),
        ("sm3", True, 9),
    ]
