import pytest

from chainnode.ledger.reinstatement import Reinstatement, next_word, stored_reinstatement
from chainnode.model import codec
from chainnode.model.errors import StorageFault

WORD = Reinstatement(height=813, times=1, has_voted=False)


def test_a_word_that_has_not_served_is_the_same_when_it_is_given_again():
    assert next_word(None, 813) == WORD
    assert next_word(WORD, 813) == WORD


def test_a_word_for_the_same_height_counts_another_time_once_the_first_has_served():
    second = next_word(WORD.used(), 813)
    assert second == Reinstatement(height=813, times=2, has_voted=False)
    assert next_word(second.used(), 900) == Reinstatement(height=900, times=1, has_voted=False)


@pytest.mark.parametrize("word", [WORD, WORD.used()])
def test_what_is_kept_is_read_back(word):
    assert stored_reinstatement(word.encode()) == word


@pytest.mark.parametrize(
    "data",
    [
        b"",
        codec.encode((813,)),
        codec.encode((0, 1, False)),
        codec.encode((813, 0, False)),
        codec.encode((813, 1, 0)),
        WORD.encode() + b"\0",
    ],
)
def test_a_damaged_one_is_a_fault_of_the_store(data):
    with pytest.raises(StorageFault, match="the statement that reinstates"):
        stored_reinstatement(data)
