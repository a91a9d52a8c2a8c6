"""How much is measured in one session."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

Part: TypeAlias = Literal["room", "levels", "stalled"]
"""What is measured with one server: everything in one room; memory and cost as it grows; clients that do not read."""
PARTS: tuple[Part, ...] = ("room", "levels", "stalled")

TEXT_BYTES = 150
"""With its envelope a message has about 200 bytes."""
STALLED_TEXT_BYTES = 32_000
INBOUND_CLIENTS = 100
INBOUND_BURST = 16


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The numbers of a session.

    `clients` is the size of the room; `levels` are the sizes at which memory and growth are looked
    at besides. `seconds` is how long one figure of one round takes at least. `pace` and
    `stalled_rate` are broadcasts a second. All but the room is looked at in the first round only:
    memory hardly varies, and for clients that do not read so much must be sent that it takes long.
    """

    rounds: int = 3
    seconds: float = 2.0
    clients: int = 1_000
    levels: tuple[int, ...] = (100, 5_000, 10_000)
    pace: float = 20.0
    stalled_clients: int = 1
    stalled_among: int = 1_000
    stalled_rate: float = 15.0
    stalled_seconds: float = 14.0
    quick: bool = False

    def within(self, files: int) -> Plan:
        """The same plan for a machine that allows so many open files: a server needs one for each client."""
        most = files - 200
        return replace(
            self,
            clients=min(self.clients, most),
            stalled_among=min(self.stalled_among, most),
            levels=tuple(level for level in self.levels if level <= most),
        )

    def joined(self, other: Plan) -> Plan:
        """What two sessions of one kind have measured together."""
        return replace(
            self,
            rounds=max(self.rounds, other.rounds),
            seconds=min(self.seconds, other.seconds),
            levels=tuple(sorted({*self.levels, *other.levels})),
        )


FULL = Plan()
QUICK = Plan(
    rounds=1,
    seconds=0.5,
    clients=500,
    levels=(1_000,),
    stalled_clients=2,
    stalled_among=20,
    stalled_rate=200.0,
    stalled_seconds=3.0,
    quick=True,
)
