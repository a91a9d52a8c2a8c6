"""`python -m tests.support.crowd.rolling PARAMETERS`: clients that reconnect while numbered messages are published.

Parameters: `port`, which several processes share, `clients`, `rooms`, `followed` (further rooms that are published to,
each with its gateway), `pause` (seconds between two messages to a room), and `secret` of the clients' tokens.

Writes a line when all are connected. Then it reads commands, and writes a line for each:

- `gather`: wait until all are connected, and tell what happened since the last line.
- `finish`: publish no more. Tell what each connection received, when the last messages have arrived.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import Counter
from typing import Any

from asgi_realtime import Settings, create_token
from tests.support.crowd.client import ABNORMAL, LightClient
from tests.support.crowd.options import read_options
from tests.support.crowd.publisher import Publisher

TOGETHER = 50
"""Clients that connect at the same time at the beginning. Later, they come when they come."""
PATIENCE = 60.0
"""Seconds for anything."""


class Roamer:
    """One client that reconnects like npm's socket.io-client: after 0.5 to 1.5 s, then up to 5 s later."""

    def __init__(self, crowd: Crowd, number: int) -> None:
        self._crowd = crowd
        self.room = f"room{number % crowd.rooms}"
        self._token = create_token(f"user{number}", Settings(jwt_secret=crowd.secret))
        self.connections: list[list[int]] = []
        """The numbers received on each connection, in order."""
        self.joined = False
        self.early = 0
        """Messages that came before the room was entered."""

    async def run(self) -> None:
        """Stay connected until this is cancelled."""
        delay = 1.0
        while True:
            client = LightClient(self._token, self._received)
            self.connections.append([])
            connected = await client.connect(self._crowd.port)
            if connected:
                client.call("join", self.room, then=self._entered)
                await client.ended
                self._crowd.closed(self, client)
                delay = 1.0
            else:
                self._crowd.refused[client.outcome] += 1
            await asyncio.sleep(delay * random.uniform(0.5, 1.5))
            delay = min(5.0, delay if connected else delay * 2)

    def _entered(self, answer: list[Any]) -> None:
        self.joined = True
        self._crowd.entered()

    def _received(self, event: list[Any]) -> None:
        if event[0] == "news":
            self.early += not self.joined
            self.connections[-1].append(event[1])


class Crowd:
    """All clients, and the publishers."""

    def __init__(
        self, port: int, clients: int, rooms: int, followed: list[list[str]], pause: float, secret: str
    ) -> None:
        self.port = port
        self.rooms = rooms
        self.secret = secret
        self.refused: Counter[str] = Counter()
        self._pause = pause
        self._places = [("/", f"room{number}") for number in range(rooms)] + [(each[0], each[1]) for each in followed]
        self._roamers = [Roamer(self, number) for number in range(clients)]
        self._changed = asyncio.Event()
        self._publishing = True
        self._published: Counter[tuple[str, str]] = Counter()
        self._statuses: Counter[int] = Counter()
        self._codes: Counter[int] = Counter()
        self._closed_at: list[float] = []
        self._entered_at: list[float] = []

    def entered(self) -> None:
        """A client has entered its room."""
        self._entered_at.append(time.monotonic())
        self._changed.set()

    def closed(self, roamer: Roamer, client: LightClient) -> None:
        """The connection of a client has ended."""
        roamer.joined = False
        self._codes[client.code or ABNORMAL] += 1
        self._closed_at.append(client.ended_at)

    async def run(self) -> None:
        """Connect, publish, and carry out commands."""
        running = []
        for start in range(0, len(self._roamers), TOGETHER):
            running += [asyncio.create_task(each.run()) for each in self._roamers[start : start + TOGETHER]]
            await self._until_joined(len(running))
        publishing = [asyncio.create_task(self._publish(*place)) for place in self._places]
        print(json.dumps(self._news()), flush=True)
        while True:
            command = (await asyncio.to_thread(sys.stdin.readline)).strip()
            if command == "gather":
                await self._until_joined(len(running))
                print(json.dumps(self._news()), flush=True)
            elif command == "finish":
                self._publishing = False
                await asyncio.gather(*publishing)
                await self._until_received()
                print(json.dumps(self._summary()), flush=True)
            else:
                return

    async def _until_joined(self, number: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while sum(each.joined for each in self._roamers) < number:
                self._changed.clear()
                await self._changed.wait()

    async def _until_received(self) -> None:
        """Wait for the last message of each room, and check nothing: the summary shows who lacks it."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if all(self._published["/", each.room] in each.connections[-1] for each in self._roamers):
                return
            await asyncio.sleep(0.05)

    async def _publish(self, gateway: str, room: str) -> None:
        publisher = Publisher(self.port, self._statuses)
        await asyncio.sleep(random.uniform(0, self._pause))
        last = False
        while not last:
            last = not self._publishing  # one more is published when all clients are there
            number = self._published[gateway, room] + 1
            await publisher.call("broadcast_to_room", room, "news", number, gateway=gateway)
            self._published[gateway, room] = number
            await asyncio.sleep(self._pause)
        publisher.close()

    def _news(self) -> dict[str, Any]:
        """What happened since the last call."""
        closed, entered = sorted(self._closed_at), sorted(self._entered_at)
        news = {
            "closed": len(closed),
            "codes": dict(self._codes),
            "refused": dict(self.refused),
            "spread": closed[-1] - closed[0] if closed else 0.0,
            "back": entered[-1] - closed[0] if closed else 0.0,
            "most_per_second": _most_within(entered, 1.0),
        }
        self._closed_at.clear()
        self._entered_at.clear()
        self._codes.clear()
        self.refused.clear()
        return news

    def _summary(self) -> dict[str, Any]:
        doubled = gaps = missed = unfinished = 0
        for roamer in self._roamers:
            heard = [connection for connection in roamer.connections if connection]
            for numbers in heard:
                steps = [later - earlier for earlier, later in zip(numbers, numbers[1:], strict=False)]
                doubled += sum(step < 1 for step in steps)
                gaps += sum(step > 1 for step in steps)
            missed += sum(later[0] - earlier[-1] - 1 for earlier, later in zip(heard, heard[1:], strict=False))
            unfinished += not heard or heard[-1][-1] != self._published["/", roamer.room]
        return {
            "published": {f"{gateway} {room}": number for (gateway, room), number in self._published.items()},
            "statuses": dict(self._statuses),
            "received": sum(len(connection) for each in self._roamers for connection in each.connections),
            "doubled": doubled,
            "gaps": gaps,
            "missed": missed,
            "unfinished": unfinished,
            "early": sum(each.early for each in self._roamers),
        }


def _most_within(times: list[float], seconds: float) -> int:
    """Most of some sorted times that are within this many seconds."""
    most = first = 0
    for number, each in enumerate(times):
        while times[first] < each - seconds:
            first += 1
        most = max(most, number - first + 1)
    return most


async def main() -> None:
    """Run."""
    await Crowd(**read_options("rolling", __doc__)).run()


if __name__ == "__main__":
    asyncio.run(main())
