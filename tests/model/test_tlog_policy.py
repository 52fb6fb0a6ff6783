"""Policies: the specification's rules line by line, and the quorum."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainnode.model.errors import DecodeError
from chainnode.model.note import cosigner_key, log_key
from chainnode.model.suites import suite_named
from chainnode.model.tlog_policy import MAX_POLICY_BYTES, parse_policy
from tests.support.alliance import Alliance, Key

SUITE = suite_named("ed25519-sha256")
LOG = log_key(SUITE, "a.example/log", Key.of(SUITE, "log").public).vkey()
W = {
    n: cosigner_key(SUITE, f"w.example/{n}", Key.of(SUITE, f"w{n}").public).vkey()
    for n in range(1, 7)
}
SM2 = suite_named("sm2-sm3")
WITNESSES = "".join(f"witness X{n} {vkey}\n" for n, vkey in W.items())


def policy(text):
    return parse_policy(text.encode("utf-8", "surrogateescape"))


@pytest.mark.parametrize("suite_name", ["ed25519-sha256", "sm2-sm3"])
@pytest.mark.parametrize(("count", "quorum"), [(1, 1), (3, 3), (4, 3), (7, 5), (100, 67)])
def test_a_chains_own_policy_asks_for_its_quorum_of_validators(suite_name, count, quorum):
    own = Alliance(suite_name, names=tuple(f"v{n}" for n in range(count))).policy()
    assert parse_policy(own.encode()) == own
    names = [w.name for w in own.witnesses]
    assert own.missing(frozenset()) == quorum
    assert own.missing(frozenset(names[: quorum - 1])) == 1
    assert own.missing(frozenset(names[-quorum:])) == 0
    assert own.origins() == {"sz.gov.example/alliance"}


def test_nested_groups_of_the_specification_are_evaluated():
    nested = policy(
        f"# the example of the specification\n\nlog {LOG} https://log.example/\n{WITNESSES}"
        "group X 2 X1 X2 X3\n  group\tY any X4 X5 X6  \n group both all X Y\nquorum both\n"
    )
    for size in range(7):
        for chosen in itertools.combinations(range(1, 7), size):
            first, second = sum(n <= 3 for n in chosen), sum(n > 3 for n in chosen)
            expected = max(0, 2 - first) + max(0, 1 - second)
            assert nested.missing({f"X{n}" for n in chosen}) == expected


def test_a_single_witness_or_nobody_may_be_the_quorum():
    assert policy(f"{WITNESSES}quorum X2\n").missing({"X1"}) == 1
    assert policy(f"{WITNESSES}quorum X2\n").missing({"X2"}) == 0
    assert policy("quorum none\n").missing(set()) == 0


def test_names_are_opaque_octets():
    text = b"witness \xff\xe7 " + W[1].encode() + b"\nquorum \xff\xe7\n"
    assert parse_policy(text).encode() == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        f"log {LOG}\n",
        "quorum none",
        "quorum none\nquorum none\n",
        "quorum nobody\n",
        "quorum\n",
        "quorum none none\n",
        "quorum none\r\n",
        "quorum none\x7f\n",
        "quorom none\n",
        "log\nquorum none\n",
        f"log {LOG} u v\nquorum none\n",
        f"log {LOG}\nlog {LOG}\nquorum none\n",
        f"log {W[1]}\nquorum none\n",
        f"log {LOG[:-4]}AAAA\nquorum none\n",
        f"witness a {LOG}\nquorum none\n",
        f"witness {W[1]}\nquorum none\n",
        f"witness none {W[1]}\nquorum none\n",
        f"witness a {W[1]}\nwitness b {W[1]}\nquorum none\n",
        f"witness a {W[1]}\nwitness a {W[2]}\nquorum none\n",
        f"quorum X1\n{WITNESSES}",
        f"{WITNESSES}group g 1\nquorum g\n",
        f"{WITNESSES}group g\nquorum g\n",
        f"{WITNESSES}group g 0 X1\nquorum g\n",
        f"{WITNESSES}group g 2 X1\nquorum g\n",
        f"{WITNESSES}group g 01 X1\nquorum g\n",
        f"{WITNESSES}group g some X1\nquorum g\n",
        f"{WITNESSES}group g 1 X1 X1\nquorum g\n",
        f"{WITNESSES}group g 1 X1\ngroup h 1 X1\nquorum h\n",
        f"{WITNESSES}group g 1 g\nquorum g\n",
        f"{WITNESSES}group g 1 none\nquorum g\n",
        f"{WITNESSES}group X1 1 X2\nquorum X1\n",
        f"{WITNESSES}group none 1 X2\nquorum none\n",
        f"log {LOG}\nwitness a {cosigner_key(SM2, 'n', Key.of(SM2, 'n').public).vkey()}\nquorum a\n",
        "#\n" * 1_001 + "quorum none\n",
        "#" * MAX_POLICY_BYTES + "\nquorum none\n",
    ],
)
def test_what_breaks_a_rule_is_refused(text):
    with pytest.raises(DecodeError):
        policy(text)


def test_an_error_names_its_line():
    with pytest.raises(DecodeError, match=r"policy line 2: .*'nobody'"):
        policy("# nothing above\nquorum nobody\n")


@given(
    st.lists(
        st.sampled_from([f"log {LOG}", f"witness X1 {W[1]}", "group g 1 X1", "quorum g", "quorum none", "#", ""]),
        max_size=6,
    ).map(lambda lines: "".join(f"{line}\n" for line in lines).encode())
    | st.binary(max_size=60)
)  # fmt: skip
def test_any_bytes_are_a_policy_or_refused(data):
    try:
        found = parse_policy(data)
    except DecodeError:
        return
    assert parse_policy(found.encode()) == found
