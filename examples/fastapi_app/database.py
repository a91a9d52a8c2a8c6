"""The database: SQLite in a file, or PostgreSQL. One `Database` per app, one session per request."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from fastapi import Request
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from examples.fastapi_app.models import Base

DEFAULT_URL = "sqlite:///.demo/mew.db"
_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgres": "postgresql+asyncpg", "postgresql": "postgresql+asyncpg"}


class Database:
    """An engine and the sessions on it.

    `url` is a SQLAlchemy URL (`sqlite:///file.db`, `postgresql://user:password@host/name`); the
    asyncio driver is filled in.
    """

    def __init__(self, url: str = DEFAULT_URL) -> None:
        parsed = make_url(url)
        self.url: URL = parsed.set(drivername=_DRIVERS.get(parsed.drivername, parsed.drivername))
        self.engine = create_async_engine(self.url, pool_pre_ping=True)
        self.sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        if self.engine.dialect.name == "sqlite":
            event.listen(self.engine.sync_engine, "connect", _configure_sqlite)

    async def start(self) -> None:
        """Create missing tables. A real product would use migrations."""
        if self.engine.dialect.name == "sqlite" and self.url.database:
            Path(self.url.database).parent.mkdir(parents=True, exist_ok=True)
        async with self.engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)

    async def stop(self) -> None:
        """Close every connection."""
        await self.engine.dispose()


def _configure_sqlite(connection: Any, record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")  # readers and the one writer do not wait for each other
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA busy_timeout = 5000")  # ms a second writer waits for the first
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.close()


async def get_session(request: Request) -> AsyncIterator[AsyncSession]:
    """One session per request. What was not committed is rolled back."""
    database: Database = request.app.state.database
    async with database.sessions() as session:
        yield session


async def insert_if_absent(session: AsyncSession, model: type[Base], **values: object) -> bool:
    """Insert a row unless its key exists, also if two requests do so at once. Returns whether it was inserted."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    result = await session.execute(
        insert(model).values(**values).on_conflict_do_nothing().returning(*model.__table__.primary_key)
    )
    return result.first() is not None
