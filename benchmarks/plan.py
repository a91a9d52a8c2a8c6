"""How much is measured in one session."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

Part: TypeAlias = Literal["room", "levels", "rooms", "kinds", "stalled", "tls"]
"""Each part has its own server: one room; memory and cost in rooms of other sizes; many small rooms; other kinds of
messages, and larger ones; a client that does not read; one room with TLS and, on another server, without."""
PARTS: tuple[Part, ...] = ("room", "levels", "rooms", "kinds", "stalled", "tls")
Figures: TypeAlias = dict[str, float]
"""The figures of one window, by name."""

TEXT_BYTES = 150
"""With its envelope, a message has about 200 bytes."""
STALLED_TEXT_BYTES = 16_000
LARGE = 10_000
"""Levels above this one take long to reach."""
ROOMS_EACH = 10
"""Small rooms that a client is in."""
ROOM_MEMBERS = 10
"""Members of a small room, if no other size is named."""
INBOUND_CLIENTS = 100
INBOUND_BURST = 16


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The numbers of a session.

    `clients` is the size of the room. `levels` are other sizes, at which memory and growth are
    measured. Those above `LARGE` are measured in the first round only. With so many clients, the server
    is also watched for `idle_seconds` in which nothing is sent but heartbeats: a whole interval of
    Socket.IO's. In each round, each figure of the room is measured in `windows` of at least `seconds`,
    in turn with the others, because a disturbance seldom lasts as long as a round. `pace` and
    `stalled_rate` are broadcasts per second. `pace` is a rate that python-socketio can keep.

    `payloads` are the sizes of the texts of larger messages, in bytes. `rooms_clients` clients are in
    small rooms, of each of the `room_sizes`.

    With a client that does not read there are as many windows of `stalled_window` seconds as begin
    within `stalled_seconds`, in turn with windows without such a client. A window is long enough for
    the outbox of such a client to overflow. It has more than a hundred broadcasts, so that one
    disturbed broadcast does not decide p99.
    """

    rounds: int = 3
    windows: int = 3
    seconds: float = 1.0
    clients: int = 1_000
    levels: tuple[int, ...] = (100, 5_000, 10_000, 30_000, 50_000)
    idle_seconds: float = 25.0
    pace: float = 10.0
    payloads: tuple[int, ...] = (1_024, 4_096, 16_384, 65_536)
    rooms_clients: int = 5_000
    room_sizes: tuple[int, ...] = (ROOM_MEMBERS, 1, 2, 100)
    stalled_among: int = 1_000
    stalled_rate: float = 50.0
    stalled_window: float = 2.4
    stalled_seconds: float = 20.0
    quick: bool = False

    def within(self, files: int) -> Plan:
        """The same plan for a machine that allows this many open files: a server needs one per client."""
        most = files - 200
        levels = [level for level in self.levels if level <= most]
        if len(levels) < len(self.levels):
            levels.append(most // 1000 * 1000)
        return replace(
            self,
            clients=min(self.clients, most),
            stalled_among=min(self.stalled_among, most),
            rooms_clients=min(self.rooms_clients, most // max(self.room_sizes) * max(self.room_sizes)),
            levels=tuple(sorted({*levels} - {0})),
        )

    def of_round(self, number: int) -> Plan:
        """The plan of one round, from 0 on."""
        few = tuple(level for level in self.levels if level <= LARGE)
        return self if number == 0 else replace(self, levels=few)

    def joined(self, other: Plan) -> Plan:
        """The plan of two joined sessions."""
        return replace(
            self,
            rounds=max(self.rounds, other.rounds),
            seconds=min(self.seconds, other.seconds),
            levels=tuple(sorted({*self.levels, *other.levels})),
        )


FULL = Plan()
QUICK = Plan(
    rounds=1,
    windows=1,
    seconds=0.5,
    clients=500,
    levels=(1_000,),
    idle_seconds=1.0,
    rooms_clients=500,
    stalled_among=100,
    stalled_rate=60.0,
    stalled_window=1.5,
    stalled_seconds=4.0,
    quick=True,
)


def requested(variable: str) -> bool:
    """Whether a variable of the environment, such as `QUICK`, asks for something."""
    return os.environ.get(variable, "") not in ("", "0")
