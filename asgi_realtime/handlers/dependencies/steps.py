"""One step of a plan: the call of one dependency, with the values of earlier steps."""

from __future__ import annotations

import contextlib
import functools
import inspect
import types
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, NamedTuple, TypeAlias

from asgi_realtime.connection.connection import Connection
from asgi_realtime.handlers.dependencies.thread_generator import thread_generator
from asgi_realtime.runtime.host_calls import is_coroutine_function, unwrap
from asgi_realtime.runtime.host_threads import run_in_thread

Source: TypeAlias = int | Callable[[Connection], Any]
"""Where an argument comes from: the value of the step with this number, or a function of the connection."""


class Step(NamedTuple):
    """One dependency."""

    name: str
    call: Callable[..., Any]
    """An async function, or for `managed` a function that returns an async context manager."""
    managed: bool
    """Whether something is to be done when the handler has ended."""
    positional: Sequence[Source]
    named: Sequence[tuple[str, Source]]

    async def run(self, connection: Connection, values: Sequence[Any], stack: AsyncExitStack | None) -> Any:
        """Return the value. `values`: those of the earlier steps. `stack`: ends what is `managed`."""
        positional = [values[each] if isinstance(each, int) else each(connection) for each in self.positional]
        named = {name: values[each] if isinstance(each, int) else each(connection) for name, each in self.named}
        if not self.managed or stack is None:
            return await self.call(*positional, **named)
        manager: AbstractAsyncContextManager[Any] = self.call(*positional, **named)
        return await stack.enter_async_context(manager)


class Callee(NamedTuple):
    """How a dependency is called."""

    call: Callable[..., Any]
    managed: bool
    plain: bool
    """Whether it is a function for a thread, where the classes for threads may be injected."""


def callee(function: Callable[..., Any], name: str) -> Callee:
    """Find out how a dependency is called.

    Raises:
        TypeError: it makes a context manager, and the value could be that or what it yields.
    """
    if _is_any(inspect.isasyncgenfunction, function):
        _check_manager(inspect.isasyncgenfunction, function)
        return Callee(contextlib.asynccontextmanager(function), True, False)
    if _is_any(inspect.isgeneratorfunction, function):
        _check_manager(inspect.isgeneratorfunction, function)
        make = thread_generator(contextlib.contextmanager(function), name)
        return Callee(make, True, True)
    if is_coroutine_function(function):
        return Callee(function, False, False)
    plain = getattr(unwrap(function), "__name__", "") != "<lambda>"
    return Callee(_in_thread(function), False, plain)


def _is_any(test: Callable[[Any], bool], function: Callable[..., Any]) -> bool:
    """Whether a test holds for a function, what it wraps, or its `__call__`."""
    called = None if isinstance(function, type) or inspect.isroutine(function) else type(function).__call__
    return test(function) or test(unwrap(function)) or test(called)


def _check_manager(test: Callable[[Any], bool], function: Callable[..., Any]) -> None:
    inner = getattr(function, "__wrapped__", None)
    if isinstance(function, types.FunctionType) and inner is not None and not test(function):
        if function.__globals__.get("__name__") == "contextlib":
            raise TypeError("it is a context manager already: remove the decorator of contextlib, and keep the `yield`")


def _in_thread(function: Callable[..., Any]) -> Callable[..., Any]:
    async def call(*arguments: Any, **named: Any) -> Any:
        result = await run_in_thread(functools.partial(function, *arguments, **named))
        return await result if inspect.isawaitable(result) else result

    return call
