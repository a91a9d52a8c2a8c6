"""A connection as npm's `@socket.io/admin-ui` describes a socket, without what the client authenticates with."""

from __future__ import annotations

import re

from asgi_realtime.connection.connection import Connection
from asgi_realtime.transports.socketio.namespace_transport import transport_of
from asgi_realtime.values.json import Json
from asgi_realtime.values.timestamps import iso

_SECRET_HEADER = re.compile("auth|cookie|credential|jwt|key|passw|protocol|secret|session|signature|token")
_PUBLIC_QUERY = frozenset({"EIO", "transport", "t"})


def describe_socket(connection: Connection) -> Json:
    """The details of a connection. Values of other query parameters than Engine.IO's own are hidden.

    So are those of headers with a name that suggests a secret (`Sec-WebSocket-Protocol` carries a token in some apps),
    and the query of a URL in a header, as in `Referer` or in the `X-Original-URI` of a proxy.
    """
    scope = connection.state.environ["asgi.scope"]
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    handshake = connection.handshake
    issued = connection.state.connected_at
    transport = transport_of(connection)
    return {
        "id": connection.id,
        # Not the whole id: the client authenticates its requests with it.
        "clientId": transport.session_id[:12],
        "transport": transport.kind,
        "nsp": connection.gateway,
        "data": {},
        "handshake": {
            "address": handshake.client_address or "",
            "headers": {name: _shown(name, value) for name, value in headers.items()},
            "query": {name: value if name in _PUBLIC_QUERY else "(hidden)" for name, value in handshake.query.items()},
            "secure": connection.state.environ["wsgi.url_scheme"] == "https",
            "url": handshake.path,
            "issued": round(issued * 1000),
            "time": iso(issued),
        },
        "rooms": sorted(connection.rooms),
    }


def _shown(name: str, value: str) -> str:
    if _SECRET_HEADER.search(name):
        return "(hidden)"
    url, query, _ = value.partition("?")
    return f"{url}?(hidden)" if url and query else value  # `?1` is a boolean, as in `Sec-CH-UA-Mobile`
