"""What `asgi_realtime` exports. It is imported when the first of these names is used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asgi_realtime.auth.admin_secret import AdminSecretAuthenticator
from asgi_realtime.auth.authenticators import Authenticator, JWTAuthenticator
from asgi_realtime.auth.create_token import create_token
from asgi_realtime.auth.jwt_verifier import JWTVerifier
from asgi_realtime.auth.origins import OriginPolicy
from asgi_realtime.auth.token_sources import (
    TokenSource,
    token_from_auth,
    token_from_bearer,
    token_from_cookie,
    token_from_query,
)
from asgi_realtime.broadcasting.broadcaster import Broadcaster, SyncBroadcaster
from asgi_realtime.broadcasting.typed_broadcaster import SyncTypedBroadcaster, TypedBroadcaster, sync_too
from asgi_realtime.connection.connection import Connection
from asgi_realtime.errors import (
    BrokerUnavailable,
    ConfigurationError,
    Disconnect,
    Forbidden,
    InvalidId,
    InvalidMessage,
    PayloadTooLarge,
    PositionLost,
    RateLimited,
    RealtimeError,
    Refusal,
    TooLarge,
    Unauthorized,
)
from asgi_realtime.gateways.mounted import find_gateway, get_gateway
from asgi_realtime.gateways.plain_events import Acknowledge
from asgi_realtime.gateways.replies import NewToken, RecoveryOffer, Success
from asgi_realtime.gateways.socketio_gateway import SocketIOGateway
from asgi_realtime.gateways.websocket_gateway import WebSocketGateway
from asgi_realtime.gateways.wrappers import CallNext, ClientEvent
from asgi_realtime.handlers.dependencies.markers import Depends
from asgi_realtime.handlers.event_declarations import EventDeclaration, down, up
from asgi_realtime.handlers.event_handlers import on
from asgi_realtime.handlers.sync_connection import SyncConnection
from asgi_realtime.health import HealthApp
from asgi_realtime.lifecycle.mounting import Mountable
from asgi_realtime.limits import Limits, check_room_name
from asgi_realtime.metrics import Metric, Metrics
from asgi_realtime.middleware import RealtimeMiddleware, get_broadcaster
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.protocols.json_dialect import FlatJSONDialect, JSONDialect
from asgi_realtime.realtime import Realtime
from asgi_realtime.runtime.host_calls import HostCall, MaybeAwaitable
from asgi_realtime.settings import Settings
from asgi_realtime.systems.chat import (
    Blocked,
    ChatBroadcaster,
    ChatGateway,
    ChatMessage,
    ChatService,
    Delivery,
    Muted,
    NotAMember,
    OfflineMessages,
    SavedMessage,
    SyncChatBroadcaster,
    get_chat_broadcaster,
    get_sync_chat_broadcaster,
)
from asgi_realtime.systems.events import (
    EventsBroadcaster,
    EventsGateway,
    SyncEventsBroadcaster,
    get_events_broadcaster,
    get_sync_events_broadcaster,
)
from asgi_realtime.systems.jobs import (
    JobsBroadcaster,
    JobsGateway,
    JobsService,
    JobStatus,
    SyncJobsBroadcaster,
    get_jobs_broadcaster,
    get_sync_jobs_broadcaster,
)
from asgi_realtime.systems.mew import (
    InfraGateway,
    MessageCreate,
    MewBroadcaster,
    MewGateway,
    MewService,
    SyncMewBroadcaster,
    UserRooms,
    get_mew_broadcaster,
    get_sync_mew_broadcaster,
)
from asgi_realtime.tracing import TraceContext, Tracing, TracingSpan
from asgi_realtime.values.handshake import Handshake
from asgi_realtime.values.identity import Identity
from asgi_realtime.values.ids import Id, id_from_host, id_text, id_texts, ids_from_host
from asgi_realtime.values.json import Json
from asgi_realtime.values.publications import Publication, Receipt, ToAll, ToRoom, ToRooms, ToUsers
from asgi_realtime.values.questions import Answer, Node, UserConnection

if TYPE_CHECKING:
    from asgi_realtime.console.console import RealtimeConsole
    from asgi_realtime.metrics.prometheus import PrometheusMetrics
    from asgi_realtime.schema.asyncapi.page.app import AsyncAPIPage
    from asgi_realtime.socketio.server import SocketIOServer
    from asgi_realtime.tracing.opentelemetry import OpenTelemetryTracing

__all__ = [
    # Mounting
    "RealtimeMiddleware",
    "Realtime",
    "Mountable",
    "Settings",
    "Limits",
    "Metrics",
    "Metric",
    "PrometheusMetrics",
    "HealthApp",
    "RealtimeConsole",
    "AsyncAPIPage",
    "Tracing",
    "TracingSpan",
    "TraceContext",
    "OpenTelemetryTracing",
    # Sending
    "Broadcaster",
    "SyncBroadcaster",
    "get_broadcaster",
    "Receipt",
    "Answer",
    "UserConnection",
    "Node",
    "Id",
    # Authentication
    "Handshake",
    "Identity",
    "Authenticator",
    "JWTAuthenticator",
    "JWTVerifier",
    "AdminSecretAuthenticator",
    "TokenSource",
    "token_from_auth",
    "token_from_bearer",
    "token_from_cookie",
    "token_from_query",
    "create_token",
    "OriginPolicy",
    # Gateways of your own
    "SocketIOGateway",
    "WebSocketGateway",
    "on",
    "Depends",
    "ClientEvent",
    "CallNext",
    "up",
    "down",
    "EventDeclaration",
    "Connection",
    "SyncConnection",
    "JSONDialect",
    "FlatJSONDialect",
    "Frame",
    "Acknowledge",
    "Publication",
    "ToRoom",
    "ToRooms",
    "ToUsers",
    "ToAll",
    "TypedBroadcaster",
    "SyncTypedBroadcaster",
    "sync_too",
    "get_gateway",
    "find_gateway",
    "MaybeAwaitable",
    "HostCall",
    "Json",
    "NewToken",
    "RecoveryOffer",
    "Success",
    "id_text",
    "id_texts",
    "id_from_host",
    "ids_from_host",
    "check_room_name",
    # Mew and Infra
    "MewGateway",
    "MewService",
    "MewBroadcaster",
    "SyncMewBroadcaster",
    "get_mew_broadcaster",
    "get_sync_mew_broadcaster",
    "MessageCreate",
    "UserRooms",
    "InfraGateway",
    # Events
    "EventsGateway",
    "EventsBroadcaster",
    "SyncEventsBroadcaster",
    "get_events_broadcaster",
    "get_sync_events_broadcaster",
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
    "get_sync_chat_broadcaster",
    # Jobs
    "JobsGateway",
    "JobsService",
    "JobsBroadcaster",
    "SyncJobsBroadcaster",
    "get_jobs_broadcaster",
    "get_sync_jobs_broadcaster",
    "JobStatus",
    # python-socketio's API
    "SocketIOServer",
    # Errors
    "RealtimeError",
    "ConfigurationError",
    "BrokerUnavailable",
    "PayloadTooLarge",
    "PositionLost",
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
    """Import what few apps need only for those who use it."""
    if name == "SocketIOServer":
        from asgi_realtime.socketio.server import SocketIOServer

        return SocketIOServer
    if name == "PrometheusMetrics":
        from asgi_realtime.metrics.prometheus import PrometheusMetrics

        return PrometheusMetrics
    if name == "RealtimeConsole":
        from asgi_realtime.console.console import RealtimeConsole

        return RealtimeConsole
    if name == "AsyncAPIPage":
        from asgi_realtime.schema.asyncapi.page.app import AsyncAPIPage

        return AsyncAPIPage
    if name == "OpenTelemetryTracing":
        from asgi_realtime.tracing.opentelemetry import OpenTelemetryTracing

        return OpenTelemetryTracing
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
