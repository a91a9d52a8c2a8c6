"""Messages that tests send to a `Target` through a raw client."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator

from asgi_realtime.values.json import Json
from tests.support.raw_engineio import RawClient, TransportName, raw_client, receive_json
from tests.support.servers import LiveServer


@contextlib.asynccontextmanager
async def entered(
    server: LiveServer, name: str, transport: TransportName = "websocket", *, headers: dict[str, str] | None = None
) -> AsyncIterator[RawClient]:
    """Connect to `/` as a named user."""
    async with raw_client(server, transport, headers=headers) as client:
        await enter(client, {"name": name})
        yield client


async def enter(client: RawClient, auth: Json) -> str:
    """Connect to `/`. Returns the id of the connection."""
    await client.send("0" + json.dumps(auth))
    return str((await receive_json(client, "0"))["sid"])


async def still_answers(client: RawClient) -> None:
    """Fail unless the next message is the answer to an event."""
    await client.send('27["echo","still here"]')
    assert await client.receive() == '37["still here"]'


async def numbers(client: RawClient, count: int) -> list[int]:
    """The first argument of each of the next events."""
    return [(await receive_json(client, "2"))[1][0] for _ in range(count)]
