"""The transport of one connection: a namespace on a client's Engine.IO session."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from asgi_realtime.connection.connection import Connection, InternalConnection, internal
from asgi_realtime.errors import NoAnswer, RateLimited, Refusal
from asgi_realtime.gateways.plain_events import Acknowledge
from asgi_realtime.gateways.socketio_gateway import SocketIOGateway
from asgi_realtime.payloads.encoding import encode
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.protocols.socketio.dialect import SocketIODialect
from asgi_realtime.protocols.socketio.packets import Event
from asgi_realtime.runtime import time_source
from asgi_realtime.runtime.budgets import Budget
from asgi_realtime.runtime.fair_turns import TextTurn
from asgi_realtime.transports.engineio.session import Session
from asgi_realtime.transports.socketio.acks import ACK_SECONDS, PendingAcks
from asgi_realtime.values.json import Json


class Peer(Protocol):
    """The client, with all its namespaces."""

    @property
    def session(self) -> Session:
        """The Engine.IO session that carries every namespace."""

    def entered(self, namespace: str) -> None:
        """A namespace is connected."""

    def drop(self, transport: NamespaceTransport, code: int, reason: str) -> None:
        """Disconnect the client from a namespace."""

    def ack_expected(self, seconds: float) -> None:
        """An event that asks for an acknowledgement was sent. Read ahead for at most so many seconds."""

    def ack_settled(self) -> None:
        """An acknowledgement is no longer pending."""


class NamespaceTransport:
    """What a `Connection` on a Socket.IO namespace writes through, and what its events come through."""

    __slots__ = ("_acks", "_attempts_refilled_at", "_peer", "connection", "dialect", "gateway", "opening", "outbox")

    def __init__(self, peer: Peer, gateway: SocketIOGateway) -> None:
        self._peer = peer
        self._attempts_refilled_at = 0.0
        self._acks: PendingAcks | None = None  # until the first event that asks for an acknowledgement
        self.gateway = gateway
        self.outbox = peer.session.outbox
        shared = gateway.dialect
        self.dialect = shared if isinstance(shared, SocketIODialect) else SocketIODialect(gateway.name)
        self.connection: InternalConnection | None = None
        """None: not let in yet."""
        self.opening: asyncio.Task[Any] | None = None
        """The task that authenticates the client and lets it in."""

    # For the connection

    @property
    def kind(self) -> str:
        """The client's transport now: `polling` or `websocket`."""
        return self._peer.session.transport

    @property
    def session_id(self) -> str:
        """The id of the Engine.IO session."""
        return self._peer.session.id

    @property
    def answered_at(self) -> float | None:
        """When the last ping was sent that the client has answered."""
        return self._peer.session.answered_at

    def abandon(self) -> None:
        """The client has come back on another transport: end this one, with all its namespaces, at once."""
        self._peer.session.abort("transport close")

    def close(self, code: int, reason: str) -> None:
        """Disconnect the client from this namespace. Does nothing before it is let in: the gateway refuses it then."""
        if self.connection is not None:
            self._peer.drop(self, code, reason)

    def close_transport(self, code: int, reason: str) -> None:
        """Disconnect the client from all namespaces on its transport."""
        self._peer.session.close(code, reason)

    def attempted(self, budget: Budget) -> bool:
        """Count an attempt. False: it was one too many."""
        self._attempts_refilled_at = budget.consume(self._attempts_refilled_at, time_source.monotonic())
        return not self.exhausted

    @property
    def exhausted(self) -> bool:
        """Whether there was one attempt too many."""
        return self._attempts_refilled_at == math.inf

    async def call(self, event: str, data: Any, timeout: float) -> Json:
        """Send an event and wait for its acknowledgement. See `Connection.call`."""
        answer: asyncio.Future[list[Json]] = asyncio.get_running_loop().create_future()

        def answered(values: list[Json]) -> None:
            if not answer.done():  # the timeout may have come in the same tick
                answer.set_result(values)

        payload, attachments = encode(data)
        ack_id = self.request(self.dialect.event_name(event), payload, attachments, answered, timeout)
        assert self._acks is not None and self.connection is not None
        try:
            if self.connection.closed:  # the event was too much for a client that reads slowly
                raise NoAnswer("the client is gone")
            values = await self._acks.wait(ack_id, answer, timeout)
        except TimeoutError:
            raise TimeoutError(f"no acknowledgement of {event!r} within {timeout} s") from None
        finally:
            self._peer.ack_settled()
        return values[0] if len(values) == 1 else values or None

    def request(
        self,
        event: str,
        payload: bytes,
        attachments: Sequence[bytes],
        answered: Callable[[list[Json]], None],
        seconds: float = ACK_SECONDS,
    ) -> int:
        """Send an event that is encoded already. `answered` gets the values of its acknowledgement, if one comes.

        For so many seconds the transport is read ahead for it, however many events wait for their handlers.
        Over `Limits.pending_acks` the oldest pending acknowledgement is dropped.

        Returns:
            The id of the acknowledgement.

        Raises:
            ConnectionError: if the client is not let in yet, or has disconnected.
        """
        if self.connection is None:
            raise ConnectionError("the client is not connected (yet): call it after on_connect has returned")
        if self.connection.closed:
            raise NoAnswer("the client is gone")
        acks = self._acks
        if acks is None:
            acks = self._acks = PendingAcks()
        ack_id = acks.next_id
        frame = self.dialect.event(event, payload, attachments, ack_id=ack_id)
        acks.expect(answered, self.gateway.limits.pending_acks)
        self.connection.push(frame)
        self._peer.ack_expected(seconds)
        return ack_id

    # For the gateway

    def accept(self, connection: InternalConnection) -> Frame:
        """The client is let in. Returns the answer to its CONNECT.

        Raises:
            Refusal: if it has disconnected since.
        """
        if self.opening is None:
            raise Refusal("gone")
        self.connection = connection
        self._peer.entered(self.gateway.name)
        data: dict[str, Json] = {"sid": connection.id}
        pid = self.gateway.recovery_id(connection)
        return self.dialect.connect(data if pid is None else data | {"pid": pid})

    # For the peer

    def receive(self, event: str, args: list[Json], ack_id: int | None, now: float) -> bool:
        """Take an event, at `now` (seconds, monotonic). True: take no more before the connection's inbox is ready."""
        assert self.connection is not None
        acknowledge = None if ack_id is None else self.acknowledger(ack_id)
        return self.gateway.receive(self.connection, event, args, acknowledge, now)

    def receive_texts(self, turn: TextTurn) -> None:
        """Take the next events, as far as they are plain."""
        if self.connection is not None and self.gateway.plain_events is not None:
            self.gateway.plain_events.receive(self.connection, turn, self)

    def receive_ahead(self, event: Event, size: int, now: float) -> None:
        """Take an event of `size` bytes that was read ahead. Refused over `Limits.events_behind_call`."""
        assert self.connection is not None
        gateway, limits = self.gateway, self.gateway.limits
        waiting = self.connection.inbox.waiting - limits.events_in_flight
        if waiting >= 0:
            acks = self._acks
            if acks is None:
                acks = self._acks = PendingAcks()
            bytes_ahead = size if waiting == 0 else acks.bytes_ahead + size
            if waiting >= limits.events_behind_call or bytes_ahead > limits.message_bytes:
                acknowledge = None if event.ack_id is None else self.acknowledger(event.ack_id)
                if gateway.admits(self.connection, event.name, event.args, acknowledge, now):
                    refusal = RateLimited("too many events wait")
                    gateway.send_refusal(self.connection.public, event.name, event.args, refusal, acknowledge)
                return
            acks.bytes_ahead = bytes_ahead
        self.receive(event.name, event.args, event.ack_id, now)

    def acknowledger(self, ack_id: int) -> Acknowledge:
        """Return what acknowledges the client's event with this id."""
        connection = self.connection
        assert connection is not None

        def acknowledge(values: Sequence[Json]) -> None:
            connection.push(self.dialect.ack(ack_id, values))

        return acknowledge

    @property
    def has_pending_acks(self) -> bool:
        """Whether an acknowledgement is pending."""
        return self._acks is not None and len(self._acks) > 0

    def acknowledged(self, ack_id: int, values: list[Json]) -> bool:
        """Take an acknowledgement. One that is not pending is ignored: it may be late.

        Returns:
            False: the client has sent more acknowledgements than it was asked for.
        """
        acks = self._acks
        if acks is None:
            return False
        if acks.settle(ack_id, values):
            self._peer.ack_settled()
            return True
        return not acks.exceeded

    def disconnected(self, reason: str) -> None:
        """The client is disconnected from this namespace."""
        if self.opening is not None:
            self.opening.cancel()
            self.opening = None
        if self._acks is not None:
            self._acks.fail()
        if self.connection is not None:
            self.gateway.disconnected(self.connection, reason)


def transport_of(connection: Connection) -> NamespaceTransport:
    """The transport of a connection to a Socket.IO namespace."""
    transport = internal(connection).transport
    assert isinstance(transport, NamespaceTransport)
    return transport
