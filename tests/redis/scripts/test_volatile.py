"""`volatile.lua` publishes to several channels and keeps nothing."""

from __future__ import annotations

from asgi_realtime.redis.scripts import Script
from tests.redis.scripts.conftest import ScriptRedis


def test_each_channel_gets_the_message_in_order_and_no_key_is_made(scripts: ScriptRedis) -> None:
    channels = [scripts.keys.channel(suffix) for suffix in ("u:ada", "u:bob")]
    with scripts.client.pubsub(ignore_subscribe_messages=True) as subscriber:
        subscriber.subscribe(*channels)
        assert scripts.run(Script.VOLATILE, [scripts.keys.state], "PUBLISH", "message", *channels) == 0
        messages: list[tuple[str, bytes]] = []
        while len(messages) < 2:
            message = subscriber.get_message(timeout=10)
            if message is not None:
                messages.append((message["channel"].decode(), message["data"]))
    assert messages == [(channel, b"message") for channel in channels]
    assert scripts.client.keys(f"{scripts.keys.state[:-1]}*") == []
