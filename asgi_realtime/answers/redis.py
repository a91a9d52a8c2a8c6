"""The answers of an application with several processes, in Redis."""

from __future__ import annotations

import asyncio
import itertools
from typing import Final, cast

from asgi_realtime.answers.base import EventKey
from asgi_realtime.answers.memory import MemoryAnswers
from asgi_realtime.broker.time_limit import answer_in_time
from asgi_realtime.errors import BrokerUnavailable
from asgi_realtime.limits import Limits
from asgi_realtime.redis.gateway_links import GatewayLinks
from asgi_realtime.redis.link import Argument, LinkLost, Reply
from asgi_realtime.redis.scripts import Script, send_script
from asgi_realtime.values.ids import GatewayName

FIRST_PAUSE: Final = 0.05
LAST_PAUSE: Final = 1.0
"""Seconds between two looks whether another process has handled an event: doubled after each."""
_CLAIMED: Final = 0
_ANSWERED: Final = 1


class RedisAnswers:
    """`Answers` of one gateway, shared by its processes.

    An answer that Redis did not take, because it is away, is kept in this process.

    Args:
        links: the connections of this process.
        gateway: the gateway.
        limits: those of the gateway.
        timeout: seconds that Redis may take to answer.
        local: whether events are handled while Redis is away. Then only this process knows their answers.
    """

    def __init__(
        self, links: GatewayLinks, gateway: GatewayName, limits: Limits, *, timeout: float, local: bool
    ) -> None:
        self._links = links
        self._gateway = gateway
        self._limits = limits
        self._timeout = timeout
        self._local = local
        self._own = MemoryAnswers(limits)
        self._ttl = round(limits.once_ttl * 1_000_000)
        # One second more: a handler ends a little later than its time limit.
        self._claim_ttl = round((limits.handler_timeout + 1) * 1_000_000)
        self._claims: dict[EventKey, str] = {}
        """The claims of this process. In Redis they have these names."""
        self._numbers = itertools.count()

    async def claim(self, key: EventKey) -> bytes | None:
        """Return the answer to an event, or claim it; see `Answers.claim`. Waits while another process has claimed it.

        Raises:
            BrokerUnavailable: Redis is away, and `local` is false.
        """
        known = self._own.known(key)
        if known is not None:
            return known
        claim = self._claims[key] = f"c{self._links.node}:{next(self._numbers)}"
        pause = FIRST_PAUSE
        try:
            while True:
                state, answer = await self._run(Script.ONCE_CLAIM, key, _field(key), claim, self._ttl, self._claim_ttl)
                if state == _CLAIMED:
                    return None
                if state == _ANSWERED:
                    del self._claims[key]
                    return answer
                await asyncio.sleep(pause)
                pause = min(2 * pause, LAST_PAUSE)
        except BrokerUnavailable:
            if not self._local:
                self.release(key)
                raise
            return None
        except BaseException:
            self.release(key)
            raise

    async def keep(self, key: EventKey, answer: bytes) -> None:
        """Keep an answer; see `Answers.keep`."""
        claim, limits = self._claims.pop(key), self._limits
        try:
            await self._run(
                Script.ONCE_KEEP,
                key,
                *(_field(key), claim, b"a" + answer, self._ttl, self._claim_ttl),
                *(limits.once_answers, limits.once_bytes),
            )
        except BrokerUnavailable:
            self._own.put(key, answer)
        except BaseException:  # cancelled: the handler has returned, so it must not be called again
            self._own.put(key, answer)
            raise

    def release(self, key: EventKey) -> None:
        """End a claim; see `Answers.release`. If Redis is away, it ends by itself."""
        claim = self._claims.pop(key)
        try:
            link = self._links.of(self._gateway).current
            if link is not None:
                send_script(link, _ignore, Script.ONCE_KEEP, self._keys(key), _field(key), claim)
        except (BrokerUnavailable, LinkLost):
            pass

    async def _run(self, script: Script, key: EventKey, *arguments: Argument) -> tuple[int, bytes]:
        call = self._links.of(self._gateway).run(script, self._keys(key), *arguments, read=_read)
        return await answer_in_time(self._timeout, call)

    def _keys(self, key: EventKey) -> list[str]:
        names = self._links.keys(self._gateway)
        return [names.answers(key.user_id), names.answered(key.user_id)]


def _field(key: EventKey) -> str:
    """The name of an event in the keys of its user. It is never empty."""
    return f"{len(key.event)}:{key.event}{key.id}"


def _read(reply: Reply) -> tuple[int, bytes]:
    if isinstance(reply, int):
        return reply, b""
    state, *answer = cast("list[int | bytes]", reply)
    return cast("int", state), cast("bytes", answer[0]) if answer else b""


def _ignore(reply: Reply) -> None:
    """Whether the claim was still valid does not matter."""
