"""The presence of one gateway: the connections of this process, and the counts that it writes to Redis."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, cast

import hiredis

from asgi_realtime.presence.connection_table import ConnectionTable
from asgi_realtime.redis.keys import Keys
from asgi_realtime.redis.link import Argument, Link, LinkLost, Reply
from asgi_realtime.redis.scripts import Script, run_script, sha, source
from asgi_realtime.values.ids import ConnectionId, UserId

WRITTEN_AT_ONCE: Final = 500
"""Most users in one command, so that Redis serves other clients in between."""


class Taken(NamedTuple):
    """A user whom this node took from Redis, to announce that the user is offline."""

    user_id: UserId
    token: str
    """Names the node and its call."""


class RedisGateway:
    """Writes to Redis how many connections each user has here, and reads from the reply what has changed.

    Counts are absolute, not differences: a count that is written twice does no harm. Commands are sent in order on one
    link. On a new link all counts are written again.

    Args:
        keys: the names of the gateway in Redis.
        grace: microseconds a user stays online after the last connection ended.
        grace_if_lost: the same if Redis has lost the counts, so that other nodes can write theirs again.
        online: called with a user who came online, if no `join` returns it.
        ask_again: called with a user for whom `count_again` must be called, if no `join` does so.
        next_end: called with the seconds until the next grace period ends.
        failed: called when everything must be written to Redis again: with the reason why it refused, or None if it
            has lost the counts or has removed the node.
    """

    NOTHING: Final = 0
    ONLINE: Final = 1
    REFUSED: Final = 2
    ASK_AGAIN: Final = 3
    """What `presence_count.lua` returns for a user. `ASK_AGAIN`: the user is still being announced as offline."""

    def __init__(
        self,
        keys: Keys,
        *,
        grace: int,
        grace_if_lost: int,
        online: Callable[[UserId], None],
        ask_again: Callable[[UserId], None],
        next_end: Callable[[float], None],
        failed: Callable[[str | None], None],
    ) -> None:
        self.keys = keys
        self.connections = ConnectionTable()
        self.link: Link | None = None
        """The link to which all counts were written. None: there is none, or they must be written again."""
        self.removed = False
        """Whether this node was removed in the meantime, and its users were perhaps announced as offline."""
        self._without_scripts = False
        """Whether Redis has lost the scripts (SCRIPT FLUSH)."""
        self._grace = grace
        self._grace_if_lost = grace_if_lost
        self._online = online
        self._ask_again = ask_again
        self._next_end = next_end
        self._on_failure = failed
        self._epoch = ""
        """The epoch of the counts in Redis. It changes when they were lost. Empty: not known yet."""
        self._any_leaving = False
        """Whether a grace period was running when Redis answered last."""
        self._unanswered: set[UserId] = set()
        """Users who are connected here, but Redis has not replied whether they came online by that."""
        self._left: dict[UserId, float] = {}
        """Users whose last connection here ended, and when their grace period is over (by this process's clock)."""
        self._takes = 0
        self._taken_on: Link | None = None
        """The link on which Redis has answered which users this node took. Another one: it must say so again."""
        self._announcing: set[Taken] = set()
        self._announced: set[Taken] = set()
        """Taken users who were announced as offline, of which Redis is told with the next call."""

    def _usable(self) -> Link | None:
        """The link. None: the counts are written later."""
        return None if self.link is None or self.link.lost else self.link

    def _failed(self, reason: str | None) -> None:
        self.link = None
        if reason is not None and reason.startswith("NOSCRIPT"):
            self._without_scripts = True
        self._on_failure(reason)

    def _send(
        self, link: Link, node: str, counts: Sequence[Argument], most: int, replied: Callable[[Reply], None]
    ) -> None:
        link.send(
            replied,
            "EVALSHA",
            sha(Script.PRESENCE_COUNT),
            4,
            self.keys.connections,
            self.keys.leaving,
            self.keys.of_node(node),
            self.keys.announcing,
            self._epoch,
            secrets.token_hex(8),
            self._grace,
            self._grace_if_lost,
            most,
            *counts,
        )

    # One connection

    def add(self, user_id: UserId, connection_id: ConnectionId, node: str, most: int) -> asyncio.Future[int] | None:
        """Add a connection that is not in the table. The result is the reply of Redis. None: there is no link now."""
        if not self.connections.count(user_id):
            self._unanswered.add(user_id)
        self.connections.add(user_id, connection_id)
        self._left.pop(user_id, None)
        return self._count(user_id, connection_id, node, most)

    def count_again(self, user_id: UserId, node: str) -> asyncio.Future[int] | None:
        """Write a user's count again, after the reply `ASK_AGAIN`. None: that is not necessary any more."""
        return self._count(user_id, None, node, 0) if user_id in self._unanswered else None

    def _count(
        self, user_id: UserId, connection_id: ConnectionId | None, node: str, most: int
    ) -> asyncio.Future[int] | None:
        link = self._usable()
        if link is None:
            return None
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def replied(reply: Reply) -> None:
            results = self._results(reply)
            if results is None:
                if not answer.done():
                    answer.set_result(self.NOTHING)  # the next link answers, by `online`
                return
            result = results[0]
            if result == self.REFUSED:
                self._refused(user_id, None if answer.done() else connection_id, node)
            elif user_id not in self._unanswered:
                result = self.NOTHING  # written before
            elif result == self.ASK_AGAIN:
                if answer.done():
                    self._ask_again(user_id)
            else:
                self._unanswered.discard(user_id)
                if result == self.ONLINE and answer.done():
                    self._online(user_id)
            if not answer.done():
                answer.set_result(result)

        try:
            self._send(link, node, (user_id, self.connections.count(user_id)), most, replied)
        except LinkLost:
            return None
        return answer

    def _refused(self, user_id: UserId, connection_id: ConnectionId | None, node: str) -> None:
        """Redis refused a connection. None: too late, the connection is open, and is counted.

        The count is written again, because another connection may have been counted together with this one.
        """
        if connection_id is not None:
            self.connections.remove(user_id, connection_id)
        if not self.connections.count(user_id):
            self._unanswered.discard(user_id)
        self._write_count(user_id, node)

    def remove(self, user_id: UserId, connection_id: ConnectionId, node: str) -> None:
        """Remove a connection. One that is not in the table is ignored."""
        if not self.connections.remove(user_id, connection_id):
            return
        if not self.connections.count(user_id):
            self._unanswered.discard(user_id)
            self._left[user_id] = float("inf")
        self._write_count(user_id, node)

    def _write_count(self, user_id: UserId, node: str) -> None:
        """Write the count of a user's connections."""
        link = self._usable()
        if link is None:
            return
        count = self.connections.count(user_id)

        def replied(reply: Reply) -> None:
            if self._results(reply) is not None:
                self._set_end(user_id)

        try:
            self._send(link, node, (user_id, count), 0, replied)
        except LinkLost:
            pass  # it is written to the next link

    def _results(self, reply: Reply, *, all_written: bool = False) -> list[int] | None:
        """The result of each user. None: Redis did not count."""
        if isinstance(reply, Exception):
            if isinstance(reply, hiredis.ReplyError):
                self._failed(str(reply))
            return None
        epoch, *rest = cast("list[bytes | int]", reply)
        assert isinstance(epoch, bytes)
        if not epoch:
            self._failed(None)
            return None
        if epoch.decode() != self._epoch:
            if self._epoch and not all_written:
                self._failed(None)  # the counts in Redis were lost
            else:
                self._epoch = epoch.decode()
        next_end, *results = cast("list[int]", rest)
        self._plan(next_end)
        return results

    def _set_end(self, user_id: UserId) -> None:
        """It is written to Redis that a user has left. If the user is at no other node, the grace period has begun."""
        if user_id not in self._left:
            return
        if self._any_leaving:
            self._left[user_id] = asyncio.get_running_loop().time() + self._grace / 1_000_000
        else:
            del self._left[user_id]  # the user is connected to another node

    def _plan(self, microseconds: int) -> None:
        self._any_leaving = microseconds >= 0
        if microseconds >= 0:
            # A millisecond more, because the clocks of Redis and of the event loop differ.
            self._next_end(microseconds / 1_000_000 + 0.001)

    # All connections

    def write_all(self, link: Link, node: str) -> None:
        """Write the counts of all users to a new link, or under a new id. Everything sent later comes after them.

        Raises:
            LinkLost: the connection is lost.
        """
        if self._without_scripts:
            for script in (Script.PRESENCE_COUNT, Script.PRESENCE_OFFLINE):
                link.send(_unread, "SCRIPT", "LOAD", source(script))
            self._without_scripts = False
        known, removed = self._epoch, self.removed
        counts: list[tuple[UserId, int]] = [(user_id, self.connections.count(user_id)) for user_id in self.connections]
        counts += [(user_id, 0) for user_id in self._left]
        for start in range(0, len(counts), WRITTEN_AT_ONCE):
            some = counts[start : start + WRITTEN_AT_ONCE]

            def replied(reply: Reply, some: Sequence[tuple[UserId, int]] = some) -> None:
                results = self._results(reply, all_written=True)
                if results is None:
                    return
                # If Redis had lost the counts, no user was announced as offline.
                announce = removed and self._epoch == known
                for (user_id, count), result in zip(some, results, strict=True):
                    if result == self.ASK_AGAIN and (announce or user_id in self._unanswered):
                        self._unanswered.add(user_id)
                        self._ask_again(user_id)
                        continue
                    if result == self.ONLINE and (announce or user_id in self._unanswered):
                        self._online(user_id)
                    if count:
                        self._unanswered.discard(user_id)
                    else:
                        self._set_end(user_id)

            self._send(link, node, [word for pair in some for word in pair], 0, replied)
        self.link, self.removed = link, False

    # Other nodes, and the end of grace periods

    async def sweep(self, link: Link, node: str, *, by: str, users_at_once: int, refused_for: int) -> None:
        """Remove what a node has written. Its users stay online for the grace period.

        The node `by` announces the users whom the removed one took, but perhaps did not announce.

        Raises:
            LinkLost: the connection is lost.
            hiredis.ReplyError: Redis refused.
        """
        left, taken_over = 1, 0
        while left:
            left, next_end, more = await run_script(
                link,
                Script.PRESENCE_SWEEP,
                [self.keys.connections, self.keys.leaving, self.keys.of_node(node), self.keys.taken],
                *(self._grace, users_at_once, refused_for, node, by),
                read=_three_numbers,
            )
            taken_over += more
        self._plan(next_end)
        if taken_over:
            self._taken_on = None
            self._next_end(0.0)

    def take_ended(self, most: int, within: int, node: str, offline: Callable[[Taken], None]) -> None:
        """Take the users whose grace period has ended. `offline` is called with each, and then `announced`.

        Redis keeps a user until this node has told it of `announced`, with the next call of this method. If a reply is
        lost, the next link gets the user again.

        `within`: microseconds for which other processes wait for that.
        """
        link = self._usable()
        if link is None:
            return  # planned again with the next link
        self._takes += 1
        announced = list(self._announced)

        def replied(reply: Reply) -> None:
            if isinstance(reply, Exception):
                if isinstance(reply, hiredis.ReplyError):
                    self._failed(str(reply))
                return
            next_end, *words = cast("list[int | bytes]", reply)
            assert isinstance(next_end, int)
            self._taken_on = link
            self._announced.difference_update(announced)
            self._forget_left()
            texts = [word.decode() for word in words if isinstance(word, bytes)]
            for taken in map(Taken, map(UserId, texts[::2]), texts[1::2]):
                self._left.pop(taken.user_id, None)
                if taken not in self._announcing and taken not in self._announced:
                    self._announcing.add(taken)
                    offline(taken)
            self._plan(next_end)

        keys, again = self.keys, int(self._taken_on is not link)
        names = keys.leaving, keys.announcing, keys.taken, keys.connections
        words = [word for taken in announced for word in taken]
        with contextlib.suppress(LinkLost):  # repeated with the next link
            arguments: list[Argument] = [most, within, node, self._takes, again, *words]
            link.send(replied, "EVALSHA", sha(Script.PRESENCE_OFFLINE), len(names), *names, *arguments)

    def announced(self, taken: Taken) -> bool:
        """A user was announced as offline. Returns whether Redis must be told so now, with `take_ended`."""
        self._announcing.discard(taken)
        self._announced.add(taken)
        return len(self._announced) == 1

    def _forget_left(self) -> None:
        """Forget the users whose grace period has ended."""
        now = asyncio.get_running_loop().time()
        for user_id in [user_id for user_id, ends in self._left.items() if ends <= now]:
            del self._left[user_id]


def _three_numbers(reply: Reply) -> tuple[int, int, int]:
    first, second, third = cast("list[int]", reply)
    return first, second, third


def _unread(reply: Reply) -> None:
    """The reply does not matter: a script that is missing is noticed when it is called."""
