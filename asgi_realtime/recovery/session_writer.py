"""Writes sessions to Redis in the background: each round writes everything that was changed since the last one."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from asgi_realtime.errors import BrokerUnavailable
from asgi_realtime.recovery.session import SessionId
from asgi_realtime.redis.gateway_links import GatewayLinks
from asgi_realtime.redis.link import LinkLost, Reply
from asgi_realtime.redis.scripts import Script, send_script
from asgi_realtime.runtime.tasks import Tasks
from asgi_realtime.values.ids import GatewayName

logger = logging.getLogger("asgi_realtime")

WRITTEN_AT_ONCE: Final = 128
"""Sessions in one step, so that the link serves others in between."""
PENDING: Final = 50_000
"""Most sessions that wait while Redis is away. Over: those that have waited longest are not written."""


class SessionWrite(NamedTuple):
    """What is written of a session."""

    open: bool
    """Whether its connection is open."""
    data: bytes
    """Empty: there is none, and no earlier owner may write one."""
    milliseconds: int
    """How long it is kept."""


class _Pending(NamedTuple):
    owner: str
    make: Callable[[], SessionWrite | None]
    taken: Callable[[], None]


class SessionWriter:
    """Writes sessions. What fails because the link is lost is written on the next one."""

    def __init__(self, links: GatewayLinks, tasks: Tasks) -> None:
        self._links = links
        self.tasks = tasks
        self._pending: dict[SessionId, _Pending] = {}
        self._round: asyncio.Future[None] | None = None
        self.task: asyncio.Task[None] | None = None
        """Writes, until nothing is left."""
        self._refusals = 0

    def start(self) -> None:
        """Begin on the running event loop. Nothing is to be written."""
        self._pending.clear()
        self._round = self.task = None

    def write(
        self,
        id: SessionId,
        owner: str,
        make: Callable[[], SessionWrite | None],
        taken: Callable[[], None] = lambda: None,
    ) -> None:
        """Write a session, if this is still its owner.

        Args:
            id: the session.
            owner: the connection that it belongs to.
            make: what is written. Called when it is written, also a second time. None: nothing.
            taken: called if another connection has taken the session over. Nothing is written then.
        """
        self._pending.pop(id, None)
        self._pending[id] = _Pending(owner, make, taken)
        if len(self._pending) > PENDING:
            del self._pending[next(iter(self._pending))]
        if self.task is None:
            self.task = self.tasks.spawn(self._write_all(), name="writing recovery sessions")

    def written(self, gateway: GatewayName) -> asyncio.Future[None] | None:
        """Done when everything up to now is written, or could not be. None: it is, or Redis is away."""
        if self.task is None or self._links.of(gateway).current is None:
            return None
        if self._round is None:
            self._round = asyncio.get_running_loop().create_future()
        return self._round

    async def _write_all(self) -> None:
        try:
            while self._pending or self._round is not None:
                pending, self._pending = self._pending, {}
                finished, self._round = self._round, None
                try:
                    for gateway, some in _by_gateway(pending).items():
                        await self._write(gateway, some)
                finally:
                    _set_done(finished)
        except BrokerUnavailable:
            pass  # the application stops
        finally:
            _set_done(self._round)
            self.task = self._round = None

    async def _write(self, gateway: GatewayName, pending: Mapping[SessionId, _Pending]) -> None:
        keys, waiting = self._links.keys(gateway), list(pending.items())
        for start in range(0, len(waiting), WRITTEN_AT_ONCE):
            reconnecting = self._links.of(gateway)
            await reconnecting.until_up()
            link = reconnecting.current
            answers = _Answers()
            for id, each in waiting[start : start + WRITTEN_AT_ONCE]:
                write = each.make()
                if write is None:
                    continue
                answered = functools.partial(self._answered, answers.expect(), id, each)
                try:
                    if link is None:
                        raise LinkLost
                    send_script(
                        link,
                        answered,
                        Script.SESSION_SAVE,
                        [keys.session(id.digest)],
                        each.owner,
                        int(write.open),
                        write.data,
                        write.milliseconds,
                    )
                except LinkLost as error:
                    answered(error)
            await answers.all()

    def _answered(self, answered: Callable[[], None], id: SessionId, pending: _Pending, reply: Reply) -> None:
        answered()
        if isinstance(reply, LinkLost):
            self._pending.setdefault(id, pending)
        elif isinstance(reply, Exception):
            self._refusals += 1
            if self._refusals == 1:
                logger.error("Redis refused to keep a recovery session: %s", reply)
        elif reply == 0:
            pending.taken()


class _Answers:
    """Counts the answers that are due."""

    def __init__(self) -> None:
        self._due = 0
        self._done = asyncio.Event()

    def expect(self) -> Callable[[], None]:
        """One more is due. Call what is returned when it has come."""
        self._due += 1
        return self._came

    def _came(self) -> None:
        self._due -= 1
        if not self._due:
            self._done.set()

    async def all(self) -> None:
        """Return when all have come."""
        while self._due:
            self._done.clear()
            await self._done.wait()


def _set_done(finished: asyncio.Future[None] | None) -> None:
    if finished is not None and not finished.done():
        finished.set_result(None)


def _by_gateway(pending: Mapping[SessionId, _Pending]) -> Mapping[GatewayName, Mapping[SessionId, _Pending]]:
    found: dict[GatewayName, dict[SessionId, _Pending]] = {}
    for id, each in pending.items():
        found.setdefault(id.gateway, {})[id] = each
    return found
