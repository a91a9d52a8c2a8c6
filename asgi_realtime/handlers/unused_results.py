"""Results of the host's functions that are not used: refused at start-up, or logged once."""

from __future__ import annotations

import logging
import typing
from collections.abc import Awaitable, Callable, Coroutine
from types import NoneType
from typing import Any, Never, NoReturn

from asgi_realtime.errors import ConfigurationError
from asgi_realtime.runtime.host_calls import HostCall, unwrap

logger = logging.getLogger("asgi_realtime")

_NOTHING = (None, NoneType, NoReturn, Never)
_UNKNOWN = (Any, object)


def without_result(call: HostCall, function: Callable[..., Any], where: str, remedy: str) -> HostCall:
    """Return what calls a function of the host whose result is not used.

    If the function has no annotation of its result, the first result other than None is logged as a warning.

    Args:
        call: calls the function.
        function: the function, as the host wrote it.
        where: what the function is for, in messages.
        remedy: what to write instead of `return`.

    Raises:
        ConfigurationError: if its annotation says that it returns something.
    """
    returned = _returned(function)
    if any(returned is nothing for nothing in _NOTHING) or unwrap(function).__name__ == "<lambda>":
        return call  # a lambda always returns its expression
    if any(returned is unknown for unknown in _UNKNOWN):
        return _logged(call, where, remedy)
    name = getattr(returned, "__name__", str(returned))
    raise ConfigurationError(f"{where}: its result ({name}) would not be used; {remedy}, and annotate `-> None`")


def _logged(call: HostCall, where: str, remedy: str) -> HostCall:
    logged = False

    async def run(*arguments: Any) -> Any:
        nonlocal logged
        result = await call(*arguments)
        if result is not None and not logged:
            logged = True
            logger.warning("%s: its result (%s) is not used; %s", where, type(result).__name__, remedy)
        return result

    return run


def _returned(function: Callable[..., Any]) -> Any:
    """The annotation of a function's result. Any: it has none, or one that cannot be read."""
    found = unwrap(function)
    try:
        returned = found.__annotations__.get("return", Any)
    except (AttributeError, NameError):
        return Any
    if isinstance(returned, str):
        try:
            returned = eval(returned, getattr(found, "__globals__", {}))
        except Exception:  # a name of a type checker's imports: it is not None
            return returned
    origin: Any = typing.get_origin(returned)
    if origin in (Awaitable, Coroutine):  # of a plain function that returns a coroutine
        return typing.get_args(returned)[-1]
    return returned
