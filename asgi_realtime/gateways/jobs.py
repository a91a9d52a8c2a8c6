"""Jobs: WebSocket `/ws` (PROTOCOLS.md, section 4). Reads top to bottom as that page."""

from __future__ import annotations

import datetime
import functools
import hmac
import logging
import secrets
from collections.abc import Awaitable, Iterable
from typing import Any, Protocol, TypeAlias

from asgi_realtime.auth import Authenticator, JWTAuthenticator, TokenSource, from_auth, from_bearer, from_query
from asgi_realtime.connection import Connection
from asgi_realtime.errors import ConfigurationError, Refusal, Unauthorized
from asgi_realtime.faces import Blocking, TypedBroadcaster, both_ways
from asgi_realtime.gateways.handlers import on
from asgi_realtime.gateways.jobs_events import (
    CODES,
    JOBS_EVENTS,
    ConnectionEstablished,
    JobError,
    JobReference,
    JobStatus,
    Pong,
    Problem,
    StageCompleted,
    written,
)
from asgi_realtime.gateways.parts import Parts
from asgi_realtime.gateways.websocket_gateway import WebSocketGateway
from asgi_realtime.host_calls import method_call
from asgi_realtime.ids import Id, id_text
from asgi_realtime.json_dialect import FlatJSONDialect
from asgi_realtime.limits import Limits
from asgi_realtime.messages import Frame, Handshake, Identity, Json, Receipt, UserId

logger = logging.getLogger("asgi_realtime")

DEMO_TOKEN = "demo-token"

Awaited: TypeAlias = Awaitable[Any] | Any
"""A service's methods may be async, or sync; sync ones run in a thread."""


class JobsService(Protocol):
    """What Jobs asks of its host. Sync or async; an exception is answered with the code `INTERNAL`."""

    def may_join(self, identity: Identity, job_id: str) -> Awaited:
        """Return whether the client may follow this job. Who came with a shared token has no claims but `token`."""

    def last_status(self, job_id: str) -> Awaited:
        """Return the job's last known `JobStatus`; None: whatever was broadcast last, if it is in history still."""


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
        self._may_join = None if service is None else method_call(service, "may_join", ("identity", "job_id"))
        self._last_status = None if service is None else method_call(service, "last_status", ("job_id",))
        self._heartbeat = round(heartbeat_interval * 1000)

    # Connecting

    def default_authenticator(self, parts: Parts) -> Authenticator:
        """One of the three tokens, whichever are configured."""
        return JobsAuthenticator(parts)

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
        problem = Problem(message=refusal.message, code=CODES.get(refusal.reply_code, "FORBIDDEN"))
        return self.wire.flat("error", problem)


class JobsAuthenticator:
    """Accepts `WS_AUTH_TOKEN`, `demo-token` where it is allowed, and JWTs where a key is configured.

    Who comes with a shared token is somebody else each time: user id `client:` and a random text,
    claims `{"token": "WS_AUTH_TOKEN"}` or `{"token": "demo-token"}`.

    Raises:
        ConfigurationError: if none of the three is configured.
    """

    def __init__(self, parts: Parts) -> None:
        settings = parts.settings
        self._shared: dict[str, bytes] = {}
        if settings.ws_auth_token:
            self._shared["WS_AUTH_TOKEN"] = settings.ws_auth_token.encode()
        if settings.ws_allow_demo_token:
            self._shared[DEMO_TOKEN] = DEMO_TOKEN.encode()
        if not self._shared and not settings.has_jwt_key:
            raise ConfigurationError(
                "JobsGateway lets nobody in: set WS_AUTH_TOKEN (a token its clients share), a key for JWTs such as "
                "MEW_JWT_SECRET, or for a demonstration WS_ALLOW_DEMO_TOKEN=true"
            )
        self._sources: tuple[TokenSource, ...] = (from_auth("token"), from_query("token"), from_bearer())
        verifier = parts.verifier
        self._jwt = None if verifier is None else JWTAuthenticator(verifier, (), parts.revocations)

    async def __call__(self, handshake: Handshake) -> Identity:
        """Authenticate a handshake.

        Raises:
            Unauthorized: no token, or none of the three.
        """
        token = next((token for source in self._sources if (token := source(handshake)) is not None), None)
        if token is None:
            raise Unauthorized(log_reason="no token")
        presented = token.encode("utf-8", "replace")
        # Every comparison is made, so that the time says nothing about which one failed, or where.
        matching = [name for name, known in self._shared.items() if hmac.compare_digest(presented, known)]
        if matching:
            return Identity(user_id=UserId(f"client:{secrets.token_urlsafe(12)}"), claims={"token": matching[0]})
        if self._jwt is None:
            raise Unauthorized(log_reason="the token is not the one of WS_AUTH_TOKEN, and no key for JWTs is set")
        return await self._jwt.authenticate(token)


class JobsBroadcaster(TypedBroadcaster):
    """One method per server event of Jobs. Each goes to those who joined the job, with the time filled in.

    Call them after the database has committed: who joins in between is told by the service.
    """

    @property
    def sync(self) -> SyncJobsBroadcaster:
        """The same methods for threads: workers, Flask views."""
        return SyncJobsBroadcaster(self)

    @both_ways
    async def status(
        self,
        job_id: Id,
        status: str,
        *,
        current_stage: str | None = None,
        completed_stages: Iterable[str] = (),
        timestamp: datetime.datetime | None = None,
        key: Id | None = None,
    ) -> Receipt:
        """`job_status`. History keeps it, for those who join later.

        `timestamp` has a zone; None: now. The same `key` again sends nothing.
        """
        event = JobStatus(
            job_id=id_text(job_id, "job_id"),
            status=status,
            current_stage=current_stage,
            completed_stages=tuple(completed_stages),
            timestamp=written(timestamp),
        )
        return await self._to.broadcast_to_room(event.job_id, "job_status", event, key=key)

    @both_ways
    async def stage_completed(
        self,
        job_id: Id,
        stage: str,
        *,
        next_stage: str | None = None,
        timestamp: datetime.datetime | None = None,
        key: Id | None = None,
    ) -> Receipt:
        """`stage_completed`; `next_stage` None: that was the last. Options as in `status`."""
        event = StageCompleted(
            job_id=id_text(job_id, "job_id"), stage=stage, next_stage=next_stage, timestamp=written(timestamp)
        )
        return await self._to.broadcast_to_room(event.job_id, "stage_completed", event, key=key)

    @both_ways
    async def error(
        self,
        job_id: Id,
        error: str,
        *,
        stage: str | None = None,
        timestamp: datetime.datetime | None = None,
        key: Id | None = None,
    ) -> Receipt:
        """`job_error`; `stage` None: it failed in none. Options as in `status`."""
        event = JobError(job_id=id_text(job_id, "job_id"), error=error, stage=stage, timestamp=written(timestamp))
        return await self._to.broadcast_to_room(event.job_id, "job_error", event, key=key)


class SyncJobsBroadcaster(Blocking, JobsBroadcaster):
    """`JobsBroadcaster` for threads: its methods return when the event has been sent."""
