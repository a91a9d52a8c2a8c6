"""Refuses broadcasters as parameters of a FastAPI route without their dependency, when the route is declared."""

from __future__ import annotations

from typing import Never

from asgi_realtime.errors import ConfigurationError


class _NoPayload(ConfigurationError, TypeError):
    """The class is not a payload either: for types of payloads, a TypeError says so."""


class NoSchema:
    """A class without a schema of pydantic. FastAPI asks for one if a parameter has no dependency.

    With `Depends(Broadcaster)` it asks for those of the constructor's parameters.
    """

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> Never:
        raise _NoPayload(
            "a route gets its broadcaster from a dependency: write Annotated[Broadcaster, Depends(get_broadcaster)]; "
            "a plain `def` uses its `sync`; a typed one has a dependency of its own, such as get_mew_broadcaster"
        )
