"""The spans of broadcasts and commands in one process."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from asgi_realtime import (
    BrokerUnavailable,
    Connection,
    Limits,
    PayloadTooLarge,
    Publication,
    RealtimeMiddleware,
    Settings,
    SocketIOGateway,
    get_broadcaster,
    on,
)
from asgi_realtime.broadcasting.publisher import Publisher
from asgi_realtime.hub.hub import Hub
from asgi_realtime.testing import RealtimeTestClient
from asgi_realtime.tracing.attributes import ATTRIBUTES
from tests.support.host_spans import HostSpans
from tests.support.new_python import printed_by
from tests.support.recorded_spans import RecordedSpans

SETTINGS = Settings(
    jwt_secret="a secret of at least thirty-two bytes", presence_grace=0, limits=Limits(publication_bytes=1_000)
)


class Lobby(SocketIOGateway):
    """A room of all clients."""

    def __init__(self) -> None:
        super().__init__("/")
        self.delivered: list[Publication] = []

    def recipient_filter(self, publication: Publication) -> Callable[[Connection], bool] | None:
        self.delivered.append(publication)
        if publication.event == "bug":
            raise LookupError("of the host")
        return None

    async def on_connect(self, connection: Connection) -> None:
        await connection.join("lobby")

    @on("say")
    async def say(self, text: str) -> None:
        await self.broadcaster.broadcast_to_room("lobby", "said", text)


async def say(request: Request) -> Response:
    broadcaster = await get_broadcaster(request)
    await broadcaster.broadcast_to_room("lobby", "announced", "hello")
    return Response()


class App:
    """The app, and its spans."""

    def __init__(self, sampler: Sampler | None = None) -> None:
        self.spans = RecordedSpans(sampler)
        self.lobby = Lobby()
        self.middleware = RealtimeMiddleware(
            Starlette(routes=[Route("/say", say, methods=["POST"])]),
            gateways=[self.lobby],
            settings=SETTINGS,
            tracing=self.spans.tracing,
        )
        self.app = HostSpans(self.middleware, self.spans.tracer)


async def test_a_route_and_its_broadcast_are_one_trace() -> None:
    app = App()
    async with RealtimeTestClient(app.app) as client:
        async with (
            client.connect("/", token=client.token("ann")) as ann,
            client.connect("/", token=client.token("bob")) as bob,
        ):
            await client.http.post("/say")
            await ann.expect("announced")
            await bob.expect("announced")
    route = app.spans.one("http /say")
    publish, deliver = app.spans.one("publish / announced"), app.spans.one("deliver / announced")
    assert publish.is_child_of(route)
    assert deliver.is_child_of(publish)
    assert (publish.kind, deliver.kind) == ("PRODUCER", "CONSUMER")
    common = {
        "messaging.system": "asgi_realtime",
        "messaging.destination.name": "/",
        "messaging.message.id": publish.attributes["messaging.message.id"],
        "realtime.gateway": "/",
        "realtime.event": "announced",
        "realtime.target": "room",
        "realtime.room": "lobby",
    }
    assert publish.attributes == common | {
        "messaging.operation.name": "publish",
        "messaging.operation.type": "send",
        "messaging.message.body.size": 7,
    }
    assert deliver.attributes == common | {
        "messaging.operation.name": "deliver",
        "messaging.operation.type": "process",
        "realtime.recipients": 2,
    }


async def test_an_event_and_its_broadcast_are_one_trace() -> None:
    app = App()
    async with RealtimeTestClient(app.app) as client, client.connect("/", token=client.token("ann")) as ann:
        await ann.call("say", "hello")
        await ann.expect("said")
    event = app.spans.one("handle / say")
    publish, deliver = app.spans.one("publish / said"), app.spans.one("deliver / said")
    assert publish.is_child_of(event)
    assert deliver.is_child_of(publish)


async def test_the_ids_of_users_are_in_no_span() -> None:
    app = App()
    async with RealtimeTestClient(app.app) as client, client.connect("/", token=client.token("a-user")) as ann:
        await client.broadcaster.broadcast_to_user("a-user", "personal")
        await client.broadcaster.broadcast_to_all("everywhere", volatile=True)
        await client.broadcaster.add_user_to_room("a-user", "attic")
        await ann.expect("everywhere")
    targets = [span.attributes.get("realtime.target") for span in app.spans.all if span.name.startswith("publish")]
    assert targets == ["users", "all"]
    assert "messaging.message.id" not in app.spans.one("deliver / everywhere").attributes
    assert "a-user" not in repr(app.spans.all)


async def test_a_command_has_a_span() -> None:
    app = App()
    async with RealtimeTestClient(app.app) as client, client.connect("/", token=client.token("ann")):
        await client.broadcaster.add_user_to_room("ann", "attic")
        await client.broadcaster.disconnect_user("ann")
    added, ended = app.spans.one("command / add"), app.spans.one("command disconnect")
    assert (added.kind, added.status, added.attributes["realtime.command"]) == ("PRODUCER", "UNSET", "add")
    assert "realtime.gateway" not in ended.attributes


async def test_failures_are_the_status_of_a_span() -> None:
    app = App()
    broadcaster = app.middleware.broadcaster
    with pytest.raises(BrokerUnavailable):
        await broadcaster.broadcast_to_all("too early")
    with pytest.raises(BrokerUnavailable):
        await broadcaster.close_room("lobby")
    async with RealtimeTestClient(app.app) as client, client.connect("/", token=client.token("ann")):
        with pytest.raises(PayloadTooLarge):
            await broadcaster.broadcast_to_all("large", "x" * 2_000)
        await broadcaster.broadcast_to_all("bug")
    failed = {span.name: span.attributes["error.type"] for span in app.spans.all if span.status == "ERROR"}
    assert failed == {
        "publish / too early": "asgi_realtime.errors.BrokerUnavailable",
        "command / close_room": "asgi_realtime.errors.BrokerUnavailable",
        "publish / large": "asgi_realtime.errors.PayloadTooLarge",
        "deliver / bug": "LookupError",
    }
    assert app.spans.one("deliver / bug").exceptions == ["LookupError"]


@pytest.mark.parametrize("sampler", [ALWAYS_OFF, ParentBased(ALWAYS_OFF)], ids=["off", "by parent"])
async def test_a_trace_that_is_not_sampled_carries_nothing(sampler: Sampler) -> None:
    app = App(sampler)
    async with RealtimeTestClient(app.app) as client, client.connect("/", token=client.token("ann")) as ann:
        await ann.call("say", "hello")
        await client.http.post("/say")
        await ann.expect("announced")
    assert app.spans.all == []
    assert [type(publication) for publication in app.lobby.delivered] == [Publication] * 2


async def test_what_a_handler_does_is_sampled_as_its_event() -> None:
    """A handler of an event that is not sampled begins no other trace."""
    app = App(ParentBased(ALWAYS_OFF))
    seen: list[bool] = []

    @app.lobby.on("query")
    async def query() -> None:
        with app.spans.tracer.start_as_current_span("SELECT") as span:
            seen.append(span.get_span_context().trace_flags.sampled)

    async with RealtimeTestClient(app.app) as client, client.connect("/", token=client.token("ann")) as ann:
        await ann.call("query")
    assert (seen, app.spans.all) == ([False], [])


async def test_a_broadcast_outside_of_a_span_begins_a_trace() -> None:
    app = App(ParentBased(ALWAYS_ON))
    async with RealtimeTestClient(app.app) as client, client.connect("/", token=client.token("ann")):
        await client.broadcaster.broadcast_to_all("news")
    publish = app.spans.one("publish / news")
    assert publish.parent_id is None
    assert app.spans.one("deliver / news").is_child_of(publish)


async def test_only_declared_attributes_are_used() -> None:
    app = App()
    async with RealtimeTestClient(app.app) as client, client.connect("/", token=client.token("ann")) as ann:
        await ann.call("say", 1)
        await ann.call("say", "hello")
        await client.broadcaster.broadcast_to_all("bug")
        await client.broadcaster.add_user_to_room("ann", "attic")
        with pytest.raises(PayloadTooLarge):
            await client.broadcaster.broadcast_to_all("large", "x" * 2_000)
    used: dict[str, set[str]] = {}
    for span in app.spans.all:
        if span.attributes:
            used.setdefault(span.attributes["messaging.operation.name"], set()).update(span.attributes)
    declared = {
        operation: {each.name for each in ATTRIBUTES if operation in each.spans}
        for operation in ("handle", "publish", "deliver", "command")
    }
    assert used == declared | {"command": declared["command"] - {"error.type"}}


# Off


async def test_without_tracing_the_parts_know_nothing_of_it() -> None:
    lobby = Lobby()
    app = RealtimeMiddleware(Starlette(), gateways=[lobby], settings=SETTINGS)
    assert (type(app.realtime.hub), type(app.realtime.publisher)) == (Hub, Publisher)
    async with RealtimeTestClient(app) as client:
        headers = {"traceparent": "00-" + "1" * 32 + "-" + "1" * 16 + "-01"}
        async with client.connect("/", token=client.token("ann"), headers=headers) as ann:
            await ann.call("say", "hello")
            assert type(ann.connection.handshake).__name__ == "Handshake"
    assert [type(publication) for publication in lobby.delivered] == [Publication]


def test_without_the_extra_the_error_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['opentelemetry'] = None; import asgi_realtime\n"
        "try:\n    asgi_realtime.OpenTelemetryTracing\nexcept ImportError as error:\n    print(error)"
    )
    assert "pip install 'asgi_realtime[tracing]'" in printed_by(program)
