"""The broker of an application with several processes. Redis orders, keeps and distributes everything."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import secrets
from collections.abc import Callable, Collection, Sequence
from typing import Final, cast

import hiredis

from asgi_realtime.auth.revocations import Revocations
from asgi_realtime.broker.base import BrokerReceiver
from asgi_realtime.broker.command_calls import CommandCalls
from asgi_realtime.broker.encoding import encode_command, encode_publication
from asgi_realtime.broker.no_connections import NoConnections
from asgi_realtime.broker.redis_channels import Channels
from asgi_realtime.broker.redis_history import read_history, read_latest
from asgi_realtime.broker.redis_questions import Questions
from asgi_realtime.broker.redis_revocations import SharedRevocations
from asgi_realtime.errors import BrokerUnavailable
from asgi_realtime.metrics import Metrics, NullMetrics
from asgi_realtime.redis.history_state import HistoryState, new_epoch
from asgi_realtime.redis.keys import COMMANDS, SHARED, Keys, suffixes
from asgi_realtime.redis.link import Argument, Link, LinkLost, Reply
from asgi_realtime.redis.node_channel import RedisNodeChannel
from asgi_realtime.redis.reconnecting_link import ReconnectingLink
from asgi_realtime.redis.scripts import Script, run_script
from asgi_realtime.redis.server import RedisServer
from asgi_realtime.redis.sessions import Sessions
from asgi_realtime.redis.shared_sessions import SharedSessions
from asgi_realtime.runtime.tasks import Tasks
from asgi_realtime.values.commands import Command, EndRevoked, RefreshRooms, RevokeToken, RevokeUser
from asgi_realtime.values.ids import GatewayName, RoomName
from asgi_realtime.values.publications import Position, Publication, Receipt, Subscription, Target
from asgi_realtime.values.questions import CommandDone, NodeAnswers, Question

logger = logging.getLogger("asgi_realtime")

OTHERS_TIMEOUT: Final = 5.0
"""Seconds that a refresh of rooms is awaited at other processes. Over: its caller continues."""
COMMANDS_KEPT: Final = 10_000
"""Most commands that are kept of a gateway, for processes that were cut off from Redis."""
_REVOCATION_TTL: Final = 2_592_000.0
"""Seconds: the default of `Settings.revocation_ttl`."""


class RedisBroker:
    """A `Broker` for any number of processes that use one Redis.

    Args:
        server: where Redis is.
        prefix: what every key and channel begins with, so that several applications can share a Redis.
        history_size: publications kept for each room, for each user, and for broadcasts to all.
        history_ttl: seconds that a publication or an idempotency key is kept.
        timeout: seconds an outage of Redis may last until calls fail at once.
        revocations: those of this process. They are kept in Redis too.
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
        metrics: Metrics | None = None,
    ) -> None:
        self.node = secrets.token_urlsafe(9)
        """The id of this process."""
        self._epoch = new_epoch()
        """The epoch of the next history that this process begins."""
        self._server = server
        self._prefix = prefix
        self._size = history_size
        self._ttl = max(1, round(history_ttl * 1_000))
        self._timeout = timeout
        self._metrics = metrics or NullMetrics()
        self._tasks = Tasks()
        self._keys: dict[GatewayName, Keys] = {}
        self._calls = CommandCalls(self._tasks)
        self._numbers = itertools.count()
        self._volatile_numbers = itertools.count(secrets.randbits(42) << 20)
        self._sessions: Sessions | None = None
        self.shared = SharedSessions()
        """The connections of this process, for presence."""
        self._channels: Channels | None = None
        self.unconfirmed: dict[str, bool] = {}
        """See `Feed`."""
        self._receives = False
        self.nodes = RedisNodeChannel(prefix, server.publish_command, self._current_link)
        """Messages from this process to others, and from others to this one."""
        self._questions = Questions(
            node=self.nodes.node,
            keys=self._keys_of(SHARED),
            publish=server.publish_command,
            current=self._current_link,
            working=self._calls.working,
        )
        self._revocations = SharedRevocations(
            revocations or Revocations(ttl=_REVOCATION_TTL), keys=self._keys_of(SHARED), learned=self._end_revoked
        )

    # Life

    async def start(self, receiver: BrokerReceiver) -> None:
        """Connect; see `Broker.start`. An unreachable Redis is no error: calls raise until it is there.

        Raises:
            ConfigurationError: Redis cannot be used with this configuration, such as a wrong password.
        """
        self._questions.answer = receiver.answer
        sessions, channels = self._connect(receiver, self.nodes)
        self._receives = True
        channels.expect_commands(SHARED)
        try:
            await sessions.start()
        except BaseException:
            await self.stop()
            raise
        self._tasks.spawn(channels.watch(), name="comparing with Redis")
        self._tasks.spawn(self._revocations.watch(lambda: sessions.of(SHARED).current), name="watching revocations")

    async def start_publishing(self) -> None:
        """Connect a process that publishes, asks and commands, but has no connections. It receives nothing.

        Raises:
            BrokerUnavailable: Redis cannot be reached within the timeout. It is stopped then.
            ConfigurationError: Redis cannot be used with this configuration. It is stopped then.
        """
        self._questions.answer = None
        sessions, _ = self._connect(NoConnections(), None)
        self._receives = False
        try:
            async with asyncio.timeout(self._timeout):
                await sessions.start()
                await sessions.of(SHARED).link()
        except BaseException as error:
            reason = sessions.of(SHARED).failure
            await self.stop()
            if not isinstance(error, TimeoutError):
                raise
            raise BrokerUnavailable(f"Redis did not answer within {self._timeout:g} s: {reason}") from None

    def _connect(self, receiver: BrokerReceiver, nodes: RedisNodeChannel | None) -> tuple[Sessions, Channels]:
        self._tasks.start()
        channels = self._channels = Channels(
            receiver,
            keys=self._keys_of,
            ttl=self._ttl,
            session_of=self._session_of,
            others=self._questions.received,
            commanded=self._calls.commanded,
            unconfirmed=self.unconfirmed,
            tasks=self._tasks,
            metrics=self._metrics,
        )
        sessions = self._sessions = self.shared.sessions = Sessions(
            self._server,
            keys=self._keys_of,
            node=self.node,
            on_message=channels.received,
            on_link=self._prepare_link,
            tasks=self._tasks,
            metrics=self._metrics,
            timeout=self._timeout,
            nodes=nodes,
        )
        return sessions, channels

    async def _prepare_link(self, session: ReconnectingLink, link: Link) -> None:
        """Make a new link ready: subscribe, learn what was missed, and only then let clients in."""
        if session is self._session_of(SHARED):
            self._questions.subscribe_on(link)
        if self._receives and self._channels is not None:
            await self._channels.subscribe_again(session, link, self._learn_revocations)
        await self.shared.prepare(session, link)

    async def _learn_revocations(self, session: ReconnectingLink, link: Link) -> None:
        if session is self._session_of(SHARED):
            await self._revocations.synchronise(link)

    def _current_link(self) -> Link | None:
        return None if self._sessions is None else self._sessions.of(SHARED).current

    def _end_revoked(self) -> None:
        if self._channels is not None:
            self._channels.receiver.apply(EndRevoked(), None)

    async def stop(self) -> None:
        """Close the connections; see `Broker.stop`."""
        sessions, self._sessions, self.shared.sessions = self._sessions, None, None
        channels, self._channels = self._channels, None
        if channels is not None:
            channels.stop()
        if sessions is not None:
            await sessions.stop()
        await self._tasks.aclose()
        self._calls.stop()

    @property
    def ready(self) -> bool:
        """Whether Redis is connected and delivers messages."""
        return self._sessions is not None and self._sessions.ready

    def _running(self) -> Channels:
        if self._channels is None:
            raise BrokerUnavailable("the application has not started yet, or has stopped")
        return self._channels

    def _session_of(self, gateway: GatewayName) -> ReconnectingLink:
        if self._sessions is None:
            raise BrokerUnavailable("the application has not started yet, or has stopped")
        return self._sessions.of(gateway)

    def _keys_of(self, gateway: GatewayName) -> Keys:
        keys = self._keys.get(gateway)
        if keys is None:
            keys = self._keys[gateway] = Keys(self._prefix, gateway)
        return keys

    # Publishing

    async def publish(self, publication: Publication, *, key: str | None = None) -> Receipt:
        """Number, keep and publish; see `Broker.publish`.

        If the reply is lost, the publication is sent once more on the next connection. Its origin is kept in history,
        so it is not published twice.
        """
        if publication.volatile:
            data = encode_publication(publication)
            return await self._publish_volatile(self._keys_of(publication.gateway), suffixes(publication.target), data)
        return await self._publish(publication, encode_publication(publication), self.new_origin(), key, False, None)

    async def publish_from(
        self,
        publication: Publication,
        origin: str,
        *,
        key: str | None,
        again: bool,
        answered: Callable[[], None] | None = None,
    ) -> Receipt:
        """Publish with an origin that is in the message, for `unconfirmed`. Not for volatile publications.

        `again`: it may have been published before. `answered` is called when Redis has answered, and what came before
        the answer was delivered.

        Raises:
            BrokerUnavailable: Redis is away, or refused.
        """
        data = encode_publication(publication, origin)
        return await self._publish(publication, data, origin, key, again, answered)

    async def _publish(
        self,
        publication: Publication,
        data: bytes,
        origin: str,
        key: str | None,
        again: bool,
        answered: Callable[[], None] | None,
    ) -> Receipt:
        keys, ends = self._keys_of(publication.gateway), suffixes(publication.target)
        position, delivered = await self._send(keys, ends, data, origin, self._size, key, again, answered)
        if not isinstance(delivered, int):
            delivered = await asyncio.shield(delivered)
        return Receipt(position=position, delivered_locally=delivered, replicated=True)

    async def _publish_volatile(self, keys: Keys, ends: Sequence[str], data: bytes) -> Receipt:
        channels = self._running()
        number = next(self._volatile_numbers)
        message = b"-%d:0:" % number + data
        names = [keys.channel(end) for end in ends]

        def delivered(reply: Reply) -> int:
            feed = channels.feed(keys.gateway)
            return 0 if feed is None else feed.delivered_volatile(number)

        link = await self._session_of(keys.gateway).link()
        try:
            if len(names) == 1:
                count = await link.ask(self._server.publish_command, names[0], message, read=delivered)
            else:
                # One step, so that the copies come together: a process delivers them once.
                count = await run_script(
                    link, Script.VOLATILE, [keys.state], self._server.publish_command, message, *names, read=delivered
                )
        except (LinkLost, hiredis.ReplyError) as error:
            raise BrokerUnavailable(f"Redis did not publish: {error}") from error
        return Receipt(position=None, delivered_locally=count, replicated=True)

    async def _send(
        self,
        keys: Keys,
        ends: Sequence[str],
        data: bytes,
        origin: str,
        size: int,
        key: str | None = None,
        again: bool = False,
        answered: Callable[[], None] | None = None,
    ) -> tuple[Position, int | asyncio.Future[int]]:
        """Publish once. Returns the position, and the number of recipients here (a future: the copy is held)."""
        channels = self._running()
        names = [keys.state] if key is None else [keys.state, keys.receipt(key)]
        for end in ends:
            names += keys.last(end), keys.history(end)
        receipt_ttl = 0 if key is None else self._ttl
        publish = self._server.publish_command
        before: list[Argument] = [self._epoch, size, self._ttl, receipt_ttl, publish, data, origin]
        names_of_channels = [keys.channel(end) for end in ends]

        def published(reply: Reply) -> tuple[Position, int | asyncio.Future[int]]:
            position, is_new = cast(tuple[bytes, int], reply)
            self._renew_epoch(position)
            if answered is not None:
                answered()
            feed = channels.feed(keys.gateway)
            if feed is None or not is_new:
                return Position(position.decode()), 0
            return Position(position.decode()), feed.delivered(int(position.rpartition(b"-")[2]))

        return await self._session_of(keys.gateway).attempt(
            lambda link, attempted: run_script(
                link, Script.PUBLISH, names, *before, int(again or attempted), *names_of_channels, read=published
            )
        )

    def _renew_epoch(self, position: bytes) -> None:
        """Have another epoch for the next history, if this one has begun with ours."""
        if position.startswith(self._epoch.encode()):
            self._epoch = new_epoch()

    def new_origin(self) -> str:
        """Says which call in which process publishes."""
        return f"{self.node}:{next(self._numbers)}"

    # Commands

    async def command(self, command: Command) -> None:
        """Have every process carry out a command; see `Broker.command`.

        A process that only publishes does not carry it out. Then this returns when Redis has accepted it. Otherwise
        only carrying it out may take longer than the timeout, because the host may be asked.

        A refresh is awaited at the other processes too, because nothing that is published before its end reaches the
        rooms that it adds.
        """
        channels = self._running()
        keys = self._keys_of(getattr(command, "gateway", None) or SHARED)
        self._session_of(keys.gateway).check()
        origin = self.new_origin()
        data = encode_command(command, origin)
        call = self._calls.begin(origin)
        try:
            async with asyncio.timeout(self._timeout):
                if isinstance(command, RevokeToken | RevokeUser):
                    await self._revocations.write(self._session_of(SHARED), command)
                if self._receives:
                    await channels.subscribe_to_commands(keys.gateway)
                await self._send(keys, [COMMANDS], data, origin, COMMANDS_KEPT)
                if self._receives:
                    await asyncio.shield(call.begun)
        except TimeoutError:
            raise BrokerUnavailable(f"Redis did not answer within {self._timeout:g} s") from None
        else:
            if self._receives:
                await asyncio.shield(call.outcome)
            if isinstance(command, RefreshRooms):
                with contextlib.suppress(BrokerUnavailable):
                    await self.ask(CommandDone(origin), seconds=OTHERS_TIMEOUT)
        finally:
            self._calls.end(origin)

    # Questions

    async def ask(self, question: Question | CommandDone, *, seconds: float) -> NodeAnswers:
        """Ask every process; see `Broker.ask`."""
        self._running()
        until = asyncio.get_running_loop().time() + seconds
        try:
            async with asyncio.timeout(seconds):
                link = await self._session_of(SHARED).link()
        except TimeoutError:
            raise BrokerUnavailable(f"Redis did not answer within {seconds:g} s") from None
        return await self._questions.ask(link, question, max(0.0, until - asyncio.get_running_loop().time()))

    # Subscriptions

    async def subscribe(self, subscriptions: Collection[Subscription]) -> None:
        """Subscribe; see `Broker.subscribe`."""
        channels = self._running()
        for gateway in dict.fromkeys(subscription.gateway for subscription in subscriptions):
            self._session_of(gateway).check()
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
        await self._session_of(gateway).until_up()

    async def unsubscribe(self, subscriptions: Collection[Subscription]) -> None:
        """Unsubscribe; see `Broker.unsubscribe`."""
        if self._channels is not None:
            self._channels.unsubscribe(subscriptions)

    # History

    async def position(self, gateway: GatewayName) -> Position:
        """The newest position in the history of a gateway; see `Broker.position`."""
        channels = self._running()
        state = await self._session_of(gateway).run(
            Script.STATE, [self._keys_of(gateway).state], new_epoch(), read=HistoryState
        )
        await channels.until_delivered(gateway)
        return Position(f"{state.epoch}-{state.number}")

    async def history(self, gateway: GatewayName, since: Position, targets: Collection[Target]) -> list[Publication]:
        """All publications after `since` to these targets; see `Broker.history`."""
        channels = self._running()
        found = await read_history(self._session_of(gateway), self._keys_of(gateway), self._ttl, since, targets)
        await channels.until_delivered(gateway)
        return found

    async def latest(
        self, gateway: GatewayName, room: RoomName, event: str, *, since: Position | None = None
    ) -> Publication | None:
        """The newest publication of an event to a room; see `Broker.latest`."""
        channels = self._running()
        found = await read_latest(self._session_of(gateway), self._keys_of(gateway), self._ttl, room, event, since)
        await channels.until_delivered(gateway)
        return found
