"""The contract of a broker: one set of tests, run with each implementation."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Collection, Coroutine, Generator, Iterator, Sequence
from typing import Any, Protocol, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asgi_realtime.broker import Broker, BrokerReceiver, MemoryBroker
from asgi_realtime.broker.base import RECENT_BYTES
from asgi_realtime.broker.redis import RedisBroker
from asgi_realtime.errors import BrokerUnavailable, PositionLost
from asgi_realtime.redis.server import RedisServer
from asgi_realtime.values.commands import CloseRoom, Command
from asgi_realtime.values.ids import GatewayName, RoomName, UserId
from asgi_realtime.values.json import Json
from asgi_realtime.values.publications import (
    Position,
    Publication,
    Receipt,
    ReplyTo,
    Subscription,
    Target,
    ToAll,
    ToRoom,
    ToRooms,
    ToUsers,
)
from asgi_realtime.values.questions import NodeAnswer, Question, RoomSize
from tests.support.distant_broker import DistantBroker, Server
from tests.support.redis_places import LONG, PLACES, RedisPlaces
from tests.support.redis_server import RedisProcess

T = TypeVar("T")
MEW = GatewayName("/")
INFRA = GatewayName("/infra")
ADA = UserId("ada")
BOB = UserId("bob")
LOBBY = RoomName("lobby")
ATTIC = RoomName("attic")
NO_USER = UserId("")


class Environment(Protocol):
    """Makes the brokers of an implementation, and moves their clock."""

    def broker(
        self, *, history_size: int = 1_000, history_ttl: float = 300.0, history_bytes: int = 1_000_000, keys: int = 100
    ) -> Broker: ...

    async def pass_time(self, seconds: float) -> None: ...


class MemoryEnvironment:
    """The broker of one process, on a clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def broker(
        self, *, history_size: int = 1_000, history_ttl: float = 300.0, history_bytes: int = 1_000_000, keys: int = 100
    ) -> Broker:
        return MemoryBroker(
            history_size=history_size,
            history_ttl=history_ttl,
            history_bytes=history_bytes,
            keys=keys,
            clock=lambda: self.now,
        )

    async def pass_time(self, seconds: float) -> None:
        self.now += seconds


class DistantEnvironment(MemoryEnvironment):
    """The broker behind a simulated network."""

    def broker(
        self, *, history_size: int = 1_000, history_ttl: float = 300.0, history_bytes: int = 1_000_000, keys: int = 100
    ) -> Broker:
        memory = MemoryBroker(
            history_size=history_size,
            history_ttl=history_ttl,
            history_bytes=history_bytes,
            keys=keys,
            clock=lambda: self.now,
        )
        return DistantBroker(Server(memory))


class RedisEnvironment:
    """The broker on a Redis, with keys of its own. Time is `speed` times as fast, because Redis has its own clock."""

    def __init__(self, url: str, *, speed: float = 50.0) -> None:
        self._url = url
        self._speed = speed
        self._prefix = f"test-{secrets.token_hex(4)}"

    def broker(
        self, *, history_size: int = 1_000, history_ttl: float = 300.0, history_bytes: int = 1_000_000, keys: int = 100
    ) -> Broker:
        return RedisBroker(
            RedisServer(self._url),
            prefix=self._prefix,
            history_size=history_size,
            history_ttl=history_ttl / self._speed,
            timeout=10.0,
        )

    async def pass_time(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._speed)


MakeEnvironment = Callable[[], Environment]
in_memory = pytest.mark.parametrize("make_environment", [MemoryEnvironment, DistantEnvironment])
"""For limits that Redis has in another form."""
at_hand = pytest.mark.parametrize("make_environment", ["memory", "distant", "socket"], indirect=True)
"""For long tests whose result does not depend on where Redis is."""


@pytest.fixture(scope="module", params=["memory", "distant", *PLACES])
def make_environment(request: pytest.FixtureRequest, redis_places: RedisPlaces) -> Iterator[MakeEnvironment]:
    if request.param in PLACES:
        place = redis_places(request.param)
        yield lambda: RedisEnvironment(place.url)
        assert place.denied() == []
    else:
        yield MemoryEnvironment if request.param == "memory" else DistantEnvironment


class Listener:
    """A receiver with `connections` connections. It records its deliveries in order."""

    def __init__(self, connections: int = 1) -> None:
        self.connections = connections
        self.seen: list[Publication | Command] = []
        self.acknowledgements: list[tuple[int, list[Json]]] = []
        self.resyncs: list[tuple[GatewayName, Collection[Subscription] | None]] = []
        self.on_delivery: Callable[[Publication], None] = lambda publication: None
        self.on_command: Callable[[Command], Awaitable[None] | None] = lambda command: None

    @property
    def events(self) -> list[str]:
        return [each.event if isinstance(each, Publication) else type(each).__name__ for each in self.seen]

    def deliver(self, publication: Publication) -> int:
        self.seen.append(publication)
        self.on_delivery(publication)
        return self.connections

    def apply(self, command: Command, position: Position | None) -> Awaitable[None] | None:
        self.seen.append(command)
        return self.on_command(command)

    def numbered(self, gateway: GatewayName, position: Position) -> None:
        pass

    def subscription_for(self, command: Command) -> Subscription | None:
        return None

    def resync(self, gateway: GatewayName, subscriptions: Collection[Subscription] | None) -> None:
        self.resyncs.append((gateway, subscriptions))

    def acknowledged(self, number: int, values: list[Json]) -> None:
        self.acknowledgements.append((number, values))

    def answer(self, question: Question) -> NodeAnswer:
        return NodeAnswer(members=self.connections)


def to_lobby(event: str = "news", payload: bytes = b"{}", gateway: GatewayName = MEW) -> Publication:
    return Publication(gateway=gateway, target=ToRoom(LOBBY), event=event, payload=payload)


def seen_by(user_id: UserId, rooms: Sequence[RoomName]) -> list[Target]:
    """The targets that concern a connection."""
    return [ToAll(), ToUsers((user_id,)), *map(ToRoom, rooms)]


async def run(broker: Broker, receiver: BrokerReceiver) -> None:
    """Start a process that has subscribed to all targets of the tests."""
    await broker.start(receiver)
    rooms = [LOBBY, ATTIC, RoomName("ada"), *[RoomName(f"room {number}") for number in range(30)]]
    targets: list[Target] = [ToAll(), *map(ToRoom, rooms), *[ToUsers((user_id,)) for user_id in (ADA, BOB, NO_USER)]]
    await broker.subscribe([Subscription(gateway, target) for gateway in (MEW, INFRA) for target in targets])


async def events_since(
    broker: Broker, since: Position, *rooms: RoomName, user_id: UserId = NO_USER, gateway: GatewayName = MEW
) -> list[str]:
    return [each.event for each in await broker.history(gateway, since, seen_by(user_id, rooms))]


async def test_publish_delivers_and_returns_the_number_of_recipients(make_environment: MakeEnvironment) -> None:
    broker = make_environment().broker()
    listener = Listener(connections=3)
    await run(broker, listener)

    receipt = await broker.publish(to_lobby())

    [publication] = listener.seen
    assert isinstance(publication, Publication)
    assert receipt.delivered_locally == 3
    assert publication.position == receipt.position == await broker.position(MEW)
    assert publication.event == "news"
    assert publication.payload == b"{}"
    await broker.stop()


async def test_history_returns_only_what_the_client_may_receive(
    make_environment: MakeEnvironment,
) -> None:
    broker = make_environment().broker()
    await run(broker, Listener())
    await broker.publish(to_lobby("before"))
    start, start_of_infra = await broker.position(MEW), await broker.position(INFRA)
    published: list[tuple[GatewayName, Target, str]] = [
        (MEW, ToRoom(LOBBY), "lobby"),
        (MEW, ToRoom(ATTIC), "attic"),
        (MEW, ToUsers((ADA,)), "personal"),
        (MEW, ToUsers((BOB,)), "of another"),
        (MEW, ToUsers((BOB, ADA, ADA)), "of both"),
        (MEW, ToRoom(RoomName("ada")), "room named as the user"),
        (MEW, ToRooms((ATTIC, LOBBY, LOBBY)), "both rooms"),
        (INFRA, ToRoom(LOBBY), "same room, other gateway"),
        (INFRA, ToAll(), "all of the other gateway"),
        (MEW, ToAll(), "all"),
        (MEW, ToUsers(()), "no user"),
    ]
    for gateway, target, event in published:
        await broker.publish(Publication(gateway=gateway, target=target, event=event))

    assert await events_since(broker, start, LOBBY, user_id=ADA) == [
        *("lobby", "personal", "of both", "both rooms", "all")
    ]
    assert await events_since(broker, start, LOBBY, ATTIC, user_id=NO_USER) == ["lobby", "attic", "both rooms", "all"]
    assert await events_since(broker, start, user_id=BOB) == ["of another", "of both", "all"]
    assert await events_since(broker, start_of_infra, LOBBY, gateway=INFRA) == [
        "same room, other gateway",
        "all of the other gateway",
    ]
    assert await events_since(broker, await broker.position(MEW), LOBBY, user_id=ADA) == []
    await broker.stop()


async def test_latest_returns_the_last_publication_of_an_event_in_a_room(make_environment: MakeEnvironment) -> None:
    environment = make_environment()
    broker = environment.broker(history_ttl=60.0)
    await run(broker, Listener())
    assert await broker.latest(MEW, LOBBY, "news") is None
    for payload in (b"1", b"2"):
        await broker.publish(to_lobby(payload=payload))
    second = await broker.position(MEW)
    await broker.publish(to_lobby("other"))
    await broker.publish(to_lobby(payload=b"of another gateway", gateway=INFRA))

    found = await broker.latest(MEW, LOBBY, "news")
    assert found is not None
    assert (found.payload, found.position) == (b"2", second)
    assert await broker.latest(MEW, ATTIC, "news") is None
    assert await broker.latest(MEW, LOBBY, "news", since=second) is None
    assert await broker.latest(MEW, LOBBY, "news", since=Position("elsewhere-1")) == found
    await broker.publish(to_lobby(payload=b"3"))
    found = await broker.latest(MEW, LOBBY, "news", since=second)
    assert found is not None
    assert found.payload == b"3"
    await environment.pass_time(61.0)
    assert await broker.latest(MEW, LOBBY, "news") is None
    await broker.stop()


async def test_recent_returns_the_newest_publications_to_a_target(make_environment: MakeEnvironment) -> None:
    environment = make_environment()
    broker = environment.broker(history_ttl=60.0)
    await run(broker, Listener())
    assert (await broker.recent(MEW, ToRoom(LOBBY))).publications == []
    for number in range(45):
        await broker.publish(to_lobby(payload=b"%d" % number))
        if number == 41:
            since = await broker.position(MEW)
    await broker.publish(to_lobby(gateway=INFRA))
    await broker.publish(Publication(gateway=MEW, target=ToUsers((ADA,)), event="for ada"))
    await broker.publish(Publication(gateway=MEW, target=ToAll(), event="for all"))
    await broker.publish(Publication(gateway=MEW, target=ToRoom(LOBBY), event="typing", volatile=True))

    for limit in (44, 45, 50):
        found = await broker.recent(MEW, ToRoom(LOBBY), limit=limit)
        assert [int(each.payload) for each in found.publications] == [44 - number for number in range(min(limit, 45))]
        assert found.more is (limit == 44)
    found = await broker.recent(MEW, ToRoom(LOBBY), since=since)
    assert ([each.payload for each in found.publications], found.more) == ([b"44", b"43", b"42"], False)
    for target, event in ((ToUsers((ADA,)), "for ada"), (ToAll(), "for all")):
        assert [each.event for each in (await broker.recent(MEW, target)).publications] == [event]
    assert len((await broker.recent(MEW, ToRoom(LOBBY), since=Position("elsewhere-1"))).publications) == 45
    await broker.publish(to_lobby(payload=b"x" * RECENT_BYTES))
    found = await broker.recent(MEW, ToRoom(LOBBY))
    assert (len(found.publications), found.more) == (1, True)
    await environment.pass_time(61.0)
    assert (await broker.recent(MEW, ToRoom(LOBBY))).publications == []
    await broker.stop()


async def test_a_volatile_publication_is_delivered_and_not_kept_in_history(make_environment: MakeEnvironment) -> None:
    broker = make_environment().broker()
    listener = Listener()
    await run(broker, listener)
    start = await broker.position(MEW)

    receipt = await broker.publish(Publication(gateway=MEW, target=ToRoom(LOBBY), event="typing", volatile=True))

    assert receipt.position is None
    assert listener.events == ["typing"]
    assert await broker.position(MEW) == start
    assert await events_since(broker, start, LOBBY) == []
    await broker.stop()


async def test_publications_with_the_same_key_are_delivered_once(make_environment: MakeEnvironment) -> None:
    environment = make_environment()
    broker = environment.broker(history_ttl=60.0)
    listener = Listener()
    await run(broker, listener)

    first = await broker.publish(to_lobby("first"), key="k")
    again = await broker.publish(to_lobby("again"), key="k")
    other = await broker.publish(to_lobby("other gateway", gateway=INFRA), key="k")

    assert again.position == first.position
    assert other.position != first.position
    assert listener.events == ["first", "other gateway"]
    await environment.pass_time(61.0)
    await broker.publish(to_lobby("later"), key="k")
    assert listener.events == ["first", "other gateway", "later"]
    await broker.stop()


@pytest.mark.parametrize("limits", [{"history_ttl": 0.0}, {"keys": 0}])
async def test_a_broker_in_memory_may_keep_no_idempotency_keys(limits: dict[str, Any]) -> None:
    broker = MemoryBroker(**limits)
    await broker.start(Listener())
    first = await broker.publish(to_lobby("first"), key="k")
    assert (await broker.publish(to_lobby("again"), key="k")).position != first.position
    await broker.stop()


@in_memory
async def test_remembered_keys_are_bounded_and_the_oldest_is_dropped_first(make_environment: MakeEnvironment) -> None:
    broker = make_environment().broker(keys=2)
    listener = Listener()
    await run(broker, listener)
    for key in ["a", "b", "c", "c", "b", "a"]:
        await broker.publish(to_lobby(key), key=key)
    assert listener.events == ["a", "b", "c", "a"]
    await broker.stop()


@at_hand
@pytest.mark.parametrize("place", ["", "-", "x-1", "0-0", "{epoch}", "{epoch}-", "{epoch}--1", "{epoch}-1.0"])
@pytest.mark.parametrize("suffix", ["", "²", "9" * 5_000, "\x00"])
async def test_a_position_of_another_history_is_lost(
    make_environment: MakeEnvironment, place: str, suffix: str
) -> None:
    broker = make_environment().broker()
    await run(broker, Listener())
    await broker.publish(to_lobby())
    epoch = (await broker.position(MEW)).partition("-")[0]
    with pytest.raises(PositionLost):
        await events_since(broker, Position(place.format(epoch=epoch) + suffix), LOBBY)
    other = make_environment().broker()
    await run(other, Listener())
    with pytest.raises(PositionLost):
        await events_since(broker, await other.position(MEW), LOBBY)
    await other.stop()
    with pytest.raises(PositionLost):
        await events_since(broker, Position(f"{epoch}-2"), LOBBY)  # a position that no publication has yet
    await broker.stop()


async def test_a_room_over_its_count_drops_its_own_oldest_publication(
    make_environment: MakeEnvironment,
) -> None:
    broker = make_environment().broker(history_size=2)
    await run(broker, Listener())
    start = await broker.position(MEW)
    await broker.publish(Publication(gateway=MEW, target=ToRoom(ATTIC), event="quiet"))
    places = [(await broker.publish(to_lobby(event))).position for event in ["one", "two", "three"]]
    assert places[0] is not None

    assert await events_since(broker, places[0], LOBBY) == ["two", "three"]
    assert await events_since(broker, start, ATTIC) == ["quiet"]
    with pytest.raises(PositionLost):
        await events_since(broker, start, LOBBY)
    start = await broker.position(MEW)
    for event in ["once", "twice"]:
        await broker.publish(Publication(gateway=MEW, target=ToUsers((ADA, ADA)), event=event))
    assert await events_since(broker, start, user_id=ADA) == ["once", "twice"]
    await broker.stop()


async def test_a_publication_expires(make_environment: MakeEnvironment) -> None:
    environment = make_environment()
    broker = environment.broker(history_ttl=60.0)
    await run(broker, Listener())
    start = await broker.position(MEW)
    first = (await broker.publish(to_lobby("old"))).position
    assert first is not None
    await environment.pass_time(40.0)
    await broker.publish(to_lobby("new"))
    assert await events_since(broker, start, LOBBY) == ["old", "new"]

    await environment.pass_time(30.0)

    with pytest.raises(PositionLost):
        await events_since(broker, start, LOBBY)
    assert [each.event for each in await broker.history(MEW, first, [ToRoom(LOBBY)])] == ["new"]
    await environment.pass_time(60.0)
    with pytest.raises(PositionLost):
        await events_since(broker, first, LOBBY)  # its history was dropped
    assert await events_since(broker, await broker.position(MEW), LOBBY) == []
    await broker.publish(to_lobby("reborn"))
    await broker.publish(Publication(gateway=MEW, target=ToAll(), event="to all"))
    await broker.publish(Publication(gateway=MEW, target=ToUsers((NO_USER,)), event="personal"))
    with pytest.raises(PositionLost):
        await events_since(broker, first, LOBBY)
    await broker.stop()


@in_memory
async def test_history_as_a_whole_is_bounded_in_bytes(make_environment: MakeEnvironment) -> None:
    broker = make_environment().broker(history_bytes=100_000)
    listener = Listener()
    await run(broker, listener)
    start = await broker.position(MEW)
    places = []
    for number in range(30):
        room = RoomName(f"room {number}")
        publication = Publication(gateway=MEW, target=ToRoom(room), event=room, payload=b"x" * 9_000)
        places.append((await broker.publish(publication)).position)
    assert len(listener.seen) == 30

    with pytest.raises(PositionLost):
        await events_since(broker, start, RoomName("room 0"))
    newest = places[-2]
    assert newest is not None
    assert await events_since(broker, newest, RoomName("room 29")) == ["room 29"]
    await broker.publish(to_lobby("larger than all of it", payload=b"x" * 200_000))
    with pytest.raises(PositionLost):
        await events_since(broker, newest, LOBBY)
    assert await events_since(broker, await broker.position(MEW), LOBBY) == []
    await broker.stop()


async def test_history_over_the_bytes_of_the_caller_is_refused(make_environment: MakeEnvironment) -> None:
    broker = make_environment().broker()
    await run(broker, Listener())
    start = await broker.position(MEW)
    for _ in range(30):
        await broker.publish(to_lobby("news", payload=b"x" * 10_000))
    for _ in range(2):
        with pytest.raises(PositionLost):
            await broker.history(MEW, start, [ToRoom(LOBBY)], most_bytes=200_000)
    assert len(await broker.history(MEW, start, [ToRoom(LOBBY)], most_bytes=400_000)) == 30
    await broker.stop()


async def test_publishing_while_delivering_keeps_the_order(make_environment: MakeEnvironment) -> None:
    broker = make_environment().broker()
    listener = Listener()
    nested: list[Eager[Receipt]] = []

    def answer(publication: Publication) -> None:
        if publication.event == "question":
            nested.append(Eager(broker.publish(to_lobby("answer"))))
            nested.append(Eager(broker.publish(to_lobby("second answer"))))
            listener.seen.append(to_lobby("question delivered"))

    listener.on_delivery = answer
    await run(broker, listener)
    start = await broker.position(MEW)

    await broker.publish(to_lobby("question"))
    receipts = [await each for each in nested]

    assert listener.events == ["question", "question delivered", "answer", "second answer"]
    assert await events_since(broker, start, LOBBY) == ["question", "answer", "second answer"]
    assert [receipt.delivered_locally for receipt in receipts] == [1, 1]
    await broker.stop()


async def test_what_waits_for_an_interrupted_delivery_comes_before_what_follows() -> None:
    """Only in one process does the delivery happen in the call that publishes."""
    broker = MemoryEnvironment().broker()
    listener = Listener()
    nested: list[Eager[Receipt]] = []

    def interrupt(publication: Publication) -> None:
        if publication.event == "question":
            nested.append(Eager(broker.publish(to_lobby("answer"))))
            raise Interrupted

    listener.on_delivery = interrupt
    await run(broker, listener)
    with pytest.raises(Interrupted):
        await broker.publish(to_lobby("question"))
    await broker.publish(to_lobby("next"))
    assert listener.events[-2:] == ["answer", "next"]
    assert (await nested[0]).delivered_locally == 1
    await broker.stop()


class Interrupted(BaseException):
    """What ends a program, such as a `KeyboardInterrupt`."""


class Eager(Awaitable[T]):
    """Run a coroutine up to its first wait at once, as eager tasks of Python 3.12 do."""

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        self._work = work
        self._first_wait: object = work.send(None)

    def __await__(self) -> Generator[Any, Any, T]:
        yield self._first_wait
        return (yield from self._work.__await__())


async def test_a_receiver_that_raises_loses_only_its_own_delivery(
    make_environment: MakeEnvironment, caplog: pytest.LogCaptureFixture
) -> None:
    broker = make_environment().broker()
    listener = Listener()

    def fail(publication: Publication) -> None:
        if publication.event == "bad":
            raise RuntimeError("a fault of the receiver")

    listener.on_delivery = fail
    await run(broker, listener)
    start = await broker.position(MEW)

    receipt = await broker.publish(to_lobby("bad"), key="k")
    await broker.publish(to_lobby("good"))

    assert receipt.delivered_locally == 0
    assert await broker.publish(to_lobby("bad"), key="k") == receipt
    assert listener.events == ["bad", "good"]
    assert await events_since(broker, start, LOBBY) == ["bad", "good"]
    assert [record.message for record in caplog.records] == [
        "/: delivering a broadcast failed ('bad'): RuntimeError('a fault of the receiver')"
    ]
    await broker.stop()


async def test_commands_keep_their_order_among_publications_and_are_awaited(
    make_environment: MakeEnvironment,
) -> None:
    broker = make_environment().broker()
    listener = Listener()
    asked = asyncio.Event()
    answered = asyncio.Event()

    async def ask_the_host() -> None:
        asked.set()
        await answered.wait()

    listener.on_command = lambda command: asyncio.create_task(ask_the_host())
    await run(broker, listener)
    command = asyncio.create_task(broker.command(CloseRoom(gateway=MEW, room=LOBBY)))
    await asked.wait()
    await broker.publish(to_lobby("during the close"))

    assert listener.events == ["CloseRoom", "during the close"]
    assert not command.done()
    answered.set()
    await command
    await broker.stop()


async def test_a_command_goes_on_when_its_caller_is_cancelled(make_environment: MakeEnvironment) -> None:
    broker = make_environment().broker()
    listener = Listener()
    asked = asyncio.Event()
    answered = asyncio.Event()
    carried_out = asyncio.Event()

    async def ask_the_host() -> None:
        asked.set()
        await answered.wait()
        carried_out.set()

    listener.on_command = lambda command: asyncio.create_task(ask_the_host())
    await run(broker, listener)
    command = asyncio.create_task(broker.command(CloseRoom(gateway=MEW, room=LOBBY)))
    await asked.wait()
    command.cancel()
    with pytest.raises(asyncio.CancelledError):
        await command
    answered.set()
    await carried_out.wait()
    await broker.stop()


async def test_an_error_of_a_command_reaches_its_caller(make_environment: MakeEnvironment) -> None:
    broker = make_environment().broker()
    listener = Listener()

    def refuse(command: Command) -> None:
        raise LookupError("no such room")

    async def fail_later() -> None:
        raise LookupError("the host said no")

    await run(broker, listener)
    listener.on_command = refuse
    with pytest.raises(LookupError, match="no such room"):
        await broker.command(CloseRoom(gateway=MEW, room=LOBBY))
    listener.on_command = lambda command: asyncio.ensure_future(fail_later())
    with pytest.raises(LookupError, match="the host said no"):
        await broker.command(CloseRoom(gateway=MEW, room=LOBBY))
    await broker.publish(to_lobby("after"))
    assert listener.events[-1] == "after"
    await broker.stop()


async def test_nothing_can_be_published_before_the_start_or_after_the_stop(make_environment: MakeEnvironment) -> None:
    broker = make_environment().broker()
    listener = Listener()
    with pytest.raises(BrokerUnavailable):
        await broker.publish(to_lobby(), key="k")
    await run(broker, listener)
    await broker.publish(to_lobby(), key="k")  # the refused publication has not used the key
    await broker.stop()
    with pytest.raises(BrokerUnavailable):
        await broker.publish(to_lobby())
    with pytest.raises(BrokerUnavailable):
        await broker.command(CloseRoom(gateway=MEW, room=LOBBY))
    assert listener.events == ["news"]


targets: st.SearchStrategy[Target] = st.one_of(
    st.just(ToAll()),
    st.sampled_from([LOBBY, ATTIC, RoomName("ada")]).map(ToRoom),
    st.lists(st.sampled_from([LOBBY, ATTIC, RoomName("ada")]), max_size=3).map(lambda rooms: ToRooms(tuple(rooms))),
    st.lists(st.sampled_from([ADA, BOB]), max_size=2).map(lambda user_ids: ToUsers(tuple(user_ids))),
)
publications: st.SearchStrategy[Publication] = st.builds(
    Publication,
    gateway=st.sampled_from([MEW, INFRA]),
    target=targets,
    event=st.just("e"),
    payload=st.binary(max_size=300),
    volatile=st.booleans(),
)


def entitled(publication: Publication, rooms: Sequence[RoomName], user_id: UserId) -> bool:
    match publication.target:
        case ToAll():
            return publication.gateway == MEW
        case ToRoom(room):
            return publication.gateway == MEW and room in rooms
        case ToRooms(several):
            return publication.gateway == MEW and not set(several).isdisjoint(rooms)
        case ToUsers(user_ids):
            return publication.gateway == MEW and user_id in user_ids


def with_a_stream(examples: int) -> Callable[[Callable[..., Coroutine[Any, Any, None]]], Callable[..., None]]:
    """Run a test with random publications, a place among them, and the rooms of a client."""

    def decorate(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
        given_stream = given(
            stream=st.lists(publications, max_size=40),
            cut=st.integers(0, 40),
            rooms=st.lists(st.sampled_from([LOBBY, ATTIC, RoomName("ada")]), unique=True),
        )
        return settings(max_examples=examples)(given_stream(test))

    return decorate


@at_hand
@with_a_stream(examples=100)
async def test_history_from_any_position_equals_the_uninterrupted_stream(
    make_environment: MakeEnvironment, stream: list[Publication], cut: int, rooms: list[RoomName]
) -> None:
    await check_history_from_a_position(make_environment, stream, cut, rooms)


@pytest.mark.parametrize("make_environment", PLACES[1:], indirect=True)
@with_a_stream(examples=100 if LONG else 8)
async def test_history_equals_the_uninterrupted_stream_wherever_redis_is(
    make_environment: MakeEnvironment, stream: list[Publication], cut: int, rooms: list[RoomName]
) -> None:
    await check_history_from_a_position(make_environment, stream, cut, rooms)


async def check_history_from_a_position(
    make_environment: MakeEnvironment, stream: list[Publication], cut: int, rooms: list[RoomName]
) -> None:
    """History has what was delivered since, and only what the client may receive."""
    broker = make_environment().broker()
    listener = Listener()
    await run(broker, listener)
    place = await broker.position(MEW)
    for number, publication in enumerate(stream):
        if number == cut:
            place, listener.seen = await broker.position(MEW), []
        await broker.publish(publication)
    if cut >= len(stream):
        place, listener.seen = await broker.position(MEW), []

    expected = [
        each
        for each in listener.seen
        if isinstance(each, Publication) and not each.volatile and entitled(each, rooms, ADA)
    ]
    assert await broker.history(MEW, place, seen_by(ADA, rooms)) == expected
    await broker.stop()


def with_limits(examples: int) -> Callable[[Callable[..., Coroutine[Any, Any, None]]], Callable[..., None]]:
    """Run a test with random streams of publications and pauses, and with random limits of history."""

    def decorate(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
        given_limits = given(
            stream=st.lists(st.tuples(publications, st.sampled_from([0.0, 0.0, 20.0, 50.0])), max_size=60),
            size=st.integers(1, 4),
            limit=st.sampled_from([1_500, 4_000, 100_000]),
            rooms=st.lists(st.sampled_from([LOBBY, ATTIC]), unique=True),
        )
        return settings(max_examples=examples)(given_limits(test))

    return decorate


@in_memory
@with_limits(examples=100)
async def test_history_is_whole_or_refused_but_never_has_a_gap(
    make_environment: MakeEnvironment,
    stream: list[tuple[Publication, float]],
    size: int,
    limit: int,
    rooms: list[RoomName],
) -> None:
    await check_that_history_is_whole_or_refused(make_environment(), stream, size, limit, rooms)


@with_limits(examples=20)
async def test_history_in_redis_is_whole_or_refused_but_never_has_a_gap(
    redis_process: RedisProcess,
    stream: list[tuple[Publication, float]],
    size: int,
    limit: int,
    rooms: list[RoomName],
) -> None:
    environment = RedisEnvironment(redis_process.url, speed=1_000)
    await check_that_history_is_whole_or_refused(environment, stream, size, limit, rooms)


async def check_that_history_is_whole_or_refused(
    environment: Environment,
    stream: list[tuple[Publication, float]],
    size: int,
    limit: int,
    rooms: list[RoomName],
) -> None:
    broker = environment.broker(history_size=size, history_ttl=60.0, history_bytes=limit)
    listener = Listener()
    await run(broker, listener)
    places = [(0, await broker.position(MEW))]
    for publication, pause in stream:
        await broker.publish(publication)
        await environment.pass_time(pause)
        places.append((len(listener.seen), await broker.position(MEW)))

    for seen, place in places:
        missed = [
            each
            for each in listener.seen[seen:]
            if isinstance(each, Publication) and not each.volatile and entitled(each, rooms, ADA)
        ]
        try:
            assert await broker.history(MEW, place, seen_by(ADA, rooms)) == missed
        except PositionLost:
            assert place != await broker.position(MEW)
    await broker.stop()


async def test_nothing_published_after_a_subscription_is_active_is_missed(make_environment: MakeEnvironment) -> None:
    broker, listener = make_environment().broker(), Listener()
    await broker.start(listener)
    await broker.publish(to_lobby("before"))
    publications = [
        Publication(gateway=MEW, target=target, event=event)
        for target, event in (
            (ToRoom(LOBBY), "room"),
            (ToUsers((BOB, ADA)), "one of several users"),
            (ToRooms((ATTIC, LOBBY)), "one of several rooms"),
            (ToAll(), "all"),
            (ToRoom(ATTIC), "other room"),
            (ToUsers((BOB,)), "other user"),
        )
    ] + [Publication(gateway=INFRA, target=ToAll(), event="other gateway")]
    await broker.subscribe([Subscription(MEW, target) for target in (ToRoom(LOBBY), ToUsers((ADA,)), ToAll())])
    for publication in publications:
        await broker.publish(publication)
    mine = ["room", "one of several users", "one of several rooms", "all"]
    rest = ["other room", "other user", "other gateway"]
    assert listener.events == (mine if broker.needs_subscriptions else ["before", *mine, *rest])
    await broker.stop()


async def test_subscribing_and_unsubscribing_take_effect_in_the_order_of_the_calls(
    make_environment: MakeEnvironment,
) -> None:
    broker, listener = make_environment().broker(), Listener()
    await broker.start(listener)
    lobby, attic = [Subscription(MEW, ToRoom(LOBBY))], [Subscription(MEW, ToRoom(ATTIC))]
    await asyncio.gather(
        broker.subscribe(lobby),
        broker.subscribe(attic),
        broker.unsubscribe(lobby),
        broker.unsubscribe(attic),
        broker.subscribe(lobby),
        broker.subscribe(lobby),
    )
    await broker.publish(to_lobby("lobby"))
    await broker.publish(Publication(gateway=MEW, target=ToRoom(ATTIC), event="attic"))
    await broker.unsubscribe(lobby)
    await broker.unsubscribe(lobby)
    await broker.publish(to_lobby("left"))
    assert listener.events == (["lobby"] if broker.needs_subscriptions else ["lobby", "attic", "left"])
    await broker.stop()


async def test_an_abandoned_subscription_is_not_active(make_environment: MakeEnvironment) -> None:
    broker, listener = make_environment().broker(), Listener()
    await broker.start(listener)
    subscribing = asyncio.create_task(broker.subscribe([Subscription(MEW, ToRoom(LOBBY))]))
    await asyncio.sleep(0)  # the call begins: with Redis, it waits for the answer
    if broker.needs_subscriptions:
        assert not subscribing.done()
        subscribing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await subscribing
        await broker.publish(to_lobby())
        assert listener.events == []
    else:
        await subscribing
    await broker.stop()


async def test_a_command_carries_its_position_in_history(make_environment: MakeEnvironment) -> None:
    broker, listener = make_environment().broker(), Listener()
    places: list[Position | None] = []

    class Placing(Listener):
        def apply(self, command: Command, position: Position | None) -> None:
            places.append(position)

    listener = Placing()
    await run(broker, listener)
    await broker.publish(to_lobby("before"))
    await broker.command(CloseRoom(gateway=MEW, room=LOBBY))
    await broker.publish(to_lobby("after"))
    [place] = places
    assert place is not None
    assert await events_since(broker, place, LOBBY) == ["after"]
    await broker.stop()


async def test_history_and_positions_are_never_ahead_of_deliveries(make_environment: MakeEnvironment) -> None:
    broker, listener = make_environment().broker(), Listener()
    await run(broker, listener)
    begin = await broker.position(MEW)
    sending, places = [], []
    for number in range(30):
        sending.append(asyncio.create_task(broker.publish(to_lobby(f"event {number}"))))
        await asyncio.sleep(0)  # the call begins, and the next one does not wait for its end
        if number % 5 == 4:
            place = await broker.position(MEW)
            places.append((place, len(listener.events)))
            read = await events_since(broker, begin, LOBBY)
            assert read == listener.events[: len(read)]
            latest = await broker.latest(MEW, LOBBY, read[-1])
            assert latest is not None
            assert latest.event in listener.events
    await asyncio.gather(*sending)
    assert len(listener.events) == 30
    for place, delivered in places:
        assert 30 - len(await events_since(broker, place, LOBBY)) <= delivered
    await broker.stop()


async def test_every_process_answers_a_question(make_environment: MakeEnvironment) -> None:
    environment = make_environment()
    broker = environment.broker()
    await run(broker, Listener(connections=3))

    answers = await broker.ask(RoomSize(MEW, LOBBY), seconds=5.0)

    assert [answer.members for answer in answers.by_node.values()] == [3]
    assert answers.complete
    await broker.stop()
    with pytest.raises(BrokerUnavailable):
        await broker.ask(RoomSize(MEW, LOBBY), seconds=0.1)


async def test_a_publication_that_asks_for_acknowledgements_is_not_kept_and_gets_them(
    make_environment: MakeEnvironment,
) -> None:
    broker, listener = make_environment().broker(), Listener()
    await run(broker, listener)
    start = await broker.position(MEW)
    reply_to = ReplyTo(broker.node, 7)
    publication = Publication(gateway=MEW, target=ToRoom(LOBBY), event="ask", volatile=True, reply_to=reply_to)
    assert (await broker.publish(publication)).position is None
    assert listener.seen == [publication]
    assert await events_since(broker, start, LOBBY) == []
    broker.acknowledge(reply_to, [1, None, b"\x00"])
    await broker.position(MEW)
    assert listener.acknowledgements == [(7, [1, None, b"\x00"])]
    await broker.stop()
    broker.acknowledge(reply_to, ["late"])  # never raises
