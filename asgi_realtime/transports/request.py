"""The HTTP request with which a client connects."""

from __future__ import annotations

from starlette.requests import cookie_parser
from starlette.types import Scope

from asgi_realtime.runtime.asgi_scope import duplicate_header, query_parameters, redact_query, request_headers
from asgi_realtime.tracing import Tracing
from asgi_realtime.values.handshake import EMPTY, Handshake
from asgi_realtime.values.traced_handshake import traced


class Request:
    """A request of a client. Making one takes secrets out of the scope's query string (see `redact_query`)."""

    __slots__ = ("_headers", "_path", "address", "duplicate_header", "host", "method", "origin", "query", "scheme")

    def __init__(self, scope: Scope) -> None:
        self.query: dict[str, str] = query_parameters(scope)
        redact_query(scope)
        self._path: str = scope["path"]
        self._headers = request_headers(scope)
        # Without any repeated header there is nothing to look for.
        self.duplicate_header = None if len(self._headers) == len(scope["headers"]) else duplicate_header(scope)
        """A header that may occur once and occurs twice. Such a request is refused."""
        self.method: str = scope.get("method", "GET")
        self.origin = self._headers.get("origin")
        self.host = self._headers.get("host")
        self.scheme: str = scope.get("scheme", "http")
        client = scope.get("client")
        self.address: str | None = client[0] if client else None

    def header(self, name: str) -> str | None:
        """A header by its lower-cased name."""
        return self._headers.get(name)

    def handshake(self, tracing: Tracing | None = None) -> Handshake:
        """Everything the client presented. The gateway is not known yet: it is empty.

        With `tracing`, it has what the client's events are linked to: to be called within the request.
        """
        found = Handshake(
            path=self._path,
            headers=self._headers,
            query=self.query,
            cookies=cookie_parser(self._headers["cookie"]) if "cookie" in self._headers else EMPTY,
            client_address=self.address,
            scheme=self.scheme,
        )
        return found if tracing is None else traced(found, tracing.link(self._headers))
