"""What `kick` disconnects: a user, a room, or one connection."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import click

from asgi_realtime.cli.running_app import RunningApp
from asgi_realtime.values.questions import Answer


class Found(NamedTuple):
    """The connections of a target at one time."""

    number: int
    ids: frozenset[str] | None
    """None: not known, only their number."""
    complete: bool
    missing: tuple[str, ...]
    """The processes that have not answered."""

    def left_of(self, before: Found) -> int:
        """How many of the earlier ones are still there. Without ids, those that are new count too."""
        return self.number if self.ids is None or before.ids is None else len(self.ids & before.ids)


class Target(Protocol):
    """Whom to disconnect."""

    revoke: bool
    """Whether the tokens are refused too."""

    async def find(self, app: RunningApp) -> Found:
        """The connections that it has now.

        Raises:
            click.ClickException: the gateway does not exist, or must be named.
        """

    async def disconnect(self, app: RunningApp, code: int, reason: str) -> None:
        """Disconnect it on every process. `find` has been called."""


class TheUser:
    """All connections of a user, on one gateway or on all of them."""

    def __init__(self, user: str, gateway: str | None, *, revoke: bool) -> None:
        self._user = user
        self._gateway = gateway
        self.revoke = revoke

    def __str__(self) -> str:
        return f"the user {self._user}"

    async def find(self, app: RunningApp) -> Found:
        """The user's connections."""
        gateways = await app.gateways([] if self._gateway is None else [self._gateway])
        questions = [app.connections(self._user, gateway) for gateway in gateways]
        answers = await asyncio.gather(*questions)
        ids = frozenset(each.id for answer in answers for each in answer.value)
        return Found(len(ids), ids, *_completeness(answers))

    async def disconnect(self, app: RunningApp, code: int, reason: str) -> None:
        """Disconnect the user, then revoke the tokens, so that clients are told the reason."""
        await app.disconnect_user(self._user, self._gateway, code, reason)
        if self.revoke:
            await app.revoke_user(self._user)


class TheRoom:
    """All connections in a room of one gateway."""

    revoke = False

    def __init__(self, room: str, gateway: str | None) -> None:
        self._room = room
        self._gateway = gateway

    def __str__(self) -> str:
        return f"the room {self._room}"

    async def find(self, app: RunningApp) -> Found:
        """The number of members."""
        gateways = await app.gateways([] if self._gateway is None else [self._gateway])
        questions = [app.room_size(self._room, gateway) for gateway in gateways]
        answers = await asyncio.gather(*questions)
        having = [gateway for gateway, answer in zip(gateways, answers, strict=True) if answer.value]
        if self._gateway is None and len(having) > 1:
            raise click.ClickException(
                f"{' and '.join(having)} have a room {self._room}: choose one of them with --gateway"
            )
        if having:
            self._gateway = having[0]
        return Found(sum(answer.value for answer in answers), None, *_completeness(answers))

    async def disconnect(self, app: RunningApp, code: int, reason: str) -> None:
        """Disconnect the members."""
        if self._gateway is None:
            raise click.ClickException(f"no process that answers has {self}: name a --gateway")
        await app.disconnect_members(self._room, self._gateway, code, reason)


class OneConnection:
    """The connection with an id, on one gateway or on any of them."""

    revoke = False

    def __init__(self, id: str, gateway: str | None) -> None:
        self._id = id
        self._gateway = gateway

    def __str__(self) -> str:
        return f"the connection {self._id}"

    async def find(self, app: RunningApp) -> Found:
        """Whether it is there."""
        gateways = await app.gateways([] if self._gateway is None else [self._gateway])
        answers = await asyncio.gather(*(app.has_connection(self._id, name) for name in gateways))
        having = [name for name, answer in zip(gateways, answers, strict=True) if answer.value]
        if having:
            self._gateway = having[0]
        return Found(len(having), None, *_completeness(answers))

    async def disconnect(self, app: RunningApp, code: int, reason: str) -> None:
        """Disconnect it."""
        if self._gateway is None:
            raise click.ClickException(f"no process that answers has {self}: name a --gateway")
        await app.disconnect_connection(self._id, self._gateway, code, reason)


def _completeness(answers: Sequence[Answer[Any]]) -> tuple[bool, tuple[str, ...]]:
    missing = dict.fromkeys(id for answer in answers for id in answer.missing)
    return all(answer.complete for answer in answers), tuple(missing)
