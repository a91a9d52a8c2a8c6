"""The composition root: builds the parts from settings, starts them, drains them, stops them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Never, Self, TypeVar, cast

from starlette.types import ASGIApp, Receive, Scope, Send

from asgi_realtime.auth.jwt_verifier import JWTVerifier
from asgi_realtime.auth.origins import OriginPolicy
from asgi_realtime.auth.refusal_log import RefusalLog
from asgi_realtime.auth.revocations import Revocations
from asgi_realtime.backends import Backends, backends_from
from asgi_realtime.broadcasting.broadcaster import Broadcaster
from asgi_realtime.broadcasting.gateway_registry import GatewayRegistry
from asgi_realtime.broadcasting.publisher import Publisher
from asgi_realtime.broadcasting.traced_publisher import TracedPublisher
from asgi_realtime.gateways.base import Gateway
from asgi_realtime.gateways.gateway_context import GatewayContext
from asgi_realtime.gateways.socketio_gateway import SocketIOGateway
from asgi_realtime.gateways.websocket_gateway import WebSocketGateway
from asgi_realtime.handlers.dependencies.host_app import HostApp
from asgi_realtime.hub.hub import Hub
from asgi_realtime.hub.traced_hub import TracedHub
from asgi_realtime.lifecycle.drain import Drain
from asgi_realtime.lifecycle.lifecycle import Lifecycle
from asgi_realtime.lifecycle.load_meter import LoadMeter
from asgi_realtime.lifecycle.mounting import (
    Mountable,
    check_paths,
    check_unmounted,
    gateways_from,
    metrics_from,
    mounted_elsewhere,
    names_of,
    not_an_app,
    only_gateway,
    serves_socketio,
    settings_from,
    warn_of_open_origins,
)
from asgi_realtime.lifecycle.process_metrics import measure_process
from asgi_realtime.lifecycle.shutdown_signals import ShutdownSignals
from asgi_realtime.lifecycle.single_process import SingleProcess
from asgi_realtime.lifecycle.transfers import Transfers
from asgi_realtime.metrics import Meter, Metrics
from asgi_realtime.outbound.outbox import Outbox
from asgi_realtime.protocols.socketio.dialect import SocketIODialect
from asgi_realtime.recovery.recovery import Recovery
from asgi_realtime.runtime.batches import Client, close_in_batches
from asgi_realtime.runtime.failed_start import FailedStart
from asgi_realtime.runtime.host_code import AroundHostCode
from asgi_realtime.runtime.host_threads import HostThreads
from asgi_realtime.runtime.loop_bridge import LoopBridge
from asgi_realtime.runtime.tasks import Tasks
from asgi_realtime.runtime.timers import TimerWheel
from asgi_realtime.settings import Settings, started_by_test
from asgi_realtime.tracing import Tracing, tracing_from
from asgi_realtime.transports.engineio.server import EngineIO
from asgi_realtime.transports.engineio.session import Session
from asgi_realtime.transports.json_websocket.endpoint import WebSocketEndpoint
from asgi_realtime.transports.socketio.peer import SocketIOPeer
from asgi_realtime.values.ids import GatewayName, UserId
from asgi_realtime.values.readiness import Unready

if TYPE_CHECKING:
    from asgi_realtime.redis.ready_client import RedisClient

G = TypeVar("G", bound=Gateway)

_TICK = 0.25
"""Seconds: how coarse timers are, unless heartbeats are faster than is usual."""


class Realtime:
    """Serves the gateways of one process. `RealtimeMiddleware` uses one in front of an app.

    Use it without an app as `async with`, or call `start` and `stop`. The last of several `async with` stops it. Its
    arguments are those of `RealtimeMiddleware`.

    Raises:
        ConfigurationError: at once, if a setting that a gateway needs is missing or wrong.
    """

    def __new__(cls, *app: Never, **options: object) -> Self:
        """If a framework uses this class as a middleware, return an app that says what to write instead."""
        return cast("Self", FailedStart(not_an_app())) if app else super().__new__(cls)

    def __init__(
        self,
        *,
        gateways: Sequence[Mountable] | None = None,
        settings: Settings | None = None,
        metrics: Metrics | None = None,
        tracing: Tracing | None = None,
        redis: RedisClient | None = None,
        backends: Backends | None = None,
        around_host_code: AroundHostCode | None = None,
        host: HostApp | None = None,
    ) -> None:
        self.settings = settings_from(settings)
        self.gateways = gateways_from(gateways)
        check_paths(self.gateways, self.settings.socketio_path)
        self.meter = Meter(metrics_from(metrics))
        self.tracing = tracing_from(tracing)
        self.origins = OriginPolicy(self.settings.cors_origins, regex=self.settings.cors_origin_regex)
        self.refusals = RefusalLog()
        self.tasks = Tasks()
        self.wheel = TimerWheel(tick=min(_TICK, self.settings.ping_interval / 8, self.settings.ping_timeout / 8))
        self.revocations = Revocations(ttl=self.settings.revocation_ttl)
        traced = self.tracing is not None
        backends = backends or backends_from(self.settings, self.meter, self.revocations, redis, traced=traced)
        self.broker, self.presence, self._forget = backends.broker, backends.presence, backends.forget
        self.registry = GatewayRegistry()
        self.host = host or HostApp()
        self.hub = (TracedHub if traced else Hub)(
            broker=self.broker,
            revocations=self.revocations,
            tasks=self.tasks,
            meter=self.meter,
            broker_timeout=self.settings.publish_timeout,
        )
        self.recovery = self._new_recovery(backends)
        self.loop_bridge = LoopBridge()
        self.publisher = (TracedPublisher if traced else Publisher)(
            broker=self.broker,
            gateways=self.registry,
            loop_bridge=self.loop_bridge,
            publish_timeout=self.settings.publish_timeout,
            meter=self.meter,
        )
        if self.tracing is not None:
            assert isinstance(self.hub, TracedHub) and isinstance(self.publisher, TracedPublisher)
            self.hub.tracing = self.publisher.tracing = self.tracing
        self.broadcaster = Broadcaster(
            publisher=self.publisher,
            presence=self.presence,
            gateways=self.registry,
            loop_bridge=self.loop_bridge,
            gateway=next(iter(names_of(self.gateways)), None),
        )
        self.verifier = JWTVerifier(self.settings) if self.settings.has_jwt_key else None
        self.engineio = EngineIO(
            settings=self.settings,
            origins=self.origins,
            extra_origins=[
                origin
                for mounted in self.gateways
                if isinstance(mounted, SocketIOGateway)
                for origin in mounted.extra_origins(self.settings)
            ],
            open=self._open,
            wheel=self.wheel,
            tasks=self.tasks,
            meter=self.meter,
            tracing=self.tracing,
            refusals=self.refusals,
            nodes=backends.node_channel,
        )
        self.websockets: dict[str, WebSocketEndpoint] = {}
        self.pages: dict[str, ASGIApp] = {}
        self.host_threads = HostThreads(self.settings.host_threads, around_host_code)
        self.drain = Drain(
            self.publisher.set_draining,
            self._stop_clients,
            self._close_clients,
            tasks=self.tasks,
            delay=self.settings.shutdown_delay,
            timeout=self.settings.drain_timeout,
            meter=self.meter,
        )
        self.single_process = SingleProcess(
            expected=self.settings.single_process or backends.many_processes or started_by_test()
        )
        self.transfers = Transfers(self.meter)
        self.lifecycle = Lifecycle(self._start_parts)
        self.signals = ShutdownSignals(self.drain.close_clients)
        self._mount(backends, around_host_code)
        measure_process(self.meter, self.tasks, self._outboxes)
        self.hub.on_load(LoadMeter(self.tasks, self._outboxes).read)

    def _mount(self, backends: Backends, around_host_code: AroundHostCode | None) -> None:
        context = GatewayContext(
            settings=self.settings,
            origins=self.origins,
            registry=self.registry,
            hub=self.hub,
            presence=self.presence,
            publisher=self.publisher,
            broadcaster=self.broadcaster,
            loop_bridge=self.loop_bridge,
            revocations=self.revocations,
            verifier=self.verifier,
            tasks=self.tasks,
            wheel=self.wheel,
            meter=self.meter,
            tracing=self.tracing,
            refusals=self.refusals,
            many_processes=backends.many_processes,
            make_answers=backends.make_answers,
            host=self.host,
            recovery=self.recovery,
            around_host_code=around_host_code,
        )
        for mounted in self.gateways:
            check_unmounted(mounted)
        for mounted in self.gateways:
            if isinstance(mounted, WebSocketGateway):
                mounted.bind(context, mounted.wire)
                self.websockets[mounted.name] = WebSocketEndpoint(mounted, context=context)
                if (page := mounted.http_app()) is not None:
                    self.pages[mounted.name] = page
            elif isinstance(mounted, SocketIOGateway):
                mounted.bind(context, SocketIODialect(mounted.name))
            elif not isinstance(mounted, Gateway):
                mounted.bind(context)
        self._context = context
        warn_of_open_origins(self.origins, self.gateways)

    def _outboxes(self) -> Iterator[Outbox]:
        yield from (session.outbox for session in self.engineio.sessions.values())
        yield from (peer.outbox for endpoint in self.websockets.values() for peer in endpoint.peers)

    def _new_recovery(self, backends: Backends) -> Recovery | None:
        if self.settings.recovery_window == 0 or (backends.many_processes and backends.redis is None):
            return None
        return Recovery(
            hub=self.hub,
            broker=self.broker,
            revocations=self.revocations,
            tasks=self.tasks,
            wheel=self.wheel,
            window=self.settings.recovery_window,
            silence=self.settings.ping_interval + self.settings.ping_timeout + 2 * self.wheel.tick,
            broker_timeout=self.settings.publish_timeout,
            redis=backends.redis,
        )

    def gateway_for(self, namespace: str) -> SocketIOGateway | None:
        """The gateway of a Socket.IO namespace; None: there is no such namespace."""
        for mounted in self.gateways:
            if not isinstance(mounted, Gateway) or isinstance(mounted, SocketIOGateway):
                if (found := mounted.gateway_for(namespace)) is not None:
                    return found
        return None

    def has(self, kind: type[Gateway]) -> bool:
        """Whether a gateway of a class is mounted."""
        return any(isinstance(mounted, kind) for mounted in self.gateways)

    def one(self, kind: type[G]) -> G:
        """The mounted gateway of a class.

        Raises:
            ConfigurationError: if none is mounted, or more than one.
        """
        return only_gateway(self.gateways, kind)

    def _open(self, session: Session) -> SocketIOPeer:
        return SocketIOPeer(session, self)

    def _gateway_named(self, name: GatewayName) -> Gateway | None:
        return self.gateway_for(name) or (self.websockets[name].gateway if name in self.websockets else None)

    def _offline(self, gateway: GatewayName, user_id: UserId) -> asyncio.Task[None] | None:
        found = self._gateway_named(gateway)
        return None if found is None else found.offline(user_id)

    def _online(self, gateway: GatewayName, user_id: UserId) -> None:
        if (found := self._gateway_named(gateway)) is not None:
            found.came_online(user_id)

    @property
    def serves_socketio(self) -> bool:
        """Whether anything is mounted that speaks Socket.IO. If not, its path is left to the host."""
        return serves_socketio(self.gateways)

    @property
    def paths(self) -> list[str]:
        """The paths that are served: that of Socket.IO, with all below it, and those of JSON gateways."""
        return [*([self.settings.socketio_path] if self.serves_socketio else []), *self.websockets]

    @property
    def ready(self) -> bool:
        """Whether clients should come: it has started and does not stop, and Redis, if there is one, delivers.

        For the health check of a load balancer. It is False from SIGTERM on, also while `MEW_SHUTDOWN_DELAY` passes.
        While Redis is away, connected clients stay connected: see `MEW_ON_BROKER_DOWN`.
        """
        return self.unready is None

    @property
    def unready(self) -> str | None:
        """Why `ready` is False: a value of `Unready`. None: it is True."""
        if self.publisher.draining or self.lifecycle.loop is None:
            return Unready.STOPPING if self.publisher.draining else Unready.STARTING
        return None if self.publisher.ready else Unready.REDIS

    def serves(self, path: str) -> bool:
        """Whether requests for a path are served here, if they come to this app."""
        return path in self.paths or (self.serves_socketio and path.startswith(self.settings.socketio_path + "/"))

    def page_at(self, path: str) -> ASGIApp | None:
        """What serves an HTTP request to the path of a gateway, or below it. None: the host does."""
        return next((app for name, app in self.pages.items() if path == name or path.startswith(name + "/")), None)

    async def start(self) -> None:
        """Begin to serve on the running event loop. Returns when every `on_start` has returned.

        A second call does nothing; one that comes while it starts waits for the same start. It may start
        again after `stop`, after a start that failed, and after an event loop that ended without a `stop`
        (tests run one app on many loops): nothing of that loop is touched, and its connections are forgotten.

        Raises:
            ConfigurationError: if another event loop, still running, has it; or another app has one of its gateways.
            BaseException: what an `on_start` raised. What had started is stopped by then.
        """
        await self.lifecycle.start()

    async def stop(self) -> None:
        """Close the clients, send what is queued, let handlers finish, and then end every task.

        All but the last take at most `MEW_DRAIN_TIMEOUT` together. Call it on the event loop of `start`.
        """
        await self.lifecycle.stop()

    async def _start_parts(self, stack: AsyncExitStack) -> None:
        """Start each part and register what undoes it. They are stopped in reverse order, and the clients first."""
        for mounted in self.gateways:
            if mounted.mounted is not self._context:
                raise mounted_elsewhere(mounted)
        stack.callback(self._forget)
        await self.single_process.acquire()
        stack.callback(self.single_process.release)
        self.publisher.draining = False
        self.refusals.clear()
        self.tasks.start()
        stack.push_async_callback(self.tasks.aclose)  # ends the tasks of the parts
        if self.meter.on:
            self.transfers.start()
            stack.callback(self.transfers.stop)
        self.hub.start()
        self.engineio.start()
        for endpoint in self.websockets.values():
            endpoint.start()
        self.loop_bridge.bind(asyncio.get_running_loop())
        stack.callback(self.loop_bridge.unbind)
        await self.broker.start(self.recovery or self.hub)
        stack.push_async_callback(self.broker.stop)
        stack.callback(self.engineio.stop)
        stack.callback(self.hub.stop)
        if self.recovery is not None:
            await self.recovery.start()
            stack.push_async_callback(self.recovery.stop)
        await self.presence.start(self._offline, self._online)
        stack.push_async_callback(self.presence.stop)
        self.wheel.open()
        stack.callback(self.wheel.close)
        self.host_threads.start()
        stack.callback(self.host_threads.stop)
        stack.push_async_callback(self.tasks.aclose)  # ends the tasks of handlers and hooks, which use the parts
        self.signals.install()
        stack.callback(self.signals.remove)
        for mounted in self.gateways:
            if isinstance(mounted, Gateway):
                await mounted.call_on_start()
            else:
                mounted.start()
        stack.push_async_callback(self.drain.run, self.signals)

    async def _stop_clients(self, seconds: float) -> None:
        self.single_process.release()
        self.engineio.refuse_clients()
        clients: list[Client] = [*self.engineio.clients]
        for endpoint in self.websockets.values():
            endpoint.refuse_clients()
            clients += endpoint.peers
        await close_in_batches(clients, lambda client: client.stop(), seconds=seconds)

    async def _close_clients(self) -> None:
        await asyncio.gather(self.engineio.aclose(), *[endpoint.aclose() for endpoint in self.websockets.values()])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a server that serves this object, or an app that mounts it, with what to serve instead."""
        await FailedStart(not_an_app())(scope, receive, send)

    async def __aenter__(self) -> Realtime:
        await self.lifecycle.hold()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.lifecycle.release()
