"""Golden vectors: blocks executed on a fixed genesis, to the byte.

`python -m tests.contracts.test_golden` writes the file anew; a change in it is a change of the chain's rules.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from chainnode.model import calls, mark_calls
from chainnode.model.commitment import Digest, derive_salt
from chainnode.model.keys import KeyPurpose
from chainnode.model.mark_calls import SaltedRecord
from chainnode.model.marks import RecordReference
from chainnode.model.roles import Role
from chainnode.model.transaction import Call
from tests.support.contracts import Chain

GOLDEN = Path(__file__).parents[1] / "golden" / "contracts.json"


def document(text: str, **more) -> calls.Document:
    digest = hashlib.sha256(text.encode()).digest()
    return calls.Document(digests=(Digest(algorithm="sha256", value=digest),), **more)


def blocks(chain: Chain):
    """Lists of transactions that visit every method of every contract, and some refusals."""
    admin, clerk, boss, new = "justice/admin", "justice/clerk", "archive/boss", "health/notary-1"
    titled = document("b", title="标题", metadata_hash=bytes(range(32)))
    yield [
        chain.transaction(
            clerk, calls.register_documents([document("a"), titled], seed=bytes(range(32)))
        ),
        chain.transaction(clerk, calls.register_documents([document("a")], seed=None)),
        chain.transaction(boss, calls.register_documents([document("a")], seed=None)),
    ]
    yield [
        chain.transaction(
            admin,
            calls.register_organisation("health", "卫生健康委员会"),
            calls.register_account(
                new, roles=[Role.NOTARY], keys=[chain.offer(new, "health key 1")]
            ),
        ),
        chain.transaction(
            new,
            calls.add_key(
                new, chain.offer(new, "health ts", purpose=KeyPurpose.TIMESTAMP, not_after_ms=2**42)
            ),
            key=chain.key("health key 1"),
        ),
        chain.transaction(
            clerk,
            Call(
                contract="notary",
                method="register",
                args=(None, ((((("🫨 书", b""),), None, None)),)),
            ),
        ),
        chain.transaction(clerk, Call(contract="absent", method="x", args=())),
    ]
    yield [
        chain.transaction(admin, calls.grant_role("archive/reader", Role.NOTARY)),
        chain.transaction(admin, calls.revoke_role(clerk, Role.NOTARY)),
        chain.transaction(boss, calls.suspend_account("archive/reader")),
        chain.transaction(boss, calls.resume_account("archive/reader")),
        chain.transaction(
            new,
            calls.rotate_key(chain.key("health key 1").public, chain.offer(new, "health key 2")),
            key=chain.key("health key 1"),
        ),
        chain.transaction(admin, calls.revoke_key(chain.key("health ts").public, reason="lost")),
        chain.transaction(admin, calls.revoke_role(admin, Role.ADMIN)),
    ]
    yield from certified_blocks(chain)
    new_key = chain.key("health key 2")
    yield [
        chain.transaction(admin, calls.deprecate_algorithm("sha512")),
        chain.transaction(admin, calls.close_algorithm("sha256", from_height=6)),
        chain.transaction(new, calls.register_documents([document("a")], seed=None), key=new_key),
    ]
    yield [
        chain.transaction(new, calls.register_documents([document("a")], seed=None), key=new_key),
        chain.transaction(admin, calls.accept_algorithm("sha512")),
    ]
    yield from marked(chain)


def marked(chain: Chain):
    """Blocks that visit every method of `history`."""
    admin, boss, reader, new = "justice/admin", "archive/boss", "archive/reader", "health/notary-1"
    by_sm3 = calls.Document(digests=(Digest(algorithm="sm3", value=bytes(32)),))
    new_key = chain.key("health key 2")
    registered = chain.transaction(
        new, calls.register_documents([by_sm3, by_sm3], seed=bytes(range(32))), key=new_key
    )
    yield [registered]
    first, second = (
        SaltedRecord(
            reference=RecordReference(account=new, tx_id=registered.id, call=0, item=item),
            salt=derive_salt(chain.genesis.suite, bytes(range(32)), item),
        )
        for item in (0, 1)
    )

    def by_new(*wanted: Call):
        return chain.transaction(new, *wanted, key=new_key)

    yield [
        by_new(mark_calls.offer(first, boss), mark_calls.offer(first, reader)),
        chain.transaction(boss, mark_calls.accept(first)),
        chain.transaction(reader, mark_calls.decline(first)),
        by_new(mark_calls.offer(first, reader), mark_calls.retract(first, reader)),
        by_new(mark_calls.annotate(first, code="typo", note_hash=bytes(32), note="第三页")),
        by_new(mark_calls.supersede(first, second)),
        chain.transaction(admin, mark_calls.annotate_by_order(second, "No. 1", code="frozen")),
        chain.transaction(boss, mark_calls.renounce(second)),
        by_new(mark_calls.withdraw(second, "erroneous")),
        chain.transaction(reader, mark_calls.withdraw(first, "erroneous")),
    ]


def certified_blocks(chain: Chain):
    admin, operator, node = "justice/admin", "justice/ca", "justice/node"
    fingerprint = chain.genesis.suite.hash(b"unit")
    imprint = Digest(algorithm="sha384", value=hashlib.sha384(b"a").digest())
    yield [
        chain.transaction(
            admin,
            calls.admit_authority(
                "city", title="市", standing="internal", operator=operator, chain=[b"ca", b"root"]
            ),
        ),
        chain.transaction(
            operator,
            calls.enter_certificate(
                "city",
                purpose=KeyPurpose.TIMESTAMP,
                owner=node,
                not_before_ms=0,
                not_after_ms=2**42,
                certificate=b"unit",
            ),
        ),
        chain.transaction(
            node,
            calls.register_imprints("city", fingerprint, [imprint, imprint], seed=bytes(range(32))),
        ),
        chain.transaction(operator, calls.publish_crl("city", 1, b"crl")),
        chain.transaction(operator, calls.revoke_certificate("city", fingerprint, "superseded")),
        chain.transaction(
            node, calls.register_imprints("city", fingerprint, [imprint], seed=bytes(range(32)))
        ),
        chain.transaction(admin, calls.dismiss_authority("city")),
        chain.transaction(admin, calls.publish_root_crl("city", 1, b"root crl")),
    ]


def vectors():
    chain = Chain()
    executed = []
    genesis_state = {key.hex(): value.hex() for key, value in chain.state.items()}
    for transactions in blocks(chain):
        result = chain.execute(*transactions)
        executed.append(
            {
                "transactions": [t.envelope.hex() for t in transactions],
                "leaves": [e.leaf.hex() for e in result.emitted],
                "lookup_keys": [[k.hex() for k in e.lookup_keys] for e in result.emitted],
                "receipts": [r.encode().hex() for r in result.receipts],
                "codes": [r.code for r in result.receipts],
                "changes": {
                    key.hex(): None if value is None else value.hex()
                    for key, value in result.changes.items()
                },
            }
        )
    return {
        "genesis": chain.genesis.encoded.hex(),
        "genesis_state": genesis_state,
        "blocks": executed,
    }


def test_blocks_execute_to_the_golden_bytes():
    assert vectors() == json.loads(GOLDEN.read_text())


def test_the_golden_blocks_visit_successes_and_refusals():
    codes = [code for block in json.loads(GOLDEN.read_text())["blocks"] for code in block["codes"]]
    assert codes == [
        "", "", "missing_role",
        "", "", "unknown_algorithm", "unknown_contract",
        "", "", "", "", "", "", "last_admin",
        "", "", "", "", "", "certificate_not_valid", "", "",
        "", "", "",
        "algorithm_closed", "",
        "",
        "", "", "", "", "", "", "", "", "", "not_owner",
    ]  # fmt: skip


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(vectors(), indent=1) + "\n")
