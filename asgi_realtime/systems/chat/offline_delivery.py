"""Delivery of messages that were sent while a user was offline: to each client that connects, each message once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

import msgspec

from asgi_realtime.connection.connection import Connection
from asgi_realtime.errors import ConfigurationError
from asgi_realtime.gateways.websocket_gateway import WebSocketGateway
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.systems.chat.deliveries import Deliveries
from asgi_realtime.systems.chat.events import ChatMessage
from asgi_realtime.systems.chat.messages import with_sender
from asgi_realtime.systems.chat.service import Delivery
from asgi_realtime.values.publications import Publication

_METHODS = ("pending_messages", "messages_delivered")
"""The methods of `OfflineMessages`."""
_BATCH = 200
"""Maximum number of pending messages in one call of the service."""
_PACE = 0.05
"""Seconds between two checks whether a slow client has read enough to get more."""

MessageKey: TypeAlias = tuple[str, str]
"""Identifies a message: its sender and its id."""


class _MessageHeader(msgspec.Struct, rename="camel"):
    id: str
    from_id: str


_headers = msgspec.json.Decoder(_MessageHeader)


class Handover:
    """The state of one connection that gets its pending messages.

    A message may be both pending and broadcast: it was saved before the service was called, and is broadcast
    after, or before `on_connect`, while the process subscribes for the user. `received` has the messages that the
    connection got in either way, so that it gets each of them once.
    """

    __slots__ = ("ends_at", "more", "received", "unreported")

    def __init__(self) -> None:
        self.received: set[MessageKey] = set()
        self.unreported: list[MessageKey] | None = []
        """Messages to report when the client is connected. Nothing is written before. None: it is connected."""
        self.more = False
        """Whether the service may have more pending messages than were sent in `on_connect`."""
        self.ends_at: float | None = None
        """The loop's time after which no message of `received` can be broadcast. None: pending messages remain."""


_DONE: Final = object()
"""The state of a connection that has its pending messages, and can get none of them twice."""


class OfflineDelivery:
    """Sends pending messages to clients that connect, and reports to the host which messages were delivered.

    `connection.state` is None at first, a `Handover` while a connection gets its pending messages, and then `_DONE`.
    """

    def __init__(self, gateway: WebSocketGateway, service: object) -> None:
        """`service` has the methods of `OfflineMessages`.

        Raises:
            ConfigurationError: if it has only one of them.
        """
        if not all(hasattr(service, name) for name in _METHODS):
            raise ConfigurationError(
                f"{type(service).__name__} has only one of {' and '.join(_METHODS)}: it needs both"
            )
        self._gateway = gateway
        self._pending_messages = gateway.service_call(service, "pending_messages", "identity", "limit")
        self._messages_delivered = gateway.service_call(service, "messages_delivered", "deliveries")
        self._deliveries: Deliveries | None = None

    @staticmethod
    def is_offered_by(service: object) -> bool:
        """Whether a service has any method of `OfflineMessages`."""
        return any(hasattr(service, name) for name in _METHODS)

    # While a client connects

    def begin(self, connection: Connection) -> None:
        """Note from now on what a connection gets. Called first in `on_connect`, before anything is awaited."""
        _handover(connection)

    async def send_first(self, connection: Connection) -> None:
        """Send as many pending messages as may be held back until the client is connected.

        None to a client that recovers. It gets what it missed from history, in order, and the rest when it is
        connected.
        """
        handover: Handover = connection.state
        assert handover.unreported is not None
        if connection.recovered:
            handover.more = True
            return
        batch = await self._pending(connection)
        handover.more = bool(batch)
        room = self._gateway.limits.outbox_bytes // 2
        for key, frame in batch:
            room -= frame.size
            if room < 0:
                break
            handover.received.add(key)
            handover.unreported.append(key)
            self._gateway.push_frame(connection, frame)

    def connected(self, connection: Connection) -> None:
        """Report what was sent in `on_connect`, and send the rest."""
        handover = _handover(connection)
        if handover is None or handover.unreported is None:
            return
        unreported, handover.unreported = handover.unreported, None
        if connection.closed:
            return
        for key in unreported:
            self._report(connection, key)
        if handover.more:
            self._gateway.run_later(connection, "pending_messages", self._send_rest)
        else:
            self._end(connection)

    async def _send_rest(self, connection: Connection) -> None:
        """Send the rest as fast as the client reads. What it does not get stays pending."""
        try:
            while batch := await self._pending(connection):
                for key, frame in batch:
                    while not self._may_get(connection, frame):  # noqa: ASYNC110 (no event reports reading)
                        await asyncio.sleep(_PACE)
                    if connection.closed:
                        return
                    if self._gets(connection, key):
                        self._gateway.push_frame(connection, frame)
        finally:
            self._end(connection)

    def _may_get(self, connection: Connection, frame: Frame) -> bool:
        """Whether a client has read enough to get a pending message, or has gone."""
        return connection.closed or (not connection.behind and self._gateway.has_room(connection, frame))

    async def _pending(self, connection: Connection) -> list[tuple[MessageKey, Frame]]:
        """The next batch of pending messages, without those that the connection got already."""
        # Deliveries to earlier connections of the user must be reported to the service first.
        await self._reports().reported(connection.identity.user_id)
        found: Iterable[ChatMessage] = await self._pending_messages(connection.identity, _BATCH)
        handover: Handover = connection.state
        return [
            (key, self._gateway.wire.event_args("message", [with_sender(message)]))
            for message in found
            if (key := (message.from_id, message.id)) not in handover.received
        ]

    def _end(self, connection: Connection) -> None:
        handover: Handover = connection.state
        if not handover.received:
            connection.state = _DONE
        # A message is broadcast at most `handler_timeout` after it was saved.
        handover.ends_at = asyncio.get_running_loop().time() + self._gateway.limits.handler_timeout

    # Broadcasts

    def recipient_filter(self, publication: Publication) -> Callable[[Connection], bool] | None:
        """Leave out the connections that got the message as a pending one. Report it for the others.

        The function is called once for each recipient, most of which have no `Handover`.
        """
        if publication.event != "message":
            return None
        try:
            found = _headers.decode(publication.payload)
        except msgspec.DecodeError:
            return None  # an event of the host with the same name
        from_id, message_id = found.from_id, found.id
        report = self._reports().add

        def gets(connection: Connection) -> bool:
            if connection.state is not _DONE:
                return self._gets(connection, (from_id, message_id))
            report(Delivery(connection.identity.user_id, from_id, message_id))
            return True

        return gets

    def _gets(self, connection: Connection, key: MessageKey) -> bool:
        """Whether a connection gets a message now. Then it is reported as delivered."""
        handover = _handover(connection)
        if handover is not None:
            if key in handover.received:
                return False
            if handover.ends_at is None:
                handover.received.add(key)
            elif handover.ends_at < asyncio.get_running_loop().time():
                connection.state = _DONE
            if handover.unreported is not None:
                handover.unreported.append(key)
                return True
        self._report(connection, key)
        return True

    def _report(self, connection: Connection, key: MessageKey) -> None:
        self._reports().add(Delivery(connection.identity.user_id, *key))

    def _reports(self) -> Deliveries:
        if self._deliveries is None or self._deliveries.loop is not asyncio.get_running_loop():
            # A report that was under way on an earlier event loop never ends.
            self._deliveries = Deliveries(self._messages_delivered, gateway=self._gateway)
        return self._deliveries


def _handover(connection: Connection) -> Handover | None:
    """The handover of a connection, which begins with the first call. None: it has ended."""
    state = connection.state
    if state is None:
        state = connection.state = Handover()
    return state if isinstance(state, Handover) else None
