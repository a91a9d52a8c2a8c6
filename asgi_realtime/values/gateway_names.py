"""The names that gateways are mounted as: Socket.IO namespaces and WebSocket paths."""

from __future__ import annotations


def is_gateway_name(name: str) -> bool:
    """Whether a text is a valid gateway name: it begins with a slash, and every character is printable."""
    return name.startswith("/") and name.isprintable()  # half a surrogate pair is not printable


def is_namespace(name: str) -> bool:
    """Whether a text is a valid Socket.IO namespace.

    A comma is not allowed because it ends a namespace in a packet. A question mark is not allowed because old clients
    append the query of their URL to the namespace.
    """
    return is_gateway_name(name) and "," not in name and "?" not in name
