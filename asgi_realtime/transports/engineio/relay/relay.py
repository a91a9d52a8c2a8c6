"""Lets every process answer the requests of every session: those of a session of another process are relayed."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from starlette.types import Receive, Scope, Send

from asgi_realtime.broker.node_channel import NodeChannel
from asgi_realtime.limits import Limits
from asgi_realtime.metrics import Meter
from asgi_realtime.metrics.declarations import RELAYED_REQUESTS, RELAYS
from asgi_realtime.runtime.budgets import Budget
from asgi_realtime.runtime.tasks import Tasks
from asgi_realtime.transports.engineio import responses
from asgi_realtime.transports.engineio.relay.messages import ACCEPT, RESPONSE, Open, Response, decode_response
from asgi_realtime.transports.engineio.relay.peers import OpenedRelay, Peer, Peers
from asgi_realtime.transports.engineio.relay.pipe import PART, Pipe
from asgi_realtime.transports.engineio.relay.requests import first_piece, pass_body
from asgi_realtime.transports.engineio.relay.serving import RelayedApp, serve_relayed
from asgi_realtime.transports.engineio.relay.websockets import carry_websocket, refusal_of
from asgi_realtime.transports.engineio.responses import ClientGone
from asgi_realtime.transports.request import Request

_SESSION_ID: Final = re.compile(r"[A-Za-z0-9_-]{20}\.([A-Za-z0-9_-]{8})")


class Relay:
    """Relays requests to the process that has their session, and serves those that others relay.

    Args:
        nodes: the connection to the other processes.
        limits: a process relays at most as many requests at once as it may have sessions, in all and for one address.
        control: the budget of WebSocket frames without a message.
    """

    def __init__(self, nodes: NodeChannel, *, limits: Limits, control: Budget, tasks: Tasks, meter: Meter) -> None:
        self._nodes = nodes
        self._limits = limits
        self._control = control
        self._tasks = tasks
        self._requests = meter.counters(RELAYED_REQUESTS, "transport")
        meter.gauge(RELAYS, lambda: self._count)
        self._peers = Peers(
            nodes,
            open=self._serve,
            largest=max(limits.message_bytes, limits.outbox_bytes),
            meter=meter,
            failures=tasks.failures,
        )
        self._app: RelayedApp | None = None
        self._unanswered: Callable[[str], None] = lambda session_id: None
        self._answer_now: Callable[[str], None] = lambda session_id: None
        self._idle = asyncio.Event()
        self._addresses: Counter[str | None] = Counter()
        self._count = 0

    def start(self, app: RelayedApp, *, unanswered: Callable[[str], None], answer_now: Callable[[str], None]) -> None:
        """Begin on the running event loop.

        Args:
            app: serves the requests that others relay.
            unanswered: called with the id of a session whose client could not be answered.
            answer_now: called with the id of a session whose poll is to be answered, because its process stops.
        """
        self._app = app
        self._unanswered = unanswered
        self._answer_now = answer_now
        self._idle = asyncio.Event()
        self._addresses.clear()
        self._count = 0
        self._peers.start()

    @property
    def opened(self) -> list[OpenedRelay]:
        """The relays of clients that are connected to this process."""
        return self._peers.opened

    async def until_unused(self) -> None:
        """Return when no client of this process needs a relay."""
        while self._count:
            self._idle.clear()
            await self._idle.wait()

    def stop(self) -> None:
        """End every relay."""
        self._peers.end_all()

    def session_id(self, secret: str) -> str:
        """The id of a new session of this process."""
        return f"{secret}.{self._nodes.node}"

    def elsewhere(self, session_id: str | None) -> str | None:
        """The process that a session id names. None: this one, or none at all."""
        found = None if session_id is None else _SESSION_ID.fullmatch(session_id)
        return None if found is None or found[1] == self._nodes.node else found[1]

    # The end that has the session

    def _serve(self, peer: Peer, opened: Open, pipe: Pipe) -> None:
        if not opened.websocket:
            # The client will not poll again, as it has got no answer.
            pipe.on_undelivered = lambda: self._unanswered(opened.session)
            pipe.on_leave = lambda: self._answer_now(opened.session)
        self._tasks.spawn(self._serve_until_end(peer.node, opened, pipe), name="relayed request")

    async def _serve_until_end(self, node: str, opened: Open, pipe: Pipe) -> None:
        assert self._app is not None
        answered = False
        try:
            answered = await serve_relayed(self._app, opened, pipe, self._tasks.failures)
        finally:
            self._peers.close(node, opened.relay, opened=False, notify=not answered)

    # The end at which the request has arrived

    async def answer(self, node: str, request: Request, scope: Scope, receive: Receive) -> Response:
        """The answer to a GET or POST of a session of another process.

        Raises:
            HTTPRefusal: the process is gone, or there are too many relays.
            ClientGone: the client went away.
        """
        with self._place(request):
            body, more = b"", False
            if request.method == "POST":
                body, more = await first_piece(receive, self._limits.body_timeout)
            with self._opened(node, request, scope, body[:PART], more or len(body) > PART) as pipe:
                if await pass_body(receive, pipe, body[PART:], more):
                    raise ClientGone
                event = await pipe.receive()
        if event is None or event.kind != RESPONSE:
            raise responses.unknown_session()
        return decode_response(event.data)

    async def carry(self, node: str, request: Request, scope: Scope, receive: Receive, send: Send) -> None:
        """Carry a WebSocket, which is not accepted yet, of a session of another process.

        Raises:
            HTTPRefusal: the process is gone or refuses it, or there are too many relays.
        """
        with self._place(request), self._opened(node, request, scope, b"", False) as pipe:
            event = await pipe.receive()
            if event is None or event.kind != ACCEPT:
                raise refusal_of(event)
            await carry_websocket(
                pipe,
                scope,
                receive,
                send,
                message_bytes=self._limits.message_bytes,
                control=self._control,
                tasks=self._tasks,
            )

    @contextlib.contextmanager
    def _opened(self, node: str, request: Request, scope: Scope, body: bytes, more: bool) -> Iterator[Pipe]:
        """Open a relay, and end it when the block ends."""
        is_websocket = scope["type"] == "websocket"
        self._requests.add("websocket" if is_websocket else "polling")
        relay, pipe = self._peers.open(
            node,
            lambda number: Open(
                sender=self._nodes.node,
                relay=number,
                websocket=is_websocket,
                method=request.method,
                session=request.query["sid"],
                origin=request.origin,
                host=request.host,
                scheme=request.scheme,
                http_version=scope.get("http_version", "1.1"),
                address=request.address,
                body=body,
                more_body=more,
            ),
        )
        try:
            yield pipe
        finally:
            self._peers.close(node, relay, opened=True, notify=True)

    @contextlib.contextmanager
    def _place(self, request: Request) -> Iterator[None]:
        """Count a relay.

        Raises:
            HTTPRefusal: there are too many.
        """
        address = request.address
        if self._count >= self._limits.sessions:
            raise responses.overloaded("as many relayed requests as MEW_SESSIONS allows")
        if self._addresses[address] >= self._limits.sessions_per_address:
            raise responses.overloaded("as many relayed requests of one address as MEW_SESSIONS_PER_ADDRESS allows")
        self._count += 1
        self._addresses[address] += 1
        try:
            yield
        finally:
            self._count -= 1
            if not self._count:
                self._idle.set()
            self._addresses[address] -= 1
            if not self._addresses[address]:
                del self._addresses[address]
