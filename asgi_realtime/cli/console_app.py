"""A running app as commands reach it through its console."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final, TypeAlias

import click
from msgspec import UNSET

from asgi_realtime.cli.app_settings import app_settings
from asgi_realtime.cli.console_address import console_address
from asgi_realtime.cli.console_connection import ConsoleConnection
from asgi_realtime.cli.running_app import AppUnavailable, RunningApp
from asgi_realtime.cli.tail_receiver import TailReceiver
from asgi_realtime.console import payloads
from asgi_realtime.errors import BrokerUnavailable, PositionLost
from asgi_realtime.gateways.base import Gateway
from asgi_realtime.limits import Limits
from asgi_realtime.runtime.new_task import new_task
from asgi_realtime.values.ids import ConnectionId, GatewayName
from asgi_realtime.values.publications import Position, Publication, Receipt, Target, ToAll, ToRoom, ToUsers
from asgi_realtime.values.questions import Answer, Node, UserConnection

logger = logging.getLogger("asgi_realtime")

FOLLOW_EVERY: Final = 1.0
"""Seconds between two questions for newer events."""
TOO_LARGE: Final = "they are too large for an answer of the console"

_Fields: TypeAlias = dict[str, Any]


class ConsoleApp(RunningApp):
    """The processes of the app of a console. Each answer is that of one of its events; see `payloads`."""

    silent = "no process of the app answers its console"

    def __init__(self, console: ConsoleConnection, receiver: TailReceiver | None, limits: Limits) -> None:
        super().__init__(limits)
        self._console = console
        self._receiver = receiver
        self._following: asyncio.Task[None] | None = None

    async def nodes(self) -> Answer[list[Node]]:
        """See `RunningApp.nodes`."""
        found = await self._console.ask("nodes", payloads.Nodes)
        nodes = [
            Node(node.id, {name: counts.connections for name, counts in node.gateways.items()}) for node in found.nodes
        ]
        return Answer(nodes, found.complete, tuple(found.missing))

    async def online_users(self, gateway: str) -> set[str]:
        """See `RunningApp.online_users`. The users come in pages."""
        users: set[str] = set()
        after, more = "", True
        while more:
            page = await self._console.ask(
                "online", payloads.Online, gateway=gateway, after=after, limit=payloads.MOST_ROWS
            )
            users.update(page.rows)
            more = page.more and bool(page.rows)
            after = page.rows[-1] if page.rows else ""
        return users

    async def connections(self, user_id: str, gateway: str) -> Answer[list[UserConnection]]:
        """See `RunningApp.connections`."""
        found = await self._console.ask("user", payloads.User, gateway=gateway, userId=user_id)
        return Answer([UserConnection(*each) for each in found.connections], found.complete, found.missing)

    async def room_size(self, room: str, gateway: str) -> Answer[int]:
        """See `RunningApp.room_size`."""
        found = await self._console.ask("room", payloads.RoomSize, gateway=gateway, room=room)
        return Answer(found.members, found.complete, found.missing)

    async def has_connection(self, connection_id: str, gateway: str) -> Answer[bool]:
        """See `RunningApp.has_connection`."""
        found = await self._console.ask("connection", payloads.ConnectionDetails, gateway=gateway, id=connection_id)
        return Answer(found.details is not None, found.complete, found.missing)

    async def send(
        self, gateway: Gateway, target: Target, event: str, data: Any, *, volatile: bool, key: str | None
    ) -> Receipt:
        """See `RunningApp.send`."""
        to: _Fields = {"to": "all"}
        if isinstance(target, ToRoom):
            to = {"to": "room", "name": target.room}
        elif isinstance(target, ToUsers):
            to = {"to": "users", "names": target.user_ids}
        if data is not UNSET:
            to["data"] = data
        sent = await self._console.ask(
            "publish", payloads.Sent, gateway=gateway.name, event=event, volatile=volatile, key=key, **to
        )
        position = None if sent.position is None else Position(sent.position)
        return Receipt(position=position, delivered_locally=sent.delivered_here, replicated=sent.replicated)

    async def disconnect_user(self, user_id: str, gateway: str | None, code: int, reason: str) -> None:
        """See `RunningApp.disconnect_user`."""
        await self._change("disconnect_user", userId=user_id, gateway=gateway, code=code, reason=reason)

    async def disconnect_members(self, room: str, gateway: str, code: int, reason: str) -> None:
        """See `RunningApp.disconnect_members`."""
        await self._change("disconnect_members", room=room, gateway=gateway, code=code, reason=reason)

    async def disconnect_connection(self, connection_id: str, gateway: str, code: int, reason: str) -> None:
        """See `RunningApp.disconnect_connection`."""
        await self._change("kick", id=connection_id, gateway=gateway, code=code, reason=reason)

    async def revoke_user(self, user_id: str) -> None:
        """See `RunningApp.revoke_user`."""
        await self._change("revoke", userId=user_id)

    async def _change(self, event: str, /, **data: Any) -> None:
        await self._console.ask(event, type(None), **data)

    # Events

    async def follow(self, gateways: Sequence[str], targets: Sequence[Target]) -> None:
        """See `RunningApp.follow`. Asks history for newer events, so volatile ones are not among them."""
        positions = {name: (await self._tail(name, targets, None)).position for name in gateways}
        self._following = new_task(self._follow(positions, targets), name="following")

    async def _follow(self, positions: dict[str, str], targets: Sequence[Target]) -> None:
        receiver, lost = self._receiver, False
        assert receiver is not None
        while True:
            await asyncio.sleep(FOLLOW_EVERY)
            try:
                for gateway in positions:
                    await self._take(gateway, positions, targets, receiver)
            except (AppUnavailable, BrokerUnavailable) as error:
                if not lost:
                    logger.warning("%s; trying again", error)
                lost = True
            except Exception as error:
                receiver.fail(error)
                return
            else:
                if lost:
                    logger.info("the console at %s answers again", self._console.address)
                lost = False

    async def _take(
        self, gateway: str, positions: dict[str, str], targets: Sequence[Target], receiver: TailReceiver
    ) -> None:
        """Give the receiver what history has after the position of a gateway."""
        more = True
        while more:
            found = await self._tail(gateway, targets, positions[gateway])
            if found.lost is not None:
                receiver.miss(found.lost, gateway)
            for each in found.events:
                receiver.deliver(_publication(gateway, each))
            if found.skipped:
                receiver.miss(TOO_LARGE, gateway, skipped=found.skipped)
            positions[gateway], more = found.position, found.more

    async def history(self, gateway: str, since: Position, targets: Sequence[Target]) -> list[Publication]:
        """See `RunningApp.history`."""
        publications: list[Publication] = []
        more = True
        while more:
            found = await self._tail(gateway, targets, since)
            if found.lost is not None:
                raise PositionLost(found.lost)
            if found.skipped and self._receiver is not None:
                self._receiver.miss(TOO_LARGE, gateway, skipped=found.skipped)
            publications += [_publication(gateway, each) for each in found.events]
            since, more = Position(found.position), found.more
        return publications

    async def _tail(self, gateway: str, targets: Sequence[Target], since: str | None) -> payloads.Tail:
        return await self._console.ask(
            "tail",
            payloads.Tail,
            gateway=gateway,
            rooms=[target.room for target in targets if isinstance(target, ToRoom)],
            users=[user_id for target in targets if isinstance(target, ToUsers) for user_id in target.user_ids],
            all=any(isinstance(target, ToAll) for target in targets),
            since=since,
        )

    async def stop(self) -> None:
        """Stop to follow, and close the connection to the console."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        await self._console.close()


def _publication(gateway: str, event: payloads.TailEvent) -> Publication:
    return Publication(
        gateway=GatewayName(gateway),
        target=event.to,
        event=event.event,
        payload=event.payload.encode(),
        attachments=tuple(map(bytes, event.attachments)),  # of the same size, which is what is printed
        except_=tuple(map(ConnectionId, event.except_)),
        position=Position(event.position),
    )


@contextlib.asynccontextmanager
async def console_app(url: str, receiver: TailReceiver | None) -> AsyncIterator[ConsoleApp]:
    """Reach the app through its console, until the block ends. `receiver` gets what is followed.

    Raises:
        click.ClickException: the address or the settings are wrong, or there is no MEW_CONSOLE_SECRET.
    """
    address, settings = console_address(url), app_settings()
    if settings.console_secret is None:
        raise click.ClickException("MEW_CONSOLE_SECRET is not set: it is the secret of the app's console")
    app = ConsoleApp(ConsoleConnection(address, settings.console_secret), receiver, settings.limits)
    try:
        yield app
    finally:
        await app.stop()
