"""One rule for every id that enters: text stays, a number or a UUID becomes its text, anything else is an error.

An id is the name of a user, a room, a connection, a gateway, a token, a message, a job. On the wire and in
the indexes ids are text, so `5` and `"5"` are the same id.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NewType, TypeAlias
from uuid import UUID

import msgspec

from asgi_realtime.errors import InvalidId
from asgi_realtime.values.text import is_whole

Id: TypeAlias = str | int | UUID
"""What is accepted where an id is asked for: the forms that databases have ids in."""


def id_text(value: object, argument: str) -> str:
    """The text of an id. `argument` is the name that an error says.

    Raises:
        InvalidId: for anything but a str, an int or a UUID (a bool is none of them), for an empty text, or one with
            half a surrogate pair. It is a `TypeError`; and a client that sent the value is told `INVALID_MESSAGE`.
    """
    if type(value) is str:
        text = value
    elif isinstance(value, str):
        text = str.__str__(value)  # not what an enumeration makes of it
    elif isinstance(value, int) and not isinstance(value, bool):
        text = int.__repr__(value)
    elif isinstance(value, UUID):
        text = str(value)
    else:
        raise InvalidId(f"{argument} must be a str, an int or a UUID, not {type(value).__qualname__}{_remedy(value)}")
    if not text:
        raise InvalidId(f"{argument} must not be empty")
    if not is_whole(text):
        raise InvalidId(f"{argument} must not have half a surrogate pair in it")
    return text


def id_from_host(value: object, argument: str) -> str:
    """The text of an id that the host's own code has made: a service or an authenticator.

    Raises:
        TypeError: as `id_text` does, but never as the fault of a client.
    """
    try:
        return id_text(value, argument)
    except InvalidId as error:
        raise TypeError(str(error)) from None


def ids_from_host(values: Iterable[Id], argument: str) -> tuple[str, ...]:
    """The texts of several ids that the host's own code has made, each once, in the order given.

    Raises:
        TypeError: for a single id, or an item that is none.
    """
    try:
        return id_texts(values, argument)
    except InvalidId as error:
        raise TypeError(str(error)) from None


def id_texts(values: Iterable[Id], argument: str) -> tuple[str, ...]:
    """The texts of several ids, each once, in the order given.

    Raises:
        InvalidId: for a single id, or an item that is none.
    """
    if isinstance(values, str | bytes | int | UUID) or not isinstance(values, Iterable):
        raise InvalidId(f"{argument} must be several ids, such as a list, not {type(values).__qualname__}")
    item = f"each of {argument}"
    return tuple(dict.fromkeys([id_text(value, item) for value in values]))


def put_texts(struct: msgspec.Struct, *fields: str) -> None:
    """Turn the ids in some fields of a struct that the host has made into text. For its `__post_init__`.

    Raises:
        TypeError: for a field that holds no id.
    """
    for field in fields:
        value = getattr(struct, field)
        if type(value) is not str or not value or not value.isascii():
            msgspec.structs.force_setattr(struct, field, id_from_host(value, field))


def _remedy(value: object) -> str:
    return "; pass its id" if hasattr(value, "id") else ""


UserId = NewType("UserId", str)
RoomName = NewType("RoomName", str)
ConnectionId = NewType("ConnectionId", str)
GatewayName = NewType("GatewayName", str)
"""A Socket.IO namespace (`/infra`) or a WebSocket path (`/chat`): what a gateway is mounted as."""
