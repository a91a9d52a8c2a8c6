"""The Flask example: every route, every event of Chat and Jobs that it sends, and the recipients."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hmac
import itertools
import json
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import jwt
import pytest
import websockets
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from websockets.asyncio.client import ClientConnection

from asgi_realtime import ConfigurationError, RealtimeMiddleware, Settings, create_token
from asgi_realtime.systems.chat.events import CHAT_EVENTS
from asgi_realtime.systems.jobs.events import JOBS_EVENTS
from asgi_realtime.testing import ConnectionRefused, RealtimeTestClient
from examples.flask_adapter.app import create_app, create_flask
from examples.flask_adapter.database import PEOPLE, Database
from examples.flask_adapter.models import Job
from examples.flask_adapter.workflow import pretend
from tests.support.accepted import accepted_user
from tests.support.servers import Serve

SETTINGS = Settings(jwt_secret="a secret for tests that is long enough", dev=True, ws_allow_demo_token=True)
PATIENCE = 20.0
ReceivedEvent: TypeAlias = tuple[str, Any]


class Person:
    """A user with a token for REST, and a socket."""

    def __init__(self, user_id: str, http: httpx.AsyncClient, socket: ClientConnection) -> None:
        self.id = user_id
        self.socket = socket
        self._http = http
        self._headers = {"Authorization": f"Bearer {create_token(user_id, SETTINGS)}"}

    async def __call__(self, method: str, path: str, data: Any = None, *, status: int | None = None) -> Any:
        """Send a REST request. Fails unless the response is a success, or has the given status."""
        response = await self._http.request(method, path, json=data, headers=self._headers)
        assert response.status_code == status if status else response.is_success, response.text
        return response.json() if response.content else None

    async def send(self, kind: str, data: Any) -> None:
        await self.socket.send(json.dumps({"type": kind, "data": data}))

    async def next(self) -> ReceivedEvent:
        async with asyncio.timeout(PATIENCE):
            frame = json.loads(await self.socket.recv())
        return frame["type"], frame.get("data")


class Gate:
    """The work of the jobs: a stage that begins waits until the test lets stages through."""

    def __init__(self) -> None:
        self.open = threading.Event()

    def __call__(self, job: Job, stage: str) -> None:
        assert self.open.wait(PATIENCE)
        pretend(job, stage)


class World:
    """The running app and its users."""

    def __init__(
        self, app: RealtimeMiddleware, url: str, http: httpx.AsyncClient, stack: AsyncExitStack, gate: Gate
    ) -> None:
        self.url = url
        self.gate = gate
        self.app = app
        self.http = http
        self.people: dict[str, Person] = {}
        self.names: set[str] = set()
        self._stack = stack
        self._marks = itertools.count()

    async def connect(self, path: str) -> ClientConnection:
        return await self._stack.enter_async_context(
            websockets.connect(self.url.replace("http", "ws") + path, compression=None, ping_interval=None)
        )

    async def enter(self, user_id: str) -> Person:
        socket = await self.connect(f"/chat?token={create_token(user_id, SETTINGS)}")
        person = self.people[user_id] = Person(user_id, self.http, socket)
        assert accepted_user(await person.next()) == user_id
        return person

    async def expect(self, **expected: list[ReceivedEvent]) -> None:
        """Compare the events since the last call with the expected ones. A user that is not named must have none."""
        mark = f"MARK {next(self._marks)}"
        await self.app.broadcaster.of("/chat").broadcast_to_all(mark)
        for user_id, person in self.people.items():
            found = []
            while (event := await person.next())[0] != mark:
                found.append(event)
            assert found == expected.get(user_id, []), user_id
            self.names |= {name for name, _ in found}


@pytest.fixture
async def world(serve: Serve, tmp_path: Path) -> AsyncIterator[World]:
    gate = Gate()
    app = create_app(SETTINGS, tmp_path / "flask.db", gate)
    server = await serve(app)
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=server.url, timeout=PATIENCE))
        world = World(app, server.url, http, stack, gate)
        for user_id in PEOPLE:
            await world.enter(user_id)
        yield world


async def test_every_event_of_chat_reaches_its_recipients(world: World) -> None:
    alice, bob, carol, dave = world.people.values()

    # Friends
    request = await alice("POST", "/friends/requests", {"toId": "bob"})
    event = {"id": request["id"], "fromId": "alice", "fromName": "Alice", "createTime": request["createTime"]}
    await world.expect(bob=[("friend_request", event)])
    assert (await alice("POST", "/friends/requests", {"toId": "bob"}))["id"] == request["id"]
    await carol("POST", f"/friends/requests/{request['id']}/accept", status=404)
    await bob("POST", f"/friends/requests/{request['id']}/accept")
    await world.expect(alice=[("friend_accepted", {"friendId": "bob", "friendName": "Bob"})])
    assert [friend["id"] for friend in await alice("GET", "/friends")] == ["bob"]

    # A group and its invitations
    group = (await alice("POST", "/groups", {"name": "Tea"}))["id"]
    await bob("POST", f"/groups/{group}/members", status=403)
    for invitee in (bob, carol):
        await alice("POST", f"/groups/{group}/invitations", {"userId": invitee.id})
    invitation = ("group_invite", {"groupId": group, "groupName": "Tea", "inviterName": "Alice"})
    await world.expect(bob=[invitation], carol=[invitation])
    for invitee in (bob, carol):
        await invitee("POST", f"/groups/{group}/members")
    await world.expect()

    # Messages
    sent = await alice("POST", "/messages", {"id": "m1", "toId": "bob", "chatType": "single", "content": "Hello"})
    await alice("POST", "/messages", {"id": "m1", "toId": "bob", "chatType": "single", "content": "Hello"})
    await world.expect(alice=[("message", sent)], bob=[("message", sent)])
    new = {"id": "m2", "fromId": "bob", "toId": group, "chatType": "group", "content": "Tea?"}
    await bob.send("message", new)
    assert await bob.next() == ("ack", {"id": "m2", "status": "success"})
    [saved] = await alice("GET", f"/chats/{group}/messages")
    assert (saved["content"], saved["from_name"], saved["from_avatar"]) == ("Tea?", "Bob", "/avatars/bob.svg")
    await world.expect(alice=[("message", saved)], carol=[("message", saved)])
    await alice("DELETE", "/messages/m1")
    await alice("DELETE", "/messages/m1")
    revoked = ("message_revoked", {"messageId": "m1", "fromId": "alice", "toId": "bob", "chatType": "single"})
    await world.expect(alice=[revoked], bob=[revoked])
    await alice("DELETE", "/messages/m2", status=404)
    await bob("DELETE", "/messages/m2")
    revoked = ("message_revoked", {"messageId": "m2", "fromId": "bob", "toId": group, "chatType": "group"})
    await world.expect(alice=[revoked], bob=[revoked], carol=[revoked])
    assert await alice("GET", f"/chats/{group}/messages") == []

    # Actions of the owner
    for method, path, data in [
        ("PUT", f"/groups/{group}/members/carol/mute", {"muted": True}),
        ("PUT", f"/groups/{group}/announcement", {"announcement": "At five"}),
        ("PUT", f"/groups/{group}/owner", {"userId": "bob"}),
    ]:
        await bob(method, path, data, status=403)
        await dave(method, path, data, status=404)
        await alice(method, path, data)
    owner: list[ReceivedEvent] = [
        ("group_member_mute", {"groupId": group, "targetUserId": "carol", "muted": True}),
        ("group_announcement", {"groupId": group, "announcement": "At five"}),
        ("group_transfer", {"groupId": group, "newOwnerId": "bob"}),
    ]
    await world.expect(alice=owner, bob=owner, carol=owner)

    # Refusals on the socket
    await bob("PUT", "/blocks/alice")
    single = {"id": "m3", "fromId": "alice", "toId": "bob", "chatType": "single", "content": "Hello?"}
    for person, data, text in [
        (alice, single, "对方已将你屏蔽"),
        (alice, single | {"toId": "unknown"}, "用户不存在"),
        (carol, single | {"fromId": "carol", "toId": group, "chatType": "group"}, "你已被禁言"),
        (dave, single | {"fromId": "dave", "toId": group, "chatType": "group"}, "你不是群成员"),
    ]:
        await person.send("message", data)
        assert await person.next() == ("error", {"message": text, "messageId": "m3"})
    await alice("POST", "/messages", {"toId": "bob", "chatType": "single", "content": "Hello?"}, status=403)
    await bob("DELETE", "/blocks/alice")
    await alice.send("message", single)
    assert await alice.next() == ("ack", {"id": "m3", "status": "success"})
    assert (await bob.next())[1]["id"] == "m3"
    await world.expect()

    # Leaving the group
    await bob("DELETE", f"/groups/{group}/members/bob", status=409)
    await bob("DELETE", f"/groups/{group}/members/carol")
    quit = ("group_member_quit", {"groupId": group, "userId": "carol"})
    kicked = ("group_member_kick", {"groupId": group, "targetUserId": "carol"})
    await world.expect(alice=[quit], bob=[quit], carol=[kicked])
    await alice("DELETE", f"/groups/{group}/members/alice")
    await world.expect(bob=[("group_member_quit", {"groupId": group, "userId": "alice"})])
    await bob("DELETE", f"/groups/{group}")
    await world.expect(bob=[("group_dissolved", {"groupId": group})])
    await bob("GET", "/groups")
    await alice("DELETE", "/devices")
    assert await alice.next() == ("kick", {"reason": "您已在所有设备退出登录"})
    with pytest.raises(websockets.ConnectionClosedError):
        await alice.socket.recv()
    del world.people["alice"]
    await world.expect()

    assert world.names | {"ack", "error", "kick"} == {event.name for event in CHAT_EVENTS}


async def test_a_returning_client_gets_the_messages_it_missed(world: World) -> None:
    bob = world.people.pop("bob")
    await bob.socket.close()
    alice = world.people["alice"]
    sent = [
        await alice("POST", "/messages", {"toId": "bob", "chatType": "single", "content": text})
        for text in ("Are you there?", "Bob?")
    ]
    await world.expect(alice=[("message", message) for message in sent])
    await world.enter("bob")
    await world.expect(bob=[("message", message) for message in sent])
    await bob("POST", "/chats/alice/read")


async def follow(world: World, job_id: str, token: str = "demo-token") -> tuple[ClientConnection, dict[str, Any]]:
    """Join a job. Returns the socket and the answer."""
    socket = await world.connect(f"/ws?token={token}")
    assert json.loads(await socket.recv())["type"] == "connection_established"
    await socket.send(json.dumps({"type": "join_job", "jobId": job_id}))
    answer: dict[str, Any] = json.loads(await socket.recv())
    return socket, answer


async def events_of_a_job(socket: ClientConnection, *, last: str) -> list[tuple[Any, ...]]:
    """The frames until one of this type and status, without their times."""
    found: list[tuple[Any, ...]] = []
    async with asyncio.timeout(PATIENCE):
        while not found or last not in found[-1]:
            frame = json.loads(await socket.recv())
            assert frame["data"].pop("timestamp").endswith("Z")
            del frame["data"]["jobId"]
            found.append((frame["type"], *frame["data"].values()))
    return found


async def test_every_event_of_jobs_reaches_the_clients_that_follow_the_job(world: World) -> None:
    alice, bob = world.people["alice"], world.people["bob"]
    new = {"stages": ["PLAN", "OUTLINE"], "stageSeconds": 0}
    job_id = (await alice("POST", "/jobs", new, status=202))["jobId"]
    other = (await alice("POST", "/jobs", new | {"failAt": "OUTLINE"}, status=202))["jobId"]
    socket, answer = await follow(world, job_id, create_token("alice", SETTINGS))
    failing, _ = await follow(world, other)
    assert answer["type"] == "job_status"
    assert answer["data"]["jobId"] == job_id
    world.gate.open.set()
    running = ("job_status", "RUNNING", "OUTLINE", ["PLAN"])
    assert (await events_of_a_job(socket, last="COMPLETED"))[-4:] == [
        ("stage_completed", "PLAN", "OUTLINE"),
        running,
        ("stage_completed", "OUTLINE", None),
        ("job_status", "COMPLETED", None, ["PLAN", "OUTLINE"]),
    ]
    assert (await events_of_a_job(failing, last="job_error"))[-3:] == [
        running,
        ("job_status", "FAILED", "OUTLINE", ["PLAN"]),
        ("job_error", "Stage execution failed", "OUTLINE"),
    ]
    # A late client gets the status at once; a user without access to the job gets none.
    _, late = await follow(world, job_id)
    assert (late["type"], late["data"]["status"]) == ("job_status", "COMPLETED")
    _, refused = await follow(world, job_id, create_token("bob", SETTINGS))
    assert (refused["type"], refused["code"]) == ("error", "FORBIDDEN")
    await bob("GET", f"/jobs/{job_id}", status=404)
    assert (await alice("GET", f"/jobs/{job_id}"))["status"] == "COMPLETED"
    wrong: list[Any] = [{"stages": []}, {"stages": "PLAN"}, {"stageSeconds": -1}, []]
    for body in wrong:
        await alice("POST", "/jobs", body, status=400)
    await world.expect()
    assert {event.name for event in JOBS_EVENTS if event.direction == "down"} >= {
        "job_status",
        "stage_completed",
        "job_error",
    }


async def test_invalid_requests_get_their_status(world: World) -> None:
    alice = world.people["alice"]
    for method, path, data, status in [
        ("POST", "/friends/requests", {"toId": "unknown"}, 404),
        ("POST", "/friends/requests", {"toId": 1}, 400),
        ("PUT", "/blocks/nobody", None, 404),
        ("DELETE", "/groups/none/members/alice", None, 404),
        ("GET", "/nothing", None, 404),
    ]:
        assert "message" in await alice(method, path, data, status=status)
    for after in (10**20, -(10**20)):
        assert await alice("GET", f"/chats/bob/messages?after={after}", status=200) == []
    for token in ("forged", "demo-token"):
        answer = await world.http.get("/friends", headers={"Authorization": f"Bearer {token}"})
        assert (answer.status_code, answer.json()) == (401, {"message": "no valid token"})
    assert (await world.http.post("/dev/token", json={"userId": "alice"})).json()["token"]
    assert "Flask" in (await world.http.get("/")).text
    for path in ("/healthz", "/readyz"):
        assert (await world.http.get(path)).json() == {"status": "ok"}
    page = await world.http.get("/websocket-test")
    assert page.status_code == 200 or "make websocket-test" in page.text


def test_without_a_gateway_the_app_is_unchanged(tmp_path: Path) -> None:
    database = Database(tmp_path / "flask.db")
    gate = Gate()
    client = create_flask(SETTINGS, database, gate).test_client()

    def ask(user_id: str, method: str, path: str, data: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {create_token(user_id, SETTINGS)}"}
        response = client.open(path, method=method, json=data, headers=headers)
        assert response.status_code < 300, response.text
        return response.get_json(silent=True)

    request = ask("alice", "POST", "/friends/requests", {"toId": "bob"})["id"]
    ask("bob", "POST", f"/friends/requests/{request}/accept")
    group = ask("alice", "POST", "/groups", {"name": "Tea"})["id"]
    ask("alice", "POST", f"/groups/{group}/invitations", {"userId": "bob"})
    ask("bob", "POST", f"/groups/{group}/members")
    ask("alice", "POST", "/messages", {"toId": group, "chatType": "group", "content": "Hello"})
    assert [each["content"] for each in ask("bob", "GET", f"/chats/{group}/messages")] == ["Hello"]
    ask("alice", "PUT", f"/groups/{group}/members/bob/mute", {"muted": True})
    ask("bob", "DELETE", f"/groups/{group}/members/bob")
    ask("bob", "DELETE", "/devices")
    job = ask("alice", "POST", "/jobs", {"stageSeconds": 0})["jobId"]
    thread = next(thread for thread in threading.enumerate() if thread.name == f"job {job}")
    gate.open.set()
    thread.join(PATIENCE)
    assert ask("alice", "GET", f"/jobs/{job}")["status"] == "COMPLETED"
    database.close()


async def test_the_test_client_works_with_the_flask_app(tmp_path: Path) -> None:
    async with RealtimeTestClient(create_app(SETTINGS, tmp_path / "flask.db")) as client:
        async with client.connect("/chat", token=client.token("bob")) as bob:
            headers = {"Authorization": f"Bearer {client.token('alice')}"}
            await client.http.post("/friends/requests", json={"toId": "bob"}, headers=headers)
            assert (await bob.expect("friend_request")).data["fromName"] == "Alice"


@pytest.mark.parametrize(
    ("settings", "claims", "accepted"),
    [
        (SETTINGS, {}, True),
        (Settings(jwt_secret=SETTINGS.jwt_secret, jwt_issuer="us"), {"iss": "us"}, True),
        (Settings(jwt_secret=SETTINGS.jwt_secret, jwt_issuer="us"), {"iss": "them"}, False),
        (Settings(jwt_secret=SETTINGS.jwt_secret, jwt_audience="chat"), {"aud": "chat"}, True),
        (Settings(jwt_secret=SETTINGS.jwt_secret, jwt_audience="chat"), {}, False),
        (SETTINGS, {"aud": "another"}, True),
    ],
)
async def test_views_and_sockets_accept_the_same_tokens(
    settings: Settings, claims: dict[str, Any], accepted: bool, tmp_path: Path
) -> None:
    async with RealtimeTestClient(create_app(settings, tmp_path / "flask.db")) as client:
        token = create_token("alice", SETTINGS, **claims)
        answer = await client.http.get("/friends", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == (200 if accepted else 401)
        with contextlib.nullcontext() if accepted else pytest.raises(ConnectionRefused):
            async with client.connect("/chat", token=token):
                pass


async def test_views_verify_tokens_with_the_public_key(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    signed = jwt.encode({"sub": "alice"}, key, "ES256")
    # With an empty secret, which older versions of PyJWT accept.
    head = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in (b'{"alg":"HS256"}', b'{"sub":"alice"}'))
    signature = base64.urlsafe_b64encode(hmac.digest(b"", head, "sha256")).rstrip(b"=")
    forged = b".".join([head, signature]).decode()
    async with RealtimeTestClient(create_app(Settings(jwt_public_key=public), tmp_path / "flask.db")) as client:
        for token, status in ((signed, 200), (forged, 401)):
            answer = await client.http.get("/friends", headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == status
    with pytest.raises(ConfigurationError, match="MEW_JWKS_URL"):
        create_app(Settings(jwks_url="https://login.example.com/keys"), tmp_path / "flask.db")


@pytest.mark.parametrize("user_id", ["demo", "mallory"])
async def test_users_see_only_their_own_jobs_whatever_their_token_says(user_id: str, tmp_path: Path) -> None:
    async with RealtimeTestClient(create_app(SETTINGS, tmp_path / "flask.db")) as client:
        submitted = await client.http.post(
            "/jobs",
            json={"stages": ["A"], "stageSeconds": 0},
            headers={"Authorization": f"Bearer {client.token('alice')}"},
        )
        path, token = f"/jobs/{submitted.json()['jobId']}", client.token(user_id, token="demo-token")
        for shown, status in (("demo-token", 200), (client.token("alice"), 200), (token, 404)):
            answer = await client.http.get(path, headers={"Authorization": f"Bearer {shown}"})
            assert answer.status_code == status
        async with client.connect("/ws", token=token) as other:
            await other.send("join_job", jobId=submitted.json()["jobId"])
            assert (await other.expect("error")).data["code"] == "FORBIDDEN"


async def test_a_job_goes_on_while_the_broker_is_down(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with RealtimeTestClient(create_app(SETTINGS, tmp_path / "flask.db")) as client:
        headers = {"Authorization": f"Bearer {client.token('alice')}"}
        for failing, status in ((None, "COMPLETED"), ("A", "FAILED")):
            with client.broker_down():
                new = {"stages": ["A"], "stageSeconds": 0, "failAt": failing}
                job = (await client.http.post("/jobs", json=new, headers=headers)).json()["jobId"]
                for thread in [thread for thread in threading.enumerate() if thread.name == f"job {job}"]:
                    await asyncio.to_thread(thread.join, PATIENCE)
            assert (await client.http.get(f"/jobs/{job}", headers=headers)).json()["status"] == status
    assert "the broker is not available" in caplog.text
