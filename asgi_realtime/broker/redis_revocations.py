"""The revocations of all processes, kept in Redis: for processes that start later, or were cut off.

A revocation is written to Redis before its command is published. A process reads them on each new connection to Redis,
after it has subscribed to commands, so it misses none. If Redis has lost some, it gets them back from the processes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final, cast

import hiredis

from asgi_realtime.auth.revocations import Revocations
from asgi_realtime.redis.keys import Keys
from asgi_realtime.redis.link import Argument, Link, LinkLost, Reply
from asgi_realtime.redis.reconnecting_link import ReconnectingLink
from asgi_realtime.redis.scripts import Script, run_script
from asgi_realtime.runtime.failure_log import FailureLog
from asgi_realtime.values.commands import RevokeToken, RevokeUser
from asgi_realtime.values.ids import UserId

logger = logging.getLogger("asgi_realtime")

MOST: Final = 200_000
"""Most revocations in Redis. Over: those that end first are removed."""
AT_ONCE: Final = 1_000
"""Revocations in one step, so that Redis serves other clients in between."""
CHECK_EVERY: Final = 30.0
"""Seconds between two checks of their number in Redis. It changes if Redis has lost them."""


class SharedRevocations:
    """Keeps the revocations of this process and those in Redis the same.

    Args:
        own: those of this process.
        keys: the names in Redis that concern all gateways.
        on_new: called when Redis had some that this process did not have.
    """

    def __init__(self, own: Revocations, *, keys: Keys, on_new: Callable[[], object]) -> None:
        self._own = own
        self._key = keys.revocations
        self._on_new = on_new
        self._failures = FailureLog()
        self._number = 0
        """How many were in Redis when it was last compared."""

    async def write(self, link: ReconnectingLink, command: RevokeToken | RevokeUser) -> None:
        """Write the revocation of a command to Redis. To be called before the command is published.

        Raises:
            BrokerUnavailable: Redis is away, or refused.
        """
        text = _of_token(command.jti) if isinstance(command, RevokeToken) else _of_user(command)
        left = round(self._own.ttl * 1_000)
        await link.run(Script.REVOKE, [self._key], MOST, text, left, read=_as_number)

    async def synchronise(self, link: Link) -> None:
        """Read what is in Redis, and write there what is missing.

        Raises:
            LinkLost: the connection is lost.
            hiredis.ReplyError: Redis refused.
        """
        found: set[str] = set()
        new_ones = False
        while True:
            _, *page = await run_script(link, Script.REVOKED, [self._key], len(found), AT_ONCE, read=_as_page)
            new = {
                cast("bytes", text).decode(): cast("int", left) / 1_000
                for text, left in zip(page[::2], page[1::2], strict=True)
            }
            for text, seconds in new.items():
                new_ones |= self._add(text, seconds)
            found |= new.keys()
            if len(new) < AT_ONCE:
                break
        if new_ones:
            self._on_new()
        missing: list[Argument] = []
        for text, seconds in self._known():
            if text not in found:
                missing += text, max(1, round(seconds * 1_000))
        self._number = len(found)
        for start in range(0, len(missing), 2 * AT_ONCE):
            some = missing[start : start + 2 * AT_ONCE]
            self._number = await run_script(link, Script.REVOKE, [self._key], MOST, *some, read=_as_number)
        if missing and found:
            logger.info("%d revocations were missing in Redis and are there again", len(missing) // 2)

    async def watch(self, current: Callable[[], Link | None]) -> None:
        """Synchronise whenever the number in Redis has changed. This ends when it is cancelled."""
        while True:
            await asyncio.sleep(CHECK_EVERY)
            link = current()
            if link is None:
                continue
            try:
                number, *_ = await run_script(link, Script.REVOKED, [self._key], 0, 0, read=_as_page)
                if number != self._number:
                    await self.synchronise(link)
            except LinkLost:
                continue
            except hiredis.ReplyError as error:
                self._failures.failed(None, "Redis refused to return the revocations", error, traceback=False)

    def _add(self, text: str, seconds: float) -> bool:
        """Add one of Redis to those of this process. Returns whether it is new here."""
        kind, rest = text[:1], text[1:]
        if kind == "t":
            return self._own.revoke_token(rest, seconds)
        issued_before, _, user_id = rest.partition(":")
        try:
            return self._own.revoke_user(UserId(user_id), float(issued_before), seconds)
        except ValueError:
            return False  # not written by this package

    def _known(self) -> list[tuple[str, float]]:
        tokens = [(_of_token(jti), left) for jti, left in self._own.tokens()]
        return tokens + [(_of_user(RevokeUser(user_id, before)), left) for user_id, before, left in self._own.users()]


def _of_token(jti: str) -> str:
    return f"t{jti}"


def _of_user(command: RevokeUser) -> str:
    return f"u{command.issued_before!r}:{command.user_id}"


def _as_number(reply: Reply) -> int:
    return cast("int", reply)


def _as_page(reply: Reply) -> Sequence[int | bytes]:
    return cast("Sequence[int | bytes]", reply)
