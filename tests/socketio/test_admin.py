"""The Admin UI: what an administrator sees and may do, tested with npm's client and the messages of the page."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest

from asgi_realtime import socketio
from asgi_realtime.runtime import time_source
from asgi_realtime.socketio.admin_auth import AdminAuthenticator
from asgi_realtime.socketio.server import SocketIOServer
from asgi_realtime.values.json import Json
from tests.support.node_client import ConnectRefused, Node, NodeClient
from tests.support.paths import WIRE
from tests.support.servers import Serve

LOGIN = {"username": "admin", "password": "correct horse"}
COMMANDS = {"EMIT", "JOIN", "LEAVE", "DISCONNECT", "MJOIN", "MLEAVE", "MDISCONNECT"}


def made(**options: Any) -> tuple[SocketIOServer, socketio.ASGIApp]:
    sio = SocketIOServer()

    @sio.event
    async def enter(sid: str, room: str) -> str:
        await sio.enter_room(sid, room)
        return "entered"

    sio.instrument(auth=LOGIN, server_stats_interval=0.05, **options)
    return sio, socketio.ASGIApp(sio, static_files={"/admin": str(WIRE / "node_modules/@socket.io/admin-ui/ui/dist")})


async def administrator(node: Node, url: str, auth: Json = LOGIN) -> NodeClient:
    return await node.connect(url, "/admin", auth=auth, transports=["websocket"])


async def until(client: NodeClient, event: str, about: str) -> list[Json]:
    """The first event of this kind that mentions a client."""
    while True:
        received = await client.expect(event)
        if about in str(received.args):
            return received.args


async def test_only_administrators_are_accepted(serve: Serve, node: Node) -> None:
    _, app = made()
    url = (await serve(app)).url
    for wrong in (None, {}, {"username": "admin"}, LOGIN | {"password": "x"}, LOGIN | {"x": "y"}, {"sessionId": "x"}):
        with pytest.raises(ConnectRefused) as refused:
            await administrator(node, url, wrong)
        assert refused.value.message == "invalid credentials"
    first = await administrator(node, url)
    session = (await first.expect("session")).data
    await administrator(node, url, {"sessionId": session})


@pytest.mark.parametrize(
    ("options", "features"),
    [
        ({}, {"AGGREGATED_EVENTS", "ALL_EVENTS", *COMMANDS}),
        ({"read_only": True}, {"AGGREGATED_EVENTS", "ALL_EVENTS"}),
        ({"mode": "production"}, {"AGGREGATED_EVENTS", *COMMANDS}),
        ({"mode": "production", "read_only": True}, {"AGGREGATED_EVENTS"}),
    ],
)
async def test_the_announced_features_follow_the_options(
    serve: Serve, node: Node, options: dict[str, Any], features: set[str]
) -> None:
    _, app = made(**options)
    url = (await serve(app)).url
    admin = await administrator(node, url)
    assert set((await admin.expect("config")).data["supportedFeatures"]) == features
    client = await node.connect(url)
    assert await client.call("enter", "room") == ["entered"]
    await admin.expect("server_stats")
    if "ALL_EVENTS" in features:
        await until(admin, "socket_connected", client.id or "")
    else:
        await client.disconnect()
        await until(admin, "server_stats", "rawDisconnection")
        assert set(admin.event_names) == {"session", "config", "server_stats"}


async def test_the_server_stats_show_the_clients(serve: Serve, node: Node) -> None:
    sio, app = made(server_id="one")
    url = (await serve(app)).url
    await node.connect(url, transports=["polling"])
    admin = await administrator(node, url)
    stats = (await admin.expect("server_stats")).data
    assert (stats["serverId"], stats["pid"]) == ("one", os.getpid())
    assert (stats["clientsCount"], stats["pollingClientsCount"]) == (2, 1)
    assert {"name": "/", "socketsCount": 1} in stats["namespaces"]
    assert {"name": "/admin", "socketsCount": 1} in stats["namespaces"]
    await sio.emit("x", "y" * 100)
    stats = (await until(admin, "server_stats", "bytesOut"))[0]
    counted = {each["type"]: each["count"] for each in stats["aggregatedEvents"]}
    assert counted["packetsOut"] == 1 and counted["bytesOut"] > 100
    assert abs(stats["aggregatedEvents"][0]["timestamp"] / 1000 - time.time()) < 10


async def test_sockets_are_shown_without_their_credentials(serve: Serve, node: Node) -> None:
    _, app = made()
    url = (await serve(app)).url
    client = await node.connect(
        url,
        auth={"token": "hush1"},
        headers={
            "Cookie": "a=hush2",
            "Authorization": "hush3",
            "X-Api-Key": "hush5",
            "X-Other": "shown",
            "X-Jwt": "hush6",
            "Referer": "http://localhost/page?token=hush7",
            "X-Original-URI": "/socket.io/?token=hush8",
            "Sec-CH-UA-Mobile": "?0",
        },
        query={"token": "hush4"},
        transports=["websocket"],
    )
    await client.call("enter", "room")
    admin = await administrator(node, url)
    (shown,) = [each for each in (await admin.expect("all_sockets")).data if each["id"] == client.id]
    assert shown["rooms"] == sorted([client.id or "", "room"])
    assert (shown["nsp"], shown["transport"]) == ("/", "websocket")
    assert len(shown["clientId"]) == 12
    assert shown["handshake"]["address"] == "127.0.0.1"
    headers = shown["handshake"]["headers"]
    assert (headers["x-other"], headers["sec-ch-ua-mobile"]) == ("shown", "?0")
    assert headers["referer"] == "http://localhost/page?(hidden)"
    assert abs(shown["handshake"]["issued"] / 1000 - time.time()) < 60
    assert "hush" not in str(shown)


async def test_an_administrator_is_not_flooded(serve: Serve, node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asgi_realtime.socketio.admin._MOST_SOCKETS", 2)
    sio, app = made()
    url = (await serve(app)).url
    for _ in range(3):
        await node.connect(url, transports=["websocket"])
    admin = await administrator(node, url)
    assert len((await admin.expect("all_sockets")).data) == 2
    await sio.emit("x")
    counted = str(await until(admin, "server_stats", "packetsOut"))
    assert "'count': 3" in counted
    assert admin.event_names.count("event_sent") == 2


async def test_events_are_reported_to_administrators(serve: Serve, node: Node) -> None:
    sio, app = made()
    url = (await serve(app)).url
    admin = await administrator(node, url)
    client = await node.connect(url)
    sid = client.id or ""
    socket, _ = await until(admin, "socket_connected", sid)
    assert (socket["id"], socket["nsp"], socket["transport"]) == (sid, "/", "polling")
    await client.upgraded()
    assert (await until(admin, "socket_updated", sid)) == [{"id": sid, "nsp": "/", "transport": "websocket"}]
    await client.call("enter", "red")
    assert (await until(admin, "event_received", sid))[:3] == ["/", sid, ["enter", "red"]]
    assert (await until(admin, "room_joined", sid))[:3] == ["/", "red", sid]
    await sio.emit("hello", (1, b"2"), room="red")
    assert (await until(admin, "event_sent", sid))[:3] == ["/", sid, ["hello", 1, b"2"]]
    await sio.leave_room(sid, "red")
    assert (await until(admin, "room_left", sid))[:3] == ["/", "red", sid]
    await client.call("enter", "blue")
    await sio.close_room("blue")
    assert (await until(admin, "room_left", sid))[:3] == ["/", "blue", sid]
    await client.disconnect()
    assert (await until(admin, "socket_disconnected", sid))[:3] == ["/", sid, "client disconnect"]


async def test_commands_of_an_administrator_take_effect(serve: Serve, node: Node) -> None:
    sio, app = made()
    url = (await serve(app)).url
    admin = await administrator(node, url)
    a, b = [await node.connect(url, transports=["websocket"]) for _ in range(2)]
    await admin.emit("join", "/", "vip", a.id)
    await until(admin, "room_joined", a.id or "")
    assert "vip" in sio.rooms(a.id or "")
    await admin.emit("emit", "/", "vip", "to the room", 1, 2)
    assert (await a.expect("to the room")).args == [1, 2]
    await admin.emit("emit", "/", None, "to all", 3)
    assert (await b.expect("to all")).args == [3]
    assert b.event_names == ["to all"]
    await admin.emit("join", "/", "all")
    await until(admin, "room_joined", b.id or "")
    await admin.emit("leave", "/", "all", "vip")
    await until(admin, "room_left", a.id or "")
    assert "all" not in sio.rooms(a.id or "") and "all" in sio.rooms(b.id or "")
    await admin.emit("_disconnect", "/nowhere", True)
    await admin.emit("_disconnect", "/", False, a.id)
    assert await a.disconnection() == "io server disconnect"
    await admin.emit("_disconnect", "/", True, b.id)
    assert await b.disconnection() == "io server disconnect"


@pytest.mark.parametrize(
    ("command", "args", "reason"),
    [
        ("join", [], "missing a required argument: 'namespace'"),
        ("join", ["/", "vip", None, 1], "too many positional arguments"),
        ("join", [{}, "vip"], "namespace must be text"),
        ("join", ["/", 5], "room must be text"),
        ("join", ["/", ""], "room must not be empty"),
        ("join", ["/", "x" * 5000], "a room name has at most 200 bytes"),
        ("join", ["/", "vip", [1]], "room must be text"),
        ("leave", ["/", {}], "room must be text"),
        ("leave", ["/", "vip", {}], "room must be text"),
        ("emit", [], "missing a required argument: 'namespace'"),
        ("emit", [5, None, "x"], "namespace must be text"),
        ("emit", ["/", [1], "x"], "room must be text"),
        ("emit", ["/", None, 5], "event must be text"),
        ("emit", ["/", None, "connect"], "reserved"),
        ("emit", ["/", None, "x" * 5000], "MEW_EVENT_NAME_BYTES"),
        ("_disconnect", ["/"], "missing a required argument: 'close'"),
        ("_disconnect", ["/", "yes"], "close must be true or false"),
        ("_disconnect", ["/", False, [2]], "room must be text"),
    ],
)
async def test_a_wrong_command_logs_one_line(
    serve: Serve, node: Node, caplog: pytest.LogCaptureFixture, command: str, args: list[Json], reason: str
) -> None:
    sio, app = made()
    url = (await serve(app)).url
    client = await node.connect(url, transports=["websocket"])
    admin = await administrator(node, url)
    await admin.emit(command, *args)
    await admin.emit("emit", "/", None, "after")
    await client.expect("after")
    assert client.event_names == ["after"] and sio.rooms(client.id or "") == [client.id]
    warnings = [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]
    assert len(warnings) == 1 and warnings[0].exc_info is None
    assert reason in warnings[0].getMessage() and len(warnings[0].getMessage()) < 300


async def test_read_only_takes_no_commands(serve: Serve, node: Node) -> None:
    sio, app = made(read_only=True)
    url = (await serve(app)).url
    client = await node.connect(url)
    admin = await administrator(node, url)
    await admin.emit("_disconnect", "/", True, client.id)
    await admin.emit("emit", "/", None, "x")
    await admin.emit("join", "/", "vip")
    await client.call("enter", "room")
    await until(admin, "event_received", "enter")
    assert client.connected and not client.events and "vip" not in sio.rooms(client.id or "")


async def test_reporting_ends_with_the_last_administrator(serve: Serve, node: Node) -> None:
    sio = SocketIOServer()
    ui = sio.instrument(auth=LOGIN, server_stats_interval=0.05)
    url = (await serve(socketio.ASGIApp(sio))).url
    before = asyncio.all_tasks()
    admin = await administrator(node, url)
    await admin.expect("server_stats")
    (reporter,) = [task for task in asyncio.all_tasks() - before if "_report" in task.get_name()]
    await admin.disconnect()
    await reporter
    again = await administrator(node, url)
    await again.expect("server_stats")
    await again.expect("server_stats")
    await ui.shutdown()


async def test_which_administrators_are_accepted() -> None:
    other = {"username": "b", "password": "b"}
    assert await AdminAuthenticator([LOGIN, other]).authenticate(other)
    assert not await AdminAuthenticator([LOGIN, other]).authenticate(LOGIN | {"password": 1})
    assert await AdminAuthenticator(lambda auth: auth == "key").authenticate("key")
    assert not await AdminAuthenticator(lambda auth: False).authenticate(LOGIN)

    async def check(auth: Json) -> bool:
        return bool(auth == {"key": 1})

    assert await AdminAuthenticator(check).authenticate({"key": 1})
    assert await AdminAuthenticator(False).authenticate(None)
    with pytest.raises(ValueError):
        SocketIOServer().instrument()
    with pytest.raises(ValueError):
        SocketIOServer().instrument(auth={})
    with pytest.raises(ValueError):
        SocketIOServer().instrument(auth=[])


async def test_sessions_are_bounded() -> None:
    authenticator = AdminAuthenticator(LOGIN)
    oldest = authenticator.create_session()
    assert await authenticator.authenticate({"sessionId": oldest})
    sessions = [authenticator.create_session() for _ in range(1000)]
    assert not await authenticator.authenticate({"sessionId": oldest})
    assert await authenticator.authenticate({"sessionId": sessions[0]})
    assert not await authenticator.authenticate({"sessionId": ["x"]})


async def test_a_session_ends_after_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    authenticator = AdminAuthenticator(LOGIN)
    session, begun = authenticator.create_session(), time.monotonic()
    for hours, valid in ((23, True), (25, False)):
        later = begun + hours * 3600
        monkeypatch.setattr(time_source, "monotonic", lambda later=later: later)
        assert await authenticator.authenticate({"sessionId": session}) is valid


@pytest.mark.parametrize("viewport", ["1280x800", "390x844"])
async def test_the_admin_page_shows_the_clients(serve: Serve, node: Node, tmp_path: Path, viewport: str) -> None:
    sio, app = made()
    url = (await serve(app)).url
    client = await node.connect(url, transports=["websocket"])
    await client.call("enter", "the-room")
    process = await asyncio.create_subprocess_exec(
        "node", str(WIRE / "admin_page.mjs"), url, str(tmp_path), viewport, client.id or ""
    )
    assert await process.wait() == 0
    assert await client.disconnection() == "io server disconnect"
