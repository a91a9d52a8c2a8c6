"""A host of Chat on SQLite, in this process or in a separate one that can be killed right after a commit.

`python -m tests.support.chat_app DATABASE [--die saved|delivered]` serves it on a free port.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import uvicorn
from starlette.applications import Starlette

from asgi_realtime import (
    Blocked,
    ChatGateway,
    ChatMessage,
    Delivery,
    Identity,
    Muted,
    NotAMember,
    RealtimeMiddleware,
    SavedMessage,
    Settings,
)

SETTINGS = Settings(jwt_secret="a secret for tests that is long enough")
OTHER_DEVICE = "您的账号在其他设备登录"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (
    from_id, id, to_id, chat_type, content, timestamp, content_type, reply_to, image_url, PRIMARY KEY (from_id, id)
);
CREATE TABLE IF NOT EXISTS owed (user_id, from_id, id, PRIMARY KEY (user_id, from_id, id));
CREATE TABLE IF NOT EXISTS members (group_id, user_id, muted DEFAULT 0, PRIMARY KEY (group_id, user_id));
CREATE TABLE IF NOT EXISTS blocks (user_id, blocked_id, PRIMARY KEY (user_id, blocked_id));
CREATE TABLE IF NOT EXISTS reads (user_id, chat_id);
"""
COLUMNS = "id, from_id, to_id, chat_type, content, timestamp, content_type, reply_to, image_url"


class Service:
    """Stores messages and their pending recipients. It is synchronous, so it is called in threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self.transaction() as database:
            database.executescript(_SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        database = sqlite3.connect(self._path, timeout=20, isolation_level="IMMEDIATE")
        try:
            with database:
                yield database
        finally:
            database.close()

    def rows(self, query: str, *parameters: str) -> list[Any]:
        with self.transaction() as database:
            return database.execute(query, parameters).fetchall()

    def put(self, statement: str, *parameters: str) -> None:
        with self.transaction() as database:
            database.execute(statement, parameters)

    def group(self, group_id: str, *user_ids: str) -> None:
        for user_id in user_ids:
            self.put("INSERT INTO members (group_id, user_id) VALUES (?, ?)", group_id, user_id)

    def messages(self) -> list[str]:
        return [row[0] for row in self.rows("SELECT id FROM messages ORDER BY rowid")]

    # The methods that Chat requires

    def groups_of(self, identity: Identity) -> list[str]:
        return [row[0] for row in self.rows("SELECT group_id FROM members WHERE user_id = ?", identity.user_id)]

    def save_message(self, identity: Identity, message: ChatMessage) -> SavedMessage:
        key = (message.from_id, message.id)
        with self.transaction() as database:
            saved = database.execute(f"SELECT {COLUMNS} FROM messages WHERE from_id = ? AND id = ?", key).fetchone()
            if saved is not None:
                owed = database.execute("SELECT user_id FROM owed WHERE from_id = ? AND id = ?", key).fetchall()
                return SavedMessage(_read(saved), owed=[row[0] for row in owed])
            recipients = [message.to_id]
            if message.chat_type == "group":
                recipients = self._may_speak(database, message)
            elif database.execute(
                "SELECT 1 FROM blocks WHERE user_id = ? AND blocked_id = ?", (message.to_id, message.from_id)
            ).fetchone():
                raise Blocked
            values = [getattr(message, name) for name in COLUMNS.split(", ")]
            database.execute(f"INSERT INTO messages ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
            database.executemany("INSERT INTO owed VALUES (?, ?, ?)", [(user_id, *key) for user_id in recipients])
        return SavedMessage(_with_sender(message))

    def _may_speak(self, database: sqlite3.Connection, message: ChatMessage) -> list[str]:
        members = dict(
            database.execute("SELECT user_id, muted FROM members WHERE group_id = ?", (message.to_id,)).fetchall()
        )
        if message.from_id not in members:
            raise NotAMember
        if members.pop(message.from_id):
            raise Muted
        return list(members)

    def mark_read(self, identity: Identity, chat_id: str) -> None:
        self.put("INSERT INTO reads VALUES (?, ?)", identity.user_id, chat_id)

    def pending_messages(self, identity: Identity, limit: int) -> list[ChatMessage]:
        found = self.rows(
            f"SELECT {COLUMNS} FROM messages JOIN owed USING (from_id, id) WHERE user_id = ?"
            f" ORDER BY messages.rowid LIMIT {limit}",
            identity.user_id,
        )
        return [_read(row) for row in found]

    def messages_delivered(self, deliveries: Sequence[Delivery]) -> None:
        done = [(each.user_id, each.from_id, each.message_id) for each in deliveries]
        with self.transaction() as database:
            database.executemany("DELETE FROM owed WHERE user_id = ? AND from_id = ? AND id = ?", done)


def _read(row: Sequence[Any]) -> ChatMessage:
    return _with_sender(ChatMessage(**dict(zip(COLUMNS.split(", "), row, strict=True))))


def _with_sender(message: ChatMessage) -> ChatMessage:
    if message.chat_type == "single":
        return message
    name = message.from_id.title()
    return msgspec.structs.replace(message, from_name=name, from_avatar=f"/avatars/{message.from_id}.png")


class DyingService(Service):
    """A service whose process is killed right after a commit."""

    def __init__(self, path: Path, die: str | None) -> None:
        super().__init__(path)
        self._die = die

    def save_message(self, identity: Identity, message: ChatMessage) -> SavedMessage:
        saved = super().save_message(identity, message)
        if self._die == "saved":
            os.kill(os.getpid(), signal.SIGKILL)
        return saved

    def messages_delivered(self, deliveries: Sequence[Delivery]) -> None:
        super().messages_delivered(deliveries)
        if self._die == "delivered":
            os.kill(os.getpid(), signal.SIGKILL)


class _Server(uvicorn.Server):
    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        print(f"running on http://127.0.0.1:{self.servers[0].sockets[0].getsockname()[1]}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("database", type=Path)
    parser.add_argument("--die")
    arguments = parser.parse_args()
    gateway = ChatGateway(service=DyingService(arguments.database, arguments.die))
    app = RealtimeMiddleware(Starlette(), gateways=[gateway], settings=SETTINGS)
    asyncio.run(_Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning")).serve())
