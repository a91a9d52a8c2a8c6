"""Recovery with npm's socket.io-client, unchanged, over both transports."""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import pytest
from starlette.applications import Starlette

from asgi_realtime import (
    Broadcaster,
    Connection,
    RealtimeMiddleware,
    Settings,
    SocketIOGateway,
    create_token,
    on,
)
from asgi_realtime.values.ids import ConnectionId, GatewayName, RoomName
from asgi_realtime.values.json import Json
from tests.support.node_client import ConnectRefused, Node, NodeClient
from tests.support.redis_server import RedisProcess
from tests.support.servers import LiveServer, Serve
from tests.support.waiting import until

GATEWAY = GatewayName("/")
SETTINGS = Settings(jwt_secret="a secret for tests that is long enough", presence_grace=0.0)
PLACES = ("memory", "redis", "other")
"""Where clients recover: in the only process, in the same one with Redis, or in another one each time."""
sites = pytest.mark.parametrize("site", [(place, ["websocket"]) for place in PLACES], ids=PLACES, indirect=True)
over_each_transport = pytest.mark.parametrize(
    "site",
    [(place, transports) for place in PLACES for transports in (["polling"], ["websocket"], ["polling", "websocket"])],
    ids=[f"{place}-{name}" for place in PLACES for name in ("polling", "websocket", "upgrade")],
    indirect=True,
)
"""The other tests run over WebSocket."""


class Rooms(SocketIOGateway):
    """Its service grants rooms, and clients may join others."""

    def __init__(self) -> None:
        super().__init__("/")
        self.granted: dict[str, Mapping[str, str | None]] = {}
        self.recovered: list[bool] = []
        self.may_follow = asyncio.Event()
        self.followers: list[ConnectionId] = []

    async def rooms_of(self, identity: object) -> Mapping[str, str | None]:
        return self.granted.get(getattr(identity, "user_id", ""), {})

    async def on_connect(self, connection: Connection) -> None:
        self.recovered.append(connection.recovered)
        await self.enter_rooms(connection)
        await connection.send("ready")

    @on("join")
    async def join(self, room: str, connection: Connection) -> bool:
        await connection.join(room)
        return True

    @on("follow")
    async def follow(self, room: str, position: str, connection: Connection) -> bool:
        self.followers.append(connection.id)
        await self.may_follow.wait()
        await connection.join(room, since=position)
        return True

    @on("leave")
    async def leave(self, room: str, connection: Connection) -> bool:
        await connection.leave(room)
        return True


class Site:
    """One process or two, and clients of their gateways."""

    def __init__(
        self, node: Node, servers: list[LiveServer], apps: list[RealtimeMiddleware], transports: list[str]
    ) -> None:
        self.node = node
        self.servers = servers
        self.realtimes = [app.realtime for app in apps]
        self.transports = transports
        self.broadcaster = self.realtimes[0].broadcaster
        self.granted: dict[str, Mapping[str, str | None]] = {}
        self.recovered: list[bool] = []
        self.token_ids: list[str] = []
        self.clients: list[NodeClient] = []
        self.may_follow = asyncio.Event()
        self.followers: list[ConnectionId] = []
        self._place = 0

    def new_token(self, user_id: str) -> str:
        self.token_ids.append(f"token {len(self.token_ids)}")
        return create_token(user_id, settings=SETTINGS, jti=self.token_ids[-1])

    async def connect(self, user_id: str = "ann", **auth: Json) -> NodeClient:
        token = self.new_token(user_id)
        client = await self.node.connect(self.servers[0].url, auth={"token": token, **auth}, transports=self.transports)
        self.clients.append(client)
        if len(self.transports) > 1:
            await client.upgraded()
        return client

    async def lose(self, client: NodeClient) -> None:
        """Let a client lose its connection, and wait until the server knows. It will return elsewhere, if it can."""
        assert client.id is not None
        await client.drop()
        await until(lambda: not self.has(client))
        await self.move(client)

    def has(self, client: NodeClient) -> bool:
        return any(each.hub.rooms(GATEWAY).get(ConnectionId(client.id or "")) for each in self.realtimes)

    async def move(self, client: NodeClient) -> None:
        self._place = (self._place + 1) % len(self.servers)
        await client.command("move", url=self.servers[self._place].url)


@pytest.fixture
async def site(
    request: pytest.FixtureRequest, node: Node, serve: Serve, redis_process: RedisProcess
) -> AsyncIterator[Site]:
    place, transports = request.param
    settings = SETTINGS
    if place != "memory":
        settings = dataclasses.replace(SETTINGS, redis_url=redis_process.url, redis_prefix=secrets.token_hex(4))
    gateways = [Rooms() for _ in range(2 if place == "other" else 1)]
    apps = [RealtimeMiddleware(Starlette(), gateways=[each], settings=settings) for each in gateways]
    site = Site(node, [await serve(app) for app in apps], apps, transports)
    for each in gateways:
        each.granted, each.recovered = site.granted, site.recovered
        each.may_follow, each.followers = site.may_follow, site.followers
    yield site
    for client in site.clients:
        await client.disconnect()
    await until(lambda: not any(each.engineio.sessions for each in site.realtimes))


def data(client: NodeClient, event: str = "n") -> list[Json]:
    return [received.args[0] for received in client.events if received.event == event]


@over_each_transport
async def test_missed_events_arrive_before_the_connection(site: Site) -> None:
    client = await site.connect()
    await client.call("join", "room")
    earlier = client.id
    await site.broadcaster.broadcast_to_room("room", "n", 1)
    await client.expect("n")
    await site.lose(client)
    for number in (2, 3):
        await site.broadcaster.broadcast_to_room("room", "n", number)
    await client.reconnect()
    assert client.recovered
    assert client.id == earlier
    assert site.recovered == [False, True]
    await site.broadcaster.broadcast_to_room("room", "n", 4)
    await until(lambda: 4 in data(client))
    assert data(client) == [1, 2, 3, 4]


@sites
async def test_a_client_recovers_before_its_first_event(site: Site) -> None:
    client = await site.connect()
    await site.lose(client)
    await site.broadcaster.broadcast_to_user("ann", "n", 1)
    await site.broadcaster.broadcast_to_all("n", 2)
    await client.reconnect()
    assert client.recovered
    assert data(client) == [1, 2]


@over_each_transport
async def test_a_client_recovers_any_number_of_times(site: Site) -> None:
    client = await site.connect()
    await client.call("join", "room")
    number = 0
    for turn in range(6):
        await site.lose(client)
        for _ in range(turn % 3):
            number += 1
            await site.broadcaster.broadcast_to_room("room", "n", number)
        await client.reconnect()
        assert client.recovered
        if turn % 2:
            number += 1
            await site.broadcaster.broadcast_to_room("room", "n", number)
            await until(lambda: number in data(client))  # noqa: B023
    assert data(client) == list(range(1, number + 1))


@sites
async def test_text_in_an_event_is_not_taken_for_a_position(site: Site) -> None:
    client = await site.connect()
    await client.call("join", "room")
    for volatile in (False, True):
        await site.broadcaster.broadcast_to_room("room", "text", "1764-5", volatile=volatile)
    await site.broadcaster.broadcast_to_room("room", "nothing", volatile=True)
    await client.expect("nothing")
    await site.lose(client)
    await site.broadcaster.broadcast_to_room("room", "n", 1)
    await client.reconnect()
    assert client.recovered
    assert data(client, "text") == ["1764-5", "1764-5"]
    assert data(client) == [1]


@sites
async def test_a_client_that_follows_a_room_from_a_position_recovers_from_what_it_got(site: Site) -> None:
    client = await site.connect()
    await client.call("join", "other")
    position = await site.broadcaster.position("room")
    for number in range(3):
        await site.broadcaster.broadcast_to_room("room", "n", number)
        await site.broadcaster.broadcast_to_room("other", "other", f"text {number}")
    await until(lambda: len(data(client, "other")) == 3)
    site.may_follow.set()
    await client.call("follow", "room", position)
    await site.broadcaster.broadcast_to_room("room", "n", 3)  # its position says that it has got those before
    await until(lambda: 3 in data(client))
    await site.lose(client)
    await site.broadcaster.broadcast_to_room("room", "n", 4)
    await site.broadcaster.broadcast_to_room("other", "other", "text 3")
    await client.reconnect()
    assert client.recovered
    await until(lambda: len(data(client)) >= 5)
    assert data(client) == [0, 1, 2, 3, 4]
    assert data(client, "other") == ["text 0", "text 1", "text 2", "text 3"]


@sites
@pytest.mark.parametrize("text", [False, True])
async def test_a_client_that_may_have_lost_what_came_since_a_position_does_not_recover(site: Site, text: bool) -> None:
    client = await site.connect()
    position = await site.broadcaster.position("room")
    for number in range(2):
        await site.broadcaster.broadcast_to_room("room", "n", f"text {number}" if text else number)
    await client.emit("follow", "room", position)
    await until(lambda: bool(site.followers))
    await client.vanish()
    site.may_follow.set()
    await until(lambda: bool(site.realtimes[0].hub.rooms(GATEWAY).of_room(RoomName("room"))))
    await site.broadcaster.broadcast_to_room("room", "n", "so it is written, or held until it is")
    await site.move(client)
    await client.reconnect()
    assert not client.recovered


@sites
async def test_volatile_and_excepted_events_are_not_replayed(site: Site) -> None:
    client = await site.connect()
    await client.call("join", "room")
    await site.lose(client)
    await site.broadcaster.broadcast_to_room("room", "n", 1, volatile=True)
    await site.broadcaster.broadcast_to_room("room", "n", 2, except_=client.id)
    await site.broadcaster.broadcast_to_room("room", "n", 3)
    await client.reconnect()
    assert client.recovered
    assert data(client) == [3]


@over_each_transport
async def test_binary_events_are_replayed(site: Site) -> None:
    client = await site.connect()
    await site.lose(client)
    await site.broadcaster.broadcast_to_all("binary", {"bytes": b"\x00\xff"})
    await site.broadcaster.broadcast_to_all("n", 1)
    await client.reconnect()
    assert client.recovered
    assert data(client, "binary") == [{"bytes": b"\x00\xff"}]
    assert data(client) == [1]


@over_each_transport
async def test_the_old_transport_may_still_be_there(site: Site) -> None:
    client = await site.connect()
    await client.call("join", "room")
    await client.vanish()
    await site.move(client)
    await site.broadcaster.broadcast_to_room("room", "n", 1)
    await client.reconnect()
    assert client.recovered
    assert data(client) == [1]
    assert len((await site.broadcaster.connections("ann")).value) == 1
    await site.broadcaster.broadcast_to_room("room", "n", 2)
    await until(lambda: data(client) == [1, 2])


@sites
async def test_granted_rooms_are_asked_for_again(site: Site) -> None:
    site.granted["ann"] = {"kept": None, "lost": None}
    client = await site.connect()
    await site.lose(client)
    for room in ("kept", "lost"):
        await site.broadcaster.broadcast_to_room(room, "n", room)
    site.granted["ann"] = {"kept": None, "new": None}
    await site.broadcaster.broadcast_to_room("new", "n", "before it was there")
    await client.reconnect()
    assert client.recovered
    for room in ("lost", "new"):
        await site.broadcaster.broadcast_to_room(room, "n", f"now {room}")
    await until(lambda: "now new" in data(client))
    assert data(client) == ["kept", "now new"]


@sites
async def test_nothing_comes_from_a_time_in_which_the_client_was_not_in_the_room(site: Site) -> None:
    client = await site.connect()
    for room in ("left and back", "removed", "removed and added", "closed", "joined later"):
        if room != "joined later":
            await client.call("join", room)
    await client.call("leave", "left and back")
    for room in ("left and back", "joined later"):
        await site.broadcaster.broadcast_to_room(room, "n", f"secret of {room}")
        await client.call("join", room)
    await site.lose(client)
    await site.broadcaster.remove_user_from_room("ann", "removed")
    await site.broadcaster.remove_user_from_room("ann", "removed and added")
    await site.broadcaster.close_room("closed")
    for room in ("removed", "removed and added", "closed"):
        await site.broadcaster.broadcast_to_room(room, "n", f"secret of {room}")
    await site.broadcaster.add_user_to_room("ann", "removed and added")
    for room in ("left and back", "removed and added", "joined later"):
        await site.broadcaster.broadcast_to_room(room, "n", room)
    await client.reconnect()
    assert client.recovered
    for room in ("removed", "closed", "removed and added"):
        await site.broadcaster.broadcast_to_room(room, "n", f"now {room}")
    await until(lambda: "now removed and added" in data(client))
    assert data(client) == ["left and back", "removed and added", "joined later", "now removed and added"]


@sites
async def test_what_cannot_be_complete_is_not_begun(site: Site) -> None:
    client = await site.connect()
    await client.call("join", "room")
    await site.lose(client)
    for number in range(SETTINGS.history_size + 1):
        await site.broadcaster.broadcast_to_room("room", "n", number)
    earlier = client.id
    await client.reconnect()
    assert (client.recovered, data(client)) == (False, [])
    assert client.id != earlier
    await site.lose(client)
    await site.broadcaster.broadcast_to_all("n", "again")
    await client.reconnect()
    assert (client.recovered, data(client)) == (True, ["again"])


REVOCATIONS: dict[str, Callable[[Broadcaster], Awaitable[object]]] = {
    "revoke_user": lambda broadcaster: broadcaster.revoke_user("ann"),
    "disconnect_user": lambda broadcaster: broadcaster.disconnect_user("ann"),
    "refresh_rooms": lambda broadcaster: broadcaster.refresh_rooms("ann"),
}


@sites
@pytest.mark.parametrize("revocation", REVOCATIONS)
async def test_a_session_ends_with_its_credentials(site: Site, revocation: str) -> None:
    client = await site.connect()
    await site.lose(client)
    await site.broadcaster.broadcast_to_user("ann", "n", "secret")
    await REVOCATIONS[revocation](site.broadcaster)
    if revocation == "revoke_user":
        with pytest.raises(ConnectRefused):
            await client.reconnect()
    else:
        await client.reconnect()
    assert (client.recovered, data(client)) == (False, [])


@sites
async def test_a_session_of_a_revoked_token_is_not_recovered_with_another_token(site: Site) -> None:
    client = await site.connect()
    await site.lose(client)
    await site.broadcaster.broadcast_to_user("ann", "n", "secret")
    await site.broadcaster.revoke_token(site.token_ids[0])
    await client.reconnect(auth={"token": site.new_token("ann")})
    assert (client.recovered, data(client)) == (False, [])


@sites
async def test_the_session_of_another_user_is_not_given_away(site: Site) -> None:
    ann = await site.connect("ann")
    eve = await site.connect("eve")
    pid = await ann.command("pid")
    await site.lose(ann)
    await site.broadcaster.broadcast_to_user("ann", "n", "secret")
    await site.lose(eve)
    await eve.command("set_pid", pid=pid)
    await eve.reconnect()
    assert not eve.recovered
    await ann.reconnect()
    assert ann.recovered
    assert data(ann) == ["secret"]
    assert data(eve) == []


@sites
async def test_a_client_may_decline_positions(site: Site) -> None:
    client = await site.connect(recovery=False)
    await site.broadcaster.broadcast_to_all("n", 1)
    received = await client.expect("n")
    assert (received.args, received.position) == ([1], None)
    assert await client.command("pid") is None
    await client.drop()
    await until(lambda: not site.has(client))


@sites
async def test_both_forms_of_an_event_arrive_in_one_room(site: Site) -> None:
    clients = [await site.connect("ann"), await site.connect("bob", recovery=False)]
    for client in clients:
        await client.call("join", "room")
    for number in (1, 2):
        await site.broadcaster.broadcast_to_room("room", "n", number)
    for client in clients:
        await until(lambda: len(data(client)) == 2)  # noqa: B023
        assert data(client) == [1, 2]
    with_positions, without = ([received.position for received in client.events[-2:]] for client in clients)
    assert without == [None, None]
    assert None not in with_positions
    assert len(set(with_positions)) == 2
