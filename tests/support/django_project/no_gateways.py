"""A project that has no gateway yet."""

from asgi_realtime import WebSocketGateway

GATEWAYS: list[WebSocketGateway] = []
