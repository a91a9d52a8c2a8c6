"""The names that gateways are mounted as: Socket.IO namespaces and WebSocket paths."""

from __future__ import annotations


def is_gateway_name(name: str) -> bool:
    """Whether the text may name a gateway: it begins with a slash, and every character is printable."""
    return name.startswith("/") and name.isprintable()  # half a surrogate pair is not printable


def is_namespace(name: str) -> bool:
    """Whether the text may name a Socket.IO namespace.

    In packets a comma ends a namespace. Old clients put the query of their URL behind a question mark.
    """
    return is_gateway_name(name) and "," not in name and "?" not in name
