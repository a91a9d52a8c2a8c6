"""The addresses of gateways."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit, urlunsplit

_PLAIN = ("http", "ws")
_SECURE = ("https", "wss")


def address(url: str, scheme: Literal["http", "ws"], path: str) -> str:
    """The URL of a path below that of a server, with TLS if the server's has it.

    Raises:
        ValueError: for what is no URL of a server.
    """
    parts = urlsplit(url)
    _ = parts.port  # raises for what is no port
    if parts.scheme not in (*_PLAIN, *_SECURE) or not parts.hostname or parts.query or parts.fragment:
        # It is not shown, because a query may have a token in it.
        raise ValueError("the URL of a server looks like https://example.com, and has no query")
    secure = parts.scheme in _SECURE
    return urlunsplit((scheme + "s" * secure, parts.netloc, parts.path.rstrip("/") + path, "", ""))
