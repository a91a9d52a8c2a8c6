"""A link to a server of Redis that is replaced when it is lost or silent."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeVar, cast

import hiredis

from asgi_realtime.errors import BrokerUnavailable, ConfigurationError
from asgi_realtime.metrics import Meter
from asgi_realtime.metrics.declarations import REDIS_PROBE_FAILURES, REDIS_RECONNECTS
from asgi_realtime.redis.keys import Keys
from asgi_realtime.redis.link import Argument, Link, LinkLost, Reply
from asgi_realtime.redis.permissions import check_permissions, eviction_warning, explain_refusal
from asgi_realtime.redis.scripts import Script, is_forgotten, load_scripts, run_script
from asgi_realtime.redis.server import RedisServer
from asgi_realtime.runtime.tasks import Tasks

logger = logging.getLogger("asgi_realtime")
T = TypeVar("T")

PROBE_AFTER: Final = 5.0
"""Seconds without a message until this process sends one to itself."""
PROBE_TIMEOUT: Final = 5.0
"""Seconds until that message must have come. Otherwise the link is replaced."""
START_TIMEOUT: Final = 5.0
"""Most seconds that the start of an application waits for the first attempt to connect."""
SLOT_MOVES: Final = ("ASK ", "TRYAGAIN")
"""How errors begin while a slot moves between two servers of a cluster. The command was not carried out."""
STABLE_AFTER: Final = 1.0
"""Seconds after which a lost link is a new outage: it is logged, and the next connection is tried at once."""
FIRST_BACK_OFF: Final = 0.05
LAST_BACK_OFF: Final = 2.0
"""Seconds between attempts to connect: doubled after each, and shortened by up to half at random, so that the
processes do not all connect in the same moment."""


class ReconnectingLink:
    """One link to Redis at a time.

    Args:
        server: where Redis is.
        keys: in a Redis Cluster, the link is to the server that has these keys.
        node: the id of this process. It names a channel of its own. A TCP connection may stand while Redis no longer
            delivers, so the link is alive only if messages to that channel arrive.
        on_message: called with channel and payload of each message but probes and those of `own`.
        on_link: awaited for each new link before it is used by others. It subscribes again.
        own: channels that are always subscribed to, and what is called with each message.
        on_up: called with each link that is `current` from now on, before callers that wait for it continue. It may
            give the link up: then those callers wait for the next one.
        on_lost: called when the link was lost.
        timeout: seconds an outage may last until `link` raises at once.
    """

    def __init__(
        self,
        server: RedisServer,
        *,
        keys: Keys,
        node: str,
        on_message: Callable[[bytes, bytes], None],
        on_link: Callable[[ReconnectingLink, Link], Awaitable[None]],
        own: Mapping[bytes, Callable[[bytes], None]],
        on_up: Callable[[ReconnectingLink, Link], None],
        on_lost: Callable[[], None],
        tasks: Tasks,
        meter: Meter,
        timeout: float,
    ) -> None:
        self._server = server
        self._keys = keys
        self._probe_channel = keys.channel(f"probe:{node}")
        self._own = {self._probe_channel.encode(): self._probe_came, **own}
        self._probes = 0
        """How many messages came on the channel for probes."""
        self._on_up = on_up
        self._on_lost = on_lost
        self._on_message = on_message
        self._on_link = on_link
        self._tasks = tasks
        self._reconnects = meter.counter(REDIS_RECONNECTS)
        self._probe_failures = meter.counter(REDIS_PROBE_FAILURES)
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._link: Link | None = None
        self._ready = False
        self._changed = asyncio.Event()
        """Set and cleared at once, when a link is ready and when this ends. So a wait for it always yields."""
        self._lost = asyncio.Event()
        self._down_since = self._loop.time()
        self._last_message = self._loop.time()
        self._task: asyncio.Task[None] | None = None
        self._first_attempt: asyncio.Future[None] = self._loop.create_future()
        self._starting = False
        """Whether `start` waits: then a configuration that cannot be used is reported by it, and not logged."""
        self._checked = False
        self._stopped = False
        self.failure = "it has not been reached yet"
        """Why the last attempt to connect failed, or why the last link was lost."""

    @property
    def ready(self) -> bool:
        """Whether a link is up, and messages arrive."""
        return self._ready

    def begin(self) -> None:
        """Begin to connect."""
        self._task = self._tasks.spawn(self._run(), name="Redis")

    async def start(self) -> None:
        """Begin to connect, and wait for the first attempt, but at most `START_TIMEOUT`.

        That Redis cannot be reached is no error: further attempts follow.

        Raises:
            ConfigurationError: Redis cannot be used with this configuration. The caller must call `stop`.
        """
        self._starting = True
        self.begin()
        await asyncio.wait([self._first_attempt], timeout=START_TIMEOUT)
        self._starting = False
        if self._first_attempt.done():
            self._first_attempt.result()

    def end_calls(self) -> None:
        """End the calls that wait, with `BrokerUnavailable`. What fails from now on is not logged."""
        self._stopped = True
        self._wake()

    def _wake(self) -> None:
        """Continue the calls that wait. Each checks again what it waits for."""
        self._changed.set()
        self._changed.clear()

    async def stop(self) -> None:
        """Close the link."""
        self.end_calls()
        if self._task is not None:
            while not self._task.done():
                self._task.cancel()
                # More than once: redis-py may take a cancellation for a timeout while it connects.
                await asyncio.wait([self._task], timeout=0.1)
        link, self._link, self._ready = self._link, None, False
        if link is not None:
            link.abort()

    @property
    def current(self) -> Link | None:
        """The link, if it is up."""
        return self._link

    def check(self) -> None:
        """Check that an outage has not lasted longer than the timeout.

        Raises:
            BrokerUnavailable: it has, or the application has stopped.
        """
        self._check_running()
        if self._link is None and self._loop.time() - self._down_since > self._timeout:
            raise BrokerUnavailable(f"Redis is not available: {self.failure}")

    def _check_running(self) -> None:
        if self._stopped:
            raise BrokerUnavailable("the application has stopped")

    async def link(self) -> Link:
        """The link, when it is up.

        It waits until the outage has lasted for the timeout. After that it raises at once: a request should not wait
        for a server that is known to be away.

        Raises:
            BrokerUnavailable: Redis is away, or the application has stopped.
        """
        self.check()
        while self._link is None:
            try:
                async with asyncio.timeout_at(self._down_since + self._timeout):
                    await self._changed.wait()
            except TimeoutError:
                raise BrokerUnavailable(f"Redis is not available: {self.failure}") from None
            self.check()
        return self._link

    async def until_up(self) -> None:
        """Return when the link is up.

        Raises:
            BrokerUnavailable: the application has stopped.
        """
        self._check_running()
        while self._link is None:
            await self._changed.wait()
            self._check_running()

    async def run(self, script: Script, keys: Sequence[str], *arguments: Argument, read: Callable[[Reply], T]) -> T:
        """Run a script, and again if the link is lost: it must be one that may run twice. See `run_script`.

        Raises:
            BrokerUnavailable: Redis is away, or refused.
        """
        return await self.attempt(lambda link, again: run_script(link, script, keys, *arguments, read=read))

    async def attempt(self, work: Callable[[Link, bool], Awaitable[T]]) -> T:
        """Await `work(link, again)`. If the link is lost, again on the next one, until the timeout has passed.

        `again` says that it is not the first time, so Redis may have done the work without a reply.

        Raises:
            BrokerUnavailable: Redis is away, or refused.
        """
        until = self._loop.time() + self._timeout
        again = forgotten = False
        while True:
            link = self._link or await self.link()
            try:
                if forgotten:
                    await load_scripts(link)
                return await work(link, again)
            except LinkLost as error:
                if not link.lost or self._loop.time() > until:
                    raise BrokerUnavailable(str(error)) from error
            except hiredis.ReplyError as error:
                forgotten = is_forgotten(error)
                if not (forgotten or str(error).startswith(SLOT_MOVES)) or self._loop.time() > until:
                    raise BrokerUnavailable(f"Redis refused: {error}") from error
                if not forgotten:
                    await asyncio.sleep(FIRST_BACK_OFF)
            again = True

    # The link

    async def _run(self) -> None:
        """Connect, watch the link, and begin again. This never ends by an error."""
        attempt = 0
        while True:
            reason = await self._connect_once()
            if reason is None:
                connected = self._loop.time()
                reason = await self._watch()
                if self._loop.time() - connected > STABLE_AFTER:
                    attempt = 0
            self.failure = reason
            if self._starting and self._first_attempt.done() and self._first_attempt.exception() is not None:
                return
            if self._stopped:
                return
            if attempt == 0:
                logger.warning("Redis: %s; connecting again", reason)
            self._reconnects.value += 1
            delay = min(FIRST_BACK_OFF * 2**attempt, LAST_BACK_OFF)
            attempt = min(attempt + 1, 30)
            await asyncio.sleep(delay * (1 - random.random() / 2))

    async def _connect_once(self) -> str | None:
        """Open a link and prepare it. Returns why that failed, or None."""
        self._lost.clear()
        link: Link | None = None
        try:
            link = await self._server.connect(self._keys.state, on_message=self._received, on_lost=self._link_lost)
            await self._prepare(link)
            self._link, self._last_message = link, self._loop.time()
            self._on_up(self, link)
            link.check()
        except BaseException as error:
            if link is not None:
                link.abort()
            if not isinstance(error, Exception):
                raise
            return self._failed(error, None if link is None else link.refusal)
        self._ready = True
        self._wake()
        self._settle_first_attempt(None)
        logger.info("Redis: connected")
        return None

    def _failed(self, error: Exception, refusal: str | None) -> str:
        """An attempt failed. Returns why."""
        error = explain_refusal(error, refusal, named=self._server.named)
        if not self._stopped and not isinstance(
            error, LinkLost | ConfigurationError | hiredis.ReplyError | TimeoutError
        ):
            self._tasks.failures.failed(None, "Redis: a new connection could not be used", error)
        self._settle_first_attempt(error if isinstance(error, ConfigurationError) else None)
        if isinstance(error, LinkLost) and refusal is not None:
            return refusal
        return str(error) or type(error).__name__

    def _settle_first_attempt(self, error: ConfigurationError | None) -> None:
        if self._first_attempt.done():
            return
        if error is None:
            self._first_attempt.set_result(None)
        else:
            self._first_attempt.set_exception(error)
            self._first_attempt.exception()  # avoids asyncio's warning if no caller awaits it

    async def _prepare(self, link: Link) -> None:
        async with asyncio.timeout(2 * PROBE_TIMEOUT):
            await load_scripts(link)
            link.clock.seen(await link.ask("TIME", read=_as_microseconds), self._loop.time())
            if not self._checked:
                await check_permissions(
                    link, self._keys, publish=self._server.publish_command, named=self._server.named
                )
                warning = await eviction_warning(link)
                if warning is not None:
                    logger.warning("Redis: %s", warning)
                self._checked = True
            link.subscribe(channel.decode() for channel in self._own)
            link.copies_follow = await self._copies_follow(link)
        await self._while_it_answers(link, self._on_link(self, link))
        link.check()

    async def _copies_follow(self, link: Link) -> bool:
        """Publish a probe, and return whether its copy comes after the reply."""
        before = self._probes
        return await link.ask(
            self._server.publish_command, self._probe_channel, "", read=lambda reply: self._probes == before
        )

    def _probe_came(self, probe: bytes) -> None:
        self._probes += 1

    async def _while_it_answers(self, link: Link, work: Awaitable[None]) -> None:
        """Await work on a new link, which may take long, but not while nothing is received.

        Raises:
            LinkLost: Redis does not answer.
        """
        working = asyncio.ensure_future(work)
        try:
            received = -1
            while not working.done():
                if link.bytes_received == received:
                    raise LinkLost(f"Redis did not answer for {PROBE_AFTER + PROBE_TIMEOUT:g} s")
                received = link.bytes_received
                await asyncio.wait([working], timeout=PROBE_AFTER + PROBE_TIMEOUT)
            await working
        finally:
            working.cancel()
            await asyncio.wait([working])

    def _received(self, channel: bytes, payload: bytes) -> None:
        self._last_message = self._loop.time()
        own = self._own.get(channel)
        if own is None:
            self._on_message(channel, payload)
        else:
            own(payload)

    def _link_lost(self, link: Link) -> None:
        self._lost.set()
        if self._link is link:
            self._link, self._ready = None, False
            self._down_since = self._loop.time()
            self._on_lost()

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
                link.send(lambda reply: None, self._server.publish_command, self._probe_channel, secrets.token_hex(4))
            except LinkLost:
                pass  # its buffer is full
            if await self._lost_within(PROBE_TIMEOUT):
                break
            if self._last_message < due and not link.receiving:
                link.abort()
                self._probe_failures.value += 1
                return f"no message came for {PROBE_AFTER + PROBE_TIMEOUT:g} s"
        return (link.refusal if link is not None else None) or "the connection was lost"

    async def _lost_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._lost.wait()
        except TimeoutError:
            return False
        return True


def _as_microseconds(reply: Reply) -> int:
    seconds, microseconds = cast("list[bytes]", reply)
    return int(seconds) * 1_000_000 + int(microseconds)
