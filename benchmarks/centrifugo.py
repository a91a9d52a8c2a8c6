"""How Centrifugo is started: its clients need no token.

All clients subscribe to the channel of the room, and small rooms are channels too. Their history has 32 publications,
as that of asgi_realtime here. No client asks for them: recovery and positions are off. An event is a publication of a
client to the channel `events:all`, which has no history and no subscribers. Centrifugo answers each.
"""

from __future__ import annotations

from benchmarks.compiled import CENTRIFUGO

COMMAND = (str(CENTRIFUGO.program), "--http_server.port", "{port}")
SETTINGS = {
    "CENTRIFUGO_HTTP_SERVER_ADDRESS": "127.0.0.1",
    "CENTRIFUGO_HTTP_API_INSECURE": "true",
    "CENTRIFUGO_CLIENT_INSECURE": "true",  # clients need no token, and may subscribe and publish everywhere
    "CENTRIFUGO_CHANNEL_WITHOUT_NAMESPACE_HISTORY_SIZE": "32",
    "CENTRIFUGO_CHANNEL_WITHOUT_NAMESPACE_HISTORY_TTL": "300s",
    "CENTRIFUGO_CHANNEL_NAMESPACES": '[{"name": "events"}]',
    "CENTRIFUGO_LOG_LEVEL": "error",
}
TLS = {
    "CENTRIFUGO_HTTP_SERVER_TLS_ENABLED": "true",
    "CENTRIFUGO_HTTP_SERVER_TLS_CERT_PEM": "{certificate}",
    "CENTRIFUGO_HTTP_SERVER_TLS_KEY_PEM": "{key}",
}
