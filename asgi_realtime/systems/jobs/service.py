"""The service of Jobs: what the gateway calls on the host's database."""

from __future__ import annotations

from typing import Protocol

from asgi_realtime.runtime.host_calls import MaybeAwaitable
from asgi_realtime.systems.jobs.events import JobStatus
from asgi_realtime.values.identity import Identity


class JobsService(Protocol):
    """What Jobs calls on the host's database. A method is async, or plain: then it runs in a thread.

    A `Refusal` is answered with its code, any other exception with the code `INTERNAL`.
    """

    def may_join(self, identity: Identity, job_id: str) -> MaybeAwaitable[bool]:
        """Return whether the client may follow this job. With a shared token the only claim is `token`."""

    def last_status(self, job_id: str) -> MaybeAwaitable[JobStatus | None]:
        """Return the job's last known `JobStatus`. None: the last one in history is sent, if there is one."""
