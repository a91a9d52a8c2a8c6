"""Take-overs that were carried out in this process alone during an outage of Redis. They are sent afterwards."""

from __future__ import annotations

from typing import Final

from asgi_realtime.broker.base import BrokerReceiver
from asgi_realtime.broker.redis import RedisBroker
from asgi_realtime.errors import BrokerUnavailable
from asgi_realtime.runtime.failure_log import FailureLog
from asgi_realtime.values.commands import TakeOver
from asgi_realtime.values.ids import GatewayName, UserId
from asgi_realtime.values.questions import ConnectionsOf

KEPT: Final = 10_000
"""Most users of the gateways of one link whose take-over is kept. Over: `BrokerUnavailable`, so no further user
connects that needs one."""


class OutageTakeOvers:
    """The newest take-over of each user of the gateways of one link, oldest first.

    Another process may have let in the same user during the outage. Without the take-over both connections would stay.
    """

    def __init__(self, broker: RedisBroker, failures: FailureLog) -> None:
        self._broker = broker
        self._failures = failures
        self._kept: dict[tuple[GatewayName, UserId], TakeOver] = {}

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._kept)

    def keep(self, command: TakeOver) -> None:
        """Keep a take-over that is about to be carried out here.

        Raises:
            BrokerUnavailable: as many are kept as is allowed.
        """
        key = command.gateway, command.user_id
        self._kept.pop(key, None)
        if len(self._kept) >= KEPT:
            raise BrokerUnavailable("Redis is away, and as many take-overs are kept as is allowed")
        self._kept[key] = command

    async def send_first(self, receiver: BrokerReceiver) -> None:
        """Have every process carry out the oldest, unless its connection has ended. Call it again if this raises.

        One that fails by an error of its own is logged, and not sent again.

        Raises:
            BrokerUnavailable: Redis is away.
        """
        key, command = next(iter(self._kept.items()))
        try:
            answer = receiver.answer(ConnectionsOf(command.gateway, command.user_id))
            if command.connection_id in answer.connections:
                await self._broker.command(command)
        except BrokerUnavailable:
            raise
        except Exception as error:
            self._failures.failed(command.gateway, "a take-over failed after an outage", error)
        if self._kept.get(key) is command:  # else a newer one has taken its place
            del self._kept[key]

    def clear(self) -> None:
        """Delete all."""
        self._kept.clear()
