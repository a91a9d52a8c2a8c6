"""Writes sessions to Redis in the background: each round writes everything that was changed since the last one.

Each link has rounds of its own: in a Redis Cluster, a server that is down delays only the gateways that are there.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from asgi_realtime.errors import BrokerUnavailable
from asgi_realtime.recovery.session import SessionId
from asgi_realtime.redis.gateway_links import GatewayLinks
from asgi_realtime.redis.link import Link, LinkLost, Reply
from asgi_realtime.redis.scripts import Script, send_script
from asgi_realtime.runtime.tasks import Tasks
from asgi_realtime.values.ids import GatewayName

WRITTEN_AT_ONCE: Final = 128
"""Sessions in one step, so that the link serves others in between."""
PENDING: Final = 50_000
"""Most sessions of a link that wait while its server is away. Over: those that have waited longest are not written."""
RETRY_AFTER: Final = 0.05
"""Seconds between two attempts while Redis does not read: see `link.UNSENT_BYTES`."""


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
        self._tasks = tasks
        self._by_link: dict[GatewayName, _Rounds] = {}
        self._by_gateway: dict[GatewayName, _Rounds] = {}

    def start(self) -> None:
        """Begin on the running event loop. Nothing is to be written."""
        self._by_link.clear()
        self._by_gateway.clear()

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
            make: what is written. Called when it is written, also a second time. None: nothing. If it raises, that is
                logged, and nothing is written.
            taken: called if another connection has taken the session over. Nothing is written then.
        """
        rounds = self._by_gateway.get(id.gateway) or self._rounds_of(id.gateway)
        rounds.add(id, _Pending(owner, make, taken))

    def _rounds_of(self, gateway: GatewayName) -> _Rounds:
        link = self._links.link_name(gateway)
        rounds = self._by_link.get(link)
        if rounds is None:
            rounds = self._by_link[link] = _Rounds(self._links, link, self._tasks)
        self._by_gateway[gateway] = rounds
        return rounds

    def written(self, gateway: GatewayName) -> asyncio.Future[None] | None:
        """Done when everything up to now is written, or could not be. None: it is, or Redis is away."""
        rounds = self._by_gateway.get(gateway)
        return None if rounds is None else rounds.written()

    async def until_idle(self, seconds: float) -> None:
        """Return when nothing is left to be written, but after so many seconds at the latest."""
        writing = [rounds.task for rounds in self._by_link.values() if rounds.task is not None]
        if writing:
            await asyncio.wait(writing, timeout=seconds)


class _Rounds:
    """Writes the sessions of one link."""

    def __init__(self, links: GatewayLinks, link: GatewayName, tasks: Tasks) -> None:
        self._links = links
        self._link = link
        self._tasks = tasks
        self._pending: dict[SessionId, _Pending] = {}
        self._round: asyncio.Future[None] | None = None
        """Done when what is pending now is written. None: no caller waits for that."""
        self.task: asyncio.Task[None] | None = None
        """Writes, until nothing is left."""

    def add(self, id: SessionId, pending: _Pending) -> None:
        """Write a session in the next round."""
        self._pending.pop(id, None)
        self._pending[id] = pending
        if len(self._pending) > PENDING:
            del self._pending[next(iter(self._pending))]
        if self.task is None:
            self.task = self._tasks.spawn(self._write_all(), name="writing recovery sessions")

    def written(self) -> asyncio.Future[None] | None:
        """See `SessionWriter.written`."""
        if self.task is None or self._links.of(self._link).current is None:
            return None
        if self._round is None:
            self._round = asyncio.get_running_loop().create_future()
        return self._round

    async def _write_all(self) -> None:
        try:
            reconnecting = self._links.of(self._link)
            while self._pending or self._round is not None:
                link = reconnecting.current
                if link is None:
                    _set_done(self._round)
                    self._round = None
                    await reconnecting.until_up()
                    continue
                pending, self._pending = self._pending, {}
                finished, self._round = self._round, None
                try:
                    await self._write(link, pending)
                finally:
                    _set_done(finished)
        except BrokerUnavailable:
            pass  # the application stops
        finally:
            _set_done(self._round)
            self.task = self._round = None

    async def _write(self, link: Link, pending: Mapping[SessionId, _Pending]) -> None:
        waiting = list(pending.items())
        for start in range(0, len(waiting), WRITTEN_AT_ONCE):
            answers = _Answers()
            for index, (id, each) in enumerate(waiting[start : start + WRITTEN_AT_ONCE], start):
                try:
                    self._send(link, id, each, answers)
                except LinkLost:
                    for left in waiting[index:]:
                        self._add_again(*left)
                    await answers.all()
                    if not link.lost:  # Redis does not read
                        await asyncio.sleep(RETRY_AFTER)
                    return
            await answers.all()

    def _send(self, link: Link, id: SessionId, pending: _Pending, answers: _Answers) -> None:
        """Send what a session is now.

        Raises:
            LinkLost: the connection is lost, or Redis does not read.
        """
        try:
            write = pending.make()
        except Exception as error:  # the others are written all the same
            self._tasks.failures.failed(id.gateway, "a recovery session cannot be made", error)
            return
        if write is None:
            return
        send_script(
            link,
            functools.partial(self._answered, answers.came, id, pending),
            Script.SESSION_SAVE,
            [self._links.keys(id.gateway).session(id.digest)],
            pending.owner,
            int(write.open),
            write.data,
            write.milliseconds,
        )
        answers.due += 1

    def _answered(self, came: Callable[[], None], id: SessionId, pending: _Pending, reply: Reply) -> None:
        came()
        if isinstance(reply, LinkLost):
            self._add_again(id, pending)
        elif isinstance(reply, Exception):
            what = "Redis refused to keep a recovery session"
            self._tasks.failures.failed(id.gateway, what, reply, traceback=False)
        elif reply == 0:
            pending.taken()

    def _add_again(self, id: SessionId, pending: _Pending) -> None:
        """Write a session in a later round, unless it has changed since. It has waited longer than the others."""
        if len(self._pending) < PENDING:
            self._pending.setdefault(id, pending)


class _Answers:
    """Counts the answers that are due."""

    def __init__(self) -> None:
        self.due = 0
        """How many must still come."""
        self._done = asyncio.Event()

    def came(self) -> None:
        """One has come."""
        self.due -= 1
        if not self.due:
            self._done.set()

    async def all(self) -> None:
        """Return when all have come."""
        while self.due:
            self._done.clear()
            await self._done.wait()


def _set_done(finished: asyncio.Future[None] | None) -> None:
    if finished is not None and not finished.done():
        finished.set_result(None)
