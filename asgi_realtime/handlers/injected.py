"""Classes whose annotation alone says what a parameter gets: the connection, the user, the broadcaster."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any, Final, Union

from asgi_realtime.broadcasting.broadcaster import Broadcaster, SyncBroadcaster
from asgi_realtime.broadcasting.typed_broadcaster import TypedBroadcaster
from asgi_realtime.connection.connection import Connection
from asgi_realtime.handlers.sync_connection import SyncConnection
from asgi_realtime.payloads.annotations import requirements, types_in
from asgi_realtime.values.handshake import Handshake
from asgi_realtime.values.identity import Identity

_INJECTED = (Connection, Identity, Broadcaster)
_FOR_THREADS: Mapping[type, type] = {SyncConnection: Connection, SyncBroadcaster: Broadcaster}
"""The class for threads that a plain function gets, and the class that it replaces."""
HABITS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("connection", "conn", "sid", "socket", "websocket", "ws", "request"), "connection: Connection"),
    "identity": "identity: Identity",
    "broadcaster": "broadcaster: Broadcaster",
}
"""Usual names of injected parameters. Without an annotation, such a parameter would get a client's argument."""


def injected(annotation: Any, *, plain: bool = True) -> type | None:
    """The class to be injected for an annotation, which may be optional or have metadata. None: no such class.

    For a class for threads it is the class for coroutines. Each call converts the argument.

    Raises:
        TypeError: for a class that cannot be injected: a subclass of `Connection`, one beside others, or one for
            threads where the function is not `plain`, since its methods would stop the event loop.
    """
    kind = bare(annotation)
    own = _FOR_THREADS.get(kind) if isinstance(kind, type) else None
    if own is not None and not plain:
        raise TypeError(f"{kind.__name__} is for plain functions: annotate {own.__name__}, or write `def`")
    if own is not None or kind in _INJECTED or (isinstance(kind, type) and issubclass(kind, Identity)):
        for _ in requirements(annotation):  # raises for metadata that would have no effect
            pass
        return own or typing.cast("type", kind)
    for kind in types_in(annotation):
        if issubclass(kind, (*_INJECTED, *_FOR_THREADS)):
            name = next(base.__name__ for base in (*_INJECTED, *_FOR_THREADS) if issubclass(kind, base))
            raise TypeError(f"{kind.__name__} cannot be injected like this: annotate {name} alone")
        if issubclass(kind, TypedBroadcaster):
            raise TypeError(f"a {kind.__name__} is not injected: take `broadcaster: Broadcaster` and make one of it")
        if issubclass(kind, Handshake):
            raise TypeError("a Handshake is not injected: take `connection: Connection` and use connection.handshake")
    return None


def is_for_threads(annotation: Any) -> bool:
    """Whether an annotation names a class for threads."""
    return bare(annotation) in _FOR_THREADS


def identity_of(connection: Connection, kind: type) -> Identity:
    """The identity, for a parameter that is annotated with a subclass of `Identity`.

    Raises:
        TypeError: the authenticator returned another class.
    """
    if not isinstance(connection.identity, kind):
        raise TypeError(f"the authenticator returned an {type(connection.identity).__name__}, and no {kind.__name__}")
    return connection.identity


def bare(annotation: Any) -> Any:
    """The annotation without metadata, and without `None` beside it."""
    while True:
        origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
        if origin in (Union, types.UnionType):
            arguments = tuple(argument for argument in arguments if argument is not types.NoneType)
        if origin is not Annotated and (origin not in (Union, types.UnionType) or len(arguments) != 1):
            return annotation
        annotation = arguments[0]
