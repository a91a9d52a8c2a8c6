"""Events (docs/reference/protocols.md, section 2): rooms that clients join, and messages in them, on Socket.IO."""

from __future__ import annotations

from asgi_realtime.systems.events.broadcaster import EventsBroadcaster, SyncEventsBroadcaster
from asgi_realtime.systems.events.dependencies import get_events_broadcaster, get_sync_events_broadcaster
from asgi_realtime.systems.events.gateway import EventsGateway

__all__ = [
    "EventsGateway",
    "EventsBroadcaster",
    "SyncEventsBroadcaster",
    "get_events_broadcaster",
    "get_sync_events_broadcaster",
]
