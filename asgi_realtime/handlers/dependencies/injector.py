"""Calls handlers and hooks with their dependencies.

A dependency is called once for each event, whatever wants it, unless its marker says otherwise. What is after the
`yield` of a generator runs when the handler has ended and before its answer is sent, the last one first. So a commit
that fails is an error that the client gets. An exception of the handler, also a cancellation, is raised at the `yield`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

from asgi_realtime.broadcasting.broadcaster import Broadcaster
from asgi_realtime.connection.connection import Connection
from asgi_realtime.errors import ConfigurationError
from asgi_realtime.handlers.dependencies.host_app import HostApp
from asgi_realtime.handlers.dependencies.markers import Wanted
from asgi_realtime.handlers.dependencies.plan import Plan, Planner
from asgi_realtime.limits import Limits
from asgi_realtime.runtime.coroutines import run_with_timeout
from asgi_realtime.runtime.host_calls import HostCall, ToSync


class Injector:
    """The dependencies of one gateway.

    Args:
        broadcaster: what a dependency gets for `Broadcaster`.
        to_sync: converts what is injected into plain functions to its form for threads.
        host: the host app.
        timeout: seconds that dependencies have to end, also after a handler that was cancelled.
    """

    def __init__(
        self,
        broadcaster: Broadcaster,
        to_sync: ToSync = lambda argument: argument,
        host: HostApp | None = None,
        timeout: float = Limits().handler_timeout,
    ) -> None:
        self._broadcaster = broadcaster
        self._to_sync = to_sync
        self._host = host or HostApp()
        self._timeout = timeout

    def bind(
        self, call: HostCall, parameters: Sequence[tuple[int, str, Wanted]], where: str
    ) -> Callable[..., Coroutine[Any, Any, Any]]:
        """Return what calls a handler. It takes the connection, and then the arguments of `call`.

        Args:
            call: the handler.
            parameters: those that are dependencies: which argument, its name, and what fills it. Whatever is passed as
                this argument is replaced.
            where: the handler, in messages.

        Raises:
            ConfigurationError: a dependency cannot be called. The message names the parameter and what to write.
        """
        return _Call(self._planned, self._host, self._timeout, call, parameters, where).run

    def _planned(
        self,
        parameters: Sequence[tuple[int, str, Wanted]],
        where: str,
        overrides: Mapping[Callable[..., Any], Callable[..., Any]],
    ) -> Plan:
        planner = Planner(self._broadcaster, self._to_sync, self._host, overrides)
        try:
            return planner.plan((name, each) for _, name, each in parameters)
        except TypeError as error:
            raise ConfigurationError(f"{where}: {error}") from None


class _Call:
    """One handler, and its dependencies."""

    def __init__(
        self,
        planned: Callable[..., Plan],
        host: HostApp,
        timeout: float,
        call: HostCall,
        parameters: Sequence[tuple[int, str, Wanted]],
        where: str,
    ) -> None:
        self._planned = planned
        self._host = host
        self._timeout = timeout
        self._call = call
        self._parameters = parameters
        self._positions = [position for position, _, _ in parameters]
        self._where = where
        self._plan = planned(parameters, where, {})
        self._overridden: tuple[Mapping[Any, Any], Plan] = ({}, self._plan)

    async def run(self, connection: Connection, *arguments: Any) -> Any:
        """Call the dependencies, and the handler with their values."""
        overrides = self._host.overrides
        plan = self._plan if not overrides else self._with(overrides)
        filled = list(arguments)
        if plan.managed:
            return await self._run_managed(plan, connection, filled)
        values: list[Any] = []
        for step in plan.steps:
            values.append(await step.run(connection, values, None))
        for position, number in zip(self._positions, plan.results, strict=True):
            filled[position] = values[number]
        return await self._call(*filled)

    def _with(self, overrides: Mapping[Any, Any]) -> Plan:
        """The plan with these overrides. Tests change them at any time, and leave them for many events."""
        known, plan = self._overridden
        if known != overrides:
            plan = self._planned(self._parameters, self._where, overrides)
            self._overridden = dict(overrides), plan
        return plan

    async def _run_managed(self, plan: Plan, connection: Connection, filled: list[Any]) -> Any:
        stack = AsyncExitStack()
        values: list[Any] = []
        try:
            for step in plan.steps:
                values.append(await step.run(connection, values, stack))
            for position, number in zip(self._positions, plan.results, strict=True):
                filled[position] = values[number]
            result = await self._call(*filled)
        except GeneratorExit:
            raise  # the event loop has ended, and nothing can be awaited
        except BaseException as error:
            # The time limit of the handler may have passed, or pass now, and then it limits nothing any more.
            ending = stack.__aexit__(type(error), error, error.__traceback__)
            caught = await run_with_timeout(self._timeout, ending)
            if not caught:
                raise
            raise RuntimeError(
                f"{self._where}: a dependency caught {type(error).__name__} at its `yield` and did not raise it again"
            ) from error
        await run_with_timeout(self._timeout, stack.aclose())
        return result
