"""Receives what python-socketio's `RedisManager(url, write_only=True)` publishes in other processes."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

import hiredis

from asgi_realtime.errors import ConfigurationError
from asgi_realtime.redis.link import Link, LinkLost
from asgi_realtime.runtime.fair_turns import SECONDS_A_TURN
from asgi_realtime.runtime.log_limit import LogLimit
from asgi_realtime.runtime.new_task import new_task
from asgi_realtime.socketio.manager_server import server_of
from asgi_realtime.socketio.published import PublishedMessage, Refused, decode

WAITING_BYTES: Final = 16 * 1024 * 1024
"""Most bytes of messages that wait to be carried out. Over: they are dropped, and the log says so once."""
PING_EVERY: Final = 5.0
"""Seconds between two checks that Redis answers. It has the same time to answer. Then the connection is replaced."""
FIRST_BACK_OFF: Final = 0.05
LAST_BACK_OFF: Final = 2.0
"""Seconds between attempts to connect, doubled after each."""


class RedisListener:
    """Subscribes to the channel of a client manager of python-socketio, and carries out what is published there.

    Args:
        manager: a `RedisManager` or `AsyncRedisManager` of python-socketio. Its URL, options and channel are used.
        carry_out: carries a message out for the clients of this process. Raises `Refused`.
        logger: gets one line a minute about lost connections, and one for each kind of refused message.

    Raises:
        ConfigurationError: for a URL that cannot be used.
    """

    def __init__(
        self, manager: Any, carry_out: Callable[[PublishedMessage], Awaitable[None]], logger: logging.Logger
    ) -> None:
        self._server = server_of(manager)
        self._channel: str = manager.channel
        self._carry_out = carry_out
        self._logger = logger
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._arrived = asyncio.Event()
        self._lost = asyncio.Event()
        self._link: Link | None = None
        self._complaints: set[str] = set()
        self._failures = LogLimit()

    async def run(self) -> None:
        """Listen until this is cancelled."""
        handling = new_task(self._handle(), name="messages of python-socketio")
        try:
            await self._listen()
        finally:
            handling.cancel()
            await asyncio.wait([handling])

    async def _listen(self) -> None:
        delay = FIRST_BACK_OFF
        while True:
            self._lost.clear()
            link: Link | None = None
            try:
                link = await self._server.connect(
                    self._channel, on_message=self._received, on_lost=lambda link: self._lost.set()
                )
                link.subscribe([self._channel])
                self._link = link
                while True:
                    async with asyncio.timeout(PING_EVERY):
                        await link.ask("PING", read=lambda reply: None)
                    delay = FIRST_BACK_OFF
                    try:
                        async with asyncio.timeout(PING_EVERY):
                            await self._lost.wait()
                    except TimeoutError:
                        continue
                    raise LinkLost("Redis closed the connection")
            except (LinkLost, hiredis.ReplyError, ConfigurationError, TimeoutError) as error:
                more = self._failures.more("lost")
                if more is not None:
                    reason = (link.refusal if link is not None else None) or str(error) or "no answer"
                    text = "channel %s of python-socketio: %s; connecting again%s"
                    self._logger.warning(text, self._channel, reason, more)
            except Exception as error:
                more = self._failures.more(("lost", type(error)))
                if more is not None:
                    text = "channel %s of python-socketio: a connection failed; connecting again%s"
                    self._logger.exception(text, self._channel, more)
            finally:
                self._link = None
                if link is not None:
                    link.abort()
            await asyncio.sleep(delay)
            delay = min(2 * delay, LAST_BACK_OFF)

    def publish(self, message: bytes) -> None:
        """Publish on the channel. Without a connection, or if Redis does not read, the message is lost."""
        try:
            if self._link is not None:
                self._link.send(lambda reply: None, self._server.publish_command, self._channel, message)
        except LinkLost:
            pass

    def _received(self, channel: bytes, payload: bytes) -> None:
        if self._waiting_bytes + len(payload) > WAITING_BYTES:
            self._complain(f"more than {WAITING_BYTES} bytes of messages wait")
            return
        self._waiting.append(payload)
        self._waiting_bytes += len(payload)
        self._arrived.set()

    async def _handle(self) -> None:
        """Carry messages out, one after the other, so that their order is kept."""
        loop = asyncio.get_running_loop()
        until = loop.time() + SECONDS_A_TURN
        while True:
            while not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()
                until = loop.time() + SECONDS_A_TURN
            payload = self._waiting.popleft()
            self._waiting_bytes -= len(payload)
            try:
                await self._carry_out(decode(payload))
            except Refused as refused:
                self._complain(str(refused))
            except Exception as error:
                more = self._failures.more(type(error))
                if more is not None:
                    text = "a message on channel %s could not be carried out%s"
                    self._logger.exception(text, self._channel, more)
            if loop.time() > until:
                await asyncio.sleep(0)  # others' turn
                until = loop.time() + SECONDS_A_TURN

    def _complain(self, reason: str) -> None:
        """Log each reason once, so that those who may publish cannot fill the log."""
        if reason not in self._complaints and len(self._complaints) < 100:
            self._complaints.add(reason)
            self._logger.error("a message on channel %s was refused: %s", self._channel, reason)
