"""The systems whose processes are joined by Redis, and how each process is started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from benchmarks.catalogue import NODE, OWN_JSON, OWN_SOCKETIO, PYTHON_SOCKETIO, System, named
from benchmarks.cluster import centrifugo
from benchmarks.compiled import CENTRIFUGO

Protocol = Literal["json", "socketio", "centrifugo"]
"""How a client enters the room, and what keeps its connection open."""

ROOM, OTHER_ROOM = "room", "other"
CHANNELS = "Django Channels, in-memory layer"


@dataclass(frozen=True, kw_only=True)
class JoinedSystem:
    """One system. `catalogued` is its name among the systems that are measured in one process."""

    name: str
    catalogued: str | None
    protocol: Protocol
    history: bool
    """Whether every message is also kept in Redis, for clients that come back."""
    ordered: bool = True
    """Whether messages that are published at the same time arrive in order."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Environment variables."""

    @property
    def own(self) -> bool:
        """Whether this is asgi_realtime."""
        return self.name.startswith("asgi_realtime")

    def missing(self) -> str | None:
        """What this machine lacks to run the system, or None. Compiles Centrifugo at the first call."""
        return CENTRIFUGO.missing() if self.catalogued is None else self._system().missing()

    def command(self, port: int) -> list[str]:
        """The command of one process."""
        parts = centrifugo.COMMAND if self.catalogued is None else self._system().command
        return [part.format(port=port) for part in parts]

    def environment(self, redis_url: str, room: str) -> dict[str, str]:
        """The variables of one process. All its clients enter the room."""
        common = {"REDIS_URL": redis_url, "ROOM": room, "NODE_ENV": "production", **self.settings}
        return common if self.catalogued is not None else {**common, "CENTRIFUGO_ENGINE_REDIS_ADDRESS": redis_url}

    def _system(self) -> System:
        assert self.catalogued is not None
        return named(self.catalogued)


JOINED = (
    JoinedSystem(name="asgi_realtime, JSON", catalogued=OWN_JSON[1], protocol="json", history=True),
    JoinedSystem(name="asgi_realtime, Socket.IO", catalogued=OWN_SOCKETIO[1], protocol="socketio", history=True),
    JoinedSystem(
        name="Centrifugo, Redis engine",
        catalogued=None,
        protocol="centrifugo",
        history=True,
        settings=centrifugo.SETTINGS,
    ),
    JoinedSystem(
        name="Node socket.io, Redis adapter",
        catalogued=NODE,
        protocol="socketio",
        history=False,
        settings={"ADAPTER": "pubsub"},
    ),
    JoinedSystem(
        name="Node socket.io, streams adapter",
        catalogued=NODE,
        protocol="socketio",
        history=True,
        settings={"ADAPTER": "streams"},
    ),
    JoinedSystem(
        name="python-socketio, Redis manager",
        catalogued=PYTHON_SOCKETIO,
        protocol="socketio",
        history=False,
        ordered=False,  # each of them may use another connection to Redis
    ),
    JoinedSystem(name="Django Channels, channels_redis", catalogued=CHANNELS, protocol="json", history=False),
)
