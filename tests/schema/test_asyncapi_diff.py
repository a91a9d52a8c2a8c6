"""Differences between two AsyncAPI documents, and which of them break clients of the old one."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from msgspec import UNSET, UnsetType

from asgi_realtime import SocketIOGateway, WebSocketGateway, down, token_from_cookie, token_from_query, up
from asgi_realtime.cli.gateways import packaged_gateways
from asgi_realtime.schema.asyncapi.diff.alternatives import UnreadableDocument
from asgi_realtime.schema.asyncapi.diff.differences import Difference, differences
from asgi_realtime.schema.asyncapi.document import asyncapi
from tests.support.asyncapi_pairs import FROM_CLIENTS, FROM_THE_SERVER, Pair, struct
from tests.support.boards import host_document


def document(*events: Any, kind: Any = SocketIOGateway, **attributes: Any) -> dict[str, Any]:
    return asyncapi([type("Board", (kind,), {"events": events, **attributes})])


def with_payload(payload: Any) -> dict[str, Any]:
    found = host_document()
    found["channels"]["board"]["messages"]["send.page"]["payload"] = payload
    return found


def breaking(found: list[Difference]) -> list[tuple[str, str]]:
    return [(difference.place, difference.change) for difference in found if difference.breaking]


def fine(found: list[Difference]) -> list[tuple[str, str]]:
    return [(difference.place, difference.change) for difference in found if not difference.breaking]


def expected(place: str, pair: Pair) -> list[tuple[str, str]]:
    return [] if pair.change is None else [(f"{place}: {pair.path}" if pair.path else place, pair.change)]


@pytest.mark.parametrize("pair", FROM_CLIENTS)
def test_what_clients_send_must_still_be_accepted(pair: Pair) -> None:
    before, after = (document(up("draw", kind, effect="")) for kind in (pair.old, pair.new))
    assert breaking(differences(before, after)) == expected("Socket.IO / clients send draw", pair)


@pytest.mark.parametrize("pair", FROM_THE_SERVER)
def test_what_the_server_sends_must_be_what_clients_expect(pair: Pair) -> None:
    before, after = (document(down("drawn", kind, to="")) for kind in (pair.old, pair.new))
    assert breaking(differences(before, after)) == expected("Socket.IO / the server sends drawn", pair)


@pytest.mark.parametrize("pair", [pair for pair in FROM_THE_SERVER if pair.change is not None])
def test_an_acknowledgement_is_sent_by_the_server(pair: Pair) -> None:
    before, after = (document(up("draw", effect="", acknowledgement=kind)) for kind in (pair.old, pair.new))
    place = "Socket.IO / clients send draw, acknowledgement of draw"
    assert breaking(differences(before, after)) == expected(place, pair)


def test_frames_of_a_json_websocket_are_compared_as_a_whole() -> None:
    before, after = (document(up("draw", kind, effect=""), kind=WebSocketGateway) for kind in (int, str))
    assert breaking(differences(before, after)) == [
        ("board clients send draw: data", "the type integer is refused now")
    ]


def test_equal_documents_have_no_differences() -> None:
    for one in (host_document(), asyncapi(packaged_gateways())):
        assert differences(one, copy.deepcopy(one)) == []


def test_titles_descriptions_hosts_examples_and_keys_are_not_compared() -> None:
    old, new = host_document(), host_document()
    new["info"]["title"] = "other"
    new["servers"]["socketio"]["host"] = "other"
    new["components"]["schemas"]["board.Order-Input"]["examples"] = []
    new["components"]["schemas"]["board.Order-Input"]["properties"]["dish"]["description"] = "other"
    new["components"]["securitySchemes"]["auth-payload-token"]["description"] = "other"
    new["operations"] = {f"other.{name}": operation for name, operation in new["operations"].items()}
    assert differences(old, new) == []


def test_a_channel_or_an_event_that_is_gone_breaks_and_a_new_one_does_not() -> None:
    both, less = host_document(), host_document()
    del less["operations"]["board.receive.draw"], less["operations"]["board.send.stroke"]
    for name in [name for name in less["operations"] if name.startswith("stream.")]:
        del less["operations"][name]
    del less["channels"]["stream"]
    places = ["/stream", "Socket.IO /boards clients send draw", "Socket.IO /boards the server sends stroke"]
    assert breaking(differences(both, less)) == [
        (places[0], "the channel is gone"),
        (places[1], "the event is gone"),
        (places[2], "the event is gone"),
    ]
    assert breaking(differences(less, both)) == []
    assert fine(differences(less, both)) == [
        (places[0], "the channel is new"),
        (places[1], "the event is new"),
        (places[2], "the event is new"),
    ]


def test_an_event_with_one_name_in_both_directions_is_two_events() -> None:
    both = document(up("note", str, effect=""), down("note", str, to=""))
    up_only = document(up("note", str, effect=""))
    assert breaking(differences(both, up_only)) == [("Socket.IO / the server sends note", "the event is gone")]


def test_gateways_are_the_same_if_their_address_is_the_same() -> None:
    class Other(SocketIOGateway): ...

    assert differences(asyncapi([SocketIOGateway("/a")]), asyncapi([Other("/a")])) == []
    assert breaking(differences(asyncapi([Other("/a")]), asyncapi([Other("/b")]))) == [
        ("Socket.IO /a", "the channel is gone")
    ]


def test_a_field_that_comes_or_goes_is_reported_once_with_what_is_in_it() -> None:
    inner = struct(x=int)
    more = {
        "one": (inner | UnsetType, UNSET),
        "many": (list[inner] | UnsetType, UNSET),  # type: ignore[valid-type]
        "named": (dict[str, inner] | UnsetType, UNSET),  # type: ignore[valid-type]
        "pair": (tuple[int, inner] | UnsetType, UNSET),  # type: ignore[valid-type]
    }
    less, full = (document(up("a", kind, effect="")) for kind in (struct(), struct(**more)))
    places = [f"Socket.IO / clients send a: {name}" for name in ("many", "named", "one", "pair")]
    assert differences(less, full) == [Difference(place, "the field is new", False) for place in places]
    assert differences(full, less) == [Difference(place, "the field is gone", False) for place in places]


def test_a_field_deep_inside_is_reported_with_its_path() -> None:
    def nested(inner: Any) -> dict[str, Any]:
        kind = struct(many=list[inner], named=dict[str, inner], pair=tuple[int, inner])
        return document(up("a", kind, effect=""))

    found = differences(nested(struct()), nested(struct(x=(int, 1))))
    assert [(difference.place.rpartition(" ")[2], difference.change) for difference in found] == [
        ("many[].x", "the field is new"),
        ("named.*.x", "the field is new"),
        ("pair[1].x", "the field is new"),
    ]


def test_channels_of_one_address_are_compared_each() -> None:
    classes = [type(name, (SocketIOGateway,), {"events": (down("drawn", to=""),)}) for name in ("First", "Second")]
    old, new = asyncapi(classes), asyncapi(classes)
    assert differences(old, new) == []
    del new["operations"]["first.send.drawn"]
    assert len(breaking(differences(old, new))) == 1


def test_the_number_of_arguments() -> None:
    one, two = document(up("move", int, effect="")), document(up("move", tuple[int, int], effect=""))
    place = "Socket.IO / clients send move"
    assert breaking(differences(one, two)) == [(place, "it has 2 arguments, and had 1")]
    assert breaking(differences(two, one)) == []
    assert len(differences(two, one)) == 1
    other = document(up("move", tuple[int, str], effect=""))
    assert breaking(differences(two, other)) == [(f"{place}, argument 2", "the type integer is refused now")]
    none, sent = document(down("move", to="")), document(down("move", int, to=""))
    assert breaking(differences(sent, none)) == [("Socket.IO / the server sends move", "it has 0 arguments, and had 1")]
    assert breaking(differences(none, sent)) == []


def test_an_acknowledgement_that_comes_or_goes() -> None:
    without, acknowledged = document(up("a", effect="")), document(up("a", effect="", acknowledgement=int))
    place = "Socket.IO / clients send a"
    assert breaking(differences(acknowledged, without)) == [(place, "it is no longer acknowledged")]
    assert fine(differences(without, acknowledged)) == [(place, "it is acknowledged now")]
    more = copy.deepcopy(acknowledged)
    reply = more["operations"]["board.receive.a"]["reply"]["messages"]
    reply.append({"$ref": "#/channels/board/messages/send.error"})
    assert breaking(differences(acknowledged, more)) == [(f"{place}, error", "the acknowledgement is new")]
    assert fine(differences(more, acknowledged)) == [(f"{place}, error", "the acknowledgement is gone")]


def test_a_security_scheme_that_is_gone_breaks_and_a_new_one_does_not() -> None:
    events = (up("a", effect=""), down("b", to=""))
    cookie = document(*events, token_sources=(token_from_cookie("session"),))
    both = document(*events, token_sources=(token_from_cookie("session"), token_from_query("token")))
    none = document(*events, token_sources=())
    gone = "the security scheme is gone: httpApiKey query token"
    assert breaking(differences(both, cookie)) == [("Socket.IO /", gone)]
    assert breaking(differences(cookie, both)) == []
    assert fine(differences(cookie, both)) == [("Socket.IO /", "the security scheme is new: httpApiKey query token")]
    assert breaking(differences(none, cookie)) == [("Socket.IO /", "clients need a token now")]
    assert differences(cookie, none) == [Difference("Socket.IO /", "clients need no token now", False)]


def test_security_that_changes_for_one_event_is_said_of_that_event() -> None:
    old, new = host_document(), host_document()
    del new["operations"]["board.receive.draw"]["security"][0]
    [(place, change)] = breaking(differences(old, new))
    assert (place, change) == (
        "Socket.IO /boards clients send draw",
        "the security scheme is gone: apiKey password token",
    )


def test_another_path_of_the_server_breaks() -> None:
    old, new = (asyncapi([SocketIOGateway("/a")], socketio_path=path) for path in ("/socket.io", "/rt"))
    change = "the server's path is /rt/, and was /socket.io/"
    assert breaking(differences(old, new)) == [("Socket.IO /a", change)]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({}, "no AsyncAPI 3 document"),
        ([], "no AsyncAPI 3 document"),
        ({"asyncapi": "2.6.0"}, "no AsyncAPI 3 document"),
        ({"asyncapi": "3.0.0", "channels": {"a": {"$ref": "#/nowhere"}}}, "#/nowhere leads to no part"),
        ({"asyncapi": "3.0.0", "channels": {"a": {"$ref": "#/channels/a"}}}, "#/channels/a leads to no part"),
        ({"asyncapi": "3.0.0", "channels": {"a": {"$ref": "other.json"}}}, "other.json leads to no part"),
        ({"asyncapi": "3.0.0", "operations": {"a": {"action": "send"}}}, "missing or has the wrong type"),
        ({"asyncapi": "3.0.0", "channels": [1]}, "missing or has the wrong type"),
        (with_payload({"required": 5}), "missing or has the wrong type"),
        (with_payload({"allOf": [{"$ref": "#/channels/board/messages/send.page/payload"}]}), "nested too deeply"),
    ],
)
def test_what_is_no_document_is_refused(wrong: Any, message: str) -> None:
    for pair in ((wrong, host_document()), (host_document(), wrong)):
        with pytest.raises(UnreadableDocument, match=message):
            differences(*pair)
