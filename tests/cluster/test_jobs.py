"""Jobs (docs/reference/protocols.md) on three nodes: clients on two of them, and the host on the third."""

from __future__ import annotations

import asyncio
import itertools
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from asgi_realtime import Broadcaster, JobsBroadcaster, Settings, SyncBroadcaster, WebSocketGateway
from tests.cluster.rows import Table, by_tests, one_connection, problems
from tests.support.json_client import Frame, JSONClients
from tests.support.json_systems import JSONNodes, JSONSystems, json_nodes, token_of
from tests.support.json_systems_app import JOBS, SHARED_TOKEN
from tests.support.redis_server import RedisProcess

TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_numbers = itertools.count(1)


@pytest.fixture
async def it(shared_nodes: JSONNodes) -> AsyncIterator[JSONSystems]:
    async with JSONClients() as clients:
        yield JSONSystems(shared_nodes, clients)


@pytest.fixture
def job() -> str:
    """The id of a job of this test. History keeps the status of those of other tests."""
    return f"job {next(_numbers)}"


def data_of(frames: list[Frame]) -> list[tuple[str, dict[str, Any]]]:
    """The types and the payloads, without their times, which must have the form of the contract."""
    found = []
    for frame in frames:
        data = dict(frame["data"])
        assert TIMESTAMP.fullmatch(data.pop("timestamp"))
        found.append((frame["type"], data))
    return found


def status(job: str, status: str, *completed: str, stage: str | None = None) -> tuple[str, dict[str, Any]]:
    return "job_status", {"jobId": job, "status": status, "currentStage": stage, "completedStages": list(completed)}


def settings_of(it: JSONSystems) -> Settings:
    return Settings(redis_url=it.cluster.redis_url, redis_prefix=it.cluster.prefix)


async def test_a_job_is_followed_and_left_on_other_nodes_than_the_one_that_runs_it(it: JSONSystems, job: str) -> None:
    clients = [await it.follow("ann", 0, job), await it.follow("bob", 1, job), await it.follow("eve", 1, "other")]
    await it.handled(*clients)
    await it.call("jobs.status", job, "RUNNING", current_stage="OUTLINE", completed_stages=["PLAN"])
    await it.call("jobs.sync.stage_completed", job, "OUTLINE", next_stage="STORYBOARD")
    await it.call("jobs.error", job, "Stage execution failed", stage="STORYBOARD", on=1)
    expected = [
        status(job, "RUNNING", "PLAN", stage="OUTLINE"),
        ("stage_completed", {"jobId": job, "stage": "OUTLINE", "nextStage": "STORYBOARD"}),
        ("job_error", {"jobId": job, "error": "Stage execution failed", "stage": "STORYBOARD"}),
    ]
    assert [data_of(frames) for frames in await it.taken(*clients)] == [expected, expected, []]
    await clients[1].send("leave_job", jobId=job)
    await it.handled(clients[1])
    await it.call("jobs.error", job, "again")
    assert [len(frames) for frames in await it.taken(*clients)] == [1, 0, 0]
    assert await it.call("room_size", job, gateway=JOBS) == {"value": 1, "complete": True, "missing": []}


async def test_a_client_that_joins_late_gets_the_status_that_another_node_has_sent(it: JSONSystems, job: str) -> None:
    await it.call("jobs.status", job, "RUNNING", current_stage="A")
    await it.call("jobs.status", job, "COMPLETED", completed_stages=["A"], key=f"{job} done")
    await it.call("jobs.status", job, "COMPLETED", completed_stages=["A"], key=f"{job} done", on=0)
    await it.call("jobs.stage_completed", job, "A")
    late = [await it.follow("ann", 0, job), await it.follow("bob", 1, job)]
    await it.handled(*late)
    assert [data_of(frames) for frames in await it.taken(*late)] == [[status(job, "COMPLETED", "A")]] * 2
    async with Broadcaster.connect(gateways=[WebSocketGateway(JOBS)], settings=settings_of(it)) as broadcaster:
        await JobsBroadcaster(broadcaster).status(job, "ARCHIVED")

    def work() -> None:
        with SyncBroadcaster.connect(gateways=[WebSocketGateway(JOBS)], settings=settings_of(it)) as broadcaster:
            JobsBroadcaster(broadcaster.asynchronous).sync.status(job, "DELETED")

    await asyncio.to_thread(work)
    expected = [status(job, "ARCHIVED"), status(job, "DELETED")]
    assert [data_of(frames) for frames in await it.taken(*late)] == [expected] * 2


async def test_a_client_that_joins_while_another_node_sends_misses_no_status(it: JSONSystems, job: str) -> None:
    clients = [await it.follow("ann", 0), await it.follow("bob", 1)]
    await it.call("jobs.status", job, "0")
    statuses = [str(number) for number in range(40)]

    async def send() -> None:
        for each in statuses[1:]:
            await it.call("jobs.status", job, each)

    sending = asyncio.create_task(send())
    joins = 0
    while joins < 6 or not sending.done():
        client = clients[joins % 2]
        await client.send("join_job", jobId=job)
        first = int((await client.expect("job_status"))["status"])
        await client.send("leave_job", jobId=job)
        await it.handled(client)
        rest = [int(frame["data"]["status"]) for frame in client.unread]
        assert rest == list(range(first + 1, first + 1 + len(rest)))
        client.unread.clear()
        joins += 1
    await sending


async def test_each_node_asks_whether_a_client_may_join(it: JSONSystems) -> None:
    ann, bob = await it.follow("ann", 1, "secret"), await it.follow("bob", 0, "secret")
    refused = await bob.expect("error")
    assert (refused["code"], TIMESTAMP.fullmatch(refused["timestamp"]) is not None) == ("FORBIDDEN", True)
    await it.handled(ann, bob)
    await it.call("jobs.status", "secret", "RUNNING", on=0)
    assert [data_of(frames) for frames in await it.taken(ann, bob)] == [[status("secret", "RUNNING")], []]


async def test_clients_of_the_shared_token_are_different_users_on_every_node(it: JSONSystems, job: str) -> None:
    clients = [await it.follow("", node, job, token=SHARED_TOKEN) for node in (0, 1)]
    await it.handled(*clients)
    users = set(await it.call("online_users", gateway=JOBS))
    assert len({user for user in users if user.startswith("client:")}) >= 2
    await it.call("jobs.status", job, "RUNNING")
    assert [data_of(frames) for frames in await it.taken(*clients)] == [[status(job, "RUNNING")]] * 2


async def test_a_revoked_token_is_cut_on_another_node_and_a_refreshed_one_is_not(it: JSONSystems, job: str) -> None:
    tokens = {user: token_of(user, jti=f"jobs {user}") for user in ("kim", "lou", "max")}
    kim, lou = [await it.follow(user, 0, job, token=tokens[user]) for user in ("kim", "lou")]
    max_ = await it.follow("max", 1, job, token=tokens["max"])
    await kim.send("auth", token=token_of("kim", jti="jobs newer", expires_in=60))
    await kim.expect("connection_established")
    for user in tokens:
        await it.call("revoke_token", f"jobs {user}")
    assert await lou.end() == (1008, "credentials revoked")
    await max_.end()
    await it.call("jobs.status", job, "RUNNING")
    assert [data_of(frames) for frames in await it.taken(kim)] == [[status(job, "RUNNING")]]
    refused = await it.open(1, f"{JOBS}?token={tokens['lou']}")
    assert (await refused.end())[0] == 1008
    error = await refused.expect("error")
    assert (error["message"], error["code"]) == ("Authentication failed", "UNAUTHORIZED")
    await it.call("disconnect_user", "kim", code=4001, reason="banned", gateway=JOBS, on=1)
    assert await kim.end() == (4001, "banned")


async def test_the_last_status_outlives_the_node_that_sent_it(tmp_path: Path, redis_process: RedisProcess) -> None:
    async with json_nodes(tmp_path, redis_process.url) as nodes, JSONClients() as clients:
        it = JSONSystems(nodes, clients)
        ann, bob = await it.follow("ann", 0, "7"), await it.follow("bob", 1, "7")
        await it.handled(ann, bob)
        await it.call("jobs.status", "7", "RUNNING")
        it.nodes[2].process.signal(signal.SIGKILL)
        assert await it.nodes[2].process.ended() == -signal.SIGKILL
        it.nodes[2] = it.nodes[0]
        assert [data_of(frames) for frames in await it.taken(ann, bob)] == [[status("7", "RUNNING")]] * 2
        stopping = asyncio.create_task(it.nodes[1].process.stop())
        await bob.end()
        bob = await it.follow("bob", 0, "7")
        await it.handled(bob)
        assert data_of(bob.unread) == [status("7", "RUNNING")]
        bob.unread.clear()
        await it.call("jobs.status", "7", "COMPLETED")
        assert [data_of(frames) for frames in await it.taken(ann, bob)] == [[status("7", "COMPLETED")]] * 2
        await stopping


_ANSWER = "the answer to an event of the same connection"
_HANDSHAKE = "a handshake is decided by the node that it reaches"
_OWN_CLOSE = "the node ends a connection of its own for what the same client has done"
_FOLLOWED = by_tests(test_a_job_is_followed_and_left_on_other_nodes_than_the_one_that_runs_it)
_REVOKED = by_tests(test_a_revoked_token_is_cut_on_another_node_and_a_refreshed_one_is_not)

ROWS: Table = {
    "a client connects with": {
        "`WS_AUTH_TOKEN`": by_tests(test_clients_of_the_shared_token_are_different_users_on_every_node),
        "`demo-token`": one_connection(_HANDSHAKE),
        "no token": _REVOKED,
        "an accepted client": one_connection(_HANDSHAKE),
    },
    "a client sends": {
        "`join_job`": by_tests(
            test_a_client_that_joins_late_gets_the_status_that_another_node_has_sent,
            test_a_client_that_joins_while_another_node_sends_misses_no_status,
            test_each_node_asks_whether_a_client_may_join,
            test_the_last_status_outlives_the_node_that_sent_it,
        ),
        "`leave_job`": _FOLLOWED,
        "`ping`": one_connection(_ANSWER),
        "`auth`": _REVOKED,
    },
    "the server sends": {
        "`job_status`": _FOLLOWED,
        "`stage_completed`": _FOLLOWED,
        "`job_error`": _FOLLOWED,
        "`error`": one_connection(_ANSWER),
        "`UNAUTHORIZED`": _REVOKED,
        "`FORBIDDEN`": by_tests(test_each_node_asks_whether_a_client_may_join),
        "`TOO_LARGE`": one_connection(_ANSWER),
        "timestamps": _FOLLOWED,
    },
    "closed with": {
        "1000": one_connection(_OWN_CLOSE),
        "1008": _REVOKED,
        "1009": one_connection(_OWN_CLOSE),
        "1012": by_tests(test_the_last_status_outlives_the_node_that_sent_it),
        "1013": one_connection(_OWN_CLOSE),
    },
    "the client's side": {
        "types": one_connection("they are generated"),
        "`useWebSocket`": one_connection("it has one connection"),
        "`reconnectAttempts`": one_connection("it has one connection"),
        "a debug log": one_connection("the page writes it"),
        "`/websocket-test`": one_connection("a page"),
    },
}


def test_every_row_is_in_the_table() -> None:
    assert problems("Jobs", ROWS) == []
