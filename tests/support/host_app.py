"""An app as a host writes it, for type checkers: only what `asgi_realtime` exports, and `str` for every id."""

from __future__ import annotations

import argparse
import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

from fastapi import Depends, FastAPI
from redis.asyncio import Redis, RedisCluster

from asgi_realtime import (
    Acknowledge,
    AdminSecretAuthenticator,
    Authenticator,
    Broadcaster,
    Connection,
    Forbidden,
    Handshake,
    HostCall,
    Id,
    Identity,
    JobsBroadcaster,
    JobsGateway,
    JobStatus,
    Json,
    JWTAuthenticator,
    JWTVerifier,
    Limits,
    Metric,
    RealtimeMiddleware,
    Receipt,
    Refusal,
    Settings,
    SocketIOGateway,
    Success,
    SyncConnection,
    Unauthorized,
    check_room_name,
    create_token,
    get_broadcaster,
    get_jobs_broadcaster,
    id_text,
    ids_from_host,
    on,
    token_from_auth,
    token_from_bearer,
)
from asgi_realtime.testing import ConnectionRefused, RealtimeTestClient

settings = Settings(
    jwt_secret="a secret of at least thirty-two bytes",
    admin_secret="a secret of the services, also long",
    presence_grace=0,
    limits=Limits(event_rate=50),
)
by_token = JWTAuthenticator(JWTVerifier(settings), [token_from_auth("token"), token_from_bearer()])


async def authenticate(handshake: Handshake) -> Identity:
    """Authenticates printers by keys, and users by tokens."""
    key = handshake.headers.get("x-printer-key")
    if key is None:
        return await by_token(handshake)
    if key != "3f1c":
        raise Unauthorized(log_reason="no such printer")
    return Identity(user_id="printer-7", claims={"kind": "printer"})


class CountedMetrics:
    """Metrics that are counted in this process."""

    def __init__(self) -> None:
        self.values: Counter[str] = Counter()

    def attach(self, transfer: Callable[[], None]) -> None:
        pass

    def counter(self, metric: Metric, labels: Mapping[str, str]) -> Callable[[float], None]:
        def add(amount: float) -> None:
            self.values[metric.name] += int(amount)

        return add

    def gauge(self, metric: Metric, labels: Mapping[str, str]) -> Callable[[float], None]:
        def set_(value: float) -> None:
            self.values[f"{metric.name} {labels}"] = int(value)

        return set_

    def histogram(self, metric: Metric, labels: Mapping[str, str]) -> Callable[[Sequence[int], float], None]:
        def add(counts: Sequence[int], total: float) -> None:
            self.values[metric.name] += sum(counts)

        return add


class PrintQueue:
    """A `JobsService`: one method is async, the other plain."""

    async def may_join(self, identity: Identity, job_id: str) -> bool:
        return job_id.startswith(identity.user_id)

    def last_status(self, job_id: str) -> JobStatus | None:
        return JobStatus(job_id=job_id, status="queued")


class Office(SocketIOGateway):
    async def on_connect(self, connection: Connection) -> None:
        await connection.join("all")
        connection.state = {"pages": 0}

    async def on_offline(self, user_id: str) -> None:
        await self.broadcaster.broadcast_to_room("all", "left", user_id)

    @on("print")
    async def print_pages(self, pages: int, connection: Connection, identity: Identity) -> Mapping[str, int]:
        if pages > 100:
            raise Forbidden("too many pages")
        receipt = await self.broadcaster.broadcast_to_room("all", "printed", {"by": identity.user_id, "pages": pages})
        return {"recipients": receipt.delivered_locally}

    @on("leave")
    def leave(self, room: str, connection: SyncConnection) -> int:
        connection.leave(room)
        return len(connection.rooms)


class Depots:
    """The service of `Deliveries`: the depots that a service of the host delivers to, by their numbers."""

    def depots_of(self, identity: Identity) -> list[Id]:
        return [7, "north"]


class Deliveries(SocketIOGateway):
    """A namespace for other services of the host."""

    def __init__(self, service: Depots) -> None:
        super().__init__("/deliveries")
        self.depots_of: HostCall = self.service_call(service, "depots_of", "identity")

    def default_authenticator(self, settings: Settings) -> Authenticator:
        return AdminSecretAuthenticator(settings.admin_secret)

    async def rooms_of(self, identity: Identity) -> Mapping[str, str | None]:
        depots: list[Id] = await self.depots_of(identity)
        return dict.fromkeys(ids_from_host(depots, "depots_of"))

    async def on_connect(self, connection: Connection) -> None:
        await self.enter_rooms(connection)

    @on("deliver")
    async def deliver(self, depot: str | int) -> Success:
        room = id_text(depot, "depot")
        check_room_name(room, self.limits)
        self.run_in_background("notifying", self.notify(room))
        return Success()

    async def notify(self, room: str) -> None:
        await self.broadcaster.broadcast_to_room(room, "delivered")

    def send_refusal(
        self,
        connection: Connection,
        event: str,
        sent: Sequence[Json],
        refusal: Refusal,
        acknowledge: Acknowledge | None,
    ) -> None:
        self.push_event(connection, "refused", [event, *sent])


metrics = CountedMetrics()
app = FastAPI()
app.add_middleware(
    RealtimeMiddleware,
    gateways=[Office(authenticator=authenticate), JobsGateway(service=PrintQueue()), Deliveries(Depots())],
    settings=settings,
    metrics=metrics,
)


@app.post("/news")
async def news(text: str, broadcaster: Annotated[Broadcaster, Depends(get_broadcaster)]) -> str | None:
    receipt: Receipt = await broadcaster.broadcast_to_room("all", "news", text, except_=["one", "two"], key="1")
    return receipt.position


@app.post("/jobs/{job_id}/done")
async def done(job_id: str, jobs: Annotated[JobsBroadcaster, Depends(get_jobs_broadcaster)]) -> bool:
    receipt = await jobs.status(job_id, "done", completed_stages=["print"])
    return receipt.replicated


@app.post("/jobs/{job_id}/failed")
def failed(job_id: str, jobs: Annotated[JobsBroadcaster, Depends(get_jobs_broadcaster)]) -> int:
    return jobs.sync.error(job_id, "paper jam").delivered_locally


def app_of_many_processes(client: Redis | RedisCluster) -> FastAPI:
    """The same app with the Redis client that the host has already."""
    joined = FastAPI()
    joined.add_middleware(RealtimeMiddleware, gateways=[Office(authenticator=authenticate)], redis=client)
    return joined


async def announce(client: Redis, text: str) -> Receipt:
    """What a worker does with its own client."""
    async with Broadcaster.connect(redis=client, settings=settings) as broadcaster:
        return await broadcaster.broadcast_to_all("news", text)


async def try_out() -> None:
    """A test as a host writes it."""
    async with RealtimeTestClient(app) as client, client.connect("/", token=create_token("ann", settings)) as ann:
        assert await ann.call("print", 2) == {"recipients": 1}
        assert (await ann.expect("printed")).data == {"by": "ann", "pages": 2}
        await client.http.post("/news", params={"text": "hello"})
        assert (await ann.expect("news")).data == "hello"
        async with client.connect("/ws", token=client.token("ann")) as follower:
            await follower.send("join_job", jobId="ann-1")
            await follower.expect("job_status", where=lambda status: status["status"] == "queued")
            await client.http.post("/jobs/ann-1/failed")
            await follower.expect("job_error")
        assert await ann.call("leave", "all") == 0
        try:
            async with client.connect("/", headers={"x-printer-key": "stolen"}):
                raise AssertionError("a stolen key")
        except ConnectionRefused as refused:
            assert refused.message == "invalid credentials"
        async with client.connect("/", headers={"x-printer-key": "3f1c"}, transport="polling"):
            assert await client.broadcaster.of("/").is_online("printer-7")
        services = {"adminSecret": "a secret of the services, also long", "serviceType": "vans"}
        async with client.connect("/deliveries", auth=services) as van:
            assert van.rooms == {"7", "north"}
            assert await van.call("deliver", 7) == {"success": True}
            await van.expect("delivered")
            await van.send("deliver", "")
            assert (await van.expect("refused")).data == ["deliver", ""]
    assert metrics.values["refused_connections_total"] == 1
    assert metrics.values["connections {'gateway': '/'}"] == 0


if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m tests.support.host_app", description=__doc__).parse_args()
    asyncio.run(try_out())
