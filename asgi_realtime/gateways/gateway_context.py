"""The parts of the app that a mounted gateway uses."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from asgi_realtime.answers import Answers
from asgi_realtime.auth.jwt_verifier import JWTVerifier
from asgi_realtime.auth.origins import OriginPolicy
from asgi_realtime.auth.refusal_log import RefusalLog
from asgi_realtime.auth.revocations import Revocations
from asgi_realtime.broadcasting.broadcaster import Broadcaster
from asgi_realtime.broadcasting.gateway_registry import GatewayRegistry
from asgi_realtime.broadcasting.publisher import Publisher
from asgi_realtime.errors import ConfigurationError
from asgi_realtime.handlers.dependencies.host_app import HostApp
from asgi_realtime.hub.hub import Hub
from asgi_realtime.limits import Limits
from asgi_realtime.metrics import Meter
from asgi_realtime.presence.base import Presence
from asgi_realtime.recovery.recovery import Recovery
from asgi_realtime.runtime.host_code import AroundHostCode
from asgi_realtime.runtime.loop_bridge import LoopBridge
from asgi_realtime.runtime.tasks import Tasks
from asgi_realtime.runtime.timers import TimerWheel
from asgi_realtime.settings import Settings
from asgi_realtime.tracing import Tracing
from asgi_realtime.values.ids import GatewayName


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class GatewayContext:
    """The parts of the app. The composition root passes them to each gateway."""

    settings: Settings
    origins: OriginPolicy
    registry: GatewayRegistry
    hub: Hub
    presence: Presence
    publisher: Publisher
    broadcaster: Broadcaster
    loop_bridge: LoopBridge
    revocations: Revocations
    verifier: JWTVerifier | None
    tasks: Tasks
    wheel: TimerWheel
    meter: Meter
    tracing: Tracing | None
    """Makes the spans. None: nothing is traced."""
    refusals: RefusalLog
    many_processes: bool
    """Whether other processes may serve clients of the same application."""
    make_answers: Callable[[GatewayName, Limits], Answers]
    """Makes the answers of a gateway: those of its handlers with `once`."""
    host: HostApp
    """What is known of the app beside which it is mounted."""
    recovery: Recovery | None
    """None: it is turned off, or not available with this broker."""
    around_host_code: AroundHostCode | None
    """What a framework does around code of the host. None: nothing."""

    def require_verifier(self) -> JWTVerifier:
        """The verifier of JWTs.

        Raises:
            ConfigurationError: if no key is configured, naming the variables.
        """
        if self.verifier is None:
            self.settings.require_jwt_key()
            raise ConfigurationError("no verifier was made")
        return self.verifier
