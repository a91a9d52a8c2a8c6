"""The WSGI-like dictionary that python-socketio's connect handlers get."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from asgi_realtime.values.handshake import Handshake


def wsgi_environ(handshake: Handshake) -> dict[str, Any]:
    """Describe a handshake as python-engineio's ASGI driver does: CGI variables, `HTTP_*` and `asgi.scope`.

    The scope is put together from the handshake, because the server's own may not keep a query
    string that holds a token. It has the request's path, query, headers and client.
    """
    headers = dict(handshake.headers)
    query = urlencode(handshake.query)
    forwarded = headers.get("x-forwarded-proto")
    scheme = forwarded.split(",")[0].strip() if forwarded else "http"
    environ: dict[str, Any] = {
        "wsgi.version": (1, 0),
        "wsgi.async": True,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.url_scheme": scheme,
        "SERVER_SOFTWARE": "asgi",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "asgi",
        "SERVER_PORT": "0",
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": handshake.path,
        "QUERY_STRING": query,
        "RAW_URI": f"{handshake.path}?{query}" if query else handshake.path,
        "REMOTE_ADDR": handshake.client_address or "",
        "REMOTE_PORT": "0",
        "asgi.scope": {
            "type": "websocket" if headers.get("upgrade", "").lower() == "websocket" else "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": scheme,
            "path": handshake.path,
            "raw_path": handshake.path.encode(),
            "root_path": "",
            "query_string": query.encode(),
            "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
            "client": (handshake.client_address, 0) if handshake.client_address else None,
        },
    }
    for special in ("content-type", "content-length"):
        if special in headers:
            environ[special.upper().replace("-", "_")] = headers.pop(special)
    environ.update({"HTTP_" + name.upper().replace("-", "_"): value for name, value in headers.items()})
    return environ
