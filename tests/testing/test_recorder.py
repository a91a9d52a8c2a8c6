"""The recorder of broadcasts."""

from __future__ import annotations

import asyncio
import dataclasses
import math
import uuid
from collections.abc import AsyncIterator

import pytest

from asgi_realtime import Settings
from asgi_realtime.testing import RealtimeTestClient
from tests.support.shop_app import SECRET, make_app


@pytest.fixture
async def client() -> AsyncIterator[RealtimeTestClient]:
    async with RealtimeTestClient(make_app(Settings(jwt_secret=SECRET))) as running:
        yield running


async def test_it_says_to_whom_what_was_broadcast(client: RealtimeTestClient) -> None:
    recorded, send, id = client.record(), client.broadcaster, uuid.uuid4()
    await send.broadcast_to_room("tea", "A", {"id": id}, except_=["c1", "c2"])
    await send.broadcast_to_user(7, "B", None)
    await send.broadcast_to_users(["ada", "bob"], "C")
    await send.broadcast_to_all("D", {"raw": [b"\x00", {"more": b"\x01"}]}, volatile=True)
    await send.of("/ticker").broadcast_to_all("E", 3)
    a, b, c, d, e = recorded.all
    assert (a.rooms, a.users, a.to_all, a.except_, a.data) == (("tea",), (), False, ("c1", "c2"), {"id": str(id)})
    assert (b.rooms, b.users, b.data, b.args) == ((), ("7",), None, (None,))
    assert (c.users, c.data, c.args) == (("ada", "bob"), None, ())
    assert (d.to_all, d.volatile, d.data) == (True, True, {"raw": [b"\x00", {"more": b"\x01"}]})
    assert (e.gateway, e.to_all, e.volatile, e.data) == ("/ticker", True, False, 3)
    assert await recorded.expect("A", room="tea", data={"id": id}) == a
    assert await recorded.expect("B", user=7, data=None) == b
    assert await recorded.expect("C", user="bob") == c
    assert await recorded.expect("E", gateway="/ticker", to_all=True, where=lambda price: price == 3) == e
    assert await recorded.take_all() == [d]
    await recorded.expect_nothing()
    assert len(recorded.all) == 5


@dataclasses.dataclass
class Step:
    """A payload."""

    done: tuple[int, ...]


@pytest.mark.parametrize(
    "payload", [(1, 2), Step(done=(1,)), {"rate": math.nan}, "\ud83d", {"raw": [bytearray(b"\x00")]}, {1: {2, 1}}]
)
async def test_what_was_broadcast_is_expected_as_it_was_given(client: RealtimeTestClient, payload: object) -> None:
    recorded = client.record()
    await client.broadcaster.broadcast_to_room("tea", "A", payload)
    await recorded.expect_nothing("A", data="another")
    with pytest.raises(AssertionError, match="unexpected broadcast: A"):
        await recorded.expect_nothing("A", data=payload)
    await recorded.expect("A", data=payload)


async def test_delivery_is_as_without_it_and_counted(client: RealtimeTestClient) -> None:
    recorded = client.record()
    async with (
        client.connect("/", token=client.token("ada")) as ada,
        client.connect("/", token=client.token("bob")) as bob,
    ):
        assert await ada.call("note", "hello") == 5
        assert (await bob.expect("NOTE")).data == "hello"
        await ada.expect_nothing("NOTE")
        note = await recorded.expect("NOTE", room="orders")
        assert note.delivered == 1
        assert note.except_ == (ada.connection.id,)
        await ada.send("note", "again")
        assert [each.data for each in await recorded.take_all()] == ["again"]
        await ada.send("note", "once more")
        with pytest.raises(AssertionError, match="unexpected broadcast: NOTE to room orders except 1, 1 delivered"):
            await recorded.expect_nothing()
        await client.broadcaster.remove_user_from_room("bob", "orders")  # commands pass
        assert (await client.broadcaster.broadcast_to_room("orders", "X")).delivered_locally == 1
        assert (await recorded.expect("X")).delivered == 1


async def test_a_repeated_key_and_a_broadcast_that_raised_are_not_there(client: RealtimeTestClient) -> None:
    recorded = client.record()
    for _ in range(2):
        await client.broadcaster.broadcast_to_all("PAID", key="order-1")
    with pytest.raises(TypeError):
        await client.broadcaster.broadcast_to_all("PAID", object())
    assert [each.event for each in await recorded.take_all()] == ["PAID"]


async def test_it_waits_for_a_broadcast_that_comes_later(client: RealtimeTestClient) -> None:
    recorded = client.record()
    expected = asyncio.create_task(recorded.expect("LATER"))
    await client.broadcaster.broadcast_to_all("OTHER")
    await client.broadcaster.broadcast_to_all("LATER", 1)
    assert (await expected).data == 1


async def test_a_failure_says_what_was_expected_and_what_came(client: RealtimeTestClient) -> None:
    recorded = client.record()
    await client.broadcaster.broadcast_to_room("tea", "A", {"n": 1}, except_="c1")
    await client.broadcaster.broadcast_to_user("ada", "B")
    await client.broadcaster.of("/ticker").broadcast_to_all("C", 3)
    await recorded.expect("B")
    with pytest.raises(AssertionError) as failed:
        await recorded.expect("A", room="coffee", data={"n": 2}, gateway="/", where=bool, timeout=0.05)
    assert str(failed.value) == (
        "not broadcast: A to room coffee on / with {'n': 2} that fits within 0.05 s: 3 recorded, 2 of them not taken:\n"
        "  A to room tea except 1, 0 delivered: {'n': 1}\n"
        "  C to all on /ticker, 0 delivered: 3"
    )
    with pytest.raises(AssertionError, match="not broadcast: B to user bob within"):
        await recorded.expect("B", user="bob", timeout=0.05)
    with pytest.raises(AssertionError, match="not broadcast: A to all within"):
        await recorded.expect("A", to_all=True, timeout=0.05)
    with pytest.raises(AssertionError, match=r"unexpected broadcast: A to room tea except 1, 0 delivered: \{'n': 1\}"):
        await recorded.expect_nothing("A", room="tea")
    await recorded.expect_nothing("A", room="coffee")
    await recorded.expect_nothing("A", data=None)


async def test_each_call_records_from_then_on_and_a_stop_ends_it() -> None:
    app = make_app(Settings(jwt_secret=SECRET))
    async with RealtimeTestClient(app) as client:
        one = client.record()
        await client.broadcaster.broadcast_to_all("A")
        other = client.record()
        await client.broadcaster.broadcast_to_all("B")
        assert [each.event for each in one.all] == ["A", "B"]
        assert [each.event for each in other.all] == ["B"]
    async with RealtimeTestClient(app) as client:
        await client.broadcaster.broadcast_to_all("C")
    assert len(one.all) == 2
