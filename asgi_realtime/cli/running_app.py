"""The processes of a running app, as commands reach them: through Redis."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Collection, Coroutine, Sequence
from typing import Any, TypeVar

import click

from asgi_realtime.broadcasting.broadcaster import Broadcaster
from asgi_realtime.broadcasting.standalone import Standalone, standalone
from asgi_realtime.broker.base import BrokerReceiver
from asgi_realtime.cli.app_settings import app_settings
from asgi_realtime.errors import BrokerUnavailable, RealtimeError
from asgi_realtime.protocols.socketio.dialect import SocketIODialect
from asgi_realtime.settings import Settings
from asgi_realtime.values.ids import GatewayName
from asgi_realtime.values.questions import Answer, Node, NodeAnswers, Question

T = TypeVar("T")

UNAVAILABLE = 75
"""The exit code if Redis did not answer: try again later (EX_TEMPFAIL of sysexits.h)."""
NO_REDIS = (
    "this needs Redis: set MEW_REDIS_URL, as for the app. Without Redis an app has one process, which commands cannot "
    "reach"
)


def settings_with_redis() -> Settings:
    """The settings that the environment has.

    Raises:
        click.ClickException: they are wrong, or name no Redis.
    """
    settings = app_settings()
    if settings.redis_url is None:
        raise click.ClickException(NO_REDIS)
    return settings


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run what speaks to the app. An error is one line, and the exit code says of which kind it is."""
    logging.getLogger("asgi_realtime").addHandler(logging.NullHandler())  # errors are one line, and it is printed below
    try:
        return asyncio.run(work)
    except BrokerUnavailable as error:
        click.echo(f"Error: {error}", err=True)
        raise SystemExit(UNAVAILABLE) from None
    except (RealtimeError, TypeError, ValueError) as error:
        raise click.ClickException(str(error)) from None


class RunningApp:
    """The processes of the app that the settings name."""

    def __init__(self, parts: Standalone, settings: Settings) -> None:
        self.broker = parts.broker
        self.settings = settings
        self.broadcaster = Broadcaster(
            publisher=parts.publisher,
            presence=parts.presence,
            gateways=parts.gateways,
            loop_bridge=parts.loop_bridge,
        )
        """It knows the gateways that `gateways` has returned."""
        self._parts = parts
        self._nodes: Answer[list[Node]] | None = None

    async def gateways(self, named: Sequence[str], *, may_be_down: bool = False) -> list[str]:
        """The gateways that a command is about: those that it names, or all that the processes have.

        `may_be_down`: whether no process needs to answer, if gateways are named.

        Raises:
            click.ClickException: no process answers, or none has a gateway of this name.
        """
        nodes = self._nodes = self._nodes or await self.broadcaster.nodes()
        there = sorted({gateway for node in nodes.value for gateway in node.connections})
        for name in named:
            if there and name not in there:
                raise click.ClickException(
                    f"no process has a gateway {name}; there are: {', '.join(there)}{not_answered(nodes.missing, '; ')}"
                )
        if not there and not (named and may_be_down):
            raise click.ClickException(no_process_answers(nodes.missing))
        found = list(dict.fromkeys(named)) or there
        for name in found:
            # How a gateway writes its frames is not known here, and only matters for sending events.
            self._parts.gateways.add(GatewayName(name), SocketIODialect(name), self.settings.limits)
        return found

    async def ask(self, question: Question) -> NodeAnswers:
        """Ask every process. See `Publisher.ask`."""
        return await self._parts.publisher.ask(question)

    async def answer(self, call: Coroutine[Any, Any, T]) -> T:
        """Await a call to the broker. See `Publisher.answer`."""
        return await self._parts.publisher.answer(call)


@contextlib.asynccontextmanager
async def running_app(receiver: BrokerReceiver | None = None) -> AsyncIterator[RunningApp]:
    """Reach the app until the block ends. `receiver` gets what is subscribed to at its broker.

    Raises:
        click.ClickException: the settings are wrong, or name no Redis.
        BrokerUnavailable: Redis cannot be reached.
    """
    settings = settings_with_redis()
    async with standalone(None, None, [], settings, receiver=receiver) as parts:
        yield RunningApp(parts, settings)


def no_process_answers(missing: Collection[str]) -> str:
    """What to say if no process has answered."""
    return (
        "no process of the app answers; is it running, with the same MEW_REDIS_URL and MEW_REDIS_PREFIX?"
        f"{not_answered(missing, ' ')}"
    )


def not_answered(missing: Collection[str], before: str = "") -> str:
    """Which processes have not answered. Empty: none is known of."""
    return f"{before}not answered: {', '.join(missing)}" if missing else ""


def print_incomplete(missing: Collection[str]) -> None:
    """Say on the standard error that an answer is not complete."""
    click.echo(f"not all processes have answered in full{not_answered(missing, '; ')}", err=True)
