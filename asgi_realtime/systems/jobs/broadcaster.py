"""Jobs' server events as methods."""

from __future__ import annotations

import datetime
from collections.abc import Iterable

from asgi_realtime.broadcasting.typed_broadcaster import SyncTypedBroadcaster, TypedBroadcaster, sync_too
from asgi_realtime.systems.jobs.events import (
    JobError,
    JobStatus,
    StageCompleted,
    written,
)
from asgi_realtime.values.ids import Id, id_text
from asgi_realtime.values.publications import Receipt


class JobsBroadcaster(TypedBroadcaster):
    """One method per server event of Jobs. Each goes to those who joined the job, with the time filled in.

    Call them after the database has committed: who joins in between is told by the service.
    """

    @property
    def sync(self) -> SyncJobsBroadcaster:
        """The same methods for threads: workers, Flask views."""
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
        """`stage_completed`; `next_stage` None: that was the last. Options as in `status`."""
        event = StageCompleted(
            job_id=id_text(job_id, "job_id"), stage=stage, next_stage=next_stage, timestamp=written(timestamp)
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
        """`job_error`; `stage` None: it failed in none. Options as in `status`."""
        event = JobError(job_id=id_text(job_id, "job_id"), error=error, stage=stage, timestamp=written(timestamp))
        return await self._broadcaster.broadcast_to_room(event.job_id, "job_error", event, key=key)


class SyncJobsBroadcaster(SyncTypedBroadcaster, JobsBroadcaster):
    """`JobsBroadcaster` for threads: its methods return when the event has been sent."""
