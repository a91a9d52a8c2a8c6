"""TypeScript types: how Python types are converted, and that the committed files match the declarations."""

from __future__ import annotations

import datetime
import enum
import json
import re
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, Literal, NamedTuple, NotRequired, TypedDict, TypeVar

import fastapi
import msgspec
import pydantic
import pytest
from msgspec import UNSET, UnsetType

from asgi_realtime import Connection, FlatJSONDialect, SocketIOGateway, WebSocketGateway, on
from asgi_realtime.cli.gateways import packaged_gateways
from asgi_realtime.gateways.replies import NewToken
from asgi_realtime.handlers.event_declarations import down, up
from asgi_realtime.schema.description.payloads import PayloadTypes
from asgi_realtime.schema.python.files import python_client
from asgi_realtime.schema.typescript.files import file_name, typescript
from asgi_realtime.schema.typescript.types import definition_lines
from tests.support.paths import ROOT
from tests.support.typescript import interface, typescript_of

GENERATED = ROOT / "clients" / "typescript" / "src" / "generated"


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Node(msgspec.Struct, rename="camel"):
    """A node of a tree.

    What else there is to say stays in Python.
    """

    node_id: Annotated[str, msgspec.Meta(max_length=10, description="unique")]
    children: list[Node] = []
    note: str | UnsetType = UNSET
    odd: dict[str, int] = msgspec.field(name="odd-name", default_factory=dict)


@dataclass
class Plain:
    at: datetime.datetime
    tags: list[str] = field(default_factory=list)


class Partial(TypedDict):
    a: int
    b: NotRequired[bool | None]


class Tagged(msgspec.Struct, tag_field="kind", tag="t", omit_defaults=True):
    n: int = 0


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (Any, "unknown"),
        (str | None, "string | null"),
        (Literal["a", "ü", 1], '1 | "a" | "ü"'),
        (Colour, '"red" | "blue"'),
        (list[int], "readonly number[]"),
        (deque[int], "readonly number[]"),
        (set[Literal["a", "b"]], 'readonly ("a" | "b")[]'),
        (list[list[float]], "readonly (readonly number[])[]"),
        (tuple[int, str], "readonly [number, string]"),
        (dict[str, bool], "{ readonly [name: string]: boolean }"),
        (bytes, "ArrayBuffer | Uint8Array"),
        (uuid.UUID, "string"),
        (int | float, "number"),
        (TypeVar("Message"), 'Host["Message"]'),
    ],
)
def test_each_annotation_has_its_typescript_type(annotation: Any, expected: str) -> None:
    assert typescript_of(annotation, "down") == expected


def test_classes_become_interfaces() -> None:
    expected = """
/** A node of a tree. */
export interface Node {
  /** Unique. At most 10 characters. */
  readonly nodeId: string;
  readonly children: readonly Node[];
  readonly note?: string;
  readonly "odd-name": { readonly [name: string]: number };
}
"""
    assert interface(Node, "down") == expected.strip()
    assert "readonly at: string;\n  readonly tags: readonly string[];" in interface(Plain, "down")
    assert "readonly a: number;\n  readonly b?: boolean | null;" in interface(Partial, "down")
    assert 'readonly kind: "t";\n  readonly n?: number;' in interface(Tagged, "down")


class Point(NamedTuple):
    x: int
    label: str | None = None
    around: list[Point] = []


@pytest.mark.parametrize("direction", ["up", "down"])
def test_named_tuples_are_arrays(direction: Literal["up", "down"]) -> None:
    assert interface(Point, direction) == ("export type Point = readonly [number, string | null, readonly Point[]];")
    gateway = type("PointsGateway", (SocketIOGateway,), {"events": (down("at", list[Point], to="all"),)})
    assert "Point: TypeAlias = 'list[int | str | None | list[Point]]'" in python_client(gateway)


def test_fields_with_a_default_are_optional_for_clients() -> None:
    assert "readonly children?: readonly Node[];" in interface(Node, "up")
    assert "/** ISO 8601. */\n  readonly at: string;\n  readonly tags?: readonly string[];" in interface(Plain, "up")


def test_types_without_a_typescript_form_are_refused() -> None:
    for annotation in (Annotated[str, fastapi.Depends(file_name)], type("Nothing", (), {}), fastapi.Request):
        for direction in _DIRECTIONS:
            with pytest.raises(TypeError, match=r"Depends|Nothing|Request"):
                PayloadTypes().type_of(annotation, direction)
    namesake = type("Plain", (msgspec.Struct,), {})
    types = PayloadTypes()
    types.type_of(Plain, "down")
    with pytest.raises(ValueError, match="two payload types are named Plain"):
        types.type_of(namesake, "down")
    types.type_of(Plain, "up")
    with pytest.raises(ValueError, match="Plain is sent in both directions"):
        types.definitions()


_DIRECTIONS: tuple[Literal["up", "down"], ...] = ("up", "down")


class BoardGateway(SocketIOGateway):
    events = (down("drawn", Colour, to="the board"), down("board/clear", to="the board"))

    @on("draw")
    async def draw(self, colour: Colour) -> int:
        """Draw with a colour. */ ends no comment."""
        return 1

    @on("move")
    async def move(self, x: int, y: int) -> None: ...


class FlatGateway(WebSocketGateway):
    events = (down("moved", Plain, to="all"), up("erase", NewToken, effect="erases"))
    wire = FlatJSONDialect()

    @on("stop")
    async def stop(self, token: NewToken) -> None: ...


class StreamGateway(WebSocketGateway):
    events = (
        down("established", Partial, to="the client", flat=True),
        down("grown", TypeVar("Tree"), to="all"),
        up("stop", effect=""),
    )

    @on("auth")
    async def auth(self, new: NewToken, connection: Connection) -> None: ...


def test_a_socketio_gateway_becomes_event_maps() -> None:
    text = typescript(BoardGateway)
    assert '  /** To the board. */\n  drawn: (payload: "red" | "blue") => void;\n' in text
    assert '  "board/clear": () => void;\n' in text
    assert "  /** Draw with a colour. *\\/ ends no comment. */\n" in text
    assert '  draw: (payload: "red" | "blue", acknowledge: (answer: number | Failure) => void) => void;\n' in text
    assert "  move: (argument1: number, argument2: number) => void;\n" in text
    assert "HostTypes" not in text


class AnsweringGateway(SocketIOGateway):
    @on("several")
    async def several(self) -> tuple[int, str | None]:
        return 1, None

    @on("none")
    async def none(self) -> tuple[()]:
        return ()

    @on("perhaps")
    async def perhaps(self) -> Literal["a"] | list[int | None] | None:
        """None is answered without a value."""

    @on("null")
    async def null(self) -> tuple[None]:
        return (None,)


def test_acknowledgements_have_the_values_that_handlers_return() -> None:
    text = typescript(AnsweringGateway)
    assert "several: (acknowledge: (answer: number | Failure, answer2?: string | null) => void) => void;" in text
    assert "none: (acknowledge: (answer?: Failure) => void) => void;" in text
    perhaps = "  perhaps: (acknowledge: (answer: "
    kinds = text.partition(perhaps)[2].partition(") => void")[0].split(" | ")
    assert sorted(kinds) == sorted(["readonly (number", "null)[]", "undefined", '"a"', "Failure"])
    assert "null: (acknowledge: (answer: null | Failure) => void) => void;" in text
    client = python_client(AnsweringGateway)
    answers = dict(re.findall(r"async def (\w+)\(self, \*, timeout: float = 10.0\) -> (.+):", client))
    assert answers["several"] == "list[int | str | None]"
    assert (answers["none"], answers["null"]) == ("None", "None")


def test_a_websocket_gateway_becomes_unions_of_frames() -> None:
    text = typescript(StreamGateway)
    assert "export interface HostTypes {\n  Tree: unknown;\n}\n" in text
    assert "export type ServerFrame<Host extends HostTypes = HostTypes> = { readonly offset?: string } & (\n" in text
    assert '  | ({ readonly type: "established" } & Partial)\n' in text
    assert '  | { readonly type: "grown"; readonly data: Host["Tree"] }\n' in text
    client = text.partition("export type ClientFrame =\n")[2]
    assert '  | { readonly type: "stop" }\n' in client
    assert '  | { readonly type: "auth"; readonly data: Credentials }\n' in client


def test_a_gateway_that_reads_flat_frames_has_the_fields_of_clients_beside_the_type() -> None:
    text = typescript(FlatGateway)
    assert '  | { readonly type: "moved"; readonly data: Plain }\n' in text
    for name, payload in (("erase", "NewToken"), ("stop", "NewToken"), ("auth", "Credentials")):
        assert f'  | ({{ readonly type: "{name}" }} & {payload})' in text


class Circle(msgspec.Struct, tag="circle"):
    radius: int


class Square(msgspec.Struct, tag="square"):
    side: int


def test_each_type_of_a_flat_union_has_the_type_of_the_frame() -> None:
    events = (down("shape", Circle | Square, to="all", flat=True),)
    text = typescript(type("ShapesGateway", (WebSocketGateway,), {"events": events}))
    assert '  | ({ readonly type: "shape" } & (Circle | Square))\n' in text


Row = TypeVar("Row")


class Page(msgspec.Struct, Generic[Row]):
    """A page of rows."""

    rows: list[Row]
    total: int = 0


def test_generic_classes_are_named_by_their_arguments() -> None:
    types = PayloadTypes()
    for annotation in (Page[int], Page[Node | None], Page[Literal["a b"]]):
        types.type_of(annotation, "down")
    texts = ["\n".join(definition_lines(definition)) for definition in types.definitions()]
    head = "/** A page of rows. */\nexport interface"
    total = "  readonly total: number;\n}"
    assert f"{head} Page_int {{\n  readonly rows: readonly number[];\n{total}" in texts
    assert f"{head} Page_Node_None {{\n  readonly rows: readonly (Node | null)[];\n{total}" in texts
    assert f'{head} Page_Literal_a_b {{\n  readonly rows: readonly "a b"[];\n{total}' in texts


@pytest.mark.parametrize("name", ['say "hi"', "back\\slash", "two\nlines"])
def test_a_name_with_quotes_or_other_special_characters_stays_one_literal(name: str) -> None:
    literal = json.dumps(name)
    declared = (down(name, str, to="all"),)
    assert f"  {literal}: (payload: string) => void;\n" in typescript(
        type("Quoted", (SocketIOGateway,), {"events": declared})
    )
    frames = typescript(type("QuotedFrames", (WebSocketGateway,), {"events": declared}))
    assert f"  | {{ readonly type: {literal}; readonly data: string }}\n" in frames


@pytest.mark.parametrize(
    "make", [lambda name: msgspec.defstruct(name, [("a", int)]), lambda name: pydantic.create_model(name, a=int)]
)
@pytest.mark.parametrize(
    "name", ["Uint8Array", "ServerToClientEvents", "HostTypes", "object", "default", "true", "readonly"]
)
def test_a_payload_type_with_a_name_that_the_file_uses_is_refused(name: str, make: Callable[[str], type]) -> None:
    gateway = type("Named", (SocketIOGateway,), {"events": (down("made", make(name), to="all"),)})
    with pytest.raises(
        ValueError, match=f"a payload type is named {name}, which is a name of TypeScript or of the file"
    ):
        typescript(gateway)


@pytest.mark.parametrize(
    "payload", [msgspec.defstruct("Two Words", []), TypeVar("Two Words"), pydantic.create_model("1st", a=int)]
)
@pytest.mark.parametrize("write", [typescript, python_client])
def test_a_payload_type_whose_name_is_no_identifier_is_refused(write: Callable[[type], str], payload: Any) -> None:
    gateway = type("Named", (SocketIOGateway,), {"events": (down("made", payload, to="all"),)})
    with pytest.raises(ValueError, match="a payload type is named '.*', which is no name in a program: rename it"):
        write(gateway)


def test_file_names() -> None:
    names = [file_name(gateway) for gateway in packaged_gateways()]
    assert sorted(names) == ["chat.ts", "events.ts", "infra.ts", "jobs.ts", "mew.ts"]
    assert file_name(SocketIOGateway("/white/board")) == "white-board.ts"
    assert file_name(BoardGateway("/x")) == "board.ts"


def test_the_committed_files_are_those_of_the_declarations() -> None:
    committed = {path.name: path.read_text(encoding="utf-8") for path in GENERATED.iterdir()}
    again = "stale; run: python -m asgi_realtime types --output clients/typescript/src/generated"
    assert committed == {file_name(gateway): typescript(gateway) for gateway in packaged_gateways()}, again
