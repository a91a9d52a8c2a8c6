"""Names and literals in Python."""

from __future__ import annotations

import json
import keyword
import re
import unicodedata

from asgi_realtime.client.socketio_client import SocketIOClient
from asgi_realtime.client.websocket_client import WebSocketClient

_OWN = frozenset(
    {
        *("Any", "Literal", "Never", "NotRequired", "TypeAlias", "TypedDict"),
        *("Event", "ServerEvent", "SocketIOClient", "WebSocketClient"),
        *("None", "True", "False", "bool", "bytes", "dict", "float", "int", "list", "str"),
    }
)
"""What a module declares or uses itself."""
_MEMBERS = frozenset({*dir(SocketIOClient), *dir(WebSocketClient)})


def literal(value: object) -> str:
    """A value of JSON."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def is_field_name(name: str) -> bool:
    """Whether a class may declare a field of this name, and it stays the same: `__name` and a micro sign would not."""
    return (
        name.isidentifier()
        and not keyword.iskeyword(name)
        and not name.startswith("__")
        and name == unicodedata.normalize("NFKC", name)
    )


def check_type_name(name: str, client: str) -> None:
    """Refuse a name for a payload type that means something else in the module, whose client class is `client`.

    Raises:
        ValueError: for such a name.
    """
    if name in _OWN or name == client or keyword.iskeyword(name):
        raise ValueError(f"a payload type is named {name}, which is a name of Python or of the file: rename it")


def event_class(event: str, taken: set[str]) -> str:
    """The class of an event: `MessageCreateEvent` for `MESSAGE_CREATE` and `message/create`. It becomes taken."""
    words = re.findall(r"[^\W_]+", re.sub(r"(?<=[^\W\dA-Z_])(?=[A-Z])", "_", event))
    return _free(_identifier("".join(word.capitalize() for word in words), "Event") + "Event", taken | _OWN, taken)


def method_name(event: str, taken: set[str]) -> str:
    """The method that sends an event: `message_create` for `message/create`. It becomes taken.

    No method has the name of a type, because a type checker would find the method in the annotations that follow.
    """
    name = _identifier(re.sub(r"\W+", "_", event).strip("_"), "event_")
    return _free(name, taken | _MEMBERS | _OWN, taken)


def _identifier(name: str, prefix: str) -> str:
    name = unicodedata.normalize("NFKC", name)  # as Python reads it, so that no two names are the same
    return name if name.isidentifier() else f"{prefix}{name}".rstrip("_")


def _free(name: str, used: frozenset[str] | set[str], taken: set[str]) -> str:
    while name in used or keyword.iskeyword(name):
        name += "_"
    taken.add(name)
    return name
