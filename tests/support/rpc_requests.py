"""JSON-RPC requests made from the document by which a node describes itself: right, nearly right, and absurd.

requests = Requests(node, rng)
requests.text()         one request or batch, as it travels
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from chainnode.model import codec
from chainnode.rpc.error_numbers import INTERNAL_ERROR, MEANINGS
from chainnode.rpc.methods import method_table
from chainnode.rpc.openrpc import openrpc_document
from tests.support.chain import CLERK, GUEST
from tests.support.misconduct import double_vote, report_of
from tests.support.mutations import EDGES, changed_bytes, changed_json_value, mutated
from tests.support.rpc import member_of

if TYPE_CHECKING:
    from random import Random

    from tests.support.rpc import Node

HUGE = (2**53, 2**53 - 1, 2**64, -(2**64), 10**400, 1e308, -0.0, 0.5)
_IDS = (0, 1, -1, "a", "", None, "x" * 256, "x" * 257, 1.5, True, [], {}, 10**400, "\ud800", "é")
_EARLY_AUTH = {"account": CLERK, "public_key": "", "time_ms": 0, "signature": ""}


def populated(node: Node) -> Node:
    """Decide a few blocks, so that there is something to find; one transaction is left waiting."""
    chain = node.chain
    for height in range(4):
        node.engine.commit([chain.notarization(f"doc {height}", count=height + 1)])
    node.engine.commit([report_of(chain, double_vote(chain, 3))])
    node.engine.cosign()
    node.services.submission.submit(chain.notarization("waiting").envelope, lambda _: None)
    return node


def check_answers(text: str | None) -> Counter[str]:
    """Every answer is a JSON-RPC one, and none the node's own mistake; return the codes."""
    codes: Counter[str] = Counter()
    if text is None:
        return codes
    answer = json.loads(text)
    for one in answer if isinstance(answer, list) else [answer]:
        assert one["jsonrpc"] == "2.0"
        assert set(one) in ({"jsonrpc", "id", "result"}, {"jsonrpc", "id", "error"})
        if "result" in one:
            codes["result"] += 1
            continue
        error = one["error"]
        assert error["code"] in MEANINGS
        assert error["code"] != INTERNAL_ERROR, error
        assert error["message"]
        codes[error["data"]["code"]] += 1
    return codes


class Requests:
    """Makes requests of one node; everything follows from `rng`."""

    def __init__(self, node: Node, rng: Random) -> None:
        self._node = node
        self._rng = rng
        described = openrpc_document(method_table(node.services), "1")
        # Through JSON, as whoever reads it from the node gets it.
        self.methods: list[Any] = json.loads(json.dumps(described))["methods"]
        ledger = node.ledger
        self._found = {
            "tx_id": [
                *(t.id.hex() for t in (node.chain.notarization(f"doc {i}", count=i + 1) for i in range(4))),
                *(tx_id.hex() for tx_id in node.engine.pool),
                "00" * 32,
            ],
            "id": [report_of(node.chain, double_vote(node.chain, 3)).id.hex(), "00" * 32],
            "validator": [node.chain.validators[3].name, "nobody"],
            "key": [
                base64.b64encode(key).decode()
                for key in (b"identity/account/" + CLERK.encode(), b"identity/admins", b"notary/", b"")
            ],
            "name": [CLERK, GUEST, "justice", "nobody/none", "a/b/c", "A/b"],
            "account": [CLERK, GUEST, "nobody/none"],
            "public_key": [base64.b64encode(node.chain.accounts[CLERK].public).decode(), ""],
            "transaction": [
                base64.b64encode(node.chain.notarization(label).envelope).decode()
                for label in ("doc 0", "waiting", "new")
            ],
            "digest": ["00" * 32, "ab" * 64],
            "contract": ["identity", "notary", "none"],
            "query": ["account", "organisation", "key", "lookup", "none"],
            "owner": [CLERK, "court", "nobody/none", "A"],
            "kind": ["notary", "parent", "none"],
            "height": [0, 1, ledger.tip.height, ledger.tip.height + 1, 2**53 - 1],
            "index": [0, 1, ledger.tip.log_size - 1, ledger.tip.log_size, 2**53 - 1],
            "old": [0, 1, ledger.tip.log_size, ledger.tip.log_size + 1],
            "new": [0, 1, ledger.tip.log_size, ledger.tip.log_size + 1],
            "timeout_ms": [1, 50],
            "wait_ms": [0, 1, 50],
        }  # fmt: skip

    def text(self) -> str:
        """Return one text: mostly a request, sometimes a batch, sometimes neither."""
        chance = self._rng.random()
        if chance < 0.1:
            return json.dumps([self._one() for _ in range(self._rng.choice((0, 1, 3, 100, 101)))])
        if chance < 0.2:
            return self._odd_text()
        return json.dumps(self._one())

    def _odd_text(self) -> str:
        whole = json.dumps(self._one())
        return self._rng.choice(
            (
                mutated("bytes", whole.encode(), self._rng).decode("utf-8", "replace"),
                mutated("json", whole.encode(), self._rng).decode("utf-8", "replace"),
                "[" * self._rng.choice((16, 17, 1_000, 100_000)),
                '{"a":' * self._rng.choice((16, 17, 50_000)),
                whole[:-1] + ',"id":1}',
                whole.replace("{", '{"params":' + "[" * 17 + "]" * 17 + ",", 1),
                '{"jsonrpc":"2.0","id":' + "9" * self._rng.choice((400, 5_000)) + ',"method":"chain_status"}',
                *("", "null", "0", '""', "[[]]", "[null]", "NaN", "\ufeff{}", '"\\ud800"', "\0"),
            )
        )  # fmt: skip

    def _one(self) -> Any:
        method = self._rng.choice(self.methods)
        params: Any = self._params(method)
        chance = self._rng.random()
        if chance < 0.25:
            params = changed_json_value(params, self._rng)
        elif chance < 0.35:
            params = list(params.values())
        elif chance < 0.5 and any(p["name"] == "auth" for p in method["params"]):
            params = self._signed(method["name"], params)
        request = {"jsonrpc": "2.0", "id": 1, "method": method["name"], "params": params}
        chance = self._rng.random()
        if chance < 0.1:
            request["id"] = self._rng.choice(_IDS)
        elif chance < 0.15:
            del request[self._rng.choice(sorted(request))]
        elif chance < 0.25:
            return changed_json_value(request, self._rng)
        return request

    def _params(self, method: Any) -> dict[str, Any]:
        if method["name"] == "contract_query" and self._rng.random() < 0.3:
            # A query, its contract and its arguments seldom meet by chance.
            return {"contract": "identity", "query": "account", "args": {"name": CLERK}}
        return {
            p["name"]: self._value(p["name"], p["schema"])
            for p in method["params"]
            if p["required"] or self._rng.random() < 0.4
        }

    def _value(self, name: str, schema: Any) -> Any:
        if self._rng.random() < 0.08:
            return self._rng.choice(
                (*EDGES, *HUGE, None, True, "", "a", [], {}, "\ud800", "x" * 999)
            )
        if name == "args":
            names = ("name", "public_key", "algorithm", "digest", "limit", "after")
            chosen = self._rng.sample(names, self._rng.choice((0, 1, 1, 2, 3)))
            return {n: self._value(n, {"type": "string"}) for n in chosen}
        if name == "auth":
            return dict(_EARLY_AUTH)
        if name == "transaction" and self._rng.random() < 0.4:
            return self._changed_transaction()
        if name in self._found:
            return self._rng.choice(self._found[name])
        if name == "algorithm" or "enum" in schema:
            return self._rng.choice(schema.get("enum", ["sha256", "sha384", "sm3", "sha512"]))
        if name in {"limit", "after"} or schema.get("type") == "integer":
            edges = (schema.get("minimum", 0), schema.get("maximum", 9), 0, 1)
            return self._rng.choice((*edges, edges[0] - 1, edges[1] + 1))
        if schema.get("type") == "boolean":
            return self._rng.random() < 0.5
        return base64.b64encode(self._rng.randbytes(self._rng.choice((0, 1, 32)))).decode()

    def _changed_transaction(self) -> str:
        good = self._node.chain.notarization("changed").envelope
        changed = mutated("canonical", good, self._rng)
        if self._rng.random() < 0.3:
            changed = codec.encode((changed,))
        text = base64.b64encode(changed).decode()
        if self._rng.random() < 0.2:
            text = changed_bytes(text.encode(), self._rng).decode("latin-1")
        return text

    def _signed(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Sign for a member; sometimes other parameters than those that are sent."""
        params.pop("auth", None)
        try:
            signed = dict(member_of(self._node).authorize(method, params))
        except Exception:  # noqa: BLE001  # it may hold what cannot be signed
            return {**params, "auth": dict(_EARLY_AUTH)}
        if self._rng.random() < 0.3:
            return changed_json_value(signed, self._rng)
        return signed
