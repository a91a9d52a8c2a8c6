"""The service of Mew: what the gateway calls on the host's database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol
from uuid import UUID

import msgspec

from asgi_realtime.runtime.host_calls import MaybeAwaitable
from asgi_realtime.systems.mew.broadcaster import MewBroadcaster
from asgi_realtime.values.identity import Identity
from asgi_realtime.values.ids import Id
from asgi_realtime.values.json import Json


class MessageCreate(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a client sends with `message/create`. Only the types are checked; the service checks the rest."""

    channel_id: str
    content: str | None = None
    attachments: list[Json] | None = None
    referenced_message_id: str | None = None
    type: str | None = None
    payload: dict[str, Json] | None = None
    plain_text: str | None = None


class ChannelFollow(msgspec.Struct, frozen=True, rename="camel"):
    """What a client sends with `channel/follow`. The position is that of its snapshot of the channel's messages."""

    channel_id: str
    position: str


class UserRooms(msgspec.Struct, frozen=True):
    """The rooms of a user: by server the channels with `VIEW_CHANNEL`, and the direct-message channels."""

    # To a type checker, all keys of a mapping have one type.
    servers: Mapping[str, Iterable[Id]] | Mapping[int, Iterable[Id]] | Mapping[UUID, Iterable[Id]] = {}
    dms: Iterable[Id] = ()


class MewService(Protocol):
    """What Mew calls on the host's database. A method is async, or plain: then it runs in a thread."""

    def rooms_of(self, identity: Identity) -> MaybeAwaitable[UserRooms]:
        """Return the rooms that the user may see, read from the database now. An exception refuses the client."""

    def create_message(
        self, identity: Identity, message: MessageCreate, broadcaster: MewBroadcaster
    ) -> MaybeAwaitable[object]:
        """Check, save and broadcast a message, as the REST route does. The result is ignored.

        After an exception the client gets the error that the message was not created.
        """
