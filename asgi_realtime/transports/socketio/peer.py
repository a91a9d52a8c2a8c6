"""One Socket.IO client: the packets of its transport, handed to the gateways of its namespaces."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec
from msgspec import UNSET

from asgi_realtime.auth.refusal_log import RefusalLog
from asgi_realtime.connection.connection import Connection
from asgi_realtime.errors import NoAnswer, RateLimited, Refusal
from asgi_realtime.gateways.dispatcher import Acknowledge
from asgi_realtime.gateways.socketio_gateway import SocketIOGateway
from asgi_realtime.limits import TOO_MANY_ATTEMPTS, Limits
from asgi_realtime.outbound.sink import Sink
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.protocols.socketio.dialect import SocketIODialect
from asgi_realtime.protocols.socketio.packets import Ack, Connect, Disconnect, Event
from asgi_realtime.protocols.socketio.session import SocketIOSession
from asgi_realtime.runtime.budgets import Budget
from asgi_realtime.runtime.tasks import Tasks
from asgi_realtime.runtime.timers import TimerWheel, WeakOwner
from asgi_realtime.transports.engineio.session import Session, State
from asgi_realtime.transports.socketio.acks import ANSWER_SECONDS, Asked, Asking
from asgi_realtime.values.close_codes import STAY_AWAY, TOO_SLOW
from asgi_realtime.values.json import Json

logger = logging.getLogger("asgi_realtime")


class Namespaces(Protocol):
    """Finds the gateway of a namespace."""

    refusals: RefusalLog
    """Where it is written why a client gets none."""

    def gateway_for(self, namespace: str) -> SocketIOGateway | None:
        """None: there is no such namespace."""


class SocketIOPeer:
    """The application on an Engine.IO session. Owns the session's namespaces; knows no event by name."""

    __slots__ = (
        *("__weakref__", "_asking", "_limits", "_members", "_namespaces", "_tasks", "_watched", "_wheel"),
        *("packets", "session"),
    )

    def __init__(
        self, session: Session, *, namespaces: Namespaces, limits: Limits, tasks: Tasks, wheel: TimerWheel
    ) -> None:
        self.session = session
        self.packets = SocketIOSession(limits)
        self._namespaces = namespaces
        self._limits = limits
        self._tasks = tasks
        self._wheel = wheel
        self._members: dict[str, NamespaceTransport] = {}
        self._watched = False
        self._asking: Asking | None = None
        session.outbox.sink_listener = self
        self._watch()

    def receive(self, message: str | bytes) -> bool:
        """Take one Engine.IO message. True: no more before `ready` returns.

        Raises:
            ProtocolError: if the client broke the protocol; its session ends.
        """
        packet = self.packets.receive(message)
        if type(packet) is Event:
            if self._asking is not None:
                return self._receive_beyond(self._asking, packet, len(message))
            return self._members[packet.namespace].receive(packet.name, packet.args, packet.ack_id)
        match packet:
            case Ack(namespace=namespace, ack_id=ack_id, args=args):
                if not self._members[namespace].acknowledged(ack_id, args):
                    self.session.without_event()
            case Connect(namespace=namespace, auth=auth):
                self._connect(namespace, auth)
            case Disconnect(namespace=namespace):
                self._members.pop(namespace).gone("client disconnect")
                self._watch()
            case None if not self.packets.incomplete:
                self.session.without_event()  # for a namespace that is closed
        if self._asking is not None:
            self._asking.unfinished = self._asking.unfinished + len(message) if self.packets.incomplete else 0
        return False

    def _receive_beyond(self, asking: Asking, event: Event, size: int) -> bool:
        """Take an event while the client is asked for an acknowledgement. `size` is that of its last message."""
        size, asking.unfinished = asking.unfinished + size, 0
        member = self._members[event.namespace]
        if asyncio.get_running_loop().time() >= asking.until:
            self._asking = None
            return member.receive(event.name, event.args, event.ack_id)
        member.receive_beyond(event, size)
        return False

    @property
    def authenticated(self) -> bool:
        """Whether a namespace is connected."""
        return any(member.connection is not None for member in self._members.values())

    async def ready(self) -> None:
        """Wait until no namespace has as many events in flight as it may, or the client is asked something."""
        for member in tuple(self._members.values()):
            if self._asking is None and member.connection is not None:
                await member.connection.inbox.ready()

    def asked(self, seconds: float) -> None:
        """The client was asked for an acknowledgement. Its transport is read on for at most so long."""
        until = asyncio.get_running_loop().time() + seconds
        if self._asking is None:
            self._asking = Asking(until)
            for member in self._members.values():
                if member.connection is not None:
                    member.connection.inbox.wake()
        else:
            self._asking.until = max(self._asking.until, until)

    def answered(self) -> None:
        """An acknowledgement has come, or is not waited for any more."""
        if self._asking is not None and not any(member.owes for member in self._members.values()):
            self._asking = None

    def closed(self, reason: str) -> None:
        """The session is over: so is every namespace. A client that should stay away gets a DISCONNECT for each."""
        members, self._members = self._members, {}
        closing = self.session.state is State.CLOSING
        stay_away = closing and self.session.close_code[0] in STAY_AWAY
        for member in members.values():
            if member.connection is not None and closing:
                member.connection.flush()
                if stay_away:
                    self.session.push(member.dialect.disconnect())
            member.gone(reason)

    def sink_changed(self) -> None:
        """The sink of the outbox has changed: tell the connections that share it. See `outbound.sink`."""
        for member in self._members.values():
            if member.connection is not None:
                member.connection.sink_changed()

    def drop(self, namespace: str, code: int, reason: str) -> None:
        """End a namespace from our side, after what was sent there.

        A client that should not come back by itself gets a DISCONNECT; other namespaces stay. One
        that may come back finds its transport closed: Socket.IO has no other word for that. So the
        transport's other namespaces end too, and their clients come back with it. The same where a
        namespace was attempted too much: left alone, it would be entered and attempted again.
        """
        member = self._members.pop(namespace, None)
        if member is None:
            return
        self.packets.disconnected(namespace)
        if code in STAY_AWAY:
            self.session.push(member.dialect.disconnect())
        member.gone(TOO_SLOW if (code, reason) == (1013, TOO_SLOW) else "server disconnect")
        if code not in STAY_AWAY or not self._members or member.exhausted:
            self.session.close(code, reason)

    def _connect(self, namespace: str, auth: Json) -> None:
        if not self.session.attempted():
            logger.info("%r ended: %s", self.session, TOO_MANY_ATTEMPTS)
            self.session.close(1008, TOO_MANY_ATTEMPTS)
            return
        gateway = self._namespaces.gateway_for(namespace)
        if gateway is None:
            self._namespaces.refusals.refused("Socket.IO", "a namespace that is not mounted", namespace)
            self._refuse(SocketIODialect(namespace), {"message": "Invalid namespace"})
        elif len(self._members) >= self._limits.namespaces_per_session:
            self._namespaces.refusals.refused("Socket.IO", "as many namespaces as MEW_NAMESPACES_PER_SESSION allows")
            self._refuse(SocketIODialect(namespace), {"message": "too many namespaces"})
        else:
            member = self._members[namespace] = NamespaceTransport(self, gateway)
            member.opening = self._tasks.spawn(self._open(member, auth), name=f"connect to {namespace}")

    async def _open(self, member: NamespaceTransport, auth: Json) -> None:
        gateway = member.gateway
        handshake = msgspec.structs.replace(self.session.handshake, gateway=gateway.name, auth=auth)
        try:
            await gateway.open(handshake, member)
        except Refusal as refusal:
            if self._members.pop(gateway.name, None) is not None:
                self._refuse(member.dialect, refusal_payload(refusal))
        finally:
            member.opening = None

    def _refuse(self, dialect: SocketIODialect, data: Json) -> None:
        self.session.push(dialect.connect_error(data))
        self.packets.disconnected(dialect.namespace)
        self._watch()

    def _watch(self) -> None:
        """Close a transport on which no namespace is connected after `connect_timeout`."""
        if not self._watched:
            self._watched = True
            deadline = asyncio.get_running_loop().time() + self._limits.connect_timeout
            self._wheel.schedule(deadline, WeakOwner(self, SocketIOPeer.connect_due))

    def connect_due(self, now: float) -> None:
        """The time to connect is over."""
        self._watched = False
        if not self.authenticated:
            self._namespaces.refusals.refused("Socket.IO", "no CONNECT in time")
            self.session.close(1008, "no namespace connected")


def refusal_payload(refusal: Refusal) -> Json:
    """What `connect_error` carries: the stock clients make an Error of `message` and attach `data`."""
    return {"message": refusal.message} | ({} if refusal.data is None else {"data": refusal.data})


class NamespaceTransport:
    """A client's place in one namespace: what a `Connection` writes through."""

    __slots__ = ("_asked", "_attempts_due", "_client", "connection", "dialect", "gateway", "opening")

    def __init__(self, client: SocketIOPeer, gateway: SocketIOGateway) -> None:
        self._client = client
        self._attempts_due = 0.0
        self._asked: Asked | None = None  # until the first question
        self.gateway = gateway
        shared = gateway.dialect
        self.dialect = shared if isinstance(shared, SocketIODialect) else SocketIODialect(gateway.name)
        self.connection: Connection | None = None
        self.opening: asyncio.Task[None] | None = None

    # For the connection

    @property
    def kind(self) -> str:
        """What carries the client now: `polling` or `websocket`."""
        return self._client.session.transport

    @property
    def session_id(self) -> str:
        """The id of the Engine.IO session."""
        return self._client.session.id

    @property
    def behind(self) -> bool:
        """Whether so much waits that volatile events should be dropped."""
        return self._client.session.outbox.behind

    @property
    def sink(self) -> Sink | None:
        """Where wire bytes may be written at once."""
        return self._client.session.outbox.sink

    def push(self, frame: Frame) -> None:
        """Write a frame to the client."""
        self._client.session.push(frame)

    def close(self, code: int, reason: str) -> None:
        """Put the client out. Before it was let in, whoever lets it in notices by itself."""
        if self.connection is not None:
            self._client.drop(self.gateway.name, code, reason)

    def close_transport(self, code: int, reason: str) -> None:
        """Put the client out of this namespace and of every other one on its transport."""
        self._client.session.close(code, reason)

    def attempted(self, budget: Budget) -> bool:
        """Count an attempt. False: it was one too many."""
        self._attempts_due = budget.draw(self._attempts_due, time.monotonic())
        return not self.exhausted

    @property
    def exhausted(self) -> bool:
        """Whether there was one attempt too many."""
        return self._attempts_due == math.inf

    async def call(self, event: str, data: Any, timeout: float) -> Json:
        """Send an event and wait for its acknowledgement. See `Connection.call`."""
        answer: asyncio.Future[list[Json]] = asyncio.get_running_loop().create_future()

        def answered(values: list[Json]) -> None:
            if not answer.done():  # not too late, by a hair
                answer.set_result(values)

        ack_id = self.request(event, [] if data is UNSET else [data], answered, timeout)
        asked = self._asked
        assert asked is not None
        asked.waiting[ack_id] = answer
        try:
            async with asyncio.timeout(timeout):
                values = await answer
        except TimeoutError:
            raise TimeoutError(f"no acknowledgement of {event!r} within {timeout} s") from None
        finally:
            asked.answered.pop(ack_id, None)
            asked.waiting.pop(ack_id, None)
            self._client.answered()
        return values[0] if len(values) == 1 else values or None

    def request(
        self,
        event: str,
        args: Sequence[Any],
        answered: Callable[[list[Json]], None],
        seconds: float = ANSWER_SECONDS,
    ) -> int:
        """Send an event with any number of arguments; `answered` gets the values of its acknowledgement, if one comes.

        For so many seconds the transport is read on for it, however many events wait for their handlers.
        Returns the id of the acknowledgement. Over `Limits.pending_acks` the oldest is given up.
        """
        if self.connection is None:
            raise ConnectionError("the client is not connected (yet): ask it once on_connect has returned")
        if self.connection.closed:
            raise NoAnswer("the client is gone")
        asked = self._asked
        if asked is None:
            asked = self._asked = Asked()
        ack_id = asked.next_ack
        frame = self.dialect.event_args(event, args, ack_id)
        asked.next_ack += 1
        if len(asked.answered) >= self.gateway.limits.pending_acks:
            del asked.answered[next(iter(asked.answered))]
        asked.answered[ack_id] = answered
        self.connection.push(frame)
        self._client.asked(seconds)
        return ack_id

    # For the gateway

    def accept(self, connection: Connection) -> Frame:
        """The client is in.

        Raises:
            Refusal: if it has gone meanwhile.
        """
        if self.opening is None:
            raise Refusal("gone")
        self.connection = connection
        self._client.packets.connected(self.gateway.name)
        return self.dialect.connect({"sid": connection.id})

    # For the client

    def receive(self, event: str, args: list[Json], ack_id: int | None) -> bool:
        """Take an event. True: no more before the connection's inbox is ready."""
        assert self.connection is not None
        acknowledge = None if ack_id is None else self._acknowledger(self.connection, ack_id)
        return self.gateway.receive(self.connection, event, args, acknowledge)

    @property
    def owes(self) -> bool:
        """Whether the client was asked for an acknowledgement that has not come."""
        return self._asked is not None and bool(self._asked.answered)

    def receive_beyond(self, event: Event, size: int) -> None:
        """Take an event of so many bytes without a pause after it. Refused over `Limits.events_behind_call`."""
        assert self.connection is not None
        gateway, limits = self.gateway, self.gateway.limits
        waiting = self.connection.inbox.waiting - limits.events_in_flight
        if waiting >= 0:
            asked = self._asked
            if asked is None:
                asked = self._asked = Asked()
            beyond = size if waiting == 0 else asked.beyond + size
            if waiting >= limits.events_behind_call or beyond > limits.message_bytes:
                acknowledge = None if event.ack_id is None else self._acknowledger(self.connection, event.ack_id)
                if gateway.admits(self.connection, event.name, event.args, acknowledge):
                    refusal = RateLimited("too many events wait")
                    gateway.send_refusal(self.connection, event.name, event.args, refusal, acknowledge)
                return
            asked.beyond = beyond
        self.receive(event.name, event.args, event.ack_id)

    def _acknowledger(self, connection: Connection, ack_id: int) -> Acknowledge:
        def acknowledge(values: Sequence[Json]) -> None:
            if not connection.closed:
                connection.push(self.dialect.ack(ack_id, values))

        return acknowledge

    def acknowledged(self, ack_id: int, values: list[Json]) -> bool:
        """Take an acknowledgement. One that nothing waits for is ignored: it may be late.

        False: the client has sent more acknowledgements than it was asked for.
        """
        asked = self._asked
        if asked is None:
            return False
        answered = asked.answered.pop(ack_id, None)
        asked.received += 1
        if answered is not None:
            answered(values)
            self._client.answered()
            return True
        return asked.received <= asked.next_ack

    def gone(self, reason: str) -> None:
        """The client has left, or was put out."""
        if self.opening is not None:
            self.opening.cancel()
            self.opening = None
        if self._asked is not None:
            self._asked.answered.clear()
            for answer in self._asked.waiting.values():
                if not answer.done():
                    answer.set_exception(NoAnswer("the client is gone"))
        if self.connection is not None:
            self.gateway.closed(self.connection, reason)
