"""The Redis of the app: whether it answers, permits everything, and evicts nothing."""

from __future__ import annotations

import asyncio

import hiredis

from asgi_realtime.checks.problem import Check, Problem, problem_of
from asgi_realtime.errors import ConfigurationError
from asgi_realtime.redis.keys import SHARED, Keys
from asgi_realtime.redis.link import Link, LinkLost
from asgi_realtime.redis.permissions import check_permissions, eviction_warning, explain_refusal
from asgi_realtime.redis.scripts import load_scripts
from asgi_realtime.redis.server import RedisServer
from asgi_realtime.settings import Settings

NAME = "MEW_REDIS_URL"


async def check_redis(settings: Settings, *, timeout: float) -> Check:
    """Connect as the app does, within `timeout` seconds, and run each of its commands on keys that expire at once."""
    try:
        async with asyncio.timeout(timeout):
            warning = await _try(settings, timeout)
    except TimeoutError:
        return _failed(f"no answer within {timeout:g} s; is this the right host, and is Redis stuck?")
    except ConfigurationError as error:
        denied = "does not permit" in str(error)
        prefix = f" (those of this app begin with MEW_REDIS_PREFIX, {settings.redis_prefix}:)" if denied else ""
        return _failed(f"{problem_of(str(error)).text}{prefix}")
    except (LinkLost, hiredis.ReplyError) as error:
        return _failed(f"{error}; start Redis there, or correct the URL")
    if warning is not None:
        return Check(NAME, "answers, and permits every command", (Problem(NAME, warning),))
    return Check(NAME, "answers, permits every command, and evicts nothing")


async def _try(settings: Settings, timeout: float) -> str | None:
    """Returns the warning about eviction, if there is one."""
    server = RedisServer(settings.redis_url, timeout=timeout / 2)
    keys = Keys(settings.redis_prefix, SHARED)
    link = await server.connect(keys.state, on_message=_ignore_message, on_lost=_ignore_end)
    try:
        await load_scripts(link)
        await check_permissions(link, keys, publish=server.publish_command, named=server.named)
        return await eviction_warning(link)
    except (LinkLost, hiredis.ReplyError) as error:
        explained = explain_refusal(error, link.refusal, named=server.named)
        if explained is error:
            raise
        raise explained from error
    finally:
        link.abort()


def _failed(text: str) -> Check:
    return Check(NAME, "cannot be used", (Problem(NAME, text),))


def _ignore_message(channel: bytes, payload: bytes) -> None:
    """The messages of the check do not matter."""


def _ignore_end(link: Link) -> None:
    """Commands fail when the link ends."""
