"""AsyncAPI documents: of the packaged systems and of a host's gateways, validated by the official parser."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from asgi_realtime import (
    Authenticator,
    Handshake,
    Identity,
    JWTAuthenticator,
    JWTVerifier,
    Settings,
    SocketIOGateway,
    WebSocketGateway,
    token_from_cookie,
)
from asgi_realtime.cli.commands import main
from asgi_realtime.cli.gateways import packaged_gateways
from asgi_realtime.gateways.declarations import declarations
from asgi_realtime.schema.asyncapi.document import asyncapi
from asgi_realtime.systems.chat import ChatGateway
from asgi_realtime.systems.mew import MewGateway
from tests.support.asyncapi_parser import parse
from tests.support.boards import BoardGateway, StreamGateway, host_document, payload_of, references, resolved


class CookieGateway(SocketIOGateway):
    def default_authenticator(self, settings: Settings) -> Authenticator:
        return JWTAuthenticator(self.jwt_verifier, [token_from_cookie("session")])


SETTINGS = Settings(jwt_secret="a secret of at least thirty-two bytes")


async def by_key(handshake: Handshake) -> Identity:
    return Identity(user_id="1")


def test_the_official_parser_accepts_every_document() -> None:
    documents = [
        asyncapi(packaged_gateways()),
        *(asyncapi([gateway]) for gateway in packaged_gateways()),
        host_document(),
        asyncapi([CookieGateway, SocketIOGateway("/keys", authenticator=by_key), StreamGateway]),
    ]
    for document, parsed in zip(documents, parse(*documents), strict=True):
        assert parsed.problems == []
        assert parsed.operations == [*document["operations"]]
        assert len(parsed.operations) > 1


def test_the_official_parser_finds_what_is_wrong() -> None:
    wrong = [host_document(), host_document()]
    for document, target in zip(wrong, ("board/messages/none", "stream/messages/send.grown"), strict=True):
        document["operations"]["board.send.stroke"]["messages"][0]["$ref"] = f"#/channels/{target}"
    codes = [[problem["code"] for problem in parsed.problems] for parsed in parse(*wrong)]
    assert codes == [["invalid-ref"], ["asyncapi3-operation-messages-from-referred-channel"]]


def test_every_event_of_every_system_is_an_operation() -> None:
    document = asyncapi(packaged_gateways())
    for gateway, key in zip(packaged_gateways(), document["channels"], strict=True):
        described = {
            ({"receive": "up", "send": "down"}[operation["action"]], operation["title"])
            for name, operation in document["operations"].items()
            if name.startswith(f"{key}.") and operation["title"] != "connect_error"
        }
        assert described == {(event.direction, event.name) for event in declarations(gateway)}
    assert [channel["address"] for channel in document["channels"].values()] == [
        *("/chat", "/events", "/ws", "/", "/infra")
    ]


@pytest.mark.parametrize("document", [host_document(), asyncapi(packaged_gateways())])
def test_every_reference_leads_to_a_part_of_the_document(document: dict[str, Any]) -> None:
    found = list(references(document))
    assert len(found) > 50
    for reference in found:
        assert resolved(document, reference["$ref"]), reference


def test_a_document_without_a_server_has_a_placeholder() -> None:
    servers = asyncapi([BoardGateway])["servers"]
    assert list(servers) == ["socketio"]
    assert servers["socketio"]["host"] == "{host}"
    assert servers["socketio"]["variables"]["host"]["default"] == "example.com"


def test_servers_have_the_paths_below_the_given_one() -> None:
    servers = host_document()["servers"]
    socketio, websocket = servers["socketio"], servers["websocket"]
    assert (socketio["host"], socketio["protocol"], socketio["pathname"]) == (
        "example.com:8443",
        "wss",
        "/app/socket.io/",
    )
    assert websocket["pathname"] == "/app"
    assert "pathname" not in asyncapi([StreamGateway], server="ws://localhost:80")["servers"]["websocket"]
    moved = asyncapi([BoardGateway], socketio_path="/rt")["servers"]["socketio"]
    assert moved["pathname"] == moved["x-socketio"]["path"] == "/rt/"


@pytest.mark.parametrize("server", ["example.com", "http://a", "ws://", "ws://a/?b", "wss://u:key@a", "wss://a#b"])
def test_a_server_that_is_no_websocket_url_is_refused(server: str) -> None:
    with pytest.raises(ValueError, match="a server looks like") as caught:
        asyncapi([BoardGateway], server=server)
    assert "key" not in str(caught.value)


def test_a_socketio_gateway_is_a_channel_with_its_namespace() -> None:
    channel = host_document()["channels"]["board"]
    assert channel["address"] == "/boards"
    assert channel["x-socketio"] == {"namespace": "/boards"}
    assert channel["title"] == "BoardGateway"
    assert channel["description"] == "Draws on boards."
    assert channel["servers"] == [{"$ref": "#/servers/socketio"}]
    assert channel["bindings"]["ws"]["query"]["properties"]["EIO"] == {"type": "string", "const": "4"}


def test_a_class_without_a_path_has_no_address() -> None:
    assert asyncapi([StreamGateway])["channels"]["stream"]["address"] is None
    assert asyncapi([BoardGateway])["channels"]["board"]["address"] == "/"


def test_names_of_components_do_not_depend_on_other_gateways() -> None:
    alone, both = asyncapi([BoardGateway("/boards")]), host_document()
    assert alone["components"]["schemas"].items() <= both["components"]["schemas"].items()
    assert alone["operations"].items() <= both["operations"].items()


def test_an_acknowledgement_is_the_reply_of_an_operation_with_the_failure() -> None:
    document = host_document()
    reply = document["operations"]["board.receive.draw"]["reply"]
    answers = [resolved(document, one["$ref"]) for one in reply["messages"]]
    assert [one["payload"]["$ref"].rpartition(".")[2] for one in answers] == ["Partial", "Failure"]
    assert "reply" not in document["operations"]["board.receive.move_to"]
    chosen = asyncapi(packaged_gateways())["components"]["schemas"]["events.Failure"]
    assert "code" not in chosen["required"]  # the failure of Events, not the common one


def test_an_event_of_a_json_websocket_that_is_handled_once_is_answered_with_ack() -> None:
    operations = host_document()["operations"]
    assert [one["$ref"].rpartition("/")[2] for one in operations["stream.receive.pay"]["reply"]["messages"]] == [
        *("send.ack", "send.error")
    ]
    assert "reply" not in operations["stream.receive.stop"]


def schemes_of(gateway: Any) -> list[str]:
    document = asyncapi([gateway])
    named = [
        [one["$ref"].rpartition("/")[2] for one in operation.get("security", [])]
        for operation in document["operations"].values()
        if operation["title"] != "connect_error"
    ]
    assert all(one == named[0] for one in named)
    assert sorted(named[0]) == sorted(document["components"].get("securitySchemes", {}))
    return named[0]


def test_security_schemes_are_the_places_that_a_gateway_reads() -> None:
    found = {gateway.__name__: schemes_of(gateway) for gateway in packaged_gateways()}
    assert found == {
        "MewGateway": ["auth-payload-token", "cookie-mew_access_token", "bearer"],
        "InfraGateway": ["header-X-Mew-Admin-Secret", "auth-payload-adminSecret"],
        "EventsGateway": ["auth-payload-token", "query-token"],
        "ChatGateway": ["auth-frame-token", "query-token", "bearer"],
        "JobsGateway": ["query-token", "bearer"],
    }


def test_security_schemes_are_those_of_the_given_authenticator_and_options() -> None:
    by_session = JWTAuthenticator(JWTVerifier(SETTINGS), [token_from_cookie("session")])
    assert schemes_of(SocketIOGateway("/a", authenticator=by_session)) == ["cookie-session"]
    assert schemes_of(WebSocketGateway("/a", query_token=False)) == ["auth-frame-token", "bearer"]
    assert schemes_of(WebSocketGateway("/a", auth_frame=False)) == ["query-token", "bearer"]


@pytest.mark.parametrize("gateway", [CookieGateway, CookieGateway("/a"), SocketIOGateway("/a", authenticator=by_key)])
def test_an_authenticator_that_does_not_say_what_it_reads_has_no_scheme(gateway: Any) -> None:
    assert schemes_of(gateway) == []
    [channel] = asyncapi([gateway])["channels"].values()
    assert "Clients authenticate as the application's authenticator requires." in channel["description"]


def test_a_refused_client_of_socketio_gets_connect_error() -> None:
    document = asyncapi([MewGateway])
    operation = document["operations"]["mew.send.connect_error"]
    assert "security" not in operation
    payload = payload_of(document, "send.connect_error", "mew")
    assert payload["required"] == ["message"]
    assert document["channels"]["mew"]["messages"]["send.connect_error"]["x-socketio"] == {"packet": "CONNECT_ERROR"}
    assert {"1008", "1009", "1012", "1013"} <= asyncapi([ChatGateway])["channels"]["chat"]["x-close-codes"].keys()


def test_two_gateways_of_one_name_have_their_address_in_the_key() -> None:
    assert list(asyncapi([BoardGateway("/a"), BoardGateway("/b")])["channels"]) == ["board", "board-b"]
    with pytest.raises(ValueError, match="there twice"):
        asyncapi([BoardGateway("/a"), BoardGateway("/b"), BoardGateway("/b")])


def test_the_command_writes_one_document(tmp_path: Path) -> None:
    names = ["tests.support.boards:BoardGateway", "tests.support.boards:StreamGateway"]
    options = ["--title", "Boards", "--version", "2", "--server", "ws://localhost:8000", "--socketio-path", "rt/"]
    expected = asyncapi(
        [BoardGateway, StreamGateway], title="Boards", version="2", server="ws://localhost:8000", socketio_path="/rt"
    )
    printed = CliRunner().invoke(main, ["asyncapi", *names, *options])
    assert json.loads(printed.output) == expected
    file = tmp_path / "docs" / "asyncapi.json"
    assert CliRunner().invoke(main, ["asyncapi", *names, *options, "--output", str(file)]).exit_code == 0
    assert file.read_text(encoding="utf-8") == printed.output
    assert json.loads(CliRunner().invoke(main, ["asyncapi"]).output) == asyncapi(packaged_gateways())


def test_the_command_says_in_one_sentence_what_is_wrong(tmp_path: Path) -> None:
    for arguments in (["--server", "http://a"], ["--output", f"{tmp_path}"]):
        done = CliRunner().invoke(main, ["asyncapi", *arguments])
        assert done.exit_code == 1
        assert done.output.startswith("Error: ")
    done = CliRunner().invoke(main, ["asyncapi", "tests.support.boards:Colour"])
    assert done.exit_code == 2
