"""The proxy of these tests: what rewrites the stream of Redis gets each reply and each message whole and alone."""

from __future__ import annotations

import asyncio
import secrets

import hiredis

from asgi_realtime.redis.link import pack
from tests.support.redis_proxy import redis_proxy
from tests.support.redis_server import RedisProcess
from tests.support.redis_values import take_values
from tests.support.waiting import until

LARGE = b"\r\n" * 100_000  # more than one read of the proxy returns


async def test_values_are_rewritten_whole_and_alone(redis_process: RedisProcess) -> None:
    name, seen = f"test-{secrets.token_hex(4)}", list[bytes]()

    def record(value: bytes) -> bytes:
        seen.append(value)
        return value.replace(b"$2\r\nm1\r\n", b"")

    async with redis_proxy(redis_process.socket, rewrite=record) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(
            pack("HELLO", 3)
            + pack("SET", name, LARGE)
            + pack("GET", name)
            + pack("MGET", name, "none", name)
            + pack("UNKNOWN")
            + pack("SUBSCRIBE", name)
            + pack("PUBLISH", name, "m1")
            + pack("DEL", name)
        )
        await until(lambda: len(seen) == 9)
        stream = b"".join(value.replace(b"$2\r\nm1\r\n", b"") for value in seen)
        assert await reader.readexactly(len(stream)) == stream
        writer.close()
    values = [_only_value(each) for each in seen]
    assert isinstance(values[0], dict)
    assert values[1:4] == [b"OK", LARGE, [LARGE, None, LARGE]]
    assert isinstance(values[4], hiredis.ReplyError)
    assert values[5] == [b"subscribe", name.encode(), 1]
    assert [1, [b"message", name.encode(), b"m1"]] in (values[6:8], values[7:5:-1])  # in this order from Redis 7.2 on
    assert values[8] == 1


def test_values_are_found_however_they_arrive() -> None:
    values = [
        b"+OK\r\n",
        b"*2\r\n$-1\r\n*-1\r\n",
        b"%1\r\n$1\r\na\r\n~2\r\n:1\r\n#t\r\n",
        b">0\r\n",
        b"_\r\n",
        b"$0\r\n\r\n",
    ]
    buffer, found = bytearray(), list[bytes]()
    for byte in b"".join(values):
        buffer.append(byte)
        found += take_values(buffer)
    assert found == values
    assert not buffer


def _only_value(data: bytes) -> object:
    reader = hiredis.Reader()
    reader.feed(data)
    value: object = reader.gets()
    assert not reader.has_data()
    return value
