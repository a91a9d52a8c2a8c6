"""Several nodes on one Redis, with random calls and random faults, agree on one order and lose nothing."""

from __future__ import annotations

import asyncio
import dataclasses
import random
import secrets
from collections.abc import Awaitable, Callable, Collection

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
        self.broker = RedisBroker(RedisServer(url), prefix=prefix)
        self.seen: list[Seen] = []
        self.resyncs = 0
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

    def resync(self, gateway: GatewayName, subscriptions: Collection[Subscription] | None) -> None:
        self.resyncs += 1

    def acknowledged(self, number: int, values: list[Json]) -> None:
        raise AssertionError

    def answer(self, question: Question) -> NodeAnswer:
        return NodeAnswer()


def of(*targets: Target) -> list[Subscription]:
    return [Subscription(GATEWAY, target) for target in targets]


class Driver:
    """Makes random calls and faults, and compares the deliveries of the nodes."""

    def __init__(self, chance: random.Random, server: RedisProcess, nodes: list[Node]) -> None:
        self.chance = chance
        self.server = server
        self.nodes = nodes
        self.accepted: dict[str, tuple[list[Subscription], int]] = {}
        """Targets (none: a command) and position of what Redis has confirmed."""
        self.in_doubt: set[str] = set()
        self.number = 0
        self.calls: set[asyncio.Task[None]] = set()

    def target(self) -> Target:
        chance = self.chance
        several = ToUsers(tuple(chance.sample(USERS, 2)))
        targets: list[Target] = [chance.choice(ROOMS), chance.choice(PERSONAL), ToAll(), several]
        return chance.choice(targets)

    async def publish(self, node: Node, *, volatile: bool = False) -> None:
        self.number += 1
        name = f"{self.number}"
        publication = Publication(gateway=GATEWAY, target=self.target(), event=name, volatile=volatile)
        key = name if self.chance.random() < 0.3 else None
        try:
            receipt = await node.broker.publish(publication, key=key)
            if key is not None and self.chance.random() < 0.5:
                await self.chance.choice(self.nodes).broker.publish(publication, key=key)
        except BrokerUnavailable:
            self.in_doubt.add(name)
        else:
            if receipt.position is not None:
                place = int(receipt.position.rpartition("-")[2])
                self.accepted[name] = publication.subscriptions(), place

    async def command(self, node: Node) -> None:
        self.number += 1
        name = f"command {self.number}"
        before = len(node.seen)
        try:
            await node.broker.command(CloseRoom(GATEWAY, RoomName(name)))
        except BrokerUnavailable:
            self.in_doubt.add(name)
        else:
            [place] = [seen.position for seen in node.seen[before:] if seen.name == name]  # it was applied on this node
            self.accepted[name] = [], place

    async def come_and_go(self, node: Node) -> None:
        [subscription] = of(self.chance.choice(ROOMS))
        if subscription in node.always:
            return
        try:
            await node.broker.subscribe([subscription])
            if self.chance.random() < 0.7:
                await node.broker.unsubscribe([subscription])
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
        node = self.chance.choice(self.nodes)
        kinds: list[tuple[Callable[[], object], int]] = [
            (lambda: self.begin(self.publish(node)), 12),
            (lambda: self.begin(self.publish(node, volatile=True)), 2),
            (lambda: self.begin(self.command(node)), 3),
            (lambda: self.begin(self.come_and_go(node)), 4),
            (node.proxy.cut, 1),
        ]
        [step] = self.chance.choices([kind for kind, _ in kinds], [weight for _, weight in kinds])
        step()
        if self.chance.random() < 0.02:
            self.server.kill_connections()
        if self.chance.random() < 0.01:
            with self.server.client() as client:
                client.script_flush()
        if self.chance.random() < 0.01:
            await self.restart(node)
        if self.chance.random() < 0.3:
            await asyncio.sleep(self.chance.choice([0, 0, 0.001, 0.005]))

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
            node.seen = [seen for seen in node.seen if seen.name != "start"]
            names = [seen.name for seen in node.seen]
            places = [seen.position for seen in node.seen]
            assert len(set(names)) == len(names), "delivered twice"
            assert places == sorted(places), "out of order"
            assert [order[name] for name in names] == places, "in another order than at another node"
            assert node.resyncs == 0
            owed = {
                name
                for name, (targets, place) in self.accepted.items()
                if place > node.started_after and (not targets or not node.always.isdisjoint(targets))
            }
            assert owed - set(names) == set(), "lost"
            assert set(names) <= set(self.accepted) | self.in_doubt


@pytest.mark.parametrize("seed", range(12))
async def test_nodes_agree_on_one_order_and_lose_nothing(redis_process: RedisProcess, seed: int) -> None:
    chance = random.Random(seed)
    prefix = f"test-{secrets.token_hex(4)}"
    async with redis_proxy(redis_process.socket) as first, redis_proxy(redis_process.socket) as second:
        proxies = [first, second]
        nodes = [Node(proxies[number % 2].url, prefix, proxies[number % 2]) for number in range(chance.randint(2, 4))]
        driver = Driver(chance, redis_process, nodes)
        for node in nodes:
            targets: list[Target] = [*ROOMS, *PERSONAL, ToAll()]
            some = [target for target in targets if chance.random() < 0.7]
            node.always = set(of(*some))
            await driver.start(node)
        for _ in range(250):
            await driver.step()
        await driver.settle()
        driver.check()
        assert len(driver.accepted) > 50
        for node in nodes:
            await node.broker.stop()
