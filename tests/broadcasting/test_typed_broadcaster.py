"""Typed broadcasters: how they are written, and where a framework may inject them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import fastapi
import pytest
from fastapi import Depends, FastAPI
from packaging.version import Version

from asgi_realtime import (
    Broadcaster,
    ConfigurationError,
    MewBroadcaster,
    Realtime,
    Receipt,
    Settings,
    SocketIOGateway,
    SyncBroadcaster,
    SyncMewBroadcaster,
    SyncTypedBroadcaster,
    TypedBroadcaster,
    get_broadcaster,
    get_mew_broadcaster,
    sync_too,
)

SETTINGS = Settings(jwt_secret="a secret for tests that is long enough")


class NewsBroadcaster(TypedBroadcaster):
    @sync_too
    async def headline(self, text: str) -> Receipt:
        return await self._broadcaster.broadcast_to_all("headline", text)


def test_the_base_for_threads_comes_first() -> None:
    class Right(SyncTypedBroadcaster, NewsBroadcaster): ...

    class Further(Right): ...

    with pytest.raises(ConfigurationError, match="Wrong: SyncTypedBroadcaster must be its first base"):

        class Wrong(NewsBroadcaster, SyncTypedBroadcaster): ...


async def one(broadcaster: Broadcaster) -> None: ...
async def optional(broadcaster: Broadcaster | None = None) -> None: ...
def in_a_thread(broadcaster: SyncBroadcaster) -> None: ...
async def typed(broadcaster: MewBroadcaster) -> None: ...
async def the_class(broadcaster: Annotated[Broadcaster, Depends(Broadcaster)]) -> None: ...
async def the_typed_class(broadcaster: Annotated[MewBroadcaster, Depends()]) -> None: ...
async def typed_in_a_thread(broadcaster: Annotated[SyncMewBroadcaster, Depends()]) -> None: ...


def for_classes(route: Callable[..., Any]) -> Any:
    """A case with a class as its dependency. FastAPI before 0.123.10 does not resolve annotations of a constructor."""
    old = Version(fastapi.__version__) < Version("0.123.10")
    reason = f"FastAPI {fastapi.__version__} does not read the types of a constructor's parameters"
    return pytest.param(route, marks=pytest.mark.skipif(old, reason=reason))


@pytest.mark.parametrize(
    "route",
    [
        one,
        optional,
        in_a_thread,
        typed,
        *(for_classes(each) for each in (the_class, the_typed_class, typed_in_a_thread)),
    ],
    ids=lambda it: it.__name__,
)
def test_a_route_of_fastapi_without_the_dependency_is_refused_when_it_is_declared(route: Callable[..., Any]) -> None:
    for declare in (FastAPI().get("/x"), FastAPI().websocket("/x")):
        with pytest.raises(ConfigurationError, match=r"write Annotated\[Broadcaster, Depends\(get_broadcaster\)\]"):
            declare(route)


async def injected(broadcaster: Annotated[Broadcaster, Depends(get_broadcaster)]) -> None: ...
async def typed_injected(broadcaster: Annotated[MewBroadcaster, Depends(get_mew_broadcaster)]) -> None: ...


def test_routes_with_the_dependency_are_accepted() -> None:
    for route in (injected, typed_injected):
        FastAPI().get("/x")(route)


def test_a_handler_with_a_typed_broadcaster_is_refused_with_what_to_take_instead() -> None:
    gateway = SocketIOGateway("/")

    @gateway.on("say")
    async def say(text: str, news: NewsBroadcaster) -> None: ...

    with pytest.raises(ConfigurationError, match="'news': a NewsBroadcaster is not injected: take `broadcaster: Broad"):
        Realtime(gateways=[gateway], settings=SETTINGS)
