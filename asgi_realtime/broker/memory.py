"""The broker of an application with one process. It keeps everything in memory."""

from __future__ import annotations

import asyncio
import functools
import secrets
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Collection

from asgi_realtime.broker.base import BrokerReceiver
from asgi_realtime.broker.delivery import deliver
from asgi_realtime.broker.history import History
from asgi_realtime.broker.interruption import Interruption, unavailable
from asgi_realtime.errors import BrokerUnavailable
from asgi_realtime.runtime import time_source
from asgi_realtime.runtime.failure_log import FailureLog
from asgi_realtime.values.commands import Command
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
from asgi_realtime.values.questions import NodeAnswers, Question


class MemoryBroker:
    """A `Broker` for one process. History starts empty, with a new epoch, when the process starts, and after `forget`.

    Args:
        history_size: publications kept for each room, for each user, and for broadcasts to all.
        history_ttl: seconds that a publication or an idempotency key is kept.
        history_bytes: most bytes of history. Over: the oldest publications are removed, and a client whose position is
            older cannot recover. Default: 64 MiB.
        keys: most idempotency keys. Over: the oldest is removed, and a repetition of its broadcast is delivered.
        clock: returns seconds, monotonic. None: the time source of this package.
    """

    needs_subscriptions = False

    def __init__(
        self,
        *,
        history_size: int = 1_000,
        history_ttl: float = 300.0,
        history_bytes: int = 64 * 1024 * 1024,
        keys: int = 50_000,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._new_history = functools.partial(History, size=history_size, ttl=history_ttl, limit=history_bytes)
        self._history = self._new_history()
        self._receipts = _Receipts(limit=keys, ttl=history_ttl)
        self._clock = clock
        self.node = ""
        """The id of this process, made by the first `start`: the process may be forked before that."""
        self._receiver: BrokerReceiver | None = None
        self._interruption: Interruption | None = None
        self._steps: deque[Callable[[], None]] = deque()
        self._stepping = False
        self._failures = FailureLog()

    @property
    def ready(self) -> bool:
        """Whether it has started."""
        return self._receiver is not None

    async def start(self, receiver: BrokerReceiver) -> None:
        """Begin to deliver to `receiver`."""
        self.node = self.node or secrets.token_urlsafe(9)
        self._receiver = receiver

    async def stop(self) -> None:
        """Stop delivery."""
        self._receiver = self._interruption = None

    def forget(self) -> None:
        """Begin with no history, a new epoch and no idempotency keys, as a process that has just started."""
        self._history = self._new_history()
        self._receipts.clear()

    def wrap_receiver(self, wrap: Callable[[BrokerReceiver], BrokerReceiver]) -> None:
        """Deliver to `wrap(receiver)` from now on, until `stop`. For tests that record what is published.

        Raises:
            BrokerUnavailable: it has not started.
        """
        self._receiver = wrap(self._running())

    def interrupt(self, *, local: bool) -> None:
        """Behave as a broker on Redis that cannot be reached, until `resume` or `stop`. For tests.

        Every call raises `BrokerUnavailable`. With `local`, publications are delivered, and are in history after
        `resume`.

        Raises:
            BrokerUnavailable: it has not started, or is interrupted.
        """
        self._interruption = Interruption(self._running(), local=local, failures=self._failures)
        self._receiver = None

    def resume(self) -> None:
        """Behave as usual again. Publications that were queued get their positions. Not interrupted: does nothing."""
        interruption, self._interruption = self._interruption, None
        if interruption is None:
            return
        self._receiver = interruption.receiver
        for publication in interruption.queue:
            numbered = self._history.append(publication, self._now())
            assert numbered.position is not None
            interruption.receiver.numbered(numbered.gateway, numbered.position)

    async def publish(self, publication: Publication, *, key: str | None = None) -> Receipt:
        """Number, keep and deliver; see `Broker.publish`."""
        receiver = self._receiver
        if receiver is None:
            if self._interruption is not None:
                return self._interruption.publish(publication, key)
            raise _not_started()
        now = (self._clock or time_source.monotonic)()
        known = None if key is None else self._receipts.get(publication.gateway, key, now)
        if known is not None:
            return await asyncio.shield(known)
        if not publication.volatile:
            publication = self._history.append(publication, now)
        if key is None and not self._stepping and not self._steps:  # as below, without a future
            return self._deliver(receiver, publication)
        done: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        if key is not None:
            self._receipts.put(publication.gateway, key, done, now)

        self._in_order(lambda: done.set_result(self._receipt(receiver, publication)))
        # Done already, unless the receiver has called this while it delivers another publication.
        return done.result() if done.done() else await asyncio.shield(done)

    async def command(self, command: Command) -> None:
        """Carry out a command, in order with publications; see `Broker.command`.

        A command that has begun continues if its caller is cancelled.
        """
        receiver = self._running()
        position = self._history.position
        begun: asyncio.Future[Awaitable[object] | None] = asyncio.get_running_loop().create_future()

        def begin() -> None:
            try:
                begun.set_result(receiver.apply(command, position))
            except Exception as error:
                begun.set_exception(error)

        self._in_order(begin)
        work = await asyncio.shield(begun)
        if work is not None:
            await asyncio.shield(work)

    async def subscribe(self, subscriptions: Collection[Subscription]) -> None:
        """Does nothing: all publications are delivered."""

    async def unsubscribe(self, subscriptions: Collection[Subscription]) -> None:
        """Does nothing."""

    def acknowledge(self, reply_to: ReplyTo, values: list[Json]) -> None:
        """Give an acknowledgement to this process; see `Broker.acknowledge`."""
        if self._receiver is not None:
            self._receiver.acknowledged(reply_to.number, values)

    async def ask(self, question: Question, *, seconds: float) -> NodeAnswers:
        """Ask this process; see `Broker.ask`."""
        answer = self._running().answer(question)
        return NodeAnswers({self.node: answer}, complete=not answer.cut)

    async def position(self, gateway: GatewayName) -> Position:
        """The newest position in history, which all gateways share."""
        self._check()
        return self._history.position

    async def history(
        self, gateway: GatewayName, since: Position, targets: Collection[Target], *, most_bytes: int | None = None
    ) -> list[Publication]:
        """All publications after `since`, in order; see `Broker.history`."""
        self._check()
        return self._history.since(since, [Subscription(gateway, each) for each in targets], self._now(), most_bytes)

    async def latest(
        self, gateway: GatewayName, room: RoomName, event: str, *, since: Position | None = None
    ) -> Publication | None:
        """The newest publication of an event to a room; see `Broker.latest`."""
        self._check()
        return self._history.latest(Subscription(gateway, ToRoom(room)), event, since, self._now())

    async def recent(
        self, gateway: GatewayName, target: Target, *, since: Position | None = None, limit: int = 50
    ) -> Newest:
        """The newest publications to a target; see `Broker.recent`."""
        self._check()
        return self._history.recent(Subscription(gateway, target), since, limit, self._now())

    def _check(self) -> None:
        if self._interruption is not None:
            raise unavailable()

    def _now(self) -> float:
        return (self._clock or time_source.monotonic)()

    def _running(self) -> BrokerReceiver:
        if self._receiver is None:
            raise _not_started() if self._interruption is None else unavailable()
        return self._receiver

    def _deliver(self, receiver: BrokerReceiver, publication: Publication) -> Receipt:
        """Deliver while no other step runs, and then run the steps that were queued by it."""
        self._stepping = True
        try:
            receipt = self._receipt(receiver, publication)
            while self._steps:
                self._steps.popleft()()
        finally:
            self._stepping = False
        return receipt

    def _receipt(self, receiver: BrokerReceiver, publication: Publication) -> Receipt:
        delivered = deliver(receiver, publication, self._failures)
        return Receipt(position=publication.position, delivered_locally=delivered, replicated=False)

    def _in_order(self, step: Callable[[], None]) -> None:
        """Run a step, after those before it.

        A receiver may publish while it delivers, for example from an eagerly started task. To keep the order, that
        step is queued until the current one, which is below it on the stack, has ended.
        """
        self._steps.append(step)
        if self._stepping:
            return
        self._stepping = True
        try:
            while self._steps:
                self._steps.popleft()()
        finally:
            self._stepping = False


def _not_started() -> BrokerUnavailable:
    return BrokerUnavailable("the application has not started yet, or has stopped")


class _Receipts:
    """The receipts of recent broadcasts with an idempotency key."""

    def __init__(self, *, limit: int, ttl: float) -> None:
        self._limit = limit
        self._ttl = ttl
        self._kept: OrderedDict[tuple[GatewayName, str], tuple[float, asyncio.Future[Receipt]]] = OrderedDict()

    def clear(self) -> None:
        self._kept.clear()

    def get(self, gateway: GatewayName, key: str, now: float) -> asyncio.Future[Receipt] | None:
        expires, receipt = self._kept.get((gateway, key), (now, None))
        return receipt if expires > now else None

    def put(self, gateway: GatewayName, key: str, receipt: asyncio.Future[Receipt], now: float) -> None:
        self._kept[gateway, key] = (now + self._ttl, receipt)
        self._kept.move_to_end((gateway, key))
        while self._kept and (len(self._kept) > self._limit or next(iter(self._kept.values()))[0] <= now):
            self._kept.popitem(last=False)
