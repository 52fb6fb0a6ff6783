"""The OpenTimestamps calendar on a real ledger whose engine decides when told."""

import hashlib

import pytest
from prometheus_client import CollectorRegistry

from chainnode.keystore.signer import local_signer
from chainnode.model import ots
from chainnode.model.calls import Document, register_documents, revoke_role
from chainnode.model.commitment import Digest
from chainnode.model.errors import NotFound, Unavailable
from chainnode.model.keys import KeyPurpose
from chainnode.model.roles import Role
from chainnode.services import calendar as calendar_service
from chainnode.services import notary
from chainnode.services.calendar import SAME_MS, Calendar, tree_of
from chainnode.services.gateway import Gateway
from chainnode.services.gateway_journal import GatewayJournal
from chainnode.services.gateway_metrics import CalendarCollector
from chainnode.services.own_account import OwnAccount
from chainnode.storage.append_file import MemoryFile
from tests.support.chain import ADMIN, ARCHIVE, CLERK
from tests.support.rpc import make_node

URI = "https://a.example/ots/"


def open_calendar(node, file, *, account=CLERK):
    """A calendar, and the functions that it has put off."""
    keys = node.chain.accounts[CLERK]
    signer = local_signer(
        name="k", suite=keys.suite, purpose=KeyPurpose.ACCOUNT, private_key=keys.private
    )
    own = OwnAccount(
        name=CLERK, signers=[signer], ledger=node.ledger, submission=node.services.submission
    )
    later = []
    gateway = Gateway(
        services=node.services,
        own_account=own,
        journal=GatewayJournal(file, node.chain.genesis.domain),
        clock=node.clock,
        defer=later.append,
    )
    made = Calendar(
        uri=URI, account=account, gateway=gateway, services=node.services, defer=later.append
    )
    return made, gateway, later


def do(later):
    while later:
        later.pop(0)()


def attestations(digest, timestamp):
    data = ots.MAGIC + b"\x01\x08" + digest + timestamp
    return ots.decode_timestamp_file(data).attestations


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 13])
def test_every_leaf_leads_to_the_root(count):
    leaves = [hashlib.sha256(bytes((n,))).digest() for n in range(count)]
    root, paths = tree_of(leaves)
    for leaf, path in zip(leaves, paths, strict=True):
        (reached,) = attestations(leaf, path + ots.pending(URI))
        assert reached.message == root
        assert ots.decode_pending(reached.payload) == URI


def test_an_answer_is_on_disk_and_a_restart_keeps_it():
    node, file = make_node(), MemoryFile()
    calendar, _, later = open_calendar(node, file)
    digests, heard = [hashlib.sha256(b"%d" % n).digest() for n in range(3)], []
    for digest in digests:
        calendar.stamp(digest, heard.append)
    assert not heard
    assert file.unsynced_bytes == 0
    do(later)
    roots = {
        attestations(digest, answer)[0].message
        for digest, answer in zip(digests, heard, strict=True)
    }
    (root,) = roots
    with pytest.raises(NotFound, match="Pending") as pending:
        calendar.complete(root)
    assert pending.value.error_code == "pending"

    # Everything but what is on disk is lost, the pool with it.
    node.engine.pool.clear()
    calendar, gateway, later = open_calendar(node, file.crash())
    with pytest.raises(NotFound, match="Pending"):
        calendar.complete(root)
    gateway.tick()
    do(later)
    node.engine.commit()
    with pytest.raises(NotFound, match="Pending"):
        calendar.complete(root)
    node.engine.cosign()
    (attested,) = attestations(root, calendar.complete(root))
    assert attested.tag == ots.CHAIN_TAG
    assert attested.message == hashlib.sha256(root).digest()

    # The log is enough: a calendar that never heard of the root completes it.
    other, _, _ = open_calendar(node, MemoryFile())
    answer = other.complete(root)
    assert answer == calendar.complete(root)
    # The log grows, and the answer stays the same for an hour.
    calendar.stamp(bytes(32), heard.append)
    do(later)
    node.engine.commit()
    node.engine.cosign()
    assert calendar.complete(root) == answer
    node.clock.advance(SAME_MS)
    assert calendar.complete(root) != answer
    with pytest.raises(NotFound) as unknown:
        other.complete(bytes(32))
    assert unknown.value.error_code == "unknown_commitment"


def squat(node, root, count):
    """Register a root's digest so many times beside a digest of one's own, as anybody may who has heard of it."""
    digests = (
        Digest(algorithm="sha256", value=hashlib.sha256(root).digest()),
        Digest(algorithm="sm3", value=bytes(32)),
    )
    call = register_documents([Document(digests=digests)] * count, seed=None)
    node.engine.commit([node.chain.transaction([call], sender=ARCHIVE, nonce=f"{count}")])


def test_a_root_is_found_behind_any_number_of_others_registrations(monkeypatch):
    monkeypatch.setattr(notary, "MAX_EXAMINED", 20)
    node, heard = make_node(), []
    node.commits.attach(lambda: None)
    calendar, _, later = open_calendar(node, MemoryFile())
    digest = bytes(32)
    calendar.stamp(digest, heard.append)
    do(later)
    (root,) = {one.message for one in attestations(digest, heard[0])}
    # Its record is on the way, and somebody is faster.
    own = tuple(node.engine.pool.values())
    squat(node, root, 50)
    node.engine.commit(own)
    node.engine.cosign()
    node.commits.publish()
    answer = calendar.complete(root)
    assert attestations(root, answer)[0].message == hashlib.sha256(root).digest()

    # One that does not remember the root looks through them, a part at a time.
    other, _, _ = open_calendar(node, MemoryFile())
    for _ in range(2):
        with pytest.raises(NotFound) as pending:
            other.complete(root)
        assert pending.value.error_code == "pending"
    assert other.complete(root) == answer
    node.clock.advance(SAME_MS)
    assert other.complete(root) == answer

    unknown = hashlib.sha256(b"no root").digest()
    squat(node, unknown, 25)
    for code in ("pending", "unknown_commitment"):
        with pytest.raises(NotFound) as said:
            other.complete(unknown)
        assert said.value.error_code == code


def test_what_is_pending_and_what_is_completed_is_counted():
    node, file = make_node(), MemoryFile()
    node.commits.attach(lambda: None)
    calendar, gateway, later = open_calendar(node, file)
    registry = CollectorRegistry()
    registry.register(CalendarCollector(calendar))

    def counted():
        digests = [
            registry.get_sample_value("chainnode_calendar_digests_total", {"outcome": outcome})
            for outcome in ("accepted", "committed", "failed")
        ]
        pending = [
            registry.get_sample_value(f"chainnode_calendar_pending_{what}")
            for what in ("digests", "roots")
        ]
        return [*digests, *pending]

    for count in (3, 2):
        for number in range(count):
            calendar.stamp(bytes([number]) * 32, lambda _: None)
        assert counted()[3] >= count
        do(later)
    assert counted() == [5, 0, 0, 5, 2]
    first, second = tuple(node.engine.pool.values())
    node.engine.commit([first])
    revoked = revoke_role(CLERK, Role.NOTARY)
    node.engine.commit([node.chain.transaction([revoked], sender=ADMIN)])
    node.engine.commit([second])
    node.commits.publish()
    assert counted() == [5, 3, 2, 0, 0]
    assert gateway.waiting_count == 0


def test_what_cannot_be_kept_is_not_promised(monkeypatch):
    node = make_node()
    calendar, _, later = open_calendar(node, MemoryFile(), account="justice/nobody")
    with pytest.raises(Unavailable) as refused:
        calendar.stamp(bytes(32), print)
    assert refused.value.error_code == "missing_role"

    monkeypatch.setattr(calendar_service, "MAX_GATHERED", 2)
    calendar, _, later = open_calendar(node, MemoryFile())
    calendar.stamp(bytes(32), print)
    calendar.stamp(bytes(16), print)
    with pytest.raises(Unavailable) as refused:
        calendar.stamp(bytes(64), print)
    assert refused.value.error_code == "overloaded"
    assert len(later) == 1

    monkeypatch.setattr(calendar_service, "MAX_PAYLOAD_BYTES", 2_700)
    with pytest.raises(Unavailable) as refused:
        calendar.stamp(bytes(32), print)
    assert refused.value.error_code == "too_many_validators"
