"""The ASGI application of Engine.IO: checks each request, finds or opens its session, passes it to a transport."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Collection, Mapping
from http import HTTPStatus
from types import MappingProxyType

from starlette.types import Receive, Scope, Send

from asgi_realtime.auth.origins import Headers, OriginPolicy
from asgi_realtime.auth.refusal_log import FOREIGN_ORIGIN, RefusalLog
from asgi_realtime.broker.node_channel import NodeChannel
from asgi_realtime.metrics import Meter
from asgi_realtime.metrics.declarations import REFUSED_CONNECTIONS
from asgi_realtime.outbound.frame_writer import FLUSH_SECONDS
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.runtime.budgets import Budgets
from asgi_realtime.runtime.tasks import Tasks
from asgi_realtime.runtime.timers import TimerWheel, WeakOwner
from asgi_realtime.settings import Settings
from asgi_realtime.tracing import Tracing
from asgi_realtime.transports.accept import accept_websocket, close_websocket
from asgi_realtime.transports.engineio import responses
from asgi_realtime.transports.engineio.application import Application
from asgi_realtime.transports.engineio.lifecycle import State
from asgi_realtime.transports.engineio.polling import answer_poll, take_payload
from asgi_realtime.transports.engineio.relay.peers import OpenedRelay
from asgi_realtime.transports.engineio.relay.relay import Relay
from asgi_realtime.transports.engineio.responses import ClientGone, HTTPRefusal, refuse_websocket, respond
from asgi_realtime.transports.engineio.session import Session
from asgi_realtime.transports.engineio.session_table import SessionTable
from asgi_realtime.transports.engineio.upgrade import upgrade
from asgi_realtime.transports.request import Request
from asgi_realtime.transports.websocket_carrier import CarrierOptions, WebSocketCarrier

_VERSION = "4"
_SESSION_ID_BYTES = 15


class EngineIO:
    """An Engine.IO v4 server: an ASGI application for the requests below its path, of both kinds.

    `open` is called once per session, and returns the application that receives its messages. It may push frames at
    once. If it raises an exception, the client is refused.

    `extra_origins` are allowed beside those of the policy. A page of these may open sessions and use its own
    sessions, but no session of another page. The application finds the origin in the session's handshake.

    `nodes` connects it with the other processes of the application. Requests of their sessions are relayed to them.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        origins: OriginPolicy,
        extra_origins: Collection[str] = (),
        open: Callable[[Session], Application],
        wheel: TimerWheel,
        tasks: Tasks,
        meter: Meter,
        refusals: RefusalLog | None = None,
        tracing: Tracing | None = None,
        nodes: NodeChannel | None = None,
    ) -> None:
        self._settings = settings
        self._refusals = refusals or RefusalLog()
        self._tracing = tracing
        self._origins = origins.with_extra(*extra_origins)
        self._everywhere = origins
        self._application = open
        self._wheel = wheel
        self._tasks = tasks
        self._budgets = Budgets(settings.limits, meter)
        self._carrier_options = CarrierOptions(
            settings.limits, fast_writes=settings.fast_writes, control=self._budgets.control, tasks=tasks
        )
        self._relay = (
            None
            if nodes is None
            else Relay(nodes, limits=settings.limits, control=self._budgets.control, tasks=tasks, meter=meter)
        )
        self._sessions = SessionTable(meter)
        self._refused = meter.counters(REFUSED_CONNECTIONS, "reason", gateway=settings.socketio_path)
        self._refusing = self._stopping = False
        self._emptied = asyncio.Event()

    @property
    def sessions(self) -> Mapping[str, Session]:
        """The sessions of this process by id, those included that are being closed."""
        return MappingProxyType(self._sessions.by_id)

    @property
    def clients(self) -> list[Session | OpenedRelay]:
        """What is to be stopped for each client of this process: its session, or the relay to it."""
        return [*self._sessions.by_id.values(), *(() if self._relay is None else self._relay.opened)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or WebSocket."""
        request = Request(scope)
        if scope["type"] == "websocket":
            await self._serve_websocket(request, scope, receive, send)
        else:
            await self._serve_http(request, scope, receive, send)

    def start(self) -> None:
        """Open sessions on the running event loop. Sessions of a loop that ended first are dropped."""
        self._sessions.clear()
        self._refusing = self._stopping = False
        self._emptied = asyncio.Event()
        if self._relay is not None:
            self._relay.start(self, unanswered=self._unanswered, answer_now=self._answer_now)

    def stop(self) -> None:
        """End what other processes relay. `aclose` comes before."""
        if self._relay is not None:
            self._relay.stop()

    def refuse_clients(self) -> None:
        """Open no more sessions. Those that are open are served, and so are those of other processes."""
        self._refusing = True

    async def aclose(self) -> None:
        """Close every session (WebSockets with 1012) and return when all have ended. Open and relay no more."""
        self._refusing = self._stopping = True
        for client in self.clients:
            client.stop()
        try:
            async with asyncio.timeout(2 * FLUSH_SECONDS):
                while self._sessions:
                    self._emptied.clear()
                    await self._emptied.wait()
                if self._relay is not None:
                    await self._relay.until_unused()
        except TimeoutError:
            for session in list(self._sessions.by_id.values()):
                session.abort("forced close")
        finally:
            for relay in () if self._relay is None else self._relay.opened:
                relay.end()

    # Long-polling

    async def _serve_http(self, request: Request, scope: Scope, receive: Receive, send: Send) -> None:
        origin = None if request.duplicate_header else request.origin
        headers = self._origins.headers(origin)
        try:
            self._check_headers(request)
            if request.method == "OPTIONS":
                await respond(send, HTTPStatus.OK, b"", responses.TEXT, self._preflight(request))
                return
            self._check(request, "polling")
            node = self._elsewhere(request)
            if node is not None:
                await self._pass_on(node, request, scope, receive, send)
                return
            answer = await self._polling(request, receive)
        except ClientGone:
            # It reaches no client. But middlewares such as Starlette's BaseHTTPMiddleware report a request that
            # ends without a response as an error.
            await respond(send, HTTPStatus.BAD_REQUEST, b"", responses.TEXT, headers)
        except HTTPRefusal as refusal:
            self._log(request, refusal)
            if refusal.hang_up and scope.get("http_version", "1.1").startswith("1"):
                headers = [*headers, (b"connection", b"close")]
            await respond(send, refusal.status, refusal.body, responses.JSON, headers)
        else:
            await respond(send, HTTPStatus.OK, answer.encode(), responses.TEXT, headers)

    async def _pass_on(self, node: str, request: Request, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request as the process answers that has its session."""
        assert self._relay is not None
        answer = await self._relay.answer(node, request, scope, receive)
        headers = answer.headers
        if self._refusing and scope.get("http_version", "1.1").startswith("1"):
            headers = [*headers, (b"connection", b"close")]  # the next request goes to a process that stays
        with contextlib.suppress(OSError):  # as in `respond`
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            await send({"type": "http.response.body", "body": answer.body, "more_body": False})

    def _unanswered(self, session_id: str) -> None:
        """The answer to a relayed request is lost, so the client does not come back."""
        session = self._sessions.by_id.get(session_id)
        if session is not None:
            session.abort("transport close")

    def _answer_now(self, session_id: str) -> None:
        """The process that relays a poll stops, so the client is to poll again."""
        session = self._sessions.by_id.get(session_id)
        if session is not None:
            session.answer_poll()

    def _preflight(self, request: Request) -> Headers:
        headers = self._origins.preflight(
            request.origin,
            request.header("access-control-request-method"),
            request.header("access-control-request-headers"),
            host=request.host,
            scheme=request.scheme,
        )
        if headers is None:
            raise responses.forbidden(FOREIGN_ORIGIN)
        return headers

    async def _polling(self, request: Request, receive: Receive) -> str:
        session = self._find(request)
        if session is None:
            if request.method != "GET":
                raise responses.bad_method()
            self._check_capacity(request)
            session = self._open(request, websocket=False)
            if session.state is State.CLOSED:
                raise responses.failed()
            return await answer_poll(session, receive)
        if session.transport != "polling":
            raise responses.bad_request()
        if request.method == "GET":
            session.expire(self._now())
            if session.id not in self._sessions.by_id:
                raise responses.unknown_session()
            return await answer_poll(session, receive)
        if request.method == "POST":
            await take_payload(session, receive, self._settings.limits)
            return "ok"
        raise responses.bad_method()

    # WebSocket

    async def _serve_websocket(self, request: Request, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        try:
            self._check_headers(request)
            self._check(request, "websocket")
            node = self._elsewhere(request)
            if node is not None:
                assert self._relay is not None
                await self._relay.carry(node, request, scope, receive, send)
                return
            session = self._find(request)
            if session is None:
                self._check_capacity(request)
        except HTTPRefusal as refusal:
            self._log(request, refusal)
            await refuse_websocket(scope, send, refusal)
            return
        try:
            frames = await accept_websocket(
                scope,
                send,
                compression=self._settings.compression,
                message_bytes=self._settings.limits.message_bytes,
                control=self._budgets.control,
                frame_follows=session is None,  # the open packet
            )
        except OSError:
            return
        new = session is None
        if session is None:
            try:
                self._check_capacity(request)  # again: during the acceptance others came, or the server began to stop
            except HTTPRefusal as refusal:
                self._log(request, refusal)
                code, reason = (1012, "server restart") if self._refusing else (1013, str(refusal))
                await close_websocket(send, code, reason)
                return
            session = self._open(request, websocket=True)
        carrier = WebSocketCarrier(session, receive, send, self._carrier_options, frames)
        if not new and not session.begin_upgrade():
            # Accepted all the same: by the protocol a second WebSocket of a session is closed, not refused.
            await carrier.close()
        elif new or await upgrade(session, carrier, send, self._settings.upgrade_timeout):
            if not new:
                self._sessions.upgraded()
            session.carried(carrier)
            await carrier.serve()

    # Sessions

    def _check_headers(self, request: Request) -> None:
        if request.duplicate_header is not None:
            reason = f"two {request.duplicate_header.title()} headers"
            raise responses.forbidden(reason) if request.duplicate_header == "origin" else responses.bad_request(reason)

    def _log(self, request: Request, refusal: HTTPRefusal) -> None:
        if refusal.reason == FOREIGN_ORIGIN:
            self._refused.add("ORIGIN")
            self._refusals.origin(self._settings.socketio_path, request.origin, request.host)
        elif refusal.reason is not None:
            if refusal.status == HTTPStatus.SERVICE_UNAVAILABLE and not self._refusing:
                self._refused.add("FULL")
            self._refusals.refused(self._settings.socketio_path, refusal.reason)

    def _check(self, request: Request, transport: str) -> None:
        """Check what does not depend on the session.

        Raises:
            HTTPRefusal: if the request is not one that is served.
        """
        if not self._origins.allows(request.origin, host=request.host, scheme=request.scheme):
            raise responses.forbidden(FOREIGN_ORIGIN)
        name = request.query.get("transport")
        if name not in self._settings.transports:
            raise responses.unknown_transport()
        if request.query.get("EIO") != _VERSION:
            raise responses.unsupported_version()
        if name != transport:
            raise responses.bad_request("a request of one transport that names the other")

    def _elsewhere(self, request: Request) -> str | None:
        """The process that has the session of a request. None: this one, if any has it."""
        if self._relay is None:
            return None
        node = self._relay.elsewhere(request.query.get("sid"))
        if node is not None and self._stopping:
            raise responses.overloaded("the server is stopping")
        return node

    def _find(self, request: Request) -> Session | None:
        """The session that a request names. None: it opens one.

        Raises:
            HTTPRefusal: if there is no such session, or the request may not use it.
        """
        session_id = request.query.get("sid")
        if session_id is None:
            return None
        session = self._sessions.by_id.get(session_id)
        if session is None:
            raise responses.unknown_session()
        if not self._may_use(request, session):
            raise responses.forbidden("a session of another page")
        return session

    def _may_use(self, request: Request, session: Session) -> bool:
        # A session of another page may have namespaces that a guest must not use.
        return request.origin == session.handshake.origin or self._everywhere.allows(
            request.origin, host=request.host, scheme=request.scheme
        )

    def _check_capacity(self, request: Request) -> None:
        limits = self._settings.limits
        if self._refusing:
            raise responses.overloaded("the server is stopping")
        if len(self._sessions) >= limits.sessions:
            raise responses.overloaded("as many transports as MEW_SESSIONS allows")
        if self._sessions.of_address(request.address) >= limits.sessions_per_address:
            raise responses.overloaded("as many transports of one address as MEW_SESSIONS_PER_ADDRESS allows")

    def _open(self, request: Request, *, websocket: bool) -> Session:
        secret = secrets.token_urlsafe(_SESSION_ID_BYTES)
        session = Session(
            secret if self._relay is None else self._relay.session_id(secret),
            request.handshake(self._tracing),
            websocket=websocket,
            settings=self._settings,
            budgets=self._budgets,
            now=self._now(),
            owner=self,
        )
        self._sessions.add(session)
        session.push(Frame(session.open_packet))
        try:
            session.start(self._application(session))
        except Exception as error:
            self.session_failed("an application failed to open", error)
            session.abort("transport error")
        else:
            self._wheel.schedule(self._now() + self._settings.ping_interval, WeakOwner(session, Session.on_deadline))
        return session

    def session_ending(self, session: Session) -> None:
        """Give a polling client `ping_timeout` to fetch what is queued and the close packet."""
        if session.transport == "polling":
            self._wheel.schedule(self._now() + self._settings.ping_timeout, WeakOwner(session, _on_last_polls_deadline))

    def session_failed(self, what: str, error: Exception) -> None:
        """Log that the application of a session has failed."""
        self._tasks.failures.failed(None, what, error)

    def session_ended(self, session: Session, reason: str) -> None:
        """Remove a session that has ended."""
        if not self._sessions.remove(session, reason):
            return  # of an event loop that has ended
        if not self._sessions:
            self._emptied.set()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _on_last_polls_deadline(session: Session, now: float) -> None:
    """A polling client has had its time to fetch what was queued."""
    if session.state is State.CLOSING:
        session.abort("transport close")
