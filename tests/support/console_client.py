"""A client of the console without a browser: it logs in, and asks by its WebSocket."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import websockets
from websockets.typing import Origin

from tests.support.console_app import CONSOLE_SECRET

PATH = "/realtime-console"


class Refused(Exception):
    """The console has refused a request: its code and message."""


async def log_in(url: str, secret: str = CONSOLE_SECRET, *, origin: str | None = "same") -> httpx.Response:
    """Send the form of the login page. `origin` None: without the header."""
    headers = {} if origin is None else {"origin": url if origin == "same" else origin}
    async with httpx.AsyncClient() as client:
        return await client.post(f"{url}{PATH}/login", data={"secret": secret}, headers=headers)


async def cookie(url: str) -> str:
    """Log in. Returns the header `Cookie`."""
    response = await log_in(url)
    assert response.status_code == 303, response.text
    return response.headers["set-cookie"].partition(";")[0]


class ConsoleClient:
    """An open page."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self._socket = socket
        self._ref = 0

    async def ask(self, event: str, /, **data: Any) -> Any:
        """Send a request. Returns its result.

        Raises:
            Refused: with the code and the message.
        """
        self._ref += 1
        await self._socket.send(json.dumps({"type": event, "data": {"ref": self._ref, **data}}))
        frame = json.loads(await self._socket.recv())
        assert frame["data"]["ref"] == self._ref
        if frame["type"] == "error":
            raise Refused(frame["data"]["code"], frame["data"]["message"])
        return frame["data"].get("result")


def open_socket(url: str, cookie: str | None, *, origin: str | None = "same") -> websockets.connect:
    """Open the console's WebSocket. `origin` None: without the header."""
    sent = None if origin is None else Origin(url if origin == "same" else origin)
    return websockets.connect(
        f"{url.replace('http', 'ws')}{PATH}",
        origin=sent,
        additional_headers={} if cookie is None else {"Cookie": cookie},
        compression=None,
        ping_interval=None,
    )


@contextlib.asynccontextmanager
async def console_client(url: str) -> AsyncIterator[ConsoleClient]:
    """Log in, and open a page."""
    async with open_socket(url, await cookie(url)) as socket:
        assert json.loads(await socket.recv())["type"] == "auth_success"
        yield ConsoleClient(socket)
