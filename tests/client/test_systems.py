"""The generated clients of the four systems: every method and every event, by real traffic."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from starlette.applications import Starlette

from asgi_realtime import (
    ChatBroadcaster,
    ChatGateway,
    ChatMessage,
    EventsGateway,
    Forbidden,
    Identity,
    InfraGateway,
    JobsBroadcaster,
    JobsGateway,
    MessageCreate,
    MewBroadcaster,
    MewGateway,
    RealtimeMiddleware,
    SavedMessage,
    Settings,
    UserRooms,
    create_token,
)
from asgi_realtime.client import Connected, Refused
from tests.support.clients import chat, events, infra, jobs, mew
from tests.support.servers import Serve

SETTINGS = Settings(
    jwt_secret="a secret for tests that is long enough",
    admin_secret="an admin secret for tests",
    presence_grace=0.0,
)


def token(user_id: str) -> str:
    return create_token(user_id, SETTINGS)


class MewHost:
    async def rooms_of(self, identity: Identity) -> UserRooms:
        return UserRooms({"s": ["general"]})

    async def create_message(self, identity: Identity, message: MessageCreate, broadcaster: MewBroadcaster) -> None:
        if message.content is None:
            raise Forbidden("empty")
        await broadcaster.message_create(message.channel_id, {"content": message.content}, recipients=None)


class ChatHost:
    async def groups_of(self, identity: Identity) -> list[str]:
        return ["g"]

    async def save_message(self, identity: Identity, message: ChatMessage) -> SavedMessage:
        return SavedMessage(message)

    async def mark_read(self, identity: Identity, chat_id: str) -> None:
        raise Forbidden("not read")


@dataclass
class Host:
    """A running app with the four systems, and its broadcasters."""

    url: str
    mew: MewBroadcaster
    chat: ChatBroadcaster
    jobs: JobsBroadcaster


@asynccontextmanager
async def four_systems(serve: Serve) -> AsyncIterator[Host]:
    gateways = [
        *(MewGateway(service=MewHost()), InfraGateway(), EventsGateway()),
        *(ChatGateway(service=ChatHost()), JobsGateway()),
    ]
    app = RealtimeMiddleware(Starlette(), gateways=gateways, settings=SETTINGS)
    server = await serve(app)
    to = app.broadcaster
    yield Host(server.url, MewBroadcaster(to.of("/")), ChatBroadcaster(to.of("/chat")), JobsBroadcaster(to.of("/ws")))


def untested(module: Any, tested: list[type[Any]]) -> set[str]:
    """The events of a module's server that a test does not expect."""
    declared = {each for name, each in vars(module).items() if name.endswith("Event") and hasattr(each, "name")}
    return {event.__name__ for event in declared - set(tested)}


async def test_mew(serve: Serve) -> None:
    async with four_systems(serve) as host, mew.MewClient(host.url, auth=token("ann")) as ann:
        to = host.mew
        assert await ann.expect(mew.PresenceInitialStateEvent) == ["ann"]
        await ann.expect(mew.ReadyEvent)
        position = await to.position("general")
        await ann.message_create({"channelId": "general", "content": "hello"})
        assert await ann.expect(mew.MessageCreateEvent) == {"content": "hello"}
        await ann.message_create({"channelId": "general"})
        assert "message" in await ann.expect(mew.ErrorEvent)
        assert await ann.channel_follow({"channelId": "general", "position": position}) == {"success": True}
        assert await ann.expect(mew.MessageCreateEvent) == {"content": "hello"}
        assert await ann.auth_refresh({"token": token("ann")}) == {"success": True}
        sent: list[tuple[type[Any], Callable[[], Any], object]] = [
            (mew.MessageUpdateEvent, lambda: to.message_update("general", {"id": 1}, recipients=None), {"id": 1}),
            (mew.MessageReactionAddEvent, lambda: to.message_reaction_add("general", {}, recipients=None), {}),
            (mew.MessageReactionRemoveEvent, lambda: to.message_reaction_remove("general", {}, recipients=None), {}),
            (mew.ChannelUpdateEvent, lambda: to.channel_update("s", {"id": 2}), {"id": 2}),
            (mew.ChannelDeleteEvent, lambda: to.channel_delete("s", "old"), {"channelId": "old", "serverId": "s"}),
            (mew.CategoryUpdateEvent, lambda: to.category_update("s", {}), {}),
            (mew.CategoryDeleteEvent, lambda: to.category_delete("s", "c"), {"categoryId": "c"}),
            (mew.StickerCreateEvent, lambda: to.sticker_create("s", {}), {}),
            (mew.StickerUpdateEvent, lambda: to.sticker_update("s", {}), {}),
            (mew.StickerDeleteEvent, lambda: to.sticker_delete("s", "x"), {"stickerId": "x"}),
            (mew.DmChannelCreateEvent, lambda: to.dm_channel_create("d", {}, recipients=["ann"]), {}),
            (mew.ServerUpdateEvent, lambda: to.server_update("s", {"id": "s"}), {"id": "s"}),
            (mew.MemberJoinEvent, lambda: to.member_join("s", "bob"), {"serverId": "s", "userId": "bob"}),
            (mew.MemberLeaveEvent, lambda: to.member_leave("s", "bob"), {"serverId": "s", "userId": "bob"}),
            (mew.PermissionsUpdateEvent, lambda: to.permissions_update("s"), {"serverId": "s"}),
            (mew.ServerDeleteEvent, lambda: to.server_delete("s"), {"serverId": "s"}),
            (mew.ServerKickEvent, lambda: to.server_kick("s", "ann"), {"serverId": "s"}),
        ]
        for event, send, data in sent:
            await send()
            assert await ann.expect(event) == data
        async with mew.MewClient(host.url, auth=token("bob")):
            assert await ann.expect(mew.PresenceUpdateEvent) == {"userId": "bob", "status": "online"}
    others = [mew.PresenceInitialStateEvent, mew.ReadyEvent, mew.MessageCreateEvent, mew.ErrorEvent]
    assert untested(mew, [*(event for event, _, _ in sent), *others, mew.PresenceUpdateEvent]) == set()


async def test_infra(serve: Serve) -> None:
    async with four_systems(serve) as host:
        with pytest.raises(Refused, match="UNAUTHORIZED"):
            await infra.InfraClient(host.url, auth={"adminSecret": "wrong", "serviceType": "bots"}).connect()
        secret = {"adminSecret": "an admin secret for tests", "serviceType": "bots"}
        async with infra.InfraClient(host.url, auth=secret) as service:
            await host.mew.system_bot_config_update("bots", "b1")
            event = await service.expect(infra.SystemBotConfigUpdateEvent)
            assert event == {"serviceType": "bots", "botId": "b1"}
            with pytest.raises(Refused, match="UNAUTHORIZED"):
                await service.auth_refresh({"token": "none"})
    assert untested(infra, [infra.SystemBotConfigUpdateEvent]) == {"ErrorEvent"}  # its one event is acknowledged


async def test_events(serve: Serve) -> None:
    async with (
        four_systems(serve) as host,
        events.EventsClient(host.url, auth=token("ann")) as ann,
        events.EventsClient(host.url, auth=token("bob")) as bob,
    ):
        assert await ann.join({"room": "tea"}) == {"success": True, "room": "tea"}
        assert await bob.join({"room": "tea"}) == {"success": True, "room": "tea"}
        assert await ann.expect(events.UserJoinedEvent) == {"userId": "bob", "room": "tea"}
        assert await bob.message({"room": "tea", "content": "hello"}) == {"success": True}
        message = await ann.expect(events.MessageEvent)
        assert (message["senderId"], message["content"]) == ("bob", "hello")
        with pytest.raises(Refused) as caught:
            await ann.message({"room": "elsewhere", "content": "hello"})
        assert (caught.value.message, caught.value.code) == ("无权访问此房间", None)
        assert await bob.leave({"room": "tea"}) == {"success": True, "room": "tea"}
        assert await ann.expect(events.UserLeftEvent) == {"userId": "bob", "room": "tea"}
        assert await bob.auth_refresh({"token": token("bob")}) == {"success": True}
    tested = [events.UserJoinedEvent, events.UserLeftEvent, events.MessageEvent]
    assert untested(events, tested) == {"ErrorEvent"}  # each event of the client is acknowledged


async def test_chat(serve: Serve) -> None:
    async with four_systems(serve) as host, chat.ChatClient(host.url, auth=token("ann")) as ann:
        to = host.chat
        authenticated = await ann.expect(chat.AuthSuccessEvent)
        assert authenticated["userId"] == "ann"
        async with chat.ChatClient(host.url, auth=token("bob")) as bob:
            await bob.message({"id": "1", "fromId": "bob", "toId": "ann", "chatType": "single", "content": "hello"})
            assert (await ann.expect(chat.MessageEvent))["content"] == "hello"
            assert await bob.expect(chat.AckEvent) == {"id": "1", "status": "success"}
        await ann.read({"chatId": "bob"})
        assert await ann.expect(chat.ErrorEvent) == {"message": "not read"}
        await ann.ping()
        await ann.expect(chat.PongEvent)
        await ann.auth({"token": token("ann")})
        assert await ann.expect(chat.AuthSuccessEvent) == {"userId": "ann"}
        request: dict[str, Any] = {"request_id": "r", "from_id": "bob", "from_name": "Bob", "create_time": 5}
        invitation = {"group_id": "h", "group_name": "H", "inviter_name": "Bob"}
        revoked: dict[str, Any] = {"from_id": "bob", "to_id": "ann", "chat_type": "single"}
        sent: list[tuple[type[Any], Callable[[], Any]]] = [
            (chat.FriendRequestEvent, lambda: to.friend_request("ann", **request)),
            (chat.FriendAcceptedEvent, lambda: to.friend_accepted("ann", friend_id="bob", friend_name="Bob")),
            (chat.MessageRevokedEvent, lambda: to.message_revoked("1", **revoked)),
            (chat.GroupTransferEvent, lambda: to.group_transfer("g", "ann")),
            (chat.GroupMemberMuteEvent, lambda: to.group_member_mute("g", "bob", muted=True)),
            (chat.GroupAnnouncementEvent, lambda: to.group_announcement("g", "news")),
            (chat.GroupInviteEvent, lambda: to.group_invite("ann", **invitation)),
            (chat.GroupMemberQuitEvent, lambda: to.group_member_quit("g", "bob")),
            (chat.GroupDissolvedEvent, lambda: to.group_dissolved("g")),
            (chat.GroupMemberKickEvent, lambda: to.group_member_kick("g", "ann")),
        ]
        for event, send in sent:
            await send()
            assert await ann.expect(event)
        await to.kick("ann")
        assert await ann.expect(chat.KickEvent) == {"reason": "您的账号在其他设备登录"}
    with pytest.raises(Refused, match="令牌无效或已过期"):  # what `auth_error` says
        async with four_systems(serve) as host:
            await chat.ChatClient(host.url, auth="no token").connect()
    others = [chat.AuthSuccessEvent, chat.MessageEvent, chat.AckEvent, chat.ErrorEvent, chat.PongEvent, chat.KickEvent]
    assert untested(chat, [*(event for event, _ in sent), *others]) == {"AuthErrorEvent"}


async def test_jobs(serve: Serve) -> None:
    async with four_systems(serve) as host, jobs.JobsClient(host.url, auth=token("ann")) as client:
        assert await client.expect(Connected) is False
        established = await client.expect(jobs.ConnectionEstablishedEvent)
        assert established["heartbeatInterval"] == 30000
        await client.join_job({"jobId": "7"})
        await client.ping()
        assert await client.expect(jobs.PongEvent)
        await host.jobs.status("7", "running")
        assert (await client.expect(jobs.JobStatusEvent))["status"] == "running"
        await host.jobs.stage_completed("7", "OUTLINE")
        assert (await client.expect(jobs.StageCompletedEvent))["stage"] == "OUTLINE"
        await host.jobs.error("7", "broken")
        assert (await client.expect(jobs.JobErrorEvent))["error"] == "broken"
        await client.leave_job({"jobId": "7"})
        no_job: Any = {"jobId": None}
        await client.join_job(no_job)
        assert (await client.expect(jobs.ErrorEvent))["code"] == "INVALID_MESSAGE"
        await client.auth({"token": token("ann")})
        assert "recovery" not in await client.expect(jobs.ConnectionEstablishedEvent)
        with pytest.raises(Refused, match="UNAUTHORIZED: Authentication failed"):
            await jobs.JobsClient(host.url, auth="wrong").connect()
    tested = [jobs.ConnectionEstablishedEvent, jobs.PongEvent, jobs.JobStatusEvent, jobs.StageCompletedEvent]
    assert untested(jobs, [*tested, jobs.JobErrorEvent, jobs.ErrorEvent]) == set()
