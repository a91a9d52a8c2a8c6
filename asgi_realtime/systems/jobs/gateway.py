"""The Jobs gateway: WebSocket `/ws` (docs/reference/protocols.md, section 4)."""

from __future__ import annotations

import functools
import sys

from asgi_realtime.auth.authenticators import Authenticator
from asgi_realtime.auth.token_sources import token_from_bearer, token_from_query
from asgi_realtime.connection.connection import Connection
from asgi_realtime.errors import ConfigurationError, Refusal, Unauthorized
from asgi_realtime.gateways.websocket_gateway import WebSocketGateway
from asgi_realtime.handlers.event_handlers import on
from asgi_realtime.limits import Limits
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.protocols.json_dialect import FlatJSONDialect
from asgi_realtime.settings import Settings
from asgi_realtime.systems.jobs.authenticator import JobsAuthenticator, same_shared_token
from asgi_realtime.systems.jobs.events import (
    CODES,
    JOBS_EVENTS,
    ConnectionEstablished,
    ErrorMessage,
    JobReference,
    Pong,
    timestamp_text,
)
from asgi_realtime.systems.jobs.service import JobsService
from asgi_realtime.values.identity import Identity
from asgi_realtime.values.json import Json


class JobsGateway(WebSocketGateway):
    """Clients join jobs and get their status. Token: `?token=`, or a bearer header.

    The token is `WS_AUTH_TOKEN`, a JWT, or `demo-token` if `WS_ALLOW_DEMO_TOKEN` is on. Without a service, every
    client with a token may follow every job.
    """

    events = JOBS_EVENTS
    omitted = ("auth_success", "auth_error")
    token_sources = (token_from_query("token"), token_from_bearer())
    recovery = True
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
            service: decides whether a client may join a job, and returns the last status of the job.
            authenticator: authenticates clients. Default: one of the three tokens.
            limits: limits of this gateway. Default: those of the settings.
            heartbeat_interval: seconds between two `ping`s of a client. Sent to each client that connects.
            idle_timeout: seconds without a frame from the client, after which it is closed with 1000. None: never.

        Raises:
            ConfigurationError: for an argument of a wrong type or value.
        """
        if type(heartbeat_interval) not in (int, float) or not 0 < heartbeat_interval <= sys.float_info.max:
            raise ConfigurationError(f"JobsGateway({path!r}): heartbeat_interval must be a finite number above 0")
        super().__init__(path, authenticator=authenticator, limits=limits, auth_frame=False, idle_timeout=idle_timeout)
        self.__may_join = None if service is None else self.service_call(service, "may_join", "identity", "job_id")
        self.__last_status = None if service is None else self.service_call(service, "last_status", "job_id")
        self.__heartbeat = round(heartbeat_interval * 1000)

    # Connecting

    def default_authenticator(self, settings: Settings) -> Authenticator:
        """One of the three tokens, as configured."""
        return JobsAuthenticator(settings, self.jwt_verifier if settings.has_jwt_key else None)

    def accepted_frame(self, connection: Connection) -> Frame:
        """`connection_established`, with the client's id and the ping interval."""
        established = ConnectionEstablished(
            client_id=connection.id,
            timestamp=timestamp_text(),
            heartbeat_interval=self.__heartbeat,
            recovery=self.recovery_offer(connection),
        )
        return self.wire.flat("connection_established", established)

    def rejected_frame(self, refusal: Refusal) -> Frame:
        """`error`. About a token it gives no detail."""
        if refusal.reply_code == Unauthorized.code:
            refusal = Unauthorized("Authentication failed")
        return self.error_frame(refusal, None)

    def recovered_identity(self, earlier: Identity, identity: Identity) -> Identity | None:
        """Also a client with the same shared token. It continues as the user that it was."""
        if same_shared_token(earlier, identity):
            return earlier
        return super().recovered_identity(earlier, identity)

    # What clients send

    def pong_frame(self) -> Frame:
        """`pong`, with the server's time."""
        return self.wire.flat("pong", Pong())

    @on("join_job")
    async def _on_join_job(self, job: JobReference, connection: Connection) -> None:
        """Join a job. Its last known `job_status` follows at once."""
        if self.__may_join is None or self.__last_status is None:
            await connection.join(job.job_id, latest="job_status")
            return
        await connection.join(
            job.job_id,
            allowed=functools.partial(self.__may_join, connection.identity, job.job_id),
            latest="job_status",
            known=functools.partial(self.__last_status, job.job_id),
        )

    @on("leave_job")
    async def _on_leave_job(self, job: JobReference, connection: Connection) -> None:
        """Leave a job."""
        await connection.leave(job.job_id)

    def error_frame(self, refusal: Refusal, sent: Json) -> Frame:
        """`error`, with one of six codes. Any other code of the host becomes `FORBIDDEN`."""
        error = ErrorMessage(message=refusal.message, code=CODES.get(refusal.reply_code, "FORBIDDEN"))
        return self.wire.flat("error", error)
