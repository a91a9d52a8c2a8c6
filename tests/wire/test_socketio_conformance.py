"""Conformance with the Socket.IO v5 protocol, packet by packet, of both APIs and over both transports.

Heartbeats and the time to connect are long here unless a test is about them, so a session that
ends was ended because of what was sent.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from asgi_realtime import Limits, Mountable, Settings
from tests.support.echo_app import EchoApp, echo_gateways, echo_server
from tests.support.raw_engineio import (
    TRANSPORTS,
    RawClient,
    SessionClosed,
    TransportName,
    raw_client,
    read_until_closed,
    receive_json,
)
from tests.support.servers import IMPLEMENTATIONS, Implementation, LiveServer, Serve

SLOW = Settings(ping_interval=25.0, ping_timeout=20.0, limits=Limits(connect_timeout=20.0))


@pytest.fixture(params=[echo_gateways, echo_server], ids=["gateway", "server"])
def gateways(request: pytest.FixtureRequest) -> list[Mountable]:
    make: Callable[[], list[Mountable]] = request.param
    return make()


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> TransportName:
    name: TransportName = request.param
    return name


@pytest.fixture
async def server(gateways: list[Mountable], serve: Serve) -> LiveServer:
    return await serve(EchoApp(gateways, SLOW))


async def enter(client: RawClient, namespace: str = "/") -> None:
    """Connect to a namespace and take the server's answer."""
    prefix = "" if namespace == "/" else namespace + ","
    await client.send("0" + prefix)
    await receive_json(client, "0" + prefix)
    assert await receive_json(client, "2" + prefix) == ["auth", {}]


async def still_answers(client: RawClient) -> None:
    """Fail unless the main namespace echoes, with nothing else before the echo."""
    await client.send('2["message","still here"]')
    assert await client.receive() == '2["message-back","still here"]'


class TestConnect:
    @pytest.mark.parametrize("prefix", ["", "/custom,"])
    @pytest.mark.parametrize("auth", ["", '{"token":"123"}'])
    async def test_is_answered_with_an_id_and_nothing_else(
        self, server: LiveServer, transport: TransportName, prefix: str, auth: str
    ) -> None:
        async with raw_client(server, transport) as client:
            await client.send("0" + prefix + auth)
            answer = await receive_json(client, "0" + prefix)
            assert set(answer) == {"sid"} and isinstance(answer["sid"], str)
            assert answer["sid"] != client.handshake["sid"], "the id of the transport is a secret"
            assert await client.receive() == f'2{prefix}["auth",{auth or "{}"}]'

    async def test_needs_no_comma_after_the_namespace(self, server: LiveServer, transport: TransportName) -> None:
        async with raw_client(server, transport) as client:
            await client.send("0/custom")
            await receive_json(client, "0/custom,")

    async def test_to_an_unknown_namespace_is_refused_and_the_transport_kept(
        self, server: LiveServer, transport: TransportName
    ) -> None:
        async with raw_client(server, transport) as client:
            await client.send("0/random")
            assert await client.receive() == '4/random,{"message":"Invalid namespace"}'
            await enter(client)
            await still_answers(client)

    async def test_gives_each_namespace_an_id_of_its_own(self, server: LiveServer, transport: TransportName) -> None:
        async with raw_client(server, transport) as client:
            await client.send("0", "0/custom,")
            messages = [await client.receive() for _ in range(4)]
        ids = [message for message in messages if isinstance(message, str) and message.startswith("0")]
        assert len(ids) == 2 and ids[0][-25:] != ids[1][-25:]

    async def test_that_never_comes_ends_the_session(
        self, gateways: list[Mountable], serve: Serve, transport: TransportName
    ) -> None:
        settings = dataclasses.replace(SLOW, limits=Limits(connect_timeout=0.2))
        server = await serve(EchoApp(gateways, settings))
        async with raw_client(server, transport) as client:
            assert await read_until_closed(client) == []


class TestDisconnect:
    async def test_leaves_the_transport_open(self, server: LiveServer, transport: TransportName) -> None:
        async with raw_client(server, transport) as client:
            await enter(client)
            await client.send("1")
            await enter(client)
            await still_answers(client)

    async def test_from_one_namespace_leaves_the_other(self, server: LiveServer, transport: TransportName) -> None:
        async with raw_client(server, transport) as client:
            await enter(client)
            await enter(client, "/custom")
            await client.send("1/custom,")
            await still_answers(client)

    async def test_is_the_end_of_events(self, server: LiveServer, transport: TransportName) -> None:
        async with raw_client(server, transport) as client:
            await enter(client)
            await enter(client, "/custom")
            await client.send("1/custom,", '2/custom,["message",1]')
            await still_answers(client)


class TestEvents:
    @pytest.mark.parametrize(
        "arguments",
        ['1,"2",{"3":[true]}', "null", '""', "[]", '"ünï ☃ 😀"', "-0.5", '{"a":{"b":[{"c":[[]]}]}}'],
    )
    async def test_carry_any_json(self, server: LiveServer, transport: TransportName, arguments: str) -> None:
        async with raw_client(server, transport) as client:
            await enter(client)
            await client.send(f'2["message",{arguments}]')
            assert await client.receive() == f'2["message-back",{arguments}]'

    async def test_may_have_no_argument(self, server: LiveServer, transport: TransportName) -> None:
        async with raw_client(server, transport) as client:
            await enter(client)
            await client.send('2["message"]')
            assert await client.receive() == '2["message-back"]'

    @pytest.mark.parametrize("prefix", ["", "/custom,"])
    async def test_carry_binary(self, server: LiveServer, transport: TransportName, prefix: str) -> None:
        placeholders = '{"_placeholder":true,"num":0},{"a":[{"_placeholder":true,"num":1}]}'
        async with raw_client(server, transport) as client:
            await enter(client, prefix.rstrip(",") or "/")
            await client.send(f'52-{prefix}["message",{placeholders}]', b"\1\2\3", b"")
            received = [await client.receive() for _ in range(3)]
            assert received == [f'52-{prefix}["message-back",{placeholders}]', b"\1\2\3", b""]

    @pytest.mark.parametrize("prefix", ["", "/custom,"])
    @pytest.mark.parametrize("ack_id", ["0", "456", "9007199254740991"])
    async def test_are_acknowledged(
        self, server: LiveServer, transport: TransportName, prefix: str, ack_id: str
    ) -> None:
        async with raw_client(server, transport) as client:
            await enter(client, prefix.rstrip(",") or "/")
            await client.send(f'2{prefix}{ack_id}["message-with-ack",1,"2",{{"3":[false]}}]')
            assert await client.receive() == f'3{prefix}{ack_id}[1,"2",{{"3":[false]}}]'

    async def test_are_acknowledged_with_binary(self, server: LiveServer, transport: TransportName) -> None:
        placeholders = '{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}'
        async with raw_client(server, transport) as client:
            await enter(client)
            await client.send(f'52-789["message-with-ack",{placeholders}]', b"\1\2\3", b"\4\5\6")
            assert [await client.receive() for _ in range(3)] == [f"62-789[{placeholders}]", b"\1\2\3", b"\4\5\6"]

    async def test_arrive_in_the_order_sent(self, server: LiveServer, transport: TransportName) -> None:
        async with raw_client(server, transport) as client:
            await enter(client)
            await client.send(*[f'2["message",{number}]' for number in range(40)])
            assert [await client.receive() for _ in range(40)] == [f'2["message-back",{n}]' for n in range(40)]

    async def test_unrequested_answers_are_ignored(self, server: LiveServer, transport: TransportName) -> None:
        async with raw_client(server, transport) as client:
            await enter(client)
            await client.send('3123["late"]')
            await still_answers(client)


MALFORMED = {
    "unknown packet type": "abc",
    "packet type out of range": "7",
    "no packet type": "",
    "payload of an object": "2{}",
    "payload of a string": '2"message"',
    "event without a payload": "2",
    "event without a name": "2[]",
    "event with a number for a name": "2[1]",
    "event with an object for a name": '2[{"a":1}]',
    "payload cut short": '2["message"',
    "more after the payload": '2["message"]]',
    "no JSON at all": "2[message]",
    "NaN": '2["message",NaN]',
    "ack id of letters": '2abc["message-with-ack",1]',
    "negative ack id": '2-1["message-with-ack",1]',
    "ack that is no array": "31{}",
    "ack without an id": '3["message"]',
    "connect_error from a client": '4{"message":"no"}',
    "event in a namespace never asked for": '2/custom,["message",1]',
    "binary event without a count": '5["message",{"_placeholder":true,"num":0}]',
    "negative count of attachments": '5-1-["message",{"_placeholder":true,"num":0}]',
    "more attachments than are allowed": '51000000-["message",{"_placeholder":true,"num":0}]',
    "a reserved event: connect": '2["connect",{"user":"root"}]',
    "a reserved event: disconnect": '2["disconnect","because"]',
    "a reserved event: connect_error": '2["connect_error",{}]',
    "nested beyond reason": '2["message",' + "[" * 100_000 + "]" * 100_000 + "]",
}


class TestMalformed:
    @pytest.fixture
    def gateways(self) -> list[Mountable]:
        """One API is enough: packets are checked before either API is called."""
        return echo_gateways()

    @pytest.mark.parametrize("message", MALFORMED.values(), ids=MALFORMED.keys())
    async def test_packets_end_the_session(self, server: LiveServer, transport: TransportName, message: str) -> None:
        async with raw_client(server, transport) as client:
            await enter(client)
            await client.send(message)
            assert await read_until_closed(client) == []

    @pytest.mark.parametrize("message", ["abc", "2{}", '2["message",1]', '0{"token":', "0[]", "1", '3["x"]'])
    async def test_packets_before_connect_end_the_session(
        self, server: LiveServer, transport: TransportName, message: str
    ) -> None:
        async with raw_client(server, transport) as client:
            await client.send(message)
            assert await read_until_closed(client) == []

    async def test_unannounced_binary_ends_the_session(self, server: LiveServer, transport: TransportName) -> None:
        async with raw_client(server, transport) as client:
            await enter(client)
            await client.send(b"\1\2\3")
            assert await read_until_closed(client) == []

    async def test_text_in_the_place_of_binary_ends_the_session(
        self, server: LiveServer, transport: TransportName
    ) -> None:
        async with raw_client(server, transport) as client:
            await enter(client)
            await client.send('51-["message",{"_placeholder":true,"num":0}]', '2["message",1]')
            assert await read_until_closed(client) == []

    @pytest.mark.parametrize("number", ["1", "-1", '"0"', "null", "0.5", "1e400"])
    async def test_placeholders_that_name_no_attachment_end_the_session(
        self, server: LiveServer, transport: TransportName, number: str
    ) -> None:
        async with raw_client(server, transport) as client:
            await enter(client)
            await client.send(f'51-["message",{{"_placeholder":true,"num":{number}}}]', b"\1")
            assert await read_until_closed(client) == []

    async def test_packets_of_one_client_do_not_concern_another(
        self, server: LiveServer, transport: TransportName
    ) -> None:
        async with raw_client(server, transport) as well_behaved, raw_client(server, transport) as hostile:
            await enter(well_behaved)
            await enter(hostile)
            await hostile.send("abc")
            await read_until_closed(hostile)
            await still_answers(well_behaved)


class TestHeartbeat:
    SETTINGS = dataclasses.replace(SLOW, ping_interval=0.1, ping_timeout=0.2)

    @pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
    async def test_keeps_a_session_that_answers(
        self, serve: Serve, transport: TransportName, implementation: Implementation
    ) -> None:
        server = await serve(EchoApp(echo_gateways(), self.SETTINGS), implementation)
        async with raw_client(server, transport) as client:
            await enter(client)
            for _ in range(5):
                assert await client.receive_packet() == "2"
                await client.pong()
            await still_answers(client)

    @pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
    async def test_ends_a_session_that_does_not(
        self, serve: Serve, transport: TransportName, implementation: Implementation
    ) -> None:
        server = await serve(EchoApp(echo_gateways(), self.SETTINGS), implementation)
        async with raw_client(server, transport) as client:
            await enter(client)
            assert await client.receive_packet() == "2"
            with pytest.raises(SessionClosed):
                await client.receive_packet()
