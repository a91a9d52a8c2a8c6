"""Calls functions of the host: coroutine functions are awaited, plain functions run in a thread."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Awaitable, Callable, Container, Coroutine, Sequence
from typing import Any, TypeAlias, TypeVar

from asgi_realtime.errors import ConfigurationError
from asgi_realtime.runtime.host_threads import run_in_thread

T = TypeVar("T")

MaybeAwaitable: TypeAlias = Awaitable[T] | T
"""The result of a host function, which may be a coroutine function or a plain one that runs in a thread."""
HostCall: TypeAlias = Callable[..., Coroutine[Any, Any, Any]]
"""Calls a function of the host, coroutine function or plain. Made once, by `host_call`."""
_PACKAGE = f"{__name__.partition('.')[0]}."

ToSync: TypeAlias = Callable[[Any], Any]
"""Converts an argument to its form for threads. An argument without such a form is returned unchanged."""


def is_coroutine_function(function: Callable[..., Any]) -> bool:
    """Whether a call returns a coroutine: of functions, methods, partials and objects with `async def __call__`."""
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(_call_of(function))


def unwrap(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function that the host wrote, without partials, decorators, methods and callable objects around it."""
    below: Callable[..., Any] | None = function
    while below is not None:
        function = below
        if isinstance(function, functools.partial):
            below = function.func
        else:
            below = getattr(function, "__wrapped__", None) or getattr(function, "__func__", None)
            if below is None and not inspect.iscoroutinefunction(function):
                below = _call_of(function)
    return function


def _call_of(function: Callable[..., Any]) -> Callable[..., Any] | None:
    """The `__call__` of an object. None for a function, a method or a class."""
    if isinstance(function, type) or inspect.isroutine(function):
        return None
    call: Callable[..., Any] = type(function).__call__
    return call


def is_plain(function: Callable[..., Any]) -> bool:
    """Whether a function is plain, that is, called without `await`.

    A lambda does not count as plain: it may return a coroutine, which is then awaited.
    """
    found = unwrap(function)
    return not inspect.iscoroutinefunction(found) and getattr(found, "__name__", "") != "<lambda>"


def host_call(
    function: Callable[..., Any], where: str, parameters: Sequence[str] | None = None, to_sync: ToSync | None = None
) -> HostCall:
    """Return a coroutine function that calls a function of the host.

    A coroutine function is called directly. Any other function runs in a thread; if it returns an awaitable, that is
    awaited. `to_sync` is applied to each argument of a plain function.

    Args:
        function: any callable.
        where: what the function is for, in error messages.
        parameters: the names of the arguments of each call. None: they are checked elsewhere.
        to_sync: converts the arguments of a plain function.

    Raises:
        ConfigurationError: if it is not callable, does not accept these arguments, or is a generator function.
    """
    check_callable(function, where, parameters)
    converted = to_sync if is_plain(function) else None
    if is_coroutine_function(function):
        return function if converted is None else functools.partial(_call_converted, function, converted)
    return functools.partial(_call_in_thread, function, converted)


def method_call(service: object, name: str, parameters: Sequence[str], to_sync: ToSync | None = None) -> HostCall:
    """Return a coroutine function that calls a method of a host's service. See `host_call`.

    Raises:
        ConfigurationError: also if the service has no such method.
    """
    if isinstance(service, type):
        raise ConfigurationError(f"service= is the class {service.__name__}; pass an instance: {service.__name__}(...)")
    where = f"{type(service).__name__}.{name}"
    method = getattr(service, name, None)
    if method is None:
        raise ConfigurationError(f"{where} is missing: the gateway calls it with ({', '.join(parameters)})")
    return host_call(method, where, parameters, to_sync)


async def call_host(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function of the host that is called only once, such as the `allowed` of `Connection.join`."""
    if is_coroutine_function(function):
        return await function(*arguments)
    return await _call_in_thread(function, None, *arguments)


async def _call_in_thread(function: Callable[..., Any], to_sync: ToSync | None, *arguments: Any) -> Any:
    result = await run_in_thread(function, *(arguments if to_sync is None else map(to_sync, arguments)))
    return await result if inspect.isawaitable(result) else result


async def _call_converted(function: Callable[..., Any], to_sync: ToSync, *arguments: Any) -> Any:
    # An async decorator around a plain function, which the decorator runs in a thread.
    return await function(*map(to_sync, arguments))


def check_callable(function: Callable[..., Any], where: str, parameters: Sequence[str] | None = None) -> None:
    """Raise if `host_call` cannot call a function.

    Raises:
        ConfigurationError: the message gives the reason.
    """
    if isinstance(function, type):
        raise ConfigurationError(
            f"{where} is the class {function.__name__}; pass an instance: {function.__name__}(...)"
        )
    if not callable(function):
        raise ConfigurationError(f"{where} must be a function, not {function!r}")
    called = function
    while isinstance(called, functools.partial):
        called = called.func
    for part in (called, _call_of(called)):
        if inspect.isgeneratorfunction(part) or inspect.isasyncgenfunction(part):
            raise ConfigurationError(f"{where} is a generator: return a value instead of using `yield`")
    if parameters is None:
        return
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):  # some functions written in C have no signature
        return
    try:
        signature.bind(*parameters)
    except TypeError as error:
        raise ConfigurationError(f"{where} is called with ({', '.join(parameters)}): {error}") from None


def check_super_call(function: Callable[..., Any], name: str, owner: type) -> None:
    """Raise for a plain method that calls the coroutine method it overrides: without `await` that does nothing.

    Raises:
        ConfigurationError: the message says what to write.
    """
    found = unwrap(function)
    if not is_plain(function) or not isinstance(found, types.FunctionType) or "super" not in found.__code__.co_names:
        return
    kinds = [kind for kind in owner.__mro__ if name in vars(kind)]
    if len(kinds) > 1 and is_coroutine_function(getattr(kinds[1], name)):
        raise ConfigurationError(
            f"{found.__qualname__} calls super(), whose {name} is a coroutine function: "
            f"write `async def {name}` and `await super().{name}(...)`"
        )


def check_plain_overrides(owner: type, either: Container[str]) -> None:
    """Raise for a coroutine function that overrides a plain method of this package. Its caller cannot await it.

    Args:
        owner: the class of the host.
        either: the names of methods that may be coroutine functions or plain functions.

    Raises:
        ConfigurationError: the message names the method.
    """
    for name, found in vars(owner).items():
        if name in either or not inspect.iscoroutinefunction(found) or found.__module__.startswith(_PACKAGE):
            continue
        for kind in owner.__mro__[1:]:
            above = vars(kind).get(name)
            if isinstance(above, types.FunctionType) and above.__module__.startswith(_PACKAGE):
                if not inspect.iscoroutinefunction(above):
                    raise ConfigurationError(
                        f"{found.__qualname__} of {owner.__name__}: `{name}` must be a plain `def`: "
                        "it is called where nothing may wait"
                    )
                break
