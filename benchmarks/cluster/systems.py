"""The systems whose processes are joined by Redis, and how each process is started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks.catalogue import CENTRIFUGO, NODE, OWN_JSON, OWN_SOCKETIO, PYTHON_SOCKETIO, Dialect, System, named

ROOM, OTHER_ROOM = "room", "other"
CHANNELS = "Django Channels, in-memory layer"


@dataclass(frozen=True, kw_only=True)
class JoinedSystem:
    """One system. `catalogued` is its name among the systems that are measured in one process."""

    name: str
    catalogued: str
    history: bool
    """Whether every message is also kept in Redis, for clients that come back."""
    ordered: bool = True
    """Whether messages that are published at the same time arrive in order."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Environment variables, besides those of the catalogue."""

    @property
    def own(self) -> bool:
        """Whether this is asgi_realtime."""
        return self.name.startswith("asgi_realtime")

    @property
    def dialect(self) -> Dialect:
        """What its clients speak."""
        return self._system.dialect

    def missing(self) -> str | None:
        """What this machine lacks to run the system, or None. Compiles its program at the first call."""
        return self._system.missing()

    def command(self, port: int) -> list[str]:
        """The command of one process."""
        return [part.format(port=port) for part in self._system.command]

    def environment(self, redis_url: str, room: str) -> dict[str, str]:
        """The variables of one process. All its clients enter the room."""
        common = {"REDIS_URL": redis_url, "CENTRIFUGO_ENGINE_REDIS_ADDRESS": redis_url, "ROOM": room}
        return {**common, "NODE_ENV": "production", **self._system.settings, **self.settings}

    @property
    def _system(self) -> System:
        return named(self.catalogued)


JOINED = (
    JoinedSystem(name="asgi_realtime, JSON", catalogued=OWN_JSON[1], history=True),
    JoinedSystem(name="asgi_realtime, Socket.IO", catalogued=OWN_SOCKETIO[1], history=True),
    JoinedSystem(
        name="Centrifugo, Redis engine",
        catalogued=CENTRIFUGO,
        history=True,
        settings={
            "CENTRIFUGO_ENGINE_TYPE": "redis",
            "CENTRIFUGO_CLIENT_QUEUE_MAX_SIZE": "16777216",  # a burst must not disconnect the client
        },
    ),
    JoinedSystem(
        name="Node socket.io, Redis adapter",
        catalogued=NODE,
        history=False,
        settings={"ADAPTER": "pubsub"},
    ),
    JoinedSystem(
        name="Node socket.io, streams adapter",
        catalogued=NODE,
        history=True,
        settings={"ADAPTER": "streams"},
    ),
    JoinedSystem(
        name="python-socketio, Redis manager",
        catalogued=PYTHON_SOCKETIO,
        history=False,
        ordered=False,  # each of them may use another connection to Redis
    ),
    JoinedSystem(name="Django Channels, channels_redis", catalogued=CHANNELS, history=False),
)
