"""The database: SQLite in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, event, select
from sqlalchemy.orm import Session, sessionmaker

from examples.flask_adapter.models import Base, User

DEFAULT_PATH = Path(".demo/flask.db")
PEOPLE = {"alice": "Alice", "bob": "Bob", "carol": "Carol", "dave": "Dave"}


class Database:
    """An engine and the sessions on it, for any thread."""

    def __init__(self, path: Path = DEFAULT_PATH) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._engine = create_engine(f"sqlite:///{path}")
        event.listen(self._engine, "connect", _configure)
        self.session: sessionmaker[Session] = sessionmaker(self._engine, expire_on_commit=False)
        Base.metadata.create_all(self._engine)

    def add_people(self) -> None:
        """Add the users of the demo."""
        with self.session.begin() as session:
            known = set(session.scalars(select(User.id)))
            for user_id, name in PEOPLE.items():
                if user_id not in known:
                    session.add(User(id=user_id, name=name, avatar=f"/avatars/{user_id}.svg"))

    def close(self) -> None:
        """Close the connections that no thread uses."""
        self._engine.dispose()


def _configure(connection: Any, record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")  # readers and the one writer do not wait for each other
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA busy_timeout = 10000")  # ms a second writer waits for the first
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.close()
