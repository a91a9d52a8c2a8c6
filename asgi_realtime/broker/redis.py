"""The broker of an application with several processes. Redis orders, keeps and distributes everything."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Coroutine
from typing import Any, Final

from asgi_realtime.auth.revocations import Revocations
from asgi_realtime.broker.base import BrokerReceiver
from asgi_realtime.broker.command_calls import CommandCalls
from asgi_realtime.broker.encoding import PLAIN, Encoding, encode_command
from asgi_realtime.broker.no_connections import NoConnections
from asgi_realtime.broker.recent_history import RecentHistory
from asgi_realtime.broker.redis_acknowledgements import Acknowledgements
from asgi_realtime.broker.redis_channels import Channels
from asgi_realtime.broker.redis_history import read_commands, read_history, read_latest, read_recent
from asgi_realtime.broker.redis_publisher import Attempt, RedisPublisher
from asgi_realtime.broker.redis_questions import Questions
from asgi_realtime.broker.redis_revocations import SharedRevocations
from asgi_realtime.errors import BrokerUnavailable
from asgi_realtime.metrics import Meter
from asgi_realtime.redis.gateway_links import GatewayLinks, OwnChannels
from asgi_realtime.redis.history_state import HistoryState, new_epoch
from asgi_realtime.redis.keys import COMMANDS, SHARED
from asgi_realtime.redis.link import Link
from asgi_realtime.redis.node_channel import RedisNodeChannel
from asgi_realtime.redis.reconnecting_link import ReconnectingLink
from asgi_realtime.redis.scripts import Script
from asgi_realtime.redis.server import RedisServer
from asgi_realtime.runtime.tasks import Tasks
from asgi_realtime.values.commands import Command, EndRevoked, RefreshRooms, RevokeToken, RevokeUser
from asgi_realtime.values.ids import GatewayName, RoomName
from asgi_realtime.values.json import Json
from asgi_realtime.values.publications import Newest, Position, Publication, Receipt, ReplyTo, Subscription, Target
from asgi_realtime.values.questions import CommandDone, NodeAnswers, Question

OTHERS_TIMEOUT: Final = 5.0
"""Seconds that a refresh of rooms is awaited at other processes. Over: its caller continues."""
COMMANDS_KEPT: Final = 10_000
"""Most commands that are kept of a gateway, for processes that were cut off from Redis."""
_REVOCATION_TTL: Final = 2_592_000.0  # seconds: the default of `Settings.revocation_ttl`


class RedisBroker:
    """A `Broker` for any number of processes that use one Redis.

    Args:
        server: where Redis is.
        prefix: what every key and channel begins with, so that several applications can share a Redis.
        history_size: publications kept for each room, for each user, and for broadcasts to all.
        history_ttl: seconds that a publication or an idempotency key is kept.
        timeout: seconds an outage of Redis may last until calls fail at once.
        revocations: those of this process. They are kept in Redis too.
        encoding: how publications are written and read.
    """

    needs_subscriptions = True

    def __init__(
        self,
        server: RedisServer,
        *,
        prefix: str = "mew",
        history_size: int = 1_000,
        history_ttl: float = 300.0,
        timeout: float = 1.0,
        revocations: Revocations | None = None,
        meter: Meter | None = None,
        encoding: Encoding = PLAIN,
    ) -> None:
        self._ttl = max(1, round(history_ttl * 1_000))
        self._timeout = timeout
        self._meter = meter or Meter()
        self._tasks = Tasks()
        self._comparing: asyncio.Task[None] | None = None
        self._stack = contextlib.ExitStack()
        self._calls = CommandCalls(self._tasks)
        self.links = GatewayLinks(server, prefix=prefix, timeout=timeout, meter=self._meter)
        """The connections of this process, for presence too."""
        self.node_channel = RedisNodeChannel(self.links)
        """Messages about relayed requests, from this process to others and back."""
        self.session_channel = RedisNodeChannel(self.links, kind="sessions")
        """Messages about recovery sessions."""
        self._encode, self._decode = encoding
        self._publisher = RedisPublisher(
            self.links, channels=self._running, size=history_size, ttl=self._ttl, encode=encoding.encode
        )
        self._recent = RecentHistory()
        self._channels: Channels | None = None
        self.unconfirmed: dict[str, bool] = {}  # see `Feed`
        self._receives = False
        self._acknowledgements = Acknowledgements(self.links)
        self._questions = Questions(self.links, when_done=self._when_done)
        self._revocations = SharedRevocations(
            revocations or Revocations(ttl=_REVOCATION_TTL), keys=self.links.keys(SHARED), on_new=self._end_revoked
        )

    # Start and stop

    async def start(self, receiver: BrokerReceiver) -> None:
        """Connect; see `Broker.start`. An unreachable Redis is no error: calls raise until it is there.

        Raises:
            ConfigurationError: Redis cannot be used with this configuration, such as a wrong password.
        """
        self._questions.answer = receiver.answer
        self._acknowledgements.received = receiver.acknowledged
        own = {
            self.node_channel.kind: self.node_channel.receive,
            self.session_channel.kind: self.session_channel.receive,
            self._acknowledgements.kind: self._acknowledgements.receive,
        }
        channels = self._open(receiver, own, self._link_lost)
        self._receives = True
        channels.expect_commands(SHARED)
        try:
            await self.links.start()
        except BaseException:
            await self.stop()
            raise
        self._comparing = self._tasks.spawn(channels.watch(), name="comparing with Redis")
        self._tasks.spawn(self._revocations.watch(self.links.current), name="watching revocations")

    async def start_without_clients(self, receiver: BrokerReceiver | None = None) -> None:
        """Connect a process that has no connections. It is no process of the app: it is not asked anything.

        `receiver` gets what is subscribed to. None: nothing will be.

        Raises:
            BrokerUnavailable: Redis cannot be reached within the timeout. It is stopped then.
            ConfigurationError: Redis cannot be used with this configuration. It is stopped then.
        """
        self._questions.answer = None
        channels = self._open(receiver or NoConnections(), {}, lambda: None)
        self._receives = receiver is not None
        try:
            async with asyncio.timeout(self._timeout):
                await self.links.start()
                await self.links.of(SHARED).link()
        except BaseException as error:
            reason = self.links.of(SHARED).failure
            await self.stop()
            if not isinstance(error, TimeoutError):
                raise
            raise BrokerUnavailable(f"Redis did not answer within {self._timeout:g} s: {reason}") from None
        if self._receives:
            self._comparing = self._tasks.spawn(channels.watch(), name="comparing with Redis")

    def _open(self, receiver: BrokerReceiver, own: OwnChannels, on_lost: Callable[[], None]) -> Channels:
        self._tasks.start()
        self._publisher.start()
        channels = self._channels = Channels(
            receiver,
            links=self.links,
            ttl=self._ttl,
            others=self._questions.received,
            commanded=self._calls.commanded,
            unconfirmed=self.unconfirmed,
            decode=self._decode,
            tasks=self._tasks,
            meter=self._meter,
        )
        self.links.open(
            on_message=channels.received, own=own, on_up=channels.link_up, on_lost=on_lost, tasks=self._tasks
        )
        self._stack.enter_context(self.links.preparing(self._prepare_link))
        return channels

    def _link_lost(self) -> None:
        self.node_channel.link_lost()
        self.session_channel.link_lost()

    async def _prepare_link(self, reconnecting: ReconnectingLink, link: Link) -> None:
        """Make a new link ready: subscribe, read what was missed, and only then let clients in."""
        if reconnecting is self.links.of(SHARED):
            self._questions.subscribe_on(link)
        if self._receives and self._channels is not None:
            await self._channels.subscribe_again(reconnecting, link, self._read_revocations)

    async def _read_revocations(self, reconnecting: ReconnectingLink, link: Link) -> None:
        if reconnecting is self.links.of(SHARED):
            await self._revocations.synchronise(link)

    def _end_revoked(self) -> None:
        if self._channels is not None:
            self._channels.receiver.apply(EndRevoked(), None)

    async def stop(self) -> None:
        """Close the connections; see `Broker.stop`."""
        if self._comparing is not None:
            self._comparing.cancel()  # before the links, which it uses
        channels, self._channels = self._channels, None
        if channels is not None:
            channels.stop()
        await self.links.close()
        self._stack.close()
        await self._tasks.aclose()
        self._calls.stop()

    @property
    def ready(self) -> bool:
        """Whether Redis is connected and delivers messages."""
        return self.links.ready

    def _running(self) -> Channels:
        if self._channels is None:
            raise BrokerUnavailable("the application has not started yet, or has stopped")
        return self._channels

    # Publishing

    def publish(self, publication: Publication, *, key: str | None = None) -> Coroutine[Any, Any, Receipt]:
        """Number, keep and publish; see `Broker.publish`.

        If the reply is lost, the publication is sent once more on the next connection. Its origin is kept in history,
        so it is not published twice.

        Raises:
            BrokerUnavailable: also if so many publications followed that history no longer says whether it was
                published. It is not published again then. A publication with a key has no such limit.
        """
        if publication.volatile:
            return self._publisher.publish_volatile(publication)
        return self._publisher.publish(publication, self.new_origin(), data=self._encode(publication, ""), key=key)

    async def publish_from(
        self,
        publication: Publication,
        origin: str,
        *,
        key: str | None,
        attempt: Attempt,
        answered: Callable[[], None] | None = None,
    ) -> Receipt:
        """Publish with an origin that is in the message, for `unconfirmed`. Not for volatile publications.

        `attempt`: the same in each call, so that it is not published twice. `answered` is called when Redis has
        answered, and what came before the answer was delivered.

        Raises:
            InDoubt: history no longer says whether it was published.
            BrokerUnavailable: Redis is away, or refused.
        """
        return await self._publisher.publish(
            publication, origin, data=self._encode(publication, origin), key=key, attempt=attempt, answered=answered
        )

    def new_origin(self) -> str:
        """Names one call of this process that publishes."""
        return self._publisher.new_origin()

    # Commands

    async def command(self, command: Command) -> None:
        """Have every process carry out a command; see `Broker.command`.

        A process that only publishes does not carry it out. Then this returns when Redis has accepted it. Otherwise
        it returns when the command is carried out here. That may take longer than the timeout, because the host's
        service may be called.

        A refresh is awaited at the other processes too, because nothing that is published before its end reaches the
        rooms that it adds.
        """
        channels = self._running()
        keys = self.links.keys(getattr(command, "gateway", None) or SHARED)
        self.links.of(keys.gateway).check()
        origin = self.new_origin()
        data = encode_command(command, origin)
        only_in_history = not isinstance(command, RevokeToken | RevokeUser)
        call = self._calls.begin(origin)
        try:
            async with asyncio.timeout(self._timeout):
                if isinstance(command, RevokeToken | RevokeUser):
                    await self._revocations.write(self.links.of(SHARED), command)
                if self._receives:
                    await channels.subscribe_to_commands(keys.gateway)
                position, _ = await self._publisher.append(
                    keys, [COMMANDS], data, origin, COMMANDS_KEPT, only_in_history=only_in_history
                )
                if self._receives:
                    await asyncio.shield(call.begun)
        except TimeoutError:
            raise BrokerUnavailable(f"Redis did not answer within {self._timeout:g} s") from None
        else:
            if self._receives:
                await asyncio.shield(call.outcome)
            if isinstance(command, RefreshRooms):
                with contextlib.suppress(BrokerUnavailable):
                    await self.ask(CommandDone(origin, keys.gateway, position), seconds=OTHERS_TIMEOUT)
        finally:
            self._calls.end(origin)

    def _when_done(self, question: CommandDone, answer: Callable[[], None]) -> None:
        """Answer when a command of any process is carried out here, within the time for which its caller waits."""
        channels = self._channels
        comes = channels is not None and channels.expects_command(question.gateway, question.position)
        self._calls.when_done(question.origin, answer, seconds=OTHERS_TIMEOUT if comes else 0.0)

    # Acknowledgements and questions

    @property
    def node(self) -> str:
        """The id of this process."""
        return self.links.node

    def acknowledge(self, reply_to: ReplyTo, values: list[Json]) -> None:
        """Send an acknowledgement; see `Broker.acknowledge`."""
        self._acknowledgements.send(reply_to, values)

    async def ask(self, question: Question | CommandDone, *, seconds: float) -> NodeAnswers:
        """Ask every process; see `Broker.ask`."""
        self._running()
        until = asyncio.get_running_loop().time() + seconds
        try:
            async with asyncio.timeout(seconds):
                link = await self.links.of(SHARED).link()
        except TimeoutError:
            raise BrokerUnavailable(f"Redis did not answer within {seconds:g} s") from None
        return await self._questions.ask(link, question, max(0.0, until - asyncio.get_running_loop().time()))

    # Subscriptions

    async def subscribe(self, subscriptions: Collection[Subscription]) -> None:
        """Subscribe; see `Broker.subscribe`."""
        channels = self._running()
        for gateway in dict.fromkeys(subscription.gateway for subscription in subscriptions):
            self.links.of(gateway).check()
        await channels.subscribe(subscriptions)

    def expect(self, subscriptions: Collection[Subscription]) -> None:
        """Subscribe as soon as Redis is there, without waiting.

        Raises:
            BrokerUnavailable: the broker has stopped.
        """
        self._running().expect(subscriptions)

    async def until_ready(self, gateway: GatewayName) -> None:
        """Return when Redis is connected.

        Raises:
            BrokerUnavailable: the broker has stopped.
        """
        self._running()
        await self.links.of(gateway).until_up()

    async def unsubscribe(self, subscriptions: Collection[Subscription]) -> None:
        """Unsubscribe; see `Broker.unsubscribe`."""
        if self._channels is not None:
            self._channels.unsubscribe(subscriptions)

    # History

    async def position(self, gateway: GatewayName) -> Position:
        """The newest position in the history of a gateway; see `Broker.position`."""
        channels = self._running()
        state = await self.links.of(gateway).run(
            Script.STATE, [self.links.keys(gateway).state], new_epoch(), read=HistoryState
        )
        await channels.until_delivered(gateway)
        return Position(f"{state.epoch}-{state.number}")

    async def history(
        self, gateway: GatewayName, since: Position, targets: Collection[Target], *, most_bytes: int | None = None
    ) -> list[Publication]:
        """All publications after `since` to these targets; see `Broker.history`."""
        channels, link, keys = self._running(), self.links.of(gateway), self.links.keys(gateway)
        found = await read_history(link, keys, self._ttl, since, targets, self._recent, most_bytes)
        await channels.until_delivered(gateway)
        return found

    async def latest(
        self, gateway: GatewayName, room: RoomName, event: str, *, since: Position | None = None
    ) -> Publication | None:
        """The newest publication of an event to a room; see `Broker.latest`."""
        channels = self._running()
        found = await read_latest(self.links.of(gateway), self.links.keys(gateway), self._ttl, room, event, since)
        await channels.until_delivered(gateway)
        return found

    async def recent(
        self, gateway: GatewayName, target: Target, *, since: Position | None = None, limit: int = 50
    ) -> Newest:
        """The newest publications to a target; see `Broker.recent`."""
        self._running()
        return await read_recent(self.links.of(gateway), self.links.keys(gateway), self._ttl, target, since, limit)

    async def commands(self, gateway: GatewayName, since: Position) -> list[tuple[Command, Position]]:
        """The commands of a gateway (or of `SHARED`) after a position, in order. Revocations may be missing.

        Those that come later are given to the receiver, from the call on.

        Raises:
            PositionLost: some of them may be gone, or `since` is a position in another history.
            BrokerUnavailable: Redis did not answer.
        """
        await self._running().subscribe_to_commands(gateway)
        return await read_commands(self.links.of(gateway), self.links.keys(gateway), self._ttl, since)
