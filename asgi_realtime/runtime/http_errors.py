"""Converts exceptions of HTTP frameworks to refusals. Services that REST routes use too raise such exceptions.

Frameworks other than Starlette need not be installed, because their exceptions are recognised by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException, WebSocketException

from asgi_realtime.errors import Disconnect, Refusal

CODES: Mapping[int, str] = {
    400: "INVALID_MESSAGE",
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    409: "CONFLICT",
    410: "NOT_FOUND",
    413: "TOO_LARGE",
    422: "INVALID_MESSAGE",
    429: "RATE_LIMITED",
}
"""HTTP status to the code of the refusal. Any other status from 400 to 499: `REFUSED`."""


def refusal_of(error: BaseException) -> Refusal | Disconnect | None:
    """The reply to the client for an exception of host code. None: the exception is a failure, and must be logged.

    A `Refusal` or `Disconnect` is returned unchanged. A `WebSocketException` becomes a `Disconnect`. An HTTP error with
    a status from 400 to 499 becomes a refusal with the code of that status. Its message is the detail if that is text,
    else the phrase of the status. A status of 500 or more is a failure: its detail may reveal internals.
    """
    if isinstance(error, Refusal | Disconnect):
        return error
    if isinstance(error, WebSocketException):
        try:
            return Disconnect(error.code, error.reason)
        except (TypeError, ValueError):
            return None  # a code that must not be sent
    for kind in type(error).__mro__:
        read = _KNOWN.get(f"{kind.__module__}.{kind.__qualname__}")
        if read is not None:
            return _refusal(*read(error))
    return None


def _refusal(status: Any, detail: Any) -> Refusal | None:
    if not isinstance(status, int) or not 400 <= status < 500:
        return None
    return Refusal(detail if isinstance(detail, str) and detail else _phrase(status), code=CODES.get(status))


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "refused"


def _starlette(error: Any) -> tuple[Any, Any]:
    return error.status_code, error.detail


def _falcon(error: Any) -> tuple[Any, Any]:
    return error.status_code, error.description  # None, unless it was given


def _blacksheep(error: Any) -> tuple[Any, Any]:
    return error.status, str(error)


def _sanic(error: Any) -> tuple[Any, Any]:
    return error.status_code, error.message


def _werkzeug(error: Any) -> tuple[Any, Any]:
    return error.code, error.description  # `abort(response)` has no code: a failure


def _fixed(status: int) -> Callable[[Any], tuple[Any, Any]]:
    return lambda error: (status, None)


_KNOWN: Mapping[str, Callable[[Any], tuple[Any, Any]]] = {
    f"{HTTPException.__module__}.{HTTPException.__qualname__}": _starlette,  # FastAPI's is a subclass
    "werkzeug.exceptions.HTTPException": _werkzeug,  # Flask's and Quart's
    "litestar.exceptions.http_exceptions.HTTPException": _starlette,
    "falcon.http_error.HTTPError": _falcon,
    "blacksheep.exceptions.HTTPException": _blacksheep,
    "sanic.exceptions.SanicException": _sanic,
    # The text of these may reveal internals. Their frameworks do not send it over HTTP either.
    "fastapi.exceptions.RequestValidationError": _fixed(422),
    "django.core.exceptions.PermissionDenied": _fixed(403),
    "django.core.exceptions.SuspiciousOperation": _fixed(400),
    "django.http.response.Http404": _fixed(404),
}
