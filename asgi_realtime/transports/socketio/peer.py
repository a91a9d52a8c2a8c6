"""One Socket.IO client: decodes the packets of its Engine.IO session and passes them to its namespaces."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

import msgspec

from asgi_realtime.auth.refusal_log import RefusalLog
from asgi_realtime.errors import Refusal, Unavailable
from asgi_realtime.gateways.socketio_gateway import SocketIOGateway
from asgi_realtime.limits import TOO_MANY_ATTEMPTS
from asgi_realtime.protocols.socketio.dialect import SocketIODialect
from asgi_realtime.protocols.socketio.packets import Ack, Connect, Disconnect, Event
from asgi_realtime.protocols.socketio.session import SocketIOSession
from asgi_realtime.runtime.begun_task import begin_task
from asgi_realtime.runtime.fair_turns import TextTurn
from asgi_realtime.runtime.tasks import Tasks
from asgi_realtime.runtime.timers import TimerWheel, WeakOwner
from asgi_realtime.settings import Settings
from asgi_realtime.transports.engineio.lifecycle import State
from asgi_realtime.transports.engineio.session import Session
from asgi_realtime.transports.socketio.acks import ReadAhead
from asgi_realtime.transports.socketio.namespace_transport import NamespaceTransport
from asgi_realtime.values.close_codes import STAY_AWAY, TOO_SLOW
from asgi_realtime.values.json import Json

logger = logging.getLogger("asgi_realtime")


class PeerContext(Protocol):
    """What all peers of an app share."""

    settings: Settings
    tasks: Tasks
    wheel: TimerWheel
    refusals: RefusalLog
    """Logs why a client was refused."""

    def gateway_for(self, namespace: str) -> SocketIOGateway | None:
        """The gateway of a namespace. None: there is no such namespace."""


class SocketIOPeer:
    """The application on an Engine.IO session. It holds the transports of the client's namespaces."""

    __slots__ = ("__weakref__", "_context", "_latest", "_namespaces", "_packets", "_read_ahead", "_watched", "session")

    def __init__(self, session: Session, context: PeerContext) -> None:
        self.session = session
        self._packets = SocketIOSession(context.settings.limits)
        self._context = context
        self._namespaces: dict[str, NamespaceTransport] = {}
        self._latest: NamespaceTransport | None = None  # the namespace that was used last
        self._watched = False
        self._read_ahead: ReadAhead | None = None
        session.outbox.sink_listener = self
        self._watch()

    def receive(self, message: str | bytes, now: float) -> bool:
        """Take one Engine.IO message. `now`: seconds, monotonic. True: no more before `ready` returns.

        Raises:
            ProtocolError: if the client broke the protocol; its session ends.
        """
        packet = self._packets.receive(message)
        if type(packet) is Event:
            if self._read_ahead is not None:
                return self._receive_ahead(self._read_ahead, packet, len(message), now)
            transport = self._latest = self._namespaces[packet.namespace]
            return transport.receive(packet.name, packet.args, packet.ack_id, now)
        match packet:
            case Ack(namespace=namespace, ack_id=ack_id, args=args):
                if not self._namespaces[namespace].acknowledged(ack_id, args):
                    self.session.without_event()
            case Connect(namespace=namespace, auth=auth):
                self._connect(namespace, auth)
            case Disconnect(namespace=namespace):
                self._namespaces.pop(namespace).disconnected("client disconnect")
                self._watch()
            case None if not self._packets.incomplete:
                self.session.without_event()  # for a namespace that is closed
        if self._read_ahead is not None:
            before = self._read_ahead.bytes_incomplete
            self._read_ahead.bytes_incomplete = before + len(message) if self._packets.incomplete else 0
        return False

    def receive_texts(self, turn: TextTurn) -> None:
        """Take the next messages, as far as they are plain events of the namespace that was used last."""
        latest = self._latest
        if latest is not None and not self._packets.incomplete:
            latest.receive_texts(turn)

    def _receive_ahead(self, read_ahead: ReadAhead, event: Event, size: int, now: float) -> bool:
        """Take an event while an acknowledgement is pending. `size` is that of its last message in bytes."""
        size, read_ahead.bytes_incomplete = read_ahead.bytes_incomplete + size, 0
        transport = self._namespaces[event.namespace]
        if asyncio.get_running_loop().time() >= read_ahead.until:
            self._read_ahead = None
            return transport.receive(event.name, event.args, event.ack_id, now)
        transport.receive_ahead(event, size, now)
        return False

    @property
    def authenticated(self) -> bool:
        """Whether a namespace is connected."""
        return any(transport.connection is not None for transport in self._namespaces.values())

    async def ready(self) -> None:
        """Wait until no namespace has too many events in flight, or an acknowledgement is pending."""
        for transport in tuple(self._namespaces.values()):
            if self._read_ahead is None and transport.connection is not None:
                await transport.connection.inbox.ready()

    # For its namespaces

    def entered(self, namespace: str) -> None:
        """A namespace is connected."""
        self._packets.connected(namespace)
        self._latest = self._namespaces[namespace]

    def ack_expected(self, seconds: float) -> None:
        """An event that asks for an acknowledgement was sent. Read ahead for at most so many seconds."""
        until = asyncio.get_running_loop().time() + seconds
        if self._read_ahead is None:
            self._read_ahead = ReadAhead(until)
            for transport in self._namespaces.values():
                if transport.connection is not None:
                    transport.connection.inbox.wake()
        else:
            self._read_ahead.until = max(self._read_ahead.until, until)

    def ack_settled(self) -> None:
        """An acknowledgement is no longer pending. Stop reading ahead if it was the last one."""
        if self._read_ahead is not None and not any(each.has_pending_acks for each in self._namespaces.values()):
            self._read_ahead = None

    def drop(self, transport: NamespaceTransport, code: int, reason: str) -> None:
        """Disconnect the client from a namespace, after what was sent there. Does nothing if it has disconnected.

        A client that should not reconnect by itself gets a DISCONNECT, and its other namespaces
        stay. Socket.IO has no packet for "reconnect": for that the transport is closed. So the
        client's other namespaces end too, and it reconnects to all of them. The transport is also
        closed after too many attempts to authenticate: the client could connect to the namespace
        and attempt again.
        """
        namespace = transport.gateway.name
        if self._namespaces.get(namespace) is not transport:
            return
        del self._namespaces[namespace]
        self._packets.disconnected(namespace)
        if code in STAY_AWAY:
            self.session.push(transport.dialect.disconnect())
        transport.disconnected(TOO_SLOW if (code, reason) == (1013, TOO_SLOW) else "server disconnect")
        if code not in STAY_AWAY or not self._namespaces or transport.exhausted:
            self.session.close(code, reason)

    # For the session and the outbox

    def session_ended(self, reason: str) -> None:
        """The session has ended, and with it every namespace. See `Application.session_ended`.

        A client that should not reconnect gets a DISCONNECT for each namespace.
        """
        namespaces, self._namespaces = self._namespaces, {}
        closing = self.session.state is State.CLOSING
        stay_away = closing and self.session.close_code[0] in STAY_AWAY
        for transport in namespaces.values():
            if transport.connection is not None and closing:
                transport.connection.flush()
                if stay_away:
                    self.session.push(transport.dialect.disconnect())
            transport.disconnected(reason)

    def sink_changed(self) -> None:
        """The sink of the outbox has changed. Notifies the connections that share it. See `outbound.sink`."""
        for transport in self._namespaces.values():
            if transport.connection is not None:
                transport.connection.sink_changed()

    # Connecting

    def _connect(self, namespace: str, auth: Json) -> None:
        if not self.session.attempted():
            logger.info("%r ended: %s", self.session, TOO_MANY_ATTEMPTS)
            self.session.close(1008, TOO_MANY_ATTEMPTS)
            return
        gateway = self._context.gateway_for(namespace)
        if gateway is None:
            self._context.refusals.refused("Socket.IO", "a namespace that is not mounted", namespace)
            self._refuse(SocketIODialect(namespace), {"message": "Invalid namespace"})
        elif len(self._namespaces) >= self._context.settings.limits.namespaces_per_session:
            self._context.refusals.refused("Socket.IO", "as many namespaces as MEW_NAMESPACES_PER_SESSION allows")
            self._refuse(SocketIODialect(namespace), {"message": "too many namespaces"})
        else:
            transport = self._namespaces[namespace] = NamespaceTransport(self, gateway)
            begin_task(self._context.tasks, self._open(transport, auth))

    async def _open(self, transport: NamespaceTransport, auth: Json) -> None:
        gateway = transport.gateway
        transport.opening = asyncio.current_task()
        handshake = msgspec.structs.replace(self.session.handshake, gateway=gateway.name, auth=auth)
        try:
            await gateway.open(handshake, transport)
        except Refusal as refusal:
            # The client may have left the namespace in the meantime, and connected to it again.
            if self._namespaces.get(gateway.name) is transport:
                del self._namespaces[gateway.name]
                if isinstance(refusal, Unavailable) and not self._namespaces:
                    self._packets.disconnected(gateway.name)
                    self.session.close(1013, refusal.message)
                else:
                    self._refuse(transport.dialect, refusal_payload(refusal))
        finally:
            transport.opening = None

    def _refuse(self, dialect: SocketIODialect, data: Json) -> None:
        self.session.push(dialect.connect_error(data))
        self._packets.disconnected(dialect.namespace)
        self._watch()

    def _watch(self) -> None:
        """Close a transport on which no namespace is connected after `connect_timeout`."""
        if not self._watched:
            self._watched = True
            deadline = asyncio.get_running_loop().time() + self._context.settings.limits.connect_timeout
            self._context.wheel.schedule(deadline, WeakOwner(self, SocketIOPeer.on_connect_deadline))

    def on_connect_deadline(self, now: float) -> None:
        """The time to connect is over."""
        self._watched = False
        if not self.authenticated:
            self._context.refusals.refused("Socket.IO", "no CONNECT in time")
            self.session.close(1008, "no namespace connected")


def refusal_payload(refusal: Refusal) -> Json:
    """The data of a `connect_error`. Stock clients make an Error with `message` and attach `data`."""
    return {"message": refusal.message} | ({} if refusal.data is None else {"data": refusal.data})
