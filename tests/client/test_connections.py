"""How clients return after a loss, and what ends them."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.types import Message, Receive, Scope, Send

from asgi_realtime import Connection, Disconnect, Frame, RealtimeMiddleware, create_token
from asgi_realtime.client import Closed, Connected, NotConnected, Reconnection, Refused
from tests.support.clients import counters, workshop
from tests.support.faulty_proxy import faulty_proxy
from tests.support.returning_clients import SETTINGS, Tokens, counters_client, middleware, workshop_client
from tests.support.servers import Serve
from tests.support.waiting import until
from tests.support.workshop import CountersGateway, WorkshopGateway


async def test_a_json_client_recovers_what_it_missed(serve: Serve) -> None:
    app, tokens = middleware(), Tokens()
    server = await serve(app)
    async with faulty_proxy([server.url], seed=0) as proxy, counters_client(proxy.url, tokens) as client:
        await client.join({"id": "1", "item": "tea"})
        await client.ping()
        await client.expect(counters.PongEvent)
        proxy.drop(1.0)
        await app.broadcaster.broadcast_to_room("tea", "cleared", gateway="/counters")
        assert await client.expect(Connected) is False
        assert await client.expect(Connected) is True
        await client.expect(counters.ClearedEvent)
        await client.clear()  # it is in its room
        await client.expect(counters.ClearedEvent)
        proxy.drop(1.0)
        assert await client.expect(Connected) is True
        await client.ping()
        await client.expect(counters.PongEvent)
        with pytest.raises(TimeoutError):  # what it has got before does not come again
            await client.expect(counters.ClearedEvent, timeout=0)
    assert tokens.made == 3


async def test_a_client_does_not_recover_a_frame_that_is_too_large(serve: Serve) -> None:
    app = middleware()
    server = await serve(app)
    async with counters_client(server.url, max_bytes=2000) as client:
        await client.join({"id": "1", "item": "tea"})
        await client.ping()
        await client.expect(counters.PongEvent)
        shape = {"kind": "square", "side": 1, "label": "x" * 2000}
        await app.broadcaster.broadcast_to_room("tea", "shape", shape, gateway="/counters")
        assert await client.expect(Connected) is False
        assert await client.expect(Connected) is False
        await client.join({"id": "2", "item": "tea"})
        await client.clear()
        await client.expect(counters.ClearedEvent)


async def test_a_socketio_client_returns_with_a_new_token_as_a_new_client(serve: Serve) -> None:
    server, tokens = await serve(middleware()), Tokens()
    async with faulty_proxy([server.url], seed=0) as proxy, workshop_client(proxy.url, tokens) as client:
        assert await client.expect(Connected) is False
        proxy.drop(1.0)
        assert await client.expect(Connected) is False
        assert await client.move(1, "here") == 1
    assert tokens.made == 2


async def test_a_client_over_polling_returns_too(serve: Serve) -> None:
    server = await serve(middleware())
    async with faulty_proxy([server.url], seed=0) as proxy:
        async with workshop_client(proxy.url, transports=["polling"]) as client:
            assert await client.expect(Connected) is False
            assert await client.upload(b"abc") == b"cba"
            proxy.drop(1.0)
            assert await client.expect(Connected) is False


async def test_a_client_whose_token_expires_returns_with_a_new_one(serve: Serve) -> None:
    server, tokens = await serve(middleware()), Tokens(seconds=2)
    async with counters_client(server.url, tokens) as desk, workshop_client(server.url, tokens) as client:
        for each in (desk, client):
            await each.expect(Connected)
            await each.expect(Connected)
    assert tokens.made >= 4


@pytest.mark.parametrize("code", [1000, 1008])
async def test_a_client_that_is_ended_by_the_server_raises_the_close_code(serve: Serve, code: int) -> None:
    app = middleware()
    server = await serve(app)
    async with counters_client(server.url) as client:
        await client.expect(counters.AuthSuccessEvent)
        await app.broadcaster.disconnect_user("ann", code=code, reason="logged out", gateway="/counters")
        with pytest.raises(Closed, match=f"{code} logged out") as caught:
            await client.expect(counters.ClearedEvent)
        assert (caught.value.code, caught.value.reason) == (code, "logged out")
        assert await anext(client) == Connected(False)  # what had come can still be taken
        with pytest.raises(Closed):
            await anext(client)
        with pytest.raises(Closed):
            await client.ping()


async def test_a_code_that_is_not_for_good_lets_clients_return(serve: Serve) -> None:
    app = middleware()
    server = await serve(app)
    async with counters_client(server.url) as desk, workshop_client(server.url) as client:
        for each, gateway in ((desk, "/counters"), (client, "/")):
            await each.expect(Connected)
            await app.broadcaster.disconnect_user("ann", code=4000, gateway=gateway)
            await each.expect(Connected)


async def test_1000_is_for_good_also_with_a_function_for_tokens(serve: Serve) -> None:
    app, tokens = middleware(), Tokens()
    server = await serve(app)
    async with counters_client(server.url, tokens) as client:
        await app.broadcaster.disconnect_user("ann", code=1000, gateway="/counters")
        with pytest.raises(Closed):
            await client.expect(counters.ClearedEvent)
    assert tokens.made == 1


async def test_a_socketio_client_that_is_ended_by_the_server_stays_away(serve: Serve) -> None:
    app = middleware()
    server = await serve(app)
    async with workshop_client(server.url) as client:
        await app.broadcaster.disconnect_user("ann", gateway="/")
        with pytest.raises(Closed, match="server disconnect") as caught:
            await client.expect(workshop.ClearedEvent)
        assert caught.value.code is None


async def test_a_refusal_of_the_return_ends_the_client(serve: Serve) -> None:
    server = await serve(middleware())
    for make in (counters_client, workshop_client):
        tokens = iter([create_token("ann", SETTINGS), "no token"])
        async with faulty_proxy([server.url], seed=0) as proxy, make(proxy.url, tokens.__next__) as client:
            await client.expect(Connected)
            proxy.drop(1.0)
            with pytest.raises(Refused) as caught:
                await client.expect(Connected)
            assert caught.value.code == "UNAUTHORIZED"


class Restarting:
    """Tells the second client to come back."""

    clients = 0

    async def on_connect(self, connection: Connection) -> None:
        self.clients += 1
        if self.clients == 2:
            raise Disconnect(1012, "restart")


class RestartingCounters(Restarting, CountersGateway): ...


class RestartingWorkshop(Restarting, WorkshopGateway): ...


async def test_clients_come_back_to_a_server_that_restarts_while_they_return(serve: Serve) -> None:
    board, desk = RestartingWorkshop("/"), RestartingCounters("/counters")
    server = await serve(RealtimeMiddleware(Starlette(), gateways=[board, desk], settings=SETTINGS))
    for make in (counters_client, workshop_client):
        async with faulty_proxy([server.url], seed=0) as proxy, make(proxy.url) as client:
            await client.expect(Connected)
            proxy.drop(1.0)
            await client.expect(Connected)
    assert (board.clients, desk.clients) == (3, 3)  # the second was told to come back, and came


@pytest.mark.parametrize("status", [408, 429, 503])
async def test_clients_come_back_to_a_proxy_that_is_busy(serve: Serve, status: int) -> None:
    app, attempts, sent = middleware(), itertools.count(1), list[int]()

    async def busy(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket" and next(attempts) == 2:
            await send({"type": "websocket.http.response.start", "status": status, "headers": []})
            await send({"type": "websocket.http.response.body", "body": b""})
            sent.append(status)
        else:
            await app(scope, receive, send)

    server = await serve(busy)
    async with faulty_proxy([server.url], seed=0) as proxy, counters_client(proxy.url) as client:
        await client.expect(Connected)
        proxy.drop(1.0)
        await client.expect(Connected)
    assert (sent, next(attempts)) == ([status], 4)


async def test_messages_that_are_no_frames_are_one_line_in_the_log(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    app = middleware()

    async def noisy(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_noise(message: Message) -> None:
            await send(message)
            if message["type"] == "websocket.send":
                for _ in range(100):
                    await send({"type": "websocket.send", "text": "no JSON"})
                await send({"type": "websocket.close", "code": 1008})

        await app(scope, receive, send_noise if scope["type"] == "websocket" else send)

    server = await serve(noisy)
    async with counters_client(server.url) as client:
        await client.expect(Connected)
        with pytest.raises(Closed):
            await client.expect(Connected)
    lines = [record for record in caplog.records if "no frame" in record.getMessage()]
    assert len(lines) == 1


async def test_a_function_for_tokens_that_fails_is_called_again(serve: Serve) -> None:
    server, calls = await serve(middleware()), []

    def token() -> str:
        calls.append(1)
        if len(calls) == 2:
            raise OSError("the server of tokens is away")
        return create_token("ann", SETTINGS)

    async with faulty_proxy([server.url], seed=0) as proxy, counters_client(proxy.url, token) as client:
        await client.expect(Connected)
        proxy.drop(1.0)
        await client.expect(Connected)
    assert len(calls) == 3


async def test_a_client_returns_to_a_server_that_was_restarted(serve: Serve) -> None:
    server = await serve(middleware())
    async with counters_client(server.url) as desk, workshop_client(server.url) as client:
        for each in (desk, client):
            await each.expect(Connected)
        await server.stop()
        await until(lambda: not desk.connected and not client.connected)
        with pytest.raises(NotConnected, match="not connected now"):
            await client.close_()
        await serve(middleware(), port=server.port)
        for each in (desk, client):
            await each.expect(Connected)


async def test_a_client_gives_up_after_so_many_attempts(serve: Serve) -> None:
    server = await serve(middleware())
    options: dict[str, Any] = {"reconnection": Reconnection(first_delay=0.01, attempts=2)}
    async with counters_client(server.url, **options) as desk, workshop_client(server.url, reconnection=None) as client:
        await server.stop()
        with pytest.raises(Closed, match="given up after 2 attempts to return"):
            await desk.expect(counters.ClearedEvent)
        with pytest.raises(Closed):
            await client.expect(workshop.ClearedEvent)
    with pytest.raises(NotConnected):
        await counters_client(server.url).connect()
    with pytest.raises(NotConnected):
        await workshop_client(server.url).connect()


async def test_a_call_whose_connection_is_lost_has_no_answer(serve: Serve) -> None:
    gateway = WorkshopGateway("/")
    server = await serve(RealtimeMiddleware(Starlette(), gateways=[gateway], settings=SETTINGS))
    async with faulty_proxy([server.url], seed=0) as proxy, workshop_client(proxy.url) as client:
        with pytest.raises(TimeoutError, match=r"no acknowledgement of wait within 0.05 s"):
            await client.wait(timeout=0.05)
        calling = asyncio.create_task(client.wait())
        await asyncio.sleep(0)  # the call begins, and sends
        proxy.drop(1.0)
        with pytest.raises(NotConnected, match="lost before the answer"):
            await calling
        gateway.answer.set()


@pytest.mark.parametrize(("make", "gateway"), [(counters_client, "/counters"), (workshop_client, "/")])
async def test_a_client_that_is_closed_at_once_leaves_no_connection(serve: Serve, make: Any, gateway: str) -> None:
    app = middleware()
    server = await serve(app)

    async def has_gone() -> bool:
        return not (await app.broadcaster.connections("ann", gateway=gateway)).value

    async with make(server.url) as client:
        assert client.connected  # nothing waits here, so no other task runs
    await until(has_gone, seconds=5)


async def test_a_client_connects_once_also_if_two_tasks_try(serve: Serve) -> None:
    server = await serve(middleware())
    client = counters_client(server.url)
    found = await asyncio.gather(client.connect(), client.connect(), return_exceptions=True)
    assert [type(each) for each in found] == [type(None), RuntimeError]
    await client.close()
    never = counters_client(server.url)
    await never.close()
    with pytest.raises(RuntimeError, match="connects once"):
        await never.connect()


class Pinged(CountersGateway):
    """Counts the pings that it answers."""

    pings = 0

    def pong_frame(self) -> Frame:
        self.pings += 1
        return super().pong_frame()


async def test_the_answers_to_the_pings_of_the_client_itself_are_no_events(serve: Serve) -> None:
    desk = Pinged("/counters")
    server = await serve(middleware(desk))
    async with counters_client(server.url, ping_interval=0.01) as client:
        await until(lambda: desk.pings >= 3)
        await client.ping()
        await client.expect(counters.PongEvent)
    assert [event async for event in client if isinstance(event, counters.PongEvent)] == []
