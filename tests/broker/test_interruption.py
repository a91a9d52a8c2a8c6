"""A `MemoryBroker` that is interrupted."""

from __future__ import annotations

import pytest

from asgi_realtime import BrokerUnavailable
from asgi_realtime.broker.memory import MemoryBroker
from asgi_realtime.values.ids import GatewayName, RoomName
from asgi_realtime.values.publications import Position, Publication, ToAll, ToRoom
from tests.support.recording_receiver import RecordingReceiver

GATEWAY, ROOM = GatewayName("/"), RoomName("tea")


class Receiver(RecordingReceiver):
    def __init__(self) -> None:
        super().__init__()
        self.positions: list[Position] = []

    def numbered(self, gateway: GatewayName, position: Position) -> None:
        self.positions.append(position)


def publication(event: str, *, volatile: bool = False) -> Publication:
    return Publication(gateway=GATEWAY, target=ToRoom(ROOM), event=event, volatile=volatile)


async def test_what_is_delivered_here_enters_history_in_order_when_it_resumes() -> None:
    broker, receiver = MemoryBroker(), Receiver()
    await broker.start(receiver)
    before = await broker.position(GATEWAY)
    broker.interrupt(local=True)
    for event, volatile in (("a", False), ("b", True), ("c", False)):
        assert (await broker.publish(publication(event, volatile=volatile))).position is None
    assert receiver.seen == ["a", "b", "c"]
    with pytest.raises(BrokerUnavailable):
        await broker.history(GATEWAY, before, [ToRoom(ROOM)])
    broker.resume()
    found = await broker.history(GATEWAY, before, [ToRoom(ROOM)])
    assert [each.event for each in found] == ["a", "c"]
    assert [each.position for each in found] == receiver.positions
    assert receiver.seen == ["a", "b", "c"]


async def test_the_queue_has_a_limit() -> None:
    broker = MemoryBroker()
    await broker.start(Receiver())
    broker.interrupt(local=True)
    for _ in range(10_000):
        await broker.publish(publication("a"))
    with pytest.raises(BrokerUnavailable, match="the queue is full"):
        await broker.publish(publication("a"))
    assert (await broker.publish(publication("a", volatile=True))).delivered_locally == 1


@pytest.mark.parametrize("local", [False, True])
async def test_reading_raises_in_both_modes(local: bool) -> None:
    broker = MemoryBroker()
    await broker.start(Receiver())
    broker.interrupt(local=local)
    during = broker.ready
    for call in (
        broker.position(GATEWAY),
        broker.latest(GATEWAY, ROOM, "a"),
        broker.recent(GATEWAY, ToAll()),
    ):
        with pytest.raises(BrokerUnavailable, match="the test has interrupted the broker"):
            await call
    broker.resume()
    assert (during, broker.ready) == (False, True)
    assert await broker.latest(GATEWAY, ROOM, "a") is None


async def test_only_a_broker_that_runs_can_be_interrupted_and_a_stop_ends_it() -> None:
    broker = MemoryBroker()
    with pytest.raises(BrokerUnavailable, match="has not started yet"):
        broker.interrupt(local=False)
    await broker.start(Receiver())
    broker.interrupt(local=False)
    await broker.stop()
    broker.resume()
    with pytest.raises(BrokerUnavailable, match="has not started yet"):
        await broker.publish(publication("a"))
