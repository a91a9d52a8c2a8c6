"""Django Channels: a consumer in a group of the in-memory layer, or of channels_redis."""

from __future__ import annotations

import json
import os

from channels.generic.websocket import AsyncWebsocketConsumer
from channels.layers import get_channel_layer
from channels.routing import ProtocolTypeRouter
from django.conf import settings

from benchmarks.systems.control import EVENT, ROOM, Payload, control

url = os.environ.get("REDIS_URL")
IN_MEMORY = {"BACKEND": "channels.layers.InMemoryChannelLayer", "CONFIG": {"capacity": 10_000}}
ON_REDIS = {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": [url]}}
settings.configure(CHANNEL_LAYERS={"default": IN_MEMORY if url is None else ON_REDIS})


class Room(AsyncWebsocketConsumer):  # type: ignore[misc]  # Channels publishes no types
    counted = 0

    async def connect(self) -> None:
        await self.accept()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        kind = json.loads(text_data or "{}")["type"]
        if kind == "auth":
            await self.channel_layer.group_add(ROOM, self.channel_name)
            await self.send('{"type":"auth_success"}')
            return
        self.counted += 1
        if kind == "total":
            await self.send(json.dumps({"type": "total", "data": {"number": self.counted}}))

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(ROOM, self.channel_name)

    async def room_message(self, event: dict[str, str]) -> None:
        await self.send(event["text"])


async def broadcast(payload: Payload) -> None:
    text = json.dumps({"type": EVENT, "data": payload})
    await get_channel_layer().group_send(ROOM, {"type": "room.message", "text": text})


host = control(broadcast)
app = ProtocolTypeRouter({"websocket": Room.as_asgi(), "http": host, "lifespan": host})
