"""The gateways that a broadcaster may send to, by name."""

from __future__ import annotations

import dataclasses
from typing import Protocol

from asgi_realtime.limits import Limits
from asgi_realtime.protocols.dialect import Dialect
from asgi_realtime.values.ids import GatewayName


@dataclasses.dataclass(frozen=True, slots=True)
class RegisteredGateway:
    """The properties of a gateway that a broadcaster needs."""

    dialect: Dialect
    """How its events are written: which names are reserved, and whether payloads may hold `bytes`."""
    limits: Limits
    """Its bounds on names of rooms and events, and on the size of a payload."""


class GatewayRegistry(dict[GatewayName, RegisteredGateway]):
    """The gateways by name, in the order of mounting.

    It has no connections and no rooms, so a process that only publishes has one too.
    """

    @property
    def first(self) -> GatewayName | None:
        """The gateway that a broadcast goes to if it names none. None: there is no gateway."""
        return next(iter(self), None)

    def add(self, name: GatewayName, dialect: Dialect, limits: Limits) -> None:
        """Add a gateway."""
        self[name] = RegisteredGateway(dialect, limits)


class Addressable(Protocol):
    """What `Broadcaster.connect(gateways=)` takes: a gateway, mounted or not, or a `SocketIOServer`."""

    def add_to_registry(self, registry: GatewayRegistry, limits: Limits) -> None:
        """Add its names. `limits` are those of the settings, for a gateway that has none of its own."""
