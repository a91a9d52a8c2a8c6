"""The revocations of all processes, kept in Redis: for processes that start later, or were cut off.

A revocation is written to Redis before its command is published. A process reads them on each new connection to Redis,
after it has subscribed to commands, so it misses none. If Redis has lost some, it gets them back from the processes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from typing import Final, TypeVar, cast

import hiredis

from asgi_realtime.auth.revocations import Revocations
from asgi_realtime.redis.keys import Keys
from asgi_realtime.redis.link import Argument, Link, LinkLost, Reply
from asgi_realtime.redis.reconnecting_link import ReconnectingLink
from asgi_realtime.redis.scripts import Script, run_script
from asgi_realtime.runtime import time_source
from asgi_realtime.runtime.failure_log import FailureLog
from asgi_realtime.values.commands import RevokeToken, RevokeUser
from asgi_realtime.values.ids import UserId

logger = logging.getLogger("asgi_realtime")

T = TypeVar("T")

AT_ONCE: Final = 1_000
"""Revocations in one step, so that Redis serves other clients in between."""
CHECK_EVERY: Final = 30.0
"""Seconds between two checks of their numbers in Redis, which change if Redis has lost some."""


class SharedRevocations:
    """Keeps the revocations of this process and those in Redis the same.

    Redis keeps at most as many tokens, and as many users, as a process does. So a process that starts keeps all that
    it reads.

    Args:
        own: those of this process.
        keys: the names in Redis that concern all gateways.
        on_new: called when Redis had some that this process did not have.
    """

    def __init__(self, own: Revocations, *, keys: Keys, on_new: Callable[[], object]) -> None:
        self._own = own
        self._tokens = keys.revoked_tokens
        self._users = keys.revoked_users
        self._on_new = on_new
        self._failures = FailureLog()
        self._numbers = (0, 0)
        """How many tokens and users were in Redis when they were last compared."""
        self._has_new = False
        """Whether `on_new` must still be called."""

    async def write(self, link: ReconnectingLink, command: RevokeToken | RevokeUser) -> None:
        """Write the revocation of a command to Redis. To be called before the command is published.

        Raises:
            BrokerUnavailable: Redis is away, or refused.
        """
        most, left = self._own.capacity, _milliseconds(self._own.ttl)
        if isinstance(command, RevokeToken):
            await link.run(Script.REVOKE_TOKENS, [self._tokens], most, command.jti, left, read=_as_number)
        else:
            user = command.user_id, repr(command.issued_before)
            await link.run(Script.REVOKE_USERS, [self._users], most, left, *user, read=_as_number)

    async def synchronise(self, link: Link) -> None:
        """Read what is in Redis, and write there what is missing.

        Raises:
            LinkLost: the connection is lost.
            hiredis.ReplyError: Redis refused.
        """
        numbers = await self._count(link)
        tokens: set[str] = set()
        users: dict[str, float] = {}
        try:
            async for jti, left in self._read(link, Script.REVOKED_TOKENS, self._tokens):
                tokens.add(jti)
                self._has_new |= self._own.revoke_token(jti, float(left) / 1_000)
            async with aclosing(self._read(link, Script.REVOKED_USERS, self._users)) as latest_first:
                async for user_id, time in latest_first:
                    users[user_id] = issued_before = float(time)
                    seconds = issued_before + self._own.ttl - time_source.wall()
                    if seconds <= 0:
                        break  # the others have ended too
                    self._has_new |= self._own.revoke_user(UserId(user_id), issued_before, seconds)
        finally:
            if self._has_new:
                self._on_new()
                self._has_new = False
        self._numbers = numbers  # only now, so that `watch` repeats what has failed
        await self._write_missing(link, tokens, users)

    async def _write_missing(self, link: Link, tokens: set[str], users: dict[str, float]) -> None:
        """Write to Redis what is not among these, which were found there."""
        lost_tokens = [(jti, left) for jti, left in self._own.tokens() if jti not in tokens]
        lost_users = [user for user in self._own.users() if users.get(user[0], float("-inf")) < user[1]]
        most = self._own.capacity
        for tokens_now in _portions(lost_tokens):
            words: list[Argument] = [word for jti, left in tokens_now for word in (jti, _milliseconds(left))]
            await run_script(link, Script.REVOKE_TOKENS, [self._tokens], most, *words, read=_as_number)
        for users_now in _portions(lost_users):
            words = [word for user_id, before, _ in users_now for word in (user_id, repr(before))]
            longest = _milliseconds(max(left for _, _, left in users_now))
            await run_script(link, Script.REVOKE_USERS, [self._users], most, longest, *words, read=_as_number)
        missing = len(lost_tokens) + len(lost_users)
        if missing:
            self._numbers = await self._count(link)
        if missing and (tokens or users):
            logger.info("%d revocations were missing in Redis and are there again", missing)

    async def watch(self, current: Callable[[], Link | None]) -> None:
        """Synchronise whenever a number in Redis has changed. This ends only when it is cancelled."""
        while True:
            await asyncio.sleep(CHECK_EVERY)
            link = current()
            if link is None:
                continue
            try:
                if await self._count(link) != self._numbers:
                    await self.synchronise(link)
            except LinkLost:
                continue
            except hiredis.ReplyError as error:
                self._failures.failed(None, "Redis refused to return the revocations", error, traceback=False)
            except Exception as error:
                self._failures.failed(None, "comparing the revocations with Redis failed", error)

    async def _count(self, link: Link) -> tuple[int, int]:
        """How many tokens and users are in Redis."""
        tokens, *_ = await run_script(link, Script.REVOKED_TOKENS, [self._tokens], 0, 0, read=_as_page)
        users, *_ = await run_script(link, Script.REVOKED_USERS, [self._users], 0, 0, read=_as_page)
        return int(tokens), int(users)

    async def _read(self, link: Link, script: Script, key: str) -> AsyncGenerator[tuple[str, bytes | int], None]:
        """What one of the reading scripts returns: each id and its number."""
        read = 0
        while True:
            _, *page = await run_script(link, script, [key], read, AT_ONCE, read=_as_page)
            for name, number in zip(page[::2], page[1::2], strict=True):
                yield cast("bytes", name).decode(), number
            read += len(page) // 2
            if len(page) < 2 * AT_ONCE:
                return


def _portions(items: list[T]) -> Iterator[list[T]]:
    for start in range(0, len(items), AT_ONCE):
        yield items[start : start + AT_ONCE]


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1_000))


def _as_number(reply: Reply) -> int:
    return cast("int", reply)


def _as_page(reply: Reply) -> Sequence[int | bytes]:
    return cast("Sequence[int | bytes]", reply)
