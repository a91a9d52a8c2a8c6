"""Mew and Infra (docs/reference/protocols.md, section 1): servers, channels and direct messages, on Socket.IO."""

from __future__ import annotations

from asgi_realtime.systems.mew.broadcaster import MewBroadcaster, SyncMewBroadcaster
from asgi_realtime.systems.mew.dependencies import get_mew_broadcaster, get_sync_mew_broadcaster
from asgi_realtime.systems.mew.gateway import MewGateway
from asgi_realtime.systems.mew.infra import InfraGateway
from asgi_realtime.systems.mew.service import MessageCreate, MewService, UserRooms

__all__ = [
    "MewGateway",
    "MewService",
    "MewBroadcaster",
    "SyncMewBroadcaster",
    "get_mew_broadcaster",
    "get_sync_mew_broadcaster",
    "MessageCreate",
    "UserRooms",
    "InfraGateway",
]
