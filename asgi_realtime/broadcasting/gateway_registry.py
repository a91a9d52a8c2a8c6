"""The gateways that a broadcaster may send to, by name."""

from __future__ import annotations

import dataclasses

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

    def add(self, name: GatewayName, dialect: Dialect, limits: Limits) -> None:
        """Make a gateway known."""
        self[name] = RegisteredGateway(dialect, limits)
