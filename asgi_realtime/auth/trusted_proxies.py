"""Finds the address that a browser used, if a proxy changed `Host`: `X-Forwarded-Host`, `-Port` and `-Proto`."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from typing import NamedTuple, TypeAlias

from starlette.types import Scope

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")
_PORT = re.compile(r"[0-9]{1,5}")
_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


def read_network(text: str) -> Network:
    """Parse an address or a network.

    Raises:
        ValueError: the message says what to write.
    """
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(
            f"{text!r} is neither an address nor a network; write for example 10.0.0.5 or 10.0.0.0/8, or * for any"
        ) from None


class Address(NamedTuple):
    """The address that a browser sent a request to."""

    host: str | None
    """The `Host` header."""
    scheme: str
    """As in the ASGI scope: `http`, `https`, `ws` or `wss`."""


class TrustedProxies:
    """The proxies whose `X-Forwarded-Host`, `X-Forwarded-Port` and `X-Forwarded-Proto` are used.

    They are used where the peer's address is listed. A server that trusts a proxy by its own configuration replaces
    the peer's address by the one in `X-Forwarded-For`, and the port by 0, which no peer has. (uvicorn does that by
    default for proxies on 127.0.0.1.) Then the headers are used too.

    Of several values the last is used, because the nearest proxy wrote it. `Forwarded` (RFC 7239) is not read,
    because a proxy that does not support it passes on what the client wrote.

    Raises:
        ValueError: for a text that is neither an address nor a network nor `*`.
    """

    def __init__(self, peers: Collection[str]) -> None:
        self._any = "*" in peers
        self._networks = tuple(read_network(peer) for peer in peers if peer != "*")

    def address(self, scope: Scope) -> Address:
        """The address that the browser sent a request to."""
        host, scheme = _only(scope, b"host"), scope.get("scheme", "http")
        if not self._trusts(scope):
            return Address(host, scheme)
        forwarded = _last(scope, b"x-forwarded-host")
        if forwarded is not None and _HOST.fullmatch(forwarded):
            host = forwarded
        port = _last(scope, b"x-forwarded-port")
        if port is not None and _PORT.fullmatch(port) and host is not None:
            named = _HOST.fullmatch(host)
            if named is not None and named[2] is None:  # else `host` has the port that the browser used
                host = f"{host}:{port}"
        proto = _SCHEMES.get((_last(scope, b"x-forwarded-proto") or "").lower())
        if proto is not None:
            scheme = proto.replace("http", "ws") if scope["type"] == "websocket" else proto
        return Address(host, scheme)

    def rewrite(self, scope: Scope) -> None:
        """Put that address into a request's scope. Does nothing for two `Host` headers: they are refused later."""
        headers = scope["headers"]
        if sum(name == b"host" for name, _ in headers) > 1:
            return
        host, scheme = self.address(scope)
        scope["scheme"] = scheme
        if host is not None:
            others = [header for header in headers if header[0] != b"host"]
            scope["headers"] = [(b"host", host.encode("latin-1")), *others]

    def _trusts(self, scope: Scope) -> bool:
        if self._any:
            return True
        client = scope.get("client")
        if client is None:
            return False
        if client[1] == 0 and _last(scope, b"x-forwarded-for") is not None:
            return True
        try:
            peer = ipaddress.ip_address(client[0])
        except ValueError:
            return False
        if isinstance(peer, ipaddress.IPv6Address) and peer.ipv4_mapped is not None:
            peer = peer.ipv4_mapped
        return any(peer in network for network in self._networks)


def _only(scope: Scope, name: bytes) -> str | None:
    for key, value in scope["headers"]:
        if key == name:
            return str(value.decode("latin-1"))
    return None


def _last(scope: Scope, name: bytes) -> str | None:
    """The last value of a header, which may be repeated and may contain lists."""
    found: bytes | None = None
    for key, value in scope["headers"]:
        if key == name:
            found = value
    return None if found is None else found.rpartition(b",")[2].decode("latin-1").strip()
