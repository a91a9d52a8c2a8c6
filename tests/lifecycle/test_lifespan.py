"""The lifespan of the host inside that of the package: order, failures, hosts without a lifespan."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.lifespan.on import LifespanOn

from asgi_realtime import RealtimeMiddleware, Settings, SocketIOGateway
from asgi_realtime.lifecycle.lifespan import Lifespan
from tests.support.waiting import until


class Server:
    """The server's side of a lifespan scope."""

    def __init__(self, host: ASGIApp, *, start_fails: bool = False, send_fails: str = "") -> None:
        self.log: list[str] = []
        self.answers: asyncio.Queue[Message] = asyncio.Queue()
        self._events: asyncio.Queue[Message] = asyncio.Queue()
        self._start_fails = start_fails
        self._send_fails = send_fails
        self.scope: Scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        lifespan = Lifespan(host, start=self._start, stop=self._stop)
        self.task = asyncio.create_task(lifespan(self.scope, self._events.get, self._send))

    async def _start(self) -> None:
        if self._start_fails:
            raise RuntimeError("MEW_SOMETHING is wrong")
        self.log.append("our start")

    async def _stop(self) -> None:
        self.log.append("our stop")

    async def _send(self, message: Message) -> None:
        if message["type"] == f"lifespan.{self._send_fails}":
            raise ConnectionError("the server has gone")
        self.answers.put_nowait(message)

    def event(self, event: str) -> None:
        self._events.put_nowait({"type": f"lifespan.{event}"})

    async def ask(self, event: str) -> str:
        self.event(event)
        async with asyncio.timeout(5):
            answer = await self.answers.get()
        self.log.append(answer["type"].removeprefix("lifespan."))
        return str(answer.get("message", ""))

    async def end(self) -> None:
        async with asyncio.timeout(5):
            await asyncio.gather(self.task, return_exceptions=True)
        assert self.answers.empty()


def host(
    server: list[Server], *, startup: str = "complete", shutdown: str = "complete", raises: bool = False
) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for event, answer in (("startup", startup), ("shutdown", shutdown)):
            message = await receive()
            assert message["type"] == f"lifespan.{event}"
            server[0].log.append(f"host {event}")
            scope["state"]["host"] = "was here"
            await send({"type": f"lifespan.{event}.{answer}", "message": "the host's own"})
            if answer == "failed":
                if raises:
                    raise RuntimeError("as Starlette does")
                return

    return app


async def test_the_package_starts_first_and_stops_last() -> None:
    servers: list[Server] = []
    servers.append(server := Server(host(servers)))
    await server.ask("startup")
    assert server.scope["state"] == {"host": "was here"}
    await server.ask("shutdown")
    await server.end()
    assert server.log == [
        *("our start", "host startup", "startup.complete"),
        *("host shutdown", "our stop", "shutdown.complete"),
    ]


@pytest.mark.parametrize("raises", [True, False])
async def test_a_host_that_does_not_start_reports_its_own_error(raises: bool) -> None:
    servers: list[Server] = []
    servers.append(server := Server(host(servers, startup="failed", raises=raises)))
    assert await server.ask("startup") == "the host's own"
    await server.end()
    assert server.log == ["our start", "host startup", "our stop", "startup.failed"]


@pytest.mark.parametrize("raises", [True, False])
async def test_a_host_that_does_not_stop_reports_its_own_error(raises: bool) -> None:
    servers: list[Server] = []
    servers.append(server := Server(host(servers, shutdown="failed", raises=raises)))
    await server.ask("startup")
    assert await server.ask("shutdown") == "the host's own"
    await server.end()
    assert server.log[-2:] == ["our stop", "shutdown.failed"]


async def test_a_failing_start_of_the_package_does_not_start_the_host() -> None:
    servers: list[Server] = []
    servers.append(server := Server(host(servers), start_fails=True))
    assert "MEW_SOMETHING" in await server.ask("startup")
    await server.end()
    assert server.log == ["startup.failed"]


async def _raises(scope: Scope, receive: Receive, send: Send) -> None:
    scope["path"]


async def _returns(scope: Scope, receive: Receive, send: Send) -> None:
    return


async def _reads_and_returns(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()


async def _reads_and_raises(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    raise NotImplementedError("no lifespan here")


@pytest.mark.parametrize("app", [_raises, _returns, _reads_and_returns, _reads_and_raises])
async def test_a_host_without_lifespan_does_not_prevent_start_and_stop(app: Any) -> None:
    server = Server(app)
    await server.ask("startup")
    await server.ask("shutdown")
    await server.end()
    assert server.log == ["our start", "startup.complete", "our stop", "shutdown.complete"]


async def test_a_host_whose_lifespan_fails_after_its_start_does_not_prevent_the_stop() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        raise RuntimeError("later")

    server = Server(app)
    await server.ask("startup")
    await server.ask("shutdown")
    await server.end()
    assert server.log == ["our start", "startup.complete", "our stop", "shutdown.complete"]


async def test_a_host_may_send_lifespan_replies_without_receiving() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})

    server = Server(app)
    await server.ask("startup")
    await server.ask("shutdown")
    await server.end()
    assert server.log == ["our start", "startup.complete", "our stop", "shutdown.complete"]


# Ends without an answer


async def waiting_host(scope: Scope, receive: Receive, send: Send) -> None:
    """A host whose start-up does not end."""
    await receive()
    await asyncio.Event().wait()


async def test_a_server_that_cancels_the_lifespan_ends_the_host_and_then_the_gateways() -> None:
    servers: list[Server] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
        finally:
            servers[0].log.append("end of the host")

    servers.append(server := Server(app))
    await server.ask("startup")
    server.task.cancel()
    await server.end()
    assert server.task.cancelled()
    assert server.log == ["our start", "startup.complete", "end of the host", "our stop"]


async def test_a_lifespan_that_is_cancelled_while_the_host_starts_stops_the_gateways() -> None:
    tasks = asyncio.all_tasks()
    server = Server(waiting_host)
    server.event("startup")
    await until(lambda: server.log)
    server.task.cancel()
    await server.end()
    assert server.task.cancelled() and server.log == ["our start", "our stop"]
    await until(lambda: asyncio.all_tasks() == tasks)


@pytest.mark.parametrize("answer", ["startup.complete", "startup.failed", "shutdown.complete"])
async def test_a_server_that_takes_no_answer_stops_the_gateways(answer: str) -> None:
    servers: list[Server] = []
    event, _, outcome = answer.partition(".")
    startup = outcome if event == "startup" else "complete"
    servers.append(server := Server(host(servers, startup=startup), send_fails=answer))
    if event == "shutdown":
        await server.ask("startup")
    server.event(event)
    await server.end()
    assert isinstance(server.task.exception(), ConnectionError)
    assert server.log.count("our stop") == 1


# `sys.exit()` in the host's lifespan


def ending(step: str, how: BaseException, *, answers: bool) -> ASGIApp:
    """A host whose lifespan ends at a step. `answers`: it reports this first, as Starlette does."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for event in ("startup", "shutdown"):
            await receive()
            if event == step:
                if answers:
                    await send({"type": f"lifespan.{event}.failed", "message": f"the host's own {how!r}"})
                raise how
            await send({"type": f"lifespan.{event}.complete"})
            if step == "between":
                raise how

    return app


@pytest.mark.parametrize("how", [SystemExit(7), asyncio.CancelledError()], ids=["exit", "cancelled"])
@pytest.mark.parametrize("answers", [True, False])
async def test_a_host_that_exits_at_its_start_is_reported_and_ends_no_loop(how: BaseException, answers: bool) -> None:
    server = Server(ending("startup", how, answers=answers))
    assert type(how).__name__ in await server.ask("startup")
    await server.end()
    assert server.task.done() and not server.task.cancelled() and server.task.exception() is None
    assert server.log == ["our start", "our stop", "startup.failed"]


@pytest.mark.parametrize("how", [SystemExit(7), asyncio.CancelledError()], ids=["exit", "cancelled"])
@pytest.mark.parametrize("answers", [True, False])
@pytest.mark.parametrize("step", ["between", "shutdown"])
async def test_a_host_that_exits_later_is_reported_at_the_end(step: str, how: BaseException, answers: bool) -> None:
    server = Server(ending(step, how, answers=answers))
    await server.ask("startup")
    assert type(how).__name__ in await server.ask("shutdown")
    await server.end()
    assert server.task.done() and not server.task.cancelled() and server.task.exception() is None
    assert server.log == ["our start", "startup.complete", "our stop", "shutdown.failed"]


@pytest.mark.parametrize("step", ["startup", "shutdown"])
async def test_uvicorn_shows_the_same_as_without_the_package(step: str, caplog: pytest.LogCaptureFixture) -> None:
    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        if step == "startup":
            sys.exit(7)
        yield
        sys.exit(7)

    async def shown(app: Any) -> tuple[bool, bool, list[str]]:
        caplog.clear()
        caplog.set_level("INFO", "uvicorn.error")
        server = LifespanOn(uvicorn.Config(app, log_config=None))
        async with asyncio.timeout(5):
            await server.startup()
            if step == "shutdown":
                await server.shutdown()
        return server.startup_failed, server.shutdown_failed, [record.getMessage() for record in caplog.records]

    plain = Starlette(lifespan=lifespan)
    expected = await shown(plain)
    assert "SystemExit: 7" in "".join(expected[2])
    settings = Settings(jwt_secret="a secret for tests that is long enough")
    wrapped = RealtimeMiddleware(plain, gateways=[SocketIOGateway()], settings=settings)
    assert await shown(wrapped) == expected
    assert wrapped.realtime.lifecycle.loop is None
