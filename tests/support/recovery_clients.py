"""Many stock JavaScript clients in one Node process, which reconnect by themselves and tell what they received."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from tests.support.paths import WIRE
from tests.support.program import Program

PROGRAM: Final = WIRE / "recovery_clients.mjs"
PATIENCE: Final = 150.0
"""Seconds: more than the program waits."""


@dataclasses.dataclass(frozen=True)
class Connection:
    """One connection of a client, from its `connect` on."""

    recovered: bool
    away: float
    """Seconds since the last one was lost."""
    opened: int
    """How many transports were opened since then. 1: the first one led to this connection."""
    transport: str
    runs: list[list[int]]
    """The numbers of the events, in the order in which they came. Numbers in sequence are one pair: first and last.
    If it has recovered, those of the events that it had missed are here."""
    at: float
    """The time of its `connect`, as `time.time()`."""


@dataclasses.dataclass(frozen=True)
class Report:
    """What one client has seen."""

    version: str
    transports: list[str]
    connections: list[Connection]
    losses: list[str]
    """Why its connections ended."""
    errors: dict[str, int]
    """Its `connect_error`s, and how often each came."""

    @property
    def sessions(self) -> list[list[list[int]]]:
        """The numbers of each session: from a connection that has not recovered until before the next."""
        found: list[list[list[int]]] = []
        for connection in self.connections:
            if not connection.recovered:
                found.append([])
            for first, last in connection.runs:
                if found[-1] and found[-1][-1][1] + 1 == first:
                    found[-1][-1][1] = last
                else:
                    found[-1].append([first, last])
        return found

    @property
    def returns(self) -> list[Connection]:
        """Its connections after the first."""
        return self.connections[1:]


class RecoveryClients:
    """The clients."""

    def __init__(self, program: Program) -> None:
        self._program = program

    async def until_received(self, number: int) -> list[Report]:
        """Wait until all are connected and have got the event with this number, or a later one.

        Returns what each client has seen. Fails with what those have seen that are not there after two minutes.
        """
        self._program.tell(f"await {number}")
        found = await self._program.result(PATIENCE)
        reports = [
            Report(**{**each, "connections": [Connection(**connection) for connection in each["connections"]]})
            for each in found["clients"]
        ]
        assert found["waiting"] == [], [reports[number] for number in found["waiting"]]
        return reports

    def signal(self, number: int) -> None:
        """Send the process a signal, such as SIGSTOP."""
        self._program.signal(number)


@contextlib.asynccontextmanager
async def recovery_clients(url: str, tokens: Sequence[str], **options: Any) -> AsyncIterator[RecoveryClients]:
    """Connect a client for each token, of three versions and with three choices of transports.

    `options` are those of the clients' `Manager`.
    """
    parameters = {"url": url, "tokens": tokens, "options": options}
    process = await asyncio.create_subprocess_exec(
        *("node", str(PROGRAM)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 26,
    )
    program = Program(process)
    program.tell(json.dumps(parameters))
    try:
        assert await program.result(PATIENCE) == {"waiting": []}
        yield RecoveryClients(program)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
