"""Adds the CORS headers of the shared policy to the host's HTTP responses that have none."""

from __future__ import annotations

from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asgi_realtime.auth.origins import Headers, OriginPolicy
from asgi_realtime.auth.refusal_log import RefusalLog
from asgi_realtime.auth.trusted_proxies import TrustedProxies
from asgi_realtime.runtime.asgi_scope import duplicate_header

_ALLOW_ORIGIN = b"access-control-allow-origin"


def header(scope: Scope, name: bytes) -> str | None:
    """A header of an ASGI scope by its lower-case name. If it is repeated, the last value. None: it is missing."""
    found = None
    for key, value in scope["headers"]:
        if key == name:
            found = value.decode("latin-1")
    return found


class SharedCORS:
    """Calls the host app, and adds CORS headers to its responses.

    If a response has CORS headers already, from a `CORSMiddleware` of the host, nothing is added. A preflight that the
    host does not handle is answered here.
    """

    def __init__(
        self,
        app: ASGIApp,
        policy: OriginPolicy,
        proxies: TrustedProxies | None = None,
        refusals: RefusalLog | None = None,
    ) -> None:
        self._app = app
        self._policy = policy
        self._proxies = proxies or TrustedProxies(())
        self._refusals = refusals or RefusalLog()

    def applies_to(self, scope: Scope) -> bool:
        """Whether a request needs CORS headers: other origins are allowed, and the request has an `Origin`."""
        return self._policy.cross_origin and any(key == b"origin" for key, _ in scope["headers"])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request for which `applies_to` is true."""
        host, scheme = self._proxies.address(scope)
        # With two Origin headers none is allowed: a cache or a proxy may have used the other one.
        duplicate = duplicate_header(scope)
        origin = None if duplicate else header(scope, b"origin")

        def on_withheld() -> None:
            if duplicate is not None:
                self._refusals.refused("CORS", f"two {duplicate.title()} headers")
            elif not self._policy.allows(origin, host=host, scheme=scheme):
                self._refusals.origin("CORS", origin, host)

        method = header(scope, b"access-control-request-method")
        if scope["method"] == "OPTIONS" and method is not None:
            requested = header(scope, b"access-control-request-headers")
            granted = None if duplicate else self._policy.preflight(origin, method, requested, host=host, scheme=scheme)
            await self._app(scope, receive, _Preflight(send, granted, on_withheld))
        else:
            added = self._policy.headers(origin)
            await self._app(scope, receive, _WithHeaders(send, added, on_withheld))


class _WithHeaders:
    """Adds headers to a response that has no CORS headers yet. `on_withheld` is called if none allows the origin."""

    def __init__(self, send: Send, added: Headers, on_withheld: Callable[[], None]) -> None:
        self._send = send
        self._added = added
        self._on_withheld = on_withheld

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            if not any(key.lower() == _ALLOW_ORIGIN for key, _ in headers):
                message = {**message, "headers": _merge(headers, self._added)}
                if self._added[0][0] != _ALLOW_ORIGIN:
                    self._on_withheld()
        await self._send(message)


class _Preflight:
    """Replaces the host's answer to a preflight if it has no CORS headers and the origin is allowed.

    `on_withheld` is called if the origin is refused here and the host's answer has no CORS headers.
    """

    def __init__(self, send: Send, granted: Headers | None, on_withheld: Callable[[], None]) -> None:
        self._send = send
        self._granted = granted
        self._on_withheld = on_withheld
        self._replaced = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            answered = any(key.lower() == _ALLOW_ORIGIN for key, _ in message.get("headers", ()))
            if self._granted is None:
                if not answered:
                    self._on_withheld()
            elif not answered:
                self._replaced = True
                await self._send(
                    {
                        "type": "http.response.start",
                        "status": 200,
                        "headers": [*self._granted, (b"content-length", b"0")],
                    }
                )
                await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        if not self._replaced:
            await self._send(message)


def _merge(headers: Headers, added: Headers) -> Headers:
    """Add headers, or replace those of the same name. `Vary` is joined with an existing `Vary`."""
    merged = list(headers)
    for name, value in added:
        at = next((i for i, (key, _) in enumerate(merged) if key.lower() == name), None)
        if at is None:
            merged.append((name, value))
        elif name != b"vary":
            merged[at] = (name, value)
        elif value.lower() not in merged[at][1].lower():
            merged[at] = (name, merged[at][1] + b", " + value)
    return merged
