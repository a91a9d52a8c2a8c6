"""Clients that disconnect during a request, below middlewares that require a response."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import httpx
import pytest
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from asgi_realtime import Limits
from tests.support.attackers import entered, still_answers
from tests.support.servers import IMPLEMENTATIONS, Implementation, Serve
from tests.support.target_app import Target
from tests.support.waiting import until


class WithAHeader(BaseHTTPMiddleware):
    """The middleware that `@app.middleware("http")` makes. It records how each request ended."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(app)
        self.begun = 0
        self.ended: list[int | str] = []

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        self.begun += 1
        try:
            response = await call_next(request)
        except Exception as error:
            self.ended.append(repr(error))
            raise
        self.ended.append(response.status_code)
        return response


def long_poll(sid: str) -> bytes:
    return f"GET /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


def half_a_post(sid: str) -> bytes:
    head = f"POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n"
    return f'{head}42["echo"'.encode()


def post_over_the_limit(sid: str) -> bytes:
    head = f"POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n"
    return f"{head}4{'x' * 5000}".encode()


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("how", ["closes", "resets"])
@pytest.mark.parametrize("request_of", [long_poll, half_a_post, post_over_the_limit])
async def test_an_aborted_request_logs_no_line(
    serve: Serve,
    implementation: Implementation,
    how: str,
    request_of: Callable[[str], bytes],
    caplog: pytest.LogCaptureFixture,
) -> None:
    target = Target(limits=Limits(message_bytes=1000))
    middleware = WithAHeader(target.app)
    server = await serve(middleware, implementation)
    async with httpx.AsyncClient() as http:
        opening = await http.get(f"{server.url}/socket.io/?EIO=4&transport=polling")
    sid = opening.text.partition('"sid":"')[2].partition('"')[0]
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request_of(sid))
    await until(lambda: middleware.begun == 2)
    if how == "resets":
        writer.transport.abort()
    else:
        writer.close()
    await until(lambda: len(middleware.ended) == 2)
    assert middleware.ended == [200, 400]
    await target.emptied()
    assert not [
        record
        for record in caplog.records
        if record.levelno >= logging.WARNING
        and record.name != "asyncio"
        and "inflates compressed" not in record.getMessage()  # logged once for some servers
    ]


async def test_a_client_below_a_host_middleware_is_served(serve: Serve) -> None:
    target = Target()
    server = await serve(WithAHeader(target.app))
    async with entered(server, "ann", "polling") as ann:
        await still_answers(ann)
