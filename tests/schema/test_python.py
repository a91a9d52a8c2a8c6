"""Python clients: how types and names are written, and that the committed modules match the declarations."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypedDict, TypeVar

import msgspec
import pydantic
import pytest

from asgi_realtime import SocketIOGateway, WebSocketGateway
from asgi_realtime.cli.gateways import packaged_gateways
from asgi_realtime.handlers.event_declarations import down, up
from asgi_realtime.schema.description.payloads import PayloadTypes
from asgi_realtime.schema.python.files import file_name, python_client
from asgi_realtime.schema.python.types import PythonTypes
from asgi_realtime.schema.typescript.files import typescript
from tests.support.paths import ROOT
from tests.support.workshop import Circle, CountersGateway, Square, WorkshopGateway

COMMITTED = ROOT / "tests" / "support" / "clients"
GATEWAYS: list[type[Any]] = [*packaged_gateways(), WorkshopGateway, CountersGateway]


class Open(pydantic.BaseModel):
    """Any fields."""

    model_config = pydantic.ConfigDict(extra="allow")
    n: int


class Numbers(pydantic.RootModel[list[int]]):
    """Numbers."""


class Empty(msgspec.Struct):
    pass


@dataclass
class Hidden:
    __name: int
    none: None = None


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (Any, "Any"),
        (str | None, "str | None"),
        (Literal["a", 'say "b"', 1, None], 'Literal[1, "a", "say \\"b\\""] | None'),
        (Literal["a"] | int | Literal[False], 'int | Literal["a", False]'),
        (list[list[float]], "list[list[float]]"),
        (set[str], "list[str]"),
        (tuple[int, str, int], "list[int | str]"),
        (tuple[()], "list[Any]"),
        (dict[str, bool], "dict[str, bool]"),
        (bytes, "bytes"),
        (pydantic.HttpUrl, "str"),
        (pydantic.PositiveInt, "int"),
        (Circle | Square, "Circle | Square"),
        (TypeVar("Thing"), "Thing"),
        (Annotated[str, pydantic.Field(json_schema_extra={"enum": ["a", [1]]})], 'Any | Literal["a"]'),
        (Numbers, "Numbers"),
    ],
)
def test_each_annotation_has_its_python_type(annotation: Any, expected: str) -> None:
    found = PythonTypes().text(PayloadTypes().type_of(annotation, "down"))
    if "Literal" in expected:  # their order is msgspec's
        assert sorted(re.findall(r"[^\[\], |]+", found)) == sorted(re.findall(r"[^\[\], |]+", expected))
    else:
        assert found == expected


def test_definitions_are_typed_dicts_or_aliases() -> None:
    texts = []
    for annotation in (Open, Numbers, Empty, Hidden):
        types, python = PayloadTypes(), PythonTypes()
        types.type_of(annotation, "down")
        texts += ["\n".join(python.definition(definition)) for definition in types.definitions()]
    assert texts == [
        'class Open(TypedDict):\n    """Any fields. Further fields are allowed."""\n\n    n: int',
        "# Numbers.\nNumbers: TypeAlias = 'list[int]'",
        "class Empty(TypedDict):\n    pass",
        "class Hidden(TypedDict):\n    _Hidden__name: int\n    none: None",
    ]


def test_names_of_events_become_names_of_python() -> None:
    declared = (
        *(down(name, to="all") for name in ("MESSAGE_CREATE", "message/create", "userLeft", "7", "+", "板", "server")),
        *(up(name, effect="x") for name in ("a/b", "a_b", "class", "close", "__secret", "7", "expect", "")),
        *(up(name, effect="x") for name in ("fi", "\N{LATIN SMALL LIGATURE FI}")),  # Python reads both as `fi`
        up("list", effect="x"),
        up("Square", Square, effect="x"),
    )
    text = python_client(type("NamedGateway", (SocketIOGateway,), {"events": declared}))
    classes = re.findall(r"^class (\w+)\(Event", text, re.MULTILINE)
    assert classes[:7] == [
        *("MessageCreateEvent", "MessageCreateEvent_", "UserLeftEvent"),
        *("Event7Event", "EventEvent", "板Event", "ServerEvent_"),
    ]
    methods = re.findall(r"async def (\w+)", text)
    assert methods[:8] == ["a_b", "a_b_", "class_", "close_", "secret", "event_7", "expect_", "event"]
    assert methods[8:10] == ["fi", "fi_"]
    assert methods[10:12] == ["list_", "Square_"]  # types that annotations name
    compile(text, "module", "exec")


def test_a_field_whose_name_python_reads_as_another_keeps_it() -> None:
    name = "\N{MICRO SIGN}s"  # Python reads the micro sign as a letter mu
    gateway = type(
        "TimedGateway",
        (SocketIOGateway,),
        {"events": (down("took", TypedDict("Took", {name: int}), to="all"),)},  # type: ignore[operator]
    )
    namespace: dict[str, Any] = {"__name__": __name__}
    exec(python_client(gateway), namespace)
    assert list(namespace["Took"].__annotations__) == [name]


@pytest.mark.parametrize("name", ["Literal", "ServerEvent", "NamedClient", "str"])
def test_a_payload_type_with_a_name_that_the_module_uses_is_refused(name: str) -> None:
    gateway = type(
        "NamedGateway", (SocketIOGateway,), {"events": (down("made", msgspec.defstruct(name, ["a"]), to="all"),)}
    )
    with pytest.raises(ValueError, match=f"a payload type is named {name}, which is a name of Python or of the file"):
        python_client(gateway)


def test_a_payload_type_with_the_name_of_a_type_of_the_application_is_refused() -> None:
    declared = (down("made", Square, to="all"), down("drawn", TypeVar("Square"), to="all"))
    with pytest.raises(ValueError, match="a payload type and a type of the application are named Square"):
        python_client(type("NamedGateway", (SocketIOGateway,), {"events": declared}))


def test_a_payload_may_have_the_name_of_an_event() -> None:
    gateway = type(
        "NamedGateway", (SocketIOGateway,), {"events": (down("made", msgspec.defstruct("MadeEvent", ["a"]), to="all"),)}
    )
    assert "class MadeEvent_(Event[MadeEvent]):" in python_client(gateway)


@pytest.mark.parametrize(
    "text",
    [
        *('a "quote"', r"a \ and \n", 'three """ and """"', 'three """ at the end """', 'a ""', '\\"'),
        *("long " * 40 + "text. And more.", "a \x00\x1b and"),
    ],
)
def test_text_of_docstrings_stays_text(text: str) -> None:
    quoted = msgspec.defstruct("Quoted", ["a"], namespace={"__doc__": text})
    gateway = type("QuotedGateway", (SocketIOGateway,), {"events": (down("made", quoted, to="all"),)})
    tree = ast.parse(python_client(gateway))
    (written,) = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == "Quoted"]
    assert " ".join((ast.get_docstring(written) or "").split()) == text.replace("\x00\x1b ", "")


def test_where_a_json_gateway_reads_tokens_is_in_the_module() -> None:
    assert '    path = "/desk"\n    token_place = "auth"\n' in python_client(WebSocketGateway("/desk"))
    assert '    token_place = "bearer"\n' in python_client(WebSocketGateway("/desk", auth_frame=False))

    async def anyone(handshake: Any) -> None: ...

    assert "    token_place = None\n" in python_client(WebSocketGateway("/desk", authenticator=anyone))  # type: ignore[arg-type]


def test_a_client_has_another_name_than_its_base() -> None:
    assert "\nclass GatewayWebSocketClient(WebSocketClient[" in python_client(WebSocketGateway("/web-socket"))


def test_a_module_has_a_name_that_can_be_imported() -> None:
    names = [file_name(SocketIOGateway(namespace)) for namespace in ("/white/board", "/global", "/2024")]
    assert names == ["white_board.py", "gateway_global.py", "gateway_2024.py"]


@pytest.mark.parametrize("gateway", GATEWAYS, ids=lambda gateway: gateway.__name__)
def test_the_payloads_have_the_names_of_the_typescript_types(gateway: type[Any]) -> None:
    interfaces = set(re.findall(r"export interface (\w+)", typescript(gateway)))
    names = set(re.findall(r"^class (\w+)\(TypedDict\)|^(\w+) = TypedDict\(", python_client(gateway), re.MULTILINE))
    own = {"HostTypes", "ServerToClientEvents", "ClientToServerEvents"}
    assert {one or other for one, other in names} == interfaces - own


def test_the_committed_modules_are_those_of_the_declarations() -> None:
    committed = {path.name: path.read_text(encoding="utf-8") for path in COMMITTED.glob("[!_]*.py")}
    again = "stale; run `python -m asgi_realtime client … --output tests/support/clients`"
    assert committed == {file_name(gateway): python_client(gateway) for gateway in GATEWAYS}, again
