"""TypeScript types: how Python types are converted, and that the committed files match the declarations."""

from __future__ import annotations

import datetime
import decimal
import enum
import ipaddress
import json
import subprocess
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NotRequired, TypedDict, TypeVar

import fastapi
import msgspec
import pydantic
import pytest
from click.testing import CliRunner
from msgspec import UNSET, UnsetType

from asgi_realtime import Connection, SocketIOGateway, WebSocketGateway, on
from asgi_realtime.cli.commands import main
from asgi_realtime.cli.gateways import packaged_gateways
from asgi_realtime.gateways.replies import NewToken
from asgi_realtime.handlers.event_declarations import down, up
from asgi_realtime.schema.typescript.files import file_name, typescript
from asgi_realtime.schema.typescript.interfaces import Interfaces
from tests.support.paths import ROOT

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
        (set[Literal["a", "b"]], 'readonly ("a" | "b")[]'),
        (list[list[float]], "readonly (readonly number[])[]"),
        (tuple[int, str], "readonly [number, string]"),
        (dict[str, bool], "Readonly<Record<string, boolean>>"),
        (bytes, "ArrayBuffer | Uint8Array"),
        (uuid.UUID, "string"),
        (int | float, "number"),
        (TypeVar("Message"), 'Host["Message"]'),
    ],
)
def test_each_annotation_has_its_typescript_type(annotation: Any, expected: str) -> None:
    assert Interfaces().type_of(annotation, "down") == expected


def interface(cls: Any, direction: Literal["up", "down"]) -> str:
    interfaces = Interfaces()
    assert interfaces.type_of(cls, direction) == cls.__name__
    return "\n".join(interfaces.lines()).strip()


def test_classes_become_interfaces() -> None:
    expected = """
/** A node of a tree. */
export interface Node {
  /** Unique. At most 10 characters. */
  readonly nodeId: string;
  readonly children: readonly Node[];
  readonly note?: string;
  readonly "odd-name": Readonly<Record<string, number>>;
}
"""
    assert interface(Node, "down") == expected.strip()
    assert "readonly at: string;\n  readonly tags: readonly string[];" in interface(Plain, "down")
    assert "readonly a: number;\n  readonly b?: boolean | null;" in interface(Partial, "down")
    assert 'readonly kind: "t";\n  readonly n?: number;' in interface(Tagged, "down")


def test_fields_with_a_default_are_optional_for_clients() -> None:
    assert "readonly children?: readonly Node[];" in interface(Node, "up")
    assert "/** ISO 8601. */\n  readonly at: string;\n  readonly tags?: readonly string[];" in interface(Plain, "up")


def test_types_without_a_typescript_form_are_refused() -> None:
    for annotation in (Annotated[str, fastapi.Depends(file_name)], type("Nothing", (), {}), fastapi.Request):
        for direction in _DIRECTIONS:
            with pytest.raises(TypeError, match=r"Depends|Nothing|Request"):
                Interfaces().type_of(annotation, direction)
    with pytest.raises(TypeError, match="both for the same library"):
        Interfaces().type_of(StructOfModel, "up")
    namesake = type("Plain", (msgspec.Struct,), {})
    interfaces = Interfaces()
    interfaces.type_of(Plain, "down")
    with pytest.raises(ValueError, match="two payload types are named Plain"):
        interfaces.type_of(namesake, "down")
    interfaces.type_of(Plain, "up")
    with pytest.raises(ValueError, match="Plain is sent in both directions"):
        interfaces.lines()


_DIRECTIONS: tuple[Literal["up", "down"], ...] = ("up", "down")


class Money(pydantic.BaseModel):
    """What something costs.

    In cents.
    """

    cents: int = 150
    paid_at: datetime.datetime | None = pydantic.Field(alias="paidAt")
    note: Annotated[str, pydantic.Field(max_length=3, description="for people")] = ""
    tags: list[str] = pydantic.Field(default_factory=list)
    hidden: str = pydantic.Field(default="", exclude=True)

    @pydantic.field_serializer("cents", when_used="json")
    def text(self, cents: int) -> str:
        return f"{cents / 100:.2f}"

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def label(self) -> str:
        return ""


class Text(pydantic.BaseModel):
    kind: Literal["text"]
    data: bytes


class Image(pydantic.BaseModel):
    kind: Literal["image"]
    url: pydantic.HttpUrl
    extra: Any = None


class Tree(pydantic.BaseModel):
    children: list[Tree]


Item = TypeVar("Item")


class Box(pydantic.BaseModel, Generic[Item]):
    item: Item


class Open(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    n: int


@dataclass
class DataOfModel:
    box: Tree
    at: datetime.datetime


class StructOfModel(msgspec.Struct):
    box: Tree


class DictOfModel(TypedDict):
    box: Tree
    note: NotRequired[str]


@pytest.mark.parametrize(
    ("annotation", "direction", "expected"),
    [
        (list[Tree], "down", "readonly Tree[]"),
        (Tree | None, "up", "Tree | null"),
        (dict[str, Tree], "up", "Readonly<Record<string, Tree>>"),
        (tuple[Tree, int], "down", "readonly [Tree, number]"),
        (Text | Image, "up", "Text | Image"),
        (Annotated[Text | Image, pydantic.Field(discriminator="kind")], "down", "Text | Image"),
        (list[Annotated[Text | Image, pydantic.Field(discriminator="kind")]], "up", "readonly (Text | Image)[]"),
        (pydantic.HttpUrl, "down", "string"),
        (pydantic.PositiveInt, "up", "number"),
        (ipaddress.IPv4Address, "down", "string"),
        (pydantic.RootModel[list[int]], "up", "RootModel_list_int"),
        (Box[int], "up", "Box_int"),
        (Annotated[Literal["a", "b"], pydantic.Field(description="")], "up", '"a" | "b"'),
        (Annotated[bytes, pydantic.Field(max_length=9)], "up", "ArrayBuffer | Uint8Array"),
        (pydantic.Json[list[int]], "up", "string"),
        (Annotated[decimal.Decimal, pydantic.Field(gt=0)], "up", "number | string"),
        (Annotated[decimal.Decimal, pydantic.Field(gt=0)], "down", "string"),
        (StructOfModel, "down", "StructOfModel"),
    ],
)
def test_pydantic_types_have_their_typescript_type_in_each_direction(
    annotation: Any, direction: Literal["up", "down"], expected: str
) -> None:
    assert Interfaces().type_of(annotation, direction) == expected


def test_models_become_interfaces_of_each_direction() -> None:
    up = """
/** What something costs. */
export interface Money {
  readonly cents?: number;
  /** ISO 8601. */
  readonly paidAt: string | null;
  /** For people. At most 3 characters. */
  readonly note?: string;
  readonly tags?: readonly string[];
  readonly hidden?: string;
}
"""
    down = """
/** What something costs. */
export interface Money {
  readonly cents: string;
  /** ISO 8601. */
  readonly paidAt: string | null;
  /** For people. At most 3 characters. */
  readonly note: string;
  readonly tags: readonly string[];
  readonly label: string;
}
"""
    assert interface(Money, "up") == up.strip()
    assert interface(Money, "down") == down.strip()
    assert "readonly children: readonly Tree[];" in interface(Tree, "up")
    assert "readonly [name: string]: unknown;" in interface(Open, "down")


@pytest.mark.parametrize("cls", [DataOfModel, StructOfModel, DictOfModel])
def test_classes_with_models_inside_become_interfaces(cls: Any) -> None:
    text = interface(cls, "down")
    assert f"export interface {cls.__name__} {{\n  readonly box: Tree;\n" in text
    assert "export interface Tree {\n  readonly children: readonly Tree[];\n}" in text
    assert ("readonly note?: string;" in text) == (cls is DictOfModel)


def test_a_class_used_in_both_directions_is_one_interface() -> None:
    interfaces = Interfaces()
    assert interfaces.type_of(Plain, "down") == "Plain"
    assert interfaces.type_of(list[Plain] | Tree, "down") == "readonly Plain[] | Tree"
    assert "\n".join(interfaces.lines()).count("interface Plain ") == 1


class ModelGateway(SocketIOGateway):
    events = (down("paid", Money, to="all"), down("grown", list[Tree], to="all"))

    @on("pay")
    async def pay(self, payer: Annotated[str, pydantic.Field(max_length=3)], what: Text | Image) -> Tree:
        return Tree(children=[])

    @on("say")
    async def say(self, text: str = pydantic.Field(max_length=3)) -> None: ...


def test_a_gateway_of_models_has_their_interfaces() -> None:
    text = typescript(ModelGateway)
    assert "  paid: (payload: Money) => void;\n" in text
    assert "  grown: (payload: readonly Tree[]) => void;\n" in text
    assert "(argument1: string, argument2: Text | Image, acknowledge: (answer: Tree | Failure) => void) => void" in text
    assert "  say: (payload: string) => void;\n" in text


class BoardGateway(SocketIOGateway):
    events = (down("drawn", Colour, to="the board"), down("board/clear", to="the board"))

    @on("draw")
    async def draw(self, colour: Colour) -> int:
        """Draw with a colour. */ ends no comment."""
        return 1

    @on("move")
    async def move(self, x: int, y: int) -> None: ...


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


def test_a_websocket_gateway_becomes_unions_of_frames() -> None:
    text = typescript(StreamGateway)
    assert "export interface HostTypes {\n  Tree: unknown;\n}\n" in text
    assert "export type ServerFrame<Host extends HostTypes = HostTypes> = { readonly offset?: string } & (\n" in text
    assert '  | ({ readonly type: "established" } & Partial)\n' in text
    assert '  | { readonly type: "grown"; readonly data: Host["Tree"] }\n' in text
    client = text.partition("export type ClientFrame =\n")[2]
    assert '  | { readonly type: "stop" }\n' in client
    assert '  | { readonly type: "auth"; readonly data: Credentials }\n' in client


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
@pytest.mark.parametrize("name", ["Record", "ServerToClientEvents", "HostTypes"])
def test_a_payload_type_with_a_name_that_the_file_uses_is_refused(name: str, make: Callable[[str], type]) -> None:
    gateway = type("Named", (SocketIOGateway,), {"events": (down("made", make(name), to="all"),)})
    with pytest.raises(
        ValueError, match=f"a payload type is named {name}, which is a name of TypeScript or of the file"
    ):
        typescript(gateway)


def test_file_names() -> None:
    names = [file_name(gateway) for gateway in packaged_gateways()]
    assert sorted(names) == ["chat.ts", "events.ts", "infra.ts", "jobs.ts", "mew.ts"]
    assert file_name(SocketIOGateway("/white/board")) == "white-board.ts"
    assert file_name(BoardGateway("/x")) == "board.ts"


def test_the_committed_files_are_those_of_the_declarations() -> None:
    committed = {path.name: path.read_text(encoding="utf-8") for path in GENERATED.iterdir()}
    again = "stale; run: python -m asgi_realtime types --output clients/typescript/src/generated"
    assert committed == {file_name(gateway): typescript(gateway) for gateway in packaged_gateways()}, again


def test_the_command_writes_files_and_accepts_gateways_of_the_user(tmp_path: Path) -> None:
    name = f"{__name__}:BoardGateway"
    done = CliRunner().invoke(main, ["types", name, f"{__name__}:StreamGateway", "--output", str(tmp_path / "new")])
    assert done.exit_code == 0, done.output
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"board.ts", "stream.ts"}
    assert (tmp_path / "new" / "board.ts").read_text(encoding="utf-8") == typescript(BoardGateway)
    assert CliRunner().invoke(main, ["types", name]).output == typescript(BoardGateway)
    stream = typescript(StreamGateway)
    assert CliRunner().invoke(main, ["types", name, f"{__name__}:StreamGateway"]).output == (
        f"// board.ts\n{typescript(BoardGateway)}\n// stream.ts\n{stream}"
    )
    assert CliRunner().invoke(main, ["types", name, "--output", str(tmp_path / "web" / "mine.ts")]).exit_code == 0
    assert (tmp_path / "web" / "mine.ts").read_text(encoding="utf-8") == typescript(BoardGateway)


def test_an_unwritable_type_prints_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    done = CliRunner().invoke(main, ["types", "--output", str(tmp_path / "taken")])
    assert done.exit_code == 1
    assert "Error: cannot write " in done.output
    done = CliRunner().invoke(main, ["types", "--output", str(tmp_path / "all.ts")])
    assert done.exit_code == 2
    assert "name a directory" in done.output


@pytest.mark.parametrize("name", ["no.such.module:X", f"{__name__}:Nobody", f"{__name__}:Colour", "", ":"])
def test_a_name_that_is_not_a_gateway_prints_one_sentence(name: str) -> None:
    done = CliRunner().invoke(main, ["types", name])
    assert done.exit_code == 2
    assert "Invalid value" in done.output


def test_a_missing_gateway_prints_those_that_the_module_defines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "boards_of_test.py").write_text(
        "from asgi_realtime import SocketIOGateway, WebSocketGateway\n"
        "class Board(SocketIOGateway): ...\n"
        "chat = WebSocketGateway('/chat')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    done = CliRunner().invoke(main, ["types", "boards_of_test:Nope"])
    assert done.exit_code == 2
    assert "boards_of_test has no Nope; its gateways are: Board, chat\n" in done.output


def test_without_click_a_message_names_the_package_to_install() -> None:
    code = "import runpy, sys; sys.modules['click'] = None; runpy.run_module('asgi_realtime', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert done.stderr == "asgi-realtime needs the extra cli: pip install 'asgi_realtime[cli]'\n"
