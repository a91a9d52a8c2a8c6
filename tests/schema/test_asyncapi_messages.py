"""Messages and schemas of AsyncAPI documents."""

from __future__ import annotations

import json
from typing import Generic, TypeVar

import msgspec
import pytest

from asgi_realtime import FlatJSONDialect, Limits, SocketIOGateway, WebSocketGateway, down, on, up
from asgi_realtime.schema.asyncapi.document import asyncapi
from tests.support.boards import Fixed, Move, Stroke, host_document, payload_of, references


def test_what_the_server_sends_has_all_fields_and_what_clients_send_may_lack_those_with_a_default() -> None:
    document = host_document()
    schemas = document["components"]["schemas"]
    assert schemas["board.Stroke-Input"]["required"] == ["boardId", "colour"]
    assert schemas["board.Stroke-Output"]["required"] == ["boardId", "colour", "points", "under"]
    assert schemas["board.Move-Input"]["required"] == ["x", "y"]
    assert schemas["board.Move-Output"]["required"] == ["x", "y", "tags"]
    assert schemas["board.Order-Output"]["required"] == ["dish", "count"]
    assert schemas["board.Order-Input"]["required"] == ["dish"]
    assert schemas["board.Partial"]["required"] == ["a"]
    assert schemas["board.Stroke-Input"]["properties"]["under"]["anyOf"] == [
        {"$ref": "#/components/schemas/board.Stroke-Input"},
        {"type": "null"},
    ]
    assert schemas["board.Page-Output"]["properties"]["stroke"] == {"$ref": "#/components/schemas/board.Stroke-Output"}
    assert schemas["board.Colour"]["enum"] == ["blue", "red"]


def test_a_pydantic_model_inside_a_struct_has_its_schema() -> None:
    schemas = host_document()["components"]["schemas"]
    assert schemas["board.Menu"]["properties"]["order"] == {"$ref": "#/components/schemas/board.Order-Output"}


Row = TypeVar("Row")


class Page(msgspec.Struct, Generic[Row]):
    rows: list[Row]
    total: int = 0


def test_a_generic_struct_has_a_schema_for_each_of_its_forms() -> None:
    events = (down("numbers", Page[int], to="all"), down("names", Page[str], to="all"))
    schemas = asyncapi([type("PagesGateway", (SocketIOGateway,), {"events": events})])["components"]["schemas"]
    items = [schema["properties"]["rows"]["items"] for name, schema in schemas.items() if "Page" in name]
    assert items == [{"type": "integer"}, {"type": "string"}]
    assert [schema["required"] for name, schema in schemas.items() if "Page" in name] == [["rows", "total"]] * 2


@pytest.mark.parametrize("payload", [object, list[object], dict[str, object]])
def test_an_object_is_any_value(payload: object) -> None:
    gateway = type("AnyGateway", (SocketIOGateway,), {"events": (down("any", payload, to="all"),)})
    schema = payload_of(asyncapi([gateway]), "send.any", "any")
    if payload is object:
        assert schema == {}
    else:
        assert {"$comment": "any value"} in (schema.get("items"), schema.get("additionalProperties"))


def test_schemas_are_of_the_draft_that_asyncapi_uses() -> None:
    schemas = host_document()["components"]["schemas"]
    points = schemas["board.Stroke-Input"]["properties"]["points"]
    assert points["items"] == [{"type": "number"}, {"type": "number"}]
    assert points["additionalItems"] is False
    assert "prefixItems" not in json.dumps(host_document())
    assert schemas["board.Image"]["properties"]["data"] == {"type": "string", "format": "binary"}
    assert "discriminator" not in json.dumps(host_document())
    assert all(len(one) == 1 for one in references(host_document()))


def test_messages_of_socketio_are_events_with_their_arguments() -> None:
    document = host_document()
    messages = document["channels"]["board"]["messages"]
    assert messages["send.stroke"]["name"] == "stroke"
    assert messages["send.stroke"]["summary"] == "To all clients at the board."
    assert messages["send.stroke"]["payload"] == {"$ref": "#/components/schemas/board.Stroke-Output"}
    assert messages["receive.move_to"]["name"] == "move/to"
    assert "payload" not in messages["send.u6d88u606f"]
    two = messages["receive.order"]
    assert two["x-socketio"] == {"event": "order", "arguments": 2}
    assert two["payload"]["items"] == [{"$ref": "#/components/schemas/board.Order-Input"}, {"type": "string"}]
    assert payload_of(document, "send.item") == {"title": "Item", "description": "An object of the application."}
    assert payload_of(document, "receive.draw")["description"] == "A line that a user drew."


def test_names_that_differ_in_special_characters_have_keys_of_their_own() -> None:
    gateway = type("Odd", (SocketIOGateway,), {"events": tuple(down(name, to="all") for name in ("a/b", "a:b", "a b"))})
    messages = asyncapi([gateway])["channels"]["odd"]["messages"]
    assert [messages[key]["name"] for key in ("send.a_b", "send.a_b_2", "send.a_b_3")] == ["a/b", "a:b", "a b"]


def test_frames_have_their_type_and_the_payload_in_data_or_beside_it() -> None:
    document = host_document()
    flat, fixed = payload_of(document, "send.grown", "stream"), payload_of(document, "send.fixed", "stream")
    assert flat["required"] == ["type", "boardId", "colour", "points", "under"]
    assert flat["properties"]["type"] == {"type": "string", "const": "grown"}
    assert "offset" in flat["properties"]
    assert fixed["additionalProperties"] is False
    assert {"type", "n", "offset"} == fixed["properties"].keys()
    nested = payload_of(document, "receive.pay", "stream")
    assert nested["properties"] == {
        "type": {"type": "string", "const": "pay"},
        "data": {"$ref": "#/components/schemas/stream.Order-Input"},
    }
    assert payload_of(document, "receive.stop", "stream")["required"] == ["type"]


def test_declared_examples_are_shown_with_the_message() -> None:
    messages = host_document()["channels"]
    assert messages["board"]["messages"]["send.order"]["examples"] == [{"payload": {"dish": "tea"}}]
    assert messages["stream"]["messages"]["receive.pay"]["examples"] == [
        {"payload": {"type": "pay", "data": {"dish": "tea"}}}
    ]


def test_two_classes_of_one_name_are_refused() -> None:
    namesake = msgspec.defstruct("Stroke", [("a", int)])
    gateway = type("Named", (SocketIOGateway,), {"events": (down("a", Stroke, to="x"), down("b", namesake, to="x"))})
    with pytest.raises(ValueError, match="two payload types are named Stroke"):
        asyncapi([gateway])


class FlatGateway(WebSocketGateway):
    events = (down("moved", Move, to="all"), up("erase", Fixed, effect="erases"))
    wire = FlatJSONDialect()

    @on("draw")
    async def draw(self, move: Move) -> None: ...


def test_a_gateway_that_reads_flat_frames_has_the_fields_of_clients_beside_the_type() -> None:
    document = asyncapi([FlatGateway])
    for name, fields in (("draw", {"x", "y", "tags"}), ("erase", {"n"}), ("auth", {"token", "recovery"})):
        assert payload_of(document, f"receive.{name}", "flat")["properties"].keys() == {"type"} | fields
    assert payload_of(document, "send.moved", "flat")["properties"].keys() == {"type", "data", "offset"}
    kind, fields = FlatGateway.wire.read('{"type": "draw", "x": 1, "y": 2}', Limits())
    assert (kind, fields) == ("draw", {"x": 1, "y": 2})
