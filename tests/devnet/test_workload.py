from types import SimpleNamespace

import pytest

from chainnode.ledger.checks import fault_of
from chainnode.model.commitment import PUBLIC_SALT, digests_value
from chainnode.model.limits import MAX_VALID_HEIGHTS
from chainnode.model.suites import SUITE_NAMES
from chainnode.model.transaction import decode_transaction, signed_message
from devnet.bench.workload import Number, digests_of, opening_of, seed_of, transaction
from tests.support.chain import CLERK, make_chain


@pytest.mark.parametrize("suite", SUITE_NAMES)
def test_transaction_holds_what_its_number_says_and_is_signed(suite):
    chain = make_chain(suite=suite)
    key = chain.accounts[CLERK]
    signer = SimpleNamespace(public_key=key.public, sign=key.sign)
    number = Number(3, 17)
    made = transaction(chain.genesis, CLERK, signer, number, 5)
    read = decode_transaction(chain.genesis.domain, made.envelope)
    (call,) = read.body.calls
    seed, documents = call.args
    assert (call.contract, call.method, seed) == ("notary", "register", seed_of(number))
    assert [document[0] for document in documents] == [
        digests_value(digests_of(number, item)) for item in range(5)
    ]
    message = signed_message(chain.genesis.domain, read.id)
    assert chain.genesis.suite.is_signature(read.public_key, message, read.signature)


def test_transaction_is_valid_for_as_long_as_may_be_from_the_tip_on():
    chain = make_chain()
    key = chain.accounts[CLERK]
    signer = SimpleNamespace(public_key=key.public, sign=key.sign)
    made = transaction(chain.genesis, CLERK, signer, Number(0, 0), 1, tip_height=7_000)
    assert made.body.last_valid_height == 7_000 + MAX_VALID_HEIGHTS
    assert fault_of(made, chain_id=chain.genesis.chain_id, height=7_001) is None


def test_openings_differ_by_client_sequence_and_item():
    suite = make_chain().genesis.suite
    openings = [
        opening_of(suite, Number(client, sequence), item)
        for client in range(2)
        for sequence in range(3)
        for item in range(3)
    ]
    assert len({opening.salt for opening in openings}) == len(openings)
    assert len({opening.digests for opening in openings}) == len(openings)
    assert all(opening.salt != PUBLIC_SALT for opening in openings)
