"""What views read from a request: the user and the body."""

from __future__ import annotations

import asyncio
from typing import TypeVar

import msgspec
from flask import abort, current_app, request

from asgi_realtime import JWTVerifier, Settings, Unauthorized
from examples.flask_adapter.database import Database

T = TypeVar("T")
DEMO_TOKEN = "demo-token"
DEMO_USER = "demo"


def database() -> Database:
    """The app's database."""
    found: Database = current_app.extensions["database"]
    return found


def user_id() -> str:
    """The user of the bearer token, by the same rules as on the sockets. 401 if the token is not valid."""
    verifier: JWTVerifier = current_app.extensions["verifier"]
    try:
        return asyncio.run(verifier.verify(_bearer())).user_id
    except Unauthorized:
        abort(401, "no valid token")


def is_demo() -> bool:
    """Whether the request has `demo-token`, and the settings allow it."""
    settings: Settings = current_app.extensions["settings"]
    return settings.ws_allow_demo_token and _bearer() == DEMO_TOKEN


def user_or_demo() -> str:
    """Like `user_id`, but accepts `demo-token` if the settings allow it."""
    return DEMO_USER if is_demo() else user_id()


def body(kind: type[T]) -> T:
    """The JSON body as `kind`. 400 if it is not valid."""
    try:
        return msgspec.json.decode(request.get_data(), type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        abort(400, str(error))


def _bearer() -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
