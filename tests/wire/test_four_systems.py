"""All four systems in one app, driven at once by stock clients: no client receives an event of another system.

Users, channel, room, group and job have the same names on purpose.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import httpx
import websockets
from fastapi import Depends, FastAPI
from websockets.asyncio.client import ClientConnection

from asgi_realtime import (
    Broadcaster,
    ChatBroadcaster,
    ChatGateway,
    EventsBroadcaster,
    EventsGateway,
    Identity,
    InfraGateway,
    JobsBroadcaster,
    JobsGateway,
    MessageCreate,
    MewBroadcaster,
    MewGateway,
    RealtimeMiddleware,
    Settings,
    UserRooms,
    create_token,
    get_broadcaster,
    get_chat_broadcaster,
    get_events_broadcaster,
    get_jobs_broadcaster,
    get_mew_broadcaster,
)
from tests.support import chat_app as chat
from tests.support.node_client import Node, NodeClient
from tests.support.servers import Serve

SETTINGS = Settings(
    jwt_secret="a secret for tests that is long enough",
    admin_secret="an admin secret for tests",
    presence_grace=0.0,
)
GENERAL = "general"
TIMES = 20
PATIENCE = 20.0
ReceivedEvent: TypeAlias = tuple[str, str]
"""An event and the system it says it is of."""


class Mew:
    async def rooms_of(self, identity: Identity) -> UserRooms:
        return UserRooms({"server": [GENERAL]})

    async def create_message(self, identity: Identity, message: MessageCreate, broadcaster: MewBroadcaster) -> None:
        await broadcaster.message_create(message.channel_id, {"content": message.content}, recipients=None)


def make_app(database: Path) -> FastAPI:
    service = chat.Service(database)
    service.group(GENERAL, "ann", "bob")
    gateways = [
        *(MewGateway(service=Mew()), InfraGateway(), EventsGateway()),
        *(ChatGateway(service=service), JobsGateway()),
    ]
    app = FastAPI()
    app.add_middleware(RealtimeMiddleware, gateways=gateways, settings=SETTINGS)

    @app.post("/all")
    async def all_systems(
        mew: Annotated[MewBroadcaster, Depends(get_mew_broadcaster)],
        events: Annotated[EventsBroadcaster, Depends(get_events_broadcaster)],
        chats: Annotated[ChatBroadcaster, Depends(get_chat_broadcaster)],
        jobs: Annotated[JobsBroadcaster, Depends(get_jobs_broadcaster)],
    ) -> None:
        await asyncio.gather(
            mew.message_create(GENERAL, {"content": "mew"}, recipients=None),
            mew.system_bot_config_update(GENERAL, "infra"),
            events.broadcast_to_room(GENERAL, "news", {"content": "events"}),
            chats.group_announcement(GENERAL, "chat"),
            jobs.status(GENERAL, "jobs"),
        )

    @app.post("/mark")
    async def mark(broadcaster: Annotated[Broadcaster, Depends(get_broadcaster)]) -> None:
        for gateway in ("/", "/infra", "/events", "/chat", "/ws"):
            await broadcaster.broadcast_to_all("MARK", gateway=gateway)

    @app.post("/bob")
    async def bob(broadcaster: Annotated[Broadcaster, Depends(get_broadcaster)]) -> None:
        for gateway in ("/", "/infra", "/events", "/chat", "/ws"):
            await broadcaster.broadcast_to_user("bob", "PERSONAL", gateway=gateway)

    @app.post("/out")
    async def out(broadcaster: Annotated[Broadcaster, Depends(get_broadcaster)], gateway: str) -> None:
        await broadcaster.remove_user_from_room("bob", GENERAL, gateway=gateway)

    @app.post("/off")
    async def off(broadcaster: Annotated[Broadcaster, Depends(get_broadcaster)], gateway: str) -> None:
        await broadcaster.disconnect_user("bob", gateway=gateway)

    @app.post("/revoke/{user_id}")
    async def revoke(user_id: str, broadcaster: Annotated[Broadcaster, Depends(get_broadcaster)]) -> None:
        await broadcaster.revoke_user(user_id)

    return app


class SocketIO:
    """A client of a namespace."""

    def __init__(self, client: NodeClient) -> None:
        self.client = client

    async def next(self) -> ReceivedEvent:
        """The next event, except presence events."""
        while (received := await self.client.next(timeout=PATIENCE)).event.startswith("PRESENCE"):
            pass
        return received.event, _system(received.data)

    async def end(self) -> None:
        await self.client.disconnection()


class JSON:
    """A client of a path."""

    def __init__(self, client: ClientConnection) -> None:
        self.client = client

    async def send(self, **frame: Any) -> None:
        await self.client.send(json.dumps(frame))

    async def next(self) -> ReceivedEvent:
        """The next frame."""
        async with asyncio.timeout(PATIENCE):
            frame = json.loads(await self.client.recv())
        return frame["type"], _system(frame.get("data"))

    async def end(self) -> None:
        async with asyncio.timeout(PATIENCE):
            await self.client.wait_closed()
        assert self.client.close_code == 1008


def _system(data: Any) -> str:
    """The name of its system in a payload."""
    values = data.values() if isinstance(data, dict) else ()
    return next((word for word in ("mew", "infra", "events", "chat", "jobs") if word in values), "")


class Person:
    """A user with a client on each gateway."""

    def __init__(self, mew: SocketIO, events: SocketIO, chat: JSON, jobs: JSON) -> None:
        self.mew, self.events, self.chat, self.jobs = mew, events, chat, jobs

    @property
    def clients(self) -> list[SocketIO | JSON]:
        return [self.mew, self.events, self.chat, self.jobs]

    async def come_in(self) -> None:
        assert [await self.mew.next(), await self.chat.next(), await self.jobs.next()] == [
            *(("ready", ""), ("auth_success", ""), ("connection_established", "")),
        ]
        await self.events.client.call("join", {"room": GENERAL})
        await self.jobs.send(type="join_job", jobId=GENERAL)
        assert await self.jobs.next() == ("job_status", "jobs")

    async def send_events(self, number: int) -> None:
        """Send an event on each gateway that accepts one."""
        message = {"id": f"{number}", "fromId": "ann", "toId": GENERAL, "chatType": "group", "content": "chat"}
        await asyncio.gather(
            self.mew.client.emit("message/create", {"channelId": GENERAL, "content": "mew"}),
            self.events.client.call("message", {"content": "events", "room": GENERAL}),
            self.chat.send(type="message", data=message),
        )


async def test_four_systems_work_at_once_in_one_app(serve: Serve, node: Node, tmp_path: Path) -> None:
    server = await serve(make_app(tmp_path / "chat.db"))
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=server.url, timeout=PATIENCE))

        async def post(path: str) -> None:
            assert (await http.post(path)).is_success

        async def socketio(namespace: str, **auth: str) -> SocketIO:
            client = await node.connect(server.url, namespace, auth=auth)
            stack.push_async_callback(client.disconnect)
            return SocketIO(client)

        async def path(path: str, token: str) -> JSON:
            url = f"{server.websocket_url}{path}?token={token}"
            return JSON(await stack.enter_async_context(websockets.connect(url, ping_interval=None)))

        async def person(user_id: str) -> Person:
            token = create_token(user_id, SETTINGS)
            mew, events = await socketio("/", token=token), await socketio("/events", token=token)
            return Person(mew, events, await path("/chat", token), await path("/ws", token))

        async def expect(expected: dict[SocketIO | JSON, dict[ReceivedEvent, int]]) -> None:
            """Wait until each client has received the expected events, and fail on any other event."""
            found = {}
            for client, events in expected.items():
                found[client] = Counter([await client.next() for _ in range(sum(events.values()))])
            await post("/mark")
            assert [await client.next() for client in expected] == [("MARK", "")] * len(expected)
            assert found == {client: Counter(expected[client]) for client in expected}

        await post("/all")  # no client is connected yet; history keeps the last status for clients that join later
        ann, bob = await person("ann"), await person("bob")
        infra = await socketio("/infra", adminSecret="an admin secret for tests", serviceType=GENERAL)
        await ann.come_in()
        await bob.come_in()
        assert await ann.events.next() == ("user:joined", "")

        await asyncio.gather(
            *[ann.send_events(number) for number in range(TIMES)], *[post("/all") for _ in range(TIMES)]
        )
        mew: dict[ReceivedEvent, int] = {("MESSAGE_CREATE", "mew"): 2 * TIMES}
        events: dict[ReceivedEvent, int] = {("news", "events"): TIMES, ("message", "events"): TIMES}
        announced: dict[ReceivedEvent, int] = {("group_announcement", "chat"): TIMES}
        jobs: dict[ReceivedEvent, int] = {("job_status", "jobs"): TIMES}
        await expect(
            {
                **{ann.mew: mew, ann.events: events, ann.chat: announced | {("ack", ""): TIMES}, ann.jobs: jobs},
                **{bob.mew: mew, bob.events: events, bob.chat: announced | {("message", "chat"): TIMES}},
                **{bob.jobs: jobs, infra: {("SYSTEM_BOT_CONFIG_UPDATE", "infra"): TIMES}},
            }
        )

        # A revoked user is disconnected from all systems. Other users only get the resulting events.
        await post("/revoke/ann")
        for client in ann.clients:
            await client.end()
        await post("/all")
        await expect(
            {
                **{bob.mew: {("MESSAGE_CREATE", "mew"): 1}, bob.events: {("user:left", ""): 1, ("news", "events"): 1}},
                **{bob.chat: {("group_announcement", "chat"): 1}, bob.jobs: {("job_status", "jobs"): 1}},
                infra: {("SYSTEM_BOT_CONFIG_UPDATE", "infra"): 1},
            }
        )


async def test_an_action_on_a_user_affects_one_system_only(serve: Serve, node: Node, tmp_path: Path) -> None:
    """Bob's two namespaces share a transport, and so do Ann's and the service's."""
    server = await serve(make_app(tmp_path / "chat.db"))
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=server.url, timeout=PATIENCE))
        tokens = {user_id: create_token(user_id, SETTINGS) for user_id in ("ann", "bob")}

        async def path(user_id: str, path: str) -> JSON:
            url = f"{server.websocket_url}{path}?token={tokens[user_id]}"
            return JSON(await stack.enter_async_context(websockets.connect(url, ping_interval=None)))

        people = []
        for user_id, token in tokens.items():
            mew = await node.connect(server.url, auth={"token": token})
            events = await mew.share("/events", auth={"token": token})
            sockets = (await path(user_id, "/chat"), await path(user_id, "/ws"))
            people.append(Person(SocketIO(mew), SocketIO(events), *sockets))
        ann, bob = people
        secret = {"adminSecret": "an admin secret for tests", "serviceType": GENERAL}
        infra = SocketIO(await ann.mew.client.share("/infra", auth=secret))
        await http.post("/all")
        for person in people:
            await person.chat.next()
            await person.jobs.next()
            await person.events.client.call("join", {"room": GENERAL})
            await person.jobs.send(type="join_job", jobId=GENERAL)
            assert await person.jobs.next() == ("job_status", "jobs")
        await http.post("/mark")
        names: dict[SocketIO | JSON, str] = {bob.mew: "mew", bob.events: "events", bob.chat: "chat", bob.jobs: "jobs"}
        names[infra] = "infra"
        for client in names:
            while (await client.next())[0] != "MARK":
                pass

        async def received(*gone: SocketIO | JSON) -> dict[str, list[str]]:
            """The events of each of Bob's clients that is still there, and of the service."""
            for post in ("/all", "/bob", "/mark"):
                assert (await http.post(post)).is_success
            found: dict[str, list[str]] = {}
            for client, name in names.items():
                found[name] = [] if client not in gone else ["gone"]
                while client not in gone and (event := (await client.next())[0]) != "MARK":
                    found[name].append(event)
            return found

        everything = {
            "mew": ["MESSAGE_CREATE", "PERSONAL"],
            "events": ["news", "PERSONAL"],
            "chat": ["group_announcement", "PERSONAL"],
            "jobs": ["job_status", "PERSONAL"],
            "infra": ["SYSTEM_BOT_CONFIG_UPDATE"],
        }
        assert await received() == everything
        for name, gateway in (("mew", "/"), ("jobs", "/ws"), ("events", "/events"), ("chat", "/chat")):
            assert (await http.post("/out", params={"gateway": gateway})).is_success
            everything[name] = ["PERSONAL"]
            assert await received() == everything
        assert (await http.post("/off", params={"gateway": "/chat"})).is_success
        await bob.chat.end()
        assert await received(bob.chat) == everything | {"chat": ["gone"]}
