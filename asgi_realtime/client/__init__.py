"""What the modules that `asgi-realtime client` writes are made of: clients of gateways, for services and tests.

It imports nothing of the server. `websockets`, or python-socketio and aiohttp, are imported when a client connects.
"""

from __future__ import annotations

from asgi_realtime.client.errors import ClientError, Closed, NotConnected, Refused
from asgi_realtime.client.events import Connected, Event, Missed
from asgi_realtime.client.reconnection import Reconnection
from asgi_realtime.client.socketio_client import SocketIOClient
from asgi_realtime.client.websocket_client import WebSocketClient

__all__ = [
    "SocketIOClient",
    "WebSocketClient",
    "Event",
    "Connected",
    "Missed",
    "Reconnection",
    "ClientError",
    "NotConnected",
    "Refused",
    "Closed",
]
