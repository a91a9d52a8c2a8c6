"""The Flask app, unchanged, and the gateways beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from a2wsgi import WSGIMiddleware
from flask import Flask
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import IntegrityError
from starlette.applications import Starlette
from starlette.routing import Mount, Route
from werkzeug.exceptions import HTTPException

from asgi_realtime import (
    ChatGateway,
    ConfigurationError,
    HealthApp,
    JobsGateway,
    JWTVerifier,
    RealtimeMiddleware,
    Settings,
)
from examples.flask_adapter.database import DEFAULT_PATH, Database
from examples.flask_adapter.routes import development, friends, groups, jobs, messages, pages
from examples.flask_adapter.services import ChatDatabaseService, JobsDatabaseService
from examples.flask_adapter.workflow import Work, Workflow, pretend

BODY_BYTES = 262_144
THREADS = 20
"""Threads in which a2wsgi runs requests."""


def create_flask(settings: Settings, database: Database, work: Work = pretend) -> Flask:
    """Make the Flask app. It also runs on any WSGI server, without events to clients.

    Raises:
        ConfigurationError: there is no key to verify tokens with, or only `MEW_JWKS_URL`.
    """
    if settings.jwks_url:
        raise ConfigurationError(
            "MEW_JWKS_URL: the views run in threads and cannot wait for published keys; set MEW_JWT_PUBLIC_KEY"
        )
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = BODY_BYTES
    app.extensions["settings"] = settings
    app.extensions["verifier"] = JWTVerifier(settings)
    app.extensions["database"] = database
    app.extensions["workflow"] = Workflow(database, work)
    for resource in (friends, groups, messages, jobs, pages):
        app.register_blueprint(resource.routes)
    if settings.dev:
        database.add_people()
        app.register_blueprint(development.routes)
    app.register_error_handler(HTTPException, _as_json)
    app.register_error_handler(IntegrityError, _conflict)
    return app


def create_app(
    settings: Settings | None = None, database: Path = DEFAULT_PATH, work: Work = pretend
) -> RealtimeMiddleware:
    """Make the whole app: the gateways, and Flask for all other requests.

    `settings` default to the environment. `work` runs one stage of a job.

    Raises:
        ConfigurationError: a variable is missing or wrong. The message names it.
    """
    settings = settings or Settings.from_env()
    settings.require_jwt_key()
    opened = Database(database)
    flask: Any = create_flask(settings, opened, work)
    adapted: Any = WSGIMiddleware(flask, workers=THREADS)  # Any: a2wsgi's types are narrower than ASGI's
    health = HealthApp()
    routes = [Route("/healthz", health), Route("/readyz", health), Mount("/", adapted)]

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        opened.close()

    return RealtimeMiddleware(
        Starlette(routes=routes, lifespan=lifespan),
        gateways=[ChatGateway(service=ChatDatabaseService(opened)), JobsGateway(service=JobsDatabaseService(opened))],
        settings=settings,
    )


def _as_json(error: HTTPException) -> ResponseReturnValue:
    return {"message": error.description}, error.code or 500


def _conflict(error: IntegrityError) -> ResponseReturnValue:
    """Two concurrent requests have created the same row."""
    return {"message": "another request has just changed this"}, 409
