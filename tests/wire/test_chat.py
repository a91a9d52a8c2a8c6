"""Chat through real sockets with a real SQLite, and messages after the process is killed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import websockets
from starlette.applications import Starlette
from websockets.asyncio.client import ClientConnection

from asgi_realtime import ChatGateway, Limits, RealtimeMiddleware, create_token
from tests.support.accepted import accepted_user
from tests.support.chat_app import OTHER_DEVICE, SETTINGS, Service
from tests.support.paths import ROOT
from tests.support.servers import Serve
from tests.support.waiting import until

PATIENCE = 20.0
_BAD_TOKEN = {"message": "令牌无效或已过期"}


class Client:
    """A user's socket."""

    def __init__(self, websocket: ClientConnection) -> None:
        self._websocket = websocket

    async def send(self, kind: str, data: Any = None) -> None:
        await self._websocket.send(json.dumps({"type": kind} | ({} if data is None else {"data": data})))

    async def next(self) -> tuple[str, Any]:
        async with asyncio.timeout(PATIENCE):
            frame = json.loads(await self._websocket.recv())
        return frame["type"], frame.get("data")

    async def ends(self) -> int | None:
        """The code of the close, which must be the next event."""
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(websockets.ConnectionClosed):
                await self._websocket.recv()
        return self._websocket.close_code

    async def receives_nothing(self) -> None:
        """Fail if anything arrives before the answer to a message sent now."""
        await self.send("ping")
        assert await self.next() == ("pong", None)


@contextlib.asynccontextmanager
async def connected(url: str, query: str = "") -> AsyncIterator[Client]:
    async with websockets.connect(url + "/chat" + query, compression=None, ping_interval=None) as websocket:
        yield Client(websocket)


@contextlib.asynccontextmanager
async def entered(url: str, user_id: str) -> AsyncIterator[Client]:
    async with connected(url) as client:
        await client.send("auth", {"token": create_token(user_id, SETTINGS)})
        assert accepted_user(await client.next()) == user_id
        yield client


async def start(serve: Serve, service: Service, **options: Any) -> str:
    gateway = ChatGateway(service=service, **options)
    server = await serve(RealtimeMiddleware(Starlette(), gateways=[gateway], settings=SETTINGS))
    return server.websocket_url


def message(id: str, **changes: Any) -> dict[str, Any]:
    return {"id": id, "fromId": "ann", "toId": "bob", "chatType": "single", "content": "hello"} | changes


def ack(id: str) -> tuple[str, Any]:
    return "ack", {"id": id, "status": "success"}


async def test_the_second_login_kicks_the_first(serve: Serve, tmp_path: Path) -> None:
    url = await start(serve, Service(tmp_path / "chat.db"))
    async with entered(url, "ann") as first, entered(url, "ann") as second:
        assert await first.next() == ("kick", {"reason": OTHER_DEVICE})
        assert await first.ends() == 1008
        await second.receives_nothing()


async def test_the_ack_is_sent_after_the_row_is_saved(serve: Serve, tmp_path: Path) -> None:
    service = Service(tmp_path / "chat.db")
    url = await start(serve, service)
    other = sqlite3.connect(tmp_path / "chat.db", isolation_level=None)
    async with entered(url, "ann") as ann, entered(url, "bob") as bob:
        other.execute("BEGIN EXCLUSIVE")  # from here every write to the database fails
        await ann.send("message", message("m1"))
        await ann.receives_nothing()
        await bob.receives_nothing()
        other.execute("COMMIT")
        other.close()
        assert await ann.next() == ack("m1")
        assert service.messages() == ["m1"]
        kind, data = await bob.next()
        assert (kind, data["id"]) == ("message", "m1")


async def test_a_message_reaches_its_recipients_and_the_senders_other_devices(serve: Serve, tmp_path: Path) -> None:
    service = Service(tmp_path / "chat.db")
    service.group("g", "ann", "bob")
    url = await start(serve, service, one_device=False)
    async with AsyncExitStack() as stack:
        ann, ann_too, bob, bob_too, eve = [
            await stack.enter_async_context(entered(url, name)) for name in ("ann", "ann", "bob", "bob", "eve")
        ]
        await ann.send("message", message("m1", replyTo="m0"))
        await ann.send("message", message("m2", toId="g", chatType="group"))
        assert [await ann.next(), await ann.next()] == [ack("m1"), ack("m2")]
        for other in (ann_too, bob, bob_too):
            (_, single), (_, group) = await other.next(), await other.next()
            for data in (single, group):
                assert abs(data.pop("timestamp") / 1000 - time.time()) < 60
            assert single == message("m1", replyTo="m0", contentType="text", imageUrl="")
            named = {"from_name": "Ann", "from_avatar": "/avatars/ann.png"}
            expected = message("m2", toId="g", chatType="group", contentType="text", replyTo="", imageUrl="")
            assert group == expected | named
        await ann.send("message", message("m1"))
        assert await ann.next() == ack("m1")
        for client in (ann, ann_too, bob, bob_too, eve):
            await client.receives_nothing()


async def test_messages_sent_while_no_client_was_connected(serve: Serve, tmp_path: Path) -> None:
    url = await start(serve, Service(tmp_path / "chat.db"))
    async with entered(url, "ann") as ann:
        for id in ("m1", "m2"):
            await ann.send("message", message(id))
            assert await ann.next() == ack(id)
        for expected in (["m1", "m2"], []):
            async with entered(url, "bob") as bob:
                assert [(await bob.next())[1]["id"] for _ in expected] == expected
                await bob.receives_nothing()


async def test_read_is_recorded_and_invalid_reads_get_an_error(serve: Serve, tmp_path: Path) -> None:
    service = Service(tmp_path / "chat.db")
    url = await start(serve, service)
    async with entered(url, "ann") as ann:
        await ann.send("read", {"chatId": "bob"})
        await ann.send("read", {"chatId": 1})
        assert await ann.next() == ("error", {"message": "消息缺少必要字段"})
        assert service.rows("SELECT * FROM reads") == [("ann", "bob")]


async def test_every_error_has_the_text_of_the_contract(serve: Serve, tmp_path: Path) -> None:
    service = Service(tmp_path / "chat.db")
    service.group("muted", "ann", "bob")
    service.put("UPDATE members SET muted = 1")
    service.put("INSERT INTO blocks VALUES ('eve', 'ann')")
    url = await start(serve, service, limits=Limits(event_rate=0.001, event_burst=9))
    async with connected(url) as ann, entered(url, "bob") as bob:
        await ann.send("message", message("m0"))
        assert await ann.next() == ("error", {"message": "未认证"})
        await ann.send("auth", {"token": create_token("ann", SETTINGS)})
        assert accepted_user(await ann.next()) == "ann"
        refused: list[tuple[str, dict[str, Any]]] = [
            ("消息缺少必要字段", {"toId": None}),
            ("消息内容过长", {"content": "字" * 10_001}),
            ("发送者身份不符", {"fromId": "bob"}),
            ("对方已将你屏蔽", {"toId": "eve"}),
            ("你已被禁言", {"toId": "muted", "chatType": "group"}),
            ("你不是群成员", {"toId": "other", "chatType": "group"}),
        ]
        for text, changes in refused:
            await ann.send("message", message("m1", **changes))
            assert await ann.next() == ("error", {"message": text, "messageId": "m1"})
        for id, content in (("m2", "字" * 10_000), ("m3", "😀" * 10_000)):  # characters, not bytes
            await ann.send("message", message(id, content=content))
            assert await ann.next() == ack(id)
            assert (await bob.next())[1]["content"] == content
        service.put("ALTER TABLE messages RENAME TO elsewhere")
        await ann.send("message", message("m4"))
        assert await ann.next() == ("error", {"message": "服务器内部错误", "messageId": "m4"})
        service.put("ALTER TABLE elsewhere RENAME TO messages")
        await ann.send("message", message("m5"))
        assert await ann.next() == ("error", {"message": "消息发送过于频繁", "messageId": "m5"})
        await bob.receives_nothing()
    assert service.messages() == ["m2", "m3"]


async def test_a_bad_token_or_none_in_time_gets_auth_error_and_1008(serve: Serve, tmp_path: Path) -> None:
    url = await start(serve, Service(tmp_path / "chat.db"), auth_timeout=0.5)
    expired = create_token("ann", SETTINGS, expires_in=-1)
    for token in ("forged", expired):
        async with connected(url) as by_frame, connected(url, f"?token={token}") as by_query:
            await by_frame.send("auth", {"token": token})
            for client in (by_frame, by_query):
                assert await client.next() == ("auth_error", _BAD_TOKEN)
                assert await client.ends() == 1008
    async with connected(url) as silent:
        assert await silent.next() == ("auth_error", _BAD_TOKEN)
        assert await silent.ends() == 1008
    async with connected(url, f"?token={create_token('ann', SETTINGS)}") as good:
        assert accepted_user(await good.next()) == "ann"


class Host:
    """The service in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.url = url
        self._process = process

    async def killed(self) -> None:
        async with asyncio.timeout(PATIENCE):
            assert await self._process.wait() == -9


@contextlib.asynccontextmanager
async def host(database: Path, *arguments: str) -> AsyncIterator[Host]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.chat_app", str(database), *arguments),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE):
            line = (await process.stdout.readline()).decode()
        yield Host(process, line.removeprefix("running on http").strip().join(["ws", ""]))
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.communicate()


@pytest.mark.parametrize("moment", ["saved", "delivered"])
async def test_a_message_sent_again_after_a_kill_is_delivered_once(moment: str, tmp_path: Path) -> None:
    """Killed right after a commit: of the message, before its delivery; or of its delivery."""
    database = tmp_path / "chat.db"
    seen: list[str] = []

    async def listen(bob: Client) -> None:
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                kind, data = await bob.next()
                assert kind == "message"
                seen.append(data["id"])

    async with host(database, "--die", moment) as first:
        async with entered(first.url, "ann") as ann, entered(first.url, "bob") as bob:
            listening = asyncio.create_task(listen(bob))
            await ann.send("message", message("m1"))
            await first.killed()
            await listening
    assert Service(database).messages() == ["m1"]
    assert seen == ([] if moment == "saved" else ["m1"])

    async with host(database) as second, entered(second.url, "ann") as ann:
        await ann.send("message", message("m1"))
        assert await ann.next() == ack("m1")
        async with entered(second.url, "bob") as bob:
            listening = asyncio.create_task(listen(bob))
            for id in ("m1", "m2"):
                await ann.send("message", message(id))
                assert await ann.next() == ack(id)
            await until(lambda: "m2" in seen, seconds=PATIENCE)
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
        async with entered(second.url, "bob") as bob:
            await bob.receives_nothing()
    assert seen == ["m1", "m2"]
