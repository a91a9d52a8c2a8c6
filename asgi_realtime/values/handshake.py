"""What a client presented when it connected."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from asgi_realtime.values.json import Json

EMPTY: Mapping[str, str] = MappingProxyType({})
"""An empty mapping that all handshakes share, for no headers, no cookies or no query."""


_BROWSER_SCHEMES = frozenset({"basic", "digest", "negotiate", "ntlm"})
"""Schemes of `Authorization` whose credentials a browser keeps and sends by itself."""


class Handshake(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a client presented when it connected.

    `gateway` is the namespace or path of the gateway. It is empty if no gateway is known, for example for a request to
    one of your routes. `headers` have lower-case names. If a header is repeated, the last value is used. (A request
    that repeats `Origin`, `Host`, `Authorization` or `X-Mew-Admin-Secret` is refused.) `cookies` are empty for a page
    of another origin that is allowed only because pages of any origin are. `auth` is the payload of a Socket.IO
    CONNECT, or the `data` of a JSON `auth` frame. `scheme` is `http` or `ws`, or `https` or `wss` over TLS.
    """

    # `gc=False` saves 16 bytes. It is safe because a handshake is never part of a reference cycle.
    gateway: str = ""
    path: str = ""
    headers: Mapping[str, str] = {}
    query: Mapping[str, str] = {}
    cookies: Mapping[str, str] = {}
    auth: Json = None
    client_address: str | None = None
    scheme: str = "http"

    def __repr__(self) -> str:
        # Headers, cookies, query and auth hold credentials, which must not get into a log by accident.
        return f"Handshake(gateway={self.gateway!r}, path={self.path!r}, client_address={self.client_address!r})"

    def without_credentials(self) -> Handshake:
        """The handshake without headers, cookies and `auth`. This form is kept while the client is connected."""
        return msgspec.structs.replace(self, headers=EMPTY, cookies=EMPTY, query=self.query or EMPTY, auth=None)

    def without_browser_credentials(self) -> Handshake:
        """The handshake without the cookies and HTTP authentication that a browser adds to requests of any page.

        A bearer token in `Authorization` is kept, because only a script that knows the token can send it.
        """
        dropped = {"cookie"}
        if self.headers.get("authorization", "").partition(" ")[0].lower() in _BROWSER_SCHEMES:
            dropped.add("authorization")
        headers = {name: value for name, value in self.headers.items() if name not in dropped}
        return msgspec.structs.replace(self, headers=headers, cookies=EMPTY)

    @property
    def origin(self) -> str | None:
        """The `Origin` header, or None for a client that is not a browser."""
        return self.headers.get("origin")
