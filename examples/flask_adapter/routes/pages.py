"""The pages: an overview, and the interactive test page, which is built from TypeScript."""

from __future__ import annotations

from pathlib import Path

from flask import Blueprint, abort, send_from_directory
from flask.typing import ResponseReturnValue

routes = Blueprint("pages", __name__)

STATIC = Path(__file__).parent.parent / "static"
TEST_PAGE = STATIC / "websocket-test"
NOT_BUILT = "This page has not been built. `make websocket-test` builds it; it needs Node 20."


@routes.get("/")
def index() -> ResponseReturnValue:
    return send_from_directory(STATIC, "index.html")


@routes.get("/websocket-test", defaults={"name": "index.html"})
@routes.get("/websocket-test/<path:name>")
def websocket_test(name: str) -> ResponseReturnValue:
    if not TEST_PAGE.is_dir():
        abort(503, NOT_BUILT)
    return send_from_directory(TEST_PAGE, name)
