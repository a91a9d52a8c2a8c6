"""The Flask app as it was before there were WebSockets, and the gateways beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from a2wsgi import WSGIMiddleware
from flask import Flask
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import IntegrityError
from werkzeug.exceptions import HTTPException

from asgi_realtime import ChatGateway, JobsGateway, RealtimeMiddleware, Settings
from examples.flask_adapter.database import DEFAULT_PATH, Database
from examples.flask_adapter.routes import development, friends, groups, jobs, messages, pages
from examples.flask_adapter.services import ChatDatabaseService, JobsDatabaseService
from examples.flask_adapter.workflow import Work, Workflow, pretend

BODY_BYTES = 262_144
THREADS = 20
"""In which a2wsgi runs requests."""


def create_flask(settings: Settings, database: Database, work: Work = pretend) -> Flask:
    """Make the Flask app. Any WSGI server runs it, too; then nobody is told of anything."""
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = BODY_BYTES
    app.extensions["settings"] = settings
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
    """Make the whole: the gateways, and Flask behind them for everything else.

    `settings` default to the environment; `work` is what the stages of jobs do.

    Raises:
        ConfigurationError: naming the variable that is missing or wrong.
    """
    settings = settings or Settings.from_env()
    settings.require_jwt_key()
    opened = Database(database)
    flask: Any = create_flask(settings, opened, work)
    adapted: Any = WSGIMiddleware(flask, workers=THREADS)  # Any: a2wsgi's types are narrower than ASGI's
    return RealtimeMiddleware(
        adapted,
        gateways=[ChatGateway(service=ChatDatabaseService(opened)), JobsGateway(service=JobsDatabaseService(opened))],
        settings=settings,
    )


def _as_json(error: HTTPException) -> ResponseReturnValue:
    return {"message": error.description}, error.code or 500


def _conflict(error: IntegrityError) -> ResponseReturnValue:
    """Two requests that each made what can be there once."""
    return {"message": "somebody else was quicker"}, 409
