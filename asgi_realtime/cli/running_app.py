"""The processes of a running app, as commands reach them: through Redis, or through the app's console."""

from __future__ import annotations

import abc
import asyncio
import errno
import logging
from collections.abc import Collection, Coroutine, Sequence
from typing import Any, ClassVar, TypeVar

import click

from asgi_realtime.errors import BrokerUnavailable, RealtimeError
from asgi_realtime.gateways.base import Gateway
from asgi_realtime.limits import Limits
from asgi_realtime.values.publications import Position, Publication, Receipt, Target
from asgi_realtime.values.questions import Answer, Node, UserConnection

T = TypeVar("T")

UNAVAILABLE = 75
"""The exit code if the app could not be reached: try again later (EX_TEMPFAIL of sysexits.h)."""


class AppUnavailable(Exception):
    """The app cannot be reached now."""


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run what speaks to the app. An error is one line, and the exit code says of which kind it is."""
    logging.getLogger("asgi_realtime").addHandler(logging.NullHandler())  # errors are one line, and it is printed below
    try:
        return asyncio.run(work)
    except (BrokerUnavailable, AppUnavailable) as error:
        click.echo(f"Error: {error}", err=True)
        raise SystemExit(UNAVAILABLE) from None
    except (RealtimeError, TypeError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise  # click ends the command: the program that has read its output has ended
        raise click.ClickException(error.strerror or str(error)) from None


class RunningApp(abc.ABC):
    """The processes of the app. Every method raises `BrokerUnavailable` or `AppUnavailable` if they cannot be reached.

    Errors in what a method is given are those of the method of `Broadcaster` with this name.
    """

    silent: ClassVar[str]
    """What to say if no process has answered."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        """Those of the settings of the command."""
        self._nodes: Answer[list[Node]] | None = None

    async def gateways(self, named: Sequence[str], *, may_be_down: bool = False) -> list[str]:
        """The gateways that a command is about: those that it names, or all that the processes have.

        `may_be_down`: whether no process needs to answer, if gateways are named.

        Raises:
            click.ClickException: no process answers, or none has a gateway of this name.
        """
        nodes = self._nodes = self._nodes or await self.nodes()
        there = sorted({gateway for node in nodes.value for gateway in node.connections})
        for name in named:
            if there and name not in there:
                raise click.ClickException(
                    f"no process has a gateway {name}; there are: {', '.join(there)}{not_answered(nodes.missing, '; ')}"
                )
        if not there and not (named and may_be_down):
            raise click.ClickException(self.no_process_answers(nodes.missing))
        return list(dict.fromkeys(named)) or there

    def no_process_answers(self, missing: Collection[str]) -> str:
        """What to say if no process has answered, of which these are known."""
        return f"{self.silent}{not_answered(missing, ' ')}"

    # Questions. Each is answered by all processes together

    @abc.abstractmethod
    async def nodes(self) -> Answer[list[Node]]:
        """See `Broadcaster.nodes`."""

    @abc.abstractmethod
    async def online_users(self, gateway: str) -> set[str]:
        """See `Broadcaster.online_users`."""

    @abc.abstractmethod
    async def connections(self, user_id: str, gateway: str) -> Answer[list[UserConnection]]:
        """See `Broadcaster.connections`."""

    @abc.abstractmethod
    async def room_size(self, room: str, gateway: str) -> Answer[int]:
        """See `Broadcaster.room_size`."""

    @abc.abstractmethod
    async def has_connection(self, connection_id: str, gateway: str) -> Answer[bool]:
        """Whether a gateway has a connection with this id."""

    # Changes

    @abc.abstractmethod
    async def send(
        self, gateway: Gateway, target: Target, event: str, data: Any, *, volatile: bool, key: str | None
    ) -> Receipt:
        """Send an event to a room, to users, or to all. See `Broadcaster.broadcast_to_room`."""

    @abc.abstractmethod
    async def disconnect_user(self, user_id: str, gateway: str | None, code: int, reason: str) -> None:
        """See `Broadcaster.disconnect_user`."""

    @abc.abstractmethod
    async def disconnect_members(self, room: str, gateway: str, code: int, reason: str) -> None:
        """See `Broadcaster.disconnect_members`."""

    @abc.abstractmethod
    async def disconnect_connection(self, connection_id: str, gateway: str, code: int, reason: str) -> None:
        """See `Broadcaster.disconnect_connection`."""

    @abc.abstractmethod
    async def revoke_user(self, user_id: str) -> None:
        """See `Broadcaster.revoke_user`."""

    # Events

    @abc.abstractmethod
    async def follow(self, gateways: Sequence[str], targets: Sequence[Target]) -> None:
        """Let the receiver of the command have what is published to these targets after the return."""

    @abc.abstractmethod
    async def history(self, gateway: str, since: Position, targets: Sequence[Target]) -> list[Publication]:
        """See `Broker.history`."""


def not_answered(missing: Collection[str], before: str = "") -> str:
    """Which processes have not answered. Empty: none is known of."""
    return f"{before}not answered: {', '.join(missing)}" if missing else ""


def print_incomplete(missing: Collection[str]) -> None:
    """Say on the standard error that an answer is not complete."""
    click.echo(f"not all processes have answered in full{not_answered(missing, '; ')}", err=True)
