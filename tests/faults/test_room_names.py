"""Unusable room names are refused. Names that look alike are different rooms."""

from __future__ import annotations

import json

import pytest

from asgi_realtime import InvalidMessage
from asgi_realtime.values.json import Json
from tests.support.attackers import entered, still_answers
from tests.support.raw_engineio import receive_json
from tests.support.servers import Serve
from tests.support.target_app import Target, TargetGateway

REFUSED: list[Json] = [
    "",
    "x" * 900_000,
    "é" * 150,
    "a\x00b",
    "\x00",
    "a\nb",
    "a\x7fb",
    None,
    7.5,
    True,
    ["everybody"],
    {"room": "everybody"},
]


async def test_a_bad_room_name_is_refused(serve: Serve) -> None:
    target = Target()
    server = await serve(target.app)
    async with entered(server, "client") as client:
        for room in REFUSED:
            await client.send("21" + json.dumps(["join", room]))
            (answer,) = await receive_json(client, "31")
            assert (answer["success"], answer["code"]) == (False, "INVALID_MESSAGE"), repr(room)[:30]
            assert len(json.dumps(answer)) < 200
        assert set(target.realtime.hub.rooms(target.gateway.name).names) == {"everybody"}
        await still_answers(client)
    await target.emptied()


@pytest.mark.parametrize("room", ["", "x" * 1_000_000, "a\x00b"], ids=["empty", "long", "NUL"])
async def test_a_bad_room_name_raises_at_the_host(serve: Serve, room: str) -> None:
    broadcaster = Target().realtime.broadcaster
    with pytest.raises(InvalidMessage):
        await broadcaster.broadcast_to_room(room, "event")
    with pytest.raises(InvalidMessage):
        await broadcaster.add_user_to_room("user", room)


LOOK_ALIKES = [
    *("victim", "user:victim", "users:victim", "/:everybody", "/other:everybody", "all", "*"),
    *("Everybody", "everybody ", "\u0435verybody", "{/}:h:everybody", "__proto__", "e\u0301verybody"),
]


async def test_no_name_reaches_another_room_user_or_gateway(serve: Serve) -> None:
    """No room name reaches personal rooms, all clients, or rooms of other gateways."""
    target = Target(TargetGateway("/other"))
    server = await serve(target.app)
    broadcaster = target.realtime.broadcaster
    async with entered(server, "victim") as victim, entered(server, "spy") as spy:
        await spy.send('0/other,{"name":"spy"}')
        await receive_json(spy, "0/other,")
        for name in LOOK_ALIKES:
            for namespace in ("", "/other,"):
                await spy.send(f"2{namespace}1{json.dumps(['join', name])}")
                assert await receive_json(spy, f"3{namespace}1") == [True]
            await broadcaster.broadcast_to_user("victim", "secret")
            await broadcaster.broadcast_to_room("a room of the victim's", "secret")
            await broadcaster.broadcast_to_room(name, "to the room", gateway="/other")
            await broadcaster.broadcast_to_room(name, "to the room")
            assert await victim.receive() == '2["secret"]'
            assert await spy.receive() == '2/other,["to the room"]', name
            assert await spy.receive() == '2["to the room"]', name
        await still_answers(victim)
    await target.emptied()
