"""Recovery sessions in Redis: any process can give a session to its client, also if the process that made it has died.

The session of an open connection is there too. It is written when the client has connected, and again when its rooms
change; a handler's join or leave ends when that is done. When the connection is lost, its process writes what is known
then. When the process has died, `Progress` says which commands it had carried out, and what its clients had received.

A session has one owner, a connection. A process that wakes up after its client has recovered elsewhere is no longer the
owner, so it cannot overwrite the session, and closes the connection.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import itertools
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol, cast

import msgspec

from asgi_realtime.broker.position_order import is_up_to, newer, number
from asgi_realtime.broker.redis import RedisBroker
from asgi_realtime.broker.time_limit import answer_in_time
from asgi_realtime.errors import PositionLost
from asgi_realtime.recovery.command_log import CommandLog, concerns
from asgi_realtime.recovery.other_processes import OtherProcesses
from asgi_realtime.recovery.session import RecoverySession, SessionId
from asgi_realtime.recovery.session_encoding import CommandPositions, Progress, decode_session, encode_session
from asgi_realtime.recovery.session_store import SESSIONS, STORE_BYTES
from asgi_realtime.recovery.session_writer import SessionWrite, SessionWriter
from asgi_realtime.redis.keys import SHARED
from asgi_realtime.redis.link import Reply
from asgi_realtime.redis.scripts import Script
from asgi_realtime.runtime.tasks import Tasks
from asgi_realtime.values.commands import Command
from asgi_realtime.values.identity import Identity
from asgi_realtime.values.ids import ConnectionId, GatewayName
from asgi_realtime.values.publications import Position

PROGRESS_EVERY: Final = 10.0
"""Seconds between two reports of a process. More often if the window is shorter than a minute."""
SESSION_BYTES: Final = 64 * 1024
"""Most bytes of a session: about 1 000 rooms. Over: its client cannot recover. Each change of rooms writes it again."""
OPEN_TTL: Final = 3_600.0
"""Seconds that the session of an open connection is kept. It is written again twice within that time."""
CLAIM_STEPS: Final = 3
"""A claim takes at most so many times the timeout: the answer of another process, and those of Redis."""
_OVERHEAD: Final = 300
"""Bytes that Redis needs for a session beside it."""
SHARED_SECONDS: Final = 5.0
"""For so long, commands that were read for one client are used for others too."""


class ThisProcess(Protocol):
    """What the store needs of the process."""

    commands: CommandLog

    def carried_out(self, gateway: GatewayName) -> CommandPositions:
        """The positions up to which this process has carried out all commands."""

    async def end(self, gateway: GatewayName, connection_id: ConnectionId, owner: str) -> None:
        """End an open connection, if it is this owner. Returns when its session is written, and it is not present."""


class RedisSessionStore:
    """A `SessionStore` for any number of processes.

    Args:
        window: seconds that the session of a lost connection is kept.
        timeout: seconds that Redis, or another process, may take to answer.
    """

    def __init__(self, broker: RedisBroker, process: ThisProcess, *, window: float, timeout: float) -> None:
        self._broker = broker
        self._links = broker.links
        self._process = process
        self._window = window
        self._timeout = timeout
        self.report_every = min(PROGRESS_EVERY, window / 6)
        """Seconds between two reports."""
        self._lost: OrderedDict[SessionId, _LostSession] = OrderedDict()
        self._lost_bytes = 0
        self._tasks = Tasks()
        self._writer = SessionWriter(self._links, self._tasks)
        self._others = OtherProcesses(broker.session_channel, self._tasks, end=process.end, seconds=timeout)
        self._numbers = itertools.count()
        self._commands: dict[GatewayName, _Commands] = {}

    # Start and stop

    async def start(self) -> None:
        """Begin on the running event loop."""
        self._tasks.start()
        self._writer.start()
        self._others.start()
        self._commands.clear()
        self._lost.clear()
        self._lost_bytes = 0

    async def stop(self) -> None:
        """Write what waits, for at most the timeout."""
        await self._writer.until_idle(self._timeout)
        await self._tasks.aclose()

    async def report(self, gateway: GatewayName, progress: Progress) -> None:
        """Keep how far this process is with a gateway. What was changed before is written first.

        Raises:
            BrokerUnavailable: Redis did not answer.
        """
        await self.until_written(gateway)
        key, data = self._links.keys(gateway).progress(self._links.node), msgspec.msgpack.encode(progress)
        milliseconds = self._milliseconds(2 * self.report_every)
        await self._links.of(gateway).attempt(
            lambda link, again: link.ask("SET", key, data, "PX", milliseconds, read=_unread)
        )

    # Writing

    def new_owner(self) -> str:
        """Names a connection of this process."""
        return f"{self._links.node}.{next(self._numbers)}"

    def save(self, session: RecoverySession, owner: str) -> None:
        """Keep the session of a lost connection; see `SessionStore.save`."""
        data = self._encode(session)
        if data is None:
            self.remove(session.id, owner)
            return
        now = asyncio.get_running_loop().time()
        until = now + self._window
        self._writer.write(session.id, owner, functools.partial(_lost, data, until))
        self._forget(session.id)
        self._lost[session.id] = _LostSession(until, len(data) + _OVERHEAD, owner)
        self._lost_bytes += len(data) + _OVERHEAD
        while self._lost:
            oldest, kept = next(iter(self._lost.items()))
            if kept.until > now:
                if len(self._lost) <= SESSIONS and self._lost_bytes <= STORE_BYTES:
                    break
                self.remove(oldest, kept.owner)
            self._forget(oldest)

    def _forget(self, id: SessionId) -> None:
        kept = self._lost.pop(id, None)
        if kept is not None:
            self._lost_bytes -= kept.size

    def record(
        self,
        id: SessionId,
        owner: str,
        session: Callable[[], RecoverySession | None],
        taken: Callable[[], None],
    ) -> None:
        """Keep the session of an open connection.

        `session` is called when it is written. None: it is not known now, and what was kept before is kept. `taken` is
        called if the session belongs to another connection now.
        """
        self._writer.write(id, owner, functools.partial(self._open, session), taken)

    def remove(self, id: SessionId, owner: str) -> None:
        """A connection has ended, and its client cannot recover."""
        self._writer.write(id, owner, self._none)

    def _none(self) -> SessionWrite:
        return SessionWrite(False, b"", self._milliseconds(0))

    def _open(self, session: Callable[[], RecoverySession | None]) -> SessionWrite | None:
        found = session()
        if found is None:
            return None
        data = self._encode(found)
        return self._none() if data is None else SessionWrite(True, data, round(OPEN_TTL * 1_000))

    def _encode(self, session: RecoverySession) -> bytes | None:
        """The bytes of a session. None: it is too large or cannot be encoded, so its client cannot recover."""
        gateway = session.id.gateway
        try:
            data = encode_session(session, self._process.carried_out(gateway))
        except Exception as error:  # of an object that the host has put into the claims
            about = f"connection {session.connection_id}"
            self._tasks.failures.failed(gateway, "a recovery session cannot be encoded", error, about=about)
            return None
        return data if len(data) <= SESSION_BYTES else None

    def _milliseconds(self, more: float) -> int:
        return round((self._window + more) * 1_000)

    async def until_written(self, gateway: GatewayName) -> None:
        """Return when all changes up to now are written, or Redis does not answer."""
        written = self._writer.written(gateway)
        if written is not None:
            await asyncio.wait([written], timeout=self._timeout)

    # Claiming

    async def claim(self, id: SessionId, owner: str, accept: Callable[[Identity], bool]) -> RecoverySession | None:
        """Give a session to a connection of this process; see `SessionStore.claim`."""
        return await answer_in_time(CLAIM_STEPS * self._timeout, self._claim(id, owner, accept))

    async def _claim(self, id: SessionId, owner: str, accept: Callable[[Identity], bool]) -> RecoverySession | None:
        await self.until_written(id.gateway)
        found = await self._read(id)
        if found is None:
            return None
        earlier, _ = decode_session(id, found.data)
        if not accept(earlier.identity):
            return None
        progress = None
        if found.open:
            node = found.owner.partition(".")[0]
            await self._others.end_connection(node, id.gateway, earlier.connection_id, found.owner)
            found = await self._read(id)
            if found is not None and found.open:  # its process has died, or does not run
                progress = await self._links.of(id.gateway).attempt(
                    lambda link, again: link.ask("GET", self._links.keys(id.gateway).progress(node), read=_progress)
                )
                if progress is None:
                    return None
        if found is None:
            return None
        key, milliseconds = self._links.keys(id.gateway).session(id.digest), self._milliseconds(0)
        data = await self._links.of(id.gateway).run(
            Script.SESSION_CLAIM, [key], owner, found.owner, milliseconds, read=_data
        )
        if data is None:
            return None
        session, carried_out = decode_session(id, data)
        if progress is not None:
            carried_out = CommandPositions(*map(newer, carried_out, progress.carried_out))
            session = session.after_receiving(progress.received)
        try:
            return await self._after_commands(session, carried_out)
        except BaseException:  # Redis did not answer in time
            until = asyncio.get_running_loop().time() + self._window
            self._writer.write(id, owner, functools.partial(_lost, encode_session(session, carried_out), until))
            raise

    async def _read(self, id: SessionId) -> _Found | None:
        key = self._links.keys(id.gateway).session(id.digest)
        return await self._links.of(id.gateway).attempt(
            lambda link, again: link.ask("HMGET", key, "owner", "open", "data", read=_found)
        )

    async def _after_commands(self, session: RecoverySession, carried_out: CommandPositions) -> RecoverySession | None:
        """The session after the commands that its process had not carried out. None: they are not known."""
        gateway, user_id = session.id.gateway, session.identity.user_id
        try:
            known, commands = await self._commands_since(gateway, carried_out.gateway)
            known_shared, shared = await self._commands_since(SHARED, carried_out.shared)
        except PositionLost:
            return None
        later = [each for each in (*commands, *shared) if concerns(each[0], gateway, user_id)]
        after = session.after(later)
        # What this process has carried out since is applied again. The result is the same.
        return None if after is None else dataclasses.replace(after, commands=min(known, known_shared))

    async def _commands_since(
        self, gateway: GatewayName, since: Position
    ) -> tuple[int, Sequence[tuple[Command, Position]]]:
        """The commands of a gateway after a position, and how many this process had carried out when they were read.

        Clients that return together share one answer of Redis.
        """
        if not since:
            raise PositionLost("that process did not know it")
        now = asyncio.get_running_loop().time()
        read = self._commands.get(gateway)
        if read is None or read.at < now - SHARED_SECONDS or not is_up_to(read.since, since):
            count = self._process.commands.count
            read = self._commands[gateway] = _Commands(now, since, count, await self._broker.commands(gateway, since))
        start = number(since)
        return read.known, [each for each in read.commands if number(each[1]) > start]


class _LostSession(NamedTuple):
    until: float
    size: int
    owner: str


class _Found(NamedTuple):
    owner: str
    open: bool
    data: bytes


class _Commands(NamedTuple):
    at: float
    since: Position
    known: int
    commands: Sequence[tuple[Command, Position]]


def _lost(data: bytes, until: float) -> SessionWrite | None:
    milliseconds = round((until - asyncio.get_running_loop().time()) * 1_000)
    return SessionWrite(False, data, milliseconds) if milliseconds > 0 else None


def _found(reply: Reply) -> _Found | None:
    owner, is_open, data = cast("list[bytes | None]", reply)
    # `open` is empty while a connection that has taken the session over is not open yet.
    return _Found(owner.decode(), is_open == b"1", data) if owner and is_open and data else None


def _data(reply: Reply) -> bytes | None:
    return cast("bytes | None", reply)


def _progress(reply: Reply) -> Progress | None:
    return None if reply is None else _progress_decoder.decode(cast("bytes", reply))


def _unread(reply: Reply) -> None:
    """The reply does not matter."""


_progress_decoder: Final = msgspec.msgpack.Decoder(Progress)
