"""What Jobs asks of its host."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Protocol, TypeAlias

from asgi_realtime.values.identity import Identity

Awaited: TypeAlias = Awaitable[Any] | Any
"""A service's methods may be async, or sync; sync ones run in a thread."""


class JobsService(Protocol):
    """What Jobs asks of its host. Sync or async; an exception is answered with the code `INTERNAL`."""

    def may_join(self, identity: Identity, job_id: str) -> Awaited:
        """Return whether the client may follow this job. Who came with a shared token has no claims but `token`."""

    def last_status(self, job_id: str) -> Awaited:
        """Return the job's last known `JobStatus`; None: whatever was broadcast last, if it is in history still."""
