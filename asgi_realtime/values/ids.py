"""The one rule for ids: a str is kept, an int or a UUID becomes its text, anything else is an error.

An id names a user, a room, a connection, a gateway, a token, a message or a job. Ids are text on the wire and in
all indexes, so `5` and `"5"` are the same id.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NewType, TypeAlias
from uuid import UUID

import msgspec

from asgi_realtime.errors import InvalidId
from asgi_realtime.values.text import is_whole

Id: TypeAlias = str | int | UUID
"""The types accepted as an id: those that databases use."""


def id_text(value: object, argument: str) -> str:
    """The text of an id. `argument` names it in the error.

    Raises:
        InvalidId: for any type but str, int and UUID (a bool is refused too), for an empty text, or for one with half
            a surrogate pair. It is a `TypeError`. If a client sent the value, its reply has the code `INVALID_MESSAGE`.
    """
    if type(value) is str:
        text = value
    elif isinstance(value, str):
        text = str.__str__(value)  # an enumeration may override `__str__`
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
    """The text of an id that host code returned, such as a service or an authenticator.

    Raises:
        TypeError: in the same cases as `id_text`. It is not an `InvalidId`, because the client did nothing wrong.
    """
    try:
        return id_text(value, argument)
    except InvalidId as error:
        raise TypeError(str(error)) from None


def ids_from_host(values: Iterable[Id], argument: str) -> tuple[str, ...]:
    """The texts of several ids that host code returned, without duplicates, in the order given.

    Raises:
        TypeError: for a single id instead of several, or an item that is not an id.
    """
    try:
        return id_texts(values, argument)
    except InvalidId as error:
        raise TypeError(str(error)) from None


def id_texts(values: Iterable[Id], argument: str) -> tuple[str, ...]:
    """The texts of several ids, without duplicates, in the order given.

    Raises:
        InvalidId: for a single id instead of several, or an item that is not an id.
    """
    if isinstance(values, str | bytes | int | UUID) or not isinstance(values, Iterable):
        raise InvalidId(f"{argument} must be several ids, such as a list, not {type(values).__qualname__}")
    item = f"each of {argument}"
    return tuple(dict.fromkeys([id_text(value, item) for value in values]))


def put_texts(struct: msgspec.Struct, *fields: str) -> None:
    """Replace the ids in these fields of a struct by their text. Called in `__post_init__` of structs that hosts make.

    Raises:
        TypeError: if a field does not hold an id.
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
"""The name of a mounted gateway: a Socket.IO namespace (`/infra`) or a WebSocket path (`/chat`)."""
