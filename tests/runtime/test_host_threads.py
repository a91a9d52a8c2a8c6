"""Threads for synchronous host code: bounded, separate from the host's threads, and never blocking the stop."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import AsyncIterator

import anyio.to_thread
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from asgi_realtime import (
    ClientEvent,
    Depends,
    Identity,
    JobsGateway,
    JobStatus,
    Limits,
    RealtimeMiddleware,
    Settings,
    SocketIOGateway,
    SyncBroadcaster,
    SyncConnection,
    on,
)
from asgi_realtime.testing import RealtimeTestClient

SHARED = "a token that clients share"


class HungService:
    """Answers for the job `quick` at once, and for other jobs once the test allows it."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.threads: set[int] = set()
        self.calls: list[str] = []

    def may_join(self, identity: Identity, job_id: str) -> bool:
        self.calls.append(job_id)
        if job_id != "quick":
            self.threads.add(threading.get_ident())
            assert self.go.wait(20)
        return True

    def last_status(self, job_id: str) -> JobStatus | None:
        return None


def route(request: Request) -> Response:
    return PlainTextResponse("the host's")


@pytest.fixture
def service() -> HungService:
    return HungService()


@pytest.fixture
async def client(service: HungService) -> AsyncIterator[RealtimeTestClient]:
    host = Starlette(routes=[Route("/host", route)])
    app = RealtimeMiddleware(
        host,
        gateways=[JobsGateway(service=service, limits=Limits(handler_timeout=0.1))],
        settings=Settings(ws_auth_token=SHARED, host_threads=3, drain_timeout=0.5),
    )
    async with RealtimeTestClient(app, timeout=20) as client:
        yield client
    service.go.set()


async def test_calls_that_hang_do_not_start_more_threads(service: HungService, client: RealtimeTestClient) -> None:
    # The host has one thread for its routes. Calls that hang do not use it.
    anyio.to_thread.current_default_thread_limiter().total_tokens = 1
    async with client.connect("/ws", token=SHARED) as socket:
        for number in range(8):
            await socket.send("join_job", jobId=f"{number}")
        for _ in range(8):
            assert (await socket.expect("error")).data["code"] == "INTERNAL"
        assert len(service.threads) == 3
        assert len(service.calls) == 3, "a call that did not start in time is dropped"
        assert (await client.http.get("/host")).text == "the host's"
        service.go.set()
        while "quick" not in socket.rooms:  # as soon as a thread is free again
            await socket.send("join_job", jobId="quick")
            await client.settle()


async def test_a_call_that_hangs_does_not_delay_the_shutdown(service: HungService, client: RealtimeTestClient) -> None:
    async with client.connect("/ws", token=SHARED) as socket:
        await socket.send("join_job", jobId="hung")
        assert (await socket.expect("error")).data["code"] == "INTERNAL"
    async with asyncio.timeout(10):
        await client.__aexit__(None, None, None)
    assert not service.go.is_set()


async def test_a_function_that_raises_stop_iteration_fails_at_once(caplog: pytest.LogCaptureFixture) -> None:
    nothing: list[str] = []
    gateway = SocketIOGateway("/")

    @gateway.on("first")
    def first() -> str:
        return next(iter(nothing))

    @gateway.on("join")
    def join(connection: SyncConnection) -> None:
        connection.join("first", allowed=lambda: next(iter(nothing)))

    app = RealtimeMiddleware(Starlette(), gateways=[gateway], settings=Settings(jwt_secret="x" * 32))
    async with RealtimeTestClient(app) as client, client.connect("/", token=client.token("ann")) as ann:
        for event in ("first", "join"):
            assert (await ann.call(event))["code"] == "INTERNAL"
            assert f"{event} failed: RuntimeError('a function of the host raised StopIteration')" in caplog.text


def refresh(connection: SyncConnection, broadcaster: SyncBroadcaster) -> bool:
    """A plain dependency that waits for `rooms_of`."""
    broadcaster.refresh_rooms(connection.identity.user_id)
    return True


class Waiting(SocketIOGateway):
    """Plain functions that wait, in a thread of the host, for other plain functions."""

    def __init__(self) -> None:
        super().__init__("/")
        self._may_join = self.host_call(self.may_join, "may_join", "room")
        self.use(self.guard)

    def rooms_of(self, identity: Identity) -> dict[str, str | None]:  # type: ignore[override]
        return {"lobby": None}

    def may_join(self, room: str) -> bool:
        return room != "closed"

    def guard(self, event: ClientEvent) -> None:
        if event.name == "guarded":
            self.broadcaster.sync.refresh_rooms("ann")

    @on("handler")
    def handler(self, connection: SyncConnection, broadcaster: SyncBroadcaster) -> bool:
        return refresh(connection, broadcaster)

    @on("dependency")
    def dependency(self, refreshed: bool = Depends(refresh)) -> bool:
        return refreshed

    @on("guarded")
    async def guarded(self) -> bool:
        return True

    @on("allowed")
    def allowed(self, connection: SyncConnection, broadcaster: SyncBroadcaster) -> bool:
        connection.join("tea", allowed=lambda: refresh(connection, broadcaster))
        return True

    @on("async allowed")
    def async_allowed(self, connection: SyncConnection) -> bool:
        connection.join("tea", allowed=functools.partial(self._may_join, "tea"))
        return True

    @on("async known")
    def async_known(self, connection: SyncConnection) -> bool:
        connection.join("tea", latest="price", known=lambda: self._may_join("tea"))
        return True


ROOMS = {
    "handler": {"lobby"},
    "dependency": {"lobby"},
    "guarded": {"lobby"},
    "allowed": {"lobby", "tea"},
    "async allowed": {"tea"},
    "async known": {"tea"},
}


@pytest.mark.parametrize("event", ROOMS)
async def test_code_in_the_only_thread_waits_for_other_code_in_a_thread(event: str) -> None:
    settings = Settings(jwt_secret="x" * 32, host_threads=1, limits=Limits(handler_timeout=5))
    app = RealtimeMiddleware(Starlette(), gateways=[Waiting()], settings=settings)
    async with RealtimeTestClient(app) as client, client.connect("/", token=client.token("ann")) as ann:
        assert await ann.call(event) is True
        assert ann.rooms == ROOMS[event]
