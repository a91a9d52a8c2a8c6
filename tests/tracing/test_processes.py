"""Spans of several processes that a Redis joins."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from asgi_realtime import (
    Broadcaster,
    Connection,
    Publication,
    RealtimeMiddleware,
    Settings,
    SocketIOGateway,
    SyncBroadcaster,
    create_token,
)
from asgi_realtime.broker.encoding import Encoding, encode_publication
from asgi_realtime.broker.redis import RedisBroker
from asgi_realtime.broker.traced_encoding import decode_traced
from asgi_realtime.redis.server import RedisServer
from asgi_realtime.values.ids import GatewayName, RoomName
from asgi_realtime.values.publications import ToRoom
from tests.support.cluster import SECRET, Cluster
from tests.support.cluster import Node as ServerProcess
from tests.support.node_client import Node, NodeClient
from tests.support.recorded_spans import SPAN_ID, TRACE_ID, TRACEPARENT, Recorded, RecordedSpans
from tests.support.redis_server import RedisProcess
from tests.support.servers import Serve
from tests.support.waiting import until


class Nodes:
    """Two server processes, and a stock client of each."""

    def __init__(self, servers: list[ServerProcess], clients: list[NodeClient], http: httpx.AsyncClient) -> None:
        self.servers = servers
        self.clients = clients
        self.http = http

    async def spans(self, number: int) -> list[Recorded]:
        """The spans of one process, without those of requests for them."""
        found = (await self.http.get(f"{self.servers[number].url}/spans")).json()
        return [Recorded(**each) for each in found if each["name"] != "http /spans"]

    async def one(self, number: int, name: str) -> Recorded:
        """The only span with a name. Waits until it has ended."""
        found: list[Recorded] = []

        async def look() -> bool:
            found[:] = [span for span in await self.spans(number) if span.name == name]
            return bool(found)

        await until(look)
        [span] = found
        return span


@asynccontextmanager
async def nodes(folder: Path, redis: RedisProcess, node: Node, **environ: str) -> AsyncIterator[Nodes]:
    """Two processes, which sample everything unless `SAMPLER=off`."""
    async with Cluster(folder, redis.url, "tests.support.traced_app") as cluster, httpx.AsyncClient() as http:
        servers = [await cluster.start(**environ) for _ in range(2)]
        settings = Settings(jwt_secret=SECRET)
        clients = [
            await node.connect(
                server.url,
                auth={"token": create_token(user_id, settings)},
                transports=["websocket"],
                headers={"traceparent": TRACEPARENT},
            )
            for server, user_id in zip(servers, ("ann", "bob"), strict=True)
        ]
        yield Nodes(servers, clients, http)
        for client in clients:
            await client.disconnect()


async def test_a_route_or_an_event_its_broadcast_and_both_deliveries_are_one_trace(
    tmp_path: Path, redis_process: RedisProcess, node: Node
) -> None:
    async with nodes(tmp_path, redis_process, node) as running:
        await running.http.post(f"{running.servers[0].url}/say", content="hello")
        await running.clients[0].emit("say", "hello")
        for client in running.clients:
            await client.expect("announced")
            await client.expect("said")
        for begin, event in (("http /say", "announced"), ("handle / say", "said")):
            origin, publish = await running.one(0, begin), await running.one(0, f"publish / {event}")
            assert publish.is_child_of(origin)
            for number in range(2):
                deliver = await running.one(number, f"deliver / {event}")
                assert deliver.is_child_of(publish)
                assert deliver.attributes["realtime.recipients"] == 1
                assert deliver.attributes["messaging.message.id"] == publish.attributes["messaging.message.id"]
        handled = await running.one(0, "handle / say")
        assert handled.parent_id is None
        # The host's instrumentation has made no span for the handshake that has ended: the link is to an open one.
        [[trace_id, _]] = handled.links
        assert trace_id not in (TRACE_ID, handled.trace_id)


async def test_a_trace_that_is_not_sampled_makes_no_span_in_other_processes(
    tmp_path: Path, redis_process: RedisProcess, node: Node
) -> None:
    async with nodes(tmp_path, redis_process, node, SAMPLER="off") as running:
        await running.http.post(f"{running.servers[0].url}/say", content="hello")
        for client in running.clients:
            await client.expect("announced")
        assert [await running.spans(number) for number in range(2)] == [[], []]


# Processes that serve no clients, and what may be wrong in a message


class Lobby(SocketIOGateway):
    async def on_connect(self, connection: Connection) -> None:
        await connection.join("lobby")


class Served:
    """An app on a real server with a client, its spans, and where its Redis is."""

    def __init__(self, url: str) -> None:
        self.spans = RecordedSpans()
        self.settings = Settings(
            jwt_secret=SECRET, redis_url=url, redis_prefix=f"test-{secrets.token_hex(4)}", publish_timeout=10.0
        )
        self.app = RealtimeMiddleware(
            Starlette(), gateways=[Lobby("/")], settings=self.settings, tracing=self.spans.tracing
        )

    async def client(self, serve: Serve, node: Node) -> NodeClient:
        server = await serve(self.app)
        return await node.connect(server.url, auth={"token": create_token("ann", self.settings)})


async def test_a_connected_broadcaster_carries_its_context(
    serve: Serve, node: Node, redis_process: RedisProcess
) -> None:
    served, worker = Served(redis_process.url), RecordedSpans()
    client = await served.client(serve, node)
    with worker.tracer.start_as_current_span("a job"):
        async with Broadcaster.connect(settings=served.settings, tracing=worker.tracing) as broadcaster:
            await broadcaster.broadcast_to_room("lobby", "kept", "hello")
            await broadcaster.broadcast_to_room("lobby", "volatile", "hello", volatile=True)
            await client.expect("volatile")
    job = worker.one("a job")
    for event in ("kept", "volatile"):
        publish = worker.one(f"publish / {event}")
        assert publish.is_child_of(job)
        assert served.spans.one(f"deliver / {event}").is_child_of(publish)
    await client.disconnect()


async def test_a_broadcaster_for_threads_carries_the_context_of_the_thread(
    serve: Serve, node: Node, redis_process: RedisProcess
) -> None:
    served, worker = Served(redis_process.url), RecordedSpans()
    client = await served.client(serve, node)

    def work() -> None:
        with SyncBroadcaster.connect(settings=served.settings, tracing=worker.tracing) as broadcaster:
            with worker.tracer.start_as_current_span("a job"):
                broadcaster.broadcast_to_room("lobby", "news", "hello")

    await asyncio.to_thread(work)
    await client.expect("news")
    publish = worker.one("publish / news")
    assert publish.is_child_of(worker.one("a job"))
    assert served.spans.one("deliver / news").is_child_of(publish)
    await client.disconnect()


async def test_a_connected_broadcaster_without_tracing_carries_nothing(
    serve: Serve, node: Node, redis_process: RedisProcess
) -> None:
    served = Served(redis_process.url)
    client = await served.client(serve, node)
    async with Broadcaster.connect(settings=served.settings) as broadcaster:
        await broadcaster.broadcast_to_room("lobby", "news", "hello")
        await client.expect("news")
    assert served.spans.all == []
    await client.disconnect()


async def test_a_wrong_context_in_a_message_is_ignored(
    serve: Serve, node: Node, redis_process: RedisProcess, caplog: pytest.LogCaptureFixture
) -> None:
    wrong: list[bytes] = [b"\xc4\x02no", b"\xc0", b"\xc4\x19" + b"\x00" * 25, b"\xc6\x00\x01\x00\x00" + b"x" * 65_536]

    def encode(publication: Publication, origin: str = "") -> bytes:
        """As of a process that traces, with a wrong context: the payload says which."""
        data = encode_publication(publication, origin)
        return data[:1] + b"\x98" + data[2:] + wrong[int(publication.payload)]

    served = Served(redis_process.url)
    client = await served.client(serve, node)
    broker = RedisBroker(
        RedisServer(redis_process.url), prefix=served.settings.redis_prefix, encoding=Encoding(encode, decode_traced)
    )
    await broker.start_without_clients()
    with caplog.at_level(logging.INFO):
        for number in range(len(wrong)):
            await broker.publish(
                Publication(
                    gateway=GatewayName("/"),
                    target=ToRoom(RoomName("lobby")),
                    event="news",
                    payload=str(number).encode(),
                )
            )
        for number in range(len(wrong)):
            assert (await client.expect("news")).data == number
    await broker.stop()
    assert served.spans.all == []
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
    await client.disconnect()


async def test_a_process_without_tracing_delivers_broadcasts_of_one_that_traces(
    serve: Serve, node: Node, redis_process: RedisProcess
) -> None:
    served, worker = Served(redis_process.url), RecordedSpans()
    app = RealtimeMiddleware(Starlette(), gateways=[Lobby("/")], settings=served.settings)
    server = await serve(app)
    client = await node.connect(server.url, auth={"token": create_token("ann", served.settings)})
    async with Broadcaster.connect(settings=served.settings, tracing=worker.tracing) as broadcaster:
        await broadcaster.broadcast_to_room("lobby", "news", "hello")
        assert (await client.expect("news")).data == "hello"
    assert worker.names == ["publish / news"]
    await client.disconnect()


async def test_links_without_an_instrumentation_of_the_host(
    serve: Serve, node: Node, redis_process: RedisProcess
) -> None:
    served = Served(redis_process.url)

    [gateway] = served.app.realtime.gateways
    assert isinstance(gateway, SocketIOGateway)

    @gateway.on("move")
    async def move() -> None: ...

    server = await serve(served.app)
    client = await node.connect(
        server.url,
        auth={"token": create_token("ann", served.settings)},
        transports=["websocket"],
        headers={"traceparent": TRACEPARENT},
    )
    assert await client.call("move") == []
    assert [tuple(link) for link in served.spans.one("handle / move").links] == [(TRACE_ID, SPAN_ID)]
    await client.disconnect()
