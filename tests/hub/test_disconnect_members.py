"""The command that disconnects the members of a room."""

from __future__ import annotations

from asgi_realtime.values.commands import DisconnectMembers
from asgi_realtime.values.ids import GatewayName, RoomName
from tests.support.recording import GATEWAY, World

LOBBY = RoomName("lobby")


async def test_the_members_of_a_room_of_the_gateway_are_disconnected() -> None:
    world = World()
    members, (_, outside) = [world.admit("ann") for _ in range(2)], world.admit("ann")
    for connection, _ in members:
        world.rooms.join(connection, LOBBY)
    world.hub.apply(DisconnectMembers(GatewayName("/other"), LOBBY, 1008, "out"))
    world.hub.apply(DisconnectMembers(GATEWAY, RoomName("attic"), 1008, "out"))
    assert len(world.rooms) == 3
    world.hub.apply(DisconnectMembers(GATEWAY, LOBBY, 4001, "closed"))
    assert [transport.closes for _, transport in members] == [[(4001, "closed")]] * 2
    assert (outside.closes, len(world.rooms)) == ([], 1)
