from __future__ import annotations

import asyncio
import gc
import json
import logging
import socket
import weakref
from collections.abc import AsyncIterator

import pytest
from websockets.asyncio import client
from websockets.exceptions import ConnectionClosed, InvalidStatus

from asgi_realtime.transports.engineio import Session
from tests.support.clock import Clock
from tests.support.engineio_echo import Echo, EchoServer, echo_server, logged
from tests.support.servers import IMPLEMENTATIONS, Implementation, Serve
from tests.support.waiting import until

every_server = pytest.mark.parametrize("implementation", IMPLEMENTATIONS)


@pytest.fixture
async def server(serve: Serve) -> AsyncIterator[EchoServer]:
    async with echo_server(serve) as server:
        yield server


# Messages


@every_server
async def test_a_session_opens_and_carries_messages_both_ways(serve: Serve, implementation: Implementation) -> None:
    async with echo_server(serve, implementation) as server, server.connect() as websocket:
        opening = json.loads(str(await websocket.recv()).removeprefix("0"))
        assert opening["sid"] in server.engine.sessions
        assert opening["upgrades"] == []
        await websocket.send("4hällo")
        assert await websocket.recv() == "4hällo"
        await websocket.send(b"\x01\x02\x03\x04")
        assert await websocket.recv() == b"\x01\x02\x03\x04"


async def test_pushed_frames_arrive_in_order(server: EchoServer) -> None:
    async with server.connect() as websocket:
        await websocket.recv()
        for number in range(500):
            server.echo.send(str(number))
            if number % 7 == 0:
                await websocket.send("3")  # lets the loop and the writer run
        assert [await websocket.recv() for _ in range(500)] == [f"4{number}" for number in range(500)]


async def test_an_idle_session_owns_no_task(server: EchoServer) -> None:
    async with server.connect() as websocket:
        await websocket.recv()
        await websocket.send("4a")
        await websocket.recv()
        assert len(server.tasks) == 0


async def test_nothing_is_read_until_the_application_is_ready(server: EchoServer) -> None:
    async with server.connect() as websocket:
        await websocket.recv()
        server.echo.gate.clear()
        for message in ("4a", "4b"):
            await websocket.send(message)
        assert await websocket.recv() == "4a"
        assert server.echo.received == ["a"]
        server.echo.gate.set()
        assert await websocket.recv() == "4b"


# Refusals


async def answer_of(connecting: client.connect) -> str:
    """The start of the first message, or the code of the close."""
    try:
        async with connecting as websocket:
            return str(await websocket.recv())[:1]
    except ConnectionClosed as closed:
        return str(closed.rcvd and closed.rcvd.code)


@every_server
async def test_clients_that_connect_at_the_same_time_do_not_exceed_the_limit(
    serve: Serve, implementation: Implementation
) -> None:
    async with echo_server(serve, implementation, limits={"sessions": 1}) as server:
        server.accepting.clear()
        answers = [asyncio.create_task(answer_of(server.connect())) for _ in range(3)]
        await until(lambda: server.held_acceptances == 3)
        server.accepting.set()
        assert sorted(await asyncio.gather(*answers)) == ["0", "1013", "1013"]


async def test_a_client_whose_acceptance_outlasts_the_stop_gets_no_session(serve: Serve) -> None:
    async with echo_server(serve) as server:
        server.accepting.clear()
        answer = asyncio.create_task(answer_of(server.connect()))
        await until(lambda: server.held_acceptances == 1)
        await server.engine.aclose()
        server.accepting.set()
        assert await answer == "1012"
        assert not server.engine.sessions


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("transport=websocket", 400, 5),
        ("EIO=3&transport=websocket", 400, 5),
        ("EIO=4", 400, 0),
        ("EIO=4&transport=abc", 400, 0),
        ("EIO=4&transport=polling", 400, 3),
        ("EIO=4&transport=websocket&sid=unheard-of", 400, 1),
    ],
)
@every_server
async def test_bad_requests_are_refused_before_the_upgrade(
    serve: Serve, implementation: Implementation, query: str, status: int, code: int
) -> None:
    async with echo_server(serve, implementation) as server:
        with pytest.raises(InvalidStatus) as refusal:
            await server.connect_to(f"?{query}")
        assert refusal.value.response.status_code == status
        assert json.loads(refusal.value.response.body)["code"] == code


@every_server
async def test_a_foreign_origin_is_refused_before_the_upgrade(serve: Serve, implementation: Implementation) -> None:
    async with echo_server(serve, implementation, origins=("https://app.example.com",)) as server:
        with pytest.raises(InvalidStatus) as refusal:
            await server.connect(origin="https://evil.example.com")
        assert refusal.value.response.status_code == 403
        sid = await server.open()
        with pytest.raises(InvalidStatus):
            await server.connect(sid, origin="https://evil.example.com")
        async with server.connect(origin="https://app.example.com") as websocket:
            await websocket.recv()


async def test_sessions_over_a_limit_get_503(serve: Serve) -> None:
    async with echo_server(serve, limits={"sessions_per_address": 1}) as server:
        async with server.connect() as websocket:
            await websocket.recv()
            with pytest.raises(InvalidStatus) as refusal:
                await server.connect()
            assert refusal.value.response.status_code == 503
        await server.echo.ended.wait()
        async with server.connect() as websocket:
            await websocket.recv()


# The end


@pytest.mark.parametrize(
    ("packet", "code", "reason"),
    [
        ("abc", 1002, "parse error"),
        ("", 1002, "parse error"),
        ("2", 1002, "parse error"),
        ("5", 1002, "parse error"),
        ("bAQ==", 1002, "parse error"),
        ("1", 1000, "client close"),
        ("4" + "x" * 1000, 1009, "transport error"),
        ("4" + "ä" * 500, 1009, "transport error"),
        (b"x" * 1001, 1009, "transport error"),
    ],
)
async def test_packets_that_end_the_session(serve: Serve, packet: str | bytes, code: int, reason: str) -> None:
    async with echo_server(serve, limits={"message_bytes": 1000}) as server, server.connect() as websocket:
        await websocket.recv()
        await websocket.send(packet)
        with pytest.raises(ConnectionClosed):
            await websocket.recv()
        assert (websocket.close_code, websocket.close_reason) == (code, reason)
        assert server.echo.reasons == [reason]


async def test_an_application_that_fails_to_receive_closes_with_1011(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(Echo):
        def receive(self, message: str | bytes, now: float) -> bool:
            raise RuntimeError("a bug")

    async with echo_server(serve, application=Failing) as server, server.connect() as websocket:
        await websocket.recv()
        await websocket.send("4a")
        with pytest.raises(ConnectionClosed):
            await websocket.recv()
        assert websocket.close_code == 1011
    assert logged(caplog) == ["an application failed to receive: RuntimeError('a bug')"]


async def test_an_application_that_fails_to_open_closes_with_1011(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(Echo):
        def __init__(self, session: Session) -> None:
            raise RuntimeError("a bug")

    async with echo_server(serve, application=Failing) as server, server.connect() as websocket:
        with pytest.raises(ConnectionClosed):
            await websocket.recv()
        assert websocket.close_code == 1011
    assert logged(caplog) == ["an application failed to open: RuntimeError('a bug')"]


@every_server
async def test_a_client_that_disconnects_ends_its_session(serve: Serve, implementation: Implementation) -> None:
    async with echo_server(serve, implementation) as server:
        async with server.connect() as websocket:
            await websocket.recv()
            websocket.transport.abort()
        await server.echo.ended.wait()
        assert server.echo.reasons == ["transport close"]


@every_server
async def test_the_server_closes_after_what_is_queued(serve: Serve, implementation: Implementation) -> None:
    async with echo_server(serve, implementation) as server, server.connect() as websocket:
        await websocket.recv()
        for number in range(100):
            server.echo.send(str(number))
        server.echo.session.close(4000, "bye")
        assert server.echo.reasons == ["forced close"]
        assert [await websocket.recv() for _ in range(100)] == [f"4{number}" for number in range(100)]
        with pytest.raises(ConnectionClosed):
            await websocket.recv()
        assert (websocket.close_code, websocket.close_reason) == (4000, "bye")


async def test_a_reason_too_long_for_a_close_frame_is_cut(server: EchoServer) -> None:
    async with server.connect() as websocket:
        await websocket.recv()
        server.echo.session.close(4000, "ä" * 100)
        await websocket.wait_closed()
        assert (websocket.close_code, websocket.close_reason) == (4000, "ä" * 61)


async def test_stopping_tells_clients_to_reconnect(server: EchoServer) -> None:
    async with server.connect() as websocket:
        await websocket.recv()
        await server.engine.aclose()
        with pytest.raises(ConnectionClosed):
            await websocket.recv()
        assert websocket.close_code == 1012


# Heartbeat


async def test_pings_are_answered_by_pongs(serve: Serve) -> None:
    clock = Clock(asyncio.get_running_loop())
    async with echo_server(serve, ping_interval=2, ping_timeout=2) as server, server.connect() as websocket:
        await websocket.recv()
        for _ in range(3):
            clock.move(2)
            assert await websocket.recv() == "2"
            await websocket.send("3")
            await websocket.send("4a")
            assert await websocket.recv() == "4a"  # the pong was read too
        assert server.echo.reasons == []


async def test_a_missing_pong_ends_the_session(serve: Serve) -> None:
    clock = Clock(asyncio.get_running_loop())
    async with echo_server(serve, ping_interval=2, ping_timeout=2) as server, server.connect() as websocket:
        await websocket.recv()
        clock.move(2)
        assert await websocket.recv() == "2"
        clock.move(2)
        with pytest.raises(ConnectionClosed):
            await websocket.recv()
        assert server.echo.reasons == ["ping timeout"]


async def test_a_busy_application_does_not_end_the_session(serve: Serve) -> None:
    clock = Clock(asyncio.get_running_loop())
    async with echo_server(serve, ping_interval=2, ping_timeout=2) as server, server.connect() as websocket:
        await websocket.recv()
        server.echo.gate.clear()
        await websocket.send("4a")
        assert await websocket.recv() == "4a"
        clock.move(2)
        assert await websocket.recv() == "2"
        await websocket.send("3")
        await clock.pass_time(6)  # three times the ping timeout; the pong is not read now
        assert server.echo.reasons == []
        server.echo.gate.set()
        await websocket.send("4b")
        assert await websocket.recv() == "4b"  # the pong was read too
        clock.move(2)
        assert await websocket.recv() == "2"


# Upgrade


@every_server
async def test_an_upgrade_ends_the_waiting_poll_and_hands_over(serve: Serve, implementation: Implementation) -> None:
    async with echo_server(serve, implementation) as server:
        sid = await server.open()
        poll = await server.start_poll(sid)
        async with await server.probe(sid) as websocket:
            assert (await poll).text == "6"
            server.echo.send("queued")
            await websocket.send("5")
            assert await websocket.recv() == "4queued"
            assert server.echo.session.transport == "websocket"
            await websocket.send("4hello")
            assert await websocket.recv() == "4hello"


async def test_a_poll_in_the_middle_of_an_upgrade_is_soon_over(server: EchoServer) -> None:
    sid = await server.open()
    async with await server.probe(sid):
        assert (await server.poll(sid)).text == "6"
        server.echo.send("by polling")
        assert (await server.poll(sid)).text == "4by polling"


async def test_requests_after_an_upgrade_are_refused_and_the_session_continues(server: EchoServer) -> None:
    sid = await server.open()
    async with await server.probe(sid) as websocket:
        poll = await server.start_poll(sid)  # arrived before the upgrade packet
        await websocket.send("5")
        assert (await poll).status_code == 400
        assert (await server.poll(sid)).json() == {"code": 3, "message": "Bad request"}
        assert (await server.post(sid, "4a")).status_code == 400
        async with server.connect(sid) as another:
            with pytest.raises(ConnectionClosed):
                await another.recv()
        await websocket.send("4hello")
        assert await websocket.recv() == "4hello"
    assert server.echo.received == ["hello"]


@every_server
@pytest.mark.parametrize("last_words", ["nothing", "2probe", "4hello", b"\x00"])
async def test_an_abandoned_upgrade_loses_nothing(
    serve: Serve, implementation: Implementation, last_words: str | bytes
) -> None:
    async with echo_server(serve, implementation) as server:
        sid = await server.open()
        websocket = await server.probe(sid)
        server.echo.send("a")
        if last_words == "nothing":
            websocket.transport.abort()
        else:
            await websocket.send(last_words)
        await websocket.wait_closed()
        await server.idle.wait()
        server.echo.send("b")
        assert (await server.poll(sid)).text == "4a\x1e4b"
        assert (await server.post(sid, "4c")).text == "ok"
        assert (await server.poll(sid)).text == "4c"
        async with await server.probe(sid) as again:
            await again.send("5")
            await again.send("4d")
            assert await again.recv() == "4d"


@every_server
async def test_an_abandoned_upgrade_leaves_no_reference_cycle(serve: Serve, implementation: Implementation) -> None:
    async with echo_server(serve, implementation) as server:
        sid = await server.open()
        async with await server.probe(sid) as websocket:
            await websocket.send("nothing that belongs here")
            await websocket.wait_closed()
        await server.idle.wait()
        session = weakref.ref(server.echo.session)
        server.echo.session.abort("forced close")
        gc.disable()
        try:
            server.echoes.clear()
            await until(lambda: session() is None)
        finally:
            gc.enable()


async def test_an_upgrade_that_takes_too_long_is_given_up(serve: Serve) -> None:
    async with echo_server(serve, upgrade_timeout=0.5) as server:
        sid = await server.open()
        async with await server.probe(sid) as websocket:
            server.echo.send("a")
            await websocket.wait_closed()
        assert (await server.poll(sid)).text == "4a"


@every_server
async def test_a_session_closed_during_an_upgrade_sends_what_is_queued_on_the_websocket(
    serve: Serve, implementation: Implementation
) -> None:
    """After the answer to its probe the client stops polling. Only the WebSocket reaches it."""
    async with echo_server(serve, implementation) as server:
        sid = await server.open()
        async with await server.probe(sid) as websocket:
            server.echo.send("last")
            server.echo.session.close(4000, "bye")
            assert server.echo.reasons == ["forced close"]
            await websocket.send("5")
            await websocket.send("4ignored")
            assert await websocket.recv() == "4last"
            await websocket.wait_closed()
            assert (websocket.close_code, websocket.close_reason) == (4000, "bye")
        assert (await server.poll(sid)).status_code == 400
        assert server.echo.received == []


async def test_a_session_closed_before_the_probe_sends_what_is_queued_by_polling(server: EchoServer) -> None:
    sid = await server.open()
    async with server.connect(sid) as websocket:
        server.echo.send("last")
        server.echo.session.close(4000, "bye")
        assert (await server.poll(sid)).text == "4last"
        assert (await server.poll(sid)).text == "1"
        await websocket.wait_closed()
        assert (websocket.close_code, websocket.close_reason) == (4000, "bye")


@every_server
async def test_messages_sent_before_a_bad_packet_arrive_before_the_close(
    serve: Serve, implementation: Implementation
) -> None:
    async with echo_server(serve, implementation) as server, server.connect() as websocket:
        await websocket.recv()
        await websocket.send("4one")
        await websocket.send("4two")
        await websocket.send("what?")
        await websocket.send("4three")
        assert [await websocket.recv(), await websocket.recv()] == ["4one", "4two"]
        await websocket.wait_closed()
        assert websocket.close_code == 1002
        assert server.echo.reasons == ["parse error"]
        assert server.echo.received == ["one", "two"]


# Clients that do not read


async def stalled_client(server: EchoServer) -> socket.socket:
    """A WebSocket of a client that reads nothing after the answer of the server."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, ("127.0.0.1", server.live.port))
    await loop.sock_sendall(
        client,
        b"GET /engine.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n"
        b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
    )
    while b'"sid"' not in await loop.sock_recv(client, 4096):
        pass
    return client


async def read_to_the_end(client: socket.socket) -> None:
    try:
        while await asyncio.get_running_loop().sock_recv(client, 65_536):
            pass
    except ConnectionResetError:
        pass


uvicorns = pytest.mark.parametrize("implementation", ["uvicorn", "uvicorn-wsproto"])


@uvicorns
async def test_a_client_that_does_not_read_is_cut_at_its_limit(serve: Serve, implementation: Implementation) -> None:
    async with echo_server(serve, implementation) as server:
        with await stalled_client(server) as client:
            stalled = server.echo
            async with server.connect() as other:
                await other.recv()
                while not stalled.reasons:
                    assert stalled.session.outbox.size <= 1_048_576
                    stalled.send("x" * 10_000)
                    await other.send("4from another client")
                    await other.recv()
            assert stalled.reasons == ["too slow"]
            async with asyncio.timeout(2):
                await server.idle.wait()
                await read_to_the_end(client)


@uvicorns
async def test_a_client_that_does_not_read_can_be_closed(serve: Serve, implementation: Implementation) -> None:
    async with echo_server(serve, implementation, limits={"outbox_bytes": 100_000_000}) as server:
        with await stalled_client(server) as client:
            for _ in range(1000):
                server.echo.send("x" * 10_000)
            await asyncio.wait([asyncio.ensure_future(server.echo.ended.wait())], timeout=0.2)
            assert server.echo.session.outbox.size > 1_000_000
            server.echo.session.close(1008, "kicked")
            async with asyncio.timeout(1):
                await server.idle.wait()
            assert not server.engine.sessions
            await read_to_the_end(client)


async def test_a_healthy_client_over_the_limit_gets_the_reason(serve: Serve) -> None:
    # With `send`, frames pushed in one tick wait until the writer runs.
    async with echo_server(serve, fast_writes=False) as server, server.connect() as websocket:
        await websocket.recv()
        for _ in range(200):
            server.echo.send("x" * 10_000)
        assert server.echo.reasons == ["too slow"]
        with pytest.raises(ConnectionClosed):
            while True:
                await websocket.recv()
        assert websocket.close_code == 1013


# Logs


async def test_no_log_shows_what_may_be_secret_in_a_query(server: EchoServer, caplog: pytest.LogCaptureFixture) -> None:
    lines: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    collector = Collector()
    for name in ("uvicorn.access", "uvicorn.error", "asgi_realtime"):
        logging.getLogger(name).addHandler(collector)
        caplog.set_level(logging.INFO, name)
    try:
        sid = await server.open(token="s3cret")
        await server.http.post(server.url + f"?EIO=4&transport=polling&sid={sid}&token=s3cret", content="4a")
        await server.http.get(server.url + "?EIO=4&s3cret")
        async with server.connect(query="&adminSecret=s3cret") as websocket:
            await websocket.recv()
            await websocket.send("bad")
            await server.echo.ended.wait()
        with pytest.raises(InvalidStatus):
            await server.connect("unheard-of", query="&token=s3cret")
    finally:
        for name in ("uvicorn.access", "uvicorn.error", "asgi_realtime"):
            logging.getLogger(name).removeHandler(collector)
    assert len([line for line in lines if "EIO=4" in line and "redacted" in line]) == 5
    assert not any("s3cret" in line for line in lines)
