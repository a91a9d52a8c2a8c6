# fmt: off
# ruff: noqa
"""Typed client of `JobsGateway`.

Made by `python -m asgi_realtime client` from the gateway's declarations: change them there.
"""

from __future__ import annotations

from typing import Literal, NotRequired, TypeAlias, TypedDict

from asgi_realtime.client import Event, WebSocketClient


class ConnectionEstablished(TypedDict):
    """The client is connected. It should send `ping` every `heartbeatInterval` milliseconds."""

    clientId: str
    timestamp: str
    heartbeatInterval: int
    recovery: NotRequired[RecoveryOffer]


class RecoveryOffer(TypedDict):
    """What a client presents to recover after a loss, and whether it has just recovered."""

    id: str
    position: str
    recovered: bool


class JobStatus(TypedDict):
    """The status of a job. A `job_id` given as a number or a UUID becomes text."""

    jobId: str
    status: str
    currentStage: str | None
    completedStages: list[str]
    timestamp: str


class StageCompleted(TypedDict):
    """A stage of a job is completed. `nextStage` is null after the last stage."""

    jobId: str
    stage: str
    nextStage: str | None
    timestamp: str


class JobError(TypedDict):
    """A job failed. `stage` is null if it failed outside of its stages."""

    jobId: str
    error: str
    stage: str | None
    timestamp: str


class ErrorMessage(TypedDict):
    """Why an event of the client was refused or failed, or why the connection is closed."""

    message: str
    code: Literal["FORBIDDEN", "INTERNAL", "INVALID_MESSAGE", "RATE_LIMITED", "TOO_LARGE", "UNAUTHORIZED"]
    timestamp: str


class Pong(TypedDict):
    """The answer to `ping`."""

    timestamp: str


class JobReference(TypedDict):
    """A job."""

    jobId: str


class NewToken(TypedDict):
    """The token that replaces a client's token."""

    token: str


class ConnectionEstablishedEvent(Event[ConnectionEstablished]):
    """To the new client."""

    name = "connection_established"
    flat = True


class JobStatusEvent(Event[JobStatus]):
    """To the clients that joined the job; the last one also to a client that joins later."""

    name = "job_status"


class StageCompletedEvent(Event[StageCompleted]):
    """To the clients that joined the job."""

    name = "stage_completed"


class JobErrorEvent(Event[JobError]):
    """To the clients that joined the job."""

    name = "job_error"


class ErrorEvent(Event[ErrorMessage]):
    """To the client concerned."""

    name = "error"
    flat = True


class PongEvent(Event[Pong]):
    """To the client that sent `ping`."""

    name = "pong"
    flat = True


ServerEvent: TypeAlias = (
    ConnectionEstablishedEvent
    | JobStatusEvent
    | StageCompletedEvent
    | JobErrorEvent
    | ErrorEvent
    | PongEvent
)


class JobsClient(WebSocketClient[ServerEvent]):
    """A client of `JobsGateway`.

    Clients join jobs and get their status. Token: `?token=`, or a bearer header.
    """

    path = "/ws"
    token_place = "bearer"
    accepted = "connection_established"
    events = (
        ConnectionEstablishedEvent,
        JobStatusEvent,
        StageCompletedEvent,
        JobErrorEvent,
        ErrorEvent,
        PongEvent,
    )

    async def join_job(self, payload: JobReference) -> None:
        """Joins a job; its last known `job_status` follows at once."""
        await self._send_flat("join_job", payload)

    async def leave_job(self, payload: JobReference) -> None:
        """Leaves a job."""
        await self._send_flat("leave_job", payload)

    async def ping(self) -> None:
        """Answered with `pong`."""
        await self._send("ping")

    async def auth(self, payload: NewToken) -> None:
        """Replaces a JWT; answered with `connection_established`."""
        await self._send_flat("auth", payload)
