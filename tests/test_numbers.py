"""Numbers that no constructor accepts: NaN, infinity, and what is as large. The message names the argument."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from asgi_realtime import (
    ConfigurationError,
    JobsGateway,
    Limits,
    RealtimeConsole,
    Settings,
    SocketIOServer,
    WebSocketGateway,
    create_token,
)
from asgi_realtime.client import Reconnection
from asgi_realtime.client.socketio_client import SocketIOClient
from asgi_realtime.client.websocket_client import WebSocketClient

SETTINGS = Settings(jwt_secret="a secret for tests that is long enough")


def token(**options: Any) -> str:
    return create_token("ann", SETTINGS, **options)


def socketio_client(**options: Any) -> SocketIOClient[Any]:
    return SocketIOClient("http://127.0.0.1", **options)


def websocket_client(**options: Any) -> WebSocketClient[Any]:
    return WebSocketClient("ws://127.0.0.1", **options)


def websocket_gateway(**options: Any) -> WebSocketGateway:
    return WebSocketGateway("/ws", **options)


def instrumented(**options: Any) -> object:
    return SocketIOServer().instrument(auth=False, **options)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 10**400], ids=["nan", "inf", "-inf", "huge"])
@pytest.mark.parametrize(
    ("make", "argument", "named"),
    [
        (RealtimeConsole, "session_seconds", "session_seconds"),
        (websocket_gateway, "auth_timeout", "auth_timeout"),
        (websocket_gateway, "idle_timeout", "idle_timeout"),
        (JobsGateway, "heartbeat_interval", "heartbeat_interval"),
        (Limits, "handler_timeout", "MEW_HANDLER_TIMEOUT"),
        (Settings, "ping_interval", "MEW_PING_INTERVAL"),
        (Settings, "presence_grace", "MEW_PRESENCE_GRACE"),
        (instrumented, "server_stats_interval", "server_stats_interval"),
        (token, "expires_in", "expires_in"),
        (socketio_client, "timeout", "timeout"),
        (websocket_client, "timeout", "timeout"),
        (websocket_client, "max_bytes", "max_bytes"),
        (websocket_client, "ping_interval", "ping_interval"),
        (Reconnection, "first_delay", "first_delay"),
        (Reconnection, "longest_delay", "longest_delay"),
    ],
)
def test_a_number_that_is_not_finite_is_refused(
    make: Callable[..., object], argument: str, named: str, number: float
) -> None:
    with pytest.raises((ConfigurationError, ValueError), match=named):
        make(**{argument: number})


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (JobsGateway, "heartbeat_interval"),
        (instrumented, "server_stats_interval"),
        (socketio_client, "timeout"),
        (websocket_client, "max_bytes"),
        (websocket_client, "ping_interval"),
        (Reconnection, "first_delay"),
        (Reconnection, "longest_delay"),
        (Reconnection, "attempts"),
    ],
)
def test_a_negative_number_is_refused(make: Callable[..., object], argument: str) -> None:
    with pytest.raises((ConfigurationError, ValueError), match=argument):
        make(**{argument: -1})


def test_a_session_of_the_console_lasts_three_years_at_most() -> None:
    RealtimeConsole(session_seconds=3 * 365 * 86_400)
    with pytest.raises(ConfigurationError, match="session_seconds .* three years"):
        RealtimeConsole(session_seconds=3 * 365 * 86_400 + 1)
