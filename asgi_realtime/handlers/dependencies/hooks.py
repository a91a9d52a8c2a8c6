"""Dependencies of functions that are not handlers: hooks of a gateway have them, other functions of the host do not."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from asgi_realtime.errors import ConfigurationError
from asgi_realtime.handlers.dependencies.injector import Injector
from asgi_realtime.handlers.dependencies.markers import Wanted, wanted
from asgi_realtime.handlers.dependencies.plan import hints_of
from asgi_realtime.runtime.host_calls import HostCall, ToSync, host_call

Found: TypeAlias = Sequence[tuple[int, str, Wanted]]
"""The dependencies of a function: which argument, its name, and what fills it."""


def dependencies_of(function: Callable[..., Any], where: str) -> Found:
    """Find the parameters of a function of the host that are dependencies.

    Raises:
        ConfigurationError: for one that cannot be filled. It begins with `where`.
    """
    try:
        parameters = inspect.signature(function).parameters
    except (ValueError, TypeError):  # a function written in C, or no function: checked elsewhere
        return ()
    try:
        hints = hints_of(function)
    except Exception:  # evaluating an annotation may raise anything. A default decides without it.
        hints = {}
    found = []
    for number, (name, parameter) in enumerate(parameters.items()):
        try:
            dependency = wanted(parameter, hints.get(name, Any))
        except TypeError as error:
            raise ConfigurationError(f"{where}: parameter {name!r}: {error}") from None
        if dependency is not None:
            found.append((number, name, dependency))
    return found


def refuse_dependencies(function: Callable[..., Any] | None, where: str) -> None:
    """Refuse a function that takes dependencies where there are none. None: it is missing, which is checked elsewhere.

    Raises:
        ConfigurationError: naming the parameter. It begins with `where`.
    """
    for _, name, _ in () if function is None else dependencies_of(function, where):
        raise ConfigurationError(
            f"{where}: the parameter {name!r} is a dependency. Handlers of events, on_connect, on_disconnect and "
            "on_online take them; write a function here that makes what it needs"
        )


def bind_hook(
    hook: Callable[..., Any], where: str, parameters: Sequence[str], to_sync: ToSync, injector: Injector | None
) -> HostCall:
    """Return what calls a hook. See `host_call`.

    Args:
        hook: the function of the host.
        where: the hook, in messages.
        parameters: the names of the arguments that it is called with.
        to_sync: converts the arguments of a plain hook.
        injector: calls its dependencies. None: it may have none.

    Raises:
        ConfigurationError: it does not accept the arguments, or a dependency cannot be called.
    """
    if injector is None:
        refuse_dependencies(hook, where)
        return host_call(hook, where, parameters, to_sync)
    found = dependencies_of(hook, where)
    if not found:
        return host_call(hook, where, parameters, to_sync)
    names = {number: name for number, name, _ in found}
    given = iter(parameters)
    every = [names.get(number) or next(given, "") for number in range(len(parameters) + len(found))]
    run = injector.bind(host_call(hook, where, every, to_sync), found, where)

    async def call(*arguments: Any) -> Any:
        rest = iter(arguments)
        return await run(arguments[0], *[None if number in names else next(rest) for number in range(len(every))])

    return call
