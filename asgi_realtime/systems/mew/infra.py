"""Infra: Socket.IO namespace `/infra` (PROTOCOLS.md, section 1, "Infra"), for services rather than users."""

from __future__ import annotations

from asgi_realtime.auth.admin_secret import AdminSecretAuthenticator
from asgi_realtime.auth.authenticators import Authenticator
from asgi_realtime.connection.connection import Connection
from asgi_realtime.gateways.context import GatewayContext
from asgi_realtime.gateways.socketio_gateway import SocketIOGateway
from asgi_realtime.limits import Limits
from asgi_realtime.systems.mew.events import INFRA_EVENTS


class InfraGateway(SocketIOGateway):
    """Opens to the admin secret and a `serviceType`, which is the room a service is in.

    Without `MEW_ADMIN_SECRET` it is closed. Events arrive through `MewBroadcaster.system_bot_config_update`.
    """

    events = INFRA_EVENTS

    def __init__(
        self, namespace: str = "/infra", *, authenticator: Authenticator | None = None, limits: Limits | None = None
    ) -> None:
        super().__init__(namespace, authenticator=authenticator, limits=limits)

    def default_authenticator(self, context: GatewayContext) -> Authenticator:
        """The admin secret, in a header or `auth.adminSecret`; never from the query."""
        return AdminSecretAuthenticator(context.settings.admin_secret)

    async def on_connect(self, connection: Connection) -> None:
        """A service is in the room of its type, and in no other."""
        await connection.join(str(connection.identity.claims["serviceType"]))
