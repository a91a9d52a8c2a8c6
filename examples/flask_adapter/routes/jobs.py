"""Jobs: submit one, and read its status. Progress is sent on the WebSocket."""

from __future__ import annotations

from typing import Annotated

import msgspec
from flask import Blueprint, abort, current_app, request
from flask.typing import ResponseReturnValue

from asgi_realtime import get_sync_jobs_broadcaster
from examples.flask_adapter.models import Job
from examples.flask_adapter.requests import body, database, is_demo, user_id, user_or_demo
from examples.flask_adapter.services import status_of
from examples.flask_adapter.workflow import STAGES, Workflow

routes = Blueprint("jobs", __name__, url_prefix="/jobs")

Stage = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
Stages = Annotated[list[Stage], msgspec.Meta(min_length=1, max_length=20)]


class NewJob(msgspec.Struct, rename="camel"):
    """`fail_at`: the stage that fails, or None."""

    stages: Stages = msgspec.field(default_factory=STAGES.copy)
    fail_at: Stage | None = None
    stage_seconds: Annotated[float, msgspec.Meta(ge=0, le=60)] = 1.5


@routes.post("")
def submit() -> ResponseReturnValue:
    """Start a job in its own thread, which sends `job_status`, `stage_completed` and `job_error`."""
    owner, new = user_or_demo(), body(NewJob)
    with database().session.begin() as session:
        job = Job(owner_id=owner, stages=new.stages, fail_at=new.fail_at, stage_seconds=new.stage_seconds)
        session.add(job)
    workflow: Workflow = current_app.extensions["workflow"]
    # The thread keeps the broadcaster: when it sends, the request has ended.
    if not workflow.start(job, get_sync_jobs_broadcaster(request.environ)):
        with database().session.begin() as session:
            session.delete(session.get_one(Job, job.id))
        abort(503, "too many jobs are running")
    return {"jobId": job.id, "stages": job.stages}, 202


@routes.get("/<job_id>")
def look(job_id: str) -> ResponseReturnValue:
    only_of = None if is_demo() else user_id()
    with database().session() as session:
        job = session.get(Job, job_id)
        if job is None or only_of not in (None, job.owner_id):
            abort(404, "no such job")
        status: dict[str, object] = msgspec.to_builtins(status_of(job))
        return status
