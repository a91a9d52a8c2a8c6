"""Recovery of clients of a `WebSocketGateway`."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, get_args

import pytest
import websockets
from starlette.applications import Starlette

from asgi_realtime import (
    Broadcaster,
    Connection,
    Frame,
    JSONDialect,
    Limits,
    RealtimeMiddleware,
    Settings,
    WebSocketGateway,
    create_token,
    on,
)
from asgi_realtime.values.ids import ConnectionId, GatewayName, RoomName
from asgi_realtime.values.json import Json
from tests.support.json_recovery_client import JSONRecoveryClient, Way
from tests.support.redis_server import RedisProcess
from tests.support.servers import IMPLEMENTATIONS, Implementation, LiveServer, Serve
from tests.support.waiting import until

SETTINGS = Settings(jwt_secret="a secret for tests that is long enough", presence_grace=0.0)
GATEWAY = GatewayName("/rooms")
PLACES = ("memory", "redis", "other")
"""Where clients recover: in the only process, in the same one with Redis, or in another one each time."""
everywhere = pytest.mark.parametrize("site", PLACES, indirect=True)
WAYS: tuple[Way, ...] = get_args(Way)


class Rooms(WebSocketGateway):
    """Its service grants rooms, and clients may join others."""

    def __init__(self, limits: Limits | None = None, *, idle_timeout: float | None = None) -> None:
        super().__init__("/rooms", limits=limits, idle_timeout=idle_timeout)
        self.granted: dict[str, Mapping[str, str | None]] = {}
        self.recovered: list[bool] = []

    async def rooms_of(self, identity: object) -> Mapping[str, str | None]:
        return self.granted.get(getattr(identity, "user_id", ""), {})

    async def on_connect(self, connection: Connection) -> None:
        self.recovered.append(connection.recovered)
        await self.enter_rooms(connection)
        await connection.send("ready")

    @on("join")
    async def join(self, room: str, connection: Connection) -> None:
        await connection.join(room)
        await connection.send("done")

    @on("follow")
    async def follow(self, where: dict[str, str], connection: Connection) -> None:
        await connection.join(where["room"], since=where["position"])
        await connection.send("done")

    @on("publish")
    async def publish(self, room: str) -> None:
        await self.broadcaster.broadcast_to_room(room, "n")

    @on("leave")
    async def leave(self, room: str, connection: Connection) -> None:
        await connection.leave(room)
        await connection.send("done")


class Site:
    """One process or two, and clients of their gateways."""

    def __init__(self, gateways: list[Rooms], servers: list[LiveServer], apps: list[RealtimeMiddleware]) -> None:
        self.gateway = gateways[0]
        for each in gateways:
            each.granted, each.recovered = self.gateway.granted, self.gateway.recovered
        self.urls = [server.websocket_url + "/rooms" for server in servers]
        self.realtimes = [app.realtime for app in apps]
        self.broadcaster = self.realtimes[0].broadcaster
        self.token_ids: list[str] = []
        self._place = 0

    def new_token(self, user_id: str) -> str:
        self.token_ids.append(f"token {len(self.token_ids)}")
        return create_token(user_id, settings=SETTINGS, jti=self.token_ids[-1])

    async def connect(self, user_id: str = "ann", *, way: Way = "frame", recovery: Json = None) -> JSONRecoveryClient:
        client = self.new_client(user_id, way, recovery)
        await client.connect()
        assert not client.recovered
        await client.expect("ready")
        return client

    def new_client(self, user_id: str = "ann", way: Way = "frame", recovery: Json = None) -> JSONRecoveryClient:
        return JSONRecoveryClient(self.urls[0], self.new_token(user_id), way, recovery=recovery)

    async def join(self, client: JSONRecoveryClient, room: str) -> None:
        await client.send("join", room)
        await client.expect("done")

    async def lose(self, client: JSONRecoveryClient) -> None:
        """Let a client lose its connection, and wait until the server knows. It will return elsewhere, if it can."""
        client.vanish()
        await until(lambda: not self.has(client))
        self._place = (self._place + 1) % len(self.urls)
        client.url = self.urls[self._place]

    def has(self, client: JSONRecoveryClient) -> bool:
        connection_id = ConnectionId(client.recovery["id"].rpartition(".")[0])
        return any(each.hub.rooms(GATEWAY).get(connection_id) for each in self.realtimes)

    @property
    def connections(self) -> int:
        return sum(len(each.hub.rooms(GATEWAY)) for each in self.realtimes)

    async def settle(self, client: JSONRecoveryClient) -> None:
        """Read everything that the client gets until now."""
        await self.broadcaster.broadcast_to_all("settled", volatile=True)
        await client.expect("settled")


async def running(
    serve: Serve,
    *gateways: Rooms,
    implementation: Implementation | None = None,
    settings: Settings = SETTINGS,
) -> Site:
    """Each gateway in a process of its own."""
    apps = [RealtimeMiddleware(Starlette(), gateways=[each], settings=settings) for each in gateways]
    return Site(list(gateways), [await serve(app, implementation) for app in apps], apps)


@pytest.fixture
async def site(request: pytest.FixtureRequest, serve: Serve) -> Site:
    place = getattr(request, "param", "memory")
    if place == "memory":
        return await running(serve, Rooms())
    redis: RedisProcess = request.getfixturevalue("redis_process")
    settings = dataclasses.replace(SETTINGS, redis_url=redis.url, redis_prefix=secrets.token_hex(4))
    return await running(serve, *[Rooms() for _ in range(2 if place == "other" else 1)], settings=settings)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("way", WAYS)
async def test_missed_events_come_directly_after_the_first_frame(
    way: Way, implementation: Implementation, serve: Serve
) -> None:
    site = await running(serve, Rooms(), implementation=implementation)
    client = await site.connect(way=way)
    await site.join(client, "room")
    await site.broadcaster.broadcast_to_room("room", "n", 1)
    await client.expect("n")
    known = client.recovery["id"]
    await site.lose(client)
    await site.broadcaster.broadcast_to_room("room", "n", 2)
    await site.broadcaster.broadcast_to_user("ann", "n", 3)
    await site.broadcaster.broadcast_to_all("n", 4)
    client.frames.clear()
    await client.connect()
    await client.expect("ready")
    assert [(frame["type"], frame.get("data")) for frame in client.frames[1:]] == [
        *(("n", number) for number in (2, 3, 4)),
        ("ready", None),
    ]
    assert (client.recovered, client.recovery["id"], site.gateway.recovered) == (True, known, [False, True])
    await site.broadcaster.broadcast_to_room("room", "n", 5)
    assert await client.expect("n") == 5
    client.vanish()


async def test_which_frames_have_an_offset(site: Site) -> None:
    client = await site.connect()
    first = client.frames[0]["data"]
    assert set(first) == {"userId", "recovery"}
    assert set(first["recovery"]) == {"id", "position", "recovered"}
    await site.join(client, "room")
    for event, volatile in (("kept", False), ("volatile", True), ("kept", False)):
        await site.broadcaster.broadcast_to_room("room", event, {"offset": "of the host"}, volatile=volatile)
    await site.settle(client)
    kept = [frame for frame in client.frames if "offset" in frame]
    assert [list(frame) for frame in kept] == [["type", "data", "offset"]] * 2
    assert len({first["recovery"]["position"], *(frame["offset"] for frame in kept)}) == 3
    assert client.data("volatile") == [{"offset": "of the host"}]
    await client.send("auth", {"token": client.token})
    assert (await client.next())["data"] == {"userId": "ann"}  # a new token is not a new session
    client.vanish()


@everywhere
@pytest.mark.parametrize("read", [0, 1, 4])
async def test_a_client_that_follows_a_room_recovers_only_if_it_got_everything(site: Site, read: int) -> None:
    client = await site.connect()
    await site.join(client, "other")
    position = await site.broadcaster.position("room")
    for number in range(3):
        await site.broadcaster.broadcast_to_room("room", "n", number)
        await site.broadcaster.broadcast_to_room("other", "other", number)
    await site.settle(client)
    await client.send("follow", {"room": "room", "position": position})
    rooms = site.realtimes[0].hub.rooms(GATEWAY)
    await until(lambda: bool(rooms.of_room(RoomName("room"))) and not rooms.of_room(RoomName("room"))[0].held)
    if read == 4:
        await site.broadcaster.broadcast_to_room("room", "n", 3)
    for number in range(read):
        assert await client.expect("n") == number
    await site.lose(client)
    await site.broadcaster.broadcast_to_room("room", "n", 4)
    await site.broadcaster.broadcast_to_room("other", "other", 3)
    await client.connect()
    assert client.recovered is (read == 4)
    await client.expect("ready")
    if client.recovered:
        assert client.data() == [0, 1, 2, 3, 4]
        assert client.data("other") == [0, 1, 2, 3]
    client.vanish()


@everywhere
async def test_a_client_recovers_any_number_of_times(site: Site) -> None:
    client = await site.connect()
    await site.join(client, "room")
    number = 0
    for turn in range(6):
        await site.lose(client)
        for _ in range(turn % 3):
            number += 1
            await site.broadcaster.broadcast_to_room("room", "n", number)
        await client.connect()
        assert client.recovered
        if turn % 2:
            number += 1
            await site.broadcaster.broadcast_to_room("room", "n", number)
            await site.settle(client)
    await site.settle(client)
    assert client.data() == list(range(1, number + 1))
    client.vanish()


@everywhere
async def test_a_client_recovers_before_its_first_event(site: Site) -> None:
    client = await site.connect()
    for number in (1, 2):
        await site.lose(client)
        await site.broadcaster.broadcast_to_user("ann", "n", number)
        await client.connect()
        assert client.recovered
    await site.settle(client)
    assert client.data() == [1, 2]
    client.vanish()


@pytest.mark.parametrize("site", ["memory"], indirect=True)
async def test_a_client_that_came_before_an_event_had_its_position_does_not_recover(site: Site) -> None:
    """While Redis is away, a broker may deliver an event at once, and number it later."""
    early = await site.connect("ann")
    (realtime,) = site.realtimes
    assert realtime.recovery is not None
    realtime.recovery.numbered(GATEWAY, await site.broadcaster.position("room"))
    late = await site.connect("bob")
    for client in (early, late):
        await site.lose(client)
        await client.connect()
    assert (early.recovered, late.recovered) == (False, True)


async def test_a_client_without_events_keeps_its_position_by_pings(serve: Serve) -> None:
    site = await running(serve, Rooms(), settings=dataclasses.replace(SETTINGS, history_ttl=0.05))
    for pings in (False, True):
        client = await site.connect()
        await site.broadcaster.broadcast_to_room("another", "n", 1)
        expired = asyncio.get_running_loop().time() + 0.06
        if pings:
            await client.send("ping", None)
            await client.expect("pong")
        await until(lambda: asyncio.get_running_loop().time() > expired)  # noqa: B023
        await site.lose(client)
        await client.connect()
        assert client.recovered is pings
        client.vanish()
        await until(lambda: site.connections == 0)


async def test_a_pong_is_behind_the_events_that_its_position_covers(site: Site) -> None:
    client = await site.connect()
    await site.join(client, "room")
    for _ in range(20):
        # In one segment: the ping is read while events wait to be written together.
        for _ in range(3):
            client.websocket.protocol.send_text(b'{"type":"publish","data":"room"}')
        client.websocket.protocol.send_text(b'{"type":"ping"}')
        client.websocket.transport.write(b"".join(client.websocket.protocol.data_to_send()))
    for _ in range(20):
        await client.expect("pong")
    await site.settle(client)
    frames = [frame for frame in client.frames if "offset" in frame]
    assert len(frames) == 80
    newest = 0
    for frame in frames:
        number = int(frame["offset"].rpartition("-")[2])
        assert number > newest or (number == newest and frame["type"] == "pong")
        newest = number
    client.vanish()


@everywhere
async def test_a_connection_may_break_while_the_missed_events_arrive(site: Site) -> None:
    client = await site.connect()
    await site.join(client, "room")
    await site.lose(client)
    for number in range(1, 21):
        await site.broadcaster.broadcast_to_room("room", "n", number)
    for read in (0, 1, 7, 0, 3):
        await client.connect()
        assert client.recovered
        for _ in range(read):
            await client.next()
        await site.lose(client)
    await client.connect()
    await site.settle(client)
    assert client.recovered
    assert client.data() == list(range(1, 21))
    client.vanish()


@everywhere
async def test_volatile_and_excepted_events_are_not_replayed(site: Site) -> None:
    client = await site.connect()
    [connection] = site.realtimes[0].hub.rooms(GATEWAY).everybody
    await site.lose(client)
    await site.broadcaster.broadcast_to_all("n", 1, volatile=True)
    await site.broadcaster.broadcast_to_all("n", 2, except_=connection.id)
    await site.broadcaster.broadcast_to_all("n", 3)
    await client.connect()
    await site.settle(client)
    assert (client.recovered, client.data()) == (True, [3])
    client.vanish()


@everywhere
async def test_the_old_websocket_may_still_be_there(site: Site) -> None:
    client = await site.connect()
    await site.join(client, "room")
    old = client.websocket
    await site.broadcaster.broadcast_to_room("room", "n", 1)  # never read
    await client.connect()
    await site.broadcaster.broadcast_to_room("room", "n", 2)
    await site.settle(client)
    assert (client.recovered, client.data()) == (True, [1, 2])
    assert len((await site.broadcaster.connections("ann")).value) == 1
    async with asyncio.timeout(10):
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                await old.recv()
    assert old.close_code == 1000
    client.vanish()


@everywhere
async def test_nothing_comes_from_a_time_in_which_the_client_was_not_in_the_room(site: Site) -> None:
    site.gateway.granted["ann"] = {"kept": None, "lost": None}
    client = await site.connect()
    for room in ("removed", "removed and added", "closed", "joined"):
        await site.join(client, room)
    await site.lose(client)
    await site.broadcaster.remove_user_from_room("ann", "removed")
    await site.broadcaster.remove_user_from_room("ann", "removed and added")
    await site.broadcaster.close_room("closed")
    for room in ("removed", "removed and added", "closed", "lost", "new"):
        await site.broadcaster.broadcast_to_room(room, "n", f"secret of {room}")
    await site.broadcaster.add_user_to_room("ann", "removed and added")
    for room in ("kept", "removed and added", "joined"):
        await site.broadcaster.broadcast_to_room(room, "n", room)
    site.gateway.granted["ann"] = {"kept": None, "new": None}
    await client.connect()  # and it is lost again before it has got any of them
    assert client.recovered
    await site.lose(client)
    for _ in range(2):
        await client.connect()
        assert client.recovered
        await site.settle(client)
        await site.lose(client)
        await site.broadcaster.broadcast_to_room("removed and added", "n", "now")
        for room in ("removed", "closed", "lost"):
            await site.broadcaster.broadcast_to_room(room, "n", f"secret of {room}")
    assert client.data() == ["kept", "removed and added", "joined", "now"]


async def test_what_cannot_be_complete_is_not_begun(site: Site) -> None:
    client = await site.connect()
    await site.join(client, "room")
    await site.lose(client)
    for number in range(SETTINGS.history_size + 1):
        await site.broadcaster.broadcast_to_room("room", "n", number)
    earlier = client.recovery["id"]
    await client.connect()
    await site.settle(client)
    assert (client.recovered, client.data()) == (False, [])
    assert client.recovery["id"] != earlier
    client.vanish()


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
async def test_no_more_is_replayed_than_may_wait_for_a_client(implementation: Implementation, serve: Serve) -> None:
    site = await running(serve, Rooms(Limits(outbox_bytes=100_000)), implementation=implementation)
    for size, recovered in ((24_900, True), (25_100, False)):
        client = await site.connect()
        await site.lose(client)
        for _ in range(2):
            await site.broadcaster.broadcast_to_all("n", "x" * size)
        await client.connect()
        await site.settle(client)
        assert (client.recovered, len(client.data())) == (recovered, 2 if recovered else 0)
        client.vanish()
        await until(lambda: site.connections == 0)


async def test_a_session_is_kept_for_the_window(serve: Serve) -> None:
    site = await running(serve, Rooms(), settings=dataclasses.replace(SETTINGS, recovery_window=0.2))
    client = await site.connect()
    await site.lose(client)
    await site.broadcaster.broadcast_to_user("ann", "n", 1)
    over = asyncio.get_running_loop().time() + 0.3
    await until(lambda: asyncio.get_running_loop().time() > over)
    await client.connect()
    await site.settle(client)
    assert (client.recovered, client.data()) == (False, [])
    client.vanish()


REVOCATIONS: dict[str, Callable[[Broadcaster], Awaitable[object]]] = {
    "revoke_user": lambda broadcaster: broadcaster.revoke_user("ann"),
    "disconnect_user": lambda broadcaster: broadcaster.disconnect_user("ann"),
    "refresh_rooms": lambda broadcaster: broadcaster.refresh_rooms("ann"),
}


@everywhere
@pytest.mark.parametrize("revocation", REVOCATIONS)
async def test_a_session_ends_with_its_credentials(site: Site, revocation: str) -> None:
    client = await site.connect()
    await site.lose(client)
    await site.broadcaster.broadcast_to_user("ann", "n", "secret")
    await REVOCATIONS[revocation](site.broadcaster)
    if revocation == "revoke_user":
        await client.open()
        assert (await client.next())["type"] == "auth_error"
    else:
        await client.connect()
        await site.settle(client)
    assert (client.recovered, client.data()) == (False, [])
    client.vanish()


async def test_a_client_that_was_silent_too_long_recovers(serve: Serve) -> None:
    gateway = Rooms(idle_timeout=0.3)
    site = await running(serve, gateway)
    client = await site.connect()
    with pytest.raises(websockets.ConnectionClosed):
        await client.next()
    assert client.websocket.close_code == 1000
    await site.broadcaster.broadcast_to_all("n", 1)
    await client.connect()
    assert client.recovered
    assert await client.expect("n") == 1
    client.vanish()


@everywhere
async def test_a_session_of_a_revoked_token_is_not_recovered_with_another_token(site: Site) -> None:
    client = await site.connect()
    await site.lose(client)
    await site.broadcaster.broadcast_to_user("ann", "n", "secret")
    await site.broadcaster.revoke_token(site.token_ids[0])
    client.token = site.new_token("ann")
    await client.connect()
    await site.settle(client)
    assert (client.recovered, client.data()) == (False, [])
    client.vanish()


@everywhere
async def test_the_session_of_another_user_is_not_given_away(site: Site) -> None:
    ann, eve = await site.connect("ann"), await site.connect("eve")
    live = site.new_client("eve", recovery=dict(ann.recovery))
    await live.connect()  # while its owner is connected
    await site.settle(ann)
    await site.lose(ann)
    await site.broadcaster.broadcast_to_user("ann", "n", "secret")
    await site.lose(eve)
    eve.recovery = dict(ann.recovery)
    await eve.connect()
    for thief in (live, eve):
        await site.settle(thief)
        assert (thief.recovered, thief.data()) == (False, [])
    await ann.connect()
    await site.settle(ann)
    assert (ann.recovered, ann.data()) == (True, ["secret"])
    for client in (ann, eve, live):
        client.vanish()


def changed(known: Mapping[str, str]) -> dict[str, Json]:
    """What a client may present instead of what it was told."""
    connection_id, position = known["id"].rpartition(".")[0], known["position"]
    epoch, _, number = position.rpartition("-")
    return {
        "an id without its secret": {"id": connection_id, "position": position},
        "half an id": {"id": known["id"][:-1], "position": position},
        "a longer id": {"id": f"{known['id']}x", "position": position},
        "no ASCII": {"id": "é", "position": position},
        "a number as id": {"id": 5, "position": position},
        "no position": {"id": known["id"]},
        "null as position": {"id": known["id"], "position": None},
        "a position of another history": {"id": known["id"], "position": f"x{position}"},
        "a position to come": {"id": known["id"], "position": f"{epoch}-{int(number) + 1_000_000}"},
        "an older position": {"id": known["id"], "position": f"{epoch}-{int(number) - 1}"},
        "true": True,
        "a list": [known["id"], position],
        "a text": known["id"],
    }


CHANGED = tuple(changed({"id": "c.secret", "position": "e-1"}))


@pytest.mark.parametrize("way", WAYS)
async def test_what_the_server_has_not_told_gives_a_new_session(way: Way, site: Site) -> None:
    await site.broadcaster.broadcast_to_all("n", 0)  # so that there is an older position
    for name in CHANGED:
        client = await site.connect(way=way)
        await site.lose(client)
        await site.broadcaster.broadcast_to_user("ann", "n", 1)
        known = client.recovery["id"]
        client.recovery = changed(client.recovery)[name]
        await client.connect()
        await site.settle(client)
        assert (client.recovered, client.data()) == (False, []), name
        assert client.recovery["id"] != known, name
        client.vanish()


@pytest.mark.parametrize("text", ["{", '"', "[" * 900, '{"id":"x"}' + " " * 1_000, "NaN", '"\ud800"', ""])
async def test_a_query_that_cannot_be_read_is_ignored(text: str, site: Site) -> None:
    client = site.new_client(way="query")
    client.url += "?recovery=" + "".join(f"%{byte:02x}" for byte in text.encode("utf-8", "surrogatepass")) + "&"
    websocket = await websockets.connect(client.url + f"token={client.token}", compression=None)
    assert json.loads(await websocket.recv())["data"]["recovery"]["recovered"] is False
    websocket.transport.abort()


@pytest.mark.parametrize("way", WAYS)
async def test_a_client_may_decline(way: Way, site: Site) -> None:
    client = site.new_client(way=way, recovery=False)
    assert await client.connect() == {"userId": "ann"}
    await site.broadcaster.broadcast_to_all("n", 1)
    await site.settle(client)
    assert client.frames[1:] == [{"type": "ready"}, {"type": "n", "data": 1}, {"type": "settled"}]
    client.vanish()
    await until(lambda: site.connections == 0)


async def test_both_forms_of_an_event_arrive_in_one_room(site: Site) -> None:
    clients = [await site.connect("ann"), await site.connect("bob", recovery=False)]
    for client in clients:
        await site.join(client, "room")
    for number in (1, 2):
        await site.broadcaster.broadcast_to_room("room", "n", number)
    for client in clients:
        await site.settle(client)
        assert client.data() == [1, 2]
        client.vanish()
    assert [["offset" in frame for frame in client.frames if frame["type"] == "n"] for client in clients] == [
        [True, True],
        [False, False],
    ]


class Protocol(Rooms):
    """An existing protocol: its first frame is its own."""

    def accepted_frame(self, connection: Connection) -> Frame | None:
        return self.wire.event_args("auth_success", [{"hello": connection.identity.user_id}])


class RecoverableProtocol(Protocol):
    """An existing protocol that got recovery."""

    recovery = True

    def accepted_frame(self, connection: Connection) -> Frame | None:
        return self.wire.event_args("auth_success", [{"hello": 1, "recovery": self.recovery_offer(connection)}])


class WithoutRecovery(Rooms):
    recovery = False


class Lists(JSONDialect):
    """Its frames are no objects. It has its own place for the position."""

    def event(self, event: str, payload: bytes = b"", attachments: Any = ()) -> Frame:
        return Frame(f'["{event}",{payload.decode() or "null"}]')


class ListProtocol(Rooms):
    wire = Lists()


@pytest.mark.parametrize("gateway", [Protocol, WithoutRecovery])
async def test_a_gateway_without_recovery_has_the_frames_of_before(gateway: type[Rooms], serve: Serve) -> None:
    site = await running(serve, gateway())
    client = await site.connect()
    await site.broadcaster.broadcast_to_all("n", 1)
    await site.settle(client)
    payload = {"hello": "ann"} if gateway is Protocol else {"userId": "ann"}
    assert client.frames[0] == {"type": "auth_success", "data": payload}
    assert client.frames[2] == {"type": "n", "data": 1}
    client.vanish()
    await until(lambda: site.connections == 0)


async def test_a_gateway_with_its_own_first_frame_may_have_recovery(serve: Serve) -> None:
    site = await running(serve, RecoverableProtocol())
    client = await site.connect()
    await site.lose(client)
    await site.broadcaster.broadcast_to_all("n", 1)
    await client.connect()
    await site.settle(client)
    assert (client.recovered, client.data()) == (True, [1])
    client.vanish()


async def test_a_frame_that_is_no_object_has_no_offset(serve: Serve) -> None:
    site = await running(serve, ListProtocol())
    websocket = await websockets.connect(f"{site.urls[0]}?token={site.new_token('ann')}", compression=None)
    assert json.loads(await websocket.recv())[0] == "auth_success"
    assert json.loads(await websocket.recv()) == ["ready", None]
    await site.broadcaster.broadcast_to_all("n", {"x": 1})
    assert json.loads(await websocket.recv()) == ["n", {"x": 1}]
    websocket.transport.abort()


async def test_a_client_that_reads_too_slowly_recovers(serve: Serve) -> None:
    site = await running(serve, Rooms(Limits(outbox_bytes=400_000)))
    client = site.new_client()
    await client.connect(max_queue=1)
    await client.expect("ready")
    client.websocket.transport.pause_reading()
    number = 0
    while site.connections:
        number += 1
        await site.broadcaster.broadcast_to_all("n", [number, "x" * 100_000])
        assert number < 400
    client.websocket.transport.abort()
    # It has got nothing of this, which is more than may wait for it.
    await client.connect()
    await site.settle(client)
    assert not client.recovered
    client.vanish()


async def test_a_session_is_not_recovered_by_a_page_of_another_origin(site: Site) -> None:
    client = await site.connect()
    await site.lose(client)
    await site.broadcaster.broadcast_to_user("ann", "n", "secret")
    with pytest.raises(websockets.InvalidStatus):
        await client.connect(origin="https://evil.example")
    await client.connect()
    assert client.recovered
    client.vanish()
