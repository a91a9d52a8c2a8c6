"""Typed broadcasters: one method per server event, written once, called from coroutines or from threads."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from asgi_realtime.broadcasting.broadcaster import Broadcaster
from asgi_realtime.broadcasting.route_parameters import NoSchema
from asgi_realtime.errors import ConfigurationError

P = ParamSpec("P")
T = TypeVar("T")


class TypedBroadcaster(NoSchema):
    """The base of a broadcaster with one method for each event of a gateway.

    The methods are coroutines that send through `self._broadcaster`, and are marked with `sync_too`. A class for
    threads needs no code of its own, only the two bases in this order, so that type checkers know its methods:

        class NewsBroadcaster(TypedBroadcaster):
            @property
            def sync(self) -> SyncNewsBroadcaster:
                return SyncNewsBroadcaster(self)

            @sync_too
            async def headline(self, text: str) -> Receipt:
                return await self._broadcaster.broadcast_to_all("headline", text)

        class SyncNewsBroadcaster(SyncTypedBroadcaster, NewsBroadcaster): ...
    """

    def __init__(self, broadcaster: Broadcaster) -> None:
        """Wrap a broadcaster that is narrowed to the gateway, such as `gateway.broadcaster`."""
        self._broadcaster = broadcaster


class SyncTypedBroadcaster:
    """The first base of a typed broadcaster for threads: each method returns when the event loop has done the work.

    A call from the event loop's own thread would wait for itself. It raises `RuntimeError`.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        bases = [base for base in cls.__mro__ if base in (SyncTypedBroadcaster, TypedBroadcaster)]
        if bases[0] is not SyncTypedBroadcaster:
            raise ConfigurationError(f"class {cls.__qualname__}: SyncTypedBroadcaster must be its first base")

    def __init__(self, typed: TypedBroadcaster) -> None:
        """Wrap the typed broadcaster for coroutines."""
        self._typed: TypedBroadcaster = typed._typed if isinstance(typed, SyncTypedBroadcaster) else typed

    def wait(self, method: Callable[..., Coroutine[Any, Any, T]], *arguments: Any, **options: Any) -> T:
        """Run a method of the typed broadcaster on the event loop, and return its result. See `SyncBroadcaster.run`."""
        return self._typed._broadcaster.sync.run(method(self._typed, *arguments, **options))


class sync_too(Generic[P, T]):
    """Marks a coroutine method of a typed broadcaster. The class for threads has it too, without `await`."""

    def __init__(self, function: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]) -> None:
        self.function = function
        """The coroutine method."""
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
            return functools.partial(instance.wait, self.function)
        return types.MethodType(self.function, instance)
