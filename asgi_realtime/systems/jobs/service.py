"""What Jobs asks of its host."""

from __future__ import annotations

from typing import Protocol

from asgi_realtime.runtime.host_calls import MaybeAwaitable
from asgi_realtime.systems.jobs.events import JobStatus
from asgi_realtime.values.identity import Identity


class JobsService(Protocol):
    """What Jobs asks of its host. Sync or async; an exception is answered with the code `INTERNAL`."""

    def may_join(self, identity: Identity, job_id: str) -> MaybeAwaitable[bool]:
        """Return whether the client may follow this job. Who came with a shared token has no claims but `token`."""

    def last_status(self, job_id: str) -> MaybeAwaitable[JobStatus | None]:
        """Return the job's last known `JobStatus`; None: whatever was broadcast last, if it is in history still."""
