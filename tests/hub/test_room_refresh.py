"""Refreshing rooms during other changes: no event leaks in any interleaving."""

from __future__ import annotations

import asyncio
import gc
import random
import weakref
from collections.abc import Awaitable

import pytest

from asgi_realtime.connection.connection import InternalConnection
from asgi_realtime.connection.contracts import MountedGateway
from asgi_realtime.limits import Limits
from asgi_realtime.metrics import Meter
from asgi_realtime.protocols.json_dialect import JSONDialect
from asgi_realtime.values.commands import AddToRoom, CloseRoom, RefreshRooms, RemoveFromRoom
from asgi_realtime.values.ids import GatewayName, RoomName, UserId
from asgi_realtime.values.publications import Publication, ToRoom, ToUsers
from tests.support.recording import GATEWAY, Host, World

ANN = UserId("ann")


def publish(world: World, room: str, event: str) -> int:
    return world.deliver(Publication(gateway=GATEWAY, target=ToRoom(RoomName(room)), event=event))


def refresh(world: World) -> Awaitable[object]:
    work = world.hub.apply(RefreshRooms(GATEWAY, ToUsers((ANN,))))
    assert work is not None
    return work


class Gate:
    """Delays the answers of the host until `open`."""

    def __init__(self, world: World) -> None:
        self.asked = asyncio.Semaphore(0)
        self.answers = asyncio.Semaphore(0)
        world.host.gate = self

    async def __call__(self) -> None:
        self.asked.release()
        await self.answers.acquire()

    def open(self) -> None:
        self.answers.release()


async def member(world: World) -> tuple[InternalConnection, list[str]]:
    world.host.rooms["ann"] = {"server": None, "channel": "server", "secret": "server"}
    connection, transport = world.admit("ann")
    await world.hub.refresh(connection)
    return connection, transport.written


async def test_a_lost_room_delivers_nothing_once_the_refresh_is_requested() -> None:
    world = World()
    connection, written = await member(world)
    gate = Gate(world)
    world.host.rooms["ann"] = {"server": None, "channel": "server"}
    work = refresh(world)
    publish(world, "secret", "LEAK")
    publish(world, "channel", "KEPT")
    await gate.asked.acquire()
    publish(world, "secret", "LEAK")
    assert written == []
    gate.open()
    await work
    publish(world, "secret", "LEAK")
    assert written == ['{"type":"KEPT"}']
    assert connection.rooms == {"server", "channel"}


async def test_a_user_kicked_while_the_host_is_slow_stays_out() -> None:
    world = World()
    connection, written = await member(world)
    gate = Gate(world)
    work = refresh(world)
    await gate.asked.acquire()  # the host has read the database: the user is a member
    world.host.rooms["ann"] = {}
    world.hub.apply(RemoveFromRoom(GATEWAY, ANN, RoomName("server")))
    assert connection.rooms == set()
    gate.open()
    await work
    assert connection.rooms == set(), "the older answer does not revert the kick"
    for room in ("server", "channel", "secret"):
        assert publish(world, room, "LEAK") == 0
    assert written == []


async def test_a_room_closed_while_the_host_is_slow_stays_closed() -> None:
    world = World()
    connection, _ = await member(world)
    gate = Gate(world)
    work = refresh(world)
    await gate.asked.acquire()
    world.hub.apply(CloseRoom(GATEWAY, RoomName("channel")))
    gate.open()
    await work
    assert connection.rooms == {"server", "secret"}


async def test_a_room_added_while_the_host_is_slow_is_kept() -> None:
    world = World()
    connection, _ = await member(world)
    gate = Gate(world)
    work = refresh(world)
    await gate.asked.acquire()
    world.hub.apply(AddToRoom(GATEWAY, ANN, RoomName("dm")))
    gate.open()
    await work
    assert "dm" in connection.rooms


async def test_the_answer_to_the_last_refresh_overrides_rooms_given_before_it() -> None:
    world = World()
    connection, written = await member(world)
    gate = Gate(world)
    first = refresh(world)
    await gate.asked.acquire()
    world.hub.apply(AddToRoom(GATEWAY, ANN, RoomName("channel")))
    world.host.rooms["ann"] = {"server": None}  # now the user loses every channel
    second = refresh(world)
    gate.open()
    await gate.asked.acquire()
    publish(world, "channel", "LEAK")
    gate.open()
    await first
    await second
    assert connection.rooms == {"server"}
    assert written == []
    assert world.host.asked.count("ann") == 3


async def test_rooms_joined_by_handlers_outlive_a_refresh() -> None:
    world = World()
    connection, _ = await member(world)
    await connection.public.join("lobby")
    world.host.rooms["ann"] = {}
    await refresh(world)
    assert connection.rooms == {"lobby"}


@pytest.mark.parametrize("failure", ["raises", "is slow", "is cancelled"])
async def test_a_failing_host_closes_the_connection(failure: str, caplog: pytest.LogCaptureFixture) -> None:
    world = World(Limits(handler_timeout=0.05))
    connection, transport = world.admit("ann")
    world.host.rooms["ann"] = {"server": None}
    await world.hub.refresh(connection)

    async def fail() -> None:
        if failure == "raises":
            raise LookupError("no database")
        if failure == "is cancelled":
            raise asyncio.CancelledError
        await asyncio.Event().wait()

    world.host.gate = fail
    work = refresh(world)
    publish(world, "server", "LEAK")
    await work
    assert transport.closes == [(1011, "rooms unavailable")]
    assert transport.written == []
    assert not world.rooms.everybody
    assert "which rooms" in caplog.text
    await world.tasks.until_idle()


async def test_a_host_that_fails_for_a_whole_room_is_logged_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.host.rooms["ann"] = {"server": None}
    transports = []
    for _ in range(20):
        connection, transport = world.admit("ann")
        await world.hub.refresh(connection)
        transports.append(transport)

    async def fail() -> None:
        raise LookupError("no database")

    world.host.gate = fail
    work = world.hub.apply(RefreshRooms(GATEWAY, ToRoom(RoomName("server"))))
    assert work is not None
    await work
    assert [transport.closes for transport in transports] == [[(1011, "rooms unavailable")]] * 20
    assert len([record for record in caplog.records if "which rooms" in record.message]) == 1


async def test_a_closed_connection_ends_its_pending_call() -> None:
    world = World()
    connection, transport = world.admit("ann")
    Gate(world)
    waiting = asyncio.ensure_future(world.hub.refresh(connection))
    asked_by_command = refresh(world)
    await asyncio.sleep(0)
    connection.end(1000, "")
    async with asyncio.timeout(5.0):  # less than `Limits.handler_timeout`, which would end the call too
        await waiting
        await asked_by_command
        await world.tasks.until_idle()
    assert connection.refresh is None
    reference = weakref.ref(connection.public)
    transport.connection = transport.on_close = None
    del connection, transport, waiting, asked_by_command
    gc.collect()
    assert reference() is None


async def test_refreshes_call_the_host_a_few_at_a_time() -> None:
    world = World()
    for _ in range(50):
        world.admit("ann")
    gate = Gate(world)
    work = refresh(world)
    for _ in range(16):
        await gate.asked.acquire()
    await asyncio.sleep(0)  # another question would start in this turn
    assert len(world.host.asked) == 16
    for _ in range(50):
        gate.open()
    await work
    assert len(world.host.asked) == 50


async def test_a_gateway_whose_host_hangs_delays_no_other_gateway() -> None:
    world = World()
    for _ in range(40):
        world.admit("ann")
    gate = Gate(world)
    work = refresh(world)
    for _ in range(16):
        await gate.asked.acquire()
    other, quick = GatewayName("/other"), Host()
    quick.rooms["bob"] = {"lobby": None}
    world.hub.mount(other, JSONDialect(), world.limits, quick.rooms_of)
    connection, _ = world.connection("bob")
    connection.mounted = MountedGateway(
        name=other, dialect=JSONDialect(), hub=world.hub, held_bytes=1_000, meter=Meter()
    )
    world.hub.add(connection)
    try:
        async with asyncio.timeout(5.0):  # less than `Limits.handler_timeout`, which would end the calls of the other
            await world.hub.enter(connection)
        assert connection.rooms == {"lobby"}
        assert len(world.host.asked) == 16
    finally:
        for _ in range(40):
            gate.open()
        await work


@pytest.mark.parametrize("seed", range(40))
async def test_no_interleaving_delivers_events_of_a_lost_room(seed: int) -> None:
    """Changes of rights, kicks and broadcasts at random moments, with a host that answers after random delays.

    The host commits before it sends the command, as required. After that, no event of a lost room may be delivered.
    """
    chance = random.Random(seed)
    world = World()
    database: dict[str, str | None] = {"server": None, "a": "server", "b": "server"}
    world.host.rooms["ann"] = database
    waits: list[asyncio.Future[None]] = []

    async def slow() -> None:
        waits.append(asyncio.get_running_loop().create_future())
        await waits[-1]

    connection, transport = world.admit("ann")
    await world.hub.refresh(connection)
    world.host.gate = slow
    pending: list[Awaitable[object]] = []
    sent = 0
    forbidden: set[str] = set()
    for _ in range(60):
        action = chance.choice(["revoke", "grant", "kick", "publish", "publish", "answer", "answer", "tick"])
        room = chance.choice("ab")
        if action == "revoke" and room in database:
            del database[room]
            pending.append(refresh(world))
        elif action == "grant":
            database.update({"server": None, room: "server"})
            world.hub.apply(AddToRoom(GATEWAY, ANN, RoomName("server"), None))
            pending.append(refresh(world))
        elif action == "kick":
            database.clear()
            world.hub.apply(RemoveFromRoom(GATEWAY, ANN, RoomName("server")))
        elif action == "publish":
            sent += 1
            allowed = room in database
            publish(world, room, f"{room}{sent}")
            if not allowed:
                forbidden.add(f"{room}{sent}")
        elif action == "answer" and waits:
            waits.pop(0).set_result(None)
        await asyncio.sleep(0)
    world.host.gate = None
    for wait in waits:
        wait.set_result(None)
    for work in pending:
        await work
    await world.tasks.until_idle()
    leaked = forbidden & set(transport.events)
    # If a room is lost and regained before the host answers, the events in between were held and are delivered.
    regained = {event for event in leaked if event[0] in database}
    assert leaked == regained
    assert connection.rooms == set(database)
