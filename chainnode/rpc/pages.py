"""Everything that is fetched with GET: the log's static resources, health, metrics, the method table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from chainnode.model.errors import ChainError, DecodeError, NotFound, Unavailable
from chainnode.model.ids import check_name
from chainnode.model.tlog_tiles import parse_tile_path
from chainnode.pki.pem import CERTIFICATE, write_pem
from chainnode.rpc.json_text import encode_json
from chainnode.rpc.limits import RETRY_AFTER_MS
from chainnode.rpc.openrpc import openrpc_document
from chainnode.services.health import reason_not_ready, warning_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from chainnode.rpc.results import Json
    from chainnode.rpc.table import Method
    from chainnode.services.node_services import NodeServices

_IMMUTABLE: Final = "public, max-age=31536000, immutable"
"""A tile of a given width never changes, so any cache may keep it for ever (a year, by custom)."""

_NO_STORE: Final = "no-store"
_ROOT_CRL: Final = "/root.crl"
_TEXT: Final = "text/plain; charset=utf-8"


class Pages:
    """Answers GET and HEAD. Raises NodeFault."""

    def __init__(self, services: NodeServices, methods: Iterable[Method]) -> None:
        self._services = services
        self._openrpc = encode_json(openrpc_document(methods, services.software_version)).encode()
        self._pages = {
            "/checkpoint": self._checkpoint,
            "/openrpc.json": self._describe,
            "/healthz": self._health,
            "/readyz": self._readiness,
            "/metrics": self._metrics,
        }

    def answer(self, verb: str, path: str) -> web.Response:
        """Return the page at `path`, as it came in the request line."""
        page = self._pages.get(path) or self._page_in_folder(path)
        if page is None:
            return _page(404, b"no such page\n", _TEXT, _NO_STORE)
        if verb not in {"GET", "HEAD"}:
            response = _page(405, b"GET only\n", _TEXT, _NO_STORE)
            response.headers["Allow"] = "GET, HEAD"
            return response
        return page()

    def _page_in_folder(self, path: str) -> Callable[[], web.Response] | None:
        if path.startswith("/tile/"):
            return lambda: self._tile(path.removeprefix("/"))
        return (lambda: self._authority(path)) if path.startswith("/ca/") else None

    def _checkpoint(self) -> web.Response:
        try:
            note = self._services.log.checkpoint().note
        except Unavailable as error:
            response = _page(503, f"{error.message}\n".encode(), _TEXT, _NO_STORE)
            response.headers["Retry-After"] = "1"
            return response
        return _page(200, note.encode(), _TEXT, "no-cache")

    def _tile(self, path: str) -> web.Response:
        try:
            data = self._services.log.tile(parse_tile_path(path))
        except (DecodeError, NotFound) as error:
            # It may come into being, so nobody shall remember that it is not there.
            return _page(404, f"{error.message}\n".encode(), _TEXT, _NO_STORE)
        return _page(200, data, "application/octet-stream", _IMMUTABLE)

    def _authority(self, path: str) -> web.Response:
        """Return what an authority publishes: `/ca/NAME.pem`, its certificates; `.cer` and `.crl`, in DER (RFC 4387 names).

        `/ca/NAME/root.crl` is the list of its root.
        """
        chain = self._services.chain
        if path.endswith(_ROOT_CRL):
            name = path.removeprefix("/ca/").removesuffix(_ROOT_CRL)
            try:
                check_name(name, "authority")
                return _page(200, chain.root_crl(name).encoded, "application/pkix-crl", "no-cache")
            except ChainError as error:
                return _page(404, f"{error}\n".encode(), _TEXT, _NO_STORE)
        name, _, kind = path.removeprefix("/ca/").rpartition(".")
        try:
            check_name(name, "authority")
            match kind:
                case "pem":
                    bundle = b"".join(
                        write_pem(CERTIFICATE, c) for c in chain.authority(name).chain
                    )
                    return _page(200, bundle, "application/pem-certificate-chain", "no-cache")
                case "cer":
                    issuing = chain.authority(name).chain[0]
                    return _page(200, issuing, "application/pkix-cert", "no-cache")
                case "crl":
                    return _page(200, chain.crl(name).encoded, "application/pkix-crl", "no-cache")
                case _:
                    return _page(404, b"no such page\n", _TEXT, _NO_STORE)
        except (ChainError, IndexError) as error:
            return _page(404, f"{error}\n".encode(), _TEXT, _NO_STORE)

    def _describe(self) -> web.Response:
        return _page(200, self._openrpc, "application/json", "no-cache")

    def _health(self) -> web.Response:
        return _page(200, b"ok\n", _TEXT, _NO_STORE)

    def _readiness(self) -> web.Response:
        status = self._services.engine.status()
        reason = reason_not_ready(status, self._services.clock.now_ms())
        found: dict[str, Json] = {
            "ready": reason is None,
            "reason": reason,
            "warning": warning_of(status),
        }
        body = encode_json(found).encode() + b"\n"
        return _page(200 if reason is None else 503, body, "application/json", _NO_STORE)

    def _metrics(self) -> web.Response:
        return _page(200, self._services.metrics.render(), CONTENT_TYPE_LATEST, _NO_STORE)


def too_busy(found: str) -> Unavailable:
    """Return the error of an overloaded listener."""
    return Unavailable(
        f"{found}; nothing was accepted; try again later",
        code="overloaded",
        retry_after_ms=RETRY_AFTER_MS,
    )


def _page(status: int, body: bytes, content_type: str, cache_control: str) -> web.Response:
    headers = {"Content-Type": content_type, "Cache-Control": cache_control}
    return web.Response(status=status, body=body, headers=headers)
