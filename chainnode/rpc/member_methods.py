"""Methods whose full answer is for members, and how a request shows that a member asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from chainnode.model.commitment import DIGEST_BYTES
from chainnode.model.errors import DecodeError, Refused
from chainnode.rpc import render, results
from chainnode.rpc.base64_text import to_base64
from chainnode.rpc.shapes import (
    Auth,
    Choice,
    Flag,
    Hex,
    Integer,
    Owner,
    Parameter,
    page_parameters,
)
from chainnode.rpc.table import Method, at_once
from chainnode.services.history import MAX_MARKS
from chainnode.services.listing import MAX_LISTED, Selection
from chainnode.services.notary import MAX_LOOKUP

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chainnode.model.canonical_json import Param
    from chainnode.rpc.results import Json
    from chainnode.rpc.table import Request
    from chainnode.services.node_services import NodeServices

AUTH: Final = Parameter(
    name="auth", shape=Auth(), about="a member's signature under this request", required=False
)

AUTH_ERRORS: Final = (
    "auth_stale",
    "unknown_account",
    "account_suspended",
    "unknown_key",
    "key_not_valid",
    "auth_signature",
)

LOOKUP_PARAMETERS: Final = (
    Parameter(name="algorithm", shape=Choice(tuple(DIGEST_BYTES)), about="of the digest"),
    Parameter(name="digest", shape=Hex(least_bytes=32, most_bytes=64), about="of the document"),
    *page_parameters("registrations", most=MAX_LOOKUP),
)


def member_methods(services: NodeServices) -> tuple[Method, ...]:
    """Return the methods that look at `auth`."""
    chain, parameters = services.chain, services.ledger.genesis.parameters

    def block(request: Request) -> results.BlockResult:
        values = request.values
        wants_transactions = values["include_transactions"]
        if wants_transactions and not is_member(services, request):
            raise Refused(
                "transactions hold digests and salts, which are for members; sign the request "
                "(parameter auth)",
                code="auth_required",
                field="auth",
            )
        found = chain.header(values["height"])
        height = found.header.height
        return {
            "header": render.header(found, parameters),
            "receipts": [render.receipt(r) for r in chain.receipts(height)],
            "transactions": (
                [to_base64(e) for e in chain.transactions(height)] if wants_transactions else None
            ),
        }

    def history(request: Request) -> results.HistoryResult:
        values = request.values
        found = services.history.history(
            values["index"],
            as_member=is_member(services, request),
            limit=values["limit"],
            after=values["after"],
        )
        return render.history(found, services.ledger.tip.height)

    def listed(request: Request) -> results.LookupResult:
        values, as_member = request.values, is_member(services, request)
        page = services.listing.page(
            Selection(
                owner=values["owner"], from_ms=values["from_ms"], until_ms=values["until_ms"]
            ),
            as_member=as_member,
            limit=values["limit"],
            after=values["after"],
        )
        return render.lookup(page, as_member=as_member)

    return (
        Method(
            name="chain_block",
            summary="A block with its receipts; with its transactions for members",
            parameters=(
                Parameter(
                    name="height",
                    shape=Integer(least=1),
                    about="its number; the tip's if absent",
                    required=False,
                ),
                Parameter(
                    name="include_transactions",
                    shape=Flag(),
                    about="whether to add the transactions' bytes; needs auth",
                    required=False,
                    default=False,
                ),
                AUTH,
            ),
            result=results.BlockResult,
            errors=("unknown_height", "auth_required", *AUTH_ERRORS),
            handler=at_once(block),
        ),
        Method(
            name="notary_lookup",
            summary="Registrations of a digest: all of them for members, else the public ones",
            parameters=(*LOOKUP_PARAMETERS, AUTH),
            result=results.LookupResult,
            errors=("bad_digest", *AUTH_ERRORS),
            handler=at_once(
                lambda request: lookup(
                    services, request.values, as_member=is_member(services, request)
                )
            ),
        ),
        Method(
            name="notary_list",
            summary="Registrations by owner and time, in log order: all of them for members, else the public ones",
            parameters=(
                Parameter(
                    name="owner",
                    shape=Owner(),
                    about="an account, or an organisation for all of its accounts; everybody's if absent",
                    required=False,
                ),
                Parameter(
                    name="from_ms",
                    shape=Integer(),
                    about="block time from which on; from the first if absent",
                    required=False,
                ),
                Parameter(
                    name="until_ms",
                    shape=Integer(),
                    about="block time before which; to the newest if absent",
                    required=False,
                ),
                *page_parameters("registrations", most=MAX_LISTED),
                AUTH,
            ),
            result=results.LookupResult,
            errors=AUTH_ERRORS,
            handler=at_once(listed),
        ),
        Method(
            name="notary_history",
            summary="What became of a registration: its marks, owners and versions; of a blinded one for members",
            parameters=(
                Parameter(name="index", shape=Integer(), about="log index of the registration"),
                *page_parameters("marks", most=MAX_MARKS),
                AUTH,
            ),
            result=results.HistoryResult,
            errors=("unknown_record", "not_a_registration", "auth_required", *AUTH_ERRORS),
            handler=at_once(history),
        ),
    )


def is_member(services: NodeServices, request: Request) -> bool:
    """Whether the request is signed by a member; unsigned ones are not.

    Raises:
        Refused: it is signed, and the signature is no good: that is an error, not a stranger's question.
    """
    authorization = request.values["auth"]
    if authorization is None:
        return False
    params = {name: value for name, value in request.params.items() if name != "auth"}
    services.membership.check_member(
        authorization, method=request.method, params=cast("Mapping[str, Param]", params)
    )
    return True


def lookup(
    services: NodeServices, values: Mapping[str, Json], *, as_member: bool
) -> results.LookupResult:
    """Answer a lookup whose parameters are `LOOKUP_PARAMETERS`."""
    algorithm, digest = cast("str", values["algorithm"]), cast("bytes", values["digest"])
    if len(digest) != DIGEST_BYTES[algorithm]:
        raise DecodeError(
            f"digest: found {len(digest)} bytes; a {algorithm} digest has {DIGEST_BYTES[algorithm]}",
            field="digest",
            code="bad_digest",
        )
    page = services.notary.lookup(
        algorithm,
        digest,
        as_member=as_member,
        limit=cast("int", values["limit"]),
        after=cast("int | None", values["after"]),
    )
    return render.lookup(page, as_member=as_member)
