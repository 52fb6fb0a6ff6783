from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainnode.p2p.frame import FRAME_BYTES, LENGTH_BYTES, join_frame, split_frame
from chainnode.p2p.limits import QUEUE_BOUNDS
from chainnode.p2p.outbox import Outbox, Priority, QueueBound

VOTE, NORMAL, BULK = Priority


def outbox_of(messages=100, size_bytes=1_000_000):
    return Outbox({p: QueueBound(messages=messages, size_bytes=size_bytes) for p in Priority})


def test_an_empty_outbox_gives_no_frame():
    assert outbox_of().take_frame() is None


def test_urgent_messages_go_first_and_each_kind_keeps_its_order():
    outbox = outbox_of()
    for message, priority in (
        (b"b1", BULK), (b"n1", NORMAL), (b"v1", VOTE), (b"b2", BULK), (b"v2", VOTE), (b"n2", NORMAL),
    ):  # fmt: skip
        outbox.put(message, priority)
    assert outbox.take_frame() == join_frame([b"v1", b"v2", b"n1", b"n2", b"b1", b"b2"])
    assert outbox.take_frame() is None


def test_a_vote_put_between_two_frames_is_in_the_next():
    outbox = outbox_of()
    for _ in range(3):
        outbox.put(bytes(FRAME_BYTES - LENGTH_BYTES), BULK)
    outbox.take_frame()
    outbox.put(b"vote", VOTE)
    assert outbox.take_frame() == join_frame([b"vote"])
    assert len(outbox.take_frame()) == FRAME_BYTES


def test_a_message_larger_than_a_frame_goes_alone():
    outbox = outbox_of()
    for message in (b"small", bytes(FRAME_BYTES), b"small"):
        outbox.put(message, NORMAL)
    assert [len(split_frame(outbox.take_frame())) for _ in range(3)] == [1, 1, 1]


@pytest.mark.parametrize("bound", [{"messages": 3}, {"size_bytes": 3}])
def test_a_full_queue_drops_its_oldest_and_leaves_the_others_alone(bound):
    outbox = outbox_of(**bound)
    outbox.put(b"v", VOTE)
    for message in (b"1", b"2", b"3", b"4", b"5"):
        outbox.put(message, BULK)
    assert [q.dropped for q in outbox.stats()] == [0, 0, 2]
    assert outbox.take_frame() == join_frame([b"v", b"3", b"4", b"5"])


def test_one_message_fits_however_large():
    outbox = outbox_of(size_bytes=10)
    outbox.put(b"old", NORMAL)
    outbox.put(bytes(1_000), NORMAL)
    stats = outbox.stats()[NORMAL]
    assert (stats.messages, stats.size_bytes, stats.dropped) == (1, 1_000, 1)


def test_clearing_drops_and_counts_what_waits():
    outbox = outbox_of()
    outbox.put(b"vote", VOTE)
    outbox.miss(VOTE)
    outbox.clear()
    stats = outbox.stats()[VOTE]
    assert (stats.messages, stats.size_bytes, stats.dropped) == (0, 0, 2)
    assert outbox.take_frame() is None


def test_every_priority_has_a_bound():
    assert set(QUEUE_BOUNDS) == set(Priority)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from(Priority), st.binary(min_size=1, max_size=40)),
            st.just("take"),
        ),
        max_size=60,
    )
)
def test_it_behaves_like_three_bounded_lists(steps):
    bound = QueueBound(messages=5, size_bytes=60)
    outbox = Outbox(dict.fromkeys(Priority, bound))
    model = {p: deque() for p in Priority}
    for step in steps:
        if step == "take":
            waiting = [m for p in Priority for m in model[p]]
            frame = outbox.take_frame()
            assert frame == (join_frame(waiting) if waiting else None)
            for queue in model.values():
                queue.clear()
        else:
            priority, message = step
            queue = model[priority]
            queue.append(message)
            while len(queue) > 5 or sum(map(len, queue)) > 60:
                queue.popleft()
            outbox.put(message, priority)
        for priority, stats in zip(Priority, outbox.stats(), strict=True):
            assert stats.messages == len(model[priority]) <= bound.messages
            assert stats.size_bytes == sum(map(len, model[priority])) <= bound.size_bytes
