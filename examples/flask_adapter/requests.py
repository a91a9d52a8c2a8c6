"""What views read from a request: the user and the body."""

from __future__ import annotations

from typing import Any, TypeVar

import jwt
import msgspec
from flask import abort, current_app, request

from asgi_realtime import Settings
from examples.flask_adapter.database import Database

T = TypeVar("T")
DEMO_TOKEN = "demo-token"
DEMO_USER = "demo"


def database() -> Database:
    """The app's database."""
    found: Database = current_app.extensions["database"]
    return found


def user_id() -> str:
    """The user of the bearer token. 401 if the token is not valid."""
    settings: Settings = current_app.extensions["settings"]
    token = _bearer()
    try:
        claims: dict[str, Any] = jwt.decode(token, settings.jwt_secret or "", algorithms=["HS256"])
    except jwt.PyJWTError:
        abort(401, "no valid token")
    found = claims.get(settings.jwt_user_claim)
    return found if isinstance(found, str) and found else abort(401, "no valid token")


def user_or_demo() -> str:
    """Like `user_id`, but accepts `demo-token` if the settings allow it."""
    settings: Settings = current_app.extensions["settings"]
    return DEMO_USER if settings.ws_allow_demo_token and _bearer() == DEMO_TOKEN else user_id()


def body(kind: type[T]) -> T:
    """The JSON body as `kind`. 400 if it is not valid."""
    try:
        return msgspec.json.decode(request.get_data(), type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        abort(400, str(error))


def _bearer() -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
