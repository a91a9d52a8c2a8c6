"""What an operator sees and does in an app of one process, seen by stock clients."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from asgi_realtime import RealtimeMiddleware, create_token
from asgi_realtime.console.cluster_view import EVENTS, SHOWN_BYTES
from tests.support.console_app import CONSOLE_SECRET, SETTINGS, create_app
from tests.support.console_client import ConsoleClient, Refused, console_client
from tests.support.node_client import ConnectRefused, Node, NodeClient
from tests.support.servers import LiveServer, Serve
from tests.support.waiting import until


@pytest.fixture
def app() -> RealtimeMiddleware:
    return create_app(SETTINGS)


@pytest.fixture
async def server(serve: Serve, app: RealtimeMiddleware) -> LiveServer:
    return await serve(app)


@pytest.fixture
async def console(server: LiveServer) -> AsyncIterator[ConsoleClient]:
    async with console_client(server.url) as client:
        yield client


async def connect(node: Node, server: LiveServer, user_id: str, *rooms: str) -> NodeClient:
    token = create_token(user_id, SETTINGS, email="ann@example.com")
    client = await node.connect(server.url, auth={"token": token}, transports=["websocket"])
    for room in rooms:
        await client.call("join", room)
    return client


async def test_the_load_of_the_process(server: LiveServer, node: Node, console: ConsoleClient) -> None:
    await connect(node, server, "ann", "tea", "cake")
    found = await console.ask("nodes")
    assert found["complete"] and found["gateways"] == ["/", "/realtime-console"]
    [process] = found["nodes"]
    assert process["asked"] and process["gateways"] == {"/": [1, 2, 1], "/realtime-console": [1, 0, 1]}
    assert process["memory"] > 1_000_000 and process["cpu"] > 0 and process["uptime"] > 0

    async def measured() -> bool:
        return (await console.ask("nodes"))["nodes"][0]["lag"] is not None

    await until(measured)


async def test_lists_and_details_have_no_secret(server: LiveServer, node: Node, console: ConsoleClient) -> None:
    client = await connect(node, server, "ann", "tea")
    await connect(node, server, "bob", "tea", "cake")
    listed = await console.ask("connections", gateway="/")
    assert [(row["userId"], row["rooms"], row["transport"]) for row in listed["rows"]] == [
        ("ann", 1, "websocket"),
        ("bob", 2, "websocket"),
    ]
    assert (await console.ask("rooms", gateway="/"))["rows"] == [
        {"name": "cake", "members": 1},
        {"name": "tea", "members": 2},
    ]
    found = await console.ask("connection", gateway="/", id=client.id)
    details = found["details"]
    assert details["rooms"] == ["tea"] and details["address"] == "127.0.0.1"
    assert {"sub", "exp", "email"} <= set(details["claims"])
    assert "ann@example.com" not in json.dumps(found)
    assert (await console.ask("connection", gateway="/", id="x"))["details"] is None
    user = await console.ask("user", gateway="/", userId="ann")
    assert user["online"] and [id for id, _ in user["connections"]] == [client.id]
    assert not (await console.ask("user", gateway="/", userId="eve"))["online"]
    online = await console.ask("online", gateway="/", search="a")
    assert (online["rows"], online["total"]) == (["ann"], 1)


async def test_a_room_is_counted_emptied_and_its_members_are_disconnected(
    server: LiveServer, node: Node, console: ConsoleClient
) -> None:
    ann, bob = await connect(node, server, "ann", "tea"), await connect(node, server, "bob", "tea", "cake")
    size = {"members": 2, "complete": True, "missing": []}
    assert await console.ask("room", gateway="/", room="tea") == size
    await console.ask("close_room", gateway="/", room="tea")
    assert await console.ask("room", gateway="/", room="tea") == size | {"members": 0}
    await console.ask("publish", gateway="/", to="all", event="still")
    for client in (ann, bob):
        await client.expect("still")
    await console.ask("disconnect_members", gateway="/", room="cake", reason="closed", code=1000)
    assert await bob.disconnection() == "io server disconnect"
    assert [row["userId"] for row in (await console.ask("connections", gateway="/"))["rows"]] == ["ann"]
    await console.ask("disconnect_user", userId="ann")
    assert await ann.disconnection() == "io server disconnect"


async def test_events_are_followed_by_position_without_a_gap(console: ConsoleClient) -> None:
    start = await console.ask("tail", gateway="/", rooms=["tea"])
    assert (start["events"], start["more"], start["lost"]) == ([], False, None)
    await console.ask("publish", gateway="/", to="room", name="tea", event="said", data=1, key="once")
    await console.ask("publish", gateway="/", to="room", name="tea", event="said", data=1, key="once")
    await console.ask("publish", gateway="/", to="room", name="cake", event="elsewhere")
    await console.ask("publish", gateway="/", to="users", names=["ann", "bob"], event="to you")
    asked = {"gateway": "/", "rooms": ["tea"], "users": ["bob", "ann"]}
    found = await console.ask("tail", **asked, since=start["position"])
    assert [(each["event"], each["payload"]) for each in found["events"]] == [("said", "1"), ("to you", "")]
    assert [each["to"] for each in found["events"]] == [
        {"type": "room", "room": "tea"},
        {"type": "users", "user_ids": ["ann", "bob"]},
    ]
    assert (found["more"], found["skipped"], found["lost"]) == (False, 0, None)
    later = await console.ask("tail", **asked, since=found["position"])
    assert (later["events"], later["position"]) == ([], found["position"])
    assert (await console.ask("tail", **asked, since="another-1"))["lost"]


async def test_an_answer_with_events_to_many_users_has_a_limit(console: ConsoleClient) -> None:
    since = (await console.ask("tail", gateway="/", users=["ann"]))["position"]
    names = ["ann", *(f"{number:02}" * 1000 for number in range(99))]  # 200,000 bytes
    for number in range(3):
        await console.ask("publish", gateway="/", to="users", names=names, event="to many", data=number)
    found = await console.ask("tail", gateway="/", users=["ann"], since=since)
    assert ([each["payload"] for each in found["events"]], found["more"]) == (["0", "1"], True)
    found = await console.ask("tail", gateway="/", users=["ann"], since=found["position"])
    assert ([each["payload"] for each in found["events"]], found["more"]) == (["2"], False)


async def test_connections_are_found_by_user_and_by_id(server: LiveServer, node: Node, console: ConsoleClient) -> None:
    first = await connect(node, server, "ann", "tea")
    await connect(node, server, "anna")

    async def found(**asked: Any) -> list[str]:
        return [row["userId"] for row in (await console.ask("connections", gateway="/", **asked))["rows"]]

    assert await found(search="ann") == ["ann", "anna"]
    assert await found(search="anna") == ["anna"]
    assert first.id is not None
    assert await found(search=first.id[:10]) == ["ann"]
    assert await found(room="tea") == ["ann"]
    assert await found(room="tea", search="x") == []
    assert await found(after=["ann", first.id]) == ["anna"]
    assert (await console.ask("connections", gateway="/x"))["rows"] == []


async def test_a_kicked_client_is_disconnected_and_others_stay(
    server: LiveServer, node: Node, console: ConsoleClient, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = [await connect(node, server, "ann") for _ in range(2)]
    await console.ask("kick", gateway="/", id=first.id)
    assert await first.disconnection() == "io server disconnect"
    assert second.connected
    [record] = [each for each in caplog.records if "an operator at 127.0.0.1" in each.message]
    assert record.message.endswith(f"closes the connection {first.id!r} of '/'")
    assert vars(record)["realtime_connection_id"] not in (None, first.id), "that of the operator"
    await console.ask("disconnect_user", gateway="/", userId="ann")
    assert await second.disconnection() == "io server disconnect"


async def test_a_revoked_user_or_token_cannot_connect_again(
    server: LiveServer, node: Node, console: ConsoleClient
) -> None:
    client = await connect(node, server, "ann")
    token = create_token("ann", SETTINGS)
    await console.ask("revoke", userId="ann")
    await client.disconnection()
    with pytest.raises(ConnectRefused):
        await node.connect(server.url, auth={"token": token}, transports=["websocket"])
    marked = create_token("bob", SETTINGS, jti="t1")
    await node.connect(server.url, auth={"token": marked}, transports=["websocket"])
    await console.ask("revoke", jti="t1")
    with pytest.raises(ConnectRefused):
        await node.connect(server.url, auth={"token": marked}, transports=["websocket"])


async def test_events_reach_a_room_a_user_and_all(server: LiveServer, node: Node, console: ConsoleClient) -> None:
    ann, bob = await connect(node, server, "ann"), await connect(node, server, "bob")
    await console.ask("move", gateway="/", userId="ann", room="tea", enter=True)
    sent = await console.ask("publish", gateway="/", to="room", name="tea", event="said", data={"text": "hello"})
    assert sent["deliveredHere"] == 1 and sent["position"]
    assert (await ann.expect("said")).data == {"text": "hello"}
    await console.ask("publish", gateway="/", to="user", name="bob", event="note")
    assert (await bob.expect("note")).args == []
    await console.ask("move", gateway="/", userId="ann", room="tea", enter=False)
    await console.ask("publish", gateway="/", to="room", name="tea", event="said", data=1)
    await console.ask("publish", gateway="/", to="all", name="", event="end", data=None)
    for client in (ann, bob):
        assert (await client.expect("end")).args == [None]
        assert client.unread == []


async def test_history_has_the_newest_events_first(server: LiveServer, console: ConsoleClient) -> None:
    for number in range(EVENTS + 2):
        sent = await console.ask("publish", gateway="/", to="room", name="tea", event="said", data=number)
    found = await console.ask("history", gateway="/", to="room", name="tea")
    assert [event["payload"] for event in found["events"]] == [str(EVENTS + 1 - number) for number in range(EVENTS)]
    assert found["more"] and found["events"][0]["position"] == sent["position"]
    await console.ask("publish", gateway="/", to="room", name="tea", event="long", data="x" * SHOWN_BYTES)
    [event] = (await console.ask("history", gateway="/", to="room", name="tea", since=sent["position"]))["events"]
    assert (event["event"], event["bytes"], event["cut"]) == ("long", SHOWN_BYTES + 2, True)
    assert len(event["payload"]) == SHOWN_BYTES
    assert (await console.ask("history", gateway="/", to="user", name="ann"))["events"] == []


async def test_settings_are_shown_without_secrets(console: ConsoleClient) -> None:
    found = await console.ask("settings")
    values = {each["name"]: each["value"] for each in found}
    assert values["MEW_CONSOLE_SECRET"] == values["MEW_JWT_SECRET"] == "set"
    assert values["MEW_ADMIN_SECRET"] == "not set" and values["MEW_PING_INTERVAL"] == "25.0"
    assert CONSOLE_SECRET not in json.dumps(found)
    assert {each["name"] for each in found if each["changed"]} == {
        *("MEW_CONSOLE_SECRET", "MEW_JWT_SECRET", "MEW_PRESENCE_GRACE")
    }


@pytest.mark.parametrize(
    ("event", "data"),
    [
        ("publish", {"gateway": "/", "to": "room", "name": "", "event": "x"}),
        ("publish", {"gateway": "/", "to": "room", "name": "x" * 300, "event": "x"}),
        ("publish", {"gateway": "/", "to": "all", "event": "disconnect"}),
        ("publish", {"gateway": "/", "to": "all", "event": "x" * 300}),
        ("publish", {"gateway": "/other", "to": "all", "event": "x"}),
        ("publish", {"gateway": "/", "to": "anyone", "event": "x"}),
        ("connections", {"gateway": 5}),
        ("history", {"gateway": "/", "to": "user"}),
        ("online", {"gateway": "/other"}),
        ("user", {"gateway": "/other", "userId": "ann"}),
        ("move", {"gateway": "/", "userId": "ann", "room": "\x00", "enter": True}),
        ("kick", {"gateway": "/", "id": ""}),
        ("kick", {"gateway": "/", "id": "x", "code": 1006}),
        ("disconnect_user", {"gateway": "/other", "userId": "ann"}),
        ("disconnect_user", {"userId": ""}),
        ("disconnect_members", {"gateway": "/", "room": ""}),
        ("disconnect_members", {"gateway": "/", "room": "tea", "reason": 5}),
        ("close_room", {"gateway": "/other", "room": "tea"}),
        ("room", {"gateway": "/"}),
        ("online", {"gateway": "/", "limit": 1001}),
        ("publish", {"gateway": "/", "to": "users", "names": [""], "event": "x"}),
        ("tail", {"gateway": "/", "rooms": [""]}),
        ("tail", {"gateway": "/", "users": ["ann"] * 101}),
        ("tail", {"gateway": "/other", "all": True}),
        ("revoke", {}),
        ("revoke", {"userId": "ann", "jti": "t"}),
    ],
)
async def test_wrong_requests_are_refused_and_the_page_stays(
    console: ConsoleClient, event: str, data: dict[str, Any]
) -> None:
    with pytest.raises(Refused) as refused:
        await console.ask(event, **data)
    assert refused.value.args[0] == "INVALID_MESSAGE"
    assert (await console.ask("nodes"))["complete"]
