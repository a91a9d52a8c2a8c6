"""The page of an AsyncAPI document: what it shows, and that nothing in it can become more than text."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from html.parser import HTMLParser
from typing import Any

import httpx
import msgspec
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from asgi_realtime import (
    AsyncAPIPage,
    ConfigurationError,
    RealtimeConsole,
    RealtimeMiddleware,
    Settings,
    SocketIOGateway,
    SocketIOServer,
    down,
)
from asgi_realtime.cli.gateways import packaged_gateways
from asgi_realtime.schema.asyncapi.document import asyncapi
from asgi_realtime.schema.asyncapi.page.render import render
from tests.support.boards import BoardGateway, StreamGateway, host_document
from tests.support.hostile_gateway import ATTACK, HostileGateway
from tests.support.new_python import printed_by
from tests.support.servers import Serve

SETTINGS = Settings(jwt_secret="a secret for tests that is long enough", socketio_path="/io")


class Tree(msgspec.Struct):
    children: list[Tree]
    other: dict[str, Tree] | None = None


class Internal(BoardGateway):
    include_in_schema = False


def client(app: ASGIApp) -> httpx.AsyncClient:
    """A client of an app that needs no start-up."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://example.com")


class Parsed(HTMLParser):
    """The elements and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self.text = ""
        self._inside = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.text += " "
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        self.texts[self._inside] = self.texts.get(self._inside, "") + data
        self.text += data if self._inside not in ("script", "style") else ""

    def values(self, attribute: str) -> list[str]:
        return [found for _, attributes in self.elements if (found := attributes.get(attribute)) is not None]


def show(*gateways: Any) -> Parsed:
    return Parsed(render(asyncapi(gateways), json_address="./asyncapi.json"))


async def test_it_serves_the_page_and_the_document_of_the_mounted_gateways(serve: Serve) -> None:
    gateways = [BoardGateway("/boards"), StreamGateway("/stream")]
    unlisted = [RealtimeConsole(secret="a secret of the operators"), Internal("/internal")]
    page = AsyncAPIPage(title="Boards", version="2.0.0")
    routes = [Route("/asyncapi", page), Route("/asyncapi.json", page)]
    app = RealtimeMiddleware(
        Starlette(routes=routes), gateways=[*gateways, SocketIOServer(), *unlisted], settings=SETTINGS
    )
    server = await serve(app)
    async with httpx.AsyncClient(base_url=server.url) as browser:
        shown, document = await browser.get("/asyncapi"), await browser.get("/asyncapi.json")
        refused, head = await browser.post("/asyncapi"), await browser.head("/asyncapi")
    expected = asyncapi(
        gateways,
        title="Boards",
        version="2.0.0",
        socketio_path="/io",
    )
    assert document.json() == expected
    assert document.headers["content-type"] == "application/json"
    assert shown.text == render(expected, json_address="./asyncapi.json")
    assert shown.headers["content-type"] == "text/html; charset=utf-8"
    assert (refused.status_code, refused.headers["allow"], head.status_code) == (405, "GET, HEAD", 200)


async def test_it_serves_given_gateways_without_a_middleware_and_below_a_mount() -> None:
    page = AsyncAPIPage([BoardGateway], server="wss://example.com", socketio_path="sockets/")
    async with client(Starlette(routes=[Mount("/docs/events", page)])) as browser:
        shown, document = await browser.get("/docs/events/"), await browser.get("/docs/events/asyncapi.json")
    assert document.json() == asyncapi([BoardGateway], server="wss://example.com", socketio_path="/sockets")
    [address] = set(Parsed(shown.text).values("href")) - {
        link for link in Parsed(shown.text).values("href") if link.startswith("#")
    }
    assert shown.url.join(address).path == "/docs/events/asyncapi.json"


async def test_without_gateways_and_without_a_middleware_it_says_what_to_do() -> None:
    async with client(AsyncAPIPage()) as browser:
        with pytest.raises(ConfigurationError, match="RealtimeMiddleware"):
            await browser.get("/asyncapi")


async def test_a_websocket_is_refused() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError

    await AsyncAPIPage([BoardGateway])({"type": "websocket", "path": "/asyncapi"}, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]


async def test_the_policy_permits_the_style_and_script_of_the_page_and_nothing_else() -> None:
    async with client(AsyncAPIPage([BoardGateway])) as browser:
        answer = await browser.get("/asyncapi")
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    page = Parsed(answer.text)
    for element in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256(page.texts[element].encode()).digest()).decode()
        assert policy.pop(f"{element}-src") == f"'sha256-{digest}'"
    assert set(policy.values()) == {"'none'"}
    assert page.values("src") == page.values("style") == []
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]


def test_names_and_descriptions_are_only_text() -> None:
    hostile, harmless = show(HostileGateway("/x")), show(BoardGateway, StreamGateway)
    assert {element for element, _ in hostile.elements} <= {element for element, _ in harmless.elements}
    attributes = {name for _, found in harmless.elements for name in found}
    assert {name for _, found in hostile.elements for name in found} <= attributes
    assert Counter(element for element, _ in hostile.elements)["script"] == 1
    assert hostile.text.count(ATTACK) > 6
    assert all(link.startswith(("#", "./")) for link in hostile.values("href"))


@pytest.mark.parametrize("document", [host_document(), asyncapi(packaged_gateways()), asyncapi([HostileGateway("/x")])])
def test_every_link_leads_to_one_element_and_every_event_has_one(document: dict[str, Any]) -> None:
    page = Parsed(render(document, json_address="./asyncapi.json"))
    ids = Counter(page.values("id"))
    assert set(ids.values()) == {1}
    links = {link.removeprefix("#") for link in page.values("href") if link.startswith("#")}
    assert links <= ids.keys()
    events = [id for id in links if id.startswith("event:")]
    assert len(events) == len(document["operations"])
    schemas = [id for id in ids if id.startswith("schema:")]
    assert len(schemas) == len(document["components"]["schemas"])


def test_it_shows_what_a_client_must_know() -> None:
    text = re.sub(r"\s+", " ", show(BoardGateway("/boards"), StreamGateway("/stream")).text)
    for part in (
        "wss://{host}/socket.io/, namespace /boards",
        "wss://{host}/stream",
        "the query parameter token",
        "the header Authorization: Bearer …",
        "boardId string required at most 10 characters",
        "colour Colour required",
        "points list of exactly number, number optional",
        "count integer optional ≥ 1 default 1 How many.",
        'kind "coffee" required',
        "Answered with one of",
        "acknowledgement of draw",
        '{ "dish": "tea" }',
        "connect_error",
        "1013 overloaded, or the client reads too slowly: come back later",
        "消息",
        "no other fields",
    ):
        assert part in text, part


def test_classes_that_contain_themselves_end_in_a_link() -> None:
    gateway = type("Trees", (SocketIOGateway,), {"events": (down("grown", Tree, to="all"),)})
    text = " ".join(show(gateway).text.split())
    assert "children list of Tree required" in text
    assert len(text) < 4_000


def test_the_size_of_the_page_does_not_explode() -> None:
    inner: Any = int
    for level in range(12):
        inner = msgspec.defstruct(f"Level{level}", [(f"field{number}", inner) for number in range(6)])
    gateway = type("Deep", (SocketIOGateway,), {"events": (down("deep", inner, to="all"),)})
    assert len(render(asyncapi([gateway]), json_address="./x.json")) < 200_000


def test_nothing_of_it_is_imported_before_it_is_used() -> None:
    code = (
        "import sys, asgi_realtime\n"
        "print([name for name in sys.modules if name.startswith('asgi_realtime.schema')])\n"
        "asgi_realtime.AsyncAPIPage\n"
        "print('asgi_realtime.schema.asyncapi.page.app' in sys.modules)"
    )
    assert printed_by(code) == "[]\nTrue\n"
