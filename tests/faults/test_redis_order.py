"""Several nodes on one Redis, with random calls and random faults, agree on one order and lose nothing."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import random
import secrets
from collections import Counter
from collections.abc import Awaitable, Collection

import pytest

from asgi_realtime.broker.redis import RedisBroker
from asgi_realtime.errors import BrokerUnavailable
from asgi_realtime.redis.server import RedisServer
from asgi_realtime.values.commands import CloseRoom, Command
from asgi_realtime.values.ids import GatewayName, RoomName, UserId
from asgi_realtime.values.json import Json
from asgi_realtime.values.publications import Position, Publication, Subscription, Target, ToAll, ToRoom, ToUsers
from asgi_realtime.values.questions import NodeAnswer, Question
from tests.support.redis_proxy import RedisProxy, redis_proxy
from tests.support.redis_server import RedisProcess
from tests.support.waiting import until

GATEWAY = GatewayName("/")
ROOMS = [ToRoom(RoomName(name)) for name in ("a", "b", "c")]
USERS = [UserId(name) for name in ("ada", "bob", "eve")]
PERSONAL = [ToUsers((user_id,)) for user_id in USERS]
MOST_CALLS = 20
"""Calls that run at the same time. All of them may be refused when a node stops."""
SMALL_SEEDS = range(200) if os.environ.get("FAULTS") == "long" else [0, 4, 100, 121]
"""Seeds of the test with small limits. `make test-faults` runs the long form."""
WAIT = 30.0
"""Seconds that a call may take. On a busy machine, small limits make calls slow; only a stop of the node ends them."""


@dataclasses.dataclass
class Seen:
    """One message as a node received it."""

    name: str
    targets: list[Subscription]
    """Empty: a command."""
    position: int


class Node:
    """A node whose receiver, like a hub, ignores publications without local members."""

    def __init__(self, url: str, prefix: str, proxy: RedisProxy) -> None:
        self.proxy = proxy
        self.broker = RedisBroker(RedisServer(url), prefix=prefix, timeout=WAIT)
        self.seen: list[Seen] = []
        self.resyncs: list[Collection[Subscription] | None] = []
        self.always: set[Subscription] = set()
        """What it is subscribed to from its start to its stop."""
        self.started_after = 0
        """The position at its start: it must have everything after this."""

    def deliver(self, publication: Publication) -> int:
        if publication.position is not None:
            place = int(publication.position.rpartition("-")[2])
            self.seen.append(Seen(publication.event, publication.subscriptions(), place))
        return 1

    def apply(self, command: Command, position: Position | None) -> Awaitable[object] | None:
        assert isinstance(command, CloseRoom)
        assert position is not None
        self.seen.append(Seen(command.room, [], int(position.rpartition("-")[2])))
        return None

    def numbered(self, gateway: GatewayName, position: Position) -> None:
        pass

    def subscription_for(self, command: Command) -> Subscription | None:
        return None

    def resync(self, gateway: GatewayName, subscriptions: Collection[Subscription] | None) -> None:
        self.resyncs.append(subscriptions)

    def acknowledged(self, number: int, values: list[Json]) -> None:
        raise AssertionError

    def answer(self, question: Question) -> NodeAnswer:
        return NodeAnswer()


def of(*targets: Target) -> list[Subscription]:
    return [Subscription(GATEWAY, target) for target in targets]


class Driver:
    """Makes random calls and faults, and compares the deliveries of the nodes.

    Every choice is made in `step`, from the seed alone, and is kept in `steps`. Only the timing differs between runs.
    """

    def __init__(self, chance: random.Random, server: RedisProcess, nodes: list[Node]) -> None:
        self.chance = chance
        self.steps: list[str] = []
        self.server = server
        self.nodes = nodes
        self.accepted: dict[str, tuple[list[Subscription], int]] = {}
        """Targets (none: a command) and position of what Redis has confirmed."""
        self.in_doubt: set[str] = set()
        self.calls: set[asyncio.Task[None]] = set()
        self.restarts = 0

    def target(self) -> Target:
        chance = self.chance
        several = ToUsers(tuple(chance.sample(USERS, 2)))
        targets: list[Target] = [chance.choice(ROOMS), chance.choice(PERSONAL), ToAll(), several]
        return chance.choice(targets)

    async def publish(self, name: str, node: Node, target: Target, *, volatile: bool, key: str | None) -> None:
        publication = Publication(gateway=GATEWAY, target=target, event=name, volatile=volatile)
        try:
            receipt = await node.broker.publish(publication, key=key)
        except BrokerUnavailable:
            if not volatile:
                self.in_doubt.add(name)
        else:
            if receipt.position is not None:
                place = int(receipt.position.rpartition("-")[2])
                self.accepted[name] = publication.subscriptions(), place

    async def publish_twice(self, name: str, nodes: tuple[Node, Node], target: Target) -> None:
        """Publish with one key at two nodes."""
        for node in nodes:
            await self.publish(name, node, target, volatile=False, key=name)

    async def command(self, name: str, node: Node) -> None:
        before = len(node.seen)
        try:
            await node.broker.command(CloseRoom(GATEWAY, RoomName(name)))
        except BrokerUnavailable:
            self.in_doubt.add(name)
        else:
            [place] = [seen.position for seen in node.seen[before:] if seen.name == name]  # it was applied on this node
            self.accepted[name] = [], place

    async def come_and_go(self, node: Node, room: Target, *, stays: bool) -> None:
        subscriptions = of(room)
        if not node.always.isdisjoint(subscriptions):
            return
        try:
            await node.broker.subscribe(subscriptions)
            if not stays:
                await node.broker.unsubscribe(subscriptions)
        except BrokerUnavailable:
            pass

    async def restart(self, node: Node) -> None:
        await node.broker.stop()
        await self.start(node)

    async def start(self, node: Node) -> None:
        await node.broker.start(node)
        await until(lambda: node.broker.ready)
        await node.broker.subscribe(node.always)
        await node.broker.command(CloseRoom(GATEWAY, RoomName("start")))  # now it is subscribed to commands
        place = await node.broker.position(GATEWAY)
        node.seen = [seen for seen in node.seen if seen.name != "start"]
        node.started_after = int(place.rpartition("-")[2])

    def begin(self, call: Awaitable[None]) -> None:
        task = asyncio.ensure_future(call)
        self.calls.add(task)
        task.add_done_callback(self.calls.discard)

    async def step(self) -> None:
        chance, node = self.chance, self.chance.choice(self.nodes)
        kind = chance.choices(["publish", "twice", "volatile", "command", "subscribe", "cut"], [10, 2, 2, 3, 4, 1])[0]
        target, other, stays = self.target(), chance.choice(self.nodes), chance.random() < 0.3
        name = f"{len(self.steps)}"
        self.log(name, kind, node, target)
        if kind == "publish":
            key = name if stays else None
            self.begin(self.publish(name, node, target, volatile=False, key=key))
        elif kind == "twice":
            self.begin(self.publish_twice(name, (node, other), target))
        elif kind == "volatile":
            self.begin(self.publish(name, node, target, volatile=True, key=None))
        elif kind == "command":
            self.begin(self.command(name, node))
        elif kind == "subscribe":
            self.begin(self.come_and_go(node, chance.choice(ROOMS), stays=stays))
        else:
            node.proxy.cut()
        if chance.random() < 0.02:
            self.log("kill every connection")
            self.server.kill_connections()
        if chance.random() < 0.01:
            self.log("forget the scripts")
            with self.server.client() as client:
                client.script_flush()
        if chance.random() < 0.01:
            self.log("restart", node)
            self.restarts += 1
            await self.restart(node)
        if chance.random() < 0.3:
            await asyncio.sleep(chance.choice([0, 0, 0.001, 0.005]))
        while len(self.calls) >= MOST_CALLS:
            await asyncio.wait(self.calls, return_when=asyncio.FIRST_COMPLETED)

    def log(self, *words: object) -> None:
        shown = [f"node {self.nodes.index(word)}" if isinstance(word, Node) else str(word) for word in words]
        self.steps.append(" ".join(shown))

    async def settle(self) -> None:
        while self.calls:
            await asyncio.wait(self.calls)
        for node in self.nodes:
            await until(lambda: node.broker.ready)  # noqa: B023  it is awaited here
        for node in self.nodes:
            await node.broker.position(GATEWAY)  # all earlier publications were delivered

    def check(self) -> None:
        order = {seen.name: seen.position for node in self.nodes for seen in node.seen}
        for node in self.nodes:
            names = [seen.name for seen in node.seen if seen.name != "start"]
            places = [seen.position for seen in node.seen if seen.name != "start"]
            assert repeated(names) == [], "delivered twice"
            assert places == sorted(places), "out of order"
            assert [order[name] for name in names] == places, "in another order than at another node"
            assert node.resyncs == []
            owed = {
                name
                for name, (targets, place) in self.accepted.items()
                if place > node.started_after and (not targets or not node.always.isdisjoint(targets))
            }
            assert owed - set(names) == set(), "lost"
            assert set(names) <= set(self.accepted) | self.in_doubt
        assert len(self.in_doubt) <= self.restarts * MOST_CALLS, "refused although the node was not stopped"
        assert len(self.accepted) > 100 - self.restarts * MOST_CALLS


def repeated(names: list[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


LIMITS: dict[str, list[float]] = {
    "broker.redis_feed.HELD_BYTES": [0, 100, 1_000],
    "broker.redis_repair.COMPARED_AT_ONCE": [1, 2],
    "broker.redis_channels.COMPARED_AT_ONCE": [1, 2],
    "broker.redis_history.READ_AT_ONCE": [1, 2],
    "broker.redis_history.ANSWER_BYTES": [1, 100],
    "broker.redis_repair.SECONDS_A_TURN": [-1.0, 0.003],
    "redis.link.SECONDS_A_TURN": [-1.0, 0.003],
    "redis.link.SUBSCRIBE_AT_ONCE": [1, 2],
}
"""Limits of the package that are far too small, so that everything takes many steps between which others come."""


@pytest.mark.parametrize("seed", range(12))
async def test_nodes_agree_on_one_order_and_lose_nothing(redis_process: RedisProcess, seed: int) -> None:
    await drive(redis_process, random.Random(seed))


@pytest.mark.parametrize("seed", SMALL_SEEDS)
async def test_nodes_agree_with_absurdly_small_limits(
    redis_process: RedisProcess, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    for name, values in LIMITS.items():
        monkeypatch.setattr(f"asgi_realtime.{name}", chance.choice(values))
    await drive(redis_process, chance)


async def drive(server: RedisProcess, chance: random.Random) -> None:
    """Drive 2 to 4 nodes through random steps, and compare what they received. A failure prints the steps."""
    prefix = f"test-{secrets.token_hex(4)}"
    async with redis_proxy(server.socket) as first, redis_proxy(server.socket) as second:
        proxies = [first, second]
        nodes = [Node(proxies[number % 2].url, prefix, proxies[number % 2]) for number in range(chance.randint(2, 4))]
        driver = Driver(chance, server, nodes)
        try:
            for node in nodes:
                targets: list[Target] = [*ROOMS, *PERSONAL, ToAll()]
                some = [target for target in targets if chance.random() < 0.7]
                node.always = set(of(*some))
                await driver.start(node)
            for _ in range(250):
                await driver.step()
            await driver.settle()
            driver.check()
        except BaseException:
            print("\n".join(driver.steps))
            for node in nodes:
                print(node.always, node.started_after, node.resyncs, [f"{s.name}@{s.position}" for s in node.seen])
            raise
        finally:
            for node in nodes:
                await node.broker.stop()
