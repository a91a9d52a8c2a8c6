"""Names and literals in TypeScript."""

from __future__ import annotations

import json
import re

_PROPERTY = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_OWN = frozenset(
    {
        *("HostTypes", "Host", "ServerToClientEvents", "ClientToServerEvents", "ServerFrame", "ClientFrame"),
        *("ArrayBuffer", "Uint8Array"),
        *("any", "bigint", "boolean", "never", "null", "number", "object", "string", "symbol", "undefined", "unknown"),
        *("as", "break", "case", "catch", "class", "const", "continue", "debugger", "default", "delete", "do", "else"),
        *("enum", "export", "extends", "false", "finally", "for", "function", "if", "import", "in", "infer"),
        *("instanceof", "keyof", "new", "readonly", "return", "super", "switch", "this", "throw", "true", "try"),
        *("typeof", "unique", "var", "void", "while", "with"),
    }
)
"""What a file declares or uses itself, and words that name no interface in TypeScript."""


def literal(value: object) -> str:
    """A value of JSON."""
    return json.dumps(value, ensure_ascii=False)


def property_name(name: str) -> str:
    """The name of a property, in quotes if it needs them."""
    return name if _PROPERTY.fullmatch(name) else literal(name)


def check_interface_name(name: str) -> None:
    """Refuse a name for an interface that means something else in the file.

    Raises:
        ValueError: for such a name.
    """
    if name in _OWN:
        raise ValueError(f"a payload type is named {name}, which is a name of TypeScript or of the file: rename it")
