"""What is said on a Jobs WebSocket: the tables of PROTOCOLS.md, section 4, with the types of their payloads."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import msgspec

from asgi_realtime.gateways.replies import NewToken
from asgi_realtime.handlers.event_declarations import down, up
from asgi_realtime.values.ids import Id, put_texts
from asgi_realtime.values.timestamps import iso

Code: TypeAlias = Literal["UNAUTHORIZED", "FORBIDDEN", "INVALID_MESSAGE", "RATE_LIMITED", "TOO_LARGE", "INTERNAL"]
CODES: dict[str, Code] = {code: code for code in get_args(Code)}


def written(when: datetime.datetime | None = None) -> str:
    """A time (None: now) as this system writes it: ISO 8601, UTC, with milliseconds and `Z`.

    Raises:
        ValueError: for a time without a zone.
    """
    if when is None:
        when = datetime.datetime.now(datetime.UTC)
    elif when.tzinfo is None:
        raise ValueError("a time without a zone: datetime.now(timezone.utc) has one")
    return iso(when.timestamp())


class JobReference(msgspec.Struct, frozen=True, rename="camel"):
    """Which job."""

    job_id: str


class ConnectionEstablished(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The client is in. It should `ping` every `heartbeatInterval` milliseconds."""

    client_id: str
    timestamp: str
    heartbeat_interval: int


class JobStatus(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Where a job stands. A `job_id` given as a number or a UUID becomes text."""

    job_id: str
    status: str
    current_stage: str | None = None
    completed_stages: tuple[str, ...] = ()
    timestamp: str = msgspec.field(default_factory=written)

    if TYPE_CHECKING:  # at run time `msgspec` makes it

        def __init__(
            self,
            *,
            job_id: Id,
            status: str,
            current_stage: str | None = None,
            completed_stages: tuple[str, ...] = (),
            timestamp: str = ...,
        ) -> None: ...

    def __post_init__(self) -> None:
        put_texts(self, "job_id")


class StageCompleted(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A stage of a job is done; `nextStage` is null after the last."""

    job_id: str
    stage: str
    next_stage: str | None = None
    timestamp: str = msgspec.field(default_factory=written)


class JobError(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A job failed; `stage` is null where it was in none."""

    job_id: str
    error: str
    stage: str | None = None
    timestamp: str = msgspec.field(default_factory=written)


class ErrorMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Why something the client sent was refused, or why it is about to be closed."""

    message: str
    code: Code
    timestamp: str = msgspec.field(default_factory=written)


class Pong(msgspec.Struct, frozen=True, kw_only=True):
    """The server is there."""

    timestamp: str = msgspec.field(default_factory=written)


_JOB = "who joined the job"
_CLIENT = "the client concerned"

JOBS_EVENTS = (
    down("connection_established", ConnectionEstablished, to="the new client", flat=True),
    down("job_status", JobStatus, to=f"{_JOB}; the last one also to a client that joins later"),
    down("stage_completed", StageCompleted, to=_JOB),
    down("job_error", JobError, to=_JOB),
    down("error", ErrorMessage, to=_CLIENT, flat=True),
    down("pong", Pong, to="the client that sent `ping`", flat=True),
    up("join_job", JobReference, effect="joins a job; its last known `job_status` follows at once", flat=True),
    up("leave_job", JobReference, effect="leaves a job", flat=True),
    up("ping", effect="answered with `pong`", flat=True),
    up("auth", NewToken, effect="replaces a JWT; answered with `connection_established`", flat=True),
)
