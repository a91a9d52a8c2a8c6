"""Pages of connections and rooms: each once, in order, whatever the size of the pages; and their limits."""

from __future__ import annotations

from collections.abc import Callable

import hypothesis.strategies as st
from hypothesis import given

from asgi_realtime.hub.inspections import LIST_BURST, LIST_SHARE, Inspections, connection_page, room_page
from asgi_realtime.hub.mounts import Mount
from asgi_realtime.protocols.json_dialect import JSONDialect
from asgi_realtime.values.ids import ConnectionId, RoomName
from asgi_realtime.values.inspections import (
    MOST_NAMES,
    MOST_ROW_BYTES,
    MOST_ROWS,
    ConnectionPage,
    DetailsOf,
    LoadOf,
    RoomPage,
)
from asgi_realtime.values.questions import NodeAnswer
from tests.support.recording import GATEWAY, World

users = st.sampled_from(["a", "ab", "b", "ä", "z"])
names = st.sampled_from([RoomName(name) for name in ("cake", "tea", "tee", "x")])


def walk(ask: Callable[[tuple[str, str] | None], NodeAnswer]) -> list[tuple[str, str]]:
    """Turn all pages. Returns the user and the id of each connection."""
    found: list[tuple[str, str]] = []
    while True:
        answer = ask(found[-1] if found else None)
        found += [(row.user_id, row.id) for row in answer.rows]
        if not answer.more:
            return found


@given(
    st.lists(st.tuples(users, st.sets(names)), max_size=12), st.integers(1, 4), st.sampled_from(["", "a", "c1", "?"])
)
def test_every_connection_is_on_one_page(members: list[tuple[str, set[RoomName]]], limit: int, search: str) -> None:
    world = World()
    connections = []
    for user_id, rooms in members:
        connection, _ = world.admit(user_id)
        connections.append(connection)
        for room in rooms:
            world.rooms.join(connection, room)
    everybody = sorted((each.identity.user_id, each.id) for each in connections)

    def listed(after: tuple[str, str] | None) -> NodeAnswer:
        return connection_page(ConnectionPage(gateway=GATEWAY, search=search, after=after, limit=limit), world.rooms)

    def in_tea(after: tuple[str, str] | None) -> NodeAnswer:
        page = ConnectionPage(gateway=GATEWAY, room=RoomName("tea"), search=search, after=after, limit=limit)
        return connection_page(page, world.rooms)

    assert walk(listed) == [key for key in everybody if key[0].startswith(search) or key[1].startswith(search)]
    tea = {each.id for each in connections if "tea" in each.rooms}
    assert walk(in_tea) == [key for key in everybody if key[1] in tea and key[0].startswith(search)]


@given(st.lists(st.sets(names), max_size=8), st.integers(1, 4), st.sampled_from(["", "te", "?"]))
def test_every_room_is_on_one_page(members: list[set[RoomName]], limit: int, search: str) -> None:
    world = World()
    sizes: dict[str, int] = {}
    for rooms in members:
        connection, _ = world.admit()
        for room in rooms:
            world.rooms.join(connection, room)
            sizes[room] = sizes.get(room, 0) + 1
    found: list[tuple[str, int]] = []
    more = True
    while more:
        after = found[-1][0] if found else ""
        answer = room_page(RoomPage(gateway=GATEWAY, search=search, after=after, limit=limit), world.rooms)
        assert len(answer.rooms) <= limit
        found += [(row.name, row.members) for row in answer.rooms]
        more = answer.more
    assert found == [(name, sizes[name]) for name in sorted(sizes) if name.startswith(search)]


def test_a_page_has_bounded_rows_and_bytes() -> None:
    world = World()
    for number in range(MOST_ROWS + 1):
        world.admit(f"{number:04}")
    answer = connection_page(ConnectionPage(gateway=GATEWAY, limit=1_000_000), world.rooms)
    assert (len(answer.rows), answer.more) == (MOST_ROWS, True)
    world = World()
    for letter in "abc":
        world.admit(letter * MOST_ROW_BYTES)
    answer = connection_page(ConnectionPage(gateway=GATEWAY), world.rooms)
    assert ([row.user_id[0] for row in answer.rows], answer.more) == (["a"], True)


def test_details_have_bounded_names() -> None:
    world = World()
    connection, _ = world.admit("ann", **{f"claim{number}": "a secret" for number in range(MOST_NAMES + 1)})
    for number in range(MOST_NAMES + 1):
        world.rooms.join(connection, RoomName(f"room {number}"))
    details = world.hub.answer(DetailsOf(GATEWAY, connection.id)).details
    assert details is not None
    assert (len(details.rooms), details.room_count, len(details.claims)) == (MOST_NAMES, MOST_NAMES + 1, MOST_NAMES)
    assert "a secret" not in str(details)
    assert world.hub.answer(DetailsOf(GATEWAY, ConnectionId("x"))) == NodeAnswer()


def test_half_a_surrogate_pair_in_the_name_of_a_claim_is_replaced() -> None:
    world = World()
    connection, _ = world.admit("ann", **{"cut \ud83d": 1, "whole": 2})
    details = world.hub.answer(DetailsOf(GATEWAY, connection.id)).details
    assert details is not None
    assert details.claims == ("cut \ufffd", "whole")


class SlowClock:
    """Each reading is 0.02 s later than the last, so a list takes 0.02 s."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        self.now += 0.02
        return self.now


def test_lists_take_a_small_share_of_the_time() -> None:
    world = World()
    world.admit()
    clock = SlowClock()
    mount = Mount(JSONDialect(), world.limits, world.rooms, None, None, None)
    inspections = Inspections({GATEWAY: mount}, clock=clock)
    begun = clock.now
    answers = [inspections.answer(ConnectionPage(gateway=GATEWAY)) for _ in range(1_000)]
    lists = [answer for answer in answers if answer.rows]
    assert [answer for answer in answers if not answer.rows] == [NodeAnswer(cut=True)] * (1_000 - len(lists))
    assert 0.02 * len(lists) <= LIST_SHARE * (clock.now - begun + LIST_BURST) + 0.02
    assert inspections.answer(LoadOf()) == NodeAnswer()  # not a list; this world measures no load
    clock.now += 60
    assert inspections.answer(ConnectionPage(gateway=GATEWAY)).rows
