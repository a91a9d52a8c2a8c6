"""`python -m tests.support.crowd.churning PARAMETERS`: clients that enter and leave rooms while messages are published.

Parameters: `ports` of the nodes, `clients`, `rate` (joins and leaves per second together), `publications` per second,
`seconds`, `lifetime` (seconds after which other rooms are used, and 5 of these later the same rooms again, so that
processes have unsubscribed), and `secret` of the tokens. Writes one line: what happened, and what was wrong.

Every message has a number in its room, and numbers have the order of the positions. What a client must hear between
the acknowledgements of a join and of a leave, and what it must not hear:

- Nothing of a room comes before the acknowledgement of the join, or after that of the leave. Both are in the order of
  the wire.
- In between, each number follows the number before it.
- A message whose publication began after the acknowledgement of the join had arrived comes.
- A message comes if its position is before that of a message to all clients, and that one had arrived before the leave
  was sent. (Between these two, messages may be on their way while the client leaves.)
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter, defaultdict
from typing import Any, Final

from asgi_realtime import Settings, create_token
from tests.support.crowd.client import LightClient
from tests.support.crowd.options import read_options
from tests.support.crowd.publisher import Publisher

ROOMS: Final = 12
"""Rooms at a time: a third of them with a room below them."""
TICK: Final = 0.05
"""Seconds between two messages to all clients."""
PUBLISHERS: Final = 6


class Stay:
    """One client in one room."""

    __slots__ = ("entered", "first", "known", "last", "room", "tick")

    def __init__(self, room: str) -> None:
        self.room = room
        self.entered = False
        self.known = 0
        """The last number whose publication had begun when the join was acknowledged."""
        self.first = self.last = 0
        """The numbers received. 0: none."""
        self.tick = 0
        """The last message to all that had arrived when the leave was sent."""


class Crowd:
    """All clients, and the publishers."""

    def __init__(
        self,
        ports: list[int],
        clients: int,
        rate: float,
        publications: float,
        seconds: float,
        lifetime: float,
        secret: str,
    ) -> None:
        self._ports = ports
        self._number = clients
        self._cycle = 2 * clients / rate
        self._pause = PUBLISHERS / publications if publications else 0.0
        self._lifetime = lifetime
        self._seconds = seconds
        self._settings = Settings(jwt_secret=secret)
        self._begun_at = 0.0
        self.begun: Counter[str] = Counter()
        """By room, the last number whose publication has begun."""
        self.positions: defaultdict[str, list[int]] = defaultdict(list)
        """By room, the position of each number."""
        self.ticks: list[int] = []
        """The position of each message to all."""
        self.stays: list[Stay] = []
        self.wrong: list[str] = []
        self.counts: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()

    @property
    def over(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() > self._begun_at + self._seconds

    def rooms(self) -> list[str]:
        """The rooms that are in use now, the most used first."""
        generation = int((time.monotonic() - self._begun_at) / self._lifetime)
        if random.random() < 0.3 and generation >= 5:
            generation -= 5
        return [f"{generation}.{number}" for number in range(ROOMS)]

    async def run(self) -> dict[str, Any]:
        """Run, and return what happened."""
        clients = [Churner(self, number) for number in range(self._number)]
        for client in clients:
            token = create_token(f"user{client.number}", self._settings)
            await client.connect(token, self._ports[client.number % len(self._ports)])
        print(json.dumps({"connected": len(clients)}), flush=True)
        self._begun_at = time.monotonic()
        publishing = [self._publish(number) for number in range(PUBLISHERS if self._pause else 0)]
        await asyncio.gather(
            self._tick(), *publishing, *(client.run(self._cycle) for client in clients), return_exceptions=False
        )
        seconds = time.monotonic() - self._begun_at
        self._check()
        return {
            "seconds": seconds,
            "rate": (self.counts["join"] + self.counts["leave"]) / seconds,
            "counts": self.counts,
            "published": sum(map(len, self.positions.values())),
            "statuses": self.statuses,
            "wrong": self.wrong[:20],
        }

    async def _tick(self) -> None:
        publisher = Publisher(self._ports[0], self.statuses)
        while not self.over:
            receipt = await publisher.call("broadcast_to_all", "tick", len(self.ticks) + 1)
            self.ticks.append(_place(receipt))
            await asyncio.sleep(TICK)
        publisher.close()

    async def _publish(self, number: int) -> None:
        """Publish to every `PUBLISHERS`th room, one message after the other."""
        publisher = Publisher(self._ports[number % len(self._ports)], self.statuses)
        await asyncio.sleep(random.uniform(0, self._pause))
        while not self.over:
            room = random.choice(self.rooms()[number::PUBLISHERS])
            room = random.choice((room, below(room)))
            self.begun[room] += 1
            receipt = await publisher.call("broadcast_to_room", room, "news", [room, self.begun[room]])
            self.positions[room].append(_place(receipt))
            await asyncio.sleep(self._pause)
        publisher.close()

    def _check(self) -> None:
        """Check for each stay that nothing is missing at its beginning and its end."""
        for stay in self.stays:
            before = self.ticks[stay.tick - 1] if stay.tick else 0
            positions = self.positions[stay.room]
            must = [number for number in range(stay.known + 1, len(positions) + 1) if positions[number - 1] < before]
            self.counts["due"] += len(must)
            if must and not (0 < stay.first <= must[0] and stay.last >= must[-1]):
                self.wrong.append(f"{stay.room}: {must[0]} to {must[-1]} were due, {stay.first} to {stay.last} came")


class Churner:
    """One client."""

    def __init__(self, crowd: Crowd, number: int) -> None:
        self._crowd = crowd
        self.number = number
        self._stays: dict[str, Stay] = {}
        self._tick = 0
        self._client: LightClient | None = None

    async def connect(self, token: str, port: int) -> None:
        """Connect."""
        self._client = LightClient(token, self._received)
        assert await self._client.connect(port), self._client.outcome

    async def run(self, cycle: float) -> None:
        """Enter rooms and leave them, each for a part of a cycle."""
        await asyncio.sleep(random.uniform(0, cycle))
        while not self._crowd.over:
            begun = time.monotonic()
            rooms = self._crowd.rooms()
            number = int(ROOMS * random.random() ** 2)
            room = rooms[number]
            await self._join(room)
            if number % 3 == 0:
                await self._join(below(room), room)
            await asyncio.sleep(random.uniform(0, cycle))
            await self._leave(room)
            spent = time.monotonic() - begun
            await asyncio.sleep(max(0.0, cycle - spent))
        assert self._client is not None
        self._client.drop()

    async def _join(self, room: str, *parent: str) -> None:
        assert self._client is not None
        stay = self._stays[room] = Stay(room)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def entered(answer: list[Any]) -> None:
            if not isinstance(answer[0], str):
                self._crowd.wrong.append(f"{room}: not entered: {answer}")
            stay.entered = True
            stay.known = self._crowd.begun[room]
            done.set_result(None)

        self._client.call("join", room, *parent, then=entered)
        await self._until(done)
        self._crowd.counts["join"] += 1

    async def _leave(self, room: str) -> None:
        assert self._client is not None
        for stay in self._stays.values():
            stay.tick = self._tick
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def left(answer: list[Any]) -> None:
            self._crowd.stays += self._stays.values()
            self._stays.clear()
            done.set_result(None)

        self._client.call("leave", room, then=left)
        await self._until(done)
        self._crowd.counts["leave"] += 1

    async def _until(self, done: asyncio.Future[None]) -> None:
        assert self._client is not None
        await asyncio.wait([done, self._client.ended], return_when=asyncio.FIRST_COMPLETED)
        if not done.done():
            raise RuntimeError(f"closed: {self._client.outcome}")

    def _received(self, event: list[Any]) -> None:
        if event[0] == "tick":
            self._tick = event[1]
        elif event[0] == "news":
            self._hear(*event[1])
        else:
            self._crowd.wrong.append(f"{event}")

    def _hear(self, room: str, number: int) -> None:
        self._crowd.counts["heard"] += 1
        stay = self._stays.get(room)
        if stay is None or not stay.entered:
            self._crowd.wrong.append(
                f"{room}: {number} came {'after the leave' if stay is None else 'before the join'}"
            )
            return
        if stay.last and number != stay.last + 1:
            self._crowd.wrong.append(f"{room}: {number} came after {stay.last}")
        stay.first = stay.first or number
        stay.last = number


def below(room: str) -> str:
    """The room below a room."""
    return f"{room}.below"


def _place(receipt: dict[str, Any]) -> int:
    return int(str(receipt["position"]).rpartition("-")[2])


async def main() -> None:
    """Run."""
    print(json.dumps(await Crowd(**read_options("churning", __doc__)).run()), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
