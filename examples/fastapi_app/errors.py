"""The errors of REST and of the socket, and their HTTP responses.

`Forbidden`, `InvalidMessage` and `Unauthorized` come from the package; the app adds two of its own.
The gateway answers any of them with its `error` event.
"""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection

from asgi_realtime import Forbidden, InvalidMessage, Refusal, Unauthorized


class NotFound(Refusal):
    """It does not exist, or the user may not see it. Both get the same answer."""

    code = "NOT_FOUND"


class Conflict(Refusal):
    """The request conflicts with the current state."""

    code = "CONFLICT"


_STATUSES: dict[type[Refusal], int] = {
    Unauthorized: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    InvalidMessage: 422,
}


async def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refusal)
    status = _STATUSES.get(type(error), 400)
    headers = {"www-authenticate": "Bearer"} if status == 401 else None
    return JSONResponse({"detail": error.message}, status, headers)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    # Without the input: it may be large, or contain what JSON cannot represent.
    return JSONResponse(
        {"detail": [{key: item[key] for key in ("loc", "msg", "type")} for item in error.errors()]}, 422
    )


async def _conflicting(request: Request, error: Exception) -> JSONResponse:
    # Of two concurrent requests, the database accepted one.
    return JSONResponse({"detail": "another user has just changed this"}, 409)


async def _busy(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": "the database is busy, try again"}, 503, {"retry-after": "1"})


async def _failed(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": "internal error"}, 500)


def answer_errors_as_json(app: FastAPI) -> None:
    """Answer every error with `{"detail": …}`."""
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(IntegrityError, _conflicting)
    app.add_exception_handler(OperationalError, _busy)
    app.add_exception_handler(NoConnection, _busy)
    app.add_exception_handler(Exception, _failed)
