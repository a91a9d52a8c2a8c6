"""The packets of a client that returns, over both transports."""

from __future__ import annotations

import json

import pytest
from starlette.applications import Starlette

from asgi_realtime import Connection, RealtimeMiddleware, Settings, SocketIOGateway, create_token
from asgi_realtime.values.ids import GatewayName
from asgi_realtime.values.json import Json
from tests.support.raw_engineio import TRANSPORTS, TransportName, raw_client
from tests.support.servers import Serve
from tests.support.waiting import until

SETTINGS = Settings(jwt_secret="a secret for tests that is long enough", presence_grace=0.0)


class Greeting(SocketIOGateway):
    """Sends an event to each client that connects."""

    async def on_connect(self, connection: Connection) -> None:
        await connection.send("ready")


class Ordinary(Greeting):
    """Its clients do not recover."""

    recovery = False


def auth(user_id: str, **more: Json) -> dict[str, Json]:
    return {"token": create_token(user_id, settings=SETTINGS), "recovery": True, **more}


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_missed_events_are_before_the_answer_and_all_others_behind_it(
    transport: TransportName, serve: Serve
) -> None:
    app = RealtimeMiddleware(Starlette(), gateways=[Greeting()], settings=SETTINGS)
    server = await serve(app)
    async with raw_client(server, transport) as client:
        answer = await client.connect(auth("ann"))
        known: dict[str, str] = json.loads(answer[2:])
        ready, position = json.loads((await client.next())[2:])
        assert (answer[:2], set(known), ready) == ("40", {"sid", "pid"}, "ready")
    await until(lambda: not len(app.realtime.hub.rooms(GatewayName("/"))))
    for number in (1, 2):
        await app.broadcaster.broadcast_to_user("ann", "n", number)

    for pid in (known["sid"], f"{known['sid']}.", known["pid"][:-1], f"{known['pid']}x", "é", 5):
        async with raw_client(server, transport) as client:
            other = await client.connect(auth("ann", pid=pid, offset=position))
            assert other.startswith('40{"sid"') and known["sid"] not in other
            await client.next()
            await client.send("1")

    async with raw_client(server, transport) as client:
        await client.send("0" + json.dumps(auth("ann", pid=known["pid"], offset=position)))
        packets = [await client.next() for _ in range(4)]
        events = [json.loads(packet[2:]) for packet in (*packets[:2], packets[3])]
        assert [event[:-1] for event in events] == [["n", 1], ["n", 2], ["ready"]]
        assert events[1][-1] == events[2][-1]
        assert packets[2][:2] == "40"
        assert json.loads(packets[2][2:]) == known


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_without_recovery_the_packets_are_the_usual_ones(transport: TransportName, serve: Serve) -> None:
    off = Settings(jwt_secret=SETTINGS.jwt_secret, presence_grace=0.0, recovery_window=0)
    for gateway, settings, asks in (
        (Greeting(), off, True),
        (Ordinary(), SETTINGS, True),
        (Greeting(), SETTINGS, False),
    ):
        app = RealtimeMiddleware(Starlette(), gateways=[gateway], settings=settings)
        server = await serve(app)
        async with raw_client(server, transport) as client:
            answer = await client.connect(auth("ann", recovery=asks))
            assert set(json.loads(answer[2:])) == {"sid"}
            assert await client.next() == '42["ready"]'
            await app.broadcaster.broadcast_to_user("ann", "n", 1)
            assert await client.next() == '42["n",1]'


async def test_a_session_is_not_recovered_by_a_page_of_another_origin(serve: Serve) -> None:
    app = RealtimeMiddleware(Starlette(), gateways=[Greeting()], settings=SETTINGS)
    server = await serve(app)
    async with raw_client(server, "polling") as client:
        pid = json.loads((await client.connect(auth("ann")))[2:])["pid"]
    await until(lambda: not len(app.realtime.hub.rooms(GatewayName("/"))))
    await app.broadcaster.broadcast_to_user("ann", "n", "secret")
    with pytest.raises(AssertionError, match="Forbidden"):
        async with raw_client(server, "polling", headers={"Origin": "https://evil.example"}) as client:
            await client.connect(auth("ann", pid=pid))
    async with raw_client(server, "polling") as client:
        await client.send("0" + json.dumps(auth("ann", pid=pid)))
        assert json.loads((await client.next())[2:])[:2] == ["n", "secret"]
