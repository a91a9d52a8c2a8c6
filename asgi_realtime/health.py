"""The answers to the probes of a load balancer, a supervisor or an orchestrator: is it alive, is it ready."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocketClose

from asgi_realtime.gateways.mounted import mounted_in, no_middleware
from asgi_realtime.values.readiness import Unready

_ALIVE: Final = "healthz"
_READY: Final = "readyz"


class HealthApp:
    """An ASGI app that answers `GET` and `HEAD` of `/healthz` and `/readyz`.

    Only the last part of the path counts: `Route("/healthz", health)` and `Route("/readyz", health)`, or
    `Mount("/probes", health)` for `/probes/healthz` and `/probes/readyz`. No token is needed, and the answers have no
    secrets: JSON with `status`, and with `reasons` if it is not `ok`.

    - `/healthz`: 200 while the event loop runs. Restart a process that does not answer.
    - `/readyz`: 200 if clients should come. 503 before the gateways have started, while Redis does not answer, and from
      SIGTERM on, also while `MEW_SHUTDOWN_DELAY` passes.

    Args:
        redis: whether to be ready needs Redis. False: for an app whose clients are better served without it, as with
            `MEW_ON_BROKER_DOWN=local`.

    Raises:
        ConfigurationError: in `/readyz`, if the request did not come through a `RealtimeMiddleware`.
    """

    def __init__(self, *, redis: bool = True) -> None:
        self._ignored = () if redis else (Unready.REDIS,)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "websocket":
            await WebSocketClose()(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(scope)(scope, receive, send)

    def _answer(self, scope: Scope) -> Response:
        probe = scope["path"].rstrip("/").rpartition("/")[2]
        if probe not in (_ALIVE, _READY):
            return _json(404, {"detail": "Not Found"})
        if scope["method"] not in ("GET", "HEAD"):
            return _json(405, {"detail": "Method Not Allowed"}, allow="GET, HEAD")
        reasons = self._reasons(scope) if probe == _READY else []
        if reasons:
            return _json(503, {"status": "unavailable", "reasons": reasons})
        return _json(200, {"status": "ok"})

    def _reasons(self, scope: Scope) -> Sequence[str]:
        """Why clients should not come, each reason once."""
        middlewares = mounted_in(scope)
        if not middlewares:
            raise no_middleware()
        found = dict.fromkeys([mounted.unready for mounted in middlewares])
        return [each for each in found if each is not None and each not in self._ignored]


def _json(status: int, value: dict[str, object], **headers: str) -> Response:
    return JSONResponse(value, status, {"cache-control": "no-store", **headers})
