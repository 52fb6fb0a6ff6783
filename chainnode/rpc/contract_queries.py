"""`contract_query`: the contracts' own questions, by contract and name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from chainnode.model.errors import NotFound
from chainnode.model.suites import HASH_BYTES
from chainnode.rpc import render, results
from chainnode.rpc.member_methods import AUTH, AUTH_ERRORS, LOOKUP_PARAMETERS, is_member, lookup
from chainnode.rpc.shapes import (
    AccountName,
    Anything,
    Base64,
    Hex,
    Name,
    Parameter,
    parse_parameters,
)
from chainnode.rpc.table import Method, at_once

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from chainnode.rpc.results import Json
    from chainnode.rpc.table import Request
    from chainnode.services.node_services import NodeServices


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One query of a contract."""

    parameters: tuple[Parameter, ...]
    """What `args` may hold."""

    answer: Callable[[Mapping[str, Any], Request], Any]
    """From the read arguments and the whole request to a result."""


def contract_queries(services: NodeServices) -> dict[tuple[str, str], Query]:
    """Return every query by contract and name."""
    chain = services.chain

    def account(args: Mapping[str, Any], _: Request) -> results.AccountResult:
        found = chain.account(args["name"])
        return render.account(found, chain.organisation_title(found.organisation))

    def organisation(args: Mapping[str, Any], _: Request) -> dict[str, Json]:
        return {"name": args["name"], "title": chain.organisation_title(args["name"])}

    def key(args: Mapping[str, Any], _: Request) -> dict[str, object]:
        record = chain.key(args["public_key"])
        return {"owner": record.owner, **render.key(args["public_key"], record)}

    def registrations(args: Mapping[str, Any], request: Request) -> results.LookupResult:
        return lookup(services, args, as_member=is_member(services, request))

    def certificate(args: Mapping[str, Any], _: Request) -> dict[str, Json]:
        return render.certificate(chain, args["fingerprint"])

    def authority(args: Mapping[str, Any], _: Request) -> dict[str, Json]:
        return render.authority(args["name"], chain.authority(args["name"]))

    def crl(args: Mapping[str, Any], _: Request) -> dict[str, Json]:
        return render.published_list(chain.crl(args["name"]))

    def root_crl(args: Mapping[str, Any], _: Request) -> dict[str, Json]:
        return render.published_list(chain.root_crl(args["name"]))

    def clock(args: Mapping[str, Any], _: Request) -> dict[str, Json]:
        found = chain.clock_declaration(args["account"])
        if found is None:
            return {"is_declared": False, "validator": None, "sources": [], "check": None}
        return {
            "is_declared": True,
            "validator": found.validator,
            "sources": list(found.sources),
            "check": found.check,
        }

    authority_name = Parameter(name="name", shape=Name(), about="what the chain calls it")
    public_key = Parameter(name="public_key", shape=Base64(most_bytes=128), about="as registered")
    return {
        ("authorities", "authority"): Query(parameters=(authority_name,), answer=authority),
        ("authorities", "certificate"): Query(
            parameters=(
                Parameter(
                    name="fingerprint",
                    shape=Hex(least_bytes=HASH_BYTES, most_bytes=HASH_BYTES),
                    about="the chain's hash of its DER",
                ),
            ),
            answer=certificate,
        ),
        ("authorities", "crl"): Query(parameters=(authority_name,), answer=crl),
        ("authorities", "root_crl"): Query(parameters=(authority_name,), answer=root_crl),
        ("clocks", "declared"): Query(
            parameters=(
                Parameter(name="account", shape=AccountName(), about="that a node signs for"),
            ),
            answer=clock,
        ),
        ("identity", "account"): Query(
            parameters=(Parameter(name="name", shape=AccountName(), about="organisation/account"),),
            answer=account,
        ),
        ("identity", "organisation"): Query(
            parameters=(Parameter(name="name", shape=Name(), about="its short name"),),
            answer=organisation,
        ),
        ("identity", "key"): Query(parameters=(public_key,), answer=key),
        ("notary", "lookup"): Query(parameters=LOOKUP_PARAMETERS, answer=registrations),
    }


def contract_query_method(services: NodeServices) -> Method:
    """Return the method."""
    queries = contract_queries(services)

    def answer(request: Request) -> results.QueryResult:
        contract, name = request.values["contract"], request.values["query"]
        query = queries.get((contract, name))
        if query is None:
            known = ", ".join("/".join(known) for known in queries)
            raise NotFound(
                f"there is no query {contract}/{name}; known are {known}",
                code="unknown_query",
                field="query",
            )
        args = parse_parameters({p.name: p for p in query.parameters}, request.values["args"])
        result = query.answer(args, request)
        return {"height": services.ledger.tip.height, "result": cast("Json", result)}

    return Method(
        name="contract_query",
        summary="A contract's own query: " + ", ".join("/".join(known) for known in queries),
        parameters=(
            Parameter(name="contract", shape=Name(), about="name of the contract"),
            Parameter(name="query", shape=Name(), about="name of the query"),
            Parameter(
                name="args",
                shape=Anything(),
                about="the query's arguments by name",
                required=False,
                default={},
            ),
            AUTH,
        ),
        result=results.QueryResult,
        errors=(
            "unknown_query",
            "unknown_account",
            "unknown_authority",
            "no_crl",
            "unknown_organisation",
            "unknown_key",
            "bad_digest",
            *AUTH_ERRORS,
        ),
        handler=at_once(answer),
    )
