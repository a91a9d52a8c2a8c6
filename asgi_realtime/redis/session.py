"""Keeps one link to Redis: connects again when it is lost or silent."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

import hiredis

from asgi_realtime.errors import BrokerUnavailable
from asgi_realtime.metrics import Metrics
from asgi_realtime.redis.link import Argument, Link, LinkLost, Reply
from asgi_realtime.redis.scripts import Script, load_scripts, run_script
from asgi_realtime.redis.server import RedisServer
from asgi_realtime.runtime.tasks import Tasks

logger = logging.getLogger("asgi_realtime")
T = TypeVar("T")

PROBE_AFTER: Final = 5.0
"""Seconds without a message until this process sends one to itself."""
PROBE_TIMEOUT: Final = 5.0
"""Seconds until that message must have come. Otherwise the link is replaced."""
STABLE_AFTER: Final = 1.0
"""Seconds after which a lost link is a new outage: it is logged, and the next connection is tried at once."""
FIRST_BACK_OFF: Final = 0.05
LAST_BACK_OFF: Final = 2.0
"""Seconds between attempts to connect: doubled after each, and shortened by up to half at random, so that the
processes do not all connect in the same moment."""


class Session:
    """One link to Redis at a time.

    Args:
        server: where Redis is.
        probe_channel: this process's own channel. A TCP connection may stand while Redis no longer delivers, so the
            session is alive only if messages to this channel arrive.
        on_message: called with channel and payload of each message but probes.
        on_link: awaited for each new link before it is used by others. It subscribes again.
        timeout: seconds an outage may last until `link` raises at once.
    """

    def __init__(
        self,
        server: RedisServer,
        *,
        probe_channel: str,
        on_message: Callable[[bytes, bytes], None],
        on_link: Callable[[Link], Awaitable[None]],
        tasks: Tasks,
        metrics: Metrics,
        timeout: float,
    ) -> None:
        self._server = server
        self._probe_channel = probe_channel
        self._probe = probe_channel.encode()
        self._on_message = on_message
        self._on_link = on_link
        self._tasks = tasks
        self._metrics = metrics
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._link: Link | None = None
        self._up = asyncio.Event()
        self._lost = asyncio.Event()
        self._down_since = self._loop.time()
        self._last_message = self._loop.time()
        self._task: asyncio.Task[None] | None = None
        self._stopped = False
        self.failure = "it has not been reached yet"
        """Why the last attempt to connect failed, or why the last link was lost."""

    @property
    def ready(self) -> bool:
        """Whether a link is up, and messages arrive."""
        return self._up.is_set()

    def start(self) -> None:
        """Begin to connect."""
        self._task = self._tasks.spawn(self._run(), name="Redis")

    async def stop(self) -> None:
        """Close the link."""
        self._stopped = True
        self._up.set()  # those who wait get `BrokerUnavailable`
        if self._task is not None:
            while not self._task.done():
                self._task.cancel()
                # More than once: redis-py may take a cancellation for a timeout while it connects.
                await asyncio.wait([self._task], timeout=0.1)
        link, self._link = self._link, None
        if link is not None:
            link.abort()

    @property
    def current(self) -> Link | None:
        """The link, if it is up."""
        return self._link

    def check(self) -> None:
        """See that an outage has not lasted longer than the timeout.

        Raises:
            BrokerUnavailable: it has, or the session has stopped.
        """
        if self._stopped:
            raise BrokerUnavailable("the application has stopped")
        if self._link is None and not self._up.is_set() and self._loop.time() - self._down_since > self._timeout:
            raise BrokerUnavailable(f"Redis is not available: {self.failure}")

    async def link(self) -> Link:
        """The link, when it is up.

        The caller limits the time. But an outage that has lasted for the timeout raises at once: a request should not
        wait for a server that is known to be away.

        Raises:
            BrokerUnavailable: Redis is away, or the session has stopped.
        """
        self.check()
        while self._link is None:
            await self._up.wait()
            self.check()
        return self._link

    async def run(self, script: Script, keys: Sequence[str], *arguments: Argument, read: Callable[[Reply], T]) -> T:
        """Run a script, and once more if the link is lost: it must be one that may run twice. See `run_script`.

        Raises:
            BrokerUnavailable: Redis is away, or refused.
        """
        lost: LinkLost | None = None
        for _ in range(2):
            link = await self.link()
            try:
                return await run_script(link, script, keys, *arguments, read=read)
            except LinkLost as error:
                lost = error
            except hiredis.ReplyError as error:
                raise BrokerUnavailable(f"Redis refused: {error}") from error
        raise BrokerUnavailable(str(lost)) from lost

    # The link

    async def _run(self) -> None:
        """Connect, watch the link, and begin again. This never ends by an error."""
        attempt = 0
        while not self._stopped:
            reason = await self._connect_once()
            if reason is None:
                connected = self._loop.time()
                reason = await self._watch()
                if self._loop.time() - connected > STABLE_AFTER:
                    attempt = 0
            self.failure = reason
            if attempt == 0:
                logger.warning("Redis: %s; connecting again", reason)
            self._metrics.count("redis_reconnects_total")
            delay = min(FIRST_BACK_OFF * 2**attempt, LAST_BACK_OFF)
            attempt = min(attempt + 1, 30)
            await asyncio.sleep(delay * (1 - random.random() / 2))

    async def _connect_once(self) -> str | None:
        """Open a link and prepare it. Returns why that failed, or None."""
        self._lost.clear()
        link: Link | None = None
        try:
            link = await self._server.connect(on_message=self._received, on_lost=self._link_lost)
            await self._prepare(link)
        except BaseException as error:
            if link is not None:
                link.abort()
            if not isinstance(error, Exception):
                raise
            if not isinstance(error, LinkLost | hiredis.ReplyError | TimeoutError):
                logger.exception("Redis: a new connection could not be used")
            return (link.refusal if link is not None else None) or str(error) or type(error).__name__
        self._link, self._last_message = link, self._loop.time()
        self._up.set()
        logger.info("Redis: connected")
        return None

    async def _prepare(self, link: Link) -> None:
        async with asyncio.timeout(2 * PROBE_TIMEOUT):
            await load_scripts(link)
        link.subscribe([self._probe_channel])
        await self._on_link(link)

    def _received(self, channel: bytes, payload: bytes) -> None:
        self._last_message = self._loop.time()
        if channel != self._probe:
            self._on_message(channel, payload)

    def _link_lost(self, link: Link) -> None:
        if self._link is link:
            self._link = None
            self._up.clear()
            self._down_since = self._loop.time()
        self._lost.set()

    async def _watch(self) -> str:
        """Return why the link must be replaced, when that is so."""
        link = self._link
        while link is not None and not link.lost:
            due = self._last_message + PROBE_AFTER
            if self._loop.time() < due:
                if await self._lost_within(due - self._loop.time()):
                    break
                continue
            if link.receiving:  # what was received is still being handled
                if await self._lost_within(PROBE_AFTER):
                    break
                continue
            try:
                link.send(lambda reply: None, "PUBLISH", self._probe_channel, secrets.token_hex(4))
            except LinkLost:
                pass  # its buffer is full
            if await self._lost_within(PROBE_TIMEOUT):
                break
            if self._last_message < due and not link.receiving:
                link.abort()
                self._metrics.count("redis_probe_failures_total")
                return f"no message came for {PROBE_AFTER + PROBE_TIMEOUT:g} s"
        return (link.refusal if link is not None else None) or "the connection was lost"

    async def _lost_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._lost.wait()
        except TimeoutError:
            return False
        return True
