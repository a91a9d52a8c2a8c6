"""The Mew example, and a page that shows which process each client is connected to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI
from fastapi.responses import FileResponse

from asgi_realtime import Broadcaster, get_broadcaster
from examples.fastapi_app.app import create_app as create_mew

PAGE = Path(__file__).parent / "nodes.html"


def create_app() -> FastAPI:
    """Make the app of one process."""
    app = create_mew()

    @app.get("/nodes", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(PAGE)

    @app.get("/nodes.json", tags=["operation"])
    async def nodes(broadcaster: Annotated[Broadcaster, Depends(get_broadcaster)]) -> dict[str, object]:
        found = await broadcaster.nodes()
        users = {}
        for user_id in sorted(await broadcaster.online_users())[:100]:
            connections = await broadcaster.connections(user_id)
            users[user_id] = [connection.node for connection in connections.value]
        return {
            "nodes": [{"id": node.id, "connections": sum(node.connections.values())} for node in found.value],
            "complete": found.complete,
            "users": users,
        }

    return app
