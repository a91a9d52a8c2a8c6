"""One rule for every inbound id: numbers and UUIDs become text. Other types are refused and named in the error."""

from __future__ import annotations

import enum
import inspect
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from asgi_realtime import (
    Broadcaster,
    ChatBroadcaster,
    ChatGateway,
    ChatMessage,
    Connection,
    EventsBroadcaster,
    EventsGateway,
    Handshake,
    Identity,
    InvalidMessage,
    JobsBroadcaster,
    JobsGateway,
    JobStatus,
    MewBroadcaster,
    MewGateway,
    RealtimeMiddleware,
    SavedMessage,
    Settings,
    SocketIOServer,
    UserRooms,
    WebSocketGateway,
    on,
)
from asgi_realtime.broadcasting.typed_broadcaster import TypedBroadcaster, sync_too
from asgi_realtime.testing import ConnectionRefused, RealtimeTestClient
from asgi_realtime.values.ids import id_text, id_texts

SETTINGS = Settings(jwt_secret="a secret of at least thirty-two bytes", presence_grace=0.0)
SEVEN = uuid.UUID(int=7)


class Number(enum.IntEnum):
    FIVE = 5


class Name(enum.StrEnum):
    TEA = "tea"


class OldName(str, enum.Enum):  # noqa: UP042 (its own `str` says something else)
    TEA = "tea"


class Row:
    id = 5


IDS: list[tuple[Any, str]] = [
    ("ann", "ann"),
    (5, "5"),
    (-5, "-5"),
    (0, "0"),
    (Number.FIVE, "5"),
    (SEVEN, str(SEVEN)),
    (Name.TEA, "tea"),
    (OldName.TEA, "tea"),
]
NO_IDS: list[Any] = [None, True, 5.0, b"ann", ["ann"], ("ann",), {"id": 5}, Row(), object()]


@pytest.mark.parametrize(("value", "text"), IDS, ids=repr)
def test_a_str_an_int_or_a_uuid_is_an_id(value: Any, text: str) -> None:
    found = id_text(value, "room")
    assert found == text
    assert type(found) is str
    assert id_texts([value, text], "rooms") == (text,)


@pytest.mark.parametrize("value", NO_IDS, ids=lambda value: type(value).__name__)
def test_other_values_are_refused_as_ids(value: Any) -> None:
    with pytest.raises(TypeError, match=r"^user_id must be a str, an int or a UUID, not "):
        id_text(value, "user_id")
    with pytest.raises(TypeError, match=r"^each of user_ids must be"):
        id_texts(["ann", value], "user_ids")


def test_an_object_with_an_id_gets_an_error_that_names_its_id() -> None:
    with pytest.raises(TypeError, match=r"not Row; pass its id$"):
        id_text(Row(), "user_id")


def test_an_empty_text_is_refused_as_an_id() -> None:
    with pytest.raises(TypeError, match=r"^user_id must not be empty$"):
        id_text("", "user_id")


@pytest.mark.parametrize("value", ["ann", b"ann", 5, SEVEN, None], ids=repr)
def test_one_id_in_the_place_of_several_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match=r"^user_ids must be several ids"):
        id_texts(value, "user_ids")


# The broadcaster


class Tea(WebSocketGateway):
    """Puts its clients in the room `7` and echoes what they send."""

    async def on_connect(self, connection: Connection) -> None:
        await connection.join(7)

    @on("join")
    async def _join(self, room: Any, connection: Connection) -> None:
        await connection.join(room)
        await connection.leave(room)


@asynccontextmanager
async def running(*gateways: Any) -> AsyncIterator[RealtimeTestClient]:
    async def host(scope: Any, receive: Any, send: Any) -> None: ...

    async with RealtimeTestClient(RealtimeMiddleware(host, gateways=gateways, settings=SETTINGS)) as client:
        yield client


Call = Callable[[Broadcaster, Any], Awaitable[Any]]
BY_USER: dict[str, Call] = {
    "broadcast_to_user": lambda to, user: to.broadcast_to_user(user, "news", 1),
    "broadcast_to_users": lambda to, user: to.broadcast_to_users([user, "bob"], "news", 1),
    "add_user_to_room": lambda to, user: to.add_user_to_room(user, 8),
    "remove_user_from_room": lambda to, user: to.remove_user_from_room(user, 7),
    "refresh_rooms": lambda to, user: to.refresh_rooms(user),
    "disconnect_user": lambda to, user: to.disconnect_user(user),
    "revoke_user": lambda to, user: to.revoke_user(user),
    "is_online": lambda to, user: to.is_online(user),
}
BY_ROOM: dict[str, Call] = {
    "broadcast_to_room": lambda to, room: to.broadcast_to_room(room, "news", 1),
    "add_user_to_room": lambda to, room: to.add_user_to_room(5, room),
    "remove_user_from_room": lambda to, room: to.remove_user_from_room(5, room),
    "close_room": lambda to, room: to.close_room(room),
    "refresh_members": lambda to, room: to.refresh_members(room),
    "disconnect_members": lambda to, room: to.disconnect_members(room),
}
OTHERS: dict[str, Call] = {
    "parent": lambda to, value: to.add_user_to_room(5, 7, parent=value),
    "jti": lambda to, value: to.revoke_token(value),
    "connection_id": lambda to, value: to.disconnect_connection(value),
    "except_": lambda to, value: to.broadcast_to_all("news", 1, except_=value),
    "key": lambda to, value: to.broadcast_to_all("news", 1, key=value),
    "gateway": lambda to, value: to.is_online(5, gateway=value),
}


@pytest.mark.parametrize("user", [5, SEVEN, Number.FIVE], ids=repr)
@pytest.mark.parametrize("call", BY_USER)
async def test_a_user_id_of_any_form_means_the_user(call: str, user: Any) -> None:
    async with running(Tea("/tea")) as client:
        token = client.token(user)
        async with client.connect("/tea", token=token) as socket:
            result = await BY_USER[call](client.broadcaster, user)
            if call in ("disconnect_user", "revoke_user"):
                await socket.expect_closed()
            elif call.startswith("broadcast"):
                assert result.delivered_locally == 1
                await socket.expect("news")
            elif call == "is_online":
                assert result is True
            elif call == "add_user_to_room":
                assert socket.rooms == {"7", "8"}
            elif call == "remove_user_from_room":
                assert socket.rooms == set()
            assert [connection.identity.user_id for connection in client.connections(user, gateway="/tea")] in (
                [],
                [str(int(user) if isinstance(user, int) else user)],
            )
        if call == "revoke_user":
            with pytest.raises(ConnectionRefused):
                async with client.connect("/tea", token=token):
                    pass


@pytest.mark.parametrize("call", BY_ROOM)
async def test_a_room_of_any_form_means_the_room(call: str) -> None:
    async with running(Tea("/tea")) as client, client.connect("/tea", token=client.token(5)) as socket:
        result = await BY_ROOM[call](client.broadcaster, 7)
        if call == "broadcast_to_room":
            assert result.delivered_locally == 1
        if call == "disconnect_members":
            await socket.expect_closed()
            return
        expected = set() if call in ("remove_user_from_room", "close_room") else {"7"}
        assert socket.rooms == expected


@pytest.mark.parametrize("argument", ["user_id", "room", *OTHERS])
async def test_an_invalid_id_is_refused_with_the_name_of_its_argument(argument: str) -> None:
    calls = {"user_id": BY_USER, "room": BY_ROOM}.get(argument) or {argument: OTHERS[argument]}
    values: list[Any] = [1.5, True, b"ann", object()] if argument in OTHERS else NO_IDS
    async with running(Tea("/tea")) as client:
        for name, call in calls.items():
            for value in values:
                with pytest.raises(TypeError, match="user_ids" if name == "broadcast_to_users" else argument):
                    await call(client.broadcaster, value)


async def test_a_token_id_that_is_a_number_is_revoked() -> None:
    async with running(Tea("/tea")) as client:
        async with client.connect("/tea", token=client.token(5, jti="77")) as socket:
            await client.broadcaster.revoke_token(77)
            await socket.expect_closed()


async def test_connections_are_left_out_by_id_one_or_several() -> None:
    async with running(Tea("/tea")) as client, client.connect("/tea", token=client.token(5)) as socket:
        mine = socket.connection.id
        for left_out in (mine, [mine], (mine,), {mine}, (each for each in [mine])):
            receipt = await client.broadcaster.broadcast_to_room(7, "news", 1, except_=left_out)
            assert receipt.delivered_locally == 0
        several: list[Any] = [None, (), []]
        for excluded in several:
            assert (await client.broadcaster.broadcast_to_room(7, "news", 1, except_=excluded)).delivered_locally == 1
        with pytest.raises(TypeError, match=r"except_ must be .* not Connection; pass its id"):
            await client.broadcaster.broadcast_to_room(7, "news", 1, except_=socket.connection)  # type: ignore[arg-type]


async def test_the_same_key_in_two_forms_is_the_same() -> None:
    async with running(Tea("/tea")) as client:
        first = await client.broadcaster.broadcast_to_room(7, "news", 1, key=5)
        again = await client.broadcaster.broadcast_to_room(7, "news", 2, key="5")
        assert first == again


@pytest.mark.parametrize("sent", [5.5, None, True, ["a"], {"a": 1}, ""], ids=repr)
async def test_a_client_that_sends_no_id_for_a_room_gets_an_error(sent: Any, caplog: pytest.LogCaptureFixture) -> None:
    async with running(Tea("/tea")) as client, client.connect("/tea", token=client.token(5)) as socket:
        await socket.send("join", 5)
        await socket.send("join", sent)
        refused = await socket.expect("error")
        assert refused.data["code"] == InvalidMessage.code
        assert socket.rooms == {"7"}
    assert not [record for record in caplog.records if record.exc_info]


# Typed broadcasters


class Everything:
    """The host of all four systems. Its ids are numbers."""

    async def rooms_of(self, identity: Identity) -> UserRooms:
        return UserRooms(servers={1: [10, 11]}, dms=[12])

    async def create_message(self, identity: Identity, message: Any, broadcaster: Any) -> None: ...

    async def groups_of(self, identity: Identity) -> list[int]:
        return [2, 3]

    async def save_message(self, identity: Identity, message: ChatMessage) -> SavedMessage:
        return SavedMessage(message, owed=[5])

    async def mark_read(self, identity: Identity, chat_id: str) -> None: ...

    async def may_join(self, identity: Identity, job_id: str) -> bool:
        return True

    async def last_status(self, job_id: str) -> JobStatus:
        return JobStatus(job_id=1, status="running")


VALUES: Mapping[str, Any] = {
    **{"server_id": 1, "channel_id": 10, "user_id": 5, "category_id": 20, "sticker_id": 30, "bot_id": 40},
    **{"service_type": 50, "room": 1, "sender_id": 6, "job_id": 1, "key": 9},
    **{"message_id": 3, "from_id": 5, "to_id": 2, "request_id": 4, "friend_id": 8, "group_id": 2, "new_owner_id": 5},
}
REST: Mapping[str, Any] = {
    **{"message": {"text": "x"}, "channel": {}, "category": {}, "sticker": {}, "server": {}, "data": 1},
    **{"event": "news", "content": "x", "status": "done", "stage": "s", "error": "e", "reason": "r"},
    **{"chat_type": "group", "from_name": "n", "create_time": 1, "friend_name": "n", "group_name": "n"},
    **{"inviter_name": "n", "muted": True, "announcement": "a"},
}
SYSTEMS: list[tuple[type[TypedBroadcaster], str]] = [
    (MewBroadcaster, "/"),
    (EventsBroadcaster, "/events"),
    (ChatBroadcaster, "/chat"),
    (JobsBroadcaster, "/ws"),
]
ROOMS: Mapping[str, set[str]] = {
    **{"/": {"1", "10", "11", "12"}, "/events": {"1", "10"}, "/chat": {"2", "3"}, "/ws": {"1", "10"}},
}
"""The rooms of user 5 before each call."""
METHODS = [
    (kind, gateway, name)
    for kind, gateway in SYSTEMS
    for name, member in vars(kind).items()
    if isinstance(member, sync_too)
]


def arguments(kind: type[TypedBroadcaster], name: str, form: Callable[[Any], Any]) -> dict[str, Any]:
    """An argument for each parameter without a default, and for each that takes an id."""
    found: dict[str, Any] = {}
    function = vars(kind)[name].function
    for parameter in list(inspect.signature(function).parameters.values())[1:]:
        if parameter.name in VALUES:
            found[parameter.name] = form(VALUES[parameter.name])
        elif parameter.name in ("recipients", "owed"):
            found[parameter.name] = [form(5), form(6)]
        elif parameter.name == "message" and kind is ChatBroadcaster:
            found["message"] = ChatMessage(
                id=form(3), from_id=form(5), to_id=form(2), chat_type="group", content="x", timestamp=1
            )
        elif parameter.default is parameter.empty:
            found[parameter.name] = REST[parameter.name]
    if name == "group_member_join":
        found["group_id"] = form(4)
    return found


@asynccontextmanager
async def everything() -> AsyncIterator[RealtimeTestClient]:
    host = Everything()
    gateways = [MewGateway(service=host), EventsGateway(), ChatGateway(service=host), JobsGateway(service=host)]
    async with running(*gateways) as client:
        yield client


async def effect(kind: type[TypedBroadcaster], gateway: str, name: str, form: Callable[[Any], Any]) -> Any:
    """The events of user 5 from a call, and the rooms of the user after it."""
    async with everything() as client, client.connect(gateway, token=client.token(5)) as socket:
        for room in (1, 10):
            if gateway in ("/events", "/ws"):
                await client.broadcaster.of(gateway).add_user_to_room(5, room)
        before = len(socket.events)
        options = {} if kind is not MewBroadcaster else {"infra": "/events"}
        await getattr(kind(client.broadcaster.of(gateway), **options), name)(**arguments(kind, name, form))
        await client.settle()
        received = [(event.name, without_time(event.data)) for event in socket.events[before:]]
        return received, socket.rooms, socket.closed


def without_time(data: Any) -> Any:
    return {name: value for name, value in data.items() if name != "timestamp"} if isinstance(data, dict) else data


@pytest.mark.parametrize(("kind", "gateway", "name"), METHODS, ids=[f"{k.__name__}.{n}" for k, _, n in METHODS])
async def test_each_typed_method_means_the_same_with_numbers_and_text(
    kind: type[TypedBroadcaster], gateway: str, name: str
) -> None:
    with_text = await effect(kind, gateway, name, str)
    assert await effect(kind, gateway, name, int) == with_text
    received, rooms, closed = with_text
    if name != "position" and (kind, name) != (MewBroadcaster, "system_bot_config_update"):  # passed to services
        assert received or closed or rooms != ROOMS[gateway], "the call must reach the user"


@pytest.mark.parametrize(("kind", "gateway", "name"), METHODS, ids=[f"{k.__name__}.{n}" for k, _, n in METHODS])
async def test_each_typed_method_names_the_argument_that_is_no_id(
    kind: type[TypedBroadcaster], gateway: str, name: str
) -> None:
    good = arguments(kind, name, int)
    tried = 0
    async with everything() as client, client.connect(gateway, token=client.token(5)) as socket:
        before = (len(socket.events), socket.rooms)
        for argument in good:
            if argument not in VALUES and argument not in ("recipients", "owed"):
                continue
            if argument == "channel_id" and "message" in name:
                continue  # unused if there are recipients; tested below
            tried += 1
            word = f"{argument} must be" if argument != "user_id" or "group" not in name else "must be"
            with pytest.raises(TypeError, match=word):
                await getattr(kind(client.broadcaster.of(gateway)), name)(**{**good, argument: 1.5})
        await client.settle()
        assert (len(socket.events), socket.rooms) == before, "the error is raised before any effect"
    assert tried or "message" in name or name == "broadcast_to_all"


async def test_a_message_to_a_channel_names_it() -> None:
    async with everything() as client:
        with pytest.raises(TypeError, match="channel_id must be"):
            await MewBroadcaster(client.broadcaster).message_create(1.5, {}, recipients=None)  # type: ignore[arg-type]


def test_every_parameter_that_is_an_id_says_so() -> None:
    for kind, _, name in METHODS:
        for parameter in list(inspect.signature(vars(kind)[name].function).parameters.values())[1:]:
            if parameter.name in VALUES:
                assert "Id" in str(parameter.annotation), f"{kind.__name__}.{name}({parameter.name})"


# Services and authenticators

CHAT_MESSAGE = ChatMessage(id=SEVEN, from_id=5, to_id=6, chat_type="single", content="x", timestamp=1, reply_to=4)


async def test_rooms_that_a_service_returns_as_numbers_are_reached() -> None:
    async with everything() as client:
        async with client.connect("/", token=client.token(5)) as socket:
            assert socket.rooms == {"1", "10", "11", "12"}
            assert (await client.broadcaster.broadcast_to_room("10", "news")).delivered_locally == 1
            await client.broadcaster.remove_user_from_room(5, 1)
            assert socket.rooms == {"12"}
        async with client.connect("/chat", token=client.token(5)) as socket:
            assert socket.rooms == {"2", "3"}


@pytest.mark.parametrize(
    ("rooms", "message"),
    [
        (UserRooms(servers={1.5: []}), "a server of UserRooms.servers must be"),  # type: ignore[arg-type]
        (UserRooms(servers={1: "10"}), "UserRooms.servers must be several ids"),
        (UserRooms(dms="12"), "UserRooms.dms must be several ids"),
        (UserRooms(dms=[None]), "each of UserRooms.dms must be"),  # type: ignore[list-item]
        (None, "MewService.rooms_of must return UserRooms, not NoneType"),
        ({"1": []}, "MewService.rooms_of must return UserRooms, not dict"),
    ],
    ids=str,
)
async def test_invalid_rooms_refuse_the_client_and_are_logged(
    rooms: Any, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Host(Everything):
        async def rooms_of(self, identity: Identity) -> UserRooms:
            answer: UserRooms = rooms
            return answer

    async with running(MewGateway(service=Host())) as client:
        with pytest.raises(ConnectionRefused, match="internal error"):
            async with client.connect("/", token=client.token(5)):
                pass
    assert message in caplog.text


@pytest.mark.parametrize(
    ("answer", "message"),
    [({5: None, SEVEN: 5}, ""), ({1.5: None}, "a room of rooms_of"), ({5: 1.5}, "a parent room"), ([5], "a mapping")],
    ids=str,
)
async def test_rooms_of_a_gateway_follow_the_rule(answer: Any, message: str, caplog: pytest.LogCaptureFixture) -> None:
    class Rooms(WebSocketGateway):
        async def on_connect(self, connection: Connection) -> None:
            await self.enter_rooms(connection)

        async def rooms_of(self, identity: Identity) -> Any:
            return answer

    async with running(Rooms("/rooms")) as client:
        if message:
            with pytest.raises(ConnectionRefused):
                async with client.connect("/rooms", token=client.token(5)):
                    pass
            assert message in caplog.text
        else:
            async with client.connect("/rooms", token=client.token(5)) as socket:
                assert socket.rooms == {"5", str(SEVEN)}


@pytest.mark.parametrize("groups", ["12", [1.5], None, 5], ids=repr)
async def test_invalid_groups_refuse_the_client(groups: Any, caplog: pytest.LogCaptureFixture) -> None:
    class Host(Everything):
        async def groups_of(self, identity: Identity) -> list[int]:
            answer: list[int] = groups
            return answer

    async with running(ChatGateway(service=Host())) as client:
        with pytest.raises(ConnectionRefused):
            async with client.connect("/chat", token=client.token(5)):
                pass
    assert "groups_of must be" in caplog.text


@pytest.mark.parametrize("saved", [None, {"id": "m"}, True], ids=repr)
async def test_a_message_that_was_not_saved_gets_an_error_that_names_the_expected_fields(
    saved: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Host(Everything):
        async def save_message(self, identity: Identity, message: ChatMessage) -> SavedMessage:
            answer: SavedMessage = saved
            return answer

    message = {"id": "m", "fromId": "5", "toId": "6", "chatType": "single", "content": "x"}
    async with running(ChatGateway(service=Host())) as client:
        async with client.connect("/chat", token=client.token(5)) as socket:
            await socket.send("message", message)
            assert (await socket.expect("error")).data["message"] == "服务器内部错误"
    assert "ChatService.save_message must return SavedMessage" in caplog.text


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Identity(user_id=1.5), "user_id"),  # type: ignore[arg-type]
        (lambda: Identity(user_id=None), "user_id"),  # type: ignore[arg-type]
        (lambda: Identity(user_id=""), "user_id must not be empty"),
        (lambda: JobStatus(job_id=1.5, status="x"), "job_id"),  # type: ignore[arg-type]
        (lambda: SavedMessage("m"), "SavedMessage.message must be a ChatMessage"),  # type: ignore[arg-type]
        (lambda: SavedMessage(CHAT_MESSAGE, owed="bob"), "owed must be several ids"),
        (lambda: SavedMessage(CHAT_MESSAGE, owed=[None]), "each of owed"),  # type: ignore[list-item]
    ],
)
def test_a_value_with_an_invalid_id_raises_when_the_host_makes_it(make: Callable[[], object], message: str) -> None:
    with pytest.raises(TypeError, match=message) as raised:
        make()
    assert not isinstance(raised.value, InvalidMessage), "a mistake of the host is not a refusal"


def test_values_that_the_host_makes_have_text_ids() -> None:
    assert (CHAT_MESSAGE.id, CHAT_MESSAGE.from_id, CHAT_MESSAGE.to_id) == (str(SEVEN), "5", "6")
    assert CHAT_MESSAGE.reply_to == "4"
    assert JobStatus(job_id=SEVEN, status="x").job_id == str(SEVEN)
    assert SavedMessage(CHAT_MESSAGE, owed={5}).owed == ("5",)


@pytest.mark.parametrize("user", [5, SEVEN], ids=repr)
async def test_an_authenticator_may_return_any_form_of_id(user: Any) -> None:
    async def authenticate(handshake: Handshake) -> Identity:
        return Identity(user_id=user)

    async with running(Tea("/tea", authenticator=authenticate)) as client, client.connect("/tea", token="x"):
        assert await client.broadcaster.online_users() == {str(user)}
        assert (await client.broadcaster.broadcast_to_user(user, "news")).delivered_locally == 1


# python-socketio's API


async def test_the_rooms_of_a_server_follow_the_rule() -> None:
    sio = SocketIOServer()
    sids: list[str] = []

    @sio.event
    async def connect(sid: str, environ: Any, auth: Any) -> None:
        sids.append(sid)

    async with running(sio) as client, client.connect("/") as socket:
        await sio.enter_room(sids[0], 7)
        await sio.enter_room(sids[0], SEVEN)
        assert set(sio.rooms(sids[0])) == {sids[0], "7", str(SEVEN)}
        for to in (7, "7", [7], [SEVEN], {7: "a"}):
            await sio.emit("news", 1, to=to)
            await socket.expect("news")
        await sio.emit("news", 1, room=7, skip_sid=sids[0])
        await socket.expect_nothing("news")
        await sio.leave_room(sids[0], 7)
        await sio.close_room(SEVEN)
        assert sio.rooms(sids[0]) == [sids[0]]
        wrong: dict[str, Callable[[], Awaitable[None]]] = {
            "room": lambda: sio.enter_room(sids[0], 1.5),  # type: ignore[arg-type]
            "to": lambda: sio.emit("news", to=1.5),  # type: ignore[arg-type]
            "each of to": lambda: sio.emit("news", to=[None]),  # type: ignore[list-item]
            "skip_sid": lambda: sio.emit("news", skip_sid=1.5),  # type: ignore[arg-type]
            "room must": lambda: sio.leave_room(sids[0], None),  # type: ignore[arg-type]
            "room must be": lambda: sio.close_room(1.5),  # type: ignore[arg-type]
            "sid": lambda: sio.disconnect(None),  # type: ignore[arg-type]
        }
        for name, call in wrong.items():
            with pytest.raises(TypeError, match=f"^{name}"):
                await call()
