"""Chat (docs/reference/protocols.md, section 3): instant messages between users and in groups, on a JSON WebSocket."""

from __future__ import annotations

from asgi_realtime.systems.chat.broadcaster import ChatBroadcaster, SyncChatBroadcaster
from asgi_realtime.systems.chat.dependencies import get_chat_broadcaster, get_sync_chat_broadcaster
from asgi_realtime.systems.chat.events import ChatMessage
from asgi_realtime.systems.chat.gateway import ChatGateway
from asgi_realtime.systems.chat.service import (
    Blocked,
    ChatService,
    Delivery,
    Muted,
    NotAMember,
    OfflineMessages,
    SavedMessage,
)

__all__ = [
    "ChatGateway",
    "ChatService",
    "ChatMessage",
    "SavedMessage",
    "Blocked",
    "Muted",
    "NotAMember",
    "OfflineMessages",
    "Delivery",
    "ChatBroadcaster",
    "SyncChatBroadcaster",
    "get_chat_broadcaster",
    "get_sync_chat_broadcaster",
]
