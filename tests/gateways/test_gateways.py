"""Gateways on a real server: authentication, events, and what is left after a disconnect."""

from __future__ import annotations

import asyncio
import json
import logging
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from asgi_realtime import (
    Authenticator,
    Connection,
    Disconnect,
    Forbidden,
    Handshake,
    Identity,
    JWTAuthenticator,
    JWTVerifier,
    Limits,
    RealtimeMiddleware,
    Refusal,
    Settings,
    SocketIOGateway,
    Unauthorized,
    create_token,
    on,
    token_from_auth,
)
from asgi_realtime.errors import ConfigurationError
from asgi_realtime.metrics import Meter
from asgi_realtime.realtime import Realtime
from asgi_realtime.runtime.budgets import Budgets
from asgi_realtime.transports.engineio.session import Session
from asgi_realtime.transports.socketio.namespace_transport import NamespaceTransport
from asgi_realtime.transports.socketio.peer import SocketIOPeer
from asgi_realtime.values.event_names import RESERVED
from asgi_realtime.values.ids import UserId
from tests.support.clock import Clock
from tests.support.raw_engineio import raw_client
from tests.support.recording import RecordingTransport
from tests.support.servers import Serve
from tests.support.waiting import forgotten, no_user_online, until

SECRET = "a secret for tests that is long enough"
SETTINGS = Settings(jwt_secret=SECRET, presence_grace=0.0)


OWN = JWTAuthenticator(JWTVerifier(SETTINGS), [token_from_auth("token")])
"""An authenticator made by the host, not by a gateway."""


def token(user_id: str = "ann", **options: Any) -> dict[str, str]:
    return {"token": create_token(user_id, SETTINGS, **options)}


class Gate:
    """Host code waits at this gate until the test opens it."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.go = asyncio.Event()

    async def __call__(self) -> None:
        self.reached.set()
        await self.go.wait()


class Site(SocketIOGateway):
    """A gateway whose hooks run what a test sets."""

    def __init__(self, **options: Any) -> None:
        super().__init__("/", **options)
        self.log: list[str] = []
        self.connecting: Callable[[Connection], Awaitable[None]] | None = None
        self.seen: list[weakref.ref[Connection]] = []
        self.gate = Gate()
        self.running = 0

    async def on_connect(self, connection: Connection) -> None:
        self.seen.append(weakref.ref(connection))
        await connection.join("lobby")
        if self.connecting is not None:
            await self.connecting(connection)

    async def on_disconnect(self, connection: Connection, reason: str) -> None:
        self.log.append(f"disconnect {reason} {sorted(connection.rooms)}")

    async def on_online(self, connection: Connection) -> None:
        self.log.append(f"online {connection.identity.user_id}")

    async def on_offline(self, user_id: str) -> None:
        self.log.append(f"offline {user_id}")

    @on("note")
    async def note(self, text: str) -> str:
        self.log.append(text)
        return text

    @on("wait")
    async def wait(self, name: str) -> str:
        self.running += 1
        assert self.running == 1, "events of one client ran concurrently"
        self.log.append(f"{name} begins")
        await self.gate()
        self.log.append(f"{name} ends")
        self.running -= 1
        return name

    @on("fail")
    async def fail(self, how: str) -> Any:
        if how == "bug":
            raise LookupError("secret of the host")
        if how == "forbidden":
            raise Forbidden("not yours")
        if how == "disconnect":
            raise Disconnect(1008, "enough")
        if how == "slow":
            await asyncio.Event().wait()
        if how == "cancelled":
            raise asyncio.CancelledError
        return object()

    @on("many")
    async def many(self) -> tuple[int, bytes]:
        return 1, b"2"

    @on("ask")
    async def ask(self, connection: Connection) -> None:
        asyncio.get_running_loop().create_task(self._ask(connection))

    async def _ask(self, connection: Connection) -> None:
        try:
            self.log.append(repr(await connection.call("question", {"n": 1}, timeout=0.5)))
        except (TimeoutError, ConnectionError) as error:
            self.log.append(type(error).__name__)


@asynccontextmanager
async def site(serve: Serve, gateway: Site | None = None, settings: Settings = SETTINGS) -> AsyncIterator[Any]:
    gateway = gateway or Site()
    middleware = RealtimeMiddleware(Starlette(), gateways=[gateway], settings=settings)
    server = await serve(middleware)
    yield gateway, middleware.realtime, server
    await server.stop()


async def nothing_left(gateway: Site, realtime: Realtime) -> None:
    """Wait until no room entry, task, presence or connection object is left."""
    await until(lambda: not len(realtime.tasks) and not realtime.engineio.sessions)
    rooms = realtime.hub.rooms(gateway.name)
    assert not len(rooms)
    assert not rooms.names
    assert not rooms.everybody
    await no_user_online(realtime)
    await forgotten(gateway.seen)


# Authentication and connect


async def bug(*_: Any) -> Any:
    raise LookupError("secret of the host")


async def cancelled(*_: Any) -> Any:
    # The same as in host code that awaits a task which other code has cancelled.
    raise asyncio.CancelledError


async def refuse(*_: Any) -> Any:
    raise Refusal("not today", code="CLOSED")


async def disconnect(*_: Any) -> Any:
    raise Disconnect(1008, "banned")


async def forever(*_: Any) -> Any:
    await asyncio.Event().wait()


INTERNAL = '44{"message":"internal error","data":{"code":"INTERNAL"}}'


@pytest.mark.parametrize("where", ["authenticator", "on_connect"])
@pytest.mark.parametrize(
    ("fails", "answer"),
    [
        (bug, INTERNAL),
        (forever, INTERNAL),
        (cancelled, INTERNAL),
        (refuse, '44{"message":"not today","data":{"code":"CLOSED"}}'),
        (disconnect, '44{"message":"banned","data":{"code":1008}}'),
    ],
)
async def test_a_failing_host_leaves_nothing_behind(
    where: str, fails: Any, answer: str, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    # pytest keeps every log record, with its traceback and all objects on that stack.
    monkeypatch.setattr(logging.getLogger("asgi_realtime"), "filters", [lambda record: False])
    gateway = Site(authenticator=fails if where == "authenticator" else None, limits=Limits(handler_timeout=0.2))
    if where == "on_connect":
        gateway.connecting = fails
    async with site(serve, gateway) as (_, realtime, server):
        async with raw_client(server, "websocket") as client:
            assert await client.connect(token()) == answer
            assert await client.connect(token()) == answer, "a second attempt is allowed"
        await nothing_left(gateway, realtime)
        assert gateway.log == []


@pytest.mark.parametrize("where", ["authenticator", "on_connect"])
@pytest.mark.parametrize("how", ["vanishes", "leaves", "ends"])
async def test_a_client_that_disconnects_while_connecting_leaves_nothing_behind(
    where: str, how: str, serve: Serve
) -> None:
    gate = Gate()

    async def authenticate(handshake: Handshake) -> Identity:
        await gate()
        return Identity(user_id=UserId("ann"))

    async def connecting(connection: Connection) -> None:
        await gate()

    gateway = Site(authenticator=authenticate if where == "authenticator" else None)
    gateway.connecting = connecting if where == "on_connect" else None
    async with site(serve, gateway) as (_, realtime, server):
        async with raw_client(server, "websocket") as client:
            await client.send_packet("40" + json.dumps(token()))
            await gate.reached.wait()
            if how == "vanishes":
                client.vanish()
            elif how == "leaves":
                await client.send_packet("41")
                await client.send_packet("1")
        await nothing_left(gateway, realtime)
        assert gateway.log == []


async def test_a_host_that_swallows_its_cancellation_admits_no_client(serve: Serve) -> None:
    gate = Gate()

    async def stubborn(connection: Connection) -> None:
        try:
            await gate()
        except asyncio.CancelledError:
            await connection.send("too late")

    gateway = Site()
    gateway.connecting = stubborn
    async with site(serve, gateway) as (_, realtime, server):
        async with raw_client(server, "websocket") as client:
            await client.send_packet("40" + json.dumps(token()))
            await gate.reached.wait()
            client.vanish()
        await nothing_left(gateway, realtime)


async def test_no_broadcast_arrives_before_the_answer_to_connect(serve: Serve) -> None:
    gate, authenticated = Gate(), Gate()

    async def authenticate(handshake: Handshake) -> Identity:
        await authenticated()
        return Identity(user_id=UserId("ann"))

    async def connecting(connection: Connection) -> None:
        await connection.send("hello")
        await gate()
        await connection.send("ready")

    gateway = Site(authenticator=authenticate)
    gateway.connecting = connecting
    async with site(serve, gateway) as (_, realtime, server), raw_client(server, "websocket") as client:
        await client.send_packet("40")
        await authenticated.reached.wait()
        assert (await realtime.broadcaster.broadcast_to_all("LEAK")).delivered_locally == 0
        authenticated.go.set()
        await gate.reached.wait()
        await realtime.broadcaster.broadcast_to_room("lobby", "room")
        await realtime.broadcaster.broadcast_to_all("all")
        await realtime.broadcaster.broadcast_to_user("ann", "mine")
        realtime.hub.flush()  # without an early write, as the end of the tick does
        gate.go.set()
        assert (await client.next()).startswith('40{"sid"')
        events = [await client.next() for _ in range(5)]
        assert events == [f'42["{name}"]' for name in ("hello", "ready", "room", "all", "mine")]


async def test_frames_for_a_refused_client_are_dropped(serve: Serve) -> None:
    gate = Gate()

    async def connecting(connection: Connection) -> None:
        await connection.send("LEAK")
        await gate()
        await connection.close()
        await connection.send("LEAK")

    gateway = Site()
    gateway.connecting = connecting
    async with site(serve, gateway) as (_, realtime, server):
        async with raw_client(server, "websocket") as client:
            await client.send_packet("40" + json.dumps(token()))
            await gate.reached.wait()
            await realtime.broadcaster.broadcast_to_all("LEAK")
            gate.go.set()
            assert await client.next() == '44{"message":"refused","data":{"code":1000}}'
            await client.send_packet("1")
            assert (await client.until_closed())[0] == []
        await nothing_left(gateway, realtime)


async def test_a_session_that_never_connects_is_closed(serve: Serve) -> None:
    settings = Settings(jwt_secret=SECRET, limits=Limits(connect_timeout=0.1))
    async with site(serve, settings=settings) as (gateway, realtime, server):
        async with raw_client(server, "websocket") as client:
            assert (await client.connect(token("x", exp=1))).startswith("44")
            assert await client.until_closed() == ([], 1008)
        await nothing_left(gateway, realtime)


async def test_a_connection_over_the_limit_of_a_user_is_refused(serve: Serve) -> None:
    gateway = Site(limits=Limits(connections_per_user=1))
    async with (
        site(serve, gateway) as (_, realtime, server),
        raw_client(server, "websocket") as first,
        raw_client(server, "websocket") as second,
    ):
        assert (await first.connect(token())).startswith("40")
        assert json.loads((await second.connect(token()))[2:])["data"]["code"] == "RATE_LIMITED"
        assert (await second.connect(token("bob"))).startswith("40")
        await first.send_packet("41")
        async with raw_client(server, "websocket") as third:
            await until(lambda: len(realtime.hub.rooms(gateway.name)) == 1)
            assert (await third.connect(token())).startswith("40")


async def test_hooks_run_in_order_from_connect_to_disconnect(serve: Serve) -> None:
    async with site(serve) as (gateway, realtime, server):
        async with raw_client(server, "websocket") as client:
            assert (await client.connect(token())).startswith("40")
            await client.emit("note", "hi", ack="7")
            assert await client.next() == '437["hi"]'
        await nothing_left(gateway, realtime)
        assert gateway.log == ["online ann", "hi", "disconnect transport close ['lobby']", "offline ann"]


# Events


async def test_the_protocols_own_names_never_reach_a_handler(serve: Serve) -> None:
    gateway = Site()
    for name in RESERVED:
        with pytest.raises(ConfigurationError):
            gateway.on(name)
    async with site(serve, gateway) as (_, realtime, server):
        for name in RESERVED:
            async with raw_client(server, "websocket") as client:
                await client.connect(token())
                await client.emit(name, {}, {})
                packets, _ = await client.until_closed()
                assert packets == []
        await nothing_left(gateway, realtime)
        assert {entry for entry in gateway.log if not entry.startswith("o")} == {"disconnect parse error ['lobby']"}
        assert len([entry for entry in gateway.log if entry.startswith("disconnect")]) == len(RESERVED)


async def test_handler_results_and_errors_are_acknowledged(serve: Serve) -> None:
    gateway = Site(limits=Limits(handler_timeout=0.1))
    async with site(serve, gateway) as (_, realtime, server), raw_client(server, "websocket") as client:
        await client.connect(token())
        for how, code, message in [
            ("bug", "INTERNAL", "internal error"),
            ("slow", "INTERNAL", "internal error"),
            ("cancelled", "INTERNAL", "internal error"),
            ("nonsense", "INTERNAL", "internal error"),
            ("forbidden", "FORBIDDEN", "not yours"),
        ]:
            await client.emit("fail", how, ack="1")
            assert json.loads((await client.next())[3:]) == [{"success": False, "code": code, "message": message}]
            if how != "nonsense":  # without an ack no result is sent
                await client.emit("fail", how)
                assert json.loads((await client.next())[2:]) == ["error", {"code": code, "message": message}]
        await client.emit("unknown", ack="2")
        assert "INVALID_MESSAGE" in await client.next()
        await client.emit("note", 1, ack="3")
        assert "INVALID_MESSAGE" in await client.next()
        await client.emit("many", ack="4")
        assert await client.next() == '461-4[1,{"_placeholder":true,"num":0}]'
        assert await client.next() == "bytes b'2'"
        await client.emit("fail", "disconnect")
        assert await client.until_closed() == (["41"], 1008)
        await realtime.tasks.until_idle()
        assert "disconnect server disconnect ['lobby']" in gateway.log


async def test_a_sleeping_handler_delays_no_heartbeat_and_no_other_client(serve: Serve) -> None:
    settings = Settings(jwt_secret=SECRET, ping_interval=0.3, ping_timeout=0.2)
    async with (
        site(serve, settings=settings) as (gateway, _, server),
        raw_client(server, "websocket") as slow,
        raw_client(server, "websocket") as other,
    ):
        await slow.connect(token())
        await other.connect(token("bob"))
        for name in ("first", "second"):
            await slow.emit("wait", name, ack="1")
        await other.emit("note", "from another client")
        await gateway.gate.reached.wait()
        waiting = [asyncio.create_task(client.next()) for client in (slow, other)]
        await until(lambda: slow.pings >= 5 and other.pings >= 5)
        assert [entry for entry in gateway.log if "online" not in entry] == ["first begins", "from another client"]
        gateway.gate.go.set()
        assert await waiting[0] == '431["first"]'
        assert await slow.next() == '431["second"]'
        assert gateway.log[-4:] == ["from another client", "first ends", "second begins", "second ends"]
        waiting[1].cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_reading_pauses_when_too_much_is_in_flight_without_a_ping_timeout(serve: Serve) -> None:
    clock = Clock(asyncio.get_running_loop())
    limits = Limits(events_in_flight=4)
    settings = Settings(jwt_secret=SECRET, ping_interval=2, ping_timeout=2, limits=limits)
    async with site(serve, settings=settings) as (gateway, realtime, server), raw_client(server, "websocket") as client:
        await client.connect(token())
        await client.emit("wait", "first")
        for number in range(100):
            await client.emit("note", str(number), ack="9")
        await gateway.gate.reached.wait()
        reading = asyncio.create_task(client.next())
        (connection,) = realtime.hub.rooms(gateway.name).everybody
        await until(lambda: connection.inbox.waiting == 4)
        clock.move(2)
        await until(lambda: client.pings == 1)
        await clock.pass_time(6)  # three times the ping timeout; the pong is not read
        assert connection.inbox.waiting == 4
        gateway.gate.go.set()
        answers = [await reading] + [await client.next() for _ in range(99)]
        assert answers == [f'439["{number}"]' for number in range(100)]


async def test_events_over_the_rate_are_refused_and_then_end_the_client(serve: Serve) -> None:
    gateway = Site(limits=Limits(event_rate=0.001, event_burst=3, attempt_rate=0.001, attempt_burst=2))
    async with site(serve, gateway) as (_, realtime, server), raw_client(server, "websocket") as client:
        await client.connect(token())
        for number in range(4):
            await client.emit("note", "x", ack=str(number))
        answers = sorted([await client.next() for _ in range(4)])
        assert answers[:3] == [f'43{number}["x"]' for number in range(3)]
        assert "RATE_LIMITED" in answers[3]
        for _ in range(10):
            await client.emit("note", "x")
        packets, code = await client.until_closed()
        assert code == 1008
        assert len(packets) <= 4
        await realtime.tasks.until_idle()
        assert gateway.log.count("x") == 3


async def test_a_call_returns_the_first_acknowledgement_of_the_client(serve: Serve) -> None:
    async with site(serve) as (gateway, realtime, server):
        async with raw_client(server, "websocket") as client:
            await client.connect(token())
            for answer in ("[1]", '[1,"two"]', "[]"):
                await client.emit("ask")
                question = await client.next()
                assert question.endswith('["question",{"n":1}]')
                ack_id = question[2 : question.index("[")]
                await client.send_packet(f"43{ack_id}{answer}")
                await client.send_packet(f"43{ack_id}{answer}")  # a duplicate, and an unknown id
                await client.send_packet(f"43999{answer}")
            await client.emit("ask")
            question = await client.next()
            await until(lambda: "TimeoutError" in gateway.log)
            await client.send_packet(f"43{question[2 : question.index('[')]}[1]")  # too late
            await client.emit("ask")
            await client.next()
        await until(lambda: "NoAnswer" in gateway.log)
        answers = [entry for entry in gateway.log if not entry.startswith(("online", "offline", "disconnect"))]
        assert answers == ["1", "[1, 'two']", "None", "TimeoutError", "NoAnswer"]
        await nothing_left(gateway, realtime)


async def test_an_acknowledgement_at_the_moment_of_the_timeout_raises_no_error() -> None:
    gateway = Site()
    realtime = Realtime(gateways=[gateway], settings=SETTINGS)
    # Only NamespaceTransport.call, with an acknowledgement that arrives after its waiter was cancelled.
    session = Session(
        "sid",
        Handshake(gateway=gateway.name),
        websocket=True,
        settings=SETTINGS,
        budgets=Budgets(SETTINGS.limits, Meter()),
        now=0.0,
        owner=realtime.engineio,
    )
    transport = NamespaceTransport(SocketIOPeer(session, realtime), gateway)
    transport.connection = AcceptingConnection()  # type: ignore[assignment]
    call = asyncio.create_task(transport.call("question", None, 10))
    await asyncio.sleep(0)
    call.cancel()
    assert (transport.has_pending_acks, transport.acknowledged(0, [1])) == (True, True)
    with pytest.raises(asyncio.CancelledError):
        await call
    assert not transport.has_pending_acks
    with pytest.raises(TypeError):
        await transport.call("question", object(), 10)
    assert not transport.has_pending_acks


class AcceptingConnection:
    """Accepts every frame."""

    closed = False

    def push(self, frame: object) -> None: ...


# Tokens


async def test_an_expired_connection_is_closed_unless_its_token_is_refreshed(serve: Serve) -> None:
    async with site(serve) as (gateway, realtime, server):
        async with raw_client(server, "websocket") as expiring, raw_client(server, "websocket") as kept:
            for client in (expiring, kept):
                assert (await client.connect(token(expires_in=3.0))).startswith("40")
            await kept.emit("auth/refresh", token("bob"), ack="1")
            assert "UNAUTHORIZED" in await kept.next()
            await kept.emit("auth/refresh", {"token": "forged"}, ack="2")
            assert "UNAUTHORIZED" in await kept.next()
            await kept.emit("auth/refresh", {"token": 1}, ack="3")
            assert "INVALID_MESSAGE" in await kept.next()
            await kept.emit("auth/refresh", token(expires_in=60), ack="4")
            assert await kept.next() == '434[{"success":true}]'
            assert await expiring.until_closed() == (["41"], 1008)
            await kept.emit("note", "still here", ack="5")
            assert await kept.next() == '435["still here"]'
        await nothing_left(gateway, realtime)


async def test_revocations_and_disconnect_user_close_the_matching_connections(serve: Serve) -> None:
    async with site(serve) as (gateway, realtime, server):
        broadcaster = realtime.broadcaster
        first, second, third = token(jti="one"), token(jti="two"), token("bob")
        async with (
            raw_client(server, "websocket") as a,
            raw_client(server, "websocket") as b,
            raw_client(server, "websocket") as c,
            raw_client(server, "websocket") as d,
        ):
            for client, auth in ((a, first), (b, second), (c, third)):
                assert (await client.connect(auth)).startswith("40")
            await broadcaster.revoke_token("one")
            assert await a.until_closed() == (["41"], 1008)
            assert "UNAUTHORIZED" in await d.connect(first)
            await broadcaster.revoke_user("ann")
            assert await b.until_closed() == (["41"], 1008)
            assert "UNAUTHORIZED" in await d.connect(second)
            assert (await d.connect(token())).startswith("40"), "a newer token is accepted"
            await broadcaster.disconnect_user("bob", reason="é" * 100)
            assert await c.until_closed() == (["41"], 1008)
        await nothing_left(gateway, realtime)


@pytest.mark.parametrize("authenticator", [None, OWN], ids=["default", "own"])
async def test_a_connection_accepts_no_revoked_token(serve: Serve, authenticator: Authenticator | None) -> None:
    async with (
        site(serve, Site(authenticator=authenticator)) as (_, realtime, server),
        raw_client(server, "websocket") as client,
    ):
        assert (await client.connect(token())).startswith("40")
        await realtime.broadcaster.revoke_token("one")
        await client.emit("auth/refresh", token(jti="one"), ack="1")
        assert "UNAUTHORIZED" in await client.next()
        await client.emit("auth/refresh", token(jti="two"), ack="2")
        assert await client.next() == '432[{"success":true}]'


async def test_a_token_revoked_while_its_client_connects_is_refused(serve: Serve) -> None:
    gate = Gate()

    async def connecting(connection: Connection) -> None:
        await gate()

    gateway = Site()
    gateway.connecting = connecting
    async with site(serve, gateway) as (_, realtime, server):
        async with raw_client(server, "websocket") as client:
            await client.send_packet("40" + json.dumps(token(jti="one")))
            await gate.reached.wait()
            await realtime.broadcaster.revoke_token("one")
            gate.go.set()
            assert (await client.next()).startswith("44")
        await nothing_left(gateway, realtime)


# Slow readers


async def test_a_stalled_reader_is_closed_and_others_receive_everything(serve: Serve) -> None:
    settings = Settings(jwt_secret=SECRET, limits=Limits(outbox_bytes=600_000))
    async with site(serve, settings=settings) as (gateway, realtime, server), raw_client(server, "websocket") as quick:
        await quick.connect(token("quick"))
        async with raw_client(server, "websocket", max_queue=1) as stalled:
            await stalled.connect(token("stalled"))
            stalled.websocket.transport.pause_reading()
            payload = "x" * 500_000
            sent = 0
            while len(realtime.hub.rooms(gateway.name)) == 2:
                await realtime.broadcaster.broadcast_to_all("data", payload)
                sent += len(payload)
                assert await quick.until("data") == []
                assert sent < 40_000_000, "kernel and server buffer too much"
            await realtime.broadcaster.broadcast_to_all("data", payload)
            assert await quick.until("data") == []
            await until(lambda: len(realtime.engineio.sessions) == 1)
            assert "disconnect too slow ['lobby']" in gateway.log
            stalled.vanish()


# Without a separate transport


async def test_accepting_a_disconnected_client_undoes_everything() -> None:
    gateway = Site()
    async with Realtime(gateways=[gateway], settings=SETTINGS) as realtime:
        with pytest.raises(Refusal):
            handshake = Handshake(gateway=gateway.name, auth=token())
            await gateway.open(handshake, RecordingTransport(gateway=gateway, gone=True))
        await nothing_left(gateway, realtime)
        assert await realtime.broadcaster.online_users() == set()
    with pytest.raises(Unauthorized):
        async with Realtime(gateways=[gateway := Site()], settings=SETTINGS):
            await gateway.open(Handshake(gateway=gateway.name), RecordingTransport())


async def test_polling_carries_forty_events_in_order(serve: Serve) -> None:
    gateway = Site()
    middleware = RealtimeMiddleware(Starlette(), gateways=[gateway], settings=SETTINGS)
    server = await serve(middleware)
    url = server.url + "/socket.io/?EIO=4&transport=polling"
    async with httpx.AsyncClient() as http:
        sid = json.loads((await http.get(url)).text[1:])["sid"]
        url += f"&sid={sid}"
        await http.post(url, content="40" + json.dumps(token()))
        assert (await http.get(url)).text.startswith("40")
        events = "\x1e".join(f'42{n}["note","{n}"]' for n in range(40))
        assert (await http.post(url, content=events)).text == "ok"
        received: list[str] = []
        while len(received) < 40:
            received += (await http.get(url)).text.split("\x1e")
        assert received == [f'43{n}["{n}"]' for n in range(40)]
        await http.post(url, content="1")
    await nothing_left(gateway, middleware.realtime)


def test_a_gateway_that_is_not_mounted_raises() -> None:
    with pytest.raises(RuntimeError, match="not mounted"):
        Site().context  # noqa: B018
