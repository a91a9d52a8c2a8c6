"""The Jobs gateway: WebSocket `/ws` (PROTOCOLS.md, section 4)."""

from __future__ import annotations

import functools
import logging

from asgi_realtime.auth.authenticators import Authenticator
from asgi_realtime.connection.connection import Connection
from asgi_realtime.errors import Refusal, Unauthorized
from asgi_realtime.gateways.context import GatewayContext
from asgi_realtime.gateways.websocket_gateway import WebSocketGateway
from asgi_realtime.handlers.event_handlers import on
from asgi_realtime.limits import Limits
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.protocols.json_dialect import FlatJSONDialect
from asgi_realtime.systems.jobs.authenticator import JobsAuthenticator
from asgi_realtime.systems.jobs.events import (
    CODES,
    JOBS_EVENTS,
    ConnectionEstablished,
    ErrorMessage,
    JobReference,
    Pong,
    written,
)
from asgi_realtime.systems.jobs.service import JobsService
from asgi_realtime.values.json import Json

logger = logging.getLogger("asgi_realtime")


class JobsGateway(WebSocketGateway):
    """Clients follow the jobs they join. Token: `?token=`, or a bearer header.

    It is `WS_AUTH_TOKEN`, a JWT, or `demo-token` where `WS_ALLOW_DEMO_TOKEN` is on. Without a
    service whoever has a token may follow every job.
    """

    events = JOBS_EVENTS
    omitted = ("auth_success", "auth_error")
    wire = FlatJSONDialect()

    def __init__(
        self,
        path: str = "/ws",
        *,
        service: JobsService | None = None,
        authenticator: Authenticator | None = None,
        limits: Limits | None = None,
        heartbeat_interval: float = 30.0,
        idle_timeout: float | None = 600.0,
    ) -> None:
        """Make the gateway of a path.

        Args:
            path: where it is mounted.
            service: the host's side.
            authenticator: says who connects. Default: one of the three tokens.
            limits: bounds of its own. Default: those of the settings.
            heartbeat_interval: seconds between two `ping`s, as clients are told.
            idle_timeout: seconds without a frame from the client, after which it is closed with 1000; None: never.
        """
        super().__init__(path, authenticator=authenticator, limits=limits, auth_frame=False, idle_timeout=idle_timeout)
        self._may_join = None if service is None else self.service_call(service, "may_join", "identity", "job_id")
        self._last_status = None if service is None else self.service_call(service, "last_status", "job_id")
        self._heartbeat = round(heartbeat_interval * 1000)

    # Connecting

    def default_authenticator(self, context: GatewayContext) -> Authenticator:
        """One of the three tokens, whichever are configured."""
        return JobsAuthenticator(context)

    def accepted_frame(self, connection: Connection) -> Frame:
        """Who it is, and how often it should ping."""
        established = ConnectionEstablished(
            client_id=connection.id, timestamp=written(), heartbeat_interval=self._heartbeat
        )
        return self.wire.flat("connection_established", established)

    def rejected_frame(self, refusal: Refusal) -> Frame:
        """An `error`; about a token it says nothing but that."""
        if refusal.reply_code == Unauthorized.code:
            refusal = Unauthorized("Authentication failed")
        return self.error_frame(refusal, None)

    # What clients send

    def pong_frame(self) -> Frame:
        """With the server's time."""
        return self.wire.flat("pong", Pong())

    @on("join_job")
    async def _on_join_job(self, job: JobReference, connection: Connection) -> None:
        """Joins a job, whose last known `job_status` follows at once."""
        if self._may_join is None or self._last_status is None:
            await connection.join(job.job_id, latest="job_status")
            return
        await connection.join(
            job.job_id,
            allowed=functools.partial(self._may_join, connection.identity, job.job_id),
            latest="job_status",
            known=functools.partial(self._last_status, job.job_id),
        )

    @on("leave_job")
    async def _on_leave_job(self, job: JobReference, connection: Connection) -> None:
        """Leaves a job."""
        await connection.leave(job.job_id)

    def error_frame(self, refusal: Refusal, sent: Json) -> Frame:
        """Flat, and with one of six codes: any other of the host's is `FORBIDDEN`."""
        error = ErrorMessage(message=refusal.message, code=CODES.get(refusal.reply_code, "FORBIDDEN"))
        return self.wire.flat("error", error)
