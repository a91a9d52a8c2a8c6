"""The declarations of a gateway's events: each event is declared once."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import fastapi
import msgspec
import pydantic
import pytest

from asgi_realtime import (
    ConfigurationError,
    Connection,
    FlatJSONDialect,
    Identity,
    InfraGateway,
    MessageCreate,
    MewGateway,
    Realtime,
    Settings,
    SocketIOGateway,
    WebSocketGateway,
    on,
)
from asgi_realtime.gateways import replies
from asgi_realtime.gateways.declarations import declarations
from asgi_realtime.gateways.replies import NewToken, Success
from asgi_realtime.handlers.event_declarations import EventDeclaration, down, up
from asgi_realtime.systems.mew.events import ErrorMessage, Message, PermissionsUpdate

SETTINGS = Settings(jwt_secret="a secret for tests that is long enough")


class Stroke(msgspec.Struct):
    board: str


class BoardGateway(SocketIOGateway):
    events = (down("drawn", Stroke, to="the board"), up("erase", str, effect="erases the board of that name"))

    @on("stroke")
    async def stroke(self, stroke: Stroke, connection: Connection, identity: Identity) -> int:
        """Draws a stroke.

        And more.
        """
        return 1

    @on("move")
    async def move(self, x: int, y: int) -> None: ...

    @on("clear")
    def clear(self, *rest: Any) -> None: ...

    @on("erase")
    async def erase(self, sent: Any) -> None: ...


class DeskGateway(WebSocketGateway):
    @on("order", once="board")
    async def order(self, order: Stroke) -> int:
        return 1


def by_name(gateway: Any, direction: str) -> dict[str, EventDeclaration]:
    return {event.name: event for event in declarations(gateway) if event.direction == direction}


def test_handlers_declare_what_clients_send() -> None:
    events = by_name(BoardGateway, "up")
    assert events["stroke"] == up("stroke", Stroke, acknowledgement=int, effect="Draws a stroke.")
    assert events["move"] == up("move", tuple[int, int], effect="")
    assert events["clear"] == up("clear", effect="")
    assert events["erase"].payload is str
    assert events["auth/refresh"].payload is NewToken
    assert events["auth/refresh"].acknowledgement is Success


def test_inherited_handlers_come_last_and_are_replaced_by_name() -> None:
    assert [event.name for event in declarations(BoardGateway) if event.direction == "down"] == ["drawn", "error"]
    assert by_name(BoardGateway, "down")["error"].payload is replies.ErrorMessage
    assert by_name(MewGateway, "down")["error"].payload is ErrorMessage


def test_an_instance_knows_the_handlers_it_was_given() -> None:
    gateway = SocketIOGateway("/tea")

    @gateway.on("pour")
    async def pour(cups: int, connection: Connection) -> None:
        """Pours tea."""

    assert by_name(gateway, "up")["pour"] == up("pour", int, effect="Pours tea.")
    assert "pour" not in by_name(SocketIOGateway, "up")


def test_mew_and_infra_declare_the_events_of_the_contract() -> None:
    mew = by_name(MewGateway, "down")
    assert mew["MESSAGE_CREATE"].payload is Message
    assert mew["PERMISSIONS_UPDATE"].payload is PermissionsUpdate
    assert mew["ready"].payload is None
    assert by_name(MewGateway, "up")["message/create"] == up(
        "message/create", MessageCreate, effect="Pass the message to the host. The result arrives as `MESSAGE_CREATE`."
    )
    assert set(by_name(InfraGateway, "down")) == {"SYSTEM_BOT_CONFIG_UPDATE", "error"}


@dataclasses.dataclass
class Constrained:
    text: Annotated[str, object()]


class StructOfModel(msgspec.Struct):
    model: Annotated[pydantic.HttpUrl, pydantic.Field(max_length=99)]


@pytest.mark.parametrize(
    ("declaration", "named"),
    [
        (up("x", Annotated[str, fastapi.Depends(up)], effect=""), "Depends"),
        (down("x", Annotated[str, fastapi.Query()], to=""), "Query"),
        (down("x", Constrained, to=""), "field text of Constrained"),
        (up("x", int, acknowledgement=list[Constrained], effect=""), "field text of Constrained"),
        (up("x", StructOfModel, effect=""), "field model of StructOfModel"),
        (up("x", {"text": str}, effect=""), "not a payload type"),
        (down("x", "Message", to=""), "no payload type"),
        (down("x", fastapi.Request, to=""), "Request"),
    ],
)
async def test_a_declaration_that_neither_library_understands_ends_the_start_up(declaration: Any, named: str) -> None:
    class Declared(SocketIOGateway):
        events = (declaration,)

    with pytest.raises(ConfigurationError, match=f"Declared.events: 'x': .*{named}"):
        async with Realtime(gateways=[Declared("/")], settings=SETTINGS):
            pass


async def test_a_sent_payload_may_mix_msgspec_and_pydantic_types() -> None:
    class Declared(SocketIOGateway):
        events = (
            down("x", StructOfModel, to=""),
            down("y", pydantic.HttpUrl | None, to=""),
            up("z", object, effect=""),
        )

    async with Realtime(gateways=[Declared("/")], settings=SETTINGS):
        pass


def test_a_json_gateway_with_an_event_that_is_handled_once_sends_ack() -> None:
    assert by_name(DeskGateway, "down")["ack"].payload is replies.EventAck
    assert by_name(DeskGateway("/desk"), "down")["ack"].payload is replies.EventAck
    assert "ack" not in by_name(WebSocketGateway, "down")
    assert "ack" not in by_name(BoardGateway, "down")


class FlatGateway(WebSocketGateway):
    events = (down("moved", Stroke, to="all"), up("erase", Stroke, effect="erases"))
    wire = FlatJSONDialect()

    @on("draw")
    async def draw(self, stroke: Stroke) -> None: ...


def test_all_events_of_clients_are_flat_if_the_gateway_reads_flat_frames() -> None:
    gateway = WebSocketGateway("/flat")
    gateway.wire = FlatJSONDialect()
    for found, names in ((FlatGateway, {"auth", "ping", "erase", "draw"}), (gateway, {"auth", "ping"})):
        assert {name: event.flat for name, event in by_name(found, "up").items()} == dict.fromkeys(names, True)
        assert not any(event.flat for event in by_name(found, "down").values())
    assert not by_name(WebSocketGateway("/x"), "up")["auth"].flat
