"""Results of the host's functions that are not used: refused at start-up, or logged once."""

from __future__ import annotations

import logging
import types
import typing
from collections.abc import Awaitable, Callable, Coroutine
from types import NoneType
from typing import Any, Never, NoReturn

from asgi_realtime.errors import ConfigurationError
from asgi_realtime.runtime.host_calls import HostCall, unwrap

logger = logging.getLogger("asgi_realtime")

_NOTHING = (None, NoneType, NoReturn, Never)
_UNKNOWN = (Any, object)


def check_returns_nothing(function: Callable[..., Any], where: str, remedy: str) -> None:
    """Refuse a function of the host that is annotated to return something, where its result is not used.

    Args:
        function: the function, as the host wrote it.
        where: what the function is for, in messages.
        remedy: what to write instead of `return`.

    Raises:
        ConfigurationError: if its annotation says that it returns something.
    """
    returned = _returned(function)
    if _is_lambda(function) or any(returned is known for known in (*_NOTHING, *_UNKNOWN)):
        return
    name = returned.__name__ if isinstance(returned, type) else str(returned)
    raise ConfigurationError(f"{where}: its result ({name}) would not be used; {remedy}, and annotate `-> None`")


def without_result(call: HostCall, function: Callable[..., Any], where: str, remedy: str) -> HostCall:
    """Return what calls a function of the host whose result is not used. See `check_returns_nothing`.

    If the function has no annotation of its result, the first result other than None is logged as a warning.
    """
    check_returns_nothing(function, where, remedy)
    if any(_returned(function) is nothing for nothing in _NOTHING):
        return call
    unused = UnusedResults(remedy)

    async def run(*arguments: Any) -> Any:
        result = await call(*arguments)
        if result is not None:
            unused.report(function, where, result)
        return result

    return run


class UnusedResults:
    """Logs results that are not used: the first one of each function, as a warning."""

    def __init__(self, remedy: str) -> None:
        self._remedy = remedy
        self._reported: set[str] = set()

    def report(self, function: Callable[..., Any], where: str, result: object) -> None:
        """Log a result other than None. A lambda always returns its expression, so nothing is logged for it."""
        if where not in self._reported:
            self._reported.add(where)
            if not _is_lambda(function):
                logger.warning("%s: its result (%s) is not used; %s", where, type(result).__name__, self._remedy)


def _is_lambda(function: Callable[..., Any]) -> bool:
    return getattr(unwrap(function), "__name__", "") == "<lambda>"


def _returned(function: Callable[..., Any]) -> Any:
    """The annotation of a function's result. Any: it has none, or one that cannot be read."""
    found = unwrap(function)
    try:
        # Only this annotation: a name that cannot be resolved in another one does not matter here.
        only = types.SimpleNamespace(__annotations__={"return": found.__annotations__.get("return", Any)})
        returned = typing.get_type_hints(only, getattr(found, "__globals__", {}))["return"]
    except Exception:  # a name of a type checker's imports: evaluating an annotation may raise anything
        return Any
    origin: Any = typing.get_origin(returned)
    if origin in (Awaitable, Coroutine):  # of a plain function that returns a coroutine
        return typing.get_args(returned)[-1]
    return returned
