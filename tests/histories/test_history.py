"""The judge of histories: what it must let pass, and each thing that it must not."""

from dataclasses import replace

import pytest

from tests.support.history import (
    Block,
    Change,
    Checkpoint,
    Expired,
    Header,
    History,
    InBlock,
    Inconsistent,
    NoAnswer,
    NoHeader,
    NotInBlock,
    Operation,
    Receipt,
    Refused,
    Registrations,
    Transaction,
    Value,
    check,
)

KEY = "notary holds org-admin"


def receipt(tx_id, code=""):
    return Receipt(tx_id, not code, code, 7, 1)


def block(height, *receipts):
    return Block(
        height, f"block {height}", f"state {height}", 10 * height, f"log {height}", receipts
    )


CHAIN = (
    block(1, receipt("grant")),
    block(2, receipt("document"), receipt("again", "role_held")),
    block(3),
    block(4, receipt("revoke")),
    block(5, receipt("unanswered")),
)
TRANSACTIONS = (
    Transaction(tx_id="grant", last_valid_height=9, change=Change(KEY, True, "role_held")),
    Transaction(tx_id="again", last_valid_height=9, change=Change(KEY, True, "role_held")),
    Transaction(tx_id="revoke", last_valid_height=9, change=Change(KEY, False, "role_not_held")),
    Transaction(tx_id="document", last_valid_height=9, digest="d"),
    Transaction(tx_id="unanswered", last_valid_height=9, digest="d"),
    Transaction(tx_id="lost", last_valid_height=9, digest="d"),
    Transaction(tx_id="late", last_valid_height=4, digest="e"),
    Transaction(tx_id="refused", last_valid_height=9, digest="e"),
)


def header(height, **others):
    found = Header(height, f"block {height}", f"state {height}", 10 * height, f"log {height}")
    return replace(found, **others)


def in_block(height, position=0):
    return InBlock(height, position, CHAIN[height - 1].receipts[position])


def write(tx_id, answer, began, ended, *, node="v1", client="c1"):
    return Operation(
        client=client,
        node=node,
        began_ns=began,
        ended_ns=ended,
        answer=answer,
        tx_id=tx_id,
        is_write=True,
    )


def read(answer, began, ended, *, node="v1", client="c1", tx_id=None):
    return Operation(
        client=client, node=node, began_ns=began, ended_ns=ended, answer=answer, tx_id=tx_id
    )


def judge(*operations, chain=CHAIN, others=None, transactions=TRANSACTIONS):
    history = History({t.tx_id: t for t in transactions}, list(operations))
    check(history, {"v1": chain, "v2": chain, **(others or {})}, {KEY: False})


GOOD = (
    read(Value(KEY, False, 0), 0, 1),
    write("grant", in_block(1), 2, 10),
    read(Value(KEY, True), 11, 12),
    read(Value(KEY, False), 11, 12, node="v2"),
    write("document", in_block(2), 13, 20),
    write("again", in_block(2, 1), 13, 20, client="c2", node="v2"),
    read(Registrations("d", ("document",)), 21, 22),
    read(Checkpoint(2, 20, "log 2"), 21, 22),
    read(header(2), 21, 22, node="v2"),
    read(NoHeader(4), 21, 22, node="v2"),
    read(header(3, is_tip=True), 23, 24),
    read(Value(KEY, True, 3), 25, 26),
    read(Value(KEY, False, 0, is_tip=False), 25, 26),
    read(NotInBlock(), 25, 26, tx_id="revoke"),
    write("unanswered", NoAnswer(), 25, 30),
    write("lost", NoAnswer(), 25, 30),
    write("late", NoAnswer(), 25, 30),
    write("refused", Refused("pool_full"), 25, 30),
    write("revoke", in_block(4), 27, 40),
    read(Expired(), 41, 42, tx_id="late"),
    read(NotInBlock(), 41, 42, tx_id="lost"),
    # Under way together with the revocation's acknowledgement: either value may be found.
    read(Value(KEY, True), 39, 45, node="v2", client="c3"),
    read(in_block(5), 50, 51, tx_id="unanswered"),
    write("unanswered", Refused("replayed"), 52, 53),
    read(Registrations("d", ("document", "unanswered")), 54, 55),
)


def test_history_that_one_chain_explains_passes():
    judge(*GOOD)


@pytest.mark.parametrize("left_out", range(len(GOOD)))
def test_part_of_a_good_history_is_good(left_out):
    judge(*(o for number, o in enumerate(GOOD) if number != left_out))


# -- nodes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["block_hash", "state_root", "log_root"])
def test_node_with_another_block_is_found(field):
    other = (*CHAIN[:2], replace(CHAIN[2], **{field: "another"}), *CHAIN[3:])
    with pytest.raises(Inconsistent, match="differ in block 3"):
        judge(others={"v3": other})


def test_node_with_another_receipt_is_found():
    other = (replace(CHAIN[0], receipts=(receipt("grant", "role_held"),)), *CHAIN[1:])
    with pytest.raises(Inconsistent, match="differ in block 1"):
        judge(others={"v3": other})


def test_node_that_lacks_a_block_is_found():
    with pytest.raises(Inconsistent, match="v3 has 4"):
        judge(others={"v3": CHAIN[:4]})


def test_gap_in_the_chain_is_found():
    with pytest.raises(Inconsistent, match="shows block 3 as block 2"):
        judge(chain=(CHAIN[0], *CHAIN[2:]))


def test_transaction_in_two_blocks_is_found():
    chain = (*CHAIN[:4], block(5, receipt("document")))
    with pytest.raises(Inconsistent, match="document is in block 2 and in block 5"):
        judge(chain=chain)


def test_transaction_twice_in_a_block_is_found():
    chain = (*CHAIN[:4], block(5, receipt("unanswered"), receipt("unanswered")))
    with pytest.raises(Inconsistent, match="is in block 5 and in block 5"):
        judge(chain=chain)


# -- writes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "told",
    [
        InBlock(3, 0, receipt("document")),
        InBlock(2, 1, receipt("document")),
        InBlock(2, 0, receipt("document", "oh")),
        InBlock(2, 0, replace(receipt("document"), first_record=8)),
    ],
)
def test_acknowledgement_of_another_place_or_receipt_is_found(told):
    with pytest.raises(Inconsistent, match="after all, the transaction is at"):
        judge(write("document", told, 0, 1))


def test_acknowledged_write_that_was_lost_is_found():
    with pytest.raises(Inconsistent, match="after all, the transaction is at None"):
        judge(write("lost", InBlock(3, 0, receipt("lost")), 0, 1))


def test_read_of_a_write_that_is_gone_later_is_found():
    with pytest.raises(Inconsistent, match="after all, the transaction is at None"):
        judge(
            write("lost", NoAnswer(), 0, 1),
            read(InBlock(3, 0, receipt("lost")), 2, 3, tx_id="lost"),
        )


def test_expired_write_that_took_effect_is_found():
    with pytest.raises(Inconsistent, match="after all, the transaction is at"):
        judge(write("document", Expired(), 0, 1))


def test_write_after_its_last_valid_height_is_found():
    early = Transaction(tx_id="document", last_valid_height=1, digest="d")
    with pytest.raises(Inconsistent, match="after its last valid height"):
        judge(transactions=(*TRANSACTIONS[:3], early, *TRANSACTIONS[4:]))


def test_expiry_that_is_told_too_early_is_found():
    with pytest.raises(Inconsistent, match="v1 fell back"):
        judge(read(Expired(), 0, 1, tx_id="late"), read(NoHeader(4), 2, 3))


def test_refused_write_that_took_effect_is_found():
    with pytest.raises(Inconsistent, match="refused by everybody"):
        judge(write("document", Refused("pool_full"), 0, 1))


def test_refusal_as_a_replay_of_what_no_block_holds_is_found():
    with pytest.raises(Inconsistent, match="no block holds it"):
        judge(write("lost", Refused("replayed"), 0, 1))


def test_refusal_as_a_replay_says_that_the_node_has_the_block():
    replay = write("revoke", Refused("replayed"), 0, 1)
    judge(replay, read(header(4, is_tip=True), 2, 3))
    with pytest.raises(Inconsistent, match="v1 fell back"):
        judge(replay, read(header(3, is_tip=True), 2, 3))


def test_refusal_by_one_and_no_answer_by_another_may_be_either():
    judge(
        write("document", Refused("pool_full"), 0, 1),
        write("document", NoAnswer(), 2, 3, node="v2"),
        write("lost", Refused("pool_full"), 4, 5),
        write("lost", NoAnswer(), 6, 7, node="v2"),
    )


def test_document_that_failed_is_found():
    chain = (CHAIN[0], block(2, receipt("document", "oh")), *CHAIN[2:])
    with pytest.raises(Inconsistent, match="document failed with oh"):
        judge(chain=chain)


@pytest.mark.parametrize(
    "second", [receipt("again"), receipt("again", "another_code")], ids=["succeeds", "other code"]
)
def test_receipt_that_does_not_follow_from_the_writes_before_is_found(second):
    chain = (CHAIN[0], block(2, receipt("document"), second), *CHAIN[2:])
    with pytest.raises(Inconsistent, match=r"again sets .* from True to True"):
        judge(chain=chain)


# -- reads -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        Value(KEY, False, 1),
        Value(KEY, True, 4),
        Value(KEY, False, 1, is_tip=False),
        header(3, block_hash="another"),
        header(3, state_root="another"),
        header(3, log_size=31),
        header(3, log_root="another"),
        Checkpoint(3, 30, "another"),
        Checkpoint(3, 29, "log 3"),
        Checkpoint(6, 60, "log 6"),
        replace(header(3), height=6),
        Registrations("d", ("lost",)),
        Registrations("d", ("document", "document")),
    ],
    ids=str,
)
def test_read_that_the_chain_does_not_hold_is_found(answer):
    with pytest.raises(Inconsistent):
        judge(read(answer, 0, 1))


SEES_4 = write("revoke", in_block(4), 0, 10)


@pytest.mark.parametrize(
    ("answer", "tx_id"),
    [
        (Value(KEY, True, 3), None),
        (Value(KEY, True), None),
        (header(3, is_tip=True), None),
        (NoHeader(4), None),
        (NotInBlock(), "revoke"),
        (NotInBlock(), "document"),
        (Registrations("d", ()), None),
    ],
    ids=str,
)
def test_read_that_misses_what_this_node_acknowledged_is_found(answer, tx_id):
    later = read(answer, 11, 12, client="c2", tx_id=tx_id)
    with pytest.raises(Inconsistent, match="v1 fell back"):
        judge(SEES_4, later)
    # Under way at the same time, or at another node, it is right.
    judge(SEES_4, replace(later, began_ns=9))
    judge(SEES_4, replace(later, node="v2"))


def test_values_without_heights_that_no_rising_tips_explain_are_found():
    reads = [read(Value(KEY, value), n, n, client=f"c{n}") for n, value in enumerate((0, 1, 0))]
    judge(*reads)
    again = read(Value(KEY, True), 3, 4)
    with pytest.raises(Inconsistent, match="v1 fell back"):
        judge(*reads, again)


def test_value_without_height_is_bound_by_what_comes_after():
    # The value was gone with block 4, so the node had that; a moment later its tip is said to be 3.
    gone = [read(Value(KEY, True), 0, 1), read(Value(KEY, False), 2, 3)]
    judge(*gone, read(header(4, is_tip=True), 4, 5))
    with pytest.raises(Inconsistent, match="v1 fell back"):
        judge(*gone, read(header(3, is_tip=True), 4, 5))


def test_past_value_says_that_the_node_has_its_height():
    past = read(Value(KEY, False, 4, is_tip=False), 0, 1)
    judge(past, read(header(5, is_tip=True), 2, 3))
    with pytest.raises(Inconsistent, match="v1 fell back"):
        judge(past, read(header(3, is_tip=True), 2, 3))


def test_long_operation_does_not_hide_what_ended_within_it():
    long = read(Value(KEY, True), 0, 100)
    with pytest.raises(Inconsistent, match="v1 fell back"):
        judge(long, SEES_4, read(NoHeader(4), 50, 51))
