"""Jobs (docs/reference/protocols.md, section 4): clients follow the status of jobs, on a JSON WebSocket."""

from __future__ import annotations

from asgi_realtime.systems.jobs.broadcaster import JobsBroadcaster, SyncJobsBroadcaster
from asgi_realtime.systems.jobs.dependencies import get_jobs_broadcaster, get_sync_jobs_broadcaster
from asgi_realtime.systems.jobs.events import JobStatus
from asgi_realtime.systems.jobs.gateway import JobsGateway
from asgi_realtime.systems.jobs.service import JobsService

__all__ = [
    "JobsGateway",
    "JobsService",
    "JobsBroadcaster",
    "SyncJobsBroadcaster",
    "get_jobs_broadcaster",
    "get_sync_jobs_broadcaster",
    "JobStatus",
]
