"""A running app as commands reach it through Redis."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import click

from asgi_realtime.broadcasting.broadcaster import Broadcaster
from asgi_realtime.broadcasting.standalone import Standalone, standalone
from asgi_realtime.broker.base import BrokerReceiver
from asgi_realtime.cli.app_settings import app_settings
from asgi_realtime.cli.running_app import RunningApp
from asgi_realtime.gateways.base import Gateway
from asgi_realtime.limits import Limits
from asgi_realtime.protocols.socketio.dialect import SocketIODialect
from asgi_realtime.values.ids import ConnectionId, GatewayName
from asgi_realtime.values.inspections import DetailsOf
from asgi_realtime.values.publications import (
    Position,
    Publication,
    Receipt,
    Subscription,
    Target,
    ToAll,
    ToRoom,
    ToRooms,
)
from asgi_realtime.values.questions import Answer, Node, UserConnection

NO_REDIS = (
    "this needs Redis or the app's console: set MEW_REDIS_URL, as for the app, or name the address of the console by "
    "--console"
)


class RedisApp(RunningApp):
    """The processes that use a Redis. `Broadcaster` has each method."""

    silent = "no process of the app answers; is it running, with the same MEW_REDIS_URL and MEW_REDIS_PREFIX?"

    def __init__(self, parts: Standalone, limits: Limits) -> None:
        super().__init__(limits)
        self._parts = parts
        self._broadcaster = Broadcaster(
            publisher=parts.publisher,
            presence=parts.presence,
            gateways=parts.gateways,
            loop_bridge=parts.loop_bridge,
        )

    async def gateways(self, named: Sequence[str], *, may_be_down: bool = False) -> list[str]:
        """See `RunningApp.gateways`."""
        found = await super().gateways(named, may_be_down=may_be_down)
        for name in found:
            # How a gateway writes its frames is not known here, and only matters for sending events.
            self._parts.gateways.add(GatewayName(name), SocketIODialect(name), self.limits)
        return found

    async def nodes(self) -> Answer[list[Node]]:
        """See `RunningApp.nodes`."""
        return await self._broadcaster.nodes()

    async def online_users(self, gateway: str) -> set[str]:
        """See `RunningApp.online_users`."""
        return await self._broadcaster.online_users(gateway=gateway)

    async def connections(self, user_id: str, gateway: str) -> Answer[list[UserConnection]]:
        """See `RunningApp.connections`."""
        return await self._broadcaster.connections(user_id, gateway=gateway)

    async def room_size(self, room: str, gateway: str) -> Answer[int]:
        """See `RunningApp.room_size`."""
        return await self._broadcaster.room_size(room, gateway=gateway)

    async def has_connection(self, connection_id: str, gateway: str) -> Answer[bool]:
        """See `RunningApp.has_connection`."""
        question = DetailsOf(GatewayName(gateway), ConnectionId(connection_id))
        answers = await self._parts.publisher.ask(question)
        has_it = any(answer.details is not None for answer in answers.by_node.values())
        return Answer(has_it, answers.complete, answers.missing)

    async def send(
        self, gateway: Gateway, target: Target, event: str, data: Any, *, volatile: bool, key: str | None
    ) -> Receipt:
        """See `RunningApp.send`."""
        gateway.add_to_registry(self._parts.gateways, self.limits)
        to = self._broadcaster.of(gateway.name)
        match target:
            case ToRoom(room):
                return await to.broadcast_to_room(room, event, data, volatile=volatile, key=key)
            case ToAll():
                return await to.broadcast_to_all(event, data, volatile=volatile, key=key)
            case ToRooms():
                raise TypeError("an event is sent to one room")
            case _:
                return await to.broadcast_to_users(target.user_ids, event, data, volatile=volatile, key=key)

    async def disconnect_user(self, user_id: str, gateway: str | None, code: int, reason: str) -> None:
        """See `RunningApp.disconnect_user`."""
        await self._broadcaster.disconnect_user(user_id, code=code, reason=reason, gateway=gateway)

    async def disconnect_members(self, room: str, gateway: str, code: int, reason: str) -> None:
        """See `RunningApp.disconnect_members`."""
        await self._broadcaster.disconnect_members(room, code=code, reason=reason, gateway=gateway)

    async def disconnect_connection(self, connection_id: str, gateway: str, code: int, reason: str) -> None:
        """See `RunningApp.disconnect_connection`."""
        await self._broadcaster.disconnect_connection(connection_id, code=code, reason=reason, gateway=gateway)

    async def revoke_user(self, user_id: str) -> None:
        """See `RunningApp.revoke_user`."""
        await self._broadcaster.revoke_user(user_id)

    async def follow(self, gateways: Sequence[str], targets: Sequence[Target]) -> None:
        """See `RunningApp.follow`. The receiver is that of `redis_app`."""
        wanted = [Subscription(GatewayName(name), target) for name in gateways for target in targets]
        await self._parts.publisher.answer(self._parts.broker.subscribe(wanted))

    async def history(self, gateway: str, since: Position, targets: Sequence[Target]) -> list[Publication]:
        """See `RunningApp.history`."""
        return await self._parts.publisher.history(GatewayName(gateway), since, targets)


@contextlib.asynccontextmanager
async def redis_app(receiver: BrokerReceiver | None) -> AsyncIterator[RedisApp]:
    """Reach the app through its Redis, until the block ends. `receiver` gets what is followed.

    Raises:
        click.ClickException: the settings are wrong, or name no Redis.
        BrokerUnavailable: Redis cannot be reached.
    """
    settings = app_settings()
    if settings.redis_url is None:
        raise click.ClickException(NO_REDIS)
    async with standalone(None, None, [], settings, receiver=receiver) as parts:
        yield RedisApp(parts, settings.limits)
