"""`GET /openrpc.json`: the method table for machines (OpenRPC 1.2.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainnode.rpc.error_numbers import MEANINGS
from chainnode.rpc.schema import schema_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chainnode.rpc.results import Json
    from chainnode.rpc.shapes import Parameter
    from chainnode.rpc.table import Method


def openrpc_document(methods: Iterable[Method], software_version: str) -> dict[str, Json]:
    """Return the description of every method, parameter, result and error."""
    errors: dict[str, Json] = {
        str(number): {"code": number, "message": meaning} for number, meaning in MEANINGS.items()
    }
    return {
        "openrpc": "1.2.6",
        "info": {
            "title": "chainnode",
            "version": software_version,
            "description": "Digests and ids are lower-case hex, other bytes base64, times integer "
            "milliseconds UTC. Errors carry data.code (stable), data.field and, when waiting helps, "
            "data.retry_after_ms.",
        },
        "methods": [_method(method) for method in methods],
        "components": {"errors": errors},
    }


def _method(method: Method) -> dict[str, Json]:
    return {
        "name": method.name,
        "summary": method.summary,
        "paramStructure": "either",
        "params": [_parameter(parameter) for parameter in method.parameters],
        "result": {"name": f"{method.name}_result", "schema": schema_of(method.result)},
        "errors": [{"$ref": f"#/components/errors/{number}"} for number in MEANINGS],
        "x-error-codes": list(method.errors),
    }


def _parameter(parameter: Parameter) -> dict[str, Json]:
    return {
        "name": parameter.name,
        "summary": parameter.about,
        "required": parameter.required,
        "schema": parameter.shape.schema(),
    }
