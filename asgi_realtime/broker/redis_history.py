"""Reads history from Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Final, Protocol, TypeVar, cast

from asgi_realtime.broker.encoding import COMMAND, PUBLICATION, decode_command, decode_publication
from asgi_realtime.broker.newest import first_of
from asgi_realtime.broker.recent_history import Known, RecentHistory
from asgi_realtime.errors import PositionLost
from asgi_realtime.redis.history_state import HistoryState, new_epoch
from asgi_realtime.redis.keys import COMMANDS, Keys, suffixes
from asgi_realtime.redis.link import Argument, Reply
from asgi_realtime.redis.reconnecting_link import ReconnectingLink
from asgi_realtime.redis.scripts import Script
from asgi_realtime.values.commands import Command
from asgi_realtime.values.ids import RoomName
from asgi_realtime.values.publications import Newest, Position, Publication, Target, ToRoom

T = TypeVar("T")

READ_AT_ONCE: Final = 64
"""Targets in one script, so that Redis serves other clients in between."""
ANSWER_BYTES: Final = 4_000_000
"""Bytes of an answer of Redis after which nothing is added to it."""
HISTORY_BYTES: Final = 64 * 1024 * 1024
"""Most bytes of history that are read for a client, or for a process that was cut off. Over: the position is lost, and
clients must read again what they show."""
SEARCHED_AT_ONCE: Final = 50
"""Publications that are read in one step when the latest of an event is searched."""
RECENT_AT_ONCE: Final = 20
"""Publications that are read in one step for `read_recent`."""


class RunScript(Protocol):
    """Runs a script: `ReconnectingLink.run`, or `run_script` on a link."""

    def __call__(
        self, script: Script, keys: Sequence[str], /, *arguments: Argument, read: Callable[[Reply], T]
    ) -> Awaitable[T]:
        """Run a script. Returns what `read` returns for the reply."""


class History:
    """What was published to some targets, read in several steps. Redis closes a connection with 32 MB of answers.

    Args:
        since: the number to begin after, by target.
        known: until when nothing was missed, for a process that was subscribed. 0: read for a client.
        epoch: the history that it must be. None: whichever Redis has.
        newest: the number to end at. 0: the newest of all targets.
        most_bytes: over these the rest is not read, and counts as lost.
    """

    def __init__(
        self,
        since: Mapping[str, int],
        *,
        known: int = 0,
        epoch: str | None = None,
        newest: int = 0,
        most_bytes: int = HISTORY_BYTES,
    ) -> None:
        self.found: dict[str, list[tuple[int, bytes]]] = {suffix: [] for suffix in since}
        self.lost: list[str] = []
        """Targets whose history does not reach back, or has too many bytes."""
        self.epoch = epoch
        self.newest = newest
        self._since = dict(since)
        self._known = known
        self._most_bytes = most_bytes
        self._bytes = 0

    async def read(self, run: RunScript, keys: Keys, ttl: int) -> None:
        """Read it. `ttl` is in milliseconds. The answers are of one history, or everything is lost."""
        while self._since:
            some = list(self._since)[:READ_AT_ONCE]
            names = [keys.state]
            for suffix in some:
                names += keys.last(suffix), keys.history(suffix)
            size = max(1, min(ANSWER_BYTES, self._most_bytes - self._bytes + 1))
            arguments = [ttl, self._known, self.newest, size, *(self._since[suffix] for suffix in some)]
            epoch, newest, *answers = await run(Script.HISTORY, names, *arguments, read=as_history)
            assert isinstance(epoch, bytes) and isinstance(newest, bytes)
            if self.epoch is None:
                self.epoch, self.newest = epoch.decode(), int(newest)
            elif self.epoch != epoch.decode():
                self.epoch = epoch.decode()
                self.lost += self._since
                return
            for suffix, answer in zip(some, answers, strict=True):
                self._take(suffix, answer)

    def _take(self, suffix: str, answer: bytes | list[bytes] | int) -> None:
        if not isinstance(answer, list) or self._bytes > self._most_bytes:
            self.lost.append(suffix)
            del self._since[suffix]
            return
        is_all, *entries = answer
        for number, data in zip(entries[::2], entries[1::2], strict=True):
            self.found[suffix].append((int(number), data))
            self._bytes += len(data)
        is_over = self._bytes > self._most_bytes
        if is_over:
            self.lost.append(suffix)
        if int(is_all) or is_over:
            del self._since[suffix]
        elif entries:
            self._since[suffix] = int(entries[-2])


async def read_history(
    link: ReconnectingLink,
    keys: Keys,
    ttl: int,
    since: Position,
    targets: Collection[Target],
    recent: RecentHistory,
    most_bytes: int | None = None,
) -> list[Publication]:
    """What was published after `since` to any of the targets, in order. `ttl` is in milliseconds.

    Raises:
        PositionLost: history does not reach back, has too many bytes, or the position is not of this history.
        BrokerUnavailable: Redis did not answer.
    """
    epoch, start = parse(since)
    ends = {suffix: target for target in targets for suffix in suffixes(target)}
    now = asyncio.get_running_loop().time()
    while True:
        used = link.current
        known = {suffix: recent.known(keys.history(suffix), used, epoch, start, now) for suffix in ends}
        history = History(
            {suffix: each.until for suffix, each in known.items()} or {COMMANDS: start},
            most_bytes=HISTORY_BYTES if most_bytes is None else most_bytes,
        )
        await history.read(link.run, keys, ttl)
        if link.current is used or not any(each.numbers for each in known.values()):
            break
    if history.epoch != epoch or max([start, *(each.until for each in known.values())]) > history.newest:
        recent.forget()
        raise PositionLost("the position is not of this history")
    if history.lost and ends:
        raise PositionLost("history no longer reaches back to this position")
    found: dict[int, Publication] = {}
    for suffix, target in ends.items():
        numbers, publications = known[suffix].numbers, known[suffix].publications
        for number, data in history.found[suffix]:
            if data[:1] == PUBLICATION:
                position = Position(f"{epoch}-{number}")
                numbers.append(number)
                publications.append(decode_publication(data, keys.gateway, target, position=position, volatile=False))
        if used is not None and link.current is used:
            recent.keep(keys.history(suffix), used, epoch, start, now, Known(history.newest, numbers, publications))
        found.update(zip(numbers, publications, strict=True))
    return [found[number] for number in sorted(found)]


async def read_commands(
    link: ReconnectingLink, keys: Keys, ttl: int, since: Position
) -> list[tuple[Command, Position]]:
    """The commands after `since`, in order. `ttl` is in milliseconds. See `read_history`."""
    epoch, start = parse(since)
    history = History({COMMANDS: start})
    await history.read(link.run, keys, ttl)
    if history.epoch != epoch or start > history.newest:
        raise PositionLost("the position is not of this history")
    if history.lost:
        state = await link.run(Script.STATE, [keys.state], new_epoch(), read=HistoryState)
        if state.epoch != epoch or state.command > start:
            raise PositionLost("history no longer has the commands since this position")
    return [
        (decode_command(data)[1], Position(f"{epoch}-{number}"))
        for number, data in history.found[COMMANDS]
        if data[:1] == COMMAND
    ]


async def read_latest(
    link: ReconnectingLink, keys: Keys, ttl: int, room: RoomName, event: str, since: Position | None
) -> Publication | None:
    """The newest publication of an event to a room, if it is newer than `since`. None: history has none.

    Raises:
        BrokerUnavailable: Redis did not answer.
    """
    target = ToRoom(room)
    after = _after(since)
    before = 0
    while True:
        found = await _newest(link, keys, ttl, target, after, before, SEARCHED_AT_ONCE)
        for publication in found:
            if publication.event == event:
                return publication
        if len(found) < SEARCHED_AT_ONCE:
            return None
        before = _number(found[-1])


async def read_recent(
    link: ReconnectingLink, keys: Keys, ttl: int, target: Target, since: Position | None, limit: int
) -> Newest:
    """The newest publications to a target; see `Broker.recent`.

    Raises:
        BrokerUnavailable: Redis did not answer.
    """
    after = _after(since)
    found: list[Publication] = []
    before = 0
    while True:
        some = await _newest(link, keys, ttl, target, after, before, RECENT_AT_ONCE)
        newest = first_of([*found, *some], limit)
        if newest.more or len(some) < RECENT_AT_ONCE:
            return newest
        found += some
        before = _number(found[-1])


def _after(since: Position | None) -> tuple[str, int]:
    """Epoch and number to begin after. A position of another history is as none."""
    try:
        return ("", 0) if since is None else parse(since)
    except PositionLost:
        return "", 0


def _number(publication: Publication) -> int:
    assert publication.position is not None
    return int(publication.position.rpartition("-")[2])


async def _newest(
    link: ReconnectingLink, keys: Keys, ttl: int, target: Target, after: tuple[str, int], before: int, count: int
) -> list[Publication]:
    """The newest publications to a target before a number (0: of all), newest first, and at most `count`."""
    [suffix] = suffixes(target)
    names = [keys.state, keys.history(suffix)]
    found = await link.run(Script.LATEST, names, ttl, *after, before, count, read=_as_list)
    return [
        decode_publication(data, keys.gateway, target, position=Position(position.decode()), volatile=False)
        for position, data in zip(found[::2], found[1::2], strict=True)
    ]


def parse(position: Position) -> tuple[str, int]:
    """Epoch and number of a position.

    Raises:
        PositionLost: it is not one.
    """
    epoch, _, number = position.partition("-")
    # `isdecimal` alone would accept digits of other scripts, and numbers of any length.
    if epoch and number.isascii() and number.isdecimal() and len(number) < 20:
        return epoch, int(number)
    raise PositionLost("the position is not of this history")


def _as_list(reply: Reply) -> list[bytes]:
    return cast("list[bytes]", reply)


def as_history(reply: Reply) -> list[bytes | list[bytes] | int]:
    """What `history.lua` returns."""
    return cast("list[bytes | list[bytes] | int]", reply)
