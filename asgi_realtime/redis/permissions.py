"""What is checked on the first link to a server: that each command is permitted, and that Redis evicts nothing."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable
from typing import Final

import hiredis

from asgi_realtime.errors import ConfigurationError
from asgi_realtime.redis.keys import Keys
from asgi_realtime.redis.link import Link, Reply
from asgi_realtime.redis.scripts import Script, run_script

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
        " docs/operations/redis.md lists"
    )


def explain_refusal(error: Exception, refusal: str | None, *, named: str) -> Exception:
    """The error about a missing permission, if a new link could not be used for that, else `error` itself.

    Args:
        error: what was raised.
        refusal: `Link.refusal`, if there is a link.
        named: what the server is configured by.
    """
    if refusal is not None and is_permission(refusal):
        return not_permitted("the channels", refusal, named=named)
    if isinstance(error, hiredis.ReplyError) and is_permission(str(error)):
        return not_permitted("a command", str(error), named=named)
    return error


async def eviction_warning(link: Link) -> str | None:
    """What is wrong and what to do, if Redis drops keys when its memory is full. Without the permission for INFO, None.

    Raises:
        LinkLost: the connection is lost.
    """
    try:
        text = await link.ask("INFO", "memory", read=_text)
    except hiredis.ReplyError:
        return None
    fields = dict(re.findall(r"^(\w+):(.*?)\r?$", text, re.MULTILINE))
    policy, limit = fields.get("maxmemory_policy", "noeviction"), fields.get("maxmemory", "0")
    if policy == "noeviction" or limit == "0":
        return None
    evicted = "history and presence may be evicted when memory is full"
    return f"maxmemory-policy is {policy}, so {evicted}; set it to noeviction"


def _text(reply: Reply) -> str:
    return reply.decode() if isinstance(reply, bytes) else str(reply)


def _unread(reply: Reply) -> None:
    """The reply does not matter."""
