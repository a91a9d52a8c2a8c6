"""Plain events have the same outcome as in the general way: what is handled, answered, refused, logged and closed."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from asgi_realtime import Limits, RealtimeMiddleware, Settings
from asgi_realtime.runtime import fair_turns
from asgi_realtime.uvicorn import WebSocketProtocol
from tests.support.client_frames import BINARY, PING, PONG, TEXT, fragments, frame
from tests.support.idle_loop import IdleLoop, settle
from tests.support.memory_transport import MemoryTransport
from tests.support.varied_gateways import Namespace, Path

_REQUEST = (
    "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_PROTOCOLS = {"WebSocketProtocol": WebSocketProtocol, "stock": WebSocketsSansIOProtocol}

PAYLOADS = [
    *('{"x":1,"y":2}', '{"x":1.5,"y":null}', '{"y":-1,"x":-0}', '{"x":1,"y":2,"z":3}', '{"x":1}', '{"x":1,"y":2.5}'),
    *('{"x":1,"y":2,"z":1e999}', '{"x" :1,"y":2,"z":1e999}', '{"x":1e999,"y":2}', '{"x":1,"x":2,"y":3}'),
    *('{"x":"1","y":2}', '{"x":[1],"y":2}', '{"x":1,"x":1,"y":"a"}', "{}", '{"x":1,"y":2', '{"x":1,"y":2}}'),
    *('{"theText":"hello","kind":"a"}', '{"theText":"a:b","kind":"b"}', '{"theText":"a\\"b\\n","kind":"a"}'),
    *('{"theText":"\\ud83d","kind":"a"}', '{"theText":"\\ud83d\\ude00","kind":"a"}', '{"theText":"hi","kind":"c"}'),
    *('{"theText":"Grüße 好 😀","kind":"a"}', '{"theText":"' + "x" * 60 + '","kind":"a"}', '{"theText":1,"kind":"a"}'),
    *("0", "1", "2", "3", "-0", "1.0", "1e2", "1.5", "01", "1e999", "9" * 30, "18446744073709551616", "true", "null"),
    *('""', '"text"', '"tuple"', '"none"', '"bytes"', '"bad"', '"\\u0041"', '"\\ud800"', '"\\x"', "[]", '["a","b"]'),
    *(
        '["a",1]',
        '"' + "x" * 200 + '"',
        '"' + "x" * 90 + '"',
        '"' + "好" * 120 + '"',
        "[" * 70 + "]" * 70,
        "[" + "[]," * 80 + "[]]",
    ),
    *("[" + "1," * 400 + "1]", '"' + "x" * 1200 + '"', "1,2", '1,"b"', "1,2,3", "", " 1 ", "1 ", "NaN", "'a'", "]"),
]
NAMES = [
    *("move", "said", "open", "point", "model", "number", "texts", "any", "two", "rest", "bare", "wait", "send"),
    *("fail", "end", "variable", "cancel", "answer", "unknown", "ping", "auth", "connect", "", "move ", "x" * 300),
    "\\u006dove",
]
_numbers = st.integers(-2, 12)
_values = st.recursive(
    st.none() | st.booleans() | _numbers | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=4),
    max_leaves=8,
)
payloads = st.one_of(
    st.sampled_from(PAYLOADS),
    _numbers.map(str),
    _values.map(lambda value: json.dumps(value, separators=(",", ":"))),
    _values.map(lambda value: json.dumps(value, ensure_ascii=False)),
)


@st.composite
def socketio_texts(draw: st.DrawFn) -> str:
    """A packet, usually an event."""
    kind = draw(st.integers(0, 19))
    if kind == 0:
        return draw(
            st.sampled_from(["3", "6", "2", "1", "41", "41/chat,", "40", "40/chat,", "431[]", "4", "42", "42[", ""])
        )
    if kind == 1:
        return draw(st.text(max_size=10))
    prefixes = ["42"] * 8 + [
        "42/chat,",
        "42/other,",
        "421",
        "42007",
        "42" + "9" * 16,
        "42" + "9" * 17,
        "42/chat,5",
        "42a",
    ]
    prefix = draw(st.sampled_from(prefixes)) if kind > 2 else draw(st.sampled_from(["451-", "450-", "452-7"]))
    space = draw(st.sampled_from([""] * 12 + [" "]))
    name, payload = draw(st.sampled_from(NAMES)), draw(st.none() | payloads)
    end = draw(st.sampled_from(["]"] * 12 + ["", "]]", "} ", "] "]))
    return f'{prefix}[{space}"{name}"' + ("" if payload is None else f",{space}{payload}") + end


@st.composite
def json_texts(draw: st.DrawFn) -> str:
    """A frame of a JSON WebSocket, usually an event."""
    if draw(st.integers(0, 19)) == 0:
        return draw(st.text(max_size=10))
    space = draw(st.sampled_from([""] * 12 + [" "]))
    name, payload = draw(st.sampled_from(NAMES)), draw(st.none() | payloads)
    field, end = (
        draw(st.sampled_from(["data"] * 12 + ["Data", "type"])),
        draw(st.sampled_from(["}"] * 12 + ["", "}}", "} "])),
    )
    return f'{{{space}"type":"{name}"' + ("" if payload is None else f',{space}"{field}":{payload}') + end


@st.composite
def frames(draw: st.DrawFn, texts: st.SearchStrategy[str]) -> bytes:
    """A WebSocket frame, or several, usually a text."""
    kind = draw(st.integers(0, 29))
    payload = draw(texts).encode()
    if kind == 0:
        return frame(draw(st.sampled_from([PING, PONG])), payload[:125])
    if kind == 1:
        cut = draw(st.integers(0, len(payload)))
        return fragments(TEXT, payload[:cut], payload[cut:])
    if kind == 2:
        return frame(BINARY, payload[:20])
    if kind == 3:
        return frame(TEXT, payload.replace(b"x", b"\xff", 1))
    if kind == 4 and draw(st.booleans()):
        wrong: list[dict[str, Any]] = [{"key": None}, {"reserved": 4}, {"width": 8}, {"final": False}]
        return frame(TEXT, payload, **draw(st.sampled_from(wrong)))
    key = draw(st.binary(min_size=4, max_size=4))
    return frame(TEXT, payload, key=key)


limits = st.sampled_from([Limits()]) | st.builds(
    Limits,
    event_rate=st.just(1e-6),
    event_burst=st.sampled_from([1, 3, 10, 1000]),
    user_event_rate=st.just(1e-6),
    user_event_burst=st.sampled_from([2, 5, 1000]),
    attempt_rate=st.just(1e-6),
    attempt_burst=st.sampled_from([2, 5, 100]),
    control_rate=st.just(1e-6),
    control_burst=st.sampled_from([2, 5, 100]),
    message_bytes=st.sampled_from([100, 200, 1000, 100_000]),
    message_parts=st.sampled_from([10, 50_000]),
    event_name_bytes=st.sampled_from([16, 200]),
    events_in_flight=st.sampled_from([1, 2, 64]),
)


_OFFSET = re.compile(rb'"offset":"[^"]*"')
"""Where an answer to `ping` is in history. It differs for each app."""


class Outcome(NamedTuple):
    """What a client and a host notice."""

    notes: list[str]
    answers: bytes
    ended: str | None
    log: list[str]


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        error = "" if record.exc_info is None else repr(record.exc_info[1])
        self.lines.append(f"{record.levelname} {record.getMessage()} {error}")


async def _host(scope: Scope, receive: Receive, send: Send) -> None:
    """The application behind the middleware. It receives no request."""


class Served:
    """An app with both kinds of gateways, on which plain events go either way."""

    def __init__(self, limits: Limits, session: Limits, *, plain: bool) -> None:
        namespaces, path = (
            [Namespace("/", limits), Namespace("/chat", limits)],
            Path("/json", limits, idle_timeout=1000),
        )
        self.notes = path.handlers.notes
        for each in namespaces:
            each.handlers.notes = self.notes
        self._gateways = [*namespaces, path]
        self.app = RealtimeMiddleware(
            _host,
            gateways=self._gateways,
            settings=Settings(jwt_secret="a secret for tests, long enough and longer", limits=session),
        )
        self._plain = plain
        self._lifespan: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._answered = asyncio.Event()
        self._lines = _Lines()
        self._running: asyncio.Future[None]

    async def __aenter__(self) -> Served:
        scope = {"type": "lifespan", "state": {}}
        self._running = asyncio.ensure_future(self.app(scope, self._lifespan.get, self._send))
        await self._step("startup")
        if not self._plain:
            for each in self._gateways:
                each.plain_events = None
        for name in ("asgi_realtime", "uvicorn.error"):
            logging.getLogger(name).addHandler(self._lines)
        return self

    async def __aexit__(self, *error: object) -> None:
        for name in ("asgi_realtime", "uvicorn.error"):
            logging.getLogger(name).removeHandler(self._lines)
        await self._step("shutdown")
        await self._running

    async def _send(self, message: Any) -> None:
        self._answered.set()

    async def _step(self, name: str) -> None:
        self._answered.clear()
        self._lifespan.put_nowait({"type": f"lifespan.{name}"})
        await self._answered.wait()

    async def websocket(self, server: str, path: str, chunks: Sequence[bytes]) -> Outcome:
        """Send a client's bytes over a WebSocket of this server."""
        config = uvicorn.Config(self.app, log_config=None, ws_ping_interval=None)
        config.load()
        transport = MemoryTransport(_PROTOCOLS[server](config, ServerState(), {}))
        transport.receive(_REQUEST.format(path=path).encode())
        await settle()
        if "socket.io" in path:
            transport.receive(frame(TEXT, b"40/chat,") + frame(TEXT, b"40"))
            await settle()
        begin = len(transport.written)
        for chunk in chunks:
            transport.receive(chunk)
            await settle()
        answers, ended = _OFFSET.sub(b"offset", bytes(transport.written[begin:])), transport.ended
        outcome = Outcome(list(self.notes), answers, ended, list(self._lines.lines))
        transport.lose()
        await settle()
        return outcome

    async def polling(self, bodies: Sequence[bytes]) -> Outcome:
        """Send a client's packets by POSTs."""
        opened = await self._request("GET", "")
        query = "&sid=" + json.loads(opened.removeprefix(b"2000"))["sid"]
        await self._request("POST", query, b"40/chat,\x1e40")
        await settle()
        await self._request("GET", query)
        answers = [await self._request("POST", query, body) for body in bodies]
        await settle()
        answers.append(await self._request("GET", query))
        outcome = Outcome(list(self.notes), b"\n".join(answers), None, list(self._lines.lines))
        await self._request("POST", query, b"1")  # or the app would wait for the client when it stops
        return outcome

    async def _request(self, method: str, query: str, body: bytes = b"") -> bytes:
        incoming = itertools.chain([{"type": "http.request", "body": body, "more_body": False}])
        answer: list[bytes] = []

        async def receive() -> Any:
            for each in incoming:
                return each
            await settle()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            answer.append(str(message.get("status", "")).encode() + message.get("body", b""))

        scope = {
            **{"type": "http", "method": method, "path": "/socket.io/", "raw_path": b"/socket.io/", "root_path": ""},
            **{"query_string": b"EIO=4&transport=polling" + query.encode(), "headers": [], "scheme": "http"},
            **{"client": ("192.0.2.1", 1000), "server": ("192.0.2.2", 80), "http_version": "1.1"},
        }
        await self.app(scope, receive, send)
        return b"".join(answer)


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    """Bytes in pieces."""
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in itertools.pairwise(edges)]


@pytest.fixture(autouse=True)
def no_turn_ends_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """What happens does not depend on the time that it takes."""
    monkeypatch.setattr(fair_turns, "SECONDS_A_TURN", 1000.0)


_slow = settings(max_examples=40, suppress_health_check=list(HealthCheck), phases=[Phase.generate])


def both_ways(limits: Limits, session: Limits, way: str, path: str, chunks: Sequence[bytes]) -> None:
    """Compare."""

    async def run(plain: bool) -> Outcome:
        async with Served(limits, session, plain=plain) as served:
            return await (served.polling(chunks) if way == "polling" else served.websocket(way, path, chunks))

    outcomes = []
    for plain in (True, False):
        with asyncio.Runner(loop_factory=IdleLoop) as runner:
            outcomes.append(runner.run(run(plain)))
    assert outcomes[0] == outcomes[1]


_cuts = st.lists(st.integers(0, 10_000), max_size=5)


@pytest.mark.parametrize("server", _PROTOCOLS)
@_slow
@given(limits=limits, session=limits, sent=st.lists(frames(socketio_texts()), min_size=1, max_size=24), cuts=_cuts)
def test_socketio_events_have_the_same_outcome(
    server: str, limits: Limits, session: Limits, sent: list[bytes], cuts: list[int]
) -> None:
    both_ways(limits, session, server, "/socket.io/?EIO=4&transport=websocket", cut(b"".join(sent), cuts))


@pytest.mark.parametrize("server", _PROTOCOLS)
@_slow
@given(limits=limits, session=limits, sent=st.lists(frames(json_texts()), min_size=1, max_size=24), cuts=_cuts)
def test_json_events_have_the_same_outcome(
    server: str, limits: Limits, session: Limits, sent: list[bytes], cuts: list[int]
) -> None:
    both_ways(limits, session, server, "/json?token=any", cut(b"".join(sent), cuts))


@_slow
@given(
    limits=limits,
    session=limits,
    bodies=st.lists(st.lists(socketio_texts(), min_size=1, max_size=20), min_size=1, max_size=3),
)
def test_events_in_a_post_have_the_same_outcome(limits: Limits, session: Limits, bodies: list[list[str]]) -> None:
    both_ways(limits, session, "polling", "", ["\x1e".join(body).encode() for body in bodies])


MOVE = '42["move",{"x":1,"y":2}]'
SMALL = Limits(message_bytes=100, event_name_bytes=5)
FEW = Limits(event_rate=1e-6, event_burst=3)
ONE = Limits(events_in_flight=1)


@pytest.mark.parametrize(
    ("texts", "limits"),
    [
        (['42["move",{"x":1,"y":2,"z":1e999}]', MOVE], Limits()),  # in a field that is not declared
        (['42["move",{"x" :1,"y":2,"z":1e999}]', MOVE], Limits()),
        (['42["end",2]', MOVE], Limits()),
        (['42["variable",1]', '42["variable",2]', MOVE], Limits()),
        (['42["cancel",1]', '42["cancel",1]', '42["wait",1]', MOVE], Limits()),
        (['42["wait",1]', '42["wait",3]', MOVE, '421["wait",3]', '422["answer",3]'], Limits()),
        (['42["fail",0]', '421["fail",1]', '42["fail",2]', '423["fail",3]', MOVE], Limits()),
        ([MOVE] * 5, FEW),
        (['42["wait",3]', *(f'42["number",{number}]' for number in range(9))], ONE),
        ([MOVE, '42["any","' + "x" * 90 + '"]'], SMALL),
        ([MOVE, '42["number",1]', MOVE], SMALL),
        (['42["any",' + "[" * 70 + "]" * 70 + "]", MOVE], Limits()),
        (['42["any","' + "x" * 1100 + '"]', MOVE], Limits()),
        (['42["two",1,"b"]', '42["two",1]', '42["bare"]', '421["bare"]', MOVE], Limits()),
        (['42["answer","bad"]', '421["answer","bad"]', '422["answer","tuple"]', MOVE], Limits()),
        ([f'42{"9" * 16}["answer",1]', f'42{"9" * 17}["answer",1]', MOVE], Limits()),
        (["451-" + '["any",{"_placeholder":true,"num":0}]', MOVE], Limits()),
        (['42/chat,["move",{"x":1,"y":2}]', MOVE, "41", MOVE], Limits()),
    ],
)
def test_each_condition_of_the_loop(texts: list[str], limits: Limits) -> None:
    chunk = b"".join(frame(TEXT, each.encode()) for each in texts)
    both_ways(
        Limits() if limits is SMALL else limits,
        limits,
        "WebSocketProtocol",
        "/socket.io/?EIO=4&transport=websocket",
        [chunk],
    )
