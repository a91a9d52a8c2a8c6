"""The origin policy for REST and realtime: which origins are allowed, and the CORS headers for them.

It does no I/O. The transports and the middleware send what it returns.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Collection

from asgi_realtime.auth.origin_patterns import (
    SPECIAL_ORIGINS,
    WEB_PORTS,
    Origin,
    OriginPattern,
    is_broad,
    read_origin,
    read_regex,
)
from asgi_realtime.errors import ConfigurationError

Headers = list[tuple[bytes, bytes]]

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PREFLIGHT_SECONDS = 600


class _Trust(enum.IntEnum):
    """How far an origin other than the same origin is trusted."""

    REFUSED = 0
    """The configuration does not allow it."""
    ALLOWED = 1
    """It may connect, as any page may. Credentials that a browser adds automatically are ignored."""
    TRUSTED = 2
    """The configuration names it. Cookies are accepted."""


class OriginPolicy:
    """The origins that may use REST and realtime: the same origin always, others if they are configured, all with `*`.

    The same origin is the one that the request was sent to (`Host`). If the server was reached without TLS, the page
    may still have used HTTPS, through a proxy that ends TLS. A page without TLS is never the same origin as a server
    that was reached with TLS.

    Cookies are accepted from the same origin and from origins that are named exactly or by a pattern. They are ignored
    for a page that is allowed only because any page is (`*`, `https://*`, `null`, `file://`).
    """

    def __init__(self, origins: Collection[str] = (), *, regex: str | None = None) -> None:
        """`origins` are origins, patterns (see `OriginPattern`), `null` or `*`. `regex` matches further origins.

        Raises:
            ConfigurationError: for any other text.
        """
        self._texts = tuple(origins)
        self._expression = regex
        self._any = "*" in self._texts
        self._null = "null" in self._texts
        self._listed: set[Origin] = set()
        self._patterns: list[OriginPattern] = []
        try:
            for text in self._texts:
                if text not in SPECIAL_ORIGINS:
                    self._add(read_origin(text))
            self._regex = None if regex is None else read_regex(regex)
        except ValueError as error:
            raise ConfigurationError(f"MEW_CORS_ORIGINS, CORS_ORIGIN or extra_origins: {error}") from None
        self._as_sent = frozenset(map(str, self._listed))
        """The listed origins as browsers write them. They are recognised without parsing."""
        self._regex_is_broad = self._regex is not None and is_broad(self._regex)
        self.is_open = self._any or self._regex_is_broad or any(pattern.is_broad for pattern in self._patterns)
        """Whether pages of any origin are allowed."""
        self.allows_untrusted = self.is_open or any(map(self._trust_of, ("null", "file://")))
        """Whether some pages are allowed whose cookies are ignored."""

    def _add(self, found: Origin | OriginPattern) -> None:
        if isinstance(found, Origin):
            self._listed.add(found)
        else:
            self._patterns.append(found)

    def with_extra(self, *origins: str) -> OriginPolicy:
        """The same policy with more origins, such as those of one gateway."""
        return OriginPolicy((*self._texts, *origins), regex=self._expression) if origins else self

    @property
    def cross_origin(self) -> bool:
        """Whether any origin except the same origin is allowed."""
        return bool(self._texts) or self._regex is not None

    def allows(self, origin: str | None, *, host: str | None, scheme: str = "http") -> bool:
        """Whether a request with this `Origin` header is allowed to authenticate.

        None, no such header, is allowed: the client is not a browser. `host` is the request's `Host` header. `scheme`
        is the scheme of the ASGI scope: `http`, `https`, `ws` or `wss`.
        """
        return (
            origin is None or origin in self._as_sent or is_same(origin, host, scheme) or bool(self._trust_of(origin))
        )

    def trusts(self, origin: str | None, *, host: str | None, scheme: str = "http") -> bool:
        """Whether credentials that a browser adds to such a request automatically are accepted, such as cookies."""
        return origin is None or is_same(origin, host, scheme) or self._trust_of(origin) is _Trust.TRUSTED

    def headers(self, origin: str | None) -> Headers:
        """The CORS headers of a response to a request of this origin. Empty if only the same origin is allowed.

        A named origin is echoed, because browsers do not accept `*` together with credentials. `Vary` keeps caches
        from giving the response for one origin to another, so it is added even if the request has no origin.
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
        """The headers that answer a CORS preflight. None: the origin is refused (HTTP 403).

        All requested methods and headers are allowed. The application and its authentication decide what a request
        may do.
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

    def _trust_of(self, text: str) -> _Trust:
        origin = Origin.parse(text)
        if origin is None:
            null = text == "null"
            return _Trust(null and (self._any or self._null or self._matches(text)))
        if origin in self._listed or any(p.matches(origin) for p in self._patterns if not p.is_broad):
            return _Trust.TRUSTED if origin.names_one_app else _Trust.ALLOWED
        if self._matches(str(origin)):
            named = not self._regex_is_broad and origin.names_one_app
            return _Trust.TRUSTED if named else _Trust.ALLOWED
        return _Trust(self._any or any(pattern.matches(origin) for pattern in self._patterns))

    def _matches(self, text: str) -> bool:
        return self._regex is not None and self._regex.fullmatch(text) is not None

    def _grant(self, origin: str | None) -> Headers:
        trust = _Trust.REFUSED if origin is None else self._trust_of(origin)
        if origin is None or trust is _Trust.REFUSED:
            return []
        echoed = (b"access-control-allow-origin", origin.encode("latin-1", "replace"))
        if trust is _Trust.TRUSTED:
            return [echoed, (b"access-control-allow-credentials", b"true")]
        return [(b"access-control-allow-origin", b"*") if self._any else echoed]


def is_same(origin: str, host: str | None, scheme: str) -> bool:
    """Whether an origin is the one that a request was sent to."""
    page = Origin.parse(origin)
    if page is None or host is None or page.scheme not in WEB_PORTS:
        return False
    if scheme in ("https", "wss") and page.scheme != "https":
        return False
    # A Host without a port means the default port of the scheme that the browser used, which is that of the page.
    return page == Origin.parse(f"{page.scheme}://{host}")
