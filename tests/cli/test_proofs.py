"""What a new proof must have to take an old one's place."""

from __future__ import annotations

import pytest

from chainnode.model.errors import CannotTell
from chainnode.model.notarization import parse_notarization
from cli.proofs import check_no_loss
from tests.support.alliance import Alliance

ALL = ("a1", "b2", "c3", "d4")


def replaced(old, new, kept):
    notarization = parse_notarization(old.extra)
    check_no_loss(old, new, notarization, kept)


def test_a_proof_with_second_cosignatures_is_not_replaced_by_one_without_if_the_home_asks_for_them():
    alliance = Alliance()
    twice, once = alliance.notarization(twice=ALL), alliance.notarization()
    with pytest.raises(CannotTell, match="--out"):
        replaced(twice, once, alliance.policy_twice())
    replaced(once, twice, alliance.policy_twice())
    replaced(once, once, alliance.policy_twice())
    replaced(twice, once, alliance.policy())
    replaced(twice, once, None)


def test_proofs_by_new_keys_may_take_the_place_of_those_that_an_old_policy_knows():
    before, after = Alliance(), Alliance()
    after.cosigner_keys = {n: before.cosigner_keys[ALL[i - 1]] for i, n in enumerate(ALL)}
    replaced(before.notarization(), after.notarization(), before.policy())
