"""Serves the console's files, and logs operators in and out."""

from __future__ import annotations

import asyncio
import html
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, quote

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from asgi_realtime.auth.origins import is_same
from asgi_realtime.auth.refusal_log import RefusalLog
from asgi_realtime.console.access import COOKIE, Access
from asgi_realtime.console.login_throttle import LoginThrottle
from asgi_realtime.errors import Refusal
from asgi_realtime.runtime import time_source
from asgi_realtime.runtime.log_fields import log_fields
from asgi_realtime.transports.request import Request

logger = logging.getLogger("asgi_realtime")

_FOLDER: Final = Path(__file__).parent / "page"
_TYPES: Final = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_PUBLIC: Final = frozenset({"style.css", "icon.svg"})
"""What the login page needs. Everything else needs a session."""
_BODY_BYTES: Final = 4_096
"""Most bytes of a form. Over: HTTP 413."""
_BODY_SECONDS: Final = 10.0
"""Seconds in which a form must have come. Over: HTTP 408."""
HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    # Not `no-referrer`: with it, browsers send `Origin: null` with the form.
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
"""Headers of every response."""


class ConsolePages:
    """The ASGI app of the console's path and of the paths below it.

    Args:
        path: where the console is mounted.
        access: decides who gets in.
        refusals: logs failed logins.
    """

    def __init__(self, path: str, access: Access, refusals: RefusalLog) -> None:
        self._path = path
        self._access = access
        self._refusals = refusals
        self._throttle = LoginThrottle()
        self._files = {file.name: file.read_bytes() for file in _FOLDER.iterdir() if file.suffix in _TYPES}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        response = await self._answer(Request(scope), scope, receive)
        await response(scope, receive, send)

    async def _answer(self, request: Request, scope: Scope, receive: Receive) -> Response:
        root = quote(scope.get("root_path", "").rstrip("/") + self._path)
        name = scope["path"].rpartition(self._path)[2].removeprefix("/")
        if request.duplicate_header is not None:
            return _text(400, f"two {request.duplicate_header.title()} headers")
        if name in ("login", "logout"):
            if request.method != "POST":
                return _text(405, "use POST", {"allow": "POST"})
            if request.origin is None or not is_same(request.origin, request.host, request.scheme):
                self._refusals.origin(self._path, request.origin, request.host)
                return _text(403, "this form must be sent by the console's own page")
            return await self._log_in(request, root, receive) if name == "login" else self._log_out(request, root)
        if request.method not in ("GET", "HEAD"):
            return _text(405, "use GET", {"allow": "GET, HEAD"})
        if name in _PUBLIC:
            return self._file(name)
        handshake = msgspec.structs.replace(request.handshake(), gateway=self._path)
        try:
            admitted = await self._access.session(handshake) is not None
        except Refusal:
            admitted = False
        if name == "":
            if admitted:
                return self._page("index.html", root)
            return self._page("login.html", root) if self._access.has_login else _text(403, "forbidden")
        if not admitted:
            return _text(403, "forbidden")
        return self._file(name) if name in self._files and name.endswith((".js", ".css")) else _text(404, "not found")

    async def _log_in(self, request: Request, root: str, receive: Receive) -> Response:
        if not self._access.has_login:
            return _text(403, "forbidden")
        try:
            body = await _read(receive)
        except TimeoutError:
            return _text(408, "the form did not come in time")
        if body is None:
            return _text(413, "the form is too large")
        # From here on nothing waits: many requests at once get no more attempts than one after the other.
        address, now = request.address or "", time_source.monotonic()
        wait = self._throttle.wait(address, now)
        if wait:
            self._refusals.refused(self._path, "too many wrong secrets")
            retry = {"retry-after": str(math.ceil(wait))}
            return self._page("login.html", root, 429, "Too many attempts. Wait a minute, and try again.", retry)
        if not self._access.is_secret(_secret_in(body)):
            self._throttle.failed(address, now)
            self._refusals.refused(self._path, "a wrong secret")
            return self._page("login.html", root, 401, "This is not the secret.")
        where, extra = address or "an unknown address", log_fields(self._path)
        logger.warning("%s: an operator has logged in from %s", self._path, where, extra=extra)
        return _redirect(root, _cookie(request, root, self._access.new_cookie(), round(self._access.seconds)))

    def _log_out(self, request: Request, root: str) -> Response:
        return _redirect(root, _cookie(request, root, "", 0))

    def _file(self, name: str) -> Response:
        kind = _TYPES[Path(name).suffix]
        return Response(self._files[name], headers=HEADERS, media_type=f"{kind}; charset=utf-8")

    def _page(
        self, name: str, root: str, status: int = 200, message: str = "", more: Mapping[str, str] | None = None
    ) -> Response:
        text = (
            self._files[name].decode().replace("{base}", html.escape(root)).replace("{message}", html.escape(message))
        )
        return Response(text, status, headers={**HEADERS, **(more or {})}, media_type="text/html; charset=utf-8")


def _text(status: int, text: str, more: Mapping[str, str] | None = None) -> Response:
    return Response(text, status, headers={**HEADERS, **(more or {})}, media_type="text/plain; charset=utf-8")


def _redirect(root: str, cookie: str) -> Response:
    return Response(status_code=303, headers={**HEADERS, "location": root, "set-cookie": cookie})


def _cookie(request: Request, root: str, value: str, seconds: int) -> str:
    # A proxy may end TLS, so the page says whether it was used.
    secure = "; Secure" if (request.origin or "").startswith("https:") else ""
    return f"{COOKIE}={value}; Path={root}; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"


async def _read(receive: Receive) -> bytes | None:
    """The body of a request. None: it is too large.

    Raises:
        TimeoutError: it did not come in time.
    """
    body = b""
    async with asyncio.timeout(_BODY_SECONDS):
        while True:
            event = await receive()
            if event["type"] == "http.disconnect":
                return b""
            body += bytes(event.get("body", b""))
            if len(body) > _BODY_BYTES:
                return None
            if not event.get("more_body"):
                return body


def _secret_in(body: bytes) -> str:
    """The secret in a form. Empty: there is none."""
    try:
        fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=10)
    except ValueError:
        return ""
    return fields.get("secret", [""])[-1]
