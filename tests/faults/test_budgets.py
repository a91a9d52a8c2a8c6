"""Connect attempts and frames without an event: each transport has a budget, and exceeding it closes only it."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Iterator

import httpx
import pytest
import websockets

from asgi_realtime import Limits
from tests.support.attackers import enter, entered, still_answers
from tests.support.client_frames import CONTINUATION, PING, PONG, TEXT, fragments, frame, text
from tests.support.raw_engineio import TRANSPORTS, RawClient, TransportName, raw_client, read_until_closed, receive_json
from tests.support.raw_websocket import RawWebSocket, open_websocket
from tests.support.servers import IMPLEMENTATIONS, Implementation, Serve
from tests.support.target_app import Target, TargetGateway

SOCKETIO = "/socket.io/?EIO=4&transport=websocket"
N = 20
"""The burst of a transport in these tests. The rate is so low that nothing is regained."""
LIMITS = Limits(
    attempt_rate=0.001,
    attempt_burst=N,
    control_rate=0.001,
    control_burst=N,
    event_rate=0.001,
    event_burst=2,
    user_event_burst=100,
)


def unknown_namespace(number: int) -> Iterator[str]:
    yield "0/nowhere,{}"


def bad_token(number: int) -> Iterator[str]:
    yield '0{"name":5}'


def leave_and_come_back(number: int) -> Iterator[str]:
    yield '0{"name":"churn"}'
    yield "1"


ATTEMPTS = {"unknown namespace": unknown_namespace, "bad token": bad_token, "churn": leave_and_come_back}


async def over(client: RawClient, *messages: str) -> list[str | bytes]:
    """Exceed the budget, and wait for the close."""
    with contextlib.suppress(OSError):
        await client.send(*messages)
    return await read_until_closed(client)


@pytest.mark.parametrize("implementation", [*IMPLEMENTATIONS, "plain"])
@pytest.mark.parametrize("kind", ATTEMPTS)
async def test_connects_over_the_budget_close_the_transport(
    serve: Serve, implementation: Implementation, kind: str
) -> None:
    await _connects(serve, implementation, "websocket", ATTEMPTS[kind])


@pytest.mark.parametrize("kind", ATTEMPTS)
async def test_connects_over_the_budget_close_a_polling_session(serve: Serve, kind: str) -> None:
    await _connects(serve, "uvicorn", "polling", ATTEMPTS[kind])


async def _connects(
    serve: Serve, implementation: Implementation, transport: TransportName, attempt: Callable[[int], Iterator[str]]
) -> None:
    target = Target(limits=LIMITS)
    server = await serve(target.app, implementation)
    async with entered(server, "neighbour") as neighbour:
        async with raw_client(server, transport) as client:
            for number in range(N):
                first, *rest = attempt(number)
                await client.send(first)
                assert str(await client.receive())[0] in "04", "each allowed attempt is answered"
                if rest:
                    await client.send(*rest)
            assert target.state()["sessions"] == 2
            assert await over(client, *attempt(N)) == []
        await still_answers(neighbour)
    await target.emptied()


BELOW_MESSAGES = {
    "pings": (b"", frame(PING)),
    "pongs": (b"", frame(PONG, b"?")),
    "empty fragments": (frame(TEXT, final=False), frame(CONTINUATION, final=False)),
    "fragments of one byte": (frame(TEXT, b"x", final=False), frame(CONTINUATION, b"x", final=False)),
}
"""What comes first, and what is repeated."""
PATHS = {"/json": text('{"type":"auth","data":{"name":"idle"}}'), SOCKETIO: text('40{"name":"idle"}')}


@pytest.mark.parametrize("implementation", [*IMPLEMENTATIONS, "plain"])
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", BELOW_MESSAGES)
async def test_frames_below_messages_over_the_budget_close_the_transport(
    serve: Serve, implementation: Implementation, kind: str, path: str
) -> None:
    target = Target(limits=LIMITS)
    server = await serve(target.app, implementation)
    first, unit = BELOW_MESSAGES[kind]
    fragments = bool(first)
    async with entered(server, "neighbour") as neighbour:
        async with open_websocket(server.port, path) as client:
            await client.send(PATHS[path])
            while b"sid" not in (packet := (await client.next())[1]) or packet[:1] == b"0":
                if b"auth_success" in packet:
                    break
            await client.send(first + unit * (N - fragments))  # the first fragment is counted too
            if kind == "pings":
                assert [await client.next() for _ in range(N)] == [(PONG, b"")] * N
            assert target.state()["connections"] == 2
            await client.send(unit)
            # The package's own protocol class closes the connection itself.
            disconnect = [b"41"] if path != "/json" and implementation in ("hypercorn", "plain") else []
            rest = [answer[:2] for opcode, answer in await client.rest() if opcode != PONG]
            assert rest == [*disconnect, (1008).to_bytes(2)]
        await still_answers(neighbour)
    await target.emptied()


@pytest.mark.parametrize("implementation", [*IMPLEMENTATIONS, "plain"])
async def test_pings_before_authentication_close_a_json_websocket(serve: Serve, implementation: Implementation) -> None:
    server = await serve(Target(limits=LIMITS).app, implementation)
    async with open_websocket(server.port, "/json") as client:
        await client.send(frame(PING) * (N + 1))
        rest = [answer[:2] for opcode, answer in await client.rest() if opcode != PONG]
        assert rest == [(1008).to_bytes(2)]


@pytest.mark.parametrize("implementation", [*IMPLEMENTATIONS, "plain"])
async def test_a_large_message_in_fragments_is_one_message(serve: Serve, implementation: Implementation) -> None:
    target = Target(limits=LIMITS)
    server = await serve(target.app, implementation)
    async with open_websocket(server.port, "/json") as client:
        await client.send(PATHS["/json"])
        await client.next()
        message = ('{"type":"echo","data":"' + "x" * 900_000 + '"}').encode()
        pieces = [message[start : start + 16_384] for start in range(0, len(message), 16_384)]
        assert len(pieces) > 2 * N
        await client.send(fragments(TEXT, *pieces))
        opcode, answer = await client.next()
        assert (opcode, answer) == (TEXT, message)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_refused_events_over_the_budget_end_the_client(serve: Serve, transport: TransportName) -> None:
    target = Target(limits=LIMITS)
    server = await serve(target.app)
    async with entered(server, "flood", transport) as client:
        for number in range(N + 2):
            await client.send(f'2{number}["echo",{number}]')
            assert ("RATE_LIMITED" in str(await client.receive())) is (number >= 2)
        assert await over(client, '2["echo",0]') == ["1"]
    await target.emptied()
    assert target.gateway.left == [("flood", "server disconnect")]


async def test_events_without_a_handler_count_as_attempts_but_refused_ones_do_not(serve: Serve) -> None:
    target = Target(limits=Limits(attempt_rate=0.001, attempt_burst=N))
    server = await serve(target.app)
    async with entered(server, "lost") as client:
        for number in range(3 * N):
            await client.send(f'2{number}["forbidden"]')
            assert "FORBIDDEN" in str(await client.receive())
        for number in range(N):
            await client.send(f'2{number}["unheard of"]' if number % 2 else f'2{number}["auth/refresh",5]')
            assert "INVALID" in str(await client.receive())
        assert await over(client, '2["unheard of"]') == ["1"]
    await target.emptied()


IDLE = {
    "an unsolicited pong": "3",
    "a noop": "6",
    "an ack that nothing waits for": "430[]",
    "a packet for a closed namespace": '42/nowhere,["event"]',
}


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("kind", IDLE)
async def test_frames_without_an_event_over_the_budget_close_the_transport(
    serve: Serve, implementation: Implementation, kind: str
) -> None:
    target = Target(limits=LIMITS)
    server = await serve(target.app, implementation)
    async with entered(server, "neighbour") as neighbour:
        async with open_websocket(server.port, SOCKETIO) as client:
            await client.send(text('40{"name":"idle"}') + text("40/nowhere,"))
            assert {(await client.next())[1][:2] for _ in range(3)} == {b"0{", b"44", b"40"}
            await client.send(text(IDLE[kind]) * N)
            await _still_echoes(client)
            await client.send(text(IDLE[kind]))
            assert (await client.rest())[-1][1][:2] == (1008).to_bytes(2)
        await still_answers(neighbour)
    await target.emptied()


async def _still_echoes(client: RawWebSocket) -> None:
    await client.send(text('427["echo","here"]'))
    assert await client.next() == (1, b'437["here"]')


async def test_late_acks_do_not_count_as_unrequested(serve: Serve) -> None:
    """The server drops the oldest of many calls. A client that answers all of them breaks no rule."""
    target = Target(limits=Limits(pending_acks=1, control_rate=0.001, control_burst=1))
    server = await serve(target.app)
    async with entered(server, "slow") as client:
        (connection,) = target.realtime.hub.rooms(target.gateway.name).everybody
        answers: list[int] = []

        def answered(values: list[int]) -> None:
            answers.append(values[0])

        for number in range(50):
            connection.transport.request("question", b"%d" % number, [], answered)  # type: ignore[attr-defined]
        asked = [str(await client.receive()) for _ in range(50)]
        assert asked[49] == '249["question",49]'
        await client.send(*(f"3{number}[{number}]" for number in range(50)))
        await still_answers(client)
        assert answers == [49]
        await client.send("350[]")
        await still_answers(client)
        assert await over(client, "351[]") == ["1"]
    await target.emptied()


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
async def test_frames_before_authentication_are_attempts(serve: Serve, implementation: Implementation) -> None:
    target = Target(limits=LIMITS)
    server = await serve(target.app, implementation)
    async with open_websocket(server.port, "/json") as client:
        await client.send(text('{"type":"ping"}') * N)
        assert [(await client.next())[1] for _ in range(N)] == [b'{"type":"pong"}'] * N
        await client.send(text('{"type":"auth","data":{"name":"too late"}}'))
        assert (await client.rest())[-1][1][:2] == (1008).to_bytes(2)
    await target.emptied()
    assert target.path.left == []


async def test_tokens_to_refresh_are_attempts(serve: Serve) -> None:
    target = Target(limits=Limits(attempt_rate=0.001, attempt_burst=N))
    server = await serve(target.app)
    async with entered(server, "ann") as socketio, open_websocket(server.port, "/json") as client:
        for number in range(N):
            await socketio.send(f'2{number}["auth/refresh",{{"token":"bad"}}]')
            assert "UNAUTHORIZED" in str(await socketio.receive())
        assert await over(socketio, '2["auth/refresh",{"token":"bad"}]') == ["1"]

        await client.send(text('{"type":"auth","data":{"name":"ann"}}'))
        assert b"auth_success" in (await client.next())[1]
        for _ in range(N - 1):
            await client.send(text('{"type":"auth","data":{"token":"bad"}}'))
            assert b"UNAUTHORIZED" in (await client.next())[1]
        await client.send(text('{"type":"auth","data":{"token":"bad"}}'))
        assert (await client.rest())[-1][1][:2] == (1008).to_bytes(2)
    await target.emptied()


async def test_rejoining_namespaces_at_a_human_pace_stays_within_the_budget(serve: Serve) -> None:
    """A page that mounts and unmounts a component stays far below the default budget."""
    target = Target()
    server = await serve(target.app)
    async with raw_client(server, "websocket") as client:
        for _ in range(100):
            await enter(client, {"name": "page"})
            await client.send("1")
        await client.send("0/nowhere,")
        assert "Invalid namespace" in str(await receive_json(client, "4/nowhere,"))
        await enter(client, {"name": "page"})
        await still_answers(client)
    await target.emptied()


async def test_a_polling_client_has_no_session_after_its_close(serve: Serve) -> None:
    target = Target(limits=LIMITS)
    server = await serve(target.app)
    async with httpx.AsyncClient() as http:
        url = f"{server.url}/socket.io/?EIO=4&transport=polling"
        url += "&sid=" + json.loads((await http.get(url)).text[1:])["sid"]
        assert (await http.post(url, content="\x1e".join(["6"] * N))).text == "ok"
        assert target.state()["sessions"] == 1
        assert (await http.post(url, content="\x1e".join(["6"] * 10_000))).status_code == 200
        assert (await http.post(url, content="6")).status_code == 400
    await target.emptied()


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_packets_in_flight_when_the_server_closes_cost_no_budget(serve: Serve, transport: TransportName) -> None:
    target = Target(limits=LIMITS)
    server = await serve(target.app)
    async with entered(server, "kicked", transport) as client:
        (connection,) = target.realtime.hub.rooms(target.gateway.name).everybody
        await connection.public.send("last", "words")
        await connection.public.close(1008, "kicked")
        await client.send(*(f'2["echo",{number}]' for number in range(N)))
        assert await read_until_closed(client) == ['2["last","words"]', "1"]
    await target.emptied()


@pytest.mark.parametrize("kind", ["connects", "noops", "events", "early"])
async def test_each_close_over_the_budget_is_logged_in_one_line(
    serve: Serve, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    target = Target(limits=LIMITS)
    server = await serve(target.app)
    path = "/json" if kind == "early" else SOCKETIO
    first = text('40{"name":"loud"}') if kind == "events" else b""
    unit = {
        "connects": text("40/nowhere,"),
        "noops": text("6"),
        "events": text('42["unheard of"]'),
        "early": text('{"type":"ping"}'),
    }[kind]
    async with open_websocket(server.port, path) as client:
        with caplog.at_level(logging.INFO, "asgi_realtime"):
            if first:
                await client.send(first)
                while (await client.next())[1][:2] != b"40":
                    pass
            await client.send(unit * (2 * N))
            await client.rest()
            await target.emptied()
    messages = [record.getMessage() for record in caplog.records]
    lines = [message for message in messages if "not mounted" not in message]  # also logged once
    assert len(lines) == 1, lines
    assert "too many" in lines[0] or "authenticate first" in lines[0]


async def test_each_gateway_has_its_own_budget_for_refused_events(serve: Serve) -> None:
    strict = TargetGateway("/strict", limits=Limits(attempt_rate=0.001, attempt_burst=5))
    target = Target(strict)
    server = await serve(target.app)
    async with raw_client(server, "websocket") as client:
        await enter(client, {"name": "ann"})
        await client.send('0/strict,{"name":"ann"}')
        await receive_json(client, "0/strict,")
        for number in range(5):
            await client.send(f'2/strict,{number}["unheard of"]')
            assert "INVALID" in str(await client.receive())
        assert await over(client, '2/strict,["unheard of"]') == ["1/strict,", "1"]
    await target.emptied()


@pytest.mark.parametrize("implementation", [*IMPLEMENTATIONS, "plain"])
async def test_an_active_client_stays_within_the_default_budgets(serve: Serve, implementation: Implementation) -> None:
    """A stock client that pings without a pause, fragments what it sends, and asks for what does not exist."""
    target = Target()
    server = await serve(target.app, implementation)
    async with websockets.connect(server.websocket_url + "/json", ping_interval=None) as client:
        await client.send('{"type":"auth","data":{"name":"lively"}}')
        assert "auth_success" in str(await client.recv())
        for number in range(50):
            await (await client.ping())
            await client.send(['{"type":"echo",', '"data":', f"{number}", "}"])
            assert json.loads(await client.recv()) == {"type": "echo", "data": number}
            await client.send('{"type":"unheard of"}')
            assert "INVALID" in str(await client.recv())
    await target.emptied()
