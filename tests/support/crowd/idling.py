"""`python -m tests.support.crowd.idling PARAMETERS`: many clients that only answer heartbeats.

Parameters: `ports` of the nodes, `clients`, `rooms`, and `secret` of their tokens. Each client is a user of its own,
enters one room, and reconnects when its connection ends. Writes a line when all are there, and for each line that it
reads how many connections have ended, with the reasons.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from typing import Any

from asgi_realtime import Settings, create_token
from tests.support.crowd.client import LightClient
from tests.support.crowd.options import read_options

TOGETHER = 20
"""Clients that connect at the same time."""


class Crowd:
    """All clients."""

    def __init__(self, ports: list[int], clients: int, rooms: int, secret: str) -> None:
        self._ports = ports
        self._clients = clients
        self._rooms = rooms
        self._settings = Settings(jwt_secret=secret)
        self._turns = asyncio.Semaphore(TOGETHER)
        self._entered: set[int] = set()
        self._all_entered = asyncio.Event()
        self._ended: Counter[str] = Counter()

    async def run(self) -> None:
        """Connect, and answer each line of input. This ends with the input."""
        clients = [asyncio.create_task(self._stay(number)) for number in range(self._clients)]
        await self._all_entered.wait()
        print(json.dumps({"ended": self._ended}), flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps({"ended": self._ended, "clients": len(clients)}), flush=True)

    async def _stay(self, number: int) -> None:
        token = create_token(f"user{number}", self._settings)
        while True:
            async with self._turns:
                client = LightClient(token, _ignore)
                if await client.connect(self._ports[number % len(self._ports)]):
                    await client.called("join", f"room{number % self._rooms}")
                    self._entered.add(number)
                    if len(self._entered) == self._clients:
                        self._all_entered.set()
            await client.ended
            self._ended[client.outcome] += 1
            await asyncio.sleep(1.0)


def _ignore(event: list[Any]) -> None:
    """No event matters."""


async def main() -> None:
    """Run."""
    await Crowd(**read_options("idling", __doc__)).run()


if __name__ == "__main__":
    asyncio.run(main())
