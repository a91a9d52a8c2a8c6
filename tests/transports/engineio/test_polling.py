from __future__ import annotations

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator

import httpx
import pytest

from asgi_realtime.transports.engineio import Session
from tests.support.clock import Clock
from tests.support.engineio_echo import POLLING, Echo, EchoServer, echo_server, logged
from tests.support.servers import IMPLEMENTATIONS, Implementation, Serve
from tests.support.waiting import until

every_server = pytest.mark.parametrize("implementation", IMPLEMENTATIONS)


@pytest.fixture
async def server(serve: Serve) -> AsyncIterator[EchoServer]:
    async with echo_server(serve) as server:
        yield server


# Opening


async def test_a_session_opens(server: EchoServer) -> None:
    response = await server.http.get(server.url, params=POLLING)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/plain; charset=UTF-8"
    assert response.headers["cache-control"] == "no-store"
    opening = json.loads(response.text.removeprefix("0"))
    assert opening == {
        "sid": opening["sid"],
        "upgrades": ["websocket"],
        "pingInterval": 25000,
        "pingTimeout": 20000,
        "maxPayload": 1_000_000,
    }
    assert list(server.engine.sessions) == [opening["sid"]]


@pytest.mark.parametrize(
    ("method", "query", "code", "message"),
    [
        ("GET", {"EIO": "4"}, 0, "Transport unknown"),
        ("GET", {"EIO": "4", "transport": "telepathy"}, 0, "Transport unknown"),
        ("GET", POLLING | {"sid": "unheard-of"}, 1, "Session ID unknown"),
        ("POST", POLLING, 2, "Bad handshake method"),
        ("PUT", POLLING, 2, "Bad handshake method"),
        ("GET", {"EIO": "4", "transport": "websocket"}, 3, "Bad request"),
        ("GET", {"transport": "polling"}, 5, "Unsupported protocol version"),
        ("GET", POLLING | {"EIO": "3"}, 5, "Unsupported protocol version"),
        ("GET", POLLING | {"EIO": "abc"}, 5, "Unsupported protocol version"),
    ],
)
async def test_bad_requests_get_400_with_a_code(
    server: EchoServer, method: str, query: dict[str, str], code: int, message: str
) -> None:
    response = await server.http.request(method, server.url, params=query)
    assert response.status_code == 400
    assert response.json() == {"code": code, "message": message}
    assert not server.echoes


async def test_a_session_accepts_only_get_and_post(server: EchoServer) -> None:
    sid = await server.open()
    response = await server.http.put(server.url, params=POLLING | {"sid": sid})
    assert (response.status_code, response.json()["code"]) == (400, 2)


async def test_transports_can_be_switched_off(serve: Serve) -> None:
    async with echo_server(serve, transports=("websocket",)) as server:
        assert (await server.http.get(server.url, params=POLLING)).json()["code"] == 0
    async with echo_server(serve, transports=("polling",)) as server:
        response = await server.http.get(server.url, params=POLLING)
        assert json.loads(response.text[1:])["upgrades"] == []


async def test_an_application_that_fails_to_open_answers_500(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Echo):
        def __init__(self, session: Session) -> None:
            raise RuntimeError("a bug")

    async with echo_server(serve, application=Failing) as server:
        response = await server.http.get(server.url, params=POLLING)
        assert response.status_code == 500
        assert not server.engine.sessions
    assert logged(caplog) == ["an application failed to open: RuntimeError('a bug')"]


async def test_sessions_over_a_limit_get_503(serve: Serve) -> None:
    async with echo_server(serve, limits={"sessions_per_address": 2}) as server:
        sid = await server.open()
        await server.open()
        assert (await server.http.get(server.url, params=POLLING)).status_code == 503
        await server.post(sid, "1")
        await server.open()
    async with echo_server(serve, limits={"sessions": 1}) as server:
        await server.open()
        assert (await server.http.get(server.url, params=POLLING)).status_code == 503


# Messages


@every_server
async def test_packets_are_sent_and_received(serve: Serve, implementation: Implementation) -> None:
    async with echo_server(serve, implementation) as server:
        sid = await server.open()
        payload = "4hello\x1ebAQIDBA==\x1e4wörld"
        response = await server.post(sid, payload)
        assert (response.status_code, response.text) == (200, "ok")
        assert server.echo.received == ["hello", b"\x01\x02\x03\x04", "wörld"]
        assert (await server.poll(sid)).text == payload


@every_server
async def test_a_waiting_poll_gets_all_that_is_pushed_in_one_tick(serve: Serve, implementation: Implementation) -> None:
    async with echo_server(serve, implementation) as server:
        sid = await server.open()
        poll = await server.start_poll(sid)
        for number in range(40):
            server.echo.send(str(number))
        assert (await poll).text == "\x1e".join(f"4{number}" for number in range(40))


async def test_every_packet_of_a_post_is_taken(server: EchoServer) -> None:
    sid = await server.open()
    sent = [str(number) for number in range(5000)]
    await server.post(sid, "\x1e".join("4" + message for message in sent))
    assert server.echo.received == sent


async def test_a_post_waits_until_the_application_is_ready(server: EchoServer) -> None:
    sid = await server.open()
    server.echo.gate.clear()
    post = asyncio.create_task(server.post(sid, "4a\x1e4b"))
    assert (await server.poll(sid)).text == "4a"
    assert server.echo.received == ["a"]
    server.echo.gate.set()
    assert (await post).text == "ok"
    assert server.echo.received == ["a", "b"]


@pytest.mark.parametrize("payload", [b"abc", b"", b"6\x1e", b"bA", b"\xff", b"2probe", b"5"])
async def test_a_bad_payload_ends_the_session(server: EchoServer, payload: bytes) -> None:
    sid = await server.open()
    response = await server.post(sid, payload)
    assert (response.status_code, response.json()["code"]) == (400, 3)
    assert server.echo.reasons == ["parse error"]
    assert (await server.poll(sid)).json()["code"] == 1


async def test_answers_sent_before_a_bad_packet_arrive_before_the_close(server: EchoServer) -> None:
    sid = await server.open()
    poll = await server.start_poll(sid)
    assert (await server.post(sid, b"4ok\x1e")).status_code == 400
    assert server.echo.reasons == ["parse error"]
    assert (await poll).text == "4ok"
    assert (await server.poll(sid)).text == "1"
    assert (await server.poll(sid)).json()["code"] == 1


async def test_an_application_that_fails_to_receive_ends_the_session(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(Echo):
        def receive(self, message: str | bytes, now: float) -> bool:
            raise RuntimeError("a bug")

    async with echo_server(serve, application=Failing) as server:
        sid = await server.open()
        assert (await server.post(sid, "4a")).status_code == 400
        assert server.echo.reasons == ["transport error"]
    assert logged(caplog) == ["an application failed to receive: RuntimeError('a bug')"]


@every_server
async def test_a_post_over_the_limit_is_counted_as_it_arrives(serve: Serve, implementation: Implementation) -> None:
    chunk = b"4" + b"x" * 65_535

    async def ten_megabytes() -> AsyncIterator[bytes]:
        for _ in range(160):
            yield chunk

    async with echo_server(serve, implementation) as server:
        sid = await server.open()
        tracemalloc.start()
        try:
            response = await server.post(sid, ten_megabytes())
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert response.status_code == 413
        assert peak < 4_000_000
        assert server.echo.reasons == ["transport error"]
        assert server.echo.received == []


async def test_a_post_of_the_size_limit_is_accepted_and_a_larger_one_refused(serve: Serve) -> None:
    async with echo_server(serve, limits={"message_bytes": 1000}) as server:
        sid = await server.open()
        assert (await server.post(sid, "4" + "x" * 999)).status_code == 200
        assert (await server.post(sid, "4" + "x" * 1000)).status_code == 413


# Misuse


async def test_a_post_that_trickles_in_is_not_waited_for(serve: Serve) -> None:
    async with echo_server(serve, ping_interval=0.1, ping_timeout=0.1, limits={"body_timeout": 0.3}) as server:

        async def body() -> AsyncIterator[bytes]:
            yield b"4"
            await server.echo.ended.wait()

        sid = await server.open()
        assert (await server.post(sid, body())).status_code == 400
        await server.idle.wait()


async def test_a_second_poll_ends_the_session(server: EchoServer) -> None:
    sid = await server.open()
    first = await server.start_poll(sid)
    assert (await server.poll(sid)).status_code == 400
    assert (await first).text == "1"
    assert server.echo.reasons == ["transport error"]
    assert (await server.poll(sid)).json()["code"] == 1


async def test_a_second_post_ends_the_session(server: EchoServer) -> None:
    sid = await server.open()
    server.echo.gate.clear()
    first = asyncio.create_task(server.post(sid, "4a\x1e4b"))
    await server.poll(sid)
    assert (await server.post(sid, "4c")).status_code == 400
    await first
    assert server.echo.reasons == ["transport error"]
    assert server.echo.received == ["a"]


@every_server
async def test_an_aborted_poll_ends_the_session(serve: Serve, implementation: Implementation) -> None:
    async with echo_server(serve, implementation) as server:
        sid = await server.open()
        poll = await server.start_poll(sid)
        poll.cancel()
        await server.echo.ended.wait()
        assert server.echo.reasons == ["transport close"]
        assert (await server.poll(sid)).status_code == 400


# Heartbeat


async def test_pings_are_polled_and_pongs_posted(serve: Serve) -> None:
    clock = Clock(asyncio.get_running_loop())
    async with echo_server(serve, ping_interval=2, ping_timeout=20) as server:
        sid = await server.open()
        for _ in range(3):
            poll = await server.start_poll(sid)
            clock.move(2)
            assert (await poll).text == "2"
            assert (await server.post(sid, "3")).text == "ok"


async def test_a_missing_pong_answers_the_waiting_poll_and_ends_the_session(serve: Serve) -> None:
    clock = Clock(asyncio.get_running_loop())
    async with echo_server(serve, ping_interval=2, ping_timeout=20) as server:
        sid = await server.open()
        poll = await server.start_poll(sid)
        clock.move(2)
        assert (await poll).text == "2"
        server.http.timeout = httpx.Timeout(None)  # the client's limits use the same clock
        poll = await server.start_poll(sid)
        clock.move(20)
        assert (await poll).text == "1"
        assert server.echo.reasons == ["ping timeout"]


async def test_a_busy_application_does_not_end_the_session(serve: Serve) -> None:
    clock = Clock(asyncio.get_running_loop())
    async with echo_server(serve, ping_interval=2, ping_timeout=20) as server:
        server.http.timeout = httpx.Timeout(None)  # the client's limits use the same clock
        sid = await server.open()
        server.echo.gate.clear()
        post = asyncio.create_task(server.post(sid, "4a"))
        assert (await server.poll(sid)).text == "4a"
        poll = await server.start_poll(sid)
        clock.move(2)
        assert (await poll).text == "2"
        poll = await server.start_poll(sid)
        await clock.pass_time(60)  # three times the ping timeout; the pong cannot be posted now
        assert server.echo.reasons == []
        server.echo.gate.set()
        assert (await post).text == "ok"
        assert (await server.post(sid, "3")).text == "ok"
        clock.move(2)
        assert (await poll).text == "2"


# The end


async def test_a_close_of_the_client_ends_its_poll_and_session(server: EchoServer) -> None:
    sid = await server.open()
    poll = await server.start_poll(sid)
    assert (await server.post(sid, "1")).text == "ok"
    assert (await poll).text == "6"
    assert server.echo.reasons == ["client close"]
    assert (await server.poll(sid)).status_code == 400


async def test_the_server_closes_a_waiting_poll(server: EchoServer) -> None:
    sid = await server.open()
    poll = await server.start_poll(sid)
    server.echo.session.close()
    assert (await poll).text == "1"
    assert (await server.poll(sid)).status_code == 400


@every_server
@pytest.mark.parametrize("waiting", [True, False], ids=["a GET waits", "no GET waits"])
async def test_the_server_closes_after_what_is_queued(
    serve: Serve, implementation: Implementation, waiting: bool
) -> None:
    async with echo_server(serve, implementation) as server:
        sid = await server.open()
        poll = await server.start_poll(sid) if waiting else None
        for number in range(40):
            server.echo.send(str(number))
        server.echo.send(b"\x01")
        server.echo.session.close()
        assert server.echo.reasons == ["forced close"]
        server.echo.send("too late")
        assert (await server.post(sid, "4ignored")).text == "ok"
        assert server.echo.received == []
        # The close packet has its own payload: stock clients handle it before other packets of a payload.
        last = await poll if poll is not None else await server.poll(sid)
        assert last.text == "\x1e".join([*(f"4{number}" for number in range(40)), "bAQ=="])
        assert (await server.poll(sid)).text == "1"
        assert (await server.poll(sid)).status_code == 400
        assert not server.engine.sessions


async def test_a_client_that_leaves_while_it_is_closed_is_not_waited_for(server: EchoServer) -> None:
    sid = await server.open()
    server.echo.send("last")
    server.echo.session.close()
    assert (await server.post(sid, "4ignored\x1e1")).text == "ok"
    assert server.echo.received == []
    assert not server.engine.sessions


async def test_the_session_of_a_client_that_does_not_fetch_its_last_packets_is_dropped(serve: Serve) -> None:
    async with echo_server(serve, ping_interval=600, ping_timeout=0.1) as server:
        await server.open()
        server.echo.send("last")
        server.echo.session.close()
        assert len(server.engine.sessions) == 1
        await until(lambda: not server.engine.sessions)


async def test_stopping_closes_polls_and_opens_no_more(server: EchoServer) -> None:
    sid = await server.open()
    poll = await server.start_poll(sid)
    await server.engine.aclose()
    assert (await poll).text == "1"
    assert (await server.http.get(server.url, params=POLLING)).status_code == 503


async def test_a_server_that_was_stopped_can_start_again(server: EchoServer) -> None:
    await server.engine.aclose()
    server.engine.start()
    await server.open()


async def test_stopping_does_not_wait_long_for_clients_that_do_not_poll(server: EchoServer) -> None:
    await server.open()
    async with asyncio.timeout(3):
        await server.engine.aclose()
    assert server.echo.reasons == ["forced close"]


# Origins


async def test_a_foreign_origin_is_refused_on_every_request(serve: Serve) -> None:
    async with echo_server(serve, origins=("https://app.example.com",)) as server:
        foreign = {"origin": "https://evil.example.com"}
        response = await server.http.get(server.url, params=POLLING, headers=foreign)
        assert response.status_code == 403
        assert response.json() == {"code": 4, "message": "Forbidden"}
        assert "access-control-allow-origin" not in response.headers
        sid = await server.open()
        for method in ("GET", "POST", "OPTIONS"):
            response = await server.http.request(method, server.url, params=POLLING | {"sid": sid}, headers=foreign)
            assert response.status_code == 403
        assert server.echo.reasons == []


async def test_a_listed_origin_gets_its_cors_headers_once_on_every_answer(serve: Serve) -> None:
    async with echo_server(serve, origins=("https://app.example.com",)) as server:
        listed = {"origin": "https://app.example.com"}
        for query in (POLLING, {"EIO": "4"}):
            response = await server.http.get(server.url, params=query, headers=listed)
            assert response.headers.get_list("access-control-allow-origin") == ["https://app.example.com"]
        preflight = await server.http.options(
            server.url, params=POLLING, headers=listed | {"access-control-request-method": "POST"}
        )
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-methods"] == "POST"
