"""One link to a real Redis: the order of replies and messages, and how it ends."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any, Protocol

import hiredis
import pytest

from asgi_realtime.redis.link import SUBSCRIBE_AT_ONCE, UNSENT_BYTES, Link, LinkLost, Reply, is_elsewhere
from asgi_realtime.redis.server import RedisServer
from asgi_realtime.runtime.fair_turns import SECONDS_A_TURN
from tests.support.redis_places import RedisPlaces
from tests.support.redis_proxy import redis_proxy
from tests.support.redis_server import RedisProcess, free_port, redis_server
from tests.support.waiting import until


def itself(reply: Reply) -> Any:
    return reply


class Record:
    """What a link did, in order: messages, replies and its end."""

    def __init__(self) -> None:
        self.events: list[object] = []
        self.on_message: Callable[[bytes], None] = lambda payload: None

    def message(self, channel: bytes, payload: bytes) -> None:
        self.events.append(payload)
        self.on_message(payload)

    def lost(self, link: Link) -> None:
        self.events.append("lost")

    def reply(self, reply: Reply) -> None:
        self.events.append(reply)


class Connect(Protocol):
    async def __call__(self, record: Record, url: str | None = None) -> Link: ...


@pytest.fixture
async def connect(redis_process: RedisProcess) -> AsyncIterator[Connect]:
    """Opens links, which end with the test."""
    async with AsyncExitStack() as stack:

        async def open_link(record: Record, url: str | None = None) -> Link:
            server = RedisServer(url or redis_process.url, timeout=10.0)
            link = await server.connect("key", on_message=record.message, on_lost=record.lost)
            stack.callback(link.abort)
            return link

        yield open_link


@pytest.fixture
def channel() -> str:
    return f"test-{secrets.token_hex(4)}"


async def test_replies_come_in_the_order_of_the_commands_and_errors_are_replies(connect: Connect, channel: str) -> None:
    record = Record()
    link = await connect(record)
    for command in (
        ("SET", channel, "1"),
        ("GET", channel),
        ("INCR", channel),
        ("HGET", channel, "a"),
        ("DEL", channel),
    ):
        link.send(record.reply, *command)
    assert await link.ask("PING", read=itself) == b"PONG"
    first, *between, last = record.events[:5]
    assert (first, between[:2], last) == (b"OK", [b"1", 2], 1)
    assert isinstance(between[2], hiredis.ReplyError)
    assert not link.lost


@pytest.mark.parametrize("place", ["socket", "valkey"])
async def test_the_copy_of_an_own_message_is_handled_directly_before_the_reply(
    connect: Connect, redis_places: RedisPlaces, channel: str, place: str
) -> None:
    record = Record()
    link = await connect(record, redis_places(place).url)
    link.subscribe([channel])
    link.send(record.reply, "PUBLISH", channel, "probe")
    await link.ask("PING", read=itself)
    link.copies_follow = record.events == [1, b"probe"]
    record.events.clear()
    for number in range(3):
        link.ask("PUBLISH", channel, f"{number}", read=record.reply, copies=lambda reply: 1)
    await link.ask("PING", read=itself)
    assert record.events == [b"0", 1, b"1", 1, b"2", 1]


@pytest.mark.parametrize("end", ["copies", "lost"])
async def test_the_reply_is_handled_after_copies_that_follow_it(
    connect: Connect, redis_process: RedisProcess, end: str
) -> None:
    message = b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\n%d\r\n"
    record = Record()
    async with redis_proxy(redis_process.socket) as proxy:
        link = await connect(record, proxy.url)
        proxy.hold()  # the answers are those of a newer Redis
        link.copies_follow = True
        asked = [
            link.ask(
                "PUBLISH", "c", text, read=record.reply, copies=lambda reply: reply if isinstance(reply, int) else 0
            )
            for text in ("1", "2", "3", "4")
        ]
        link.send(record.reply, "PING")
        link.data_received(b":0\r\n-ERR no\r\n:2\r\n" + message % 1)
        with pytest.raises(hiredis.ReplyError):
            await asked[1]
        assert not asked[2].done()
        assert record.events == [0, b"1"]
        if end == "lost":
            link.abort()
            with pytest.raises(LinkLost):
                await asked[2]
            assert record.events[:3] == [0, b"1", "lost"]
            return
        link.data_received(message % 2 + b":1\r\n" + message % 3 + message % 4 + b"+PONG\r\n")
        await asyncio.gather(asked[2], asked[3])
    assert record.events[:7] == [0, b"1", b"2", 2, b"3", 1, b"4"]


async def test_nothing_published_after_the_reply_that_follows_a_subscription_is_missed(
    connect: Connect, channel: str
) -> None:
    record = Record()
    link, other = await connect(record), await connect(Record())
    names = [f"{channel}:{number}" for number in range(2 * SUBSCRIBE_AT_ONCE + 1)]
    link.subscribe(names)
    await link.ask("PING", read=itself)
    for name in (names[0], names[SUBSCRIBE_AT_ONCE], names[-1]):
        await other.ask("PUBLISH", name, name, read=itself)
    link.unsubscribe(names[:-1])
    await link.ask("PING", read=itself)
    for name in (names[0], names[-1]):
        await other.ask("PUBLISH", name, "later", read=itself)
    await link.ask("PING", read=itself)
    assert record.events == [name.encode() for name in (names[0], names[SUBSCRIBE_AT_ONCE], names[-1])] + [b"later"]


async def test_a_cancelled_caller_does_not_shift_the_replies_of_others(connect: Connect) -> None:
    link = await connect(Record())
    first, second, third = (link.ask("ECHO", text, read=itself) for text in ("1", "2", "3"))
    second.cancel()
    assert (await first, await third) == (b"1", b"3")


@pytest.mark.parametrize("end", ["given up", "killed", "closed"])
async def test_every_waiting_caller_gets_an_error_after_the_end_was_announced_once(
    connect: Connect, redis_process: RedisProcess, end: str
) -> None:
    record = Record()
    async with redis_proxy(redis_process.socket) as proxy:
        link = await connect(record, proxy.url)
        number = await link.ask("CLIENT", "ID", read=itself)
        proxy.hold()
        answers = [link.ask("PING", read=itself) for _ in range(3)]
        link.send(record.reply, "PING")
        if end == "given up":
            link.abort()
            assert link.lost
        elif end == "killed":
            await proxy.until_held(b"PONG", 4)
            with redis_process.client() as client:
                client.execute_command("CLIENT", "KILL", "ID", number)
        else:
            proxy.cut()
        for answer in answers:
            with pytest.raises(LinkLost):
                await answer
        link.abort()
    assert record.events[0] == "lost"
    assert [type(each) for each in record.events[1:]] == [LinkLost]
    with pytest.raises(LinkLost):
        link.send(record.reply, "PING")


async def test_a_refused_subscription_ends_the_link_with_the_reason(
    connect: Connect, redis_process: RedisProcess, channel: str
) -> None:
    redis_process.add_user(channel, "s3cret", "~*", "resetchannels", "+@all")
    record = Record()
    link = await connect(record, f"unix://{channel}:s3cret@{redis_process.socket}")
    link.subscribe([channel])
    answer = link.ask("ECHO", "not the reply to SUBSCRIBE", read=itself)
    with pytest.raises(LinkLost, match="NOPERM"):
        await answer
    assert link.refusal is not None
    assert link.refusal.startswith("NOPERM")
    assert record.events == ["lost"]


async def test_a_server_that_became_a_replica_ends_the_link() -> None:
    with redis_server() as server:
        record = Record()
        link = await RedisServer(server.url).connect("key", on_message=record.message, on_lost=record.lost)
        assert await link.ask("SET", "a", 1, read=itself) == b"OK"
        await link.ask("REPLICAOF", "127.0.0.1", free_port(), read=itself)
        with pytest.raises(LinkLost, match="READONLY"):
            await link.ask("SET", "a", 2, read=itself)
        assert record.events == ["lost"]


@pytest.mark.parametrize(
    ("text", "elsewhere"),
    [
        ("MOVED 3999 127.0.0.1:6381", True),
        ("READONLY You can't write against a read only replica.", True),
        ("ERR Error running script (call to f_1): @user_script:1: -READONLY You can't write. ", True),
        ("MASTERDOWN Link with MASTER is down", True),
        ("CLUSTERDOWN Hash slot not served", True),
        ("LOADING Redis is loading the dataset in memory", True),
        ("ASK 3999 127.0.0.1:6381", False),
        ("TRYAGAIN Multiple keys request during rehashing of slot", False),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", False),
        ("ERR no such key", False),
    ],
)
def test_replies_that_say_that_another_server_must_be_asked(text: str, elsewhere: bool) -> None:
    assert is_elsewhere(hiredis.ReplyError(text)) is elsewhere


async def test_a_reply_to_no_command_ends_the_link(connect: Connect) -> None:
    record = Record()
    link = await connect(record)
    await link.ask("PING", read=itself)
    link.data_received(b"+OK\r\n")
    assert link.lost
    assert record.events == ["lost"]


async def test_commands_that_redis_does_not_read_are_refused_at_a_limit(connect: Connect, channel: str) -> None:
    link = await connect(Record())
    megabyte = b"x" * 1_000_000
    answers = []
    with pytest.raises(LinkLost, match=f"more than {UNSENT_BYTES} bytes wait"):
        for _ in range(20):
            answers.append(link.ask("SET", channel, megabyte, "PX", 1, read=itself))
    assert len(answers) == 17
    assert await asyncio.gather(*answers) == [b"OK"] * 17
    assert await link.ask("PING", read=itself) == b"PONG"


async def test_slow_messages_leave_turns_to_others(connect: Connect) -> None:
    record = Record()
    link = await connect(record)
    turns = 0
    seen: list[int] = []

    def count() -> None:
        nonlocal turns
        turns += 1
        if len(seen) < 5:
            asyncio.get_running_loop().call_soon(count)

    def handle(payload: bytes) -> None:
        seen.append(turns)
        until_then = time.monotonic() + SECONDS_A_TURN
        while time.monotonic() <= until_then:
            pass

    record.on_message = handle
    count()
    link.data_received(b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n" * 5)
    assert link.receiving
    await until(lambda: len(seen) == 5)
    assert len({*seen}) == 5
    assert await link.ask("PING", read=itself) == b"PONG"
    assert not link.receiving
