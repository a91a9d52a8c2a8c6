"""A realtime gateway for Python web apps: Socket.IO and JSON WebSockets beside the app's own routes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asgi_realtime.auth import Authenticator
from asgi_realtime.broadcaster import Broadcaster
from asgi_realtime.catalogue import down, up
from asgi_realtime.connection import Connection
from asgi_realtime.errors import (
    BrokerUnavailable,
    ConfigurationError,
    Disconnect,
    Forbidden,
    InvalidId,
    InvalidMessage,
    PayloadTooLarge,
    RateLimited,
    RealtimeError,
    Refusal,
    TooLarge,
    Unauthorized,
)
from asgi_realtime.gateways.chat import ChatGateway
from asgi_realtime.gateways.chat_broadcaster import ChatBroadcaster, SyncChatBroadcaster
from asgi_realtime.gateways.chat_events import ChatMessage
from asgi_realtime.gateways.chat_service import (
    Blocked,
    ChatService,
    Delivery,
    Muted,
    NotAMember,
    OfflineMessages,
    SavedMessage,
)
from asgi_realtime.gateways.events import EventsBroadcaster, EventsGateway, SyncEventsBroadcaster
from asgi_realtime.gateways.handlers import on
from asgi_realtime.gateways.infra import InfraGateway
from asgi_realtime.gateways.jobs import JobsBroadcaster, JobsGateway, JobsService, SyncJobsBroadcaster
from asgi_realtime.gateways.jobs_events import JobStatus
from asgi_realtime.gateways.mew import (
    MessageCreate,
    MewBroadcaster,
    MewGateway,
    MewService,
    SyncMewBroadcaster,
    UserRooms,
)
from asgi_realtime.gateways.socketio_gateway import SocketIOGateway
from asgi_realtime.gateways.websocket_gateway import WebSocketGateway
from asgi_realtime.ids import Id
from asgi_realtime.json_dialect import FlatJSONDialect, JSONDialect
from asgi_realtime.limits import Limits
from asgi_realtime.messages import Frame, Handshake, Identity, Receipt
from asgi_realtime.middleware import (
    RealtimeMiddleware,
    get_broadcaster,
    get_chat_broadcaster,
    get_events_broadcaster,
    get_jobs_broadcaster,
    get_mew_broadcaster,
)
from asgi_realtime.realtime import Realtime
from asgi_realtime.settings import Settings
from asgi_realtime.sync_broadcaster import SyncBroadcaster
from asgi_realtime.sync_connection import SyncConnection

if TYPE_CHECKING:
    from asgi_realtime.socketio.server import SocketIOServer

__version__ = "0.1.0"

__all__ = [
    # Mounting
    "RealtimeMiddleware",
    "Realtime",
    "Settings",
    "Limits",
    # Sending
    "Broadcaster",
    "SyncBroadcaster",
    "get_broadcaster",
    "Receipt",
    "Id",
    # Gateways of one's own
    "SocketIOGateway",
    "WebSocketGateway",
    "on",
    "up",
    "down",
    "Connection",
    "SyncConnection",
    "Identity",
    "Handshake",
    "Authenticator",
    "JSONDialect",
    "FlatJSONDialect",
    "Frame",
    # Mew and Infra
    "MewGateway",
    "MewService",
    "MewBroadcaster",
    "SyncMewBroadcaster",
    "get_mew_broadcaster",
    "MessageCreate",
    "UserRooms",
    "InfraGateway",
    # Events
    "EventsGateway",
    "EventsBroadcaster",
    "SyncEventsBroadcaster",
    "get_events_broadcaster",
    # Chat
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
    # Jobs
    "JobsGateway",
    "JobsService",
    "JobsBroadcaster",
    "SyncJobsBroadcaster",
    "get_jobs_broadcaster",
    "JobStatus",
    # python-socketio's API
    "SocketIOServer",
    # Errors
    "RealtimeError",
    "ConfigurationError",
    "BrokerUnavailable",
    "PayloadTooLarge",
    "Refusal",
    "Unauthorized",
    "Forbidden",
    "InvalidMessage",
    "InvalidId",
    "RateLimited",
    "TooLarge",
    "Disconnect",
]


def __getattr__(name: str) -> Any:
    """Import python-socketio's part only for those who use it."""
    if name == "SocketIOServer":
        from asgi_realtime.socketio.server import SocketIOServer

        return SocketIOServer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
