"""The app: settings, database, routes, and the realtime gateways beside them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client import CollectorRegistry
from starlette.routing import Route

from asgi_realtime import (
    AsyncAPIPage,
    EventsGateway,
    HealthApp,
    InfraGateway,
    JWTAuthenticator,
    JWTVerifier,
    MewGateway,
    Mountable,
    OriginPolicy,
    PrometheusMetrics,
    RealtimeConsole,
    RealtimeMiddleware,
    Settings,
    token_from_bearer,
    token_from_cookie,
)
from examples.fastapi_app.database import DEFAULT_URL, Database
from examples.fastapi_app.errors import answer_errors_as_json
from examples.fastapi_app.request_limits import RequestLimits
from examples.fastapi_app.routes import (
    categories,
    channel_permissions,
    channels,
    development,
    infra,
    members,
    messages,
    reactions,
    roles,
    servers,
    stickers,
    users,
)
from examples.fastapi_app.seed import seed
from examples.fastapi_app.service import MewDatabaseService, ServerRooms

STATIC = Path(__file__).parent / "static"
BODY_BYTES = 65_536

RESOURCES = (
    *(users, servers, members, roles, categories, stickers),
    *(channels, channel_permissions, messages, reactions, infra),
)


def create_app(settings: Settings | None = None, database_url: str | None = None) -> FastAPI:
    """Make the app.

    `settings` default to the `MEW_*` variables, `database_url` to `DATABASE_URL` and then to a
    SQLite file in `.demo/`. In development, an empty database is filled with sample data.

    Raises:
        ConfigurationError: a variable is missing or wrong. The message names it.
    """
    settings = settings or Settings.from_env()
    database = Database(database_url or os.environ.get("DATABASE_URL") or DEFAULT_URL)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await database.start()
        if settings.dev:
            async with database.sessions() as session:
                await seed(session)
        yield
        await database.stop()

    app = FastAPI(title="Mew", lifespan=lifespan)
    app.state.settings = settings
    app.state.database = database
    app.state.origins = OriginPolicy(settings.cors_origins, regex=settings.cors_origin_regex)
    app.state.authenticator = JWTAuthenticator(
        JWTVerifier(settings), [token_from_bearer(), token_from_cookie("mew_access_token")]
    )
    answer_errors_as_json(app)
    for resource in RESOURCES:
        app.include_router(resource.router)
    if settings.dev:
        app.include_router(development.router)

    health = HealthApp()
    app.router.routes += [Route("/healthz", health), Route("/readyz", health)]

    metrics = PrometheusMetrics(CollectorRegistry())  # a registry has the metrics of one app, and tests make several
    app.router.routes.append(Route("/metrics", metrics.app))

    @app.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    async def chat_page() -> FileResponse:
        return FileResponse(STATIC / "index.html")

    events = AsyncAPIPage(title="Mew: realtime events")
    app.router.routes += [Route("/asyncapi", events), Route("/asyncapi.json", events)]

    app.mount("/static", StaticFiles(directory=STATIC), name="static")

    app.add_middleware(RequestLimits, body_bytes=BODY_BYTES)
    gateways: list[Mountable] = [
        MewGateway(service=MewDatabaseService(database)),
        InfraGateway(),
        EventsGateway(may_join=ServerRooms(database).may_join),
    ]
    if settings.console_secret:
        gateways.append(RealtimeConsole())
    app.add_middleware(
        RealtimeMiddleware,
        gateways=gateways,
        settings=settings,
        metrics=metrics,
    )
    return app
