"""Engine.IO v4: sessions over HTTP long-polling and WebSocket, as clients of Socket.IO expect them."""

from asgi_realtime.transports.engineio.application import Application
from asgi_realtime.transports.engineio.lifecycle import State
from asgi_realtime.transports.engineio.server import EngineIO
from asgi_realtime.transports.engineio.session import Session

__all__ = ["Application", "EngineIO", "Session", "State"]
