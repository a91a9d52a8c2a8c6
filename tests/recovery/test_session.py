"""Recovery sessions, their store and the log of commands."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable

import pytest

from asgi_realtime.broker.position_order import position_from_client
from asgi_realtime.recovery.command_log import CommandLog
from asgi_realtime.recovery.session import RecoverySession, SessionId
from asgi_realtime.recovery.session_store import MemorySessionStore
from asgi_realtime.runtime.timers import TimerWheel
from asgi_realtime.values.commands import (
    AddToRoom,
    CloseRoom,
    Command,
    DisconnectConnection,
    DisconnectMembers,
    DisconnectUser,
    RefreshRooms,
    RemoveFromRoom,
    RevokeToken,
    TakeOver,
)
from asgi_realtime.values.identity import Identity
from asgi_realtime.values.ids import ConnectionId, GatewayName, RoomName, UserId
from asgi_realtime.values.json import Json
from asgi_realtime.values.publications import Position, ToAll, ToRoom, ToRooms, ToUsers

GATEWAY, OTHER = GatewayName("/"), GatewayName("/other")
ANN, BOB = UserId("ann"), UserId("bob")
CHANNEL, SERVER, COMPANY = RoomName("channel"), RoomName("server"), RoomName("company")


def at(number: int) -> Position:
    return Position(f"e-{number}")


def session(
    connection_id: str = "c",
    *,
    rooms: dict[RoomName, Position] | None = None,
    parents: dict[RoomName, RoomName] | None = None,
    replayed: Position | None = None,
    unsure: Position | None = None,
) -> RecoverySession:
    return RecoverySession(
        id=SessionId(GATEWAY, connection_id),
        connection_id=ConnectionId(connection_id),
        identity=Identity(user_id=ANN),
        rooms=rooms or {},
        parents=parents or {},
        granted=frozenset(),
        since=at(10),
        unsure=unsure,
        replayed=replayed,
        commands=0,
    )


@pytest.mark.parametrize(("offset", "start"), [(13, 13), (12, None), (11, None), (None, None)])
def test_a_client_that_may_lack_events_of_its_own_does_not_recover(offset: int | None, start: int | None) -> None:
    lost = session(unsure=at(12))
    known = None if offset is None else at(offset)
    expected = None if start is None else at(start)
    assert (lost.start(known), lost.exact_start(known)) == (expected, expected)
    assert lost.after_receiving(at(12)).start(known) == expected
    assert lost.after_receiving(at(13)).start(known) == at(13)


@pytest.mark.parametrize(
    ("replayed", "offset", "start"),
    [
        (None, 12, 12),
        (None, 7, 10),  # of an earlier session of the client
        (None, None, 10),
        (9, 9, 10),
        (9, 11, 11),
        (9, 8, None),  # it did not get the answer to CONNECT, but perhaps events before it
        (9, None, None),
    ],
)
def test_the_start_position(replayed: int | None, offset: int | None, start: int | None) -> None:
    kept = session(replayed=None if replayed is None else at(replayed))
    assert kept.start(None if offset is None else at(offset)) == (None if start is None else at(start))


def test_commands_move_the_client_that_is_away() -> None:
    kept = session(rooms={CHANNEL: at(3), SERVER: at(4)}, parents={CHANNEL: SERVER, SERVER: COMPANY})

    def rooms_after(*commands: Command) -> dict[RoomName, Position] | None:
        after = kept.after([(command, at(20 + number)) for number, command in enumerate(commands)])
        return None if after is None else after.rooms

    new = RoomName("new")
    assert rooms_after() == {CHANNEL: at(3), SERVER: at(4)}
    assert rooms_after(RemoveFromRoom(GATEWAY, ANN, CHANNEL)) == {SERVER: at(4)}
    for room in (SERVER, COMPANY):
        assert rooms_after(RemoveFromRoom(GATEWAY, ANN, room)) == {}
        assert rooms_after(CloseRoom(GATEWAY, room)) == {}
    assert rooms_after(AddToRoom(GATEWAY, ANN, CHANNEL)) == {CHANNEL: at(3), SERVER: at(4)}
    again = rooms_after(RemoveFromRoom(GATEWAY, ANN, CHANNEL), AddToRoom(GATEWAY, ANN, CHANNEL))
    assert again == {CHANNEL: at(21), SERVER: at(4)}
    assert rooms_after(AddToRoom(GATEWAY, ANN, new, SERVER), CloseRoom(GATEWAY, SERVER)) == {}
    for target in (ToAll(), ToUsers((ANN,)), ToRoom(SERVER), ToRooms((new, SERVER))):
        assert rooms_after(RefreshRooms(GATEWAY, target)) is None
    for target in (ToRoom(new), ToRooms((new,))):
        assert rooms_after(RefreshRooms(GATEWAY, target)) == kept.rooms
    assert rooms_after(DisconnectUser(GATEWAY, ANN, 1000, "")) is None
    assert rooms_after(DisconnectMembers(GATEWAY, CHANNEL, 1000, "")) is None
    assert rooms_after(DisconnectMembers(GATEWAY, new, 1000, "")) == kept.rooms
    left = rooms_after(RemoveFromRoom(GATEWAY, ANN, CHANNEL), DisconnectMembers(GATEWAY, CHANNEL, 1000, ""))
    assert left == {SERVER: at(4)}
    assert rooms_after(DisconnectConnection(GATEWAY, kept.connection_id, 1000, "")) is None
    assert rooms_after(DisconnectConnection(GATEWAY, ConnectionId("another"), 1000, "")) == kept.rooms


def take_over(connection_id: str) -> TakeOver:
    return TakeOver(
        gateway=GATEWAY,
        user_id=ANN,
        connection_id=ConnectionId(connection_id),
        event="kick",
        payload=b"",
        code=1008,
        reason="",
    )


def test_only_another_connection_takes_over_from_a_session() -> None:
    kept = session("c", rooms={CHANNEL: at(3)})
    assert kept.after([(take_over("c"), at(20))]) == kept
    assert kept.after([(take_over("d"), at(20))]) is None


def test_a_client_that_always_has_a_position_begins_exactly_there() -> None:
    kept = dataclasses.replace(session(), since=at(10))
    assert [kept.exact_start(at(number)) for number in (9, 10, 11)] == [None, at(10), at(11)]
    assert kept.exact_start(None) is None
    assert kept.exact_start(Position("f-11")) is None


def test_the_log_has_the_commands_that_concern_a_user() -> None:
    log = CommandLog(limit=100)
    commands: list[Command] = [
        RemoveFromRoom(GATEWAY, ANN, CHANNEL),
        CloseRoom(GATEWAY, CHANNEL),
        RemoveFromRoom(GATEWAY, BOB, CHANNEL),
        RemoveFromRoom(OTHER, ANN, CHANNEL),
        RefreshRooms(GATEWAY, ToUsers((BOB, ANN))),
        RevokeToken("a token"),
        DisconnectUser(None, ANN, 1000, ""),
        take_over("d"),
        DisconnectMembers(GATEWAY, CHANNEL, 1000, ""),
        DisconnectMembers(OTHER, CHANNEL, 1000, ""),
        DisconnectConnection(GATEWAY, ConnectionId("d"), 1000, ""),
    ]
    before = []
    for number, command in enumerate(commands):
        before.append(log.count)
        log.append(command, at(number))
    mine = [commands[index] for index in (0, 1, 4, 6, 7, 8, 10)]
    assert [command for command, _ in log.since(0, GATEWAY, ANN) or []] == mine
    assert [command for command, _ in log.since(before[4], GATEWAY, ANN) or []] == mine[2:]
    assert log.since(log.count, GATEWAY, ANN) == []


def test_a_session_from_before_the_oldest_command_is_not_complete() -> None:
    log = CommandLog(limit=3)
    for number in range(4):
        log.append(CloseRoom(GATEWAY, CHANNEL), at(number))
    assert log.since(0, GATEWAY, BOB) is None
    assert len(log.since(1, GATEWAY, BOB) or []) == 3
    log.forget()
    assert log.since(3, GATEWAY, BOB) is None
    assert log.since(log.count, GATEWAY, BOB) == []


def new_store(*, window: float = 120.0, **limits: int) -> MemorySessionStore:
    return MemorySessionStore(wheel=TimerWheel(tick=1.0), window=window, **limits)


def claim(store: MemorySessionStore, name: str, *, accept: bool = True) -> Awaitable[RecoverySession | None]:
    return store.claim(SessionId(GATEWAY, name), "", lambda identity: accept)


async def test_a_session_is_claimed_once() -> None:
    store = new_store()
    store.save(session("c"), "")
    assert await store.claim(SessionId(OTHER, "c"), "", lambda identity: True) is None
    assert await claim(store, "c", accept=False) is None
    assert await claim(store, "c") is not None
    assert await claim(store, "c") is None


async def test_a_session_expires() -> None:
    store = new_store(window=0.01)
    store.save(session("c"), "")
    now = asyncio.get_running_loop().time()
    assert store.on_deadline(now) is not None
    assert len(store) == 1
    assert store.on_deadline(now + 0.1) is None
    assert len(store) == 0
    store = new_store(window=0.0)
    store.save(session("c"), "")
    assert await claim(store, "c") is None


@pytest.mark.parametrize("limits", [{"limit": 2}, {"limit_bytes": 2 * session().size + 1}])
async def test_the_oldest_sessions_are_removed_over_a_limit(limits: dict[str, int]) -> None:
    store = new_store(**limits)
    for name in "cdde":
        store.save(session(name), "")
    assert len(store) == 2
    assert await claim(store, "c") is None
    assert await claim(store, "e") is not None


@pytest.mark.parametrize(
    "value", [None, 5, "", "e", "e-", "e-6", "f-5", "e--5", "e-٣", "-5", f"e-{'0' * 20}5", "e-5 ", ["e-5"], "hello"]
)
def test_a_position_that_is_not_of_this_history(value: Json) -> None:
    assert position_from_client(value, at(5)) is None
    assert position_from_client("e-5", at(5)) == at(5)
