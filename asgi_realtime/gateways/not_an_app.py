"""Refuses gateways where FastAPI expects a route or a router: when it is declared, with what to write instead."""

from __future__ import annotations

import inspect
from typing import Annotated, Any, Never

from asgi_realtime.errors import ConfigurationError


def not_an_app(gateway: type) -> ConfigurationError:
    """The error about a gateway that is used as an app, a route or a router."""
    name = gateway.__name__
    return ConfigurationError(
        f"{name} is a gateway, and neither an app nor a route; write "
        f"app.add_middleware(RealtimeMiddleware, gateways=[{name}(...)])"
    )


class RouteSignature:
    """What `inspect.signature` finds. FastAPI reads it when a route is declared.

    An instance raises the error. A class has the parameters of its constructor, because frameworks that inject
    arguments read it too; they take the types from `__init__`. FastAPI makes a schema for each parameter and for a
    result. For the first parameter and for the class itself, that raises the error.
    """

    def __get__(self, gateway: object, kind: type) -> inspect.Signature:
        """The signature of a class.

        Raises:
            ConfigurationError: for an instance.
        """
        if gateway is not None:
            raise not_an_app(kind)
        made_by: Any = kind.__init__  # type: ignore[misc]
        found = inspect.signature(made_by)
        refused = _NoSchema(kind)
        parameters = list(found.parameters.values())[1:]
        if parameters:
            parameters[0] = parameters[0].replace(annotation=Annotated[Any, refused])
        return found.replace(parameters=parameters, return_annotation=Annotated[kind, refused])


class NoRouter:
    """What FastAPI's `include_router` reads first."""

    def __get__(self, gateway: object, kind: type) -> Never:
        """Raise the error. It is an `AttributeError` too, so that `hasattr` and `inspect.getmembers` work."""
        raise _NotARouter(str(not_an_app(kind)))


class _NotARouter(ConfigurationError, AttributeError):
    """A gateway has none of the attributes of a router."""


class _NoSchema:
    """An annotation of a type for which pydantic makes no schema."""

    def __init__(self, gateway: type) -> None:
        self._gateway = gateway

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> Never:
        raise not_an_app(self._gateway)
