"""Typed faces of a broadcaster: one method per server event, written once, called from coroutines or from threads."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from asgi_realtime.broadcasting.broadcaster import Broadcaster

P = ParamSpec("P")
T = TypeVar("T")


class TypedBroadcaster:
    """The base of `MewBroadcaster` and its like.

    Mark the methods with `sync_too`, and derive the face for threads with nothing in it:
    `class SyncMewBroadcaster(Blocking, MewBroadcaster)`.
    """

    def __init__(self, broadcaster: Broadcaster) -> None:
        """Wrap a broadcaster that is narrowed to the gateway."""
        self._to = broadcaster


class SyncTypedBroadcaster:
    """Turns a typed face into one for threads: each method waits until the event loop has done the work.

    Calls from the event loop's own thread would wait for themselves; they raise `RuntimeError`.
    """

    def __init__(self, face: TypedBroadcaster) -> None:
        self._face: TypedBroadcaster = face._face if isinstance(face, SyncTypedBroadcaster) else face

    def wait(self, method: Callable[..., Coroutine[Any, Any, T]], *arguments: Any, **options: Any) -> T:
        """Run a method of the face on the event loop, and wait for the result. See `SyncBroadcaster.run`."""
        return self._face._to.sync.run(method(self._face, *arguments, **options))


class sync_too(Generic[P, T]):
    """Marks a coroutine method of a typed face: its sync face has it too, without `await`."""

    def __init__(self, function: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]) -> None:
        self._function = function
        self.__name__ = function.__name__
        self.__doc__ = function.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> sync_too[P, T]: ...

    @overload
    def __get__(self, instance: SyncTypedBroadcaster, owner: type) -> Callable[P, T]: ...

    @overload
    def __get__(self, instance: TypedBroadcaster, owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self
        if isinstance(instance, SyncTypedBroadcaster):
            return functools.partial(instance.wait, self._function)
        return types.MethodType(self._function, instance)
