"""The sessions of this process with Redis, which the broker and presence share: no second connection for presence."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterator

from asgi_realtime.errors import BrokerUnavailable
from asgi_realtime.redis.link import Link
from asgi_realtime.redis.reconnecting_link import ReconnectingLink
from asgi_realtime.redis.sessions import Sessions
from asgi_realtime.values.ids import GatewayName

Prepare = Callable[[ReconnectingLink, Link], Awaitable[None]]
"""Makes a new link ready."""


class SharedSessions:
    """The sessions that the broker runs, for other users of them.

    The broker sets `sessions` when it starts, and to None when it stops.
    """

    def __init__(self) -> None:
        self.sessions: Sessions | None = None
        self._prepare: list[Prepare] = []

    def of(self, gateway: GatewayName) -> ReconnectingLink:
        """The session that has the keys of a gateway.

        Raises:
            BrokerUnavailable: the application has not started yet, or has stopped.
        """
        if self.sessions is None:
            raise BrokerUnavailable("the application has not started yet, or has stopped")
        return self.sessions.of(gateway)

    @contextlib.contextmanager
    def preparing(self, prepare: Prepare) -> Iterator[None]:
        """Within the block, `prepare` is awaited for each new link, before the link is `current`.

        If it raises, the link is given up.
        """
        self._prepare.append(prepare)
        try:
            yield
        finally:
            self._prepare.remove(prepare)

    async def prepare(self, session: ReconnectingLink, link: Link) -> None:
        """Make a new link ready for its users."""
        for prepare in list(self._prepare):
            await prepare(session, link)
