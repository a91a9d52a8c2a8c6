"""The gateways, and the broadcaster of Mew."""

from __future__ import annotations

from asgi_realtime import MewBroadcaster, MewGateway, SyncMewBroadcaster
from asgi_realtime.django import SessionAuthenticator, get_broadcaster
from examples.django_app.service import ChatService

GATEWAYS = [MewGateway(service=ChatService(), authenticator=SessionAuthenticator())]


def mew() -> SyncMewBroadcaster:
    """Sends the events of Mew, from any process of the project."""
    return MewBroadcaster(get_broadcaster().asynchronous).sync
