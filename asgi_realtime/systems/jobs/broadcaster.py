"""The server events of Jobs as methods."""

from __future__ import annotations

import datetime
from collections.abc import Iterable

from asgi_realtime.broadcasting.typed_broadcaster import SyncTypedBroadcaster, TypedBroadcaster, sync_too
from asgi_realtime.systems.jobs.events import (
    JobError,
    JobStatus,
    StageCompleted,
    timestamp_text,
)
from asgi_realtime.values.ids import Id, id_text
from asgi_realtime.values.publications import Receipt


class JobsBroadcaster(TypedBroadcaster):
    """One method per server event of Jobs. Each goes to the clients that joined the job, with a timestamp.

    Call them after the database has committed. A client that joins in between gets the status from the service.
    The methods raise what `Broadcaster` raises.
    """

    @property
    def sync(self) -> SyncJobsBroadcaster:
        """The same methods for threads."""
        return SyncJobsBroadcaster(self)

    @sync_too
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
        """`job_status`. History keeps it for clients that join later.

        `timestamp` has a time zone. None: now. A second call with the same `key` sends nothing.
        """
        event = JobStatus(
            job_id=id_text(job_id, "job_id"),
            status=status,
            current_stage=current_stage,
            completed_stages=tuple(completed_stages),
            timestamp=timestamp_text(timestamp),
        )
        return await self._broadcaster.broadcast_to_room(event.job_id, "job_status", event, key=key)

    @sync_too
    async def stage_completed(
        self,
        job_id: Id,
        stage: str,
        *,
        next_stage: str | None = None,
        timestamp: datetime.datetime | None = None,
        key: Id | None = None,
    ) -> Receipt:
        """`stage_completed`. `next_stage` is None after the last stage. For the options see `status`."""
        event = StageCompleted(
            job_id=id_text(job_id, "job_id"), stage=stage, next_stage=next_stage, timestamp=timestamp_text(timestamp)
        )
        return await self._broadcaster.broadcast_to_room(event.job_id, "stage_completed", event, key=key)

    @sync_too
    async def error(
        self,
        job_id: Id,
        error: str,
        *,
        stage: str | None = None,
        timestamp: datetime.datetime | None = None,
        key: Id | None = None,
    ) -> Receipt:
        """`job_error`. `stage` is None if the job failed outside of its stages. For the options see `status`."""
        event = JobError(
            job_id=id_text(job_id, "job_id"), error=error, stage=stage, timestamp=timestamp_text(timestamp)
        )
        return await self._broadcaster.broadcast_to_room(event.job_id, "job_error", event, key=key)


class SyncJobsBroadcaster(SyncTypedBroadcaster, JobsBroadcaster):
    """`JobsBroadcaster` for threads: a method returns when its event was sent."""
