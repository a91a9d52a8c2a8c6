"""The composition root: builds the parts from settings, starts them, drains them, stops them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, TypeAlias, TypeVar

from asgi_realtime.auth import JWTVerifier
from asgi_realtime.broadcaster import Broadcaster
from asgi_realtime.broker.memory import MemoryBroker
from asgi_realtime.engineio.server import EngineIO
from asgi_realtime.engineio.session import Session
from asgi_realtime.errors import ConfigurationError
from asgi_realtime.gateways.base import Gateway
from asgi_realtime.gateways.parts import Parts
from asgi_realtime.gateways.socketio_gateway import SocketIOGateway
from asgi_realtime.gateways.websocket_gateway import WebSocketGateway
from asgi_realtime.hub import Hub
from asgi_realtime.messages import GatewayName, UserId
from asgi_realtime.metrics import Metrics, NullMetrics
from asgi_realtime.origins import OriginPolicy
from asgi_realtime.presence.memory import MemoryPresence
from asgi_realtime.revocations import Revocations
from asgi_realtime.settings import Settings
from asgi_realtime.shutdown import ShutdownSignals
from asgi_realtime.socketio.client import SocketIOClient
from asgi_realtime.socketio.dialect import SocketIODialect
from asgi_realtime.tasks import Tasks, TimerWheel
from asgi_realtime.threads import HostThreads
from asgi_realtime.websocket.endpoint import WebSocketEndpoint

G = TypeVar("G", bound=Gateway)

_TICK = 0.25
"""Seconds: how coarse timers are, unless heartbeats are faster than is usual."""


class NamespaceFamily(Protocol):
    """Many Socket.IO namespaces mounted as one, such as a `SocketIOServer`, which makes gateways on demand."""

    @property
    def names(self) -> Sequence[GatewayName]:
        """The namespaces known at start-up."""

    def bind(self, parts: Parts) -> None:
        """Mount it."""

    def gateway_for(self, namespace: str) -> SocketIOGateway | None:
        """The gateway of a namespace; None: there is no such namespace."""


Mountable: TypeAlias = Gateway | NamespaceFamily


class Realtime:
    """One process's gateway, without a face: what `RealtimeMiddleware` puts in front of an app.

    Use it as `async with`, or call `start` and `stop`.

    Raises:
        ConfigurationError: at once, if a setting that a gateway needs is missing or wrong.
    """

    def __init__(
        self,
        *,
        gateways: Sequence[Mountable] | None = None,
        settings: Settings | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self.settings = settings or Settings.from_env()
        self.gateways: tuple[Mountable, ...] = (SocketIOGateway("/"),) if gateways is None else tuple(gateways)
        self.metrics: Metrics = metrics or NullMetrics()
        self.origins = OriginPolicy(self.settings.cors_origins)
        self.tasks = Tasks()
        self.wheel = TimerWheel(tick=min(_TICK, self.settings.ping_interval / 8, self.settings.ping_timeout / 8))
        self.revocations = Revocations(ttl=self.settings.revocation_ttl)
        self.broker = MemoryBroker(history_size=self.settings.history_size, history_ttl=self.settings.history_ttl)
        self.presence = MemoryPresence(grace=self.settings.presence_grace)
        self.hub = Hub(broker=self.broker, revocations=self.revocations, tasks=self.tasks, metrics=self.metrics)
        self.broadcaster = Broadcaster(
            broker=self.broker,
            presence=self.presence,
            gateways=self.hub.gateways,
            gateway=self._first(),
            limits=self.settings.limits,
            publish_timeout=self.settings.publish_timeout,
        )
        self.verifier = JWTVerifier(self.settings) if self.settings.has_jwt_key else None
        self.engineio = EngineIO(
            settings=self.settings,
            origins=self.origins,
            guests=[
                origin
                for mounted in self.gateways
                if isinstance(mounted, SocketIOGateway)
                for origin in mounted.extra_origins(self.settings)
            ],
            open=self._open,
            wheel=self.wheel,
            tasks=self.tasks,
            metrics=self.metrics,
        )
        self.websockets: dict[str, WebSocketEndpoint] = {}
        self.started = False
        self._threads = HostThreads(self.settings.host_threads)
        self._signals = ShutdownSignals(self.engineio.close_polls)
        self._mount()

    def _first(self) -> GatewayName | None:
        names = [
            name
            for mounted in self.gateways
            for name in ([mounted.name] if isinstance(mounted, Gateway) else mounted.names)
        ]
        doubled = {name for name in names if names.count(name) > 1}
        if doubled:
            raise ConfigurationError(f"gateways=: {doubled.pop()!r} is mounted twice")
        return names[0] if names else None

    def _mount(self) -> None:
        parts = Parts(
            settings=self.settings,
            origins=self.origins,
            hub=self.hub,
            presence=self.presence,
            broadcaster=self.broadcaster,
            revocations=self.revocations,
            verifier=self.verifier,
            tasks=self.tasks,
            wheel=self.wheel,
            metrics=self.metrics,
        )
        for mounted in self.gateways:
            if isinstance(mounted, WebSocketGateway):
                mounted.bind(parts, mounted.wire)
                self.websockets[mounted.name] = WebSocketEndpoint(mounted, parts=parts)
            elif isinstance(mounted, SocketIOGateway):
                mounted.bind(parts, SocketIODialect(mounted.name))
            elif isinstance(mounted, Gateway):
                raise ConfigurationError(f"gateways=: {mounted!r} is neither a SocketIOGateway nor a WebSocketGateway")
            else:
                mounted.bind(parts)

    def gateway_for(self, namespace: str) -> SocketIOGateway | None:
        """The gateway of a Socket.IO namespace; None: there is no such namespace."""
        for mounted in self.gateways:
            found = (
                None
                if isinstance(mounted, Gateway) and not isinstance(mounted, SocketIOGateway)
                else mounted.gateway_for(namespace)
            )
            if found is not None:
                return found
        return None

    def one(self, kind: type[G]) -> G:
        """The mounted gateway of a class.

        Raises:
            ConfigurationError: if none is mounted.
        """
        for mounted in self.gateways:
            if isinstance(mounted, kind):
                return mounted
        raise ConfigurationError(f"no {kind.__name__} is mounted; pass one to RealtimeMiddleware(gateways=[...])")

    def _open(self, session: Session) -> SocketIOClient:
        return SocketIOClient(session, namespaces=self, limits=self.settings.limits, tasks=self.tasks, wheel=self.wheel)

    def _offline(self, gateway: GatewayName, user_id: UserId) -> None:
        found = self.gateway_for(gateway) or (self.websockets[gateway].gateway if gateway in self.websockets else None)
        if found is not None:
            found.offline(user_id)

    async def start(self) -> None:
        """Begin to serve on the running event loop. A second call does nothing; after `stop` it begins anew.

        Tests run one app on many event loops, one after the other.
        """
        if not self.started:
            self.started = True
            self.broadcaster.bind(asyncio.get_running_loop())
            self.wheel.open()
            self._threads.start()
            self.hub.start()
            self.engineio.start()
            await self.broker.start(self.hub)
            await self.presence.start(self._offline)
            self._signals.install()
            await self._started_up()

    async def _started_up(self) -> None:
        try:
            for mounted in self.gateways:
                if isinstance(mounted, Gateway):
                    await mounted.on_start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Tell the clients, let what is queued reach them and handlers finish, then end every task.

        The first two take at most `MEW_DRAIN_TIMEOUT` together.
        """
        if not self.started:
            return
        self.started = False
        self._signals.remove()
        try:
            async with asyncio.timeout(self.settings.drain_timeout):
                await asyncio.gather(
                    self.engineio.aclose(), *[endpoint.aclose() for endpoint in self.websockets.values()]
                )
                await self.tasks.idle()  # handlers that have begun, and the host's `on_disconnect`
        except TimeoutError:
            self.metrics.count("drain_timeouts_total")
        await self.tasks.aclose()
        self._threads.stop()
        self.wheel.close()
        await self.presence.stop()
        await self.broker.stop()
        self.broadcaster.unbind()

    async def __aenter__(self) -> Realtime:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()
