"""python-socketio's and python-engineio's server options, and the settings that they become."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from typing import Any, TypedDict

from asgi_realtime.errors import ConfigurationError
from asgi_realtime.settings import Settings
from asgi_realtime.socketio.redis_manager import is_manager

logger = logging.getLogger("asgi_realtime")


class Options(TypedDict, total=False):
    """The options `SocketIOServer` understands. Those without a remark mean what they mean in python-socketio."""

    ping_interval: float | tuple[float, float]
    ping_timeout: float
    max_http_buffer_size: int
    cors_allowed_origins: str | Sequence[str] | None
    """None, or an empty list: the same origin only. (There an empty list turns the check off.)"""
    transports: str | Sequence[str] | None
    async_mode: str | None
    """Only `asgi`."""
    async_handlers: bool
    """One client's events run one after the other, always."""
    always_connect: bool
    """What a connect handler emits arrives right after the answer to CONNECT, always."""
    cors_credentials: bool
    monitor_clients: bool
    http_compression: bool
    compression_threshold: int
    """These four change nothing: credentials go to allowed origins only, heartbeats are always watched,
    and polling responses are left to the server or proxy to compress."""
    allow_upgrades: bool
    cookie: Any
    client_manager: Any
    """None, or a `RedisManager` or `AsyncRedisManager` of python-socketio: what others emit through its channel reaches
    the clients of this server. Several processes of one app need `MEW_REDIS_URL` instead."""
    json: Any
    serializer: Any
    """These two, and the two before `client_manager`, must be at their defaults, if they are given."""


_SUBSTITUTES = {
    "allow_upgrades": "name the transports instead: transports=['polling'] or transports=['websocket']",
    "cookie": "no session cookie is needed; leave it out",
    "json": "payloads are encoded by msgspec, which takes datetime, UUID and Decimal too; leave it out",
    "serializer": "only the default serializer is supported",
}


def check_options(options: Options) -> None:
    """Refuse options that are not supported.

    Raises:
        ConfigurationError: naming the option and what to do.
    """
    unknown = options.keys() - Options.__annotations__.keys()
    if unknown:
        raise TypeError(f"SocketIOServer got an unknown option: {sorted(unknown)[0]}")
    for name, remedy in _SUBSTITUTES.items():
        if options.get(name) not in (None, True, "default"):
            raise ConfigurationError(f"SocketIOServer({name}=...): {remedy}")
    manager = options.get("client_manager")
    if manager is not None and not is_manager(manager):
        raise ConfigurationError(
            f"SocketIOServer(client_manager=...) takes python-socketio's AsyncRedisManager(url), not a "
            f"{type(manager).__name__}; several processes of the app need MEW_REDIS_URL instead"
        )
    if manager is not None and manager.write_only:
        raise ConfigurationError(
            "SocketIOServer(client_manager=...): a manager with write_only=True receives nothing; leave write_only out"
        )
    if manager is not None:
        # Imported here: a server without a client manager does not load the client of Redis.
        from asgi_realtime.socketio.manager_server import server_of

        server_of(manager)
    if options.get("async_mode") not in (None, "asgi"):
        raise ConfigurationError(f"SocketIOServer(async_mode={options['async_mode']!r}): only asgi is supported")
    if callable(options.get("cors_allowed_origins")):
        raise ConfigurationError(
            "SocketIOServer(cors_allowed_origins=...): list origins or patterns such as "
            "https://*.example.com, or set MEW_CORS_ORIGIN_REGEX; a function is not supported"
        )
    if options.get("cors_allowed_origins") == []:
        logger.warning(
            "cors_allowed_origins=[] does not turn the origin check off: other origins are refused. "
            "List those that may connect; CORS headers are never sent twice, also beside CORSMiddleware."
        )


def settings_with(settings: Settings, options: Options, path: str | None) -> Settings:
    """The settings, with the path and the values of the options that concern the transport."""
    changes: dict[str, Any] = {} if path is None else {"socketio_path": path}
    if "ping_interval" in options:
        interval = options["ping_interval"]
        changes["ping_interval"] = float(sum(interval) if isinstance(interval, tuple) else interval)
    if "ping_timeout" in options:
        changes["ping_timeout"] = float(options["ping_timeout"])
    if "max_http_buffer_size" in options:
        changes["limits"] = dataclasses.replace(settings.limits, message_bytes=options["max_http_buffer_size"])
    if options.get("cors_allowed_origins"):
        changes["cors_origins"] = _strings(options["cors_allowed_origins"])
    if options.get("transports"):
        changes["transports"] = _strings(options["transports"])
    return dataclasses.replace(settings, **changes)


def _strings(value: str | Sequence[str] | None) -> tuple[str, ...]:
    return () if value is None else (value,) if isinstance(value, str) else tuple(value)
