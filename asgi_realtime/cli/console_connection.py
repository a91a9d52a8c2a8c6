"""A command's WebSocket to a console, on which it asks."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final, TypeVar

import click
import msgspec
from msgspec import Raw
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus
from websockets.typing import Origin

from asgi_realtime.cli.console_address import ConsoleAddress
from asgi_realtime.cli.console_login import SECONDS, log_in, no_console, refusal, unreachable
from asgi_realtime.cli.running_app import AppUnavailable
from asgi_realtime.console.login_throttle import Allowance
from asgi_realtime.errors import BrokerUnavailable

T = TypeVar("T")

ANSWER_BYTES: Final = 8_000_000
"""Most bytes of an answer. A console sends at most half of it."""
CLOSE_SECONDS: Final = 1.0
"""Most seconds that a command waits for the console at its end."""
PACE: Final = Allowance(burst=80, interval=0.125)
"""How fast questions are asked: a console refuses more than 100 at once, and then more than 10 in a second."""


class _Frame(msgspec.Struct):
    type: str
    data: Raw = Raw(b"null")


class _Answer(msgspec.Struct):
    ref: int | None = None
    result: Raw = Raw(b"null")
    code: str = ""
    message: str = ""


class ConsoleConnection:
    """Asks a console, one question at a time. It logs in with the first one, and again after a loss."""

    def __init__(self, address: ConsoleAddress, secret: str) -> None:
        self.address = address
        self._secret = secret
        self._socket: ClientConnection | None = None
        self._lock = asyncio.Lock()
        self._ref = 0
        self._refilled_at = 0.0

    async def close(self) -> None:
        """Close the WebSocket."""
        socket, self._socket = self._socket, None
        if socket is not None:
            await socket.close()

    async def ask(self, event: str, kind: type[T], /, **data: Any) -> T:
        """Ask the console. `data` has the fields of the request, and `kind` is the type of the result.

        Raises:
            click.ClickException: the console refuses the command or the question.
            AppUnavailable: it cannot be reached, does not answer, or the connection is lost.
            BrokerUnavailable: the processes of the app could not be asked.
        """
        async with self._lock:
            await asyncio.sleep(PACE.wait(self._refilled_at, time.monotonic()))
            self._refilled_at = max(self._refilled_at, time.monotonic()) + PACE.interval
            if self._socket is None:
                self._socket = await self._connect()
            self._ref += 1
            try:
                async with asyncio.timeout(SECONDS):
                    answer = await self._answer_to(self._socket, event, {**data, "ref": self._ref})
            except TimeoutError as error:
                self._abort()  # a late answer belongs to no later question
                raise unreachable(self.address, error) from None
            except ConnectionClosed as error:
                self._abort()
                raise self._lost(error) from None
        if not answer.code:
            return msgspec.json.decode(answer.result, type=kind)
        if answer.code == "UNAVAILABLE":
            raise BrokerUnavailable(answer.message)
        raise click.ClickException(answer.message)

    def _abort(self) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            socket.transport.abort()

    async def _answer_to(self, socket: ClientConnection, event: str, data: dict[str, Any]) -> _Answer:
        await socket.send(msgspec.json.encode({"type": event, "data": data}).decode())
        while True:
            frame = msgspec.json.decode(await socket.recv(), type=_Frame)
            if frame.type in ("answer", "error"):
                answer = msgspec.json.decode(frame.data, type=_Answer)
                if answer.ref in (self._ref, None):
                    return answer

    async def _connect(self) -> ClientConnection:
        cookie = await asyncio.to_thread(log_in, self.address, self._secret)
        try:
            socket = await connect(
                self.address.websocket,
                origin=Origin(self.address.origin),
                additional_headers={"Cookie": cookie},
                compression=None,
                open_timeout=SECONDS,
                close_timeout=CLOSE_SECONDS,
                max_size=ANSWER_BYTES,
                proxy=None,
            )
        except InvalidStatus as error:
            text = bytes(error.response.body or b"").decode("utf-8", "replace")
            raise refusal(self.address, error.response.status_code, text, None) from None
        except InvalidMessage:
            raise AppUnavailable(f"the console at {self.address} closed the connection") from None
        except InvalidHandshake as error:
            raise no_console(self.address, str(error)) from None
        except OSError as error:
            raise unreachable(self.address, error) from None
        try:
            async with asyncio.timeout(SECONDS):
                await socket.recv()  # `auth_success`
        except TimeoutError as error:
            raise unreachable(self.address, error) from None
        except ConnectionClosed as error:
            raise self._lost(error) from None
        return socket

    def _lost(self, error: ConnectionClosed) -> Exception:
        received = error.rcvd
        if received is not None and received.code == 1009:
            return click.ClickException("the event is too large for the console")
        why = f" ({received.code} {received.reason})" if received is not None else ""
        return AppUnavailable(f"the connection to the console at {self.address} is lost{why}")
