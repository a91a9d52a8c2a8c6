"""What a client, another process or a fault repeats a thousand times is a handful of lines in the log."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable

import pytest
from starlette.applications import Starlette

from asgi_realtime import (
    Connection,
    Forbidden,
    Frame,
    Limits,
    RealtimeMiddleware,
    Refusal,
    Settings,
    SocketIOGateway,
    SocketIOServer,
    WebSocketGateway,
    on,
)
from asgi_realtime.auth.revocations import Revocations
from asgi_realtime.testing import ConnectionRefused, RealtimeTestClient, Transport
from asgi_realtime.values.json import Json
from asgi_realtime.values.publications import Publication
from tests.support.each_transport import each_transport
from tests.support.redis_server import RedisProcess

TIMES = 1_000
CONNECTIONS = 200
"""How many clients connect. Fewer, because connecting takes longer."""
SETTINGS = Settings(
    jwt_secret="a secret of at least thirty-two bytes",
    presence_grace=0,
    limits=Limits(
        event_rate=1e6,
        event_burst=10_000,
        user_event_rate=1e6,
        user_event_burst=10_000,
        attempt_rate=1e6,
        attempt_burst=10_000,
    ),
)


class Lines:
    """What is logged at `WARNING` and above."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog

    @property
    def texts(self) -> list[str]:
        return [record.getMessage() for record in self._caplog.records if record.levelno >= logging.WARNING]


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Lines:
    # A test may take longer than a minute.
    monkeypatch.setattr("asgi_realtime.runtime.log_limit.INTERVAL", 3_600.0)
    monkeypatch.setattr("asgi_realtime.auth.refusal_log.INTERVAL", 3_600.0)
    return Lines(caplog)


class Faulty(SocketIOGateway):
    """A host with a fault in everything that it may define."""

    async def on_connect(self, connection: Connection) -> None:
        await connection.join("all")

    def recipient_filter(self, publication: Publication) -> Callable[[Connection], bool] | None:
        if publication.event == "all":
            raise LookupError("of the filter")

        def takes(connection: Connection) -> bool:
            raise LookupError("of the filter, for one client")

        return takes

    @on("fail")
    async def fail(self) -> None:
        raise LookupError("of the handler")

    @on("fail late")
    async def fail_late(self) -> None:
        await asyncio.sleep(0)  # the handler waits
        raise LookupError("of the handler")

    @on("spawn")
    async def spawn(self) -> None:
        async def work() -> None:
            raise LookupError("of the work")

        self.run_in_background("work", work())


class FaultyPath(WebSocketGateway):
    """The same for a JSON gateway."""

    def error_frame(self, refusal: Refusal, sent: Json) -> Frame:
        raise LookupError("of the frame")

    def close_code(self, refusal: Refusal) -> int:
        return 999  # no code that may be sent


def app() -> RealtimeMiddleware:
    return RealtimeMiddleware(Starlette(), gateways=[Faulty(), FaultyPath("/path")], settings=SETTINGS)


async def test_broadcasts_whose_filter_fails(lines: Lines) -> None:
    async with RealtimeTestClient(app()) as client, client.connect("/", token=client.token("ann")):
        for name in ("all", "one"):
            for _ in range(TIMES):
                await client.broadcaster.broadcast_to_room("all", name)
    assert lines.texts == [
        "/: delivering a broadcast failed ('all'): LookupError('of the filter')",
        "/: recipient_filter failed: LookupError('of the filter, for one client')",
    ]


@each_transport
async def test_events_whose_handler_fails(lines: Lines, transport: Transport) -> None:
    async with (
        RealtimeTestClient(app()) as client,
        client.connect("/", token=client.token("ann"), transport=transport) as ann,
    ):
        for name in ("fail", "fail late", "spawn"):
            for _ in range(TIMES):
                await ann.send(name)
            await client.settle(timeout=60)
    assert lines.texts == [
        "/: fail failed: LookupError('of the handler')",
        "/: fail late failed: LookupError('of the handler')",
        "/: a task failed (work): LookupError('of the work')",
    ]


async def test_events_whose_refusal_fails(lines: Lines) -> None:
    async with RealtimeTestClient(app()) as client, client.connect("/path", token=client.token("ann")) as ann:
        for _ in range(TIMES):
            await ann.send("unknown")
        await client.settle()
    assert lines.texts == [
        "/path: unknown failed: LookupError('of the frame')",
        "work of a connection failed: LookupError('of the frame')",  # the answer to that failure
    ]


async def test_clients_that_are_refused_with_a_close_code_that_may_not_be_sent(lines: Lines) -> None:
    async with RealtimeTestClient(app()) as client:
        for _ in range(CONNECTIONS):
            with pytest.raises(ConnectionRefused):
                async with client.connect("/path", token="no token"):
                    pass
    error = ValueError(
        "FaultyPath.close_code(Unauthorized('invalid credentials')): code=999 may not be sent; "
        "use 1000 to 1003, 1007 to 1014, or one of your own from 4000 to 4999"
    )
    assert lines.texts == [
        "/path refused a client: the token is no JWT",
        f"/path: a client was closed with 1008: {error!r}",
    ]


async def test_events_that_a_server_of_python_socketio_refuses(lines: Lines) -> None:
    server = SocketIOServer()

    @server.event
    async def refuse(sid: str) -> None:
        raise Forbidden(f"not for {sid}")

    @server.event
    async def fail(sid: str) -> None:
        raise LookupError(sid)

    async with (
        RealtimeTestClient(RealtimeMiddleware(Starlette(), gateways=[server], settings=SETTINGS)) as client,
        client.connect("/") as ann,
    ):
        sid = ann.connection.id
        for name in ("refuse", "fail", "unknown"):
            for _ in range(TIMES):
                await ann.send(name)
            await ann.send(name, "one value too many")
        await client.settle()
    too_many = "the handler does not take these values: too many positional arguments"
    assert lines.texts == [
        f"event 'refuse' from {sid} [/]: not for {sid}",
        f"event 'refuse' from {sid} [/]: {too_many}",
        f"/: fail failed: LookupError({sid!r})",
        f"event 'fail' from {sid} [/]: internal error",
        f"event 'fail' from {sid} [/]: {too_many}",
    ]


async def test_messages_of_others_in_redis(lines: Lines, redis_process: RedisProcess) -> None:
    """Each channel of a process gets what no process of this package sends."""
    prefix = f"test-{secrets.token_hex(4)}"
    settings = Settings(
        jwt_secret=SETTINGS.jwt_secret, redis_url=redis_process.url, redis_prefix=prefix, publish_timeout=30.0
    )
    gateway = SocketIOGateway()
    async with RealtimeTestClient(RealtimeMiddleware(Starlette(), gateways=[gateway], settings=settings)) as client:
        async with client.connect("/", token=client.token("ann")) as ann:
            with redis_process.client() as redis:
                channels = [name for name in redis.pubsub_channels(f"{prefix}:*")]
                assert len(channels) >= 8
                with redis.pipeline(transaction=False) as pipeline:
                    for channel in channels:
                        for number in range(TIMES):
                            pipeline.publish(channel, b"garbage" if number % 2 else b"\x93\x01\x02\x03")
                    pipeline.execute()
            await client.broadcaster.broadcast_to_user("ann", "after")
            await ann.expect("after")
    assert sorted(text.partition(" cannot be read: ")[0] for text in lines.texts) == [
        "*: a message in Redis",
        "/: a message in Redis",
        "a message from another process",  # on the channel `sessions`
        "a message from another process",  # on the channel `node`
        "a question or an answer in Redis",
        "an acknowledgement in Redis",
    ]


def test_revocations_over_the_limit(lines: Lines) -> None:
    revocations = Revocations(ttl=60, capacity=1)
    for number in range(TIMES):
        revocations.revoke_token(f"token {number}")
    assert lines.texts == ["more than 1 revocations at once: the one that ends first is removed"]
