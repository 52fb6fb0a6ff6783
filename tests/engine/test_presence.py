"""Two processes of one validator find out about each other and stop; nobody else is ever stopped."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chainnode.engine import presence as presence_module
from chainnode.engine.message_codec import decode_message
from chainnode.engine.messages import (
    MAX_CHALLENGES,
    CloneMessage,
    HeardMessage,
    Message,
    PresenceMessage,
    TransactionsMessage,
    UnknownMessage,
    Vote,
)
from chainnode.engine.presence import (
    FAREWELL_MS,
    KEPT_MS,
    PRESENCE_EVERY_MS,
    SIGN_EVERY_MS,
    VERIFY_EVERY_MS,
)
from chainnode.engine.unknown_kinds import NOTE_EVERY_MS
from chainnode.model import codec
from chainnode.model.errors import ChainError, CloneFound, PeerFault
from chainnode.model.presence import presence_message
from tests.support.chain import Chain, make_chain, random_bytes
from tests.support.engine_bench import CHAIN, NAMES, EngineBench, HeldVerifier

X, P, Q = NAMES[:3]
ONE, OTHER, THIRD = (random_bytes(f"process {i}") for i in range(3))


def process(challenge: bytes, me: int = 0, chain: Chain = CHAIN) -> EngineBench:
    return EngineBench(me, challenge=challenge, chain=chain)


def clone(
    challenge: bytes = OTHER, shown: tuple[bytes, ...] = (ONE,), signer: int = 0
) -> CloneMessage:
    """Return what a process with the keys of X signs when it is shown challenges."""
    shown = tuple(sorted(shown))
    signed = presence_message(CHAIN.genesis.domain, challenge, shown)
    return CloneMessage(
        validator=NAMES[signer],
        challenge=challenge,
        shown=shown,
        signature=CHAIN.validators[signer].consensus.sign(signed),
    )


def shown_to(bench: EngineBench, peer: str) -> list[PresenceMessage]:
    return [m for to, m in bench.sent(PresenceMessage) if to == peer]


def link(one: EngineBench, other: EngineBench) -> None:
    """Connect two for as long as they have something to say of their presence."""
    names = {id(one): one.name, id(other): other.name}
    one.engine.link(other.name, is_up=True)
    other.engine.link(one.name, is_up=True)
    said = True
    while said:
        said = False
        for sender, receiver in ((one, other), (other, one)):
            to_all: list[tuple[str | None, Message]] = [
                *sender.sent(PresenceMessage),
                *sender.sent(CloneMessage),
            ]
            for to, message in to_all:
                if to in {None, names[id(receiver)]}:
                    receiver.receive(sender.name, message)
                    said = True


def unlink(one: EngineBench, other: EngineBench) -> None:
    one.engine.link(other.name, is_up=False)
    other.engine.link(one.name, is_up=False)


def pass_ms(ms: int, *benches: EngineBench) -> None:
    for bench in benches:
        bench.pass_ms(ms)


# -- two processes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("suite", ["ed25519-sha256", "sm2-sm3"])
def test_two_processes_that_push_each_other_from_one_link_both_find_out_and_stop(
    suite: str,
) -> None:
    chain = make_chain(suite=suite)
    peer = process(THIRD, me=1, chain=chain)
    one, other = process(ONE, chain=chain), process(OTHER, chain=chain)
    link(one, peer)
    pass_ms(100, peer, one, other)
    unlink(one, peer)
    link(other, peer)
    pass_ms(100, peer, one, other)
    unlink(other, peer)
    link(one, peer)
    pass_ms(100, peer, one, other)
    unlink(one, peer)
    link(other, peer)
    for bench in (one, other):
        assert bench.witness.names().count("clone_found") == 1
        with pytest.raises(
            CloneFound, match=f"keys of validator {one.name}: .*through {peer.name}"
        ):
            bench.pass_ms(FAREWELL_MS)
    assert ("peer_runs_twice", {"peer": one.name}) in peer.witness.events


def test_the_proof_is_handed_on_whenever_the_other_is_linked_and_for_a_while_only() -> None:
    peer = process(THIRD, me=1)
    proof = clone()
    peer.receive(X, proof)
    for _ in range(3):
        peer.engine.link(X, is_up=True)
        assert peer.sent(CloneMessage) == [(X, proof)]
        peer.pass_ms(PRESENCE_EVERY_MS)
        assert set(peer.sent(CloneMessage)) == {(X, proof)}
        peer.engine.link(X, is_up=False)
    peer.pass_ms(KEPT_MS)
    peer.engine.link(X, is_up=True)
    assert not peer.sent(CloneMessage)


def test_a_process_that_is_shown_another_challenge_signs_it_with_its_own() -> None:
    bench = process(ONE)
    bench.receive(P, PresenceMessage(THIRD, tuple(sorted((ONE, OTHER)))))
    assert bench.sent(CloneMessage) == [(P, clone(challenge=ONE, shown=(OTHER,)))]


def test_what_is_signed_is_as_documented() -> None:
    domain = CHAIN.genesis.domain
    expected = b"chainnode/1 presence\0" + domain.genesis_hash + ONE + OTHER + THIRD
    assert presence_message(domain, ONE, (OTHER, THIRD)) == expected


def test_a_process_never_signs_its_own_challenge() -> None:
    bench = process(ONE)
    bench.receive(P, PresenceMessage(THIRD, (ONE,)))
    assert not bench.sent(CloneMessage)


def test_a_process_with_the_proof_answers_at_once_says_nothing_more_and_stops_by_itself() -> None:
    bench = process(ONE)
    bench.engine.link(P, is_up=True)
    bench.receive(P, clone())
    answer = clone(challenge=ONE, shown=(OTHER,))
    assert bench.sent(CloneMessage) == [(None, answer)]
    bench.network.said.clear()
    executed = bench.block()
    bench.receive(P, bench.proposal(executed, sender=1))
    bench.receive(P, PresenceMessage(THIRD, (OTHER,)))
    bench.pass_ms(FAREWELL_MS - 1)
    with pytest.raises(ChainError, match="about to stop"):
        bench.engine.submit(CHAIN.notarization("a").envelope, lambda _: None)
    assert not bench.network.said
    bench.engine.link(Q, is_up=True)
    assert bench.network.said
    assert {(to, m) for to, m, _ in bench.network.said} == {(Q, answer)}
    with pytest.raises(CloneFound, match="make sure that it stays off"):
        bench.pass_ms(1)


@pytest.mark.parametrize("is_found", [False, True])
def test_a_verdict_that_comes_after_the_proof_leads_to_no_vote(is_found: bool) -> None:
    """Signatures of transactions are checked elsewhere; that may be under way when the proof comes."""
    verifier = HeldVerifier()
    bench = EngineBench(0, challenge=ONE, verifier=verifier)
    transaction = CHAIN.notarization("a")
    bench.receive(P, bench.proposal(bench.block([transaction])))
    bench.receive(P, TransactionsMessage((transaction.envelope,)))
    if is_found:
        bench.receive(P, clone())
    verifier.release()
    assert bool(bench.sent(Vote)) is not is_found


# -- by way of two peers -----------------------------------------------------------------------------------


def test_peers_report_whom_they_hear_and_show_what_others_reported() -> None:
    bench = process(THIRD, me=1)
    for peer in (X, Q):
        bench.engine.link(peer, is_up=True)
    bench.receive(X, PresenceMessage(ONE, ()))
    bench.receive(Q, HeardMessage(tuple(sorted(((X, OTHER), (P, ONE), (Q, ONE), ("nobody", ONE))))))
    bench.pass_ms(PRESENCE_EVERY_MS)
    assert (Q, HeardMessage(((X, ONE),))) in bench.sent(HeardMessage)
    heard = {to: m.heard for to, m in bench.sent(PresenceMessage)}
    # What Q says of itself or of us counts for nothing; it is linked with us and shows itself.
    assert heard == {X: tuple(sorted((ONE, OTHER))), Q: ()}
    bench.pass_ms(KEPT_MS)
    bench.sent(HeardMessage)
    bench.pass_ms(PRESENCE_EVERY_MS)
    assert {m for _, m in bench.sent(HeardMessage)} == {HeardMessage(())}


def test_a_proof_goes_from_its_signer_to_all_and_from_others_to_its_addressee_alone() -> None:
    bench = process(THIRD, me=1)
    for peer in (X, Q):
        bench.engine.link(peer, is_up=True)
    bench.receive(X, clone())
    assert bench.sent(CloneMessage) == [(Q, clone())]
    bench.receive(X, PresenceMessage(ONE, ()))
    other = clone(challenge=THIRD)
    bench.receive(Q, other)
    assert bench.sent(CloneMessage) == [(X, other)]
    # Said again at once, it is not passed on again.
    bench.pass_ms(VERIFY_EVERY_MS)
    bench.sent(CloneMessage)
    bench.receive(X, clone())
    bench.receive(Q, other)
    assert not bench.sent(CloneMessage)


# -- nobody else -------------------------------------------------------------------------------------------


def test_a_restart_is_not_stopped_by_what_its_earlier_life_has_said() -> None:
    peer, earlier, later = process(THIRD, me=1), process(ONE), process(OTHER)
    link(earlier, peer)
    pass_ms(500, peer)
    unlink(earlier, peer)
    for _ in range(3):
        link(later, peer)
        pass_ms(2_000, peer, later)
        unlink(later, peer)
    # Its answer to the challenge of its earlier life came back to it each time.
    assert "clone_found" not in later.witness.names()
    assert "peer_runs_twice" not in peer.witness.names()


@pytest.mark.parametrize("lie", ["other key", "other chain", "other challenge", "not bytes of it"])
def test_a_forged_proof_stops_nobody_and_costs_whoever_brings_it(lie: str) -> None:
    bench = process(ONE)
    good = clone()
    forged = {
        "other key": replace(good, signature=clone(signer=1).signature),
        "other chain": replace(
            good,
            signature=CHAIN.validators[0].consensus.sign(
                presence_message(make_chain(chain_id="other").genesis.domain, OTHER, (ONE,))
            ),
        ),
        "other challenge": replace(good, challenge=THIRD),
        "not bytes of it": replace(good, signature=bytes(64)),
    }[lie]
    with pytest.raises(PeerFault, match="does not hold"):
        bench.receive(P, forged)
    bench.pass_ms(2 * FAREWELL_MS)
    assert "clone_found" not in bench.witness.names()


def test_a_peer_that_has_us_sign_what_it_likes_cannot_turn_that_against_us() -> None:
    """Whatever it shows, what it gets names our challenge as the signer's: never as one that was shown."""
    bench = process(ONE)
    for number in range(20):
        bench.receive(P, PresenceMessage(THIRD, (random_bytes(f"made up {number}"),)))
        bench.pass_ms(SIGN_EVERY_MS)
        for _, answer in bench.sent(CloneMessage):
            bench.receive(P, answer)
    bench.pass_ms(2 * FAREWELL_MS)
    assert "clone_found" not in bench.witness.names()


def test_a_proof_that_concerns_nobody_heard_here_is_not_even_verified() -> None:
    bench = process(THIRD, me=1)
    bench.receive(Q, replace(clone(), signature=bytes(64)))
    bench.receive(Q, replace(clone(), validator="nobody"))
    bench.engine.link(X, is_up=True)
    assert not bench.sent(CloneMessage)


def test_a_forged_proof_that_is_passed_on_costs_whoever_passes_it() -> None:
    bench = process(THIRD, me=1)
    bench.receive(X, PresenceMessage(ONE, ()))
    with pytest.raises(PeerFault, match="does not hold"):
        bench.receive(Q, replace(clone(), signature=bytes(64)))


def test_a_validator_that_signs_badly_pays_for_it() -> None:
    bench = process(ONE, me=1)
    with pytest.raises(PeerFault, match="does not hold"):
        bench.receive(X, replace(clone(), signature=bytes(64)))


# -- bounds ------------------------------------------------------------------------------------------------


def test_being_shown_challenges_costs_a_signature_now_and_then_only() -> None:
    bench = process(ONE)
    for number in range(100):
        bench.receive(P, PresenceMessage(THIRD, (random_bytes(f"made up {number}"),)))
    assert len(bench.sent(CloneMessage)) == 1
    bench.receive(Q, PresenceMessage(THIRD, (OTHER,)))
    assert len(bench.sent(CloneMessage)) == 1


def test_a_few_challenges_and_proofs_of_each_validator_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = process(THIRD, me=1)
    verified = []
    genuine = presence_module.presence_message

    def counted(*args: object) -> bytes:
        verified.append(args)
        return genuine(*args)  # type: ignore[arg-type]

    made = [clone(challenge=random_bytes(f"proof {n}")) for n in range(10)]
    monkeypatch.setattr(presence_module, "presence_message", counted)
    for number in range(200):
        bench.receive(X, PresenceMessage(random_bytes(f"drawn {number}"), ()))
        bench.receive(X, made[0])
    assert len(verified) == 1
    for proof in made:
        bench.pass_ms(VERIFY_EVERY_MS)
        bench.receive(X, proof)
    bench.sent(PresenceMessage)
    bench.engine.link(X, is_up=True)
    (presence,) = shown_to(bench, X)
    assert set(presence.heard) == {random_bytes(f"drawn {n}") for n in range(196, 200)}
    assert [m for _, m in bench.sent(CloneMessage)] == made[-MAX_CHALLENGES:]


def test_presence_goes_to_each_linked_peer_at_once_and_then_regularly() -> None:
    bench = process(ONE)
    bench.engine.link(P, is_up=True)
    assert bench.sent(PresenceMessage) == [(P, PresenceMessage(ONE, ()))]
    bench.engine.link(Q, is_up=True)
    bench.sent(PresenceMessage)
    bench.pass_ms(10 * PRESENCE_EVERY_MS)
    sent = bench.sent(PresenceMessage)
    assert {to for to, _ in sent} == {P, Q}
    assert 18 <= len(sent) <= 22


# -- what a newer version says -----------------------------------------------------------------------------


def test_a_message_of_an_unknown_kind_is_ignored_counted_and_said_now_and_then() -> None:
    bench = process(ONE)
    data = codec.encode((99, "whatever", (1, None)))
    assert isinstance(decode_message(data), UnknownMessage)
    for _ in range(50):
        bench.engine.receive(P, data, 0)
    assert bench.engine.status().unknown_messages == 50
    assert bench.witness.events == [("message_ignored", {"peer": P, "kind": 99, "total": 1})]
    bench.pass_ms(NOTE_EVERY_MS)
    bench.engine.receive(P, data, 0)
    assert bench.witness.names().count("message_ignored") == 2


@pytest.mark.parametrize("data", [b"\x91\xcc\x80", b"\x92\x63", b"\x92\xcc\x63\x00", b"\x63"])
def test_what_no_version_would_say_is_a_fault(data: bytes) -> None:
    with pytest.raises(PeerFault, match="no message"):
        process(ONE).engine.receive(P, data, 0)
