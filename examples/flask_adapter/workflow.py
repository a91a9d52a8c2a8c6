"""Jobs: each runs its stages in its own thread and sends its status to the clients that follow it."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeAlias

from sqlalchemy import update

from asgi_realtime import BrokerUnavailable, SyncJobsBroadcaster
from examples.flask_adapter.database import Database
from examples.flask_adapter.models import Job

logger = logging.getLogger(__name__)

STAGES = ["PLAN", "OUTLINE", "STORYBOARD", "RENDER"]
MAX_RUNNING = 50


Work: TypeAlias = Callable[[Job, str], object]
"""Runs one stage of a job in a thread. If it raises, the job fails."""


class StageFailed(Exception):
    """A stage has failed."""


def pretend(job: Job, stage: str) -> None:
    """A stage of this example: waits, and fails if it is the stage `fail_at`."""
    time.sleep(job.stage_seconds)
    if stage == job.fail_at:
        raise StageFailed("Stage execution failed")


class Workflow:
    """Runs jobs, at most `MAX_RUNNING` at a time."""

    def __init__(self, database: Database, work: Work = pretend) -> None:
        self._database = database
        self._work = work
        self._places = threading.BoundedSemaphore(MAX_RUNNING)
        with database.session.begin() as session:  # jobs of an earlier process do not run any more
            session.execute(update(Job).where(Job.status.in_(("PENDING", "RUNNING"))).values(status="FAILED"))

    def start(self, job: Job, jobs: SyncJobsBroadcaster | None) -> bool:
        """Start a job of the database. If `jobs` is None, no events are sent. Returns False if too many jobs run."""
        if not self._places.acquire(blocking=False):
            return False
        # A daemon thread: a server that stops does not wait for it.
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
                    with self._sending():
                        self._jobs.error(self._id, str(error), stage=stage)
                return
            self._change(announce=False, completed=number + 1)
            if self._jobs is not None:
                following = job.stages[number + 1] if number + 1 < len(job.stages) else None
                with self._sending():
                    self._jobs.stage_completed(self._id, stage, next_stage=following)
        self._change(status="COMPLETED", current_stage=None)

    def _change(self, *, announce: bool = True, **values: object) -> None:
        """Save, then send the new status."""
        with self._database.session.begin() as session:
            job = session.get_one(Job, self._id)
            for name, value in values.items():
                setattr(job, name, value)
        if announce and self._jobs is not None:
            done = job.stages[: job.completed]
            with self._sending():
                self._jobs.status(job.id, job.status, current_stage=job.current_stage, completed_stages=done)

    @contextlib.contextmanager
    def _sending(self) -> Iterator[None]:
        """If the broker is down, the event is lost but the job continues: its status is in the database."""
        try:
            yield
        except BrokerUnavailable:
            logger.exception("job %s: the broker is not available: clients see its status when they join", self._id)
