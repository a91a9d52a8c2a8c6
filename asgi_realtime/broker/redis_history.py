"""Reads history from Redis."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, cast

from asgi_realtime.broker.encoding import PUBLICATION, decode_publication
from asgi_realtime.errors import PositionLost
from asgi_realtime.redis.keys import Keys, suffixes
from asgi_realtime.redis.link import Reply
from asgi_realtime.redis.scripts import Script
from asgi_realtime.redis.session import Session
from asgi_realtime.values.ids import RoomName
from asgi_realtime.values.publications import Position, Publication, Target, ToRoom

SEARCHED_AT_ONCE: Final = 50
"""Publications that are read in one step when the latest of an event is searched."""


async def read_history(
    session: Session, keys: Keys, ttl: int, since: Position, targets: Collection[Target]
) -> list[Publication]:
    """What was published after `since` to any of the targets, in order. `ttl` is in milliseconds.

    Raises:
        PositionLost: history does not reach back, or the position is not of this history.
        BrokerUnavailable: Redis did not answer.
    """
    epoch, start = parse(since)
    ends = {suffix: target for target in targets for suffix in suffixes(target)}
    names = [keys.state]
    for suffix in ends:
        names += keys.last(suffix), keys.history(suffix)
    current, newest, *answers = await session.run(Script.HISTORY, names, ttl, *[start] * len(ends), read=as_history)
    assert isinstance(current, bytes) and isinstance(newest, bytes)
    if current.decode() != epoch or start > int(newest):
        raise PositionLost("the position is not of this history")
    found: dict[int, Publication] = {}
    for target, answer in zip(ends.values(), answers, strict=True):
        if not isinstance(answer, list):
            raise PositionLost("history no longer reaches back to this position")
        for number, data in zip(answer[::2], answer[1::2], strict=True):
            if int(number) not in found and data[:1] == PUBLICATION:
                position = Position(f"{epoch}-{number.decode()}")
                found[int(number)] = decode_publication(data, keys.gateway, target, position=position, volatile=False)
    return [found[number] for number in sorted(found)]


async def read_latest(
    session: Session, keys: Keys, ttl: int, room: RoomName, event: str, since: Position | None
) -> Publication | None:
    """The newest publication of an event to a room, if it is newer than `since`. None: history has none.

    Raises:
        BrokerUnavailable: Redis did not answer.
    """
    target = ToRoom(room)
    [suffix] = suffixes(target)
    epoch, start = "", 0
    if since is not None:
        try:
            epoch, start = parse(since)
        except PositionLost:
            pass  # of another history
    before = 0
    while True:
        names = [keys.state, keys.history(suffix)]
        found = await session.run(
            Script.LATEST,
            names,
            ttl,
            epoch,
            start,
            before,
            SEARCHED_AT_ONCE,
            read=lambda reply: cast(list[bytes], reply),
        )
        for position, data in zip(found[::2], found[1::2], strict=True):
            publication = decode_publication(
                data, keys.gateway, target, position=Position(position.decode()), volatile=False
            )
            if publication.event == event:
                return publication
        if len(found) < 2 * SEARCHED_AT_ONCE:
            return None
        before = int(found[-2].rpartition(b"-")[2])


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


def as_history(reply: Reply) -> list[bytes | list[bytes] | int]:
    """What `history.lua` returns."""
    return cast(list[bytes | list[bytes] | int], reply)
