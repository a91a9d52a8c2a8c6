"""Frames that no client library sends end the session, cause few log lines and leave nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import json
import logging
import random
import sys
from collections import Counter
from collections.abc import Coroutine, Iterator
from typing import Any

import httpx
import pytest
from starlette.types import Message
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from asgi_realtime import Connection, SocketIOGateway
from asgi_realtime.connection.connection import InternalConnection
from asgi_realtime.outbound.asgi_writer import Writer
from asgi_realtime.outbound.outbox import Outbox
from asgi_realtime.runtime.inbox import Inbox
from asgi_realtime.transports.engineio import Session
from asgi_realtime.transports.json_websocket.peer import JSONPeer
from asgi_realtime.transports.socketio.peer import SocketIOPeer
from asgi_realtime.transports.websocket_carrier import WebSocketCarrier
from asgi_realtime.values.json import Json
from tests.support.attackers import entered, still_answers
from tests.support.raw_engineio import TRANSPORTS, TransportName, raw_client, read_until_closed
from tests.support.servers import IMPLEMENTATIONS, Implementation, Serve
from tests.support.target_app import Target, by_name

FRAMES = 100_000
SEED = 20261121
DEEP = 100_000
RESERVED = ("connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener")

HOSTILE = [
    "",
    "4",
    "7",
    "9",
    "x",
    "2",
    "2{}",
    "2[]",
    "2[1]",
    "2[null]",
    '2["echo"',
    '2["echo",NaN]',
    '2["echo",1e999]',
    '2["' + "e" * 300 + '"]',
    '2/elsewhere,["echo"]',
    "0",
    '0{"name":"twice"}',
    "3[]",
    "3-1[]",
    "4{}",
    '4{"message":"refused"}',
    "1,1",
    '2["echo",' + "[" * DEEP + "]" * DEEP + "]",
    '2["echo",' + '{"a":' * DEEP + "1" + "}" * DEEP + "]",
    '2["echo",' + "[" * DEEP,
    '0/x,{"a":' + "[" * DEEP + "]" * DEEP + "}",
    "3" + "9" * DEEP + "[]",
    *(json.dumps([name]).join(("2", "")) for name in RESERVED),
]


def worth_a_line(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The log lines of the package at the level of a production log."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith("asgi_realtime")
        and record.levelno >= logging.WARNING
        and "inflates compressed" not in record.getMessage()  # logged once for some servers
    ]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_hostile_message_ends_its_session(
    serve: Serve, transport: TransportName, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "asgi_realtime")
    target = Target()
    server = await serve(target.app)
    async with entered(server, "another") as another:
        for message in HOSTILE:
            caplog.clear()
            async with entered(server, "hostile", transport) as hostile:
                with contextlib.suppress(ConnectionClosed):
                    await hostile.send(message, '2["echo","after"]')
                assert await read_until_closed(hostile) == [], message[:30]
            assert (await target.settled())["connections"] == 1
            assert target.gateway.left.pop() == ("hostile", "parse error"), message[:30]
            # The next poll of a session that has ended is refused. This is logged once a minute.
            own = [each for each in caplog.records if each.name == "asgi_realtime" and "refused" not in str(each.msg)]
            assert len(own) <= 1 and worth_a_line(caplog) == []
            await still_answers(another)
    await target.emptied()
    assert set(target.gateway.received) == {"still here"}


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
async def test_text_that_is_not_utf8_ends_its_session(
    serve: Serve, implementation: Implementation, caplog: pytest.LogCaptureFixture
) -> None:
    target = Target()
    server = await serve(target.app, implementation)
    async with connect(f"{server.websocket_url}/socket.io/?EIO=4&transport=websocket") as socket:
        await socket.recv()
        with contextlib.suppress(ConnectionClosed):
            await socket.send(b'42["echo","\xff\xfe"]', text=True)
            while True:
                await socket.recv()
    async with httpx.AsyncClient() as http, entered(server, "polling", "polling") as client:
        url = f"{server.url}/socket.io/?EIO=4&transport=polling&sid={client.handshake['sid']}"
        assert (await http.post(url, content=b'42["echo","\xff\xfe"]')).status_code == 400
    await target.emptied()
    assert worth_a_line(caplog) == []


async def test_no_handler_receives_a_forged_event(serve: Serve) -> None:
    calls = []

    class Eager(SocketIOGateway):
        async def on_connect(self, connection: Connection) -> None:
            calls.append("connected")

        async def on_disconnect(self, connection: Connection, reason: str) -> None:
            calls.append(reason)

        def dispatch(self, connection: Connection, event: str, sent: object) -> Coroutine[Any, Any, None]:
            async def handle() -> None:
                calls.append(event)

            return handle()

    target = Target(Eager("/eager", authenticator=by_name))
    server = await serve(target.app)
    for event in RESERVED:
        async with raw_client(server, "websocket") as client:
            await client.send('0/eager,{"name":"forger"}')
            await client.receive()
            await client.send(f'2/eager,["{event}",{{"name":"admin"}}]')
            assert await read_until_closed(client) == []
        await target.emptied()
    assert calls == ["connected", "parse error"] * len(RESERVED)


HOSTILE_JSON: list[tuple[str | bytes, int]] = [
    *[(frame, 1008) for frame in ("", "not JSON", "{}", "[]", '{"type":1}', '{"type":null}')],
    (b"binary", 1008),
    ('{"type":"' + "t" * 300 + '"}', 1008),
    ('{"type":"echo","data":' + "[" * DEEP + "]" * DEEP + "}", 1008),
    ('{"type":"echo","data":' + '{"a":' * DEEP, 1008),
    ('{"type":"echo","data":"' + "x" * 1_000_000 + '"}', 1009),
    ('{"type":"echo","data":"' + "é" * 500_000 + '"}', 1009),
]


async def test_a_hostile_frame_ends_a_json_websocket(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    target = Target()
    server = await serve(target.app)
    for frame, code in HOSTILE_JSON:
        async with connect(f"{server.websocket_url}/json") as socket:
            await socket.send('{"type":"auth","data":{"name":"hostile"}}')
            assert "auth_success" in str(await socket.recv())
            await socket.send(frame)
            assert ("TOO_LARGE" if code == 1009 else "INVALID_MESSAGE") in str(await socket.recv()), frame[:30]
            with pytest.raises(ConnectionClosed):
                await socket.send('{"type":"echo","data":"after"}')
                await socket.recv()
            assert socket.close_code == code, frame[:30]
        await target.emptied()
        assert target.path.left.pop() == ("hostile", "parse error" if code == 1008 else "transport error")
    assert worth_a_line(caplog) == []


class Fuzz:
    """Random frames from a fixed seed: packets that are changed, joined or cut, and random characters."""

    PACKETS = (
        '42["echo",{"a":[1,2,{"b":null}]},"text"]',
        '427["echo","with an id"]',
        '451-["echo",{"_placeholder":true,"num":0}]',
        '452-0["echo",{"_placeholder":true,"num":0},[{"_placeholder":true,"num":1}]]',
        '40{"name":"fuzz"}',
        '40/hooks,{"name":"fuzz"}',
        "41",
        '430["an answer"]',
        '461-0[{"_placeholder":true,"num":0}]',
        '44{"message":"refused"}',
        *("2", "2probe", "3", "5", "6"),
    )
    ALPHABET = '0123456789-/,?"[]{}:\\_ \x00\x1e\x7fé\U0001f600\u2028abc'

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def json_frames(self, count: int) -> Iterator[str | bytes]:
        """The same for a JSON WebSocket."""
        types = ("echo", "ping", "auth", "without a handler", "", 1)
        for _ in range(count):
            frame = json.dumps({"type": self._random.choice(types), "data": self._value(5)})
            yield self._changed(frame) if self._random.random() < 0.2 else frame

    def frames(self, count: int) -> Iterator[str | bytes]:
        choose = self._random.random
        for _ in range(count):
            dice = choose()
            if dice < 0.8:
                yield self._event()
            elif dice < 0.83:
                yield self._random.randbytes(self._random.randrange(40))
            elif dice < 0.86:
                yield "".join(self._random.choices(self.ALPHABET, k=self._random.randrange(40)))
            else:
                yield self._changed(self._random.choice(self.PACKETS))

    def _event(self) -> str:
        """A well-formed packet with random content."""
        name = self._random.choice(("echo", "join", "forbidden", "auth/refresh", "without a handler", "\x00"))
        ack_id = self._random.choice(("", "0", "7", "9007199254740993"))
        args = [self._value(4) for _ in range(self._random.randrange(3))]
        return f"42{ack_id}{json.dumps([name, *args])}"

    def _value(self, depth: int) -> Json:
        match self._random.randrange(7 if depth else 4):
            case 0:
                return self._random.choice((None, True, -0.0, 1e308, 2**64, -(2**63)))
            case 1:
                return self._random.randrange(1000)
            case 2 | 3:
                return "".join(self._random.choices(self.ALPHABET, k=self._random.randrange(9)))
            case 4:
                return {"_placeholder": True, "num": self._random.randrange(3), "token": self._value(0)}
            case 5:
                return {str(self._value(0)): self._value(depth - 1) for _ in range(self._random.randrange(3))}
            case _:
                return [self._value(depth - 1) for _ in range(self._random.randrange(3))]

    def _changed(self, packet: str) -> str:
        characters = list(packet)
        for _ in range(self._random.randrange(4)):
            at = self._random.randrange(len(characters) + 1)
            match self._random.randrange(3):
                case 0:
                    characters.insert(at, self._random.choice(self.ALPHABET))
                case 1:
                    del characters[at : at + self._random.randrange(5)]
                case _:
                    characters[at : at + 1] = self._random.choice(self.ALPHABET)
        return "".join(characters)


class FuzzedWebSocket:
    """The ASGI events of one WebSocket: the given messages, then a disconnect."""

    def __init__(self, target: Target, frames: Iterator[str | bytes], path: str = "/socket.io/") -> None:
        self._target = target
        self._frames = frames
        self._path = path
        self._first: list[Message] = [{"type": "websocket.connect"}]
        self.close_sent = False

    async def run(self) -> None:
        scope = {
            "type": "websocket",
            "path": self._path,
            "query_string": b"EIO=4&transport=websocket",
            "headers": [(b"host", b"localhost")],
            "client": ("127.0.0.1", 1),
        }
        await self._target.app(scope, self._receive, self._send)

    async def _receive(self) -> Message:
        if self._first:
            return self._first.pop()
        await asyncio.sleep(0)
        frame = None if self.close_sent else next(self._frames, None)
        if frame is None:
            return {"type": "websocket.disconnect", "code": 1006}
        return {"type": "websocket.receive"} | ({"text": frame} if isinstance(frame, str) else {"bytes": frame})

    async def _send(self, message: Message) -> None:
        if message["type"] == "websocket.close":
            self.close_sent = True


class Lines(logging.Filter):
    """Counts records by level and stops their propagation, because pytest would keep their arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.levels: Counter[int] = Counter()

    def filter(self, record: logging.LogRecord) -> bool:
        self.levels[record.levelno] += 1
        return False


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Every log line of the package from INFO up."""
    lines = Lines()
    logger = logging.getLogger("asgi_realtime")
    logger.addFilter(lines)
    logger.setLevel(logging.INFO)
    yield lines
    logger.setLevel(logging.NOTSET)
    logger.removeFilter(lines)


def held() -> dict[str, int]:
    """Objects of the package in memory that belong to one client."""
    gc.collect()
    kinds = (Session, SocketIOPeer, Connection, InternalConnection, Outbox, WebSocketCarrier, JSONPeer, Writer, Inbox)
    return dict(Counter(type(thing).__name__ for thing in gc.get_objects() if issubclass(type(thing), kinds)))


@pytest.mark.timeout(300)
async def test_a_hundred_thousand_fuzzed_frames_leave_nothing(lines: Lines) -> None:
    asyncio.get_running_loop().set_debug(False)  # debug mode is slow, and keeps a stack for each handle
    target = Target()
    frames = Fuzz(SEED).frames(FRAMES)
    sessions = 0
    before = held()
    async with target.realtime:
        for frame in frames:
            sessions += 1
            await FuzzedWebSocket(target, itertools.chain(['40{"name":"fuzz"}', frame], frames)).run()
            if sessions % 5_000 == 0:
                await target.emptied()
                assert held() == before
        await target.emptied()
        assert held() == before
    assert sessions > FRAMES / 10
    # Each session logs at most one line of information at its end. Above that level are only refusals, a few a minute.
    assert set(lines.levels) <= {logging.INFO, logging.WARNING} and lines.levels[logging.INFO] <= sessions
    assert lines.levels[logging.WARNING] < 200


async def test_fuzzed_json_frames_leave_nothing(lines: Lines) -> None:
    asyncio.get_running_loop().set_debug(False)
    target = Target()
    frames = Fuzz(SEED).json_frames(FRAMES // 5)
    start = '{"type":"auth","data":{"name":"fuzz"}}'
    before = held()
    async with target.realtime:
        for frame in frames:
            await FuzzedWebSocket(target, itertools.chain([start, frame], frames), "/json").run()
        await target.emptied()
        assert held() == before
    assert set(lines.levels) <= {logging.INFO, logging.WARNING}
    assert lines.levels[logging.WARNING] < 200


async def test_memory_is_as_before_once_fuzzing_has_ended(lines: Lines) -> None:
    asyncio.get_running_loop().set_debug(False)
    target = Target()
    blocks = []
    for _ in range(4):
        frames = Fuzz(SEED).frames(2_000)
        async with target.realtime:
            for frame in frames:
                await FuzzedWebSocket(target, itertools.chain(['40{"name":"fuzz"}', frame], frames)).run()
            await target.emptied()
        target.gateway.left.clear()
        target.gateway.received.clear()
        gc.collect()
        blocks.append(sys.getallocatedblocks())
    assert max(blocks[2:]) - blocks[1] < 500, blocks
