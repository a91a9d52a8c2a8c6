"""How a process of Centrifugo is started."""

from __future__ import annotations

from benchmarks.compiled import CENTRIFUGO

COMMAND = (str(CENTRIFUGO.program), "--http_server.port", "{port}")
SETTINGS = {
    "CENTRIFUGO_ENGINE_TYPE": "redis",
    "CENTRIFUGO_HTTP_SERVER_ADDRESS": "127.0.0.1",
    "CENTRIFUGO_HTTP_API_INSECURE": "true",
    "CENTRIFUGO_CLIENT_INSECURE": "true",  # clients need no token
    "CENTRIFUGO_CHANNEL_WITHOUT_NAMESPACE_HISTORY_SIZE": "32",  # as long as that of asgi_realtime here
    "CENTRIFUGO_CHANNEL_WITHOUT_NAMESPACE_HISTORY_TTL": "300s",
    "CENTRIFUGO_CLIENT_QUEUE_MAX_SIZE": "16777216",  # a burst must not disconnect the client
    "CENTRIFUGO_LOG_LEVEL": "error",
}
