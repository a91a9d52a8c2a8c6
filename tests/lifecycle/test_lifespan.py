"""The lifespan of the host inside that of the package: order, failures, hosts without a lifespan."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asgi_realtime.lifecycle.lifespan import Lifespan


class Server:
    """The server's side of a lifespan scope."""

    def __init__(self, host: ASGIApp, *, start_fails: bool = False) -> None:
        self.log: list[str] = []
        self.answers: asyncio.Queue[Message] = asyncio.Queue()
        self._events: asyncio.Queue[Message] = asyncio.Queue()
        self._start_fails = start_fails
        self.scope: Scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        lifespan = Lifespan(host, start=self._start, stop=self._stop)
        self.task = asyncio.create_task(lifespan(self.scope, self._events.get, self.answers.put))

    async def _start(self) -> None:
        if self._start_fails:
            raise RuntimeError("MEW_SOMETHING is wrong")
        self.log.append("our start")

    async def _stop(self) -> None:
        self.log.append("our stop")

    async def ask(self, event: str) -> str:
        self._events.put_nowait({"type": f"lifespan.{event}"})
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


async def test_a_server_that_cancels_the_lifespan_ends_the_hosts_lifespan() -> None:
    ended = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
        finally:
            ended.set()

    server = Server(app)
    await server.ask("startup")
    server.task.cancel()
    await server.end()
    assert ended.is_set()
