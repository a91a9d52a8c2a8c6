"""One origin policy for REST and realtime: which pages may talk to us, and the CORS headers that say so.

Values in, values out: the transports and the middleware ask, and write what they are told.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from typing import NamedTuple

from asgi_realtime.errors import ConfigurationError

Headers = list[tuple[bytes, bytes]]

_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[^\s/\\?#@:,*\[\]]+)(?::([0-9]{0,5}))?")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_PREFLIGHT_SECONDS = 600


class Origin(NamedTuple):
    """An origin as RFC 6454 compares it: lower case, an explicit port, the shortest IPv6 form."""

    scheme: str
    host: str
    port: int | None

    @classmethod
    def parse(cls, text: str) -> Origin | None:
        """Read a serialised origin. None for `null`, and for anything that has more or less than an origin has."""
        match = _ORIGIN.fullmatch(text.lower())
        if match is None:
            return None
        scheme, host, digits = match.groups()
        port = int(digits) if digits else _DEFAULT_PORTS.get(scheme)
        try:
            if host.startswith("["):
                host = f"[{ipaddress.IPv6Address(host[1:-1]).compressed}]"
            elif not host.isascii():
                host = host.encode("idna").decode("ascii")  # browsers send the ASCII form
        except ValueError:
            return None
        if port is not None and port > 65535:
            return None
        return cls(scheme, host, port)


class OriginPolicy:
    """The origins that may use REST and realtime: the own one always, others as listed, any by `*`.

    The own origin is the one the request was addressed to (`Host`). Where the server was reached
    without TLS the page may have come by HTTPS all the same, through a proxy that ends TLS; a page
    that came without TLS is never the same origin as a server reached with it.
    """

    def __init__(self, origins: Collection[str] = ()) -> None:
        """Make a policy.

        Raises:
            ConfigurationError: for a text that is neither an origin nor `*`.
        """
        self._texts = tuple(origins)
        self._any = "*" in self._texts
        self._listed: set[Origin] = set()
        for text in self._texts:
            origin = Origin.parse(text.removesuffix("/"))
            if origin is not None:
                self._listed.add(origin)
            elif text != "*":
                raise ConfigurationError(
                    f"MEW_CORS_ORIGINS or CORS_ORIGIN: {text!r} is not an origin; "
                    "write scheme and host, such as https://app.example.com"
                )

    def with_extra(self, *origins: str) -> OriginPolicy:
        """The same policy with more origins, such as those of one gateway."""
        return OriginPolicy((*self._texts, *origins))

    @property
    def cross_origin(self) -> bool:
        """Whether any origin but the own one is allowed at all."""
        return bool(self._texts)

    def allows(self, origin: str | None, *, host: str | None, scheme: str = "http") -> bool:
        """Whether a request with this `Origin` header may go on to authentication.

        None, the absence of the header, may: it is not a browser's. `host` is the request's `Host`
        header, `scheme` the one of the ASGI scope (`ws` and `wss` are understood).
        """
        return origin is None or self._lists(origin) or _same(origin, host, scheme)

    def headers(self, origin: str | None, *, host: str | None, scheme: str = "http") -> Headers:
        """The CORS headers of a response to this request: none at all under a same-origin policy.

        The origin is echoed, because browsers take no `*` together with credentials; `Vary` keeps
        caches from handing one origin's response to another, so it is there without an origin too.
        """
        if not self.cross_origin:
            return []
        return [*self._grant(origin), (b"vary", b"Origin")]

    def preflight(
        self,
        origin: str | None,
        requested_method: str | None,
        requested_headers: str | None,
        *,
        host: str | None,
        scheme: str = "http",
    ) -> Headers | None:
        """The headers that answer a CORS preflight, or None when the origin is refused (HTTP 403).

        Whatever method and headers the page asks for are granted: what they may do is for the
        application and its authentication to say.
        """
        if not self.allows(origin, host=host, scheme=scheme):
            return None
        headers = self._grant(origin)
        if headers:
            if requested_method is not None and _TOKEN.fullmatch(requested_method):
                headers.append((b"access-control-allow-methods", requested_method.encode("ascii")))
            names = [name.strip() for name in (requested_headers or "").split(",")]
            granted = ", ".join(name for name in names if _TOKEN.fullmatch(name))
            if granted:
                headers.append((b"access-control-allow-headers", granted.encode("ascii")))
            headers.append((b"access-control-max-age", b"%d" % _PREFLIGHT_SECONDS))
        headers.append((b"vary", b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"))
        return headers

    def _lists(self, origin: str) -> bool:
        return self._any or Origin.parse(origin) in self._listed

    def _grant(self, origin: str | None) -> Headers:
        if origin is None or not origin.isprintable() or not self._lists(origin):
            return []
        return [
            (b"access-control-allow-origin", origin.encode("latin-1", "replace")),
            (b"access-control-allow-credentials", b"true"),
        ]


def _same(origin: str, host: str | None, scheme: str) -> bool:
    """Whether an origin is the one that a request was addressed to."""
    page = Origin.parse(origin)
    if page is None or host is None or page.scheme not in _DEFAULT_PORTS:
        return False
    if scheme in ("https", "wss") and page.scheme != "https":
        return False
    # A Host without a port means the default port of the scheme the browser used: the page's own.
    return page == Origin.parse(f"{page.scheme}://{host}")
