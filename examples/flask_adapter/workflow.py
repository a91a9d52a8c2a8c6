"""Jobs: each runs its stages in a thread of its own, and tells those who follow it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeAlias

from sqlalchemy import update

from asgi_realtime import SyncJobsBroadcaster
from examples.flask_adapter.database import Database
from examples.flask_adapter.models import Job

logger = logging.getLogger(__name__)

STAGES = ["PLAN", "OUTLINE", "STORYBOARD", "RENDER"]
MAX_RUNNING = 50


Work: TypeAlias = Callable[[Job, str], object]
"""Does one stage of a job, in a thread; what it raises fails the job."""


class StageFailed(Exception):
    """A stage that cannot be done."""


def pretend(job: Job, stage: str) -> None:
    """What a stage does in this example: it takes its time, and fails where it was told to."""
    time.sleep(job.stage_seconds)
    if stage == job.fail_at:
        raise StageFailed("Stage execution failed")


class Workflow:
    """Runs jobs, at most `MAX_RUNNING` at a time."""

    def __init__(self, database: Database, work: Work = pretend) -> None:
        self._database = database
        self._work = work
        self._places = threading.BoundedSemaphore(MAX_RUNNING)
        with database.session.begin() as session:  # whatever ran when an earlier process ended runs no more
            session.execute(update(Job).where(Job.status.in_(("PENDING", "RUNNING"))).values(status="FAILED"))

    def start(self, job: Job, jobs: SyncJobsBroadcaster | None) -> bool:
        """Begin a job that is in the database. `jobs` None: nobody is told. False: too many run already."""
        if not self._places.acquire(blocking=False):
            return False
        # A daemon: a server that stops does not wait for it.
        threading.Thread(target=self._run, args=(job.id, jobs), name=f"job {job.id}", daemon=True).start()
        return True

    def _run(self, job_id: str, jobs: SyncJobsBroadcaster | None) -> None:
        try:
            _Run(self._database, job_id, jobs).run(self._work)
        except Exception:
            logger.exception("job %s ended without a status", job_id)
        finally:
            self._places.release()


class _Run:
    """One job, from its first stage to its last."""

    def __init__(self, database: Database, job_id: str, jobs: SyncJobsBroadcaster | None) -> None:
        self._database = database
        self._id = job_id
        self._jobs = jobs

    def run(self, work: Work) -> None:
        with self._database.session() as session:
            job = session.get_one(Job, self._id)
        for number, stage in enumerate(job.stages):
            self._change(status="RUNNING", current_stage=stage)
            try:
                work(job, stage)
            except Exception as error:
                self._change(status="FAILED")
                if self._jobs is not None:
                    self._jobs.error(self._id, str(error), stage=stage)
                return
            self._change(announce=False, completed=number + 1)
            if self._jobs is not None:
                following = job.stages[number + 1] if number + 1 < len(job.stages) else None
                self._jobs.stage_completed(self._id, stage, next_stage=following)
        self._change(status="COMPLETED", current_stage=None)

    def _change(self, *, announce: bool = True, **values: object) -> None:
        """Save, and then tell the status as it is now."""
        with self._database.session.begin() as session:
            job = session.get_one(Job, self._id)
            for name, value in values.items():
                setattr(job, name, value)
        if announce and self._jobs is not None:
            done = job.stages[: job.completed]
            self._jobs.status(job.id, job.status, current_stage=job.current_stage, completed_stages=done)
