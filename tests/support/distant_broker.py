"""A broker behind a simulated network: calls are delayed, and only subscribed targets are delivered."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Collection
from typing import TypeVar

import msgspec

from asgi_realtime.broker.base import BrokerReceiver
from asgi_realtime.broker.delivery import deliver
from asgi_realtime.broker.memory import MemoryBroker
from asgi_realtime.errors import BrokerUnavailable
from asgi_realtime.runtime.failure_log import FailureLog
from asgi_realtime.values.commands import AddToRoom, Command
from asgi_realtime.values.ids import GatewayName, RoomName
from asgi_realtime.values.json import Json
from asgi_realtime.values.publications import (
    Newest,
    Position,
    Publication,
    Receipt,
    ReplyTo,
    Subscription,
    Target,
    ToRoom,
)
from asgi_realtime.values.questions import NodeAnswer, NodeAnswers, Question

T = TypeVar("T")

_MOST_TURNS = 6
"""The longest delay in one direction, in iterations of the event loop."""


class Line:
    """One direction of a connection. Steps arrive in order, each after some turns of the event loop."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._steps: deque[Callable[[], None]] = deque()
        self._turns = 0
        self._scheduled = False
        self._paused = False
        self._holds = asyncio.Event()

    def put(self, step: Callable[[], None]) -> None:
        """Run a step at the other end."""
        self._steps.append(step)
        self._holds.set()
        self._schedule()

    async def passed(self) -> None:
        """Wait until all earlier steps and this one have arrived."""
        out: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.put(lambda: None if out.done() else out.set_result(None))
        await out

    def pause(self) -> None:
        """Deliver nothing until `resume`."""
        self._paused = True
        if not self._steps:
            self._holds.clear()

    async def holds_back(self) -> None:
        """Wait until a paused line holds a step."""
        assert self._paused
        await self._holds.wait()

    def resume(self) -> None:
        """End a `pause`."""
        self._paused = False
        self._schedule()

    def cut(self) -> None:
        """Drop the steps in transit."""
        self._steps.clear()

    def _schedule(self) -> None:
        if self._steps and not self._scheduled and not self._paused:
            self._scheduled = True
            self._turns = self._chance.randrange(_MOST_TURNS)
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        if self._turns:
            self._turns -= 1
            asyncio.get_running_loop().call_soon(self._turn)
            return
        self._scheduled = False
        if self._steps and not self._paused:
            self._steps.popleft()()
        self._schedule()


class Server:
    """The server that the processes of a test share. Order and history come from a `MemoryBroker`."""

    def __init__(self, memory: MemoryBroker | None = None) -> None:
        self.memory = memory or MemoryBroker()
        self.nodes: list[DistantBroker] = []
        self.sent = 0
        """How many publications and commands have been accepted: the number of the last."""

    def deliver(self, publication: Publication) -> int:
        self.sent += 1
        for node in self.nodes:
            node.send(self.sent, publication)
        return self.sent

    def numbered(self, gateway: GatewayName, position: Position) -> None:
        pass

    def subscription_for(self, command: Command) -> Subscription | None:
        return None

    def resync(self, gateway: GatewayName, subscriptions: Collection[Subscription] | None) -> None:
        raise AssertionError("a broker in memory loses nothing")

    def acknowledged(self, number: int, values: list[Json]) -> None:
        raise AssertionError("the node that asked gets it")

    def answer(self, question: Question) -> NodeAnswer:
        raise AssertionError("the nodes are asked")

    def apply(self, command: Command, position: Position | None) -> None:
        self.sent += 1
        for node in self.nodes:
            node.send_command(self.sent, command, position)


class DistantBroker:
    """A `Broker`: one process's connection to a `Server`. The delays come from `seed`.

    `calls` lists the name and arguments of every call.
    """

    needs_subscriptions = True

    def __init__(self, server: Server | None = None, *, seed: int = 0) -> None:
        self.server = server or Server()
        self.node = secrets.token_hex(4)
        self.calls: list[tuple[str, object]] = []
        self.failing: set[str] = set()
        """Names of methods that raise `BrokerUnavailable`, as soon as a call reaches the server."""
        chance = random.Random(seed)
        self.requests = Line(chance)
        self.subscribing = Line(chance)
        self.receiving = Line(chance)
        self.active_subscriptions: set[Subscription] = set()
        """What the server delivers here."""
        self._entered: set[Subscription] = set()
        """What commands have added members to, until `subscribe` is called for it."""
        self._ahead: Counter[Subscription] = Counter()
        """What the server delivers here for commands that have not arrived yet, and their number."""
        self._receiver: BrokerReceiver | None = None
        self._failures = FailureLog()
        self._results: dict[int, asyncio.Future[object]] = {}

    def called(self, name: str) -> list[object]:
        """The arguments of all calls of a method, in order."""
        return [arguments for called, arguments in self.calls if called == name]

    @property
    def ready(self) -> bool:
        return self._receiver is not None

    async def start(self, receiver: BrokerReceiver) -> None:
        self._receiver = receiver
        self.server.nodes.append(self)
        await self.server.memory.start(self.server)

    async def stop(self) -> None:
        self._receiver = None
        if self in self.server.nodes:
            self.server.nodes.remove(self)
        self.active_subscriptions.clear()
        self.receiving.cut()

    async def publish(self, publication: Publication, *, key: str | None = None) -> Receipt:
        await self._reach("publish", publication)
        receipt = await self.server.memory.publish(publication, key=key)
        delivered = await self._result(receipt.delivered_locally)
        assert isinstance(delivered, int)
        return msgspec.structs.replace(receipt, delivered_locally=delivered)

    async def command(self, command: Command) -> None:
        await self._reach("command", command)
        await self.server.memory.command(command)
        await self._result(self.server.sent)

    async def subscribe(self, subscriptions: Collection[Subscription]) -> None:
        made: set[Subscription] = set()
        self._call("subscribe", tuple(subscriptions))
        try:
            await self.subscribing.passed()
            self._check("subscribe")
            made = set(subscriptions) - self.active_subscriptions
            self.active_subscriptions |= made
            for each in subscriptions:
                self._ahead.pop(each, None)
            await self.receiving.passed()  # the answer uses the direction of deliveries
        except BaseException:
            self.active_subscriptions -= made | self._entered.intersection(subscriptions)
            raise
        finally:
            self._entered -= set(subscriptions)

    async def unsubscribe(self, subscriptions: Collection[Subscription]) -> None:
        self._call("unsubscribe", tuple(subscriptions))
        await self.subscribing.passed()
        self.active_subscriptions -= set(subscriptions) - self._entered
        await self.receiving.passed()

    async def position(self, gateway: GatewayName) -> Position:
        await self._reach("position", gateway)
        return await self._answer(await self.server.memory.position(gateway))

    async def history(
        self, gateway: GatewayName, since: Position, targets: Collection[Target], *, most_bytes: int | None = None
    ) -> list[Publication]:
        await self._reach("history", (gateway, since, tuple(targets)))
        return await self._answer(await self.server.memory.history(gateway, since, targets, most_bytes=most_bytes))

    async def latest(
        self, gateway: GatewayName, room: RoomName, event: str, *, since: Position | None = None
    ) -> Publication | None:
        await self._reach("latest", (gateway, room, event, since))
        return await self._answer(await self.server.memory.latest(gateway, room, event, since=since))

    async def recent(
        self, gateway: GatewayName, target: Target, *, since: Position | None = None, limit: int = 50
    ) -> Newest:
        await self._reach("recent", (gateway, target, since, limit))
        return await self._answer(await self.server.memory.recent(gateway, target, since=since, limit=limit))

    def acknowledge(self, reply_to: ReplyTo, values: list[Json]) -> None:
        for node in self.server.nodes:
            if node.node == reply_to.node:
                node.take_acknowledgement(reply_to.number, values)

    def take_acknowledgement(self, number: int, values: list[Json]) -> None:
        """Called by the node of the client that has acknowledged."""
        self.receiving.put(lambda: None if self._receiver is None else self._receiver.acknowledged(number, values))

    async def ask(self, question: Question, *, seconds: float) -> NodeAnswers:
        await self._reach("ask", question)
        answers = {str(number): node.answer(question) for number, node in enumerate(self.server.nodes)}
        return await self._answer(NodeAnswers(answers, complete=True))

    def answer(self, question: Question) -> NodeAnswer:
        """The answer of this node to a question of any node."""
        assert self._receiver is not None
        return self._receiver.answer(question)

    # The network

    def _call(self, name: str, arguments: object) -> None:
        self.calls.append((name, arguments))

    def _check(self, name: str) -> None:
        if name in self.failing or self._receiver is None and name in ("publish", "command", "subscribe", "ask"):
            raise BrokerUnavailable(f"{name}: the server is gone")

    async def _reach(self, name: str, arguments: object) -> None:
        self._call(name, arguments)
        await self.requests.passed()
        self._check(name)

    async def _answer(self, value: T) -> T:
        await self.receiving.passed()  # so that no answer arrives before earlier deliveries
        return value

    # Messages of the server

    def send(self, number: int, publication: Publication) -> None:
        """Called by the server, for each publication."""
        result = self._expect(number)
        if self.active_subscriptions.isdisjoint(publication.subscriptions()):
            result.set_result(0)
        else:
            self.receiving.put(lambda: result.set_result(self._deliver(publication)))

    def send_command(self, number: int, command: Command, position: Position | None) -> None:
        """Called by the server, for each command."""
        result = self._expect(number)
        if isinstance(command, AddToRoom):
            room = Subscription(command.gateway, ToRoom(command.room))
            if room in self._ahead or room not in self.active_subscriptions:
                self._ahead[room] += 1
                self.active_subscriptions.add(room)
        self.receiving.put(lambda: self._apply(command, position, result))

    def _expect(self, number: int) -> asyncio.Future[object]:
        result = self._results[number] = asyncio.get_running_loop().create_future()
        result.add_done_callback(
            lambda done: done.cancelled() or done.exception()
        )  # it may belong to a caller on another node
        return result

    async def _result(self, number: int) -> object:
        return await asyncio.shield(self._results[number])

    def _deliver(self, publication: Publication) -> int:
        return 0 if self._receiver is None else deliver(self._receiver, publication, self._failures)

    def _not_needed(self, room: Subscription) -> None:
        """A command has added no member here."""
        if room in self._ahead:
            self._ahead[room] -= 1
            if not self._ahead[room]:
                del self._ahead[room]
                self.active_subscriptions.discard(room)

    def _apply(self, command: Command, position: Position | None, result: asyncio.Future[object]) -> None:
        if self._receiver is None:
            result.set_exception(BrokerUnavailable("stopped"))
            return
        needed = self._receiver.subscription_for(command)
        if needed is not None:
            self._entered.add(needed)
            self._ahead.pop(needed, None)
        elif isinstance(command, AddToRoom):
            self._not_needed(Subscription(command.gateway, ToRoom(command.room)))
        try:
            work: Awaitable[object] | None = self._receiver.apply(command, position)
        except Exception as error:
            result.set_exception(error)
            return
        if work is None:
            result.set_result(None)
            return

        def done(ended: asyncio.Future[object]) -> None:
            error = ended.exception()
            if error is None:
                result.set_result(None)
            else:
                result.set_exception(error)

        asyncio.ensure_future(work).add_done_callback(done)
