"""Every row of docs/reference/protocols.md, section 4, by a real WebSocket client."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import pytest
import websockets
from starlette.applications import Starlette
from websockets.asyncio.client import ClientConnection

from asgi_realtime import (
    Identity,
    JobsBroadcaster,
    JobsGateway,
    JobStatus,
    Limits,
    Realtime,
    RealtimeMiddleware,
    Settings,
    create_token,
)
from asgi_realtime.hub.rooms import Rooms
from asgi_realtime.values.ids import RoomName
from tests.support.accepted import check_new
from tests.support.client_frames import TEXT, frame
from tests.support.raw_websocket import open_websocket
from tests.support.servers import Implementation, LiveServer, Serve
from tests.support.waiting import until

SHARED = "a-token-that-clients-share"
SETTINGS = Settings(
    jwt_secret="a secret for tests that is long enough", ws_auth_token=SHARED, cors_origins=("https://ours.example",)
)
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
both_servers = pytest.mark.parametrize("implementation", ["uvicorn", "WebSocketProtocol"])


class Service:
    """The host: one job is secret, one fails, one has ended."""

    async def may_join(self, identity: Identity, job_id: str) -> bool:
        if job_id == "broken":
            raise LookupError("the database is on fire")
        return job_id != "secret"

    async def last_status(self, job_id: str) -> JobStatus | None:
        if job_id != "over":
            return None
        return JobStatus(job_id="over", status="COMPLETED", completed_stages=("PLAN", "OUTLINE"))


class World:
    """A server with Jobs on it."""

    def __init__(self, server: LiveServer, realtime: Realtime) -> None:
        self.server = server
        self.realtime = realtime
        self.jobs = JobsBroadcaster(realtime.broadcaster)

    def connect(self, token: str | None = SHARED, **options: Any) -> websockets.connect:
        url = self.server.websocket_url + "/ws" + ("" if token is None else f"?token={token}")
        return websockets.connect(url, compression=None, ping_interval=None, **options)

    @asynccontextmanager
    async def client(self, token: str = SHARED, **options: Any) -> AsyncIterator[ClientConnection]:
        """An accepted client that declines recovery, so its frames have the fields of the contract and no other."""
        async with self.connect(f"{token}&recovery=false", **options) as websocket:
            assert (await receive(websocket))["type"] == "connection_established"
            yield websocket

    @property
    def rooms(self) -> Rooms:
        return self.realtime.hub.rooms(self.realtime.one(JobsGateway).name)

    @property
    def connections(self) -> int:
        return len(self.rooms)


@asynccontextmanager
async def jobs_on(
    serve: Serve, implementation: Implementation | None = None, settings: Settings = SETTINGS, **options: Any
) -> AsyncIterator[World]:
    app = RealtimeMiddleware(Starlette(), gateways=[JobsGateway(service=Service(), **options)], settings=settings)
    world = World(await serve(app, implementation), app.realtime)
    yield world
    await until(lambda: world.connections == 0)
    await world.server.stop()


async def send(websocket: ClientConnection, **frame: Any) -> None:
    await websocket.send(json.dumps(frame))


async def receive(websocket: ClientConnection) -> dict[str, Any]:
    """The next frame without its time, which is checked."""
    async with asyncio.timeout(10):
        frame: dict[str, Any] = json.loads(await websocket.recv())
    assert TIMESTAMP.fullmatch(frame.get("data", frame).pop("timestamp"))
    return frame


async def close_of(websocket: ClientConnection) -> tuple[list[dict[str, Any]], int | None, str | None]:
    """The frames until the server closed, and the close."""
    frames = []
    try:
        while True:
            frames.append(await receive(websocket))
    except websockets.ConnectionClosed:
        return frames, websocket.close_code, websocket.close_reason


@both_servers
async def test_an_accepted_client_gets_connection_established(implementation: Implementation, serve: Serve) -> None:
    async with jobs_on(serve, implementation) as world, world.connect() as websocket:
        established = await receive(websocket)
        client_id = established.pop("clientId")
        check_new(established.pop("recovery"))
        assert established == {"type": "connection_established", "heartbeatInterval": 30_000}
        assert [c.id for c in world.rooms.everybody] == [client_id]


@pytest.mark.parametrize("token", [SHARED, create_token("ann", SETTINGS)])
async def test_the_shared_token_and_a_jwt_are_accepted(token: str, serve: Serve) -> None:
    async with jobs_on(serve) as world, world.connect(token) as websocket:
        assert (await receive(websocket))["type"] == "connection_established"


async def test_the_demo_token_is_accepted_where_it_is_allowed(serve: Serve) -> None:
    async with jobs_on(serve, settings=Settings(ws_allow_demo_token=True)) as world, world.connect("demo-token") as one:
        assert (await receive(one))["type"] == "connection_established"


@both_servers
async def test_a_client_with_a_bad_token_gets_an_error_and_is_closed(
    implementation: Implementation, serve: Serve
) -> None:
    async with jobs_on(serve, implementation) as world:
        for token in (None, "", "demo-token", SHARED + "x", create_token("ann", SETTINGS, expires_in=-1)):
            async with world.connect(token) as websocket:
                error = {"type": "error", "message": "Authentication failed", "code": "UNAUTHORIZED"}
                frames, code, _ = await close_of(websocket)
                assert (frames, code) == ([error], 1008)
        with pytest.raises(websockets.InvalidStatus) as refused:
            await world.connect(origin="https://foreign.example")
        assert refused.value.response.status_code == 403


@both_servers
async def test_a_job_is_joined_followed_and_left(implementation: Implementation, serve: Serve) -> None:
    async with jobs_on(serve, implementation) as world, world.client() as one, world.client() as other:
        await send(one, type="join_job", jobId="7")
        await send(other, type="join_job", jobId="8")
        for websocket in (one, other):
            await send(websocket, type="ping")
            assert await receive(websocket) == {"type": "pong"}
        await until(lambda: len(world.rooms.names) == 2)
        await world.jobs.status("7", "RUNNING", current_stage="OUTLINE", completed_stages=["PLAN"])
        await world.jobs.stage_completed("7", "OUTLINE", next_stage="STORYBOARD")
        await world.jobs.error("7", "Stage execution failed", stage="STORYBOARD")
        assert await receive(one) == {
            "type": "job_status",
            "data": {"jobId": "7", "status": "RUNNING", "currentStage": "OUTLINE", "completedStages": ["PLAN"]},
        }
        assert await receive(one) == {
            "type": "stage_completed",
            "data": {"jobId": "7", "stage": "OUTLINE", "nextStage": "STORYBOARD"},
        }
        assert await receive(one) == {
            "type": "job_error",
            "data": {"jobId": "7", "error": "Stage execution failed", "stage": "STORYBOARD"},
        }
        await send(one, type="leave_job", jobId="7")
        await until(lambda: len(world.rooms.names) == 1)
        assert (await world.jobs.status("7", "DONE")).delivered_locally == 0
        await world.jobs.error("8", "no luck")
        assert await receive(other) == {"type": "job_error", "data": {"jobId": "8", "error": "no luck", "stage": None}}


@pytest.mark.parametrize("known_by", ["service", "history"])
async def test_joining_a_finished_job_sends_its_last_status_once(
    known_by: Literal["service", "history"], serve: Serve
) -> None:
    async with jobs_on(serve) as world, world.client() as websocket:
        job_id = "over" if known_by == "service" else "7"
        await world.jobs.status("7", "RUNNING", current_stage="PLAN")
        await world.jobs.status("7", "COMPLETED", completed_stages=["PLAN", "OUTLINE"])
        await send(websocket, type="join_job", jobId=job_id)
        data = {"jobId": job_id, "status": "COMPLETED", "currentStage": None, "completedStages": ["PLAN", "OUTLINE"]}
        assert await receive(websocket) == {"type": "job_status", "data": data}
        await world.jobs.status(job_id, "ARCHIVED")
        assert (await receive(websocket))["data"]["status"] == "ARCHIVED"


async def test_refusals_have_each_of_the_error_codes(serve: Serve) -> None:
    # UNAUTHORIZED: see `test_a_client_with_a_bad_token_gets_an_error_and_is_closed`. TOO_LARGE: see
    # `test_hostile_frames_get_an_error_and_close_only_their_connection`.
    async with (
        jobs_on(serve, limits=Limits(event_burst=3, event_rate=0.001, attempt_burst=3)) as world,
        world.client() as websocket,
    ):
        for job_id, code in (("secret", "FORBIDDEN"), ("", "INVALID_MESSAGE"), ("broken", "INTERNAL")):
            await send(websocket, type="join_job", jobId=job_id)
            error = await receive(websocket)
            assert isinstance(error.pop("message"), str)
            assert error == {"type": "error", "code": code}
        for _ in range(4):
            await send(websocket, type="ping")
        limited = {"type": "error", "code": "RATE_LIMITED", "message": "too many events"}
        assert (await close_of(websocket))[:2] == ([limited] * 3, 1008)


@both_servers
async def test_hostile_frames_get_an_error_and_close_only_their_connection(
    implementation: Implementation, serve: Serve
) -> None:
    hostile: list[tuple[str | bytes, str, int]] = [
        ("not JSON", "INVALID_MESSAGE", 1008),
        ("[]", "INVALID_MESSAGE", 1008),
        ('{"jobId": "7"}', "INVALID_MESSAGE", 1008),
        ('{"type": 7}', "INVALID_MESSAGE", 1008),
        (b'{"type": "ping"}', "INVALID_MESSAGE", 1008),
        ('{"type": "join_job", "jobId": ' + "[" * 100 + "]" * 100 + "}", "INVALID_MESSAGE", 1008),
        ('{"type": "join_job", "jobId": "' + "x" * 2000 + '"}', "TOO_LARGE", 1009),
        ('{"type": "join_job", "jobId": "' + "作" * 700 + '"}', "TOO_LARGE", 1009),
    ]
    async with jobs_on(serve, implementation, limits=Limits(message_bytes=2000)) as world, world.client() as witness:
        for text, code, closed_with in hostile:
            async with world.client() as websocket:
                await websocket.send(text)
                frames, seen, _ = await close_of(websocket)
                assert [frame["code"] for frame in frames] == [code], text
                assert seen == closed_with, text
        await send(witness, type="ping")
        assert await receive(witness) == {"type": "pong"}


@both_servers
async def test_a_silent_client_is_closed_with_1000(implementation: Implementation, serve: Serve) -> None:
    async with jobs_on(serve, implementation, idle_timeout=0.5) as world, world.client() as websocket:
        assert await close_of(websocket) == ([], 1000, "idle")


@both_servers
async def test_a_peer_that_vanished_without_a_close_is_detected(implementation: Implementation, serve: Serve) -> None:
    async with jobs_on(serve, implementation, idle_timeout=0.5) as world:
        async with open_websocket(world.server.port, f"/ws?token={SHARED}") as peer:
            await peer.send(frame(TEXT, b'{"type":"join_job","jobId":"7"}'))
            await until(lambda: world.connections == 1)
            # From here the client answers nothing, not even a close, and sends no FIN.
            await until(lambda: world.connections == 0)
            await until(lambda: not world.realtime.websockets["/ws"].peers)


@both_servers
async def test_a_restart_closes_clients_with_1012(implementation: Implementation, serve: Serve) -> None:
    async with jobs_on(serve, implementation) as world, world.client() as websocket:
        await world.realtime.stop()
        assert (await close_of(websocket))[1] == 1012


@both_servers
async def test_a_connection_over_the_limit_is_closed_with_1013(implementation: Implementation, serve: Serve) -> None:
    async with jobs_on(serve, implementation, limits=Limits(sessions=1)) as world:
        async with world.client(), world.connect() as one_more:
            assert await close_of(one_more) == ([], 1013, "too many connections")


@both_servers
async def test_a_slow_reader_is_closed_with_1013_and_delays_no_other_client(
    implementation: Implementation, serve: Serve
) -> None:
    async with jobs_on(serve, implementation, limits=Limits(outbox_bytes=200_000)) as world:
        async with world.client() as quick, world.client(max_queue=1) as slow:
            for websocket in (quick, slow):
                await send(websocket, type="join_job", jobId="7")
            await until(lambda: len(world.rooms.of_room(RoomName("7"))) == 2)
            slow.transport.pause_reading()
            text = "x" * 100_000
            while world.connections == 2:
                await world.jobs.error("7", text)
                assert (await receive(quick))["data"]["error"] == text
            slow.transport.resume_reading()
            frames, code, _ = await close_of(slow)
            assert code == 1013
            assert all(frame["data"]["error"] == text for frame in frames)
