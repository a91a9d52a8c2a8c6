"""A token for any user. Only with `MEW_DEV=true`."""

from __future__ import annotations

import msgspec
from flask import Blueprint, abort, current_app
from flask.typing import ResponseReturnValue

from asgi_realtime import create_token
from examples.flask_adapter.models import User
from examples.flask_adapter.requests import body, database

routes = Blueprint("development", __name__, url_prefix="/dev")


class Login(msgspec.Struct, rename="camel"):
    user_id: str


@routes.post("/token")
def token() -> ResponseReturnValue:
    user_id = body(Login).user_id
    with database().session() as session:
        if session.get(User, user_id) is None:
            abort(404, "no such user")
    return {"token": create_token(user_id, current_app.extensions["settings"])}
