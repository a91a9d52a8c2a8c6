"""The spans of handlers that are cancelled say whether they took too long, or the process stopped."""

from __future__ import annotations

import asyncio

from starlette.applications import Starlette

from asgi_realtime import Limits, RealtimeMiddleware, Settings, SocketIOGateway, on
from asgi_realtime.testing import RealtimeTestClient, Transport
from tests.support.each_transport import each_transport
from tests.support.recorded_spans import RecordedSpans


class Waiting(SocketIOGateway):
    """Has a handler that waits within a time limit of its own."""

    def __init__(self) -> None:
        super().__init__("/")
        self.begun = asyncio.Event()

    @on("wait")
    async def wait(self) -> None:
        self.begun.set()
        async with asyncio.timeout(60):
            await asyncio.gather(asyncio.sleep(60), asyncio.sleep(60))

    @on("cancel itself")
    async def cancel_itself(self) -> None:
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.cancel)
        await future


class App:
    def __init__(self, *, drain_timeout: float = 5.0, handler_timeout: float = 60.0) -> None:
        self.spans = RecordedSpans()
        self.gateway = Waiting()
        settings = Settings(
            jwt_secret="a secret of at least thirty-two bytes",
            limits=Limits(handler_timeout=handler_timeout),
            presence_grace=0,
            drain_timeout=drain_timeout,
        )
        self.app = RealtimeMiddleware(
            Starlette(), gateways=[self.gateway], settings=settings, tracing=self.spans.tracing
        )

    def failure(self, event: str) -> tuple[object, ...]:
        span = self.spans.one(f"handle / {event}")
        assert span.status == "ERROR"
        return span.attributes["error.type"], span.exceptions, span.messages


@each_transport
async def test_a_handler_that_takes_too_long(transport: Transport) -> None:
    app = App(handler_timeout=0.05)
    async with (
        RealtimeTestClient(app.app) as client,
        client.connect("/", token=client.token("ann"), transport=transport) as ann,
    ):
        assert (await ann.call("wait"))["code"] == "INTERNAL"
    assert app.failure("wait") == ("TimeoutError", ["TimeoutError"], ["MEW_HANDLER_TIMEOUT has passed"])


@each_transport
async def test_a_process_that_stops(transport: Transport) -> None:
    app = App(drain_timeout=0.1)
    async with (
        RealtimeTestClient(app.app) as client,
        client.connect("/", token=client.token("ann"), transport=transport) as ann,
    ):
        await ann.send("wait")
        await app.gateway.begun.wait()
        await app.app.realtime.stop()
    error = "asyncio.exceptions.CancelledError"
    assert app.failure("wait") == (error, [error], ["the process stops"])


@each_transport
async def test_a_handler_that_awaits_what_is_cancelled(transport: Transport) -> None:
    app = App()
    async with (
        RealtimeTestClient(app.app) as client,
        client.connect("/", token=client.token("ann"), transport=transport) as ann,
    ):
        assert (await ann.call("cancel itself"))["code"] == "INTERNAL"
    error = "asyncio.exceptions.CancelledError"
    assert app.failure("cancel itself") == (error, [error], [""])
