"""An in-process client for tests of applications that mount realtime gateways: no server, no port.

It speaks the real protocols (Engine.IO with Socket.IO packets, or JSON frames) through the ASGI
interface, so that origins, tokens, limits and encodings are those of production. See docs/guides/testing.md.
"""

from asgi_realtime.testing.broadcast import Broadcast
from asgi_realtime.testing.client import RealtimeTestClient
from asgi_realtime.testing.clock import Clock
from asgi_realtime.testing.connect import Connect
from asgi_realtime.testing.mailbox import Event
from asgi_realtime.testing.recorder import BroadcastRecorder
from asgi_realtime.testing.socket import ConnectionRefused, Socket
from asgi_realtime.testing.wire import Closed, Transport

__all__ = [
    "RealtimeTestClient",
    "Socket",
    "Connect",
    "Event",
    "BroadcastRecorder",
    "Broadcast",
    "Clock",
    "ConnectionRefused",
    "Closed",
    "Transport",
]
