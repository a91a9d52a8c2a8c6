"""Checks the arguments for mounting gateways. Each error says what to write instead."""

from __future__ import annotations

import difflib
import inspect
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

from asgi_realtime.auth.origins import OriginPolicy
from asgi_realtime.broadcasting.gateway_registry import GatewayRegistry
from asgi_realtime.errors import ConfigurationError
from asgi_realtime.gateways.base import Gateway
from asgi_realtime.gateways.gateway_context import GatewayContext
from asgi_realtime.gateways.socketio_gateway import SocketIOGateway
from asgi_realtime.gateways.websocket_gateway import WebSocketGateway
from asgi_realtime.limits import Limits
from asgi_realtime.metrics import Metrics
from asgi_realtime.settings import Settings
from asgi_realtime.values.ids import GatewayName

G = TypeVar("G", bound=Gateway)

logger = logging.getLogger("asgi_realtime")


class NamespaceFamily(Protocol):
    """Many Socket.IO namespaces mounted as one, such as a `SocketIOServer`, which makes gateways on demand."""

    @property
    def names(self) -> Sequence[GatewayName]:
        """The namespaces known at start-up."""

    @property
    def mounted(self) -> GatewayContext | None:
        """What it works with; None: it is not mounted yet."""

    def bind(self, context: GatewayContext) -> None:
        """Mount it."""

    def start(self) -> None:
        """The app has started, and no client is connected yet."""

    def add_to_registry(self, registry: GatewayRegistry, limits: Limits) -> None:
        """Make its namespaces known to a broadcaster in a process that serves no clients."""

    def gateway_for(self, namespace: str) -> SocketIOGateway | None:
        """The gateway of a namespace; None: there is no such namespace."""


Mountable: TypeAlias = Gateway | NamespaceFamily


_BLIND_ADAPTERS = frozenset(
    {
        "asgiref.wsgi.WsgiToAsgi",
        "starlette.middleware.wsgi.WSGIMiddleware",
        "uvicorn.middleware.wsgi._WSGIMiddleware",
    }
)
"""Adapters for WSGI apps that do not pass the ASGI scope on."""
_FAMILY = ("names", "mounted", "bind", "gateway_for")


def gateways_from(value: Sequence[Mountable] | None) -> tuple[Mountable, ...]:
    """The gateways that `gateways=` names, in order. None: one `SocketIOGateway("/")`.

    Raises:
        ConfigurationError: for anything that is not a list of gateways, each there once.
    """
    if value is None:
        return (SocketIOGateway("/"),)
    given: Any = value
    if isinstance(given, str | bytes | type | Gateway) or not isinstance(given, Iterable):
        _check_gateway(given, "gateways=")
        raise ConfigurationError(f"gateways= takes a list: write gateways=[{type(given).__name__}(...)]")
    if not isinstance(given, Sequence):
        raise ConfigurationError(
            f"gateways= takes a list, not a {type(given).__name__}: the order counts, and it is read more than once"
        )
    for number, gateway in enumerate(given):
        _check_gateway(gateway, f"gateways=: item {number}")
    gateways: tuple[Mountable, ...] = tuple(given)
    _check_names(gateways)
    return gateways


def names_of(gateways: Iterable[Mountable]) -> list[GatewayName]:
    """The names under which gateways are mounted, as far as they are known at start-up."""
    return [name for each in gateways for name in ([each.name] if isinstance(each, Gateway) else each.names)]


def _check_gateway(value: object, where: str) -> None:
    kind = type(value).__name__
    if value is None:
        raise ConfigurationError(f"{where} is None; leave it out of the list")
    if isinstance(value, type):
        raise ConfigurationError(f"{where} is the class {value.__name__}; mount an instance: {value.__name__}(...)")
    if isinstance(value, str):
        raise ConfigurationError(
            f"{where} is the text {value!r}, not a gateway; write SocketIOGateway({value!r}) for a Socket.IO namespace "
            f"or WebSocketGateway({value!r}) for a JSON WebSocket"
        )
    if isinstance(value, Gateway):
        try:
            value.check_attributes()
        except ConfigurationError as error:
            raise ConfigurationError(f"{where}: {error}") from None
        if not isinstance(value, SocketIOGateway | WebSocketGateway):
            raise ConfigurationError(f"{where}: {kind} must subclass SocketIOGateway or WebSocketGateway, not Gateway")
    elif type(value).__module__.partition(".")[0] in ("socketio", "engineio"):
        raise ConfigurationError(
            f"{where} is python-socketio's own {kind}; mount a SocketIOServer of asgi_realtime, which has the same API"
        )
    elif all(hasattr(type(value), name) for name in _FAMILY):
        if not hasattr(value, "names"):
            raise ConfigurationError(f"{where}: {kind}.__init__ does not call super().__init__(...); call it first")
    else:
        raise ConfigurationError(
            f"{where} is not a gateway but a {kind}; mount instances of SocketIOGateway, WebSocketGateway or "
            "SocketIOServer"
        )


def _check_names(gateways: Sequence[Mountable]) -> None:
    seen: set[GatewayName] = set()
    for name in names_of(gateways):
        if name in seen:
            raise ConfigurationError(f"gateways=: {name!r} is mounted twice; give one of them another name")
        seen.add(name)


def only_gateway(gateways: Iterable[Mountable], kind: type[G]) -> G:
    """The mounted gateway of a class.

    Raises:
        ConfigurationError: if none is mounted, or more than one.
    """
    found = [mounted for mounted in gateways if isinstance(mounted, kind)]
    if not found:
        raise ConfigurationError(f"no {kind.__name__} is mounted; pass one to RealtimeMiddleware(gateways=[...])")
    if len(found) > 1:
        raise ConfigurationError(
            f"{len(found)} gateways are a {kind.__name__} ({', '.join(names_of(found))}); "
            "name the one you mean: broadcaster.of(name)"
        )
    return found[0]


def check_unmounted(gateway: Mountable) -> None:
    """Refuse a gateway that serves another app at this moment.

    Raises:
        ConfigurationError: with what to do.
    """
    context = gateway.mounted
    if context is not None and context.loop_bridge.running:
        raise mounted_elsewhere(gateway)


def mounted_elsewhere(gateway: Mountable) -> ConfigurationError:
    """The error about one gateway in two apps."""
    return ConfigurationError(
        f"{type(gateway).__name__} ({', '.join(names_of([gateway]))}) is mounted in two places; "
        "make an instance for each RealtimeMiddleware"
    )


def serves_socketio(gateways: Iterable[Mountable]) -> bool:
    """Whether any of them speaks Socket.IO. If not, its path is left to the host."""
    return not all(isinstance(gateway, WebSocketGateway) for gateway in gateways)


def check_paths(gateways: Sequence[Mountable], socketio_path: str) -> None:
    """Refuse a JSON gateway at a path that Socket.IO serves.

    Raises:
        ConfigurationError: with both names.
    """
    if not serves_socketio(gateways):
        return
    for gateway in gateways:
        if isinstance(gateway, WebSocketGateway) and f"{gateway.name}/".startswith(f"{socketio_path}/"):
            raise ConfigurationError(
                f"WebSocketGateway({gateway.name!r}) is at or below {socketio_path}, where Socket.IO is served; "
                "give it another path, or set MEW_SOCKETIO_PATH"
            )


def settings_from(value: Settings | None) -> Settings:
    """The settings that `settings=` names. None: those of the environment.

    Raises:
        ConfigurationError: for anything else. The value is not shown: it may hold secrets.
    """
    if value is None:
        return Settings.from_env()
    given: Any = value
    if isinstance(given, Settings):
        return given
    if given is Settings:
        raise ConfigurationError("settings= is the class Settings; write Settings(...) or Settings.from_env()")
    kind = f"the class {given.__name__}" if isinstance(given, type) else f"a {type(given).__name__}"
    remedy = "Settings(**values)" if isinstance(given, Mapping) else "Settings(jwt_secret=...)"
    raise ConfigurationError(
        f"settings= takes a Settings object, not {kind}; write settings={remedy}, or leave it out to read the "
        "environment variables"
    )


def metrics_from(value: Metrics | None) -> Metrics | None:
    """Check what `metrics=` names. None: nothing is counted.

    Raises:
        ConfigurationError: for an object without the methods.
    """
    if value is None:
        return None
    given: Any = value
    if isinstance(given, type):
        raise ConfigurationError(f"metrics= is the class {given.__name__}; pass an instance: {given.__name__}(...)")
    missing = [name for name in ("attach", "counter", "gauge", "histogram") if not callable(getattr(given, name, None))]
    if missing:
        raise ConfigurationError(
            "metrics= takes an object with the methods of Metrics, such as PrometheusMetrics(); "
            f"{type(given).__name__} has no {missing[0]}"
        )
    return value


def check_app(app: object, owner: str = "RealtimeMiddleware") -> None:
    """Refuse what is not an ASGI app.

    Raises:
        ConfigurationError: with what it is, and what to do.
    """
    kind = type(app).__name__
    if isinstance(app, type):
        if not hasattr(app, "__await__"):
            raise ConfigurationError(f"{owner} wraps the class {app.__name__}; wrap an instance of it")
        return
    if isinstance(app, Gateway | Settings):
        raise ConfigurationError(f"{owner} wraps a {kind}, not an app; write {owner}(app, gateways=[...])")
    if hasattr(app, "wsgi_app") or not _takes(app, 3) and _takes(app, 2):
        raise ConfigurationError(
            f"{owner} wraps {kind}, a WSGI app; put an adapter between them: "
            f"{owner}(a2wsgi.WSGIMiddleware(app), ...), see pip install 'asgi_realtime[flask]'"
        )
    if not _takes(app, 3):
        raise ConfigurationError(f"{owner} wraps an ASGI app; {kind} is not one (scope, receive, send)")


def not_an_app() -> ConfigurationError:
    """The error about a `Realtime` where a middleware or an app belongs."""
    return ConfigurationError(
        "Realtime is neither a middleware nor an app; write app.add_middleware(RealtimeMiddleware, gateways=[...])"
    )


def warn_of_open_origins(origins: OriginPolicy, gateways: Iterable[Mountable]) -> None:
    """Log that pages of any origin may connect, if the settings or a gateway allow it, and what they may not do."""
    opened = [gateway.name for gateway in gateways if isinstance(gateway, Gateway) and gateway.origins.is_open]
    if origins.is_open or opened:
        logger.warning(
            "pages of any origin may connect (%s); cookies and credentials of CORS requests are accepted only from the "
            "same origin and from origins that are listed by name; list the origins that need them",
            "MEW_CORS_ORIGINS or MEW_CORS_ORIGIN_REGEX" if origins.is_open else ", ".join(opened),
        )


def warn_of_adapter(app: object) -> None:
    """Log a warning if views behind this adapter cannot find their broadcaster."""
    kind = f"{type(app).__module__}.{type(app).__qualname__}"
    if kind in _BLIND_ADAPTERS:
        logger.warning(
            "behind %s asgi_realtime.wsgi finds no broadcaster, and views send nothing; use a2wsgi.WSGIMiddleware", kind
        )


def _takes(function: object, arguments: int) -> bool:
    """Whether it can be called with so many arguments."""
    if not callable(function):
        return False
    try:
        inspect.signature(function).bind(*[None] * arguments)
    except TypeError:
        return False
    except ValueError:  # a builtin that has no signature
        return True
    return True


def refuse_arguments(owner: str, positional: Sequence[object], named: Iterable[str], known: Sequence[str]) -> None:
    """Refuse arguments that a constructor does not have.

    Raises:
        ConfigurationError: with the argument, and the one that is most like it.
    """
    if positional:
        raise ConfigurationError(f"{owner} takes keywords only: write {known[0]}={_short(positional[0])}")
    for name in named:
        close = difflib.get_close_matches(name, known, n=1)
        remedy = f"write {close[0]}=" if close else f"it has {', '.join(known)}"
        raise ConfigurationError(f"{owner} has no argument {name!r}; {remedy}")


def _short(value: object) -> str:
    return "[...]" if isinstance(value, list | tuple) else "..."
