"""Which parameters are dependencies, and what fills them.

FastAPI and Litestar are not imported. Their markers are recognised by the names of their classes.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

from asgi_realtime.errors import ConfigurationError


class Wanted(NamedTuple):
    """What fills a parameter."""

    call: Callable[..., Any] | None
    """Makes the value. None: the Litestar app has a dependency of the parameter's name."""
    use_cache: bool = True
    """Whether one value is used wherever the same event wants it."""


class Marker:
    """What `Depends` returns."""

    __slots__ = ("call", "use_cache")

    def __init__(self, call: Callable[..., Any] | None, use_cache: bool) -> None:
        self.call = call
        self.use_cache = use_cache


def Depends(dependency: Callable[..., Any] | None = None, *, use_cache: bool = True) -> Any:
    """Fill a parameter of a handler by what a function returns.

    `session: Annotated[Session, Depends(get_session)]` calls `get_session` for each event. It is for apps whose
    framework has no such marker. FastAPI's own means the same in handlers.

    Args:
        dependency: a coroutine function, a plain function (which runs in a thread), a generator of either kind, a
            class, or an object with `__call__`. Its own parameters are filled too. What is after a generator's `yield`
            runs when the handler has ended, before the answer is sent. None: the class that is annotated.
        use_cache: whether an event calls it once, however many parameters want it.

    Raises:
        ConfigurationError: if it is not callable.
    """
    if dependency is not None and not callable(dependency):
        raise ConfigurationError(f"Depends({dependency!r}) takes a function: write Depends(get_session), not a value")
    return Marker(dependency, use_cache)


def wanted(parameter: inspect.Parameter, annotation: Any) -> Wanted | None:
    """Return what fills a parameter. None: it is no dependency.

    The last marker of an `Annotated` decides, also if that is an alias (`type Db = Annotated[…]`).

    Raises:
        TypeError: for a dependency that asks for what events do not have.
    """
    while type(annotation).__name__ == "TypeAliasType":
        annotation = annotation.__value__
    kind: Any = annotation
    found: Wanted | None = None
    if typing.get_origin(annotation) is Annotated:
        kind, *metadata = typing.get_args(annotation)
        for one in metadata:
            found = _read(one, kind) or found
    default = _read(parameter.default, kind)
    if found is not None and default is not None:
        raise TypeError("it has a dependency in its annotation and another one as its default; remove one")
    return found or default


def _read(marker: object, kind: Any) -> Wanted | None:
    """What one piece of metadata, or a default, says. None: it is no marker."""
    if isinstance(marker, Marker):
        return Wanted(marker.call or _class(kind), marker.use_cache)
    if marker is Depends:
        raise TypeError("Depends is a function: write Depends(get_session)")
    names = {f"{each.__module__}.{each.__name__}" for each in type(marker).__mro__}
    if "fastapi.params.Security" in names:
        raise TypeError(
            "Security(…) reads the headers of a request, and an event has none: take `identity: Identity`, and use "
            "Depends(…) for what checks its claims"
        )
    if "fastapi.params.Depends" in names:
        return _of_fastapi(marker, kind)
    if names & {"litestar.di.Dependency", "litestar.params.DependencyKwarg"}:
        return Wanted(None)
    if "litestar.di.Provide" in names:
        raise TypeError("Provide(…) belongs to the `dependencies` of the Litestar app: annotate NamedDependency[…]")
    return None


def _of_fastapi(marker: Any, kind: Any) -> Wanted:
    if getattr(marker, "scope", None) == "request":
        raise TypeError(
            'Depends(…, scope="request") ends after the response. An event\'s dependencies end before its answer is '
            'sent: write scope="function", or leave it out'
        )
    if getattr(marker, "max_concurrency", None) is not None:
        raise TypeError("Depends(…, max_concurrency=…) would not be applied to events: use a semaphore of your own")
    return Wanted(marker.dependency or _class(kind), marker.use_cache)


def _class(kind: Any) -> Callable[..., Any]:
    if not callable(kind) or kind is Any:
        raise TypeError("Depends() without a function calls the class that is annotated: annotate one")
    call: Callable[..., Any] = kind
    return call
