"""The Mew example with its users. Each has a token for REST and, once connected, a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

import httpx
import socketio
from fastapi import Depends, FastAPI

from asgi_realtime import Broadcaster, Settings, create_token, get_broadcaster
from examples.fastapi_app.app import create_app

ReceivedEvent: TypeAlias = tuple[str, Any]
"""An event and its payload (None: it had none)."""

SETTINGS = Settings(
    dev=True,
    jwt_secret="a secret for tests that is long enough",
    admin_secret="an admin secret for tests",
    presence_grace=0.0,
)


def make_app(database_url: str, settings: Settings = SETTINGS) -> FastAPI:
    """Make the example, with two additional routes.

    One sends `MARK` to every socket, the other sends `ROOM` to the members of a room.
    """
    app = create_app(settings, database_url)

    @app.post("/test/mark")
    async def mark(broadcaster: Annotated[Broadcaster, Depends(get_broadcaster)]) -> None:
        await broadcaster.broadcast_to_all("MARK")

    @app.post("/test/rooms/{room}")
    async def to_room(room: str, broadcaster: Annotated[Broadcaster, Depends(get_broadcaster)]) -> None:
        await broadcaster.broadcast_to_room(room, "ROOM")

    return app


class Person:
    """One user. `get`, `post`, … send REST requests and fail unless the response is a success."""

    def __init__(self, user_id: str, http: httpx.AsyncClient) -> None:
        self.id = user_id
        self.token = create_token(user_id, SETTINGS)
        self._http = http
        self._socket: socketio.AsyncClient | None = None
        self._received: asyncio.Queue[ReceivedEvent] = asyncio.Queue()

    async def request(self, method: str, path: str, body: object = None) -> httpx.Response:
        """Send a request and return any response."""
        headers = {"authorization": f"Bearer {self.token}"}
        return await self._http.request(method, path, json=body, headers=headers)

    async def status(self, method: str, path: str, body: object = None) -> int:
        """The status of a response. The body must be JSON."""
        response = await self.request(method, path, body)
        response.json()
        return response.status_code

    async def get(self, path: str) -> Any:
        return await self._succeed("GET", path, None)

    async def post(self, path: str, body: object = None) -> Any:
        return await self._succeed("POST", path, body)

    async def put(self, path: str, body: object = None) -> Any:
        return await self._succeed("PUT", path, body)

    async def patch(self, path: str, body: object) -> Any:
        return await self._succeed("PATCH", path, body)

    async def delete(self, path: str) -> Any:
        return await self._succeed("DELETE", path, None)

    async def _succeed(self, method: str, path: str, body: object) -> Any:
        response = await self.request(method, path, body)
        assert response.is_success, f"{method} {path}: {response.status_code} {response.text}"
        return response.json()

    async def connect(self, url: str, *, namespace: str = "/", auth: object = None, wait: str | None = "ready") -> None:
        """Open a socket and wait for this event."""
        self._socket = socketio.AsyncClient(reconnection=False)
        self._socket.on("*", self._take, namespace=namespace)
        await self._socket.connect(
            url,
            auth=auth or {"token": self.token},
            namespaces=[namespace],
            wait_timeout=10,  # its default of 1 s is too short on a busy machine
        )
        if wait is not None:
            await self.events_until(wait)

    async def emit(self, event: str, payload: object) -> None:
        """Send an event by socket."""
        assert self._socket is not None
        await self._socket.emit(event, payload)

    async def next_event(self) -> ReceivedEvent:
        """Wait for the next event."""
        async with asyncio.timeout(10):
            return await self._received.get()

    async def events_until(self, event: str) -> list[ReceivedEvent]:
        """The events before the next `event`, which is taken too but not returned."""
        events: list[ReceivedEvent] = []
        while (received := await self.next_event())[0] != event:
            events.append(received)
        return events

    async def disconnect(self) -> None:
        """Close the socket, if there is one."""
        if self._socket is not None:
            await self._socket.disconnect()
            self._socket = None

    @property
    def connected(self) -> bool:
        return self._socket is not None

    async def _take(self, event: str, payload: Any = None) -> None:
        self._received.put_nowait((event, payload))


class Mew:
    """A running example, its users, and a server that belongs to Alice.

    Bob and Carol are members; Dave is not. `general` is open to all members, `private` to Alice and
    Bob.
    """

    def __init__(self, url: str, http: httpx.AsyncClient) -> None:
        self.url = url
        self.http = http
        self.people = {user_id: Person(user_id, http) for user_id in ("alice", "bob", "carol", "dave")}
        self.alice, self.bob, self.carol, self.dave = self.people.values()
        self.server = self.general = self.private = ""

    async def prepare(self) -> None:
        """Make the server and its channels."""
        for person in self.people.values():
            await person.get("/users/me")
        self.server = (await self.alice.post("/servers", {"name": "Cats"}))["id"]
        for person in (self.bob, self.carol):
            await person.post(f"/servers/{self.server}/members")
        self.general = (await self.alice.post(f"/servers/{self.server}/channels", {"name": "general"}))["id"]
        private = {"name": "private", "private": True}
        self.private = (await self.alice.post(f"/servers/{self.server}/channels", private))["id"]
        await self.alice.put(f"/channels/{self.private}/permissions/users/bob", {"allow": ["VIEW_CHANNEL"]})

    async def connect_all(self) -> None:
        """Open a socket for each user, and drop the events received so far."""
        for person in self.people.values():
            await person.connect(self.url)
        await self.received()

    async def received(self) -> Mapping[str, list[ReceivedEvent]]:
        """The events of each connected user since the last call. All sent events have arrived."""
        await self.http.post("/test/mark")
        return {person.id: await person.events_until("MARK") for person in self.people.values() if person.connected}

    async def disconnect_all(self) -> None:
        """Close every socket."""
        for person in self.people.values():
            await person.disconnect()
