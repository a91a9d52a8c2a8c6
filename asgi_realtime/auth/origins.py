"""One origin policy for REST and realtime: which pages may talk to us, and the CORS headers that say so.

Values in, values out: the transports and the middleware ask, and write what they are told.
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
    """What the configuration says of an origin that is not the same origin."""

    REFUSED = 0
    """Nothing: it is refused."""
    ALLOWED = 1
    """It may talk to us, as any page may. Credentials that a browser sends by itself say nothing there."""
    TRUSTED = 2
    """The host trusts it."""


class OriginPolicy:
    """The origins that may use REST and realtime: always the same origin, others as listed, any by `*`.

    The own origin is the one the request was addressed to (`Host`). Where the server was reached
    without TLS the page may have come by HTTPS all the same, through a proxy that ends TLS; a page
    that came without TLS is never the same origin as a server reached with it.

    Cookies count from the own origin and from origins that are named, outright or by a pattern. A page
    that is let in because anybody is (`*`, `https://*`, `null`, `file://`) cannot use its visitor's.
    """

    def __init__(self, origins: Collection[str] = (), *, regex: str | None = None) -> None:
        """Make a policy of origins, patterns (see `OriginPattern`), `null` and `*`, and an expression for more.

        Raises:
            ConfigurationError: for a text that is none of these.
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
        """The listed origins as browsers write them, which are found without being parsed."""
        self._regex_is_broad = self._regex is not None and is_broad(self._regex)
        self.is_open = self._any or self._regex_is_broad or any(pattern.is_broad for pattern in self._patterns)
        """Whether pages of any origin are let in."""
        self.allows_untrusted = self.is_open or any(map(self._trust_of, ("null", "file://")))
        """Whether there are pages that are let in and not trusted."""

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
        """Whether a request with this `Origin` header may go on to authentication.

        None, the absence of the header, may: it is not a browser's. `host` is the request's `Host`
        header, `scheme` the one of the ASGI scope (`ws` and `wss` are understood).
        """
        return (
            origin is None or origin in self._as_sent or is_same(origin, host, scheme) or bool(self._trust_of(origin))
        )

    def trusts(self, origin: str | None, *, host: str | None, scheme: str = "http") -> bool:
        """Whether credentials count that a browser adds to such a request by itself: cookies, HTTP authentication."""
        return origin is None or is_same(origin, host, scheme) or self._trust_of(origin) is _Trust.TRUSTED

    def headers(self, origin: str | None, *, host: str | None, scheme: str = "http") -> Headers:
        """The CORS headers of a response to this request: none at all under a same-origin policy.

        An origin that is named is echoed, because browsers take no `*` together with credentials. `Vary` keeps
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
    """Whether an origin is the one that a request was addressed to."""
    page = Origin.parse(origin)
    if page is None or host is None or page.scheme not in WEB_PORTS:
        return False
    if scheme in ("https", "wss") and page.scheme != "https":
        return False
    # A Host without a port means the default port of the scheme the browser used: the page's own.
    return page == Origin.parse(f"{page.scheme}://{host}")
