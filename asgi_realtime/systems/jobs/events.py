"""The events of Jobs with the types of their payloads: the tables of docs/reference/protocols.md, section 4."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import msgspec
from msgspec import UNSET, UnsetType

from asgi_realtime.gateways.replies import NewToken, RecoveryOffer
from asgi_realtime.handlers.event_declarations import down, up
from asgi_realtime.runtime import time_source
from asgi_realtime.values.ids import Id, id_from_host
from asgi_realtime.values.timestamps import iso

Code: TypeAlias = Literal["UNAUTHORIZED", "FORBIDDEN", "INVALID_MESSAGE", "RATE_LIMITED", "TOO_LARGE", "INTERNAL"]
CODES: dict[str, Code] = {code: code for code in get_args(Code)}


def timestamp_text(when: datetime.datetime | None = None) -> str:
    """Return a time (None: now) as ISO 8601 in UTC, with milliseconds and `Z`.

    Raises:
        ValueError: for a time without a time zone.
    """
    if when is None:
        return iso(time_source.wall())
    if when.tzinfo is None:
        raise ValueError("the time has no time zone; write datetime.now(timezone.utc), for example")
    return iso(when.timestamp())


class ConnectionEstablished(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The client is connected. It should send `ping` every `heartbeatInterval` milliseconds.

    `recovery` is there if the client can recover, and not after a later `auth`.
    """

    client_id: str
    timestamp: str
    heartbeat_interval: int
    recovery: RecoveryOffer | UnsetType = UNSET


class JobReference(msgspec.Struct, frozen=True, rename="camel"):
    """A job."""

    job_id: str


class JobStatus(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The status of a job. A `job_id` given as a number or a UUID becomes text."""

    job_id: str
    status: str
    current_stage: str | None = None
    completed_stages: tuple[str, ...] = ()
    timestamp: str = msgspec.field(default_factory=timestamp_text)

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
        msgspec.structs.force_setattr(self, "job_id", id_from_host(self.job_id, "job_id"))


class StageCompleted(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A stage of a job is completed. `nextStage` is null after the last stage."""

    job_id: str
    stage: str
    next_stage: str | None = None
    timestamp: str = msgspec.field(default_factory=timestamp_text)


class JobError(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A job failed. `stage` is null if it failed outside of its stages."""

    job_id: str
    error: str
    stage: str | None = None
    timestamp: str = msgspec.field(default_factory=timestamp_text)


class ErrorMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Why an event of the client was refused or failed, or why the connection is closed."""

    message: str
    code: Code
    timestamp: str = msgspec.field(default_factory=timestamp_text)


class Pong(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `ping`."""

    timestamp: str = msgspec.field(default_factory=timestamp_text)


_JOB = "the clients that joined the job"
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
