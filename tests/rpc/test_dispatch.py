"""JSON-RPC 2.0 without a network: which text gets which answer."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chainnode.model.errors import InvariantViolation, Unavailable
from chainnode.rpc.client import to_base64
from chainnode.rpc.dispatch import Dispatcher
from chainnode.rpc.limits import MAX_BATCH, MAX_BATCH_MS
from chainnode.rpc.methods import method_table
from tests.support.rpc import make_node


class Desk:
    """A dispatcher of a real node, and what it answered."""

    def __init__(self):
        self.node = make_node()
        services = self.node.services
        self.methods = method_table(services)
        self.dispatcher = Dispatcher(self.methods, metrics=services.metrics, clock=services.clock)
        self.answers = []
        self.retries = []

    def respond(self, text, retry_after_ms):
        self.answers.append(None if text is None else json.loads(text))
        self.retries.append(retry_after_ms)

    def ask(self, text, **how):
        before = len(self.answers)
        self.dispatcher.answer(text, self.respond, **how)
        return self.answers[before:]

    def call(self, method, params=None, **members):
        request = {"jsonrpc": "2.0", "id": 7, "method": method, **members}
        if params is not None:
            request["params"] = params
        return self.ask(json.dumps(request))[0]


@pytest.fixture(name="desk", scope="module")
def fixture_desk():
    return Desk()


GOOD = {"jsonrpc": "2.0", "id": 1, "method": "chain_status"}


@pytest.mark.parametrize(
    ("text", "number", "code", "id_"),
    [
        ("{", -32700, "parse_error", None),
        ('{"jsonrpc":"2.0","id":1,"id":2,"method":"chain_status"}', -32700, "parse_error", None),
        ("[" * 1000, -32700, "parse_error", None),
        ("3", -32600, "invalid_request", None),
        ("null", -32600, "invalid_request", None),
        ('"chain_status"', -32600, "invalid_request", None),
        ("{}", -32600, "invalid_request", None),
        ("[]", -32600, "batch_size", None),
        (json.dumps([GOOD] * (MAX_BATCH + 1)), -32600, "batch_size", None),
        (json.dumps({**GOOD, "jsonrpc": "1.0"}), -32600, "invalid_request", 1),
        (json.dumps({**GOOD, "jsonrpc": 2.0}), -32600, "invalid_request", 1),
        (json.dumps({**GOOD, "method": 5}), -32600, "invalid_request", 1),
        (json.dumps({**GOOD, "params": "x"}), -32600, "invalid_request", 1),
        (json.dumps({**GOOD, "params": None}), -32600, "invalid_request", 1),
        (json.dumps({**GOOD, "more": 1}), -32600, "invalid_request", 1),
        (json.dumps({**GOOD, "id": 1.5}), -32600, "invalid_request", None),
        (json.dumps({**GOOD, "id": True}), -32600, "invalid_request", None),
        (json.dumps({**GOOD, "id": [1]}), -32600, "invalid_request", None),
        (json.dumps({**GOOD, "id": "x" * 300}), -32600, "invalid_request", None),
        (json.dumps({**GOOD, "method": "eth_call"}), -32601, "unknown_method", 1),
        (json.dumps({**GOOD, "params": {"x": 1}}), -32602, "unknown_parameter", 1),
        (json.dumps({**GOOD, "params": [1]}), -32602, "unknown_parameter", 1),
        (json.dumps({**GOOD, "method": "chain_header", "params": {"height": "1"}}), -32602, "bad_parameter", 1),
        (json.dumps({**GOOD, "method": "chain_header", "params": [None]}), -32602, "bad_parameter", 1),
        (json.dumps({**GOOD, "method": "tx_get"}), -32602, "missing_parameter", 1),
        (json.dumps({**GOOD, "method": "chain_header", "params": [9]}), -32001, "unknown_height", 1),
        (json.dumps({**GOOD, "method": "subscribe", "params": ["tx"]}), -32000, "websocket_only", 1),
        (json.dumps({**GOOD, "method": "log_proof"}), -32000, "ambiguous_record", 1),
        (json.dumps({**GOOD, "method": "log_checkpoint"}), -32002, "not_yet_cosigned", 1),
    ],
)  # fmt: skip
def test_a_bad_request_is_answered_with_number_code_and_id(desk, text, number, code, id_):
    (answer,) = desk.ask(text)
    assert answer["jsonrpc"] == "2.0"
    assert "id" in answer
    assert answer["id"] == id_
    assert answer["error"]["code"] == number
    assert answer["error"]["data"]["code"] == code
    assert answer["error"]["message"]


@pytest.mark.parametrize("id_", [0, -5, 2**60, "a", "", None, "\u00e9"])
def test_the_id_is_echoed(desk, id_):
    (answer,) = desk.ask(json.dumps({**GOOD, "id": id_}))
    assert answer["id"] == id_
    assert answer["result"]["chain_id"] == "sz.gov.example/alliance"


def test_a_notification_is_carried_out_and_not_answered(desk):
    node = desk.node
    transaction = node.chain.notarization("silent")
    request = {
        "jsonrpc": "2.0",
        "method": "tx_submit",
        "params": {"transaction": to_base64(transaction.envelope)},
    }
    assert desk.ask(json.dumps(request)) == [None]
    assert transaction.id in node.engine.pool
    assert desk.ask('{"jsonrpc":"2.0","method":"nonsense"}') == [None]
    assert desk.ask('{"jsonrpc":"2.0","method":"tx_get","params":[]}') == [None]


def test_a_batch_is_answered_as_one_array_without_its_notifications(desk):
    notification = {"jsonrpc": "2.0", "method": "chain_status"}
    (answers,) = desk.ask(json.dumps([GOOD, notification, 5, {**GOOD, "id": "b"}]))
    assert [a["id"] for a in answers] == [1, None, "b"]
    assert answers[1]["error"]["code"] == -32600
    assert desk.ask(json.dumps([notification, notification])) == [None]


def test_the_requests_of_a_packed_batch_are_answered_one_by_one(desk):
    answers = desk.ask(json.dumps([GOOD, {**GOOD, "id": 2}]), packed=True)
    assert [a["id"] for a in answers] == [1, 2]


def test_parameters_may_be_given_by_position():
    desk = Desk()
    desk.node.engine.commit([])
    assert desk.call("chain_header", [1])["result"]["height"] == 1
    assert desk.call("chain_header", {"height": 1})["result"]["height"] == 1


@pytest.mark.parametrize("code", ["overloaded", "pool_full", "share_used_up"])
def test_overload_is_answered_with_a_retry_hint_before_anything_is_accepted(code):
    desk = Desk()
    desk.node.engine.refusal = Unavailable("too much", code=code, retry_after_ms=750)
    envelope = to_base64(desk.node.chain.notarization("a").envelope)
    for method in ("tx_submit", "tx_submit_and_wait"):
        error = desk.call(method, {"transaction": envelope})["error"]
        assert error["code"] == -32005
        assert error["data"] == {"code": code, "field": None, "retry_after_ms": 750}
        assert desk.retries[-1] == 750
    assert not desk.node.engine.pool


def test_a_mistake_of_ours_is_an_internal_error_and_logged(caplog):
    desk = Desk()
    desk.node.engine.refusal = ValueError("a bug")
    answer = desk.call("tx_submit", {"transaction": ""})
    assert answer["error"]["code"] == -32603
    assert answer["error"]["data"]["code"] == "internal_error"
    assert "a bug" not in json.dumps(answer)
    assert "a bug" in caplog.text


def test_a_fault_of_the_node_is_not_answered_but_passes_upwards():
    desk = Desk()
    desk.node.engine.refusal = InvariantViolation("broken")
    request = {**GOOD, "method": "tx_submit", "params": {"transaction": ""}}
    with pytest.raises(InvariantViolation):
        desk.ask(json.dumps(request))
    assert desk.answers == []


def test_requests_are_counted_by_method_and_outcome(desk):
    desk.call("chain_status")
    desk.call("chain_header", [99])
    text = desk.node.services.metrics.render().decode()
    assert 'chainnode_rpc_requests_total{method="chain_status",outcome="ok"}' in text
    assert 'chainnode_rpc_requests_total{method="chain_header",outcome="unknown_height"}' in text


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
_NAMES = st.sampled_from(
    [
        "chain_status",
        "chain_block",
        "tx_submit",
        "tx_get",
        "notary_lookup",
        "log_proof",
        "subscribe",
        "nope",
    ]
)
_PARAMS = st.dictionaries(
    st.sampled_from(["height", "auth", "tx_id", "index", "transaction", "digest", "key", "x"]),
    _VALUES,
    max_size=3,
)
_REQUESTS = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.sampled_from(["2.0", "1.0", 2]),
        "id": _SCALARS,
        "method": _NAMES | _SCALARS,
        "params": _PARAMS | st.lists(_VALUES, max_size=3) | _SCALARS,
    },
)


def _is_response(answer):
    return (
        isinstance(answer, dict)
        and answer["jsonrpc"] == "2.0"
        and "id" in answer
        and ("result" in answer) != ("error" in answer)
    )


@given(_REQUESTS | _VALUES | st.lists(_REQUESTS | _VALUES, max_size=3))
@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_json_gets_a_response_unless_it_is_a_notification(desk, value):
    (answer,) = desk.ask(json.dumps(value))
    requests = value if isinstance(value, list) else [value]
    if answer is None:
        assert all(isinstance(r, dict) and "id" not in r for r in requests)
    elif isinstance(answer, list):
        assert answer
        assert all(_is_response(a) for a in answer)
    else:
        assert _is_response(answer)
        assert -32700 <= answer.get("error", {"code": -32000})["code"] <= -32000


def test_what_a_batch_has_not_begun_in_its_time_is_refused_as_overloaded():
    desk = Desk()
    began = []

    def slow(request, done):
        began.append(request)
        desk.node.clock.advance(MAX_BATCH_MS // 2)
        done({})

    method = replace(next(m for m in desk.methods if m.name == "chain_status"), handler=slow)
    services = desk.node.services
    desk.dispatcher = Dispatcher([method], metrics=services.metrics, clock=services.clock)
    (answers,) = desk.ask(json.dumps([{**GOOD, "id": i} for i in range(10)]))
    assert [a["id"] for a in answers] == list(range(10))
    assert len(began) == 3
    assert {a["error"]["data"]["code"] for a in answers[3:]} == {"overloaded"}
    assert answers[3]["error"]["data"]["retry_after_ms"] > 0
    assert "result" in desk.call("chain_status")
