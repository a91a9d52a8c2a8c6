"""Jobs in this process with a host in memory: authentication, authorization, and the last status for late clients."""

from __future__ import annotations

import asyncio
import datetime
import json
import re
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.applications import Starlette

from asgi_realtime import (
    BrokerUnavailable,
    ConfigurationError,
    Identity,
    JobsBroadcaster,
    JobsGateway,
    JobStatus,
    Limits,
    RealtimeMiddleware,
    Refusal,
    Settings,
    create_token,
)
from asgi_realtime.systems.jobs import JobsService
from asgi_realtime.testing import ConnectionRefused, RealtimeTestClient
from tests.support.accepted import check_new

SHARED = "a token that clients share"
SETTINGS = Settings(jwt_secret="a secret for tests that is long enough", ws_auth_token=SHARED)
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
NOON = datetime.datetime(2025, 12, 22, 16, 46, 27, 500_999, tzinfo=datetime.timezone(datetime.timedelta(hours=8)))


class Service:
    """The service of the host. Only ann may see `secret`, `broken` fails, and answers wait for `go`."""

    def __init__(self) -> None:
        self.statuses: dict[str, JobStatus] = {}
        self.asked = asyncio.Event()
        self.go = asyncio.Event()
        self.go.set()

    async def may_join(self, identity: Identity, job_id: str) -> bool:
        if job_id == "broken":
            raise LookupError("the database is on fire")
        if job_id == "odd":
            raise Refusal("not on Sundays", code="CLOSED")
        return job_id != "secret" or identity.user_id == "ann"

    async def last_status(self, job_id: str) -> JobStatus | None:
        status = self.statuses.get(job_id)
        self.asked.set()
        await self.go.wait()
        return status


class SyncService:
    """A host with a synchronous database."""

    def __init__(self) -> None:
        self.threads: set[int] = set()

    def may_join(self, identity: Identity, job_id: str) -> bool:
        self.threads.add(threading.get_ident())
        return True

    def last_status(self, job_id: str) -> JobStatus:
        self.threads.add(threading.get_ident())
        return JobStatus(job_id=job_id, status="SAVED")


@asynccontextmanager
async def running(
    service: JobsService | None = None, settings: Settings = SETTINGS, **options: Any
) -> AsyncIterator[tuple[RealtimeTestClient, JobsBroadcaster]]:
    app = RealtimeMiddleware(Starlette(), gateways=[JobsGateway(service=service, **options)], settings=settings)
    async with RealtimeTestClient(app) as client:
        yield client, JobsBroadcaster(client.broadcaster)


def job_status(job_id: str, status: str, *completed: str, stage: str | None = None) -> dict[str, Any]:
    """A payload without its time."""
    return {"jobId": job_id, "status": status, "currentStage": stage, "completedStages": list(completed)}


def timeless(data: Any) -> Any:
    """A payload without its time, which must have the form of the contract."""
    assert TIMESTAMP.fullmatch(data.pop("timestamp"))
    return data


async def test_a_client_receives_the_events_of_the_job_it_has_joined_only() -> None:
    async with running() as (client, jobs), client.connect("/ws", token=SHARED) as one:
        established = (await one.expect("connection_established")).data
        check_new(established.pop("recovery"))
        assert timeless(established) == {"clientId": one.connection.id, "heartbeatInterval": 30_000}
        async with client.connect("/ws", token=client.token("bob")) as other:
            await one.send("join_job", jobId="7")
            await other.send("join_job", jobId="8")
            await client.settle()
            await jobs.status("7", "RUNNING", current_stage="OUTLINE", completed_stages=["PLAN"])
            await jobs.stage_completed("7", "OUTLINE", next_stage="STORYBOARD")
            await jobs.stage_completed("7", "STORYBOARD")
            await jobs.error("7", "Stage execution failed", stage="STORYBOARD")
            await jobs.error("7", "gave up", timestamp=NOON)
            expected: list[tuple[str, Any]] = [
                ("job_status", job_status("7", "RUNNING", "PLAN", stage="OUTLINE")),
                ("stage_completed", {"jobId": "7", "stage": "OUTLINE", "nextStage": "STORYBOARD"}),
                ("stage_completed", {"jobId": "7", "stage": "STORYBOARD", "nextStage": None}),
                ("job_error", {"jobId": "7", "error": "Stage execution failed", "stage": "STORYBOARD"}),
            ]
            for event, data in expected:
                assert timeless((await one.expect(event)).data) == data
            assert (await one.expect("job_error")).data["timestamp"] == "2025-12-22T08:46:27.500Z"
            await one.send("leave_job", jobId="7")
            await client.settle()
            assert (await jobs.status("7", "DONE")).delivered_locally == 0
            await one.send("ping")
            assert timeless((await one.expect("pong")).data) == {}
            await one.expect_nothing()
            await other.expect("connection_established")
            await other.expect_nothing()
        with pytest.raises(ValueError, match="zone"):
            await jobs.error("7", "when?", timestamp=NOON.replace(tzinfo=None))


async def test_a_key_sends_once() -> None:
    async with running() as (client, jobs), client.connect("/ws", token=SHARED) as socket:
        await socket.send("join_job", jobId="7")
        await client.settle()
        for _ in range(2):
            await jobs.status("7", "DONE", key="7 done")
        await socket.expect("job_status")
        await socket.expect_nothing("job_status")


async def test_a_late_client_gets_the_last_status_once_and_then_later_ones() -> None:
    async with running() as (client, jobs):
        await jobs.status("7", "RUNNING", current_stage="A")
        await jobs.status("7", "COMPLETED", completed_stages=["A"])
        await jobs.stage_completed("7", "A")
        await jobs.status("8", "QUEUED")
        async with client.connect("/ws", token=SHARED) as late:
            await late.send("join_job", jobId="7")
            await late.send("join_job", jobId="unknown")
            assert timeless((await late.expect("job_status")).data) == job_status("7", "COMPLETED", "A")
            await late.expect_nothing("job_status")
            await jobs.status("7", "ARCHIVED")
            assert (await late.expect("job_status")).data["status"] == "ARCHIVED"
            await late.expect_nothing("job_status")


async def test_the_service_gives_the_last_status_unless_a_newer_one_was_sent() -> None:
    service = Service()
    service.statuses["7"] = service.statuses["8"] = JobStatus(job_id="7", status="SAVED")
    async with running(service) as (client, jobs), client.connect("/ws", token=SHARED) as socket:
        for job_id in ("7", "8", "9"):
            await jobs.status(job_id, "SENT BEFORE")
        await socket.send("join_job", jobId="7")
        assert timeless((await socket.expect("job_status")).data) == job_status("7", "SAVED")
        service.go.clear()
        service.asked.clear()
        await socket.send("join_job", jobId="8")
        await socket.send("join_job", jobId="9")
        await service.asked.wait()
        await jobs.status("8", "SENT DURING THE JOIN")
        service.go.set()
        assert (await socket.expect("job_status")).data["status"] == "SENT DURING THE JOIN"
        assert (await socket.expect("job_status")).data["status"] == "SENT BEFORE"
        await jobs.status("8", "SENT AFTER")
        assert (await socket.expect("job_status")).data["status"] == "SENT AFTER"
        await socket.expect_nothing("job_status")


async def test_a_synchronous_service_runs_in_threads() -> None:
    service = SyncService()
    async with running(service) as (client, _), client.connect("/ws", token=SHARED) as socket:
        await socket.send("join_job", jobId="7")
        assert (await socket.expect("job_status")).data["status"] == "SAVED"
    assert service.threads
    assert threading.get_ident() not in service.threads


async def test_refusals_are_flat_errors_with_codes() -> None:
    service = Service()
    async with running(service, limits=Limits(room_name_bytes=20, handler_timeout=0.2)) as (client, _):
        async with (
            client.connect("/ws", token=client.token("bob")) as bob,
            client.connect("/ws", token=client.token("ann")) as ann,
        ):
            refused: list[tuple[str, dict[str, Any], str]] = [
                ("join_job", {"jobId": "secret"}, "FORBIDDEN"),
                ("join_job", {"jobId": "odd"}, "FORBIDDEN"),
                ("join_job", {"jobId": "broken"}, "INTERNAL"),
                ("join_job", {"jobId": ""}, "INVALID_MESSAGE"),
                ("join_job", {"jobId": 7}, "INVALID_MESSAGE"),
                ("join_job", {}, "INVALID_MESSAGE"),
                ("join_job", {"data": {"jobId": "7"}}, "INVALID_MESSAGE"),
                ("join_job", {"jobId": "x" * 21}, "INVALID_MESSAGE"),
                ("leave_job", {}, "INVALID_MESSAGE"),
                ("unknown", {}, "INVALID_MESSAGE"),
                ("auth", {"token": SHARED}, "UNAUTHORIZED"),
            ]
            for event, fields, code in refused:
                await bob.send(event, **fields)
                error = timeless((await bob.expect("error")).data)
                assert error.pop("code") == code, fields
                assert list(error) == ["message"]
                assert error["message"]
            assert bob.rooms == set()
            # A service that does not answer affects only the client of the request.
            service.go.clear()
            await bob.send("join_job", jobId="slow")
            await service.asked.wait()
            await ann.send("join_job", jobId="secret")
            await ann.send("ping")
            await ann.expect("pong")
            assert (await bob.expect("error")).data["code"] == "INTERNAL"
            assert bob.rooms == set()
            service.go.set()
            await bob.send("join_job", jobId="slow")
            await client.settle()
            assert bob.rooms == {"slow"}


async def test_too_many_frames_get_errors_and_then_close_the_connection() -> None:
    async with running(limits=Limits(event_burst=3, event_rate=0.001, attempt_burst=3)) as (client, _):
        async with client.connect("/ws", token=SHARED) as socket:
            for _ in range(7):
                await socket.send("ping")
            assert (await socket.expect_closed()).code == 1008
            assert [event.name for event in socket.events] == [
                *("connection_established", "pong", "pong", "pong"),
                *("error", "error", "error"),
            ]
            assert (await socket.expect("error")).data["code"] == "RATE_LIMITED"


DEMO = Settings(ws_allow_demo_token=True)


@pytest.mark.parametrize(
    ("settings", "token", "accepted"),
    [
        (SETTINGS, SHARED, True),
        (SETTINGS, create_token("ann", SETTINGS), True),
        (SETTINGS, create_token("ann", SETTINGS, expires_in=-1), False),
        (SETTINGS, SHARED + "x", False),
        (SETTINGS, "demo-token", False),
        (SETTINGS, "", False),
        (DEMO, "demo-token", True),
        (DEMO, SHARED, False),
        (DEMO, "demo-token\ud800", False),
    ],
)
async def test_the_accepted_tokens_open_jobs_and_others_are_refused(
    settings: Settings, token: str, accepted: bool
) -> None:
    async with running(settings=settings) as (client, _):
        query = {"token": token.encode("utf-8", "surrogatepass").decode("utf-8", "replace")}
        if accepted:
            async with client.connect("/ws", query=query) as socket:
                await socket.expect("connection_established")
        else:
            with pytest.raises(ConnectionRefused) as refused:
                async with client.connect("/ws", query=query):
                    pass
            assert timeless(refused.value.data) == {"message": "Authentication failed", "code": "UNAUTHORIZED"}
            assert refused.value.closed is not None
            assert refused.value.closed.code == 1008


async def test_clients_with_a_shared_token_are_different_users() -> None:
    settings = Settings(ws_auth_token=SHARED, limits=Limits(connections_per_user=1))
    async with (
        running(settings=settings) as (client, _),
        client.connect("/ws", token=SHARED) as one,
        client.connect("/ws", token=SHARED) as two,
    ):
        identities = [socket.connection.identity for socket in (one, two)]
        assert len({identity.user_id for identity in identities}) == 2
        assert [identity.claims for identity in identities] == [{"token": "WS_AUTH_TOKEN"}] * 2


async def test_a_jwt_can_be_refreshed() -> None:
    async with running() as (client, _), client.connect("/ws", token=client.token("ann", expires_in=60)) as socket:
        await socket.expect("connection_established")
        before = socket.connection.identity.expires_at
        await socket.send("auth", token=client.token("ann", expires_in=600))
        await socket.expect("connection_established")
        after = socket.connection.identity.expires_at
        assert before is not None and after is not None and after > before + 500
        await socket.send("auth", token=client.token("bob"))
        assert (await socket.expect("error")).data["code"] == "UNAUTHORIZED"


def test_a_gateway_that_no_client_can_enter_does_not_start() -> None:
    with pytest.raises(ConfigurationError, match="WS_AUTH_TOKEN"):
        _ = RealtimeMiddleware(Starlette(), gateways=[JobsGateway()], settings=Settings()).realtime
    with pytest.raises(ConfigurationError, match="WS_ALLOW_DEMO_TOKEN"):
        Settings(ws_auth_token="demo-token")
    with pytest.raises(ConfigurationError, match="idle_timeout"):
        JobsGateway(idle_timeout=0)


async def test_a_silent_client_is_closed_after_ten_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    real, passed = loop.time, 0.0
    monkeypatch.setattr(loop, "time", lambda: real() + passed)
    service = Service()
    async with running(service) as (client, _):
        async with (
            client.connect("/ws", token=SHARED) as silent,
            client.connect("/ws", token=SHARED) as alive,
        ):
            users = [socket.connection.identity.user_id for socket in (silent, alive)]
            assert all(client.connections(user, gateway="/ws") for user in users)
            passed = 590.0
            await alive.send("ping")
            await alive.expect("pong")
            passed = 601.0
            assert tuple(await silent.expect_closed()) == (1000, "idle")
            assert alive.closed is None
            passed = 1202.0
            assert tuple(await alive.expect_closed()) == (1000, "idle")
        assert not any(client.connections(user, gateway="/ws") for user in users)


async def test_the_sync_jobs_broadcaster_works_from_threads() -> None:
    async with running() as (client, jobs), client.connect("/ws", token=SHARED) as socket:
        await socket.send("join_job", jobId="7")
        await client.settle()

        def work() -> int:
            sync = jobs.sync
            sync.status("7", "RUNNING", current_stage="A")
            sync.stage_completed("7", "A")
            return sync.sync.error("7", "no luck").delivered_locally  # the broadcaster for threads returns itself

        assert await asyncio.to_thread(work) == 1
        assert [event.name for event in socket.events[1:]] == ["job_status", "stage_completed", "job_error"]
        with pytest.raises(RuntimeError, match="event loop's own thread"):
            jobs.sync.status("7", "RUNNING")
    with pytest.raises(RuntimeError, match="not running"):
        await asyncio.to_thread(jobs.sync.status, "7", "RUNNING")
    with pytest.raises(BrokerUnavailable):
        await jobs.status("7", "RUNNING")


async def test_a_waiting_thread_is_released_when_the_gateway_stops() -> None:
    async with running() as (client, _):
        entered = asyncio.Event()

        async def never() -> None:
            entered.set()
            await asyncio.Event().wait()

        waiting = asyncio.create_task(asyncio.to_thread(client.broadcaster.sync.run, never()))
        await entered.wait()
    with pytest.raises(RuntimeError, match="stopped"):
        await waiting


def test_frames_have_their_keys_in_the_order_of_the_contract() -> None:
    gateway = JobsGateway()
    error = json.loads(str(gateway.rejected_frame(Refusal("whatever", code="UNAUTHORIZED")).messages[0]))
    assert list(error) == ["type", "message", "code", "timestamp"]
    pong = json.loads(str(gateway.pong_frame().messages[0]))
    assert list(pong) == ["type", "timestamp"]
