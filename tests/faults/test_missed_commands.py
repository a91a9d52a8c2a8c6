"""A process that was cut off from Redis and cannot know which commands it missed. Its clients connect again."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from asgi_realtime import Settings, create_token
from asgi_realtime.broker.redis import RedisBroker
from asgi_realtime.redis.keys import COMMANDS, SHARED, Keys
from asgi_realtime.redis.server import RedisServer
from asgi_realtime.values.commands import (
    CloseRoom,
    Command,
    DisconnectUser,
    EndAll,
    EndRevoked,
    RemoveFromRoom,
    RevokeToken,
)
from asgi_realtime.values.ids import GatewayName, RoomName, UserId
from asgi_realtime.values.publications import Publication, Subscription, ToRoom
from tests.support.cluster import SECRET, Cluster
from tests.support.node_client import Node
from tests.support.recording_receiver import RecordingReceiver
from tests.support.redis_proxy import RedisProxy, redis_proxy
from tests.support.redis_server import RedisProcess
from tests.support.waiting import until

GATEWAY = GatewayName("/")
LOBBY = Subscription(GATEWAY, ToRoom(RoomName("lobby")))
NEWS = Publication(gateway=GATEWAY, target=LOBBY.target, event="news")
FIRST, LAST = CloseRoom(GATEWAY, RoomName("first")), CloseRoom(GATEWAY, RoomName("last"))
KICK = RemoveFromRoom(GATEWAY, UserId("ada"), RoomName("lobby"))
DISCONNECT = DisconnectUser(GATEWAY, UserId("ada"), 1008, "kicked")
SHORT = 0.6
"""Seconds of history, for outages that are longer. Redis keeps its keys for a second more.

A process whose event loop stops for longer than this may miss commands too, so it must be longer than the pauses of a
busy machine."""
EVERYWHERE = DisconnectUser(None, UserId("ada"), 1008, "kicked")


class Pair:
    """Two processes. The connection of one of them to Redis can be cut."""

    def __init__(self, stack: AsyncExitStack, redis: RedisProcess, proxy: RedisProxy) -> None:
        self._stack = stack
        self._redis = redis
        self._proxy = proxy
        self._prefix = f"test-{secrets.token_hex(4)}"

    async def start(self, *subscriptions: Subscription, ttl: float = 60.0) -> None:
        """Start both. `ttl`: seconds of history."""
        self.cut_off, self.received = await self._start(self._proxy.url, ttl)
        self.connected, _ = await self._start(self._redis.url, ttl)
        await self.cut_off.subscribe(subscriptions)
        if subscriptions:
            await self.connected.command(FIRST)
            await self.until_received(FIRST)

    async def _start(self, url: str, ttl: float) -> tuple[RedisBroker, RecordingReceiver]:
        broker, receiver = RedisBroker(RedisServer(url), prefix=self._prefix, history_ttl=ttl), RecordingReceiver()
        await broker.start(receiver)
        self._stack.push_async_callback(broker.stop)
        await until(lambda: broker.ready)
        return broker, receiver

    async def cut(self) -> None:
        """Cut the first process off, until `reconnect`."""
        self._proxy.refusing = True
        self._proxy.cut()
        await until(lambda: not self.cut_off.ready)

    async def until_expired(self) -> None:
        """Wait until Redis has removed the commands of the gateway."""
        keys = Keys(self._prefix, GATEWAY)
        with self._redis.client() as client:
            await until(lambda: not client.exists(keys.last(COMMANDS), keys.history(COMMANDS)))

    def remove_commands(self, *, numbers: bool = True) -> None:
        """Remove the commands that Redis keeps, and their numbers, as it does some time after `MEW_HISTORY_TTL`."""
        with self._redis.client() as client:
            for gateway in (GATEWAY, SHARED):
                keys = Keys(self._prefix, gateway)
                client.delete(keys.history(COMMANDS), *([keys.last(COMMANDS)] if numbers else []))

    def lose_everything(self) -> None:
        """Remove everything that Redis has."""
        with self._redis.client() as client:
            client.delete(*client.scan_iter(f"{self._prefix}:*"))

    async def reconnect(self, *expected: Command) -> None:
        """Connect the first process, and wait until it has carried these out, and later commands too."""
        self._proxy.refusing = False
        await until(lambda: self.cut_off.ready)
        before = self.received.commands.count(LAST)
        await self.connected.command(LAST)
        await until(lambda: self.received.commands.count(LAST) > before)
        assert [each for each in self.received.commands if not isinstance(each, EndRevoked)] == [*expected, LAST]

    async def until_received(self, command: Command) -> None:
        await until(lambda: command in self.received.commands)


@pytest.fixture
async def pair(redis_process: RedisProcess) -> AsyncIterator[Pair]:
    async with redis_proxy(redis_process.socket) as proxy, AsyncExitStack() as stack:
        yield Pair(stack, redis_process, proxy)


@pytest.mark.parametrize("command", [KICK, DISCONNECT])
async def test_a_missed_command_closes_the_clients_of_the_gateway(pair: Pair, command: Command) -> None:
    await pair.start(LOBBY)
    await pair.cut()
    await pair.connected.command(command)
    pair.remove_commands()
    await pair.reconnect(FIRST, EndAll(GATEWAY))
    assert pair.received.resyncs == []


async def test_a_missed_command_for_all_gateways_closes_the_clients_of_all(pair: Pair) -> None:
    await pair.start(LOBBY)
    await pair.cut()
    await pair.connected.command(EVERYWHERE)
    pair.remove_commands()
    await pair.reconnect(FIRST, EndAll(None))


async def test_a_command_that_history_still_has_closes_nothing(pair: Pair) -> None:
    await pair.start(LOBBY)
    await pair.cut()
    await pair.connected.command(KICK)
    await pair.reconnect(FIRST, KICK)


async def test_an_outage_longer_than_history_closes_clients_only_if_commands_were_given(pair: Pair) -> None:
    await pair.start(LOBBY, ttl=SHORT)
    await pair.cut()
    await pair.until_expired()
    await pair.connected.publish(NEWS)
    await pair.reconnect(FIRST)
    assert (GATEWAY, [LOBBY]) in pair.received.resyncs
    await pair.cut()
    await pair.connected.command(KICK)
    await pair.until_expired()
    await pair.reconnect(FIRST, LAST, EndAll(GATEWAY))


@pytest.mark.parametrize("numbers", [True, False])
async def test_a_missed_revocation_closes_nothing_because_it_is_kept(pair: Pair, numbers: bool) -> None:
    await pair.start(LOBBY)
    await pair.cut()
    await pair.connected.command(RevokeToken("j1"))
    pair.remove_commands(numbers=numbers)
    await pair.reconnect(FIRST)
    assert EndRevoked() in pair.received.commands


async def test_a_process_that_was_away_longer_than_history_closes_its_clients_if_redis_lost_its_data(
    pair: Pair,
) -> None:
    await pair.start(LOBBY, ttl=SHORT)
    await pair.cut()
    await pair.until_expired()
    pair.lose_everything()
    await pair.connected.publish(NEWS)
    await pair.reconnect(FIRST, EndAll(None), EndAll(GATEWAY))


async def test_clients_that_came_during_the_outage_are_closed_if_commands_were_given(pair: Pair) -> None:
    await pair.start()
    await pair.cut()
    pair.cut_off.expect([LOBBY])
    await pair.connected.command(KICK)
    await pair.reconnect(EndAll(GATEWAY))


async def test_clients_that_came_during_the_outage_stay_if_there_was_no_command(pair: Pair) -> None:
    await pair.start()
    await pair.cut()
    pair.cut_off.expect([LOBBY])
    await pair.connected.publish(NEWS)
    await pair.reconnect()


async def test_kicked_clients_of_a_process_that_was_cut_off_come_back_without_their_rooms(
    tmp_path: Path, redis_process: RedisProcess, node: Node
) -> None:
    async with redis_proxy(redis_process.socket) as proxy, Cluster(tmp_path, redis_process.url) as cluster:
        other = await cluster.start()
        cut_off = await cluster.start(MEW_REDIS_URL=proxy.url, MEW_ON_BROKER_DOWN="local")
        auth = {"token": create_token("ada", Settings(jwt_secret=SECRET))}
        ada = await node.connect(cut_off.url, auth=auth, transports=["websocket"], reconnection=True)
        bob, eve = await cut_off.connect("bob"), await other.connect("eve")
        for client in (ada, bob, eve):
            await client.call("join", "lobby")
        proxy.refusing = True
        proxy.cut()
        await until(lambda: "connecting again" in cut_off.process.output)

        await other.call("remove_user_from_room", "ada", "lobby")
        await other.call("disconnect_user", "bob", gateway="/")
        await other.call("broadcast_to_room", "lobby", "secret")
        keys = Keys(cluster.prefix, GATEWAY)
        with redis_process.client() as client:
            client.delete(keys.last(COMMANDS), keys.history(COMMANDS))
        proxy.refusing = False
        assert await bob.disconnection() in ("transport close", "transport error")
        assert await ada.disconnection(timeout=10) == "transport close"
        await until(lambda: ada.connected, seconds=20)  # by itself
        await other.call("broadcast_to_room", "lobby", "secret")
        await other.call("broadcast_to_user", "ada", "personal")
        await ada.expect("personal")
        assert "secret" not in [each.event for each in [*ada.events, *bob.events]]
        assert [each.event for each in eve.events] == ["secret", "secret"]
        assert cut_off.process.output.count("commands, such as the removal of a user from a room, may be missing") == 1
        assert "Traceback" not in cut_off.process.output
        await ada.disconnect()
        await eve.disconnect()
