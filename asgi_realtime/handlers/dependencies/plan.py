"""Reads dependencies and theirs once, and makes a list of steps: each dependency after those that it needs."""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from starlette.requests import HTTPConnection

from asgi_realtime.broadcasting.broadcaster import Broadcaster
from asgi_realtime.connection.connection import Connection
from asgi_realtime.handlers.dependencies.host_app import HostApp
from asgi_realtime.handlers.dependencies.markers import Wanted, wanted
from asgi_realtime.handlers.dependencies.steps import Source, Step, callee
from asgi_realtime.handlers.injected import bare, identity_of, injected, is_for_threads
from asgi_realtime.payloads.annotation_metadata import fastapi_marker, is_from, metadata_of
from asgi_realtime.runtime.host_calls import ToSync, unwrap
from asgi_realtime.values.identity import Identity

_INSTEAD = "take `connection: Connection` and use connection.handshake, or `conn: HTTPConnection` of Starlette"


class Plan(NamedTuple):
    """The dependencies of one handler."""

    steps: Sequence[Step]
    """In the order in which they run."""
    results: Sequence[int]
    """The steps whose values the handler gets."""
    managed: bool
    """Whether something is to be done when the handler has ended."""


class Planner:
    """Makes one plan.

    Args:
        broadcaster: what a parameter `Broadcaster` gets.
        to_sync: converts what is injected into plain functions to its form for threads.
        host: the host app.
        overrides: what is called instead of a dependency.
    """

    def __init__(
        self,
        broadcaster: Broadcaster,
        to_sync: ToSync,
        host: HostApp,
        overrides: Mapping[Callable[..., Any], Callable[..., Any]],
    ) -> None:
        self._broadcaster = broadcaster
        self._to_sync = to_sync
        self._host = host
        self._overrides = overrides
        self._steps: list[Step] = []
        self._cached: dict[Callable[..., Any], int] = {}
        self._open: list[Callable[..., Any]] = []

    def plan(self, parameters: Iterable[tuple[str, Wanted]]) -> Plan:
        """Make the plan of a handler, from its parameters that are dependencies.

        Raises:
            TypeError: a dependency, or one of its own, cannot be called. The message names the parameter.
        """
        results = []
        for name, each in parameters:
            try:
                results.append(self._step(name, each))
            except TypeError as error:
                raise TypeError(f"parameter {name!r}: {error}") from None
        return Plan(tuple(self._steps), results, any(step.managed for step in self._steps))

    def _step(self, parameter: str, asked: Wanted) -> int:
        """The number of the step whose value a parameter gets."""
        declared = asked.call if asked.call is not None else self._named(parameter)
        if asked.use_cache and declared in self._cached:
            return self._cached[declared]
        function = self._overrides.get(declared, declared)
        name = _name_of(function)
        if declared in self._open:
            raise TypeError(f"the dependency {name} depends on itself")
        self._open.append(declared)
        try:
            step = self._read(function, name, by_name=asked.call is None)
        except TypeError as error:
            raise TypeError(f"dependency {name}: {error}") from None
        finally:
            self._open.pop()
        self._steps.append(step)
        number = len(self._steps) - 1
        self._cached.setdefault(declared, number)
        return number

    def _named(self, parameter: str) -> Callable[..., Any]:
        """The function of the Litestar app's dependency with the name of a parameter."""
        provider = self._host.named.get(parameter)
        if provider is None:
            known = ", ".join(self._host.named) or "none"
            raise TypeError(
                f"the app has no dependency of this name ({known}): write Litestar(dependencies={{{parameter!r}: …}})"
            )
        if getattr(provider, "use_cache", False):
            raise TypeError(
                "Provide(…, use_cache=True) keeps one value for ever: make it in the lifespan, and return it from the "
                "dependency"
            )
        function = getattr(provider, "dependency", provider)
        if is_from(type(function), "litestar"):  # what runs a plain function in a thread
            function = getattr(function, "func", function)
        found: Callable[..., Any] = function
        return found

    def _read(self, function: Callable[..., Any], name: str, *, by_name: bool) -> Step:
        """Read the signature of a dependency, and make the steps of its own dependencies."""
        if is_from(type(function), "fastapi.security"):
            raise TypeError(
                "it reads the credentials of a request. The gateway's authenticator has read those of the handshake: "
                "take `identity: Identity`"
            )
        called = callee(function, name)
        makes_object = isinstance(function, type)
        try:
            parameters = inspect.signature(function).parameters.values()
        except ValueError:
            raise TypeError("it has no signature: write a function that calls it") from None
        hints = hints_of(function)
        positional: list[Source] = []
        named: list[tuple[str, Source]] = []
        bound = function.keywords if isinstance(function, functools.partial) else ()
        for parameter in parameters:
            if parameter.name in bound:
                continue
            try:
                source = self._source(parameter, hints.get(parameter.name, Any), called.plain, makes_object, by_name)
            except TypeError as error:
                raise TypeError(f"parameter {parameter.name!r}: {error}") from None
            if parameter.kind is parameter.POSITIONAL_ONLY:
                positional.append(source)
            else:
                named.append((parameter.name, source))
        return Step(name, called.call, called.managed, positional, named)

    def _source(
        self, parameter: inspect.Parameter, annotation: Any, plain: bool, makes_object: bool, by_name: bool
    ) -> Source:
        """What fills a parameter of a dependency. An object is used where the handler runs, and gets what it names."""
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise TypeError("nothing fills it: a decorator needs functools.wraps, and a class a function that calls it")
        asked = wanted(parameter, annotation)
        if asked is None and by_name and parameter.name in self._host.named:
            asked = Wanted(None)
        if asked is not None:
            return self._step(parameter.name, asked)
        kind = bare(annotation)
        if kind is HTTPConnection:
            return self._host.handshake
        if (
            f"{getattr(kind, '__module__', '')}.{getattr(kind, '__name__', '')}"
            == "litestar.datastructures.state.State"
        ):
            return lambda connection: self._host.app.state
        for metadata in (parameter.default, *metadata_of(annotation)):
            marker = fastapi_marker(metadata)
            if marker is not None:
                raise TypeError(f"{marker}(…) reads a request of HTTP, and an event has none: {_INSTEAD}")
        if isinstance(kind, type) and is_from(kind, "starlette", "fastapi", "litestar"):
            raise TypeError(f"{kind.__name__} belongs to a request or response of HTTP: {_INSTEAD}")
        found = self._injected(injected(annotation, plain=plain))
        if not plain or (makes_object and not is_for_threads(annotation)):
            return found
        to_sync = self._to_sync
        return lambda connection: to_sync(found(connection))

    def _injected(self, kind: type | None) -> Callable[[Connection], Any]:
        if kind is Connection:
            return lambda connection: connection
        if kind is Identity:
            return lambda connection: connection.identity
        if kind is Broadcaster:
            return lambda connection: self._broadcaster
        if kind is not None:
            return lambda connection: identity_of(connection, kind)
        raise TypeError(
            "nothing fills it: an event has no query, path or body, and its payload goes to the handler. Annotate "
            "Connection, Identity, Broadcaster, HTTPConnection or a dependency, or bind a value by functools.partial"
        )


def _name_of(function: Callable[..., Any]) -> str:
    found = unwrap(function)
    return str(getattr(found, "__qualname__", None) or type(found).__qualname__)


def hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations of what a function of the host, or a class, is called with, resolved.

    Raises:
        TypeError: for one that cannot be resolved.
    """
    while isinstance(function, functools.partial):
        function = function.func
    if isinstance(function, type):
        made_by = [inspect.getattr_static(function, name) for name in ("__new__", "__init__")]
        read: list[Any] = [function, *(each for each in made_by if isinstance(each, types.FunctionType))]
    else:
        read = [unwrap(function)]
    try:
        return {name: hint for each in read for name, hint in typing.get_type_hints(each, include_extras=True).items()}
    except NameError as error:
        raise TypeError(f"the annotation {error.name!r} cannot be resolved; define it at module level") from None
