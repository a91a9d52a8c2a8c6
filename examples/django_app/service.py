"""The app's side of the Mew gateway, and what both it and the views do. Plain functions: they run in threads."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError

from asgi_realtime import Forbidden, Identity, InvalidMessage, MessageCreate, MewBroadcaster, UserRooms
from examples.django_app.models import Channel, Message, Server


class ChatService:
    """A `MewService` on the ORM."""

    def rooms_of(self, identity: Identity) -> UserRooms:
        """The servers of the user, with their channels."""
        servers = Server.objects.filter(members=identity.user_id).prefetch_related("channels")
        return UserRooms(servers={server.pk: [channel.pk for channel in server.channels.all()] for server in servers})

    def create_message(self, identity: Identity, message: MessageCreate, broadcaster: MewBroadcaster) -> None:
        """Write a message from a socket. The receiver of the signal sends it."""
        write_message(identity.user_id, message.channel_id, message.content or "")


def write_message(user_id: Any, channel_id: Any, content: str) -> Message:
    """Save a message.

    Raises:
        Forbidden: the user is not a member of the channel's server.
        InvalidMessage: it is empty or too long.
    """
    try:
        channel = Channel.objects.filter(pk=channel_id, server__members=user_id).first()
    except ValidationError:  # no UUID
        channel = None
    if channel is None:
        raise Forbidden("no such channel")
    content = content.strip()
    if not content or len(content) > 4000 or "\0" in content:
        raise InvalidMessage("a message has 1 to 4000 characters")
    message: Message = Message.objects.create(channel=channel, author_id=user_id, content=content)
    return message
