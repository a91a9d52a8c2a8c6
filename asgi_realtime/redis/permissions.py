"""What is checked on the first link to a server: that each command is permitted, and that Redis evicts nothing."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable
from typing import Final

import hiredis

from asgi_realtime.errors import ConfigurationError
from asgi_realtime.redis.keys import Keys
from asgi_realtime.redis.link import Link, Reply
from asgi_realtime.redis.scripts import Script, run_script

logger = logging.getLogger("asgi_realtime")

CHECKED: Final = "check"
"""What the names of the keys and of the channel of the check end with. The keys expire at once."""


async def check_permissions(link: Link, keys: Keys, *, publish: str, named: str) -> None:
    """Run everything that this package runs once.

    Args:
        link: the link to the server.
        keys: the names of the check in Redis begin as these.
        publish: the name of the publish command.
        named: what the server is configured by, for the error.

    Raises:
        ConfigurationError: something is not permitted.
        LinkLost: the connection is lost, or a SUBSCRIBE was refused; see `Link.refusal`.
        hiredis.ReplyError: Redis refused for another reason.
    """
    channel = keys.channel(CHECKED)
    names = [keys.last(f"{CHECKED}:{kind}") for kind in ("string", "hash", "zset", "stream", "set")]
    link.subscribe([channel])
    link.unsubscribe([channel])
    work: dict[str, Awaitable[None]] = {
        "a command": run_script(link, Script.CHECK, names, publish, channel, read=_unread),
        "EVAL": link.ask("EVAL", "return 0", 1, keys.state, read=_unread),
        publish: link.ask(publish, channel, "", read=_unread),
    }
    outcomes = await asyncio.gather(*work.values(), return_exceptions=True)
    for what, outcome in zip(work, outcomes, strict=True):
        if isinstance(outcome, hiredis.ReplyError) and is_permission(str(outcome)):
            raise not_permitted(what, str(outcome), named=named) from None
        if isinstance(outcome, BaseException):
            raise outcome


def is_permission(text: str) -> bool:
    """Whether an error of Redis says that the user may not do this, or that a command was renamed or removed."""
    return "NOPERM" in text or "user executing the script" in text or "unknown command" in text.lower()


def not_permitted(what: str, text: str, *, named: str) -> ConfigurationError:
    """The error for something that Redis does not permit. `named`: what the server is configured by."""
    return ConfigurationError(
        f"{named}: Redis does not permit {what} to this user ({text}); permit the commands, keys and channels that"
        " docs/redis.md lists"
    )


async def warn_of_eviction(link: Link) -> None:
    """Warn if Redis drops keys when its memory is full. Without the permission for INFO nothing is checked.

    Raises:
        LinkLost: the connection is lost.
    """
    try:
        text = await link.ask("INFO", "memory", read=_text)
    except hiredis.ReplyError:
        return
    fields = dict(re.findall(r"^(\w+):(.*?)\r?$", text, re.MULTILINE))
    policy, limit = fields.get("maxmemory_policy", "noeviction"), fields.get("maxmemory", "0")
    if policy != "noeviction" and limit != "0":
        logger.warning(
            "Redis: maxmemory-policy is %s, so history and presence may be evicted when memory is full;"
            " set it to noeviction",
            policy,
        )


def _text(reply: Reply) -> str:
    return reply.decode() if isinstance(reply, bytes) else str(reply)


def _unread(reply: Reply) -> None:
    """The reply does not matter."""
