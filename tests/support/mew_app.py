"""The Mew example with its users. Each has a token for REST and, once connected, a socket.

`python -m tests.support.mew_app` serves the example on a free port, with the `MEW_*` variables and `DATABASE_URL`.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import os
from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

import httpx
import uvicorn
from fastapi import Depends, FastAPI

from asgi_realtime import Broadcaster, Settings, create_token, get_broadcaster
from examples.fastapi_app.app import create_app
from tests.support.call_route import call
from tests.support.stock_client import ClientServer, StockClient

ReceivedEvent: TypeAlias = tuple[str, Any]
"""An event and its payload (None: it had none)."""

SETTINGS = Settings(
    dev=True,
    jwt_secret="a secret for tests that is long enough",
    admin_secret="an admin secret for tests",
    presence_grace=0.0,
)


def make_app(database_url: str, settings: Settings = SETTINGS) -> FastAPI:
    """Make the example, with three additional routes.

    One sends `MARK` to every socket, one sends `ROOM` to the members of a room, and `/call` calls the broadcaster.
    """
    app = create_app(settings, database_url)

    @app.post("/test/mark")
    async def mark(broadcaster: Annotated[Broadcaster, Depends(get_broadcaster)]) -> None:
        await broadcaster.broadcast_to_all("MARK")

    @app.post("/test/rooms/{room}")
    async def to_room(room: str, broadcaster: Annotated[Broadcaster, Depends(get_broadcaster)]) -> None:
        await broadcaster.broadcast_to_room(room, "ROOM")

    app.add_route("/call", call, methods=["POST"])
    return app


class Person:
    """One user. `get`, `post`, … send REST requests and fail unless the response is a success."""

    def __init__(self, user_id: str, http: httpx.AsyncClient, server: ClientServer | None = None) -> None:
        self.id = user_id
        self.token = create_token(user_id, SETTINGS)
        self.server = server
        """The server that the user's clients connect to. None: the user has no clients."""
        self.sockets: list[StockClient] = []
        """All that were opened. The last one is in use, unless it was disconnected."""
        self._http = http
        self._socket: StockClient | None = None

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

    async def open(self, namespace: str = "/", auth: object = None) -> StockClient:
        """Open one more socket. The caller disconnects it."""
        assert self.server is not None
        socket = await self.server.connect(namespace, auth or {"token": self.token})
        self.sockets.append(socket)
        return socket

    async def connect(self, *, namespace: str = "/", auth: object = None, wait: str | None = "ready") -> None:
        """Open a socket, which the other methods use, and wait for this event."""
        self._socket = await self.open(namespace, auth)
        if wait is not None:
            await self.events_until(wait)

    async def emit(self, event: str, payload: object) -> None:
        """Send an event by socket."""
        assert self._socket is not None
        await self._socket.emit(event, payload)

    async def next_event(self) -> ReceivedEvent:
        """Wait for the next event."""
        assert self._socket is not None
        received = await self._socket.next()
        return received.event, received.data

    async def events_until(self, event: str) -> list[ReceivedEvent]:
        """The events before the next `event`, which is taken too but not returned."""
        events: list[ReceivedEvent] = []
        while (received := await self.next_event())[0] != event:
            events.append(received)
        return events

    def forget(self) -> None:
        """Drop the events received so far."""
        for socket in self.sockets:
            socket.events.clear()

    async def disconnect(self) -> None:
        """Close the socket, if there is one."""
        if self._socket is not None:
            await self._socket.disconnect()
            self._socket = None

    @property
    def connected(self) -> bool:
        return self._socket is not None


class Mew:
    """A running example, its users, and a server that belongs to Alice.

    Bob and Carol are members; Dave is not. `general` is open to all members, `private` to Alice and
    Bob. Requests go to one process. The users' clients go to each of `servers` in turn.
    """

    def __init__(self, http: httpx.AsyncClient, *servers: ClientServer) -> None:
        self.http = http
        self._servers = itertools.cycle(servers or [None])
        self._all: list[Person] = []
        self.people = {user_id: self.person(user_id) for user_id in ("alice", "bob", "carol", "dave")}
        self.alice, self.bob, self.carol, self.dave = self.people.values()
        self.server = self.general = self.private = ""

    def person(self, user_id: str, server: ClientServer | None = None) -> Person:
        """A user, or another device of a user. Without a server it gets the next one."""
        person = Person(user_id, self.http, server or next(self._servers))
        self._all.append(person)
        return person

    def received_on(self, event: str) -> set[str]:
        """The URLs of the servers whose clients have received an event of this name since `connect_all`."""
        return {
            person.server.url
            for person in self._all
            for socket in person.sockets
            if person.server is not None and any(received.event == event for received in socket.events)
        }

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
        """Open a socket for each user that has none, and drop the events received so far."""
        for person in self.people.values():
            if not person.connected:
                watching = [other for other in self.people.values() if other.connected]
                await person.connect()
                online = ("PRESENCE_UPDATE", {"userId": person.id, "status": "online"})
                for other in watching:
                    while await other.next_event() != online:
                        pass
        await self.received()
        for person in self._all:
            person.forget()

    async def received(self) -> Mapping[str, list[ReceivedEvent]]:
        """The events of each connected user since the last call. All sent events have arrived."""
        await self.http.post("/test/mark")
        return {person.id: await person.events_until("MARK") for person in self.people.values() if person.connected}

    async def disconnect_all(self) -> None:
        """Close every socket."""
        for person in self.people.values():
            await person.disconnect()


if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m tests.support.mew_app", description=__doc__).parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    uvicorn.run(make_app(os.environ["DATABASE_URL"], Settings.from_env()), port=0)
