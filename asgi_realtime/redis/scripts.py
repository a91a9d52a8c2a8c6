"""The Lua scripts, each a file in `scripts/`. Redis runs a script as one step."""

from __future__ import annotations

import asyncio
import enum
import functools
import hashlib
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import TypeVar

import hiredis

from asgi_realtime.redis.link import Argument, CountCopies, Link, LinkLost, Reply, pack

T = TypeVar("T")


class Script(enum.StrEnum):
    """The scripts by file name. Each file describes its keys, arguments and result."""

    CHECK = "check"
    PUBLISH = "publish"
    VOLATILE = "volatile"
    STATE = "state"
    HISTORY = "history"
    LATEST = "latest"
    ONCE_CLAIM = "once_claim"
    ONCE_KEEP = "once_keep"
    REVOKE_TOKENS = "revoke_tokens"
    REVOKE_USERS = "revoke_users"
    REVOKED_TOKENS = "revoked_tokens"
    REVOKED_USERS = "revoked_users"
    RENEW = "renew"
    NODE_LEASE = "node_lease"
    PRESENCE_COUNT = "presence_count"
    PRESENCE_OFFLINE = "presence_offline"
    PRESENCE_ONLINE = "presence_online"
    PRESENCE_SWEEP = "presence_sweep"
    SESSION_CLAIM = "session_claim"
    SESSION_SAVE = "session_save"


@functools.cache
def source(script: Script) -> str:
    """The text of a script."""
    return (files(__package__) / "scripts" / f"{script}.lua").read_text("utf-8")


@functools.cache
def sha(script: Script) -> str:
    """What EVALSHA calls a script by: the SHA-1 of its text."""
    return hashlib.sha1(source(script).encode(), usedforsecurity=False).hexdigest()


class PackedCall:
    """A call of a script whose first and last words are packed once, for calls that differ in the words between.

    Packing is an eighth of what a broadcast costs its process.

    Args:
        script: the script.
        keys: its keys.
        before: the first arguments.
        between: how many arguments follow that differ.
        after: the last arguments.
    """

    __slots__ = ("_head", "_tail")

    def __init__(
        self,
        script: Script,
        keys: Sequence[str],
        before: Sequence[Argument],
        *,
        between: int,
        after: Sequence[Argument],
    ) -> None:
        words = 3 + len(keys) + len(before) + between + len(after)
        self._head = b"*%d\r\n%b" % (words, _words("EVALSHA", sha(script), len(keys), *keys, *before))
        self._tail = _words(*after) if after else b""

    def pack(self, *between: Argument) -> bytes:
        """The bytes of a call."""
        return self._head + _words(*between) + self._tail


def _words(*words: Argument) -> bytes:
    """The bytes of some words of a command, without their number."""
    packed = pack(*words)
    return packed[packed.index(b"\n") + 1 :]


async def load_scripts(link: Link) -> None:
    """Load the scripts into Redis.

    Raises:
        LinkLost: the connection is lost.
        hiredis.ReplyError: Redis refused.
    """
    await asyncio.gather(*[link.ask("SCRIPT", "LOAD", source(script), read=_unread) for script in Script])


async def run_script(
    link: Link,
    script: Script,
    keys: Sequence[str],
    *arguments: Argument,
    read: Callable[[Reply], T],
    copies: Callable[[], CountCopies] | None = None,
) -> T:
    """Run a script. Returns what `read` returns for the reply; it is called in order with the messages.

    `copies`: the script publishes. It is called when the script is sent; see `Link.ask`.

    If Redis has lost the script (SCRIPT FLUSH), its text is sent.

    Raises:
        LinkLost: the connection is lost.
        hiredis.ReplyError: Redis refused.
    """
    try:
        count = copies() if copies is not None and link.copies_follow else None
        return await link.ask("EVALSHA", sha(script), len(keys), *keys, *arguments, read=read, copies=count)
    except hiredis.ReplyError as error:
        if not is_forgotten(error):
            raise
    count = copies() if copies is not None and link.copies_follow else None
    return await link.ask("EVAL", source(script), len(keys), *keys, *arguments, read=read, copies=count)


def send_script(
    link: Link, on_reply: Callable[[Reply], None], script: Script, keys: Sequence[str], *arguments: Argument
) -> None:
    """Run a script without waiting. `on_reply` is called with the reply, in order with the messages.

    Raises:
        LinkLost: the connection is lost.
    """

    def replied(reply: Reply) -> None:
        if not is_forgotten(reply):
            on_reply(reply)
            return
        try:
            link.send(on_reply, "EVAL", source(script), len(keys), *keys, *arguments)
        except LinkLost as error:
            on_reply(error)

    link.send(replied, "EVALSHA", sha(script), len(keys), *keys, *arguments)


def is_forgotten(reply: Reply) -> bool:
    """Whether a reply says that Redis has lost the script."""
    return isinstance(reply, hiredis.ReplyError) and str(reply).startswith("NOSCRIPT")


def _unread(reply: Reply) -> None:
    """The reply does not matter."""
