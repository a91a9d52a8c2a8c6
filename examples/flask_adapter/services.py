"""The services of the gateways, on the app's database. They are synchronous, so they are called in threads."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from asgi_realtime import ChatMessage, Delivery, Identity, JobStatus, SavedMessage
from examples.flask_adapter import messages
from examples.flask_adapter.database import Database
from examples.flask_adapter.models import Job, Member, Read, now


class ChatDatabaseService:
    """A `ChatService`, and `OfflineMessages`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def groups_of(self, identity: Identity) -> Sequence[str]:
        with self._database.session() as session:
            return session.scalars(select(Member.group_id).where(Member.user_id == identity.user_id)).all()

    def save_message(self, identity: Identity, message: ChatMessage) -> SavedMessage:
        with self._database.session() as session:
            return messages.save(session, message)

    def mark_read(self, identity: Identity, chat_id: str) -> None:
        with self._database.session.begin() as session:
            session.merge(Read(user_id=identity.user_id, chat_id=chat_id, until=now()))

    def pending_messages(self, identity: Identity, limit: int) -> list[ChatMessage]:
        with self._database.session() as session:
            return messages.pending(session, identity.user_id, limit)

    def messages_delivered(self, deliveries: Sequence[Delivery]) -> None:
        with self._database.session() as session:
            messages.delivered(session, deliveries)


class JobsDatabaseService:
    """A `JobsService`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def may_join(self, identity: Identity, job_id: str) -> bool:
        """A client with a shared token may see every job, a user only the user's own."""
        shared = identity.claims.keys() == {"token"}  # a user's JWT has the user id too
        with self._database.session() as session:
            job = session.get(Job, job_id)
            return job is not None and (shared or job.owner_id == identity.user_id)

    def last_status(self, job_id: str) -> JobStatus | None:
        with self._database.session() as session:
            job = session.get(Job, job_id)
            return None if job is None else status_of(job)


def status_of(job: Job) -> JobStatus:
    """The status of a job."""
    return JobStatus(
        job_id=job.id,
        status=job.status,
        current_stage=job.current_stage,
        completed_stages=tuple(job.stages[: job.completed]),
    )
