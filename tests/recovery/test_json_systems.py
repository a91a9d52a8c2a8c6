"""Recovery in Chat and Jobs."""

from __future__ import annotations

import dataclasses
import json
import secrets
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from asgi_realtime import (
    ChatBroadcaster,
    ChatGateway,
    JobsBroadcaster,
    JobsGateway,
    RealtimeMiddleware,
    Settings,
    create_token,
)
from asgi_realtime.values.ids import GatewayName
from tests.support.chat_app import COLUMNS, Service
from tests.support.json_recovery_client import JSONRecoveryClient
from tests.support.redis_server import RedisProcess
from tests.support.servers import LiveServer, Serve
from tests.support.waiting import until

SETTINGS = Settings(
    jwt_secret="a secret for tests that is long enough",
    presence_grace=0.0,
    ws_auth_token="the shared token",
    ws_allow_demo_token=True,
)
everywhere = pytest.mark.parametrize("site", ["memory", "other"], indirect=True)


class Site:
    """Chat and Jobs, in one process or two."""

    def __init__(self, service: Service, servers: list[LiveServer], apps: list[RealtimeMiddleware]) -> None:
        self.service = service
        self.servers = servers
        self.apps = apps
        self.chat = ChatBroadcaster(apps[0].broadcaster.of("/chat"))
        self.jobs = JobsBroadcaster(apps[0].broadcaster.of("/ws"))
        self._place = 0

    def client(self, user_id: str) -> JSONRecoveryClient:
        return JSONRecoveryClient(self.servers[0].websocket_url + "/chat", create_token(user_id, SETTINGS))

    def follower(self, token: str) -> JSONRecoveryClient:
        return JSONRecoveryClient(self.servers[0].websocket_url + "/ws", token, "query")

    async def enter(self, user_id: str) -> JSONRecoveryClient:
        client = self.client(user_id)
        await client.connect()
        await self.settle(client)
        return client

    async def settle(self, client: JSONRecoveryClient) -> None:
        """Wait until the server has handled what a client of Chat has sent, and what came with its connection."""
        await client.send("read", {})
        await client.expect("error")

    async def lose(self, client: JSONRecoveryClient) -> None:
        """Let a client lose its connection. It will return to the other process, if there is one."""
        path = GatewayName("/" + client.url.rpartition("/")[2])
        before = sum(len(app.realtime.hub.rooms(path)) for app in self.apps)
        client.vanish()
        await until(lambda: sum(len(app.realtime.hub.rooms(path)) for app in self.apps) == before - 1)
        self._place = (self._place + 1) % len(self.servers)
        client.url = f"{self.servers[self._place].websocket_url}{path}"


@pytest.fixture
async def site(request: pytest.FixtureRequest, serve: Serve, redis_process: RedisProcess, tmp_path: Path) -> Site:
    settings, service = SETTINGS, Service(tmp_path / "chat.db")
    if request.param == "other":
        settings = dataclasses.replace(SETTINGS, redis_url=redis_process.url, redis_prefix=secrets.token_hex(4))
    apps = [
        RealtimeMiddleware(Starlette(), gateways=[ChatGateway(service=service), JobsGateway()], settings=settings)
        for _ in range(1 if request.param == "memory" else 2)
    ]
    return Site(service, [await serve(app) for app in apps], apps)


def message(id: str) -> dict[str, Any]:
    return {"id": id, "fromId": "ann", "toId": "bob", "chatType": "single", "content": "hello"}


def received(client: JSONRecoveryClient) -> list[tuple[str, str | None]]:
    """The types of a client's frames, each with the id of its message."""
    data = [(frame["type"], frame.get("data") or {}) for frame in client.frames]
    return [(kind, each.get("messageId") or each.get("id")) for kind, each in data if kind != "error"]


@everywhere
async def test_a_missed_message_is_not_sent_as_a_pending_one_too(site: Site) -> None:
    ann, bob = await site.enter("ann"), await site.enter("bob")
    for turn in ("first", "second"):
        await site.lose(bob)
        bob.frames.clear()
        for number in (1, 2):
            await ann.send("message", message(f"{turn} {number}"))
            await ann.expect("ack")
            if number == 1:
                await site.chat.message_revoked(f"{turn} 1", from_id="ann", to_id="bob", chat_type="single")
        stored_id = f"{turn} of the database"
        site.service.put(
            f"INSERT INTO messages ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            *(stored_id, "ann", "bob", "single", "hello", "1", "text", "", ""),
        )
        site.service.put("INSERT INTO owed VALUES (?, ?, ?)", "bob", "ann", stored_id)
        await bob.connect()
        await site.settle(bob)
        await site.chat.friend_accepted("bob", friend_id="ann", friend_name="Ann")
        await bob.expect("friend_accepted")
        assert bob.recovered
        assert received(bob) == [
            ("auth_success", None),
            ("message", f"{turn} 1"),
            ("message_revoked", f"{turn} 1"),
            ("message", f"{turn} 2"),
            ("message", stored_id),
            ("friend_accepted", None),
        ]
        await until(lambda: site.service.rows("SELECT * FROM owed WHERE user_id = 'bob'") == [])
    for client in (ann, bob):
        client.vanish()


@everywhere
async def test_a_client_does_not_recover_after_another_login_of_its_user(site: Site) -> None:
    phone = await site.enter("ann")
    await site.lose(phone)
    tablet = await site.enter("ann")
    await site.chat.friend_accepted("ann", friend_id="bob", friend_name="Bob")
    await tablet.expect("friend_accepted")
    phone.frames.clear()
    await phone.connect()
    await site.settle(phone)
    assert (phone.recovered, received(phone)) == (False, [("auth_success", None)])
    assert await tablet.expect("kick") is not None
    phone.vanish()


async def follow(client: JSONRecoveryClient, site: Site) -> None:
    await client.websocket.send(json.dumps({"type": "join_job", "jobId": "7"}))
    await client.expect("job_status")  # the last one


@everywhere
@pytest.mark.parametrize("token", ["the shared token", "demo-token", create_token("ann", SETTINGS)])
async def test_a_client_of_jobs_recovers_with_each_kind_of_token(token: str, site: Site) -> None:
    await site.jobs.status("7", "CREATED")
    client = site.follower(token)
    first = await client.connect()
    await follow(client, site)
    for turn in range(2):
        await site.lose(client)
        client.frames.clear()
        await site.jobs.status("7", "RUNNING")
        await site.jobs.stage_completed("7", f"{turn}")
        again = await client.connect()
        await site.jobs.error("7", "settled")
        await client.expect("job_error")
        assert [frame["type"] for frame in client.frames] == [
            *("connection_established", "job_status", "stage_completed", "job_error"),
        ]
        assert client.recovered
        assert again["clientId"] == first["clientId"]
    client.vanish()


@everywhere
async def test_a_session_of_a_shared_token_needs_that_token_and_the_secret(site: Site) -> None:
    await site.jobs.status("7", "CREATED")
    owner = site.follower("the shared token")
    await owner.connect()
    await follow(owner, site)
    await site.lose(owner)
    await site.jobs.error("7", "secret")
    known = owner.recovery
    others = [
        *(("demo-token", known), (create_token("client:ann", SETTINGS), known)),
        ("the shared token", known | {"id": known["id"].rpartition(".")[0]}),
    ]
    for token, recovery in others:
        other = site.follower(token)
        other.recovery = recovery
        await other.connect()
        assert not other.recovered
        other.vanish()
    await owner.connect()
    assert owner.recovered
    assert (await owner.expect("job_error"))["error"] == "secret"
    owner.vanish()
