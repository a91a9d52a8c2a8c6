"""The AsyncAPI document of one or several gateways."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from asgi_realtime.schema.asyncapi.channels import channel_parts
from asgi_realtime.schema.asyncapi.component_schemas import ComponentSchemas
from asgi_realtime.schema.gateway_kinds import AnyGateway, address_of, gateway_name, is_websocket, slug

_SOCKETIO = (
    "Socket.IO protocol 5 over Engine.IO 4, by WebSocket or HTTP long-polling. "
    "The address of each channel is a namespace. Messages are events; their payload is the argument."
)
_WEBSOCKET = "WebSockets. The address of each channel is a path. Each text frame is a JSON object with a `type`."


def asyncapi(
    gateways: Sequence[AnyGateway],
    *,
    title: str = "Realtime events",
    version: str = "1.0.0",
    server: str | None = None,
    socketio_path: str = "/socket.io",
) -> dict[str, Any]:
    """Return an AsyncAPI 3.0 document, ready for JSON.

    Args:
        gateways: classes or instances. An instance also shows its own path or namespace and its authenticator.
        title: what the document is called.
        version: the version of the application's events.
        server: `ws://` or `wss://`, a host, and the path that the application is mounted at. Default: a placeholder.
        socketio_path: the path of Engine.IO.

    Raises:
        TypeError: for a payload type that has no JSON schema.
        ValueError: for a server that is no such URL, for a gateway that is there twice, or for two payload types of
            one name in a gateway.
    """
    schemas = ComponentSchemas()
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    security_schemes: dict[str, Any] = {}
    for gateway in gateways:
        key = _key(gateway, channels)
        parts = channel_parts(gateway, key, schemas)
        channels[key] = parts.channel
        operations |= parts.operations
        security_schemes |= parts.security_schemes
    components = {"schemas": schemas.components(), "securitySchemes": security_schemes}
    document = {
        "asyncapi": "3.0.0",
        "info": {"title": title, "version": version},
        "defaultContentType": "application/json",
        "servers": _servers(gateways, server, socketio_path),
        "channels": channels,
        "operations": operations,
        "components": {name: part for name, part in components.items() if part},
    }
    finished: dict[str, Any] = schemas.finished(document)
    return finished


def _key(gateway: AnyGateway, taken: dict[str, Any]) -> str:
    """The key of a gateway's channel: its name, with its address if another gateway has the name."""
    key = gateway_name(gateway)
    if key in taken:
        key = f"{key}-{slug(address_of(gateway) or '')}"
    if key in taken:
        raise ValueError(f"{key} is there twice")
    return key


def _servers(gateways: Sequence[AnyGateway], url: str | None, socketio_path: str) -> dict[str, Any]:
    if url is None:
        host: dict[str, Any] = {
            "host": "{host}",
            "protocol": "wss",
            "variables": {"host": {"default": "example.com", "description": "The host, and the port if it has one."}},
        }
        mounted_at = ""
    else:
        parts = urlsplit(url)
        if (
            parts.scheme not in ("ws", "wss")
            or not parts.netloc
            or parts.query
            or parts.fragment
            or "@" in parts.netloc
        ):
            # It is not shown, because it may have a password in it.
            raise ValueError("a server looks like wss://example.com or ws://localhost:8000/mounted/at")
        host = {"host": parts.netloc, "protocol": parts.scheme}
        mounted_at = parts.path.rstrip("/")
    found: dict[str, Any] = {}
    if not all(map(is_websocket, gateways)):
        path = f"{mounted_at}{socketio_path}/"
        about = {"path": path, "protocol": 5, "engineio": 4}
        found["socketio"] = {
            **host,
            "pathname": path,
            "title": "Socket.IO",
            "description": _SOCKETIO,
            "x-socketio": about,
        }
    if any(map(is_websocket, gateways)):
        pathname = {"pathname": mounted_at} if mounted_at else {}
        found["websocket"] = {**host, **pathname, "title": "JSON WebSockets", "description": _WEBSOCKET}
    return found
