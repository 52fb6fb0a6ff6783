"""The queue of a timestamp unit: whose imprints are entered when, and what those hear who get no token."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from chainnode.keystore.signer import local_signer
from chainnode.model import calls
from chainnode.model.errors import Unavailable
from chainnode.model.keys import KeyPurpose
from chainnode.model.suites import ED25519_SHA256, suite_named
from chainnode.pki.pem import parse_bundle
from chainnode.rpc.methods import _status
from chainnode.rpc.tsa_endpoint import TsaEndpoint
from chainnode.services.own_account import OwnAccount
from chainnode.services.timestamping import (
    LOOK_MS,
    MAX_LIST,
    MAX_UNDER_WAY,
    SLOW_MS,
    TIMEOUT_MS,
    TimestampCollector,
    Timestamping,
    TimestampUnit,
)
from chainnode.tsp.request import Failure, RequestRejected, decode_request
from chainnode.tsp.token import TokenTemplate
from tests.support.certificates import DAY_MS, NOW_MS, authority
from tests.support.chain import ADMIN, ARCHIVE, CLERK
from tests.support.rpc import make_node
from tests.support.timestamps import POLICY, request_about

SHA256 = suite_named(ED25519_SHA256).hash


class Units:
    """A unit that the test changes."""

    def __init__(self):
        self.certificate = authority().leaf
        self.refusal = None

    def unit(self):
        if self.refusal is not None:
            raise self.refusal
        made = authority()
        return TimestampUnit(
            certificate=self.certificate,
            fingerprint=SHA256(self.certificate.encoded),
            chain=(made.issuing,),
            template=TokenTemplate(
                signer=made.leaf_signer, certificate=self.certificate, chain=(), policy=POLICY
            ),
        )


class Served:
    """A unit on a node whose blocks the test decides."""

    def __init__(self):
        self.node = make_node()
        self.node.commits.attach(lambda: None)
        self.node.clock.wall_ms = NOW_MS
        self.units = Units()
        self.reason = None
        keys = self.node.chain.accounts[CLERK]
        signer = local_signer(
            name="node", suite=keys.suite, purpose=KeyPurpose.ACCOUNT, private_key=keys.private
        )
        self.service = Timestamping(
            units=self.units,
            own_account=OwnAccount(
                name=CLERK,
                signers=(signer,),
                ledger=self.node.ledger,
                submission=self.node.services.submission,
            ),
            ledger=self.node.ledger,
            reason_not_vouching=lambda: self.reason,
            clock=self.node.clock,
        )
        self.heard = []
        self._numbers = itertools.count()
        made = authority()
        self.decide(
            ADMIN,
            calls.admit_authority(
                "city",
                title="市",
                standing="internal",
                operator=ADMIN,
                chain=[made.issuing.encoded, made.root.encoded],
            ),
        )
        self.enter("city")

    def decide(self, sender, *wanted):
        """Have a block of one transaction decided; whether it succeeds is said."""
        number = next(self._numbers)
        self.node.engine.commit(
            [self.node.chain.transaction(wanted, sender=sender, nonce=f"authority {number}")]
        )

    def enter(self, name, *, owner=CLERK):
        certificate = self.units.certificate
        self.decide(
            ADMIN,
            calls.enter_certificate(
                name,
                purpose=KeyPurpose.TIMESTAMP,
                owner=owner,
                not_before_ms=certificate.not_before_ms,
                not_after_ms=certificate.not_after_ms,
                certificate=certificate.encoded,
            ),
        )

    def revoke(self, name):
        fingerprint = SHA256(self.units.certificate.encoded)
        self.decide(ADMIN, calls.revoke_certificate(name, fingerprint, "compromised"))

    def refused(self):
        """What whoever asks now is told."""
        with pytest.raises(RequestRejected) as caught:
            self.ask()
        assert caught.value.failure is Failure.SYSTEM_FAILURE
        assert self.lists == []
        assert self.service.problem == caught.value.message
        return caught.value.message

    def ask(self, count=1, *, is_gone=lambda: False):
        for _ in range(count):
            request = decode_request(request_about(f"document {next(self._numbers)}"))
            self.service.stamp(request, self.heard.append, is_gone=is_gone)

    def pass_ms(self, milliseconds):
        self.node.clock.advance(milliseconds)
        self.node.commits.tick()
        self.service.tick()

    @property
    def lists(self):
        """Imprints of each list that waits for a block."""
        return [len(tx.body.calls[0].args[3]) for tx in self.node.engine.pool.values()]

    @property
    def failures(self):
        return [one.failure for one in self.heard]


def admitted(name, *chain):
    return calls.admit_authority(
        name, title="市", standing="internal", operator=ADMIN, chain=list(chain)
    )


@pytest.fixture
def served():
    return Served()


def test_a_lone_imprint_goes_at_once_and_those_behind_it_together(served):
    served.ask()
    served.ask(7)
    assert served.lists == [1]
    assert served.service.waiting_count == 8
    served.pass_ms(SLOW_MS)
    assert served.lists == [1, 7]


def test_a_full_list_does_not_wait(served):
    served.ask(1 + MAX_LIST)
    assert served.lists == [1, MAX_LIST]


def test_what_the_chain_refuses_gets_no_token_and_the_next_list_goes(served):
    # It has no contract that would take them.
    served.ask()
    served.ask(3)
    served.node.engine.commit()
    served.node.commits.publish()
    assert served.failures == [Failure.SYSTEM_FAILURE]
    assert served.heard[0].message.startswith("the chain refused the imprint: ")
    assert served.lists == [3]


def test_an_imprint_that_no_block_takes_in_time_has_no_time(served):
    served.ask()
    served.pass_ms(TIMEOUT_MS)
    served.pass_ms(1)
    assert served.failures == [Failure.TIME_NOT_AVAILABLE]
    assert served.service.waiting_count == 0


def test_while_no_block_comes_the_queue_is_told_so_too(served):
    for _ in range(MAX_UNDER_WAY):
        served.ask()
        served.pass_ms(SLOW_MS)
    served.ask(5)
    served.pass_ms(SLOW_MS)
    assert len(served.lists) == MAX_UNDER_WAY
    for _ in range(2 * TIMEOUT_MS // SLOW_MS):
        served.pass_ms(SLOW_MS)
    assert len(served.heard) == MAX_UNDER_WAY + 5
    assert set(served.failures) == {Failure.TIME_NOT_AVAILABLE}
    assert served.service.waiting_count == 0


def test_those_who_are_gone_do_not_fill_the_queue(served):
    for _ in range(MAX_UNDER_WAY):
        served.ask()
        served.pass_ms(SLOW_MS)
    is_gone = False
    served.ask(900, is_gone=lambda: is_gone)
    is_gone = True
    assert served.service.waiting_count == MAX_UNDER_WAY + 900
    served.pass_ms(1)
    assert served.service.waiting_count == MAX_UNDER_WAY
    assert served.heard == []


@pytest.mark.parametrize(
    ("moment_ms", "is_refused"),
    [
        (NOW_MS, False),
        (NOW_MS + 365 * DAY_MS, False),
        (NOW_MS + 366 * DAY_MS, True),
        (NOW_MS - 11 * DAY_MS, True),
    ],
)
def test_a_unit_outside_of_its_certificates_time_signs_nothing(served, moment_ms, is_refused):
    served.node.clock.wall_ms = moment_ms
    if is_refused:
        with pytest.raises(RequestRejected) as caught:
            served.ask()
        assert caught.value.failure is Failure.SYSTEM_FAILURE
        assert "chainnode ca request" in caught.value.message
    else:
        served.ask()
    assert served.lists == [1] * (not is_refused)
    # Tokens outlive it, so whoever verifies one still gets it.
    answer = TsaEndpoint({"p256": served.service}, default="p256")._certificate("p256.pem")
    assert (answer.status, parse_bundle(answer.body)[0]) == (200, authority().leaf)


def test_a_unit_whose_key_is_used_up_signs_nothing_though_its_certificate_counts(served):
    leaf = authority().leaf
    used_up = replace(leaf.extensions, key_used_until_ms=NOW_MS - 1)
    served.units.certificate = replace(leaf, extensions=used_up)
    with pytest.raises(RequestRejected) as caught:
        served.ask()
    assert caught.value.failure is Failure.SYSTEM_FAILURE


def test_a_unit_that_ends_while_imprints_wait_tells_them(served):
    served.ask()
    served.ask(2)
    served.units.refusal = Unavailable("gone", code="no_timestamp_unit")
    served.pass_ms(SLOW_MS)
    assert served.failures == [Failure.SYSTEM_FAILURE] * 2
    assert served.lists == [1]


def test_a_revoked_certificate_is_seen_in_the_state_before_anything_is_sent(served):
    assert served.service.problem is None
    served.revoke("city")
    said = served.refused()
    assert "revoked by city" in said
    assert "compromised" in said
    assert "chainnode ca request" in said
    # What verifies earlier tokens stays to be had.
    assert served.service.certificates() == (served.units.certificate, authority().issuing)


@pytest.mark.parametrize("is_revoked", [False, True])
def test_metrics_and_status_show_a_certificate_that_counts_no_more(served, is_revoked):
    if is_revoked:
        served.revoke("city")
    families = TimestampCollector({"p256": served.service}).collect()
    (counts,) = [f for f in families if f.name == "chainnode_timestamp_certificate_counts"]
    assert [sample.value for sample in counts.samples] == [not is_revoked]
    served.node.services.timestamp_units["p256"] = served.service
    (unit,) = _status(served.node.services)["timestamp_units"]
    assert unit["end_ms"] == authority().leaf.not_after_ms
    assert (unit["problem"] is not None) == is_revoked


def test_a_dismissed_authority_another_owner_and_an_unknown_certificate_are_named(served):
    served.units.certificate = authority().issue()
    assert "no authority of the chain has entered" in served.refused()
    served.enter("city", owner=ARCHIVE)
    assert f"that of {ARCHIVE}" in served.refused()
    served.units.certificate = authority().leaf
    served.decide(ADMIN, calls.dismiss_authority("city"))
    assert "was dismissed" in served.refused()


def test_what_other_authorities_say_of_a_certificate_neither_ends_nor_saves_it(served):
    admit = calls.admit_authority(
        "alien", title="市", standing="internal", operator=ADMIN, chain=[b"no certificate"]
    )
    served.decide(ADMIN, admit)
    served.enter("alien")
    served.revoke("alien")
    served.ask()
    (transaction,) = served.node.engine.pool.values()
    assert transaction.body.calls[0].args[0] == "city"
    other = Served()
    other.decide(ADMIN, admit)
    other.enter("alien")
    other.revoke("city")
    assert "revoked by city" in other.refused()


@pytest.mark.parametrize("is_revoked", [False, True])
def test_an_authority_that_has_changed_its_key_is_still_heard_of_what_it_issued_before(is_revoked):
    served = Served()
    served.decide(ADMIN, admitted("alien", b"no certificate"))
    served.enter("alien")
    served.revoke("city" if is_revoked else "alien")
    served.decide(ADMIN, admitted("city", authority().rekeyed().encoded, authority().root.encoded))
    if is_revoked:
        assert "revoked by city" in served.refused()
        return
    served.ask()
    (transaction,) = served.node.engine.pool.values()
    assert transaction.body.calls[0].args[0] == "city"


def test_a_dismissed_authority_is_not_said_to_have_issued_what_it_has_entered():
    served = Served()
    served.units.certificate = authority().issue()
    served.decide(ADMIN, admitted("alien", b"no certificate"))
    served.enter("alien")
    served.decide(ADMIN, calls.dismiss_authority("alien"))
    assert "alien, which has entered the timestamp unit's certificate, was" in served.refused()


def test_a_node_that_cannot_vouch_for_the_time_enters_nothing(served):
    served.reason = "the clock is wrong"
    with pytest.raises(RequestRejected) as caught:
        served.ask()
    assert (caught.value.failure, caught.value.message) == (
        Failure.TIME_NOT_AVAILABLE,
        "the clock is wrong",
    )
    assert served.lists == []
    served.reason = None
    served.pass_ms(LOOK_MS)
    served.ask()
    assert served.lists == [1]


def test_an_overloaded_node_refuses_the_list(served):
    served.node.engine.refusal = Unavailable("full", code="overloaded")
    served.ask()
    assert served.failures == [Failure.SYSTEM_FAILURE]
    assert served.service.waiting_count == 0
