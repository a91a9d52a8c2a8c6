"""What a client presented when it connected."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from asgi_realtime.values.json import Json

NOTHING: Mapping[str, str] = MappingProxyType({})
"""No headers, no cookies, no query: one for all."""


_BROWSER_SCHEMES = frozenset({"basic", "digest", "negotiate", "ntlm"})
"""Schemes of `Authorization` whose credentials a browser keeps and sends by itself."""


class Handshake(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a client presented when it asked to connect.

    `gateway` is the namespace or path of the gateway. It is empty while no gateway is known, as for a request to one of
    your routes. `headers` are lower-cased names; of a repeated header the last wins, as in HTTP libraries for
    Python. (A request that repeats `Origin`, `Host`, `Authorization` or `X-Mew-Admin-Secret` is
    refused.) `cookies` are empty for a page of another origin that is let in only because any page is.
    `auth` is the payload of a Socket.IO CONNECT, or the `data` of a JSON `auth` frame. `scheme` is how
    the server was reached: `http` or `ws`, with an `s` where there was TLS.
    """

    # `gc=False`: it is in no cycle, and 16 bytes smaller.
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
        """What is kept of it once the client is in: not the headers, the cookies and `auth`."""
        return msgspec.structs.replace(self, headers=NOTHING, cookies=NOTHING, query=self.query or NOTHING, auth=None)

    def without_browser_credentials(self) -> Handshake:
        """The handshake without cookies and HTTP authentication, which a browser adds to what any page sends.

        A bearer token in `Authorization` stays: only a script that has it can send it.
        """
        dropped = {"cookie"}
        if self.headers.get("authorization", "").partition(" ")[0].lower() in _BROWSER_SCHEMES:
            dropped.add("authorization")
        headers = {name: value for name, value in self.headers.items() if name not in dropped}
        return msgspec.structs.replace(self, headers=headers, cookies=NOTHING)

    @property
    def origin(self) -> str | None:
        """The `Origin` header, or None for a client that is not a browser."""
        return self.headers.get("origin")
