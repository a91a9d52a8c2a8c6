"""Base of classes for threads: they have the methods of an object on the event loop, without `await`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from asgi_realtime.runtime.loop_bridge import LoopBridge

A = TypeVar("A")
P = ParamSpec("P")
T = TypeVar("T")


class SyncProxy(Generic[A]):
    """The base of a class for threads. Its methods are made by `sync_method`.

    Each method waits until the event loop has done the work. It raises `RuntimeError` on the event loop's own thread,
    where it would deadlock, before start-up, and after shutdown. Shutdown also ends the calls that are waiting.
    """

    __slots__ = ("_loop_bridge", "_target")

    def __init__(self, target: A, loop_bridge: LoopBridge) -> None:
        self._target = target
        self._loop_bridge = loop_bridge

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop_bridge.run(work)


def sync_method(
    method: Callable[Concatenate[A, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[SyncProxy[Any], P], T]:
    """Make a `SyncProxy` method from a coroutine method of its target. Signature and docstring are the same."""

    def call(self: SyncProxy[Any], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._run(method(self._target, *args, **kwargs))

    functools.update_wrapper(call, method)
    del call.__wrapped__  # type: ignore[attr-defined]  # else tools that follow it report a coroutine function
    call.__qualname__ = f"Sync{method.__qualname__}"
    call.__signature__ = inspect.signature(method)  # type: ignore[attr-defined]
    return call
