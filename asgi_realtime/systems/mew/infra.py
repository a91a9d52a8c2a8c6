"""The Infra gateway: Socket.IO namespace `/infra`, for services (docs/reference/protocols.md, section 1)."""

from __future__ import annotations

from asgi_realtime.auth.admin_secret import AdminSecretAuthenticator
from asgi_realtime.auth.authenticators import Authenticator
from asgi_realtime.connection.connection import Connection
from asgi_realtime.gateways.socketio_gateway import SocketIOGateway
from asgi_realtime.limits import Limits
from asgi_realtime.settings import Settings
from asgi_realtime.systems.mew.events import INFRA_EVENTS


class InfraGateway(SocketIOGateway):
    """Services connect with the admin secret and a `serviceType`, which is the room they join.

    Without `MEW_ADMIN_SECRET` every service is refused. `MewBroadcaster.system_bot_config_update` sends the event.
    """

    events = INFRA_EVENTS
    token_sources = AdminSecretAuthenticator.token_sources

    def __init__(
        self, namespace: str = "/infra", *, authenticator: Authenticator | None = None, limits: Limits | None = None
    ) -> None:
        super().__init__(namespace, authenticator=authenticator, limits=limits)

    def default_authenticator(self, settings: Settings) -> Authenticator:
        """The admin secret, in a header or in `auth.adminSecret`. One in the query is refused."""
        return AdminSecretAuthenticator(settings.admin_secret)

    async def on_connect(self, connection: Connection) -> None:
        """Join the room of the service's type."""
        await connection.join(str(connection.identity.claims["serviceType"]))
